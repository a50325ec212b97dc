"""People arriving and changing in one statement: the pure rules decide for every outcome, the database takes one.

This is the short way of :mod:`bridge.usecases.provision_member` for what directories push all day. What is not plain
(somebody to adopt, a name that is taken, an owner, a line to serve) is None here and left to the general way, which
writes the very same for the rest.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import orjson

from bridge.domain.documents import (
    comparison_document,
    comparison_key,
    display_name,
    mappable_names,
    primary_email,
)
from bridge.domain.identifiers import GroupId, MemberId, new_id
from bridge.domain.roles import Role
from bridge.store.journal import Entry
from bridge.store.lane import Lane
from bridge.store.lane_rows import PersonRow
from bridge.usecases.assign_seats import Access, seat_entry
from bridge.usecases.provision_member import MAX_USER_NAME, PersonDraft, Source
from bridge.usecases.quick_cases import MAX_GROUPS, arrivals, read_standing, turned_off, turned_on, write_by_case
from bridge.usecases.quick_writes import (
    Author,
    Caller,
    Rules,
    as_json,
    decision_record,
    entitlement_of,
    grant_of,
    known_state,
    sealed,
)
from bridge.usecases.sync_groups import claimed_entry
from mappings.allocation import Grant, Holding, Occasion, SeatDecision, SeatReason, deactivate, decide, wish
from mappings.resolution import Entitlement
from mappings.rules import comparison_key as rule_key

_READ = "lane_person"
_CREATE = "lane_create_person"
_UPDATE = "lane_update_person"
_WRITE_TEXTS = "lane_write_texts"
_TURN = "lane_turn_person"


@dataclass(frozen=True, slots=True)
class FoundPerson:
    """A person with what an answer shows besides: the groups in order of their names, the reason for the seat.

    ``inherited`` are those of the groups that the person is in only through groups inside them; ``schema_version``
    says which extension schemas the organization had when the person was read.
    """

    person: PersonRow
    groups: Sequence[tuple[GroupId, str]]
    reason: str | None
    can_write: bool
    inherited: frozenset[GroupId] = frozenset()
    schema_version: int = 0


@dataclass(frozen=True, slots=True)
class Nobody:
    """The directory has nobody of that name; the credential is good."""

    can_write: bool


def find_person(lane: Lane, caller: Caller, attribute: str, value: str) -> FoundPerson | Nobody | None:
    """Find a person by ``id``, ``userName`` (its comparison key) or ``externalId``.

    Returns:
        None when the general way has to answer.
    """
    row = lane.ask(_READ, (caller.token_hash, caller.at, caller.slug, attribute, value))
    return None if row is None else _found(row)


def _found(row: Sequence[Any]) -> FoundPerson | Nobody:
    (org_id, connection_id, can_write, schema_version, *columns, reason, group_ids, group_names, inherited) = row
    if columns[0] is None:
        return Nobody(can_write)
    person = PersonRow(org_id, connection_id, *columns)
    groups = list(zip(group_ids or (), group_names or (), strict=True))
    around = frozenset(group_id for group_id, yes in zip(group_ids, inherited, strict=True) if yes) if inherited else ()
    return FoundPerson(person, groups, reason, can_write, frozenset(around), schema_version)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A new person with what may become of them: the best seat first, and the database takes the first it can.

    Attributes:
        entries: What the audit says of the arrival itself, sealed.
    """

    person: PersonRow
    entries: list[dict[str, Any]]
    decision_id: uuid.UUID
    record: dict[str, Any]
    outcomes: Sequence[SeatDecision]

    @property
    def decision(self) -> dict[str, Any]:
        """What the records of all outcomes have in common."""
        return {"id": str(self.decision_id), **self.record}

    def sealed_outcomes(self, author: Author, rules: Rules) -> list[dict[str, Any]]:
        """Return the outcomes as the statement takes them."""
        return [_outcome(author, rules, self.person.id, outcome) for outcome in self.outcomes]


