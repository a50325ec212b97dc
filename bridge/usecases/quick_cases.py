"""What may become of one person, by what the rules look at in them: decided once for everybody of the same kind.

A statement is sent what was decided for the kinds of people seen last, and the database finds out of which of them this
person is. Where it is none of them the statement does nothing but tell the facts, by which is decided, and comes again.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from bridge.domain.brake import is_loss
from bridge.domain.identifiers import MemberId, new_id
from bridge.store.lane import Lane, Row
from bridge.usecases.assign_seats import Access, seat_entry
from bridge.usecases.quick_writes import Caller, Rules, Said, as_json, decision_record, grant_of, sealed
from mappings.allocation import NOTHING, Grant, Holding, Occasion, SeatDecision, SeatReason, deactivate, decide, wish
from mappings.resolution import Entitlement

#: More groups that rules ask for would make each statement longer than a second one costs.
MAX_GROUPS = 200


@dataclass(frozen=True, slots=True)
class Standing:
    """What the rules look at in somebody.

    Attributes:
        groups: The groups they count as a member of; those that no rule asks for may be missing.
        said: What they say of the attributes that some rule asks for.
    """

    groups: Sequence[uuid.UUID]
    said: Said
    holding: Holding
    access: Access


@dataclass(frozen=True, slots=True)
class Case:
    """What may become of everybody who is of one kind: the best first, and the database takes the first it can.

    Attributes:
        outcomes: What is written of each, with its decision.
    """

    occasion: str
    entitlement: Entitlement | None
    from_tier: str | None
    before: Access
    after: Access
    outcomes: Sequence[tuple[dict[str, Any], SeatDecision]]

    def settlement(self, caller: Caller, rules: Rules, member_id: MemberId) -> dict[str, Any]:
        """Return what is written of one of them; the names of their groups are not known yet."""
        after, is_same = self.after, self.after == self.before
        access = {"role": after.role, "role_from_mapping": after.role_from_mapping, "teams": after.teams}
        changes = () if is_same else self.before.entries_until(after, member_id)
        record = decision_record(rules, self.entitlement, self.occasion, groups=(), from_tier=self.from_tier)
        return {
            "access": None if is_same else access,
            "entries": [sealed(caller, rules, each) for each in changes],
            "decision": {"id": str(new_id()), **record},
            "outcomes": [
                {**facts, "entry": sealed(caller, rules, seat_entry(member_id, decision))}
                for facts, decision in self.outcomes
            ],
        }


def regrouped(rules: Rules, standing: Standing) -> Case | None:
    """Decide about a present person whose groups changed (rules A4, A5, A7); None where that is no case for a lane."""
    placement, holding = rules.placement, standing.holding
    entitlement = rules.entitlement(standing.groups, standing.said)
    wanted = wish(entitlement, holding, Occasion.REGROUPED, placement.ladder, placement.mapping_set.on_exhausted)
    decisions = [(tier, decide(wanted, tier, holding)) for tier in (*wanted.tiers, None)]
    if wanted.buys or (holding.waiting_for is not None and any(each.alters(holding) for _, each in decisions)):
        return None
    before, after = standing.access, standing.access.under(entitlement)
    less = after.is_less_than(before)
    outcomes = [
        _outcome(
            obtains,
            decision,
            alters=decision.alters(holding),
            loses=is_loss(holding.tier, decision.tier, less_access=less),
        )
        for obtains, decision in decisions
    ]
    return Case(Occasion.REGROUPED, entitlement, holding.tier, before, after, outcomes)


def turned_on(rules: Rules, standing: Standing) -> Case | None:
    """Decide about a person who is turned on again (rule K2); None where that is no case for a lane."""
    entitlement = rules.entitlement(standing.groups, standing.said)
    if standing.access.under(entitlement) != standing.access:
        return None
    outcomes = [_outcome(each.tier, each, alters=True, loses=False) for each in arrivals(rules, entitlement)]
    return Case(Occasion.ARRIVED, entitlement, None, standing.access, standing.access, outcomes)


def turned_off(tier: str | None) -> Case:
    """Decide about a person of this tier who is turned off (rule K1)."""
    decision = deactivate(Holding(tier))
    outcomes = [_outcome(None, decision, alters=tier is not None, loses=True)]
    nothing = Access("", role_from_mapping=False, teams=[])
    return Case(SeatReason.DEACTIVATED, None, tier, nothing, nothing, outcomes)


def arrivals(rules: Rules, entitlement: Entitlement) -> list[SeatDecision]:
    """Return what may become of somebody who arrives (rules A1 to A3): best seat first, no seat last."""
    placement = rules.placement
    wanted = wish(entitlement, NOTHING, Occasion.ARRIVED, placement.ladder, placement.mapping_set.on_exhausted)
    return [decide(wanted, tier, NOTHING) for tier in (*wanted.tiers, None)]


def _outcome(
    obtains: str | None, decision: SeatDecision, *, alters: bool, loses: bool
) -> tuple[dict[str, Any], SeatDecision]:
    return {
        "obtains": obtains,
        "alters": alters,
        "loses": loses,
        # Who may be bought a seat for is no case for the lane.
        "rejected": decision.rejected or bool(decision.buys),
        "gives_back": decision.from_tier if decision.moves else None,
        "tier": decision.tier,
        "granted_by": grant_of(decision),
        "reason": str(decision.reason),
        "waiting_for": decision.waiting_for,
        "alert_tier": decision.alert_tier if alters else None,
    }, decision


def write_by_case(
    lane: Lane,
    function: str,
    caller: Caller,
    rules: Rules,
    member_id: MemberId,
    *,
    asking: tuple[Any, ...],
    parameters: Callable[[str], tuple[Any, ...]],
    decide_by: Callable[[str], Case | None],
) -> Row | None:
    """Call a function of ``bridge/store/functions/cases.sql`` with the cases known, or once more with the one it met.

    Args:
        lane: Connections.
        function: Its name.
        caller: Who asks.
        rules: What is known of the organization, which remembers the cases.
        member_id: Who changes.
        asking: What cases are remembered by: whatever the facts do not say.
        parameters: Makes the parameters from the cases.
        decide_by: Decides about somebody with these facts.

    Returns:
        The row without the facts; None when nothing was done.
    """

    def ask(cases: Sequence[tuple[str, Case]]) -> Row | None:
        settled = {facts: case.settlement(caller, rules, member_id) for facts, case in cases}
        return lane.write(function, parameters(as_json(settled)))

    row = ask(rules.cases.get(asking, ()))
    if row is not None and row[0] is not None:
        case = decide_by(row[0])
        if case is None:
            return None
        rules.remember(asking, row[0], case)
        row = ask([(row[0], case)])
    return None if row is None or row[0] is not None else row[1:]


def read_standing(rules: Rules, facts: str) -> Standing:
    """Read what the database wrote down of somebody."""
    groups, values, tier, granted_by, pinned, waiting_for, role, role_from_mapping, teams = orjson.loads(facts)
    return Standing(
        groups=groups,
        said=rules.understood(values),
        holding=Holding(tier, Grant(granted_by) if granted_by else None, pinned, waiting_for),
        access=Access(role, role_from_mapping, teams),
    )
