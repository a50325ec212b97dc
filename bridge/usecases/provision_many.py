"""Taking in many new people at once: what :func:`provision_member` does for each, by a few statements for all."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Uuid, any_, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from bridge.domain.identifiers import ConnectionId, GroupId, MemberId, new_id
from bridge.store.journal import Entry, record_many
from bridge.store.models import Group, GroupMember, Member, ParkedMember
from bridge.store.pools import read_pools
from bridge.store.rows import insert_rows
from bridge.store.unit import Unit
from bridge.usecases.arrivals import Arrivals
from bridge.usecases.assign_seats import read_placement
from bridge.usecases.parked_people import adopt_parked
from bridge.usecases.person_classes import touched_people
from bridge.usecases.provision_member import PersonDraft, Source, build_member
from bridge.usecases.settle_many import settle_many
from mappings.allocation import NOTHING, Occasion, SeatDecision, place_by_hand
from mappings.rules import MappingRule, PersonFacts


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Somebody who comes in.

    Attributes:
        draft: Who; nobody here has the userName or externalId, which the caller has seen to.
        groups: Groups of the directory that they are in from the beginning.
        by_hand: They are placed by hand, and not by the rules.
        tier: The tier then; None for no seat.
    """

    draft: PersonDraft
    groups: frozenset[GroupId] = frozenset()
    by_hand: bool = False
    tier: str | None = None


@dataclass(frozen=True, slots=True)
class SeatGiven:
    """A decision about a seat, with the rule that spoke of it."""

    decision: SeatDecision
    rule: MappingRule | None


@dataclass(frozen=True, slots=True)
class ManyProvisioned:
    """What became of newcomers.

    Attributes:
        member_ids: Of those who came in, by their place among the newcomers.
        seats: What was decided about those who are active, by the same place.
        without_seat: Places of those who found no seat where that refuses them (by hand, or ``on_exhausted: reject``):
            the unit must roll back.
    """

    member_ids: Mapping[int, MemberId]
    seats: Mapping[int, SeatGiven]
    without_seat: tuple[int, ...] = ()


def provision_many(
    unit: Unit, connection_id: ConnectionId, newcomers: Sequence[Newcomer], source: Source
) -> ManyProvisioned:
    """Take new people in and give them the seats that the rules say, first come, first served.

    It ends as :func:`provision_member` would for one after the other; seats are bought at the unit's end only, and
    within a budget (rule A3).

    Args:
        unit: The unit.
        connection_id: The directory they belong to.
        newcomers: Who, in the order in which they come.
        source: How they came.

    Raises:
        InvalidInputError: A userName is not possible.
    """
    unit.lock()
    # Of people who begin to wait at one instant the lower id is served first: that is to be the order of the file.
    given = sorted(MemberId(new_id()) for _ in newcomers)
    members = [
        build_member(unit, connection_id, one.draft, source, member_id=member_id)
        for one, member_id in zip(newcomers, given, strict=True)
    ]
    unit.session.add_all(members)
    unit.session.flush()
    ids = [member.id for member in members]
    record_many(unit, [Entry("member.created", "member", member_id, str(source), {}) for member_id in ids])
    _join_groups(unit, {member_id: one.groups for member_id, one in zip(ids, newcomers, strict=True)})
    _adopt_parked(unit, connection_id, members)
    unit.session.flush()
    return _give_seats(unit, newcomers, ids)


def _join_groups(unit: Unit, groups: Mapping[MemberId, Collection[GroupId]]) -> None:
    joining: defaultdict[GroupId, list[MemberId]] = defaultdict(list)
    for member_id, its_groups in groups.items():
        for group_id in its_groups:
            joining[group_id].append(member_id)
    if not joining:
        return
    pairs = [(group_id, member_id) for group_id, member_ids in joining.items() for member_id in member_ids]
    insert_rows(
        unit.session,
        GroupMember,
        shared={"org_id": unit.org_id, "added_at": unit.at},
        each={"group_id": [pair[0] for pair in pairs], "member_id": [pair[1] for pair in pairs]},
    )
    unit.session.execute(
        update(Group)
        .where(Group.org_id == unit.org_id, Group.id == any_(literal(list(joining), ARRAY(Uuid))))
        .values(version=Group.version + 1, modified_at=unit.at)
        .execution_options(synchronize_session=False)
    )
    record_many(
        unit,
        [
            Entry(
                "group.members_changed", "group", group_id, "arrived", {"added": list(map(str, added)), "removed": []}
            )
            for group_id, added in sorted(joining.items())
        ],
    )


def _adopt_parked(unit: Unit, connection_id: ConnectionId, members: Sequence[Member]) -> None:
    """Put people into the groups of their directory that named them before; a new id nobody can have named."""
    by_external_id = {member.external_id: member for member in members if member.external_id is not None}
    if not by_external_id:
        return
    named = unit.session.scalars(
        select(ParkedMember.value)
        .distinct()
        .join(Group, (Group.org_id == ParkedMember.org_id) & (Group.id == ParkedMember.group_id))
        .where(
            ParkedMember.org_id == unit.org_id,
            Group.connection_id == connection_id,
            ParkedMember.value == any_(literal(list(by_external_id), ARRAY(ParkedMember.value.type))),
        )
    ).all()
    for value in sorted(named):
        adopt_parked(unit, by_external_id[value])


def _give_seats(unit: Unit, newcomers: Sequence[Newcomer], ids: Sequence[MemberId]) -> ManyProvisioned:
    placement = read_placement(unit)
    seats = Arrivals(placement, {pool.tier: pool.total - pool.used for pool in read_pools(unit)})
    touched = touched_people(unit, ids, placement.mapping_set)
    facts_of = {one.member_id: one.person.facts for one in touched}
    given: dict[int, SeatGiven] = {}
    without: list[int] = []
    for place, (member_id, newcomer) in enumerate(zip(ids, newcomers, strict=True)):
        facts = facts_of.get(member_id)
        if facts is None:  # Nobody inactive has a seat.
            continue
        decision = _decide(newcomer, facts, seats)
        if decision is None:
            without.append(place)
            continue
        seats.settle(member_id, facts, decision)
        given[place] = SeatGiven(decision, None if newcomer.by_hand else seats.entitlement(facts).winning)
    if not without:
        settle_many(unit, seats.effect(), placement, Occasion.ARRIVED, touched=touched)
    return ManyProvisioned(dict(enumerate(ids)), given, tuple(without))


def _decide(newcomer: Newcomer, facts: PersonFacts, seats: Arrivals) -> SeatDecision | None:
    """Decide about one person's seat; None where they are refused for want of one."""
    if newcomer.by_hand:
        if newcomer.tier is not None and seats.free.get(newcomer.tier, 0) <= 0:
            return None
        return place_by_hand(newcomer.tier, NOTHING)
    decision = seats.decide(facts)
    return None if decision.rejected else decision