def arrival(
    author: Author,
    rules: Rules,
    draft: PersonDraft,
    source: Source,
    *,
    body: Mapping[str, Any] = MappingProxyType({}),
    groups: Mapping[GroupId, str] = MappingProxyType({}),
    is_provisional: bool = False,
) -> Arrival:
    """Decide about a new person (rules A1 to A3).

    Args:
        author: Who brings them.
        rules: What is known of the organization.
        draft: Who they are.
        source: How they come.
        body: What the audit says of the arrival besides.
        groups: The groups that they are in from the beginning, with their names.
        is_provisional: Whether their directory has to name them first.
    """
    document, member_id = draft.full_document(), MemberId(new_id())
    entitlement = entitlement_of(rules, document, groups)
    newcomer = Access(str(Role.MEMBER), role_from_mapping=False, teams=[], is_provisional=is_provisional)
    access = newcomer.under(entitlement) if draft.active else newcomer
    arrived = [
        Entry("member.created", "member", member_id, str(source), body),
        *([claimed_entry(member_id, added=groups)] if groups else []),
        *newcomer.entries_until(access, member_id),
    ]
    person = PersonRow(
        org_id=rules.org_id,
        connection_id=rules.connection_id,
        id=member_id,
        source=str(source),
        role=access.role,
        role_from_mapping=access.role_from_mapping,
        teams=access.teams,
        user_name=draft.user_name,
        user_name_key=comparison_key(draft.user_name),
        external_id=draft.external_id,
        active=draft.active,
        document=document,
        version=1,
        created_at=author.at,
        modified_at=author.at,
        tier=None,
        granted_by=None,
        pinned=False,
        waiting_for=None,
        decision_id=None,
    )
    return Arrival(
        person=person,
        entries=[sealed(author, rules, each) for each in arrived],
        decision_id=new_id(),
        record=decision_record(rules, entitlement, Occasion.ARRIVED, groups=sorted(set(groups.values()))),
        outcomes=arrivals(rules, entitlement) if draft.active else [],
    )


def take_in(lane: Lane, caller: Caller, rules: Rules, draft: PersonDraft) -> FoundPerson | None:
    """Take a new person of a directory in, with the seat that the rules say (rules A1 to A3).

    Returns:
        None when nothing was done and the general way has to answer.
    """
    if not draft.user_name.strip() or len(draft.user_name) > MAX_USER_NAME:
        return None
    arrived = arrival(caller, rules, draft, Source.SCIM)
    person, document = arrived.person, arrived.person.document
    email = primary_email(document)
    row = lane.write(
        _CREATE,
        (
            *known_state(caller, rules),
            person.id,
            person.user_name,
            person.user_name_key,
            person.external_id,
            display_name(document),
            email,
            comparison_key(email) if email else None,
            person.active,
            person.role,
            person.role_from_mapping,
            as_json(person.teams),
            as_json(document),
            as_json(comparison_document(document)),
            caller.actor,
            caller.request_id,
            *caller.pads,
            as_json(arrived.entries),
            as_json(arrived.decision),
            as_json(arrived.sealed_outcomes(caller, rules)),
        ),
    )
    return None if row is None else _settled(person, (), arrived.outcomes, row[0], arrived.decision_id)


def write_texts(
    lane: Lane, caller: Caller, rules: Rules, member_id: uuid.UUID, texts: Mapping[str, Any]
) -> FoundPerson | None:
    """Write single texts of a person that no rule asks for, such as the title, without reading the person first.

    Args:
        lane: Connections.
        caller: Who asks.
        rules: What is known of the organization.
        member_id: Whom.
        texts: Attributes with their texts; complex ones as mappings of the parts that change.

    Returns:
        The person as they are now; None when nothing was done and the person has to be read.
    """
    if not rules.attributes.isdisjoint(map(rule_key, mappable_names(texts))):
        return None
    entry = Entry("member.updated", "member", member_id, "directory", {"attributes": sorted(texts)})
    row = lane.write(
        _WRITE_TEXTS,
        (
            *known_state(caller, rules),
            member_id,
            as_json(texts),
            as_json(comparison_document(texts)),
            caller.actor,
            caller.request_id,
            *caller.pads,
            as_json([sealed(caller, rules, entry)]),
        ),
    )
    found = None if row is None else _found(row)
    return found if isinstance(found, FoundPerson) else None


