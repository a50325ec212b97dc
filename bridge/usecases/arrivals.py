"""Seats for many people who have none: what the rules give each, one after the other, before any of it is written."""

from dataclasses import dataclass, field

from bridge.domain.identifiers import MemberId
from bridge.usecases.assign_seats import Placement
from mappings.allocation import NOTHING, Occasion, SeatDecision, allocate, wish
from mappings.preview import MovesPreview, Settlement
from mappings.resolution import Entitlement, resolve
from mappings.rules import PersonFacts


@dataclass(slots=True)
class Arrivals:
    """Free seats by tier, and what is decided about them, person by person.

    People of whom the rules see the same share one object of facts, and the rules are asked once for it.
    """

    placement: Placement
    free: dict[str, int]
    _groups: dict[tuple[int, SeatDecision], tuple[PersonFacts, list[MemberId]]] = field(default_factory=dict)
    _known: dict[int, Entitlement] = field(default_factory=dict)

    def entitlement(self, facts: PersonFacts) -> Entitlement:
        """Return what the rules give."""
        found = self._known.get(id(facts))
        if found is None:
            found = self._known[id(facts)] = resolve(facts, self.placement.mapping_set, self.placement.ladder)
        return found

    def decide(self, facts: PersonFacts) -> SeatDecision:
        """Decide about somebody as about a new person (rules A1 to A4); nothing is taken yet."""
        rules = self.placement
        wanted = wish(self.entitlement(facts), NOTHING, Occasion.ARRIVED, rules.ladder, rules.mapping_set.on_exhausted)
        return allocate(wanted, self.free, NOTHING)

    def settle(self, member_id: MemberId, facts: PersonFacts, decision: SeatDecision) -> None:
        """Take the seat that was decided."""
        if decision.tier is not None:
            self.free[decision.tier] -= 1
        self._groups.setdefault((id(facts), decision), (facts, []))[1].append(member_id)

    def effect(self) -> MovesPreview:
        """Return everything that was decided, to be written at once."""
        settlements = tuple(
            Settlement(decision, NOTHING, facts, self.entitlement(facts).winning, tuple(ids), len(ids))
            for (_, decision), (facts, ids) in self._groups.items()
        )
        return MovesPreview(
            moves=(),
            line_changes=(),
            access_changes=(),
            summary={},
            seats=(),
            decided_by={},
            pinned=0,
            people=sum(one.count for one in settlements),
            settlements=settlements,
        )