def turn(lane: Lane, caller: Caller, rules: Rules, member_id: MemberId, *, active: bool) -> FoundPerson | None:
    """Turn a person on or off, and nothing else, without reading the person first (rules K1, K2).

    Returns:
        The person as they are now; None when nothing was done and the person has to be read.
    """
    if len(rules.groups) > MAX_GROUPS:
        return None
    updated, turned = (
        sealed(caller, rules, Entry(action, "member", member_id, "directory", body))
        for action, body in (
            ("member.updated", {"attributes": ["active"]}),
            ("member.reactivated" if active else "member.deactivated", {}),
        )
    )
    first, last = ([updated, turned], []) if active else ([updated], [turned])
    seals = (caller.actor, caller.request_id, *caller.pads, as_json(first), as_json(last))
    row = write_by_case(
        lane,
        _TURN,
        caller,
        rules,
        member_id,
        asking=(active,),
        parameters=lambda cases: (
            *known_state(caller, rules),
            member_id,
            active,
            rules.groups_array,
            rules.asked_array,
            cases,
            *seals,
        ),
        decide_by=lambda facts: (
            turned_on(rules, read_standing(rules, facts)) if active else turned_off(*orjson.loads(facts))
        ),
    )
    found = None if row is None else _found(row)
    return found if isinstance(found, FoundPerson) else None


def change(lane: Lane, caller: Caller, rules: Rules, found: FoundPerson, draft: PersonDraft) -> FoundPerson | None:
    """Write what a directory says of a person now, over the state that was read.

    Version and lastModified move only when something really changed.

    Returns:
        The person as they are now; None when nothing was done and the general way has to answer.
    """
    person = found.person
    if found.schema_version != rules.schema_version or _is_special(person, rules, draft):
        return None
    document = draft.full_document()
    if document == person.document and draft.active == person.active:
        return found
    decision_id = new_id()
    turn = _turn(caller, rules, found, draft, document)
    if turn is None:
        return None
    names = {*document, *person.document}
    changed = sorted(name for name in names if document.get(name) != person.document.get(name))
    updated = sealed(caller, rules, Entry("member.updated", "member", person.id, "directory", {"attributes": changed}))
    email = primary_email(document)
    row = lane.write(
        _UPDATE,
        (
            *known_state(caller, rules),
            person.id,
            person.version,
            person.decision_id,
            person.role,
            [f"{group_id} {name}" for group_id, name in sorted(found.groups)],
            display_name(document),
            email,
            comparison_key(email) if email else None,
            draft.active,
            as_json(document),
            as_json(comparison_document(document)),
            caller.actor,
            caller.request_id,
            *caller.pads,
            as_json([updated, *turn.before]),
            turn.release,
            as_json({"id": str(decision_id), **turn.record}),
            as_json([_outcome(caller, rules, person.id, outcome) for outcome in turn.outcomes]),
            as_json(turn.after),
        ),
    )
    if row is None:
        return None
    written = replace(person, active=draft.active, document=document, version=person.version + 1, modified_at=caller.at)
    return replace(
        _settled(written, found.groups, turn.outcomes, row[0], decision_id, reason=found.reason),
        can_write=found.can_write,
        inherited=found.inherited,
    )


def _is_special(person: PersonRow, rules: Rules, draft: PersonDraft) -> bool:
    """Tell whether an update is more than a change of what is said of a person."""
    return (
        person.source != "scim"
        or person.connection_id != rules.connection_id
        or Role(person.role).is_owner
        or comparison_key(draft.user_name) != person.user_name_key
        or draft.user_name != person.user_name
        or draft.external_id != person.external_id
        or (draft.active != person.active and (person.waiting_for is not None or person.pinned))
    )


@dataclass(frozen=True, slots=True)
class _Turn:
    """What an update means for the seat: what to try, what to give back, what the audit says before and after it."""

    outcomes: Sequence[SeatDecision] = ()
    release: str | None = None
    before: Sequence[dict[str, Any]] = ()
    after: Sequence[dict[str, Any]] = ()
    record: dict[str, Any] = field(default_factory=dict)


def _turn(
    caller: Caller, rules: Rules, found: FoundPerson, draft: PersonDraft, document: dict[str, Any]
) -> _Turn | None:
    """Decide about the seat of somebody who is updated; None when the rules have more to say than a lane can do."""
    person, groups = found.person, [name for _, name in found.groups]
    group_ids = [group_id for group_id, _ in found.groups]
    if draft.active == person.active:
        if not draft.active or not _facts_differ(rules, person, document):
            return _Turn()
        return None if _needs_settling(rules, person, entitlement_of(rules, document, group_ids)) else _Turn()
    if draft.active:
        entitlement = entitlement_of(rules, document, group_ids)
        if _access_differs(person, entitlement):
            return None
        return _Turn(
            outcomes=arrivals(rules, entitlement),
            before=[sealed(caller, rules, Entry("member.reactivated", "member", person.id, "directory"))],
            record=decision_record(rules, entitlement, Occasion.ARRIVED, groups=sorted(groups)),
        )
    after = [sealed(caller, rules, Entry("member.deactivated", "member", person.id, "directory"))]
    if person.tier is None:
        return _Turn(after=after)
    record = decision_record(rules, None, SeatReason.DEACTIVATED, groups=groups, from_tier=person.tier)
    return _Turn([deactivate(_holding(person))], person.tier, after=after, record=record)


def _facts_differ(rules: Rules, person: PersonRow, document: dict[str, Any]) -> bool:
    """Tell whether rules may give something else for the new document: without new facts all stays as it was settled.

    Who waits is served when a seat is free and not when they are looked at, so waiting is no new fact.
    """
    return bool(rules.asked) and rules.said(document) != rules.said(person.document)


def _needs_settling(rules: Rules, person: PersonRow, entitlement: Entitlement) -> bool:
    """Tell whether the rules now give a present person another seat, role or team than they have."""
    if _access_differs(person, entitlement):
        return True
    holding = _holding(person)
    placement = rules.placement
    wanted = wish(entitlement, holding, Occasion.REGROUPED, placement.ladder, placement.mapping_set.on_exhausted)
    return bool(wanted.tiers) or decide(wanted, None, holding).alters(holding)


def _access_differs(person: PersonRow, entitlement: Entitlement) -> bool:
    access = Access(person.role, person.role_from_mapping, person.teams)
    return access.under(entitlement) != access


def _holding(person: PersonRow) -> Holding:
    granted_by = Grant(person.granted_by) if person.granted_by else None
    return Holding(person.tier, granted_by, person.pinned, person.waiting_for)


def _outcome(author: Author, rules: Rules, member_id: MemberId, decision: SeatDecision) -> dict[str, Any]:
    return {
        "tier": decision.tier,
        "granted_by": grant_of(decision),
        "reason": str(decision.reason),
        "waiting_for": decision.waiting_for,
        "alert_tier": decision.alert_tier,
        # Who may be bought a seat for is no case for the lane.
        "rejected": decision.rejected or bool(decision.buys),
        "entry": sealed(author, rules, seat_entry(member_id, decision)),
    }


def _settled(
    person: PersonRow,
    groups: Sequence[tuple[GroupId, str]],
    outcomes: Sequence[SeatDecision],
    index: int | None,
    decision_id: uuid.UUID,
    *,
    reason: str | None = None,
) -> FoundPerson:
    """Return a person with the outcome that the database took."""
    if index is None:
        return FoundPerson(person, groups, reason, can_write=True)
    taken = outcomes[index]
    person.tier, person.granted_by, person.waiting_for = taken.tier, grant_of(taken), taken.waiting_for
    person.decision_id = decision_id
    return FoundPerson(person, groups, str(taken.reason), can_write=True)
