"""People arriving and changing in one statement: the pure rules decide for every outcome, the database takes one.

This is the short way of :mod:`bridge.usecases.provision_member` for what directories push all day. What is not plain
(somebody to adopt, a name that is taken, an owner, a line to serve) is None here and left to the general way, which
writes the very same for the rest.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import orjson

from bridge.domain.documents import (
    comparison_document,
    comparison_key,
    display_name,
    mappable_attributes,
    primary_email,
)
from bridge.domain.identifiers import ConnectionId, GroupId, MemberId, OrgId, new_id
from bridge.domain.roles import Role
from bridge.store.directory import mapping_set_in_force
from bridge.store.lane import Lane
from bridge.store.lane_rows import PersonRow
from bridge.store.pools import ladder_of, read_pools
from bridge.store.seals import frame
from bridge.store.unit import Unit
from bridge.usecases.alerts import SENTENCES
from bridge.usecases.assign_seats import Placement, seat_action
from bridge.usecases.provision_member import MAX_USER_NAME, PersonDraft
from mappings.allocation import NOTHING, Grant, Holding, Occasion, SeatDecision, SeatReason, deactivate, decide, wish
from mappings.resolution import Entitlement, resolve
from mappings.rules import PersonFacts

_READ = "SELECT * FROM lane_person(%s, %s, %s, %s, %s)"
_CREATE = f"SELECT * FROM lane_create_person({', '.join(['%s'] * 29)})"  # noqa: S608 (placeholders only)
_UPDATE = f"SELECT * FROM lane_update_person({', '.join(['%s'] * 29)})"  # noqa: S608 (placeholders only)


@dataclass(frozen=True, slots=True)
class Rules:
    """What a process remembers of the organization behind a credential; each statement checks that it still holds."""

    org_id: OrgId
    connection_id: ConnectionId
    placement: Placement
    schema_version: int

    @property
    def mapping_version(self) -> int:
        """The version of the mapping set."""
        return self.placement.mapping_set.version


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks in one request, and what seals the audit entries it causes.

    Args:
        token_hash: SHA-256 of the bearer token.
        slug: The organization that the path names.
        actor: The directory, as the audit writes it.
        pads: Inner and outer block of the audit key (:func:`~bridge.store.seals.hmac_pads`).
    """

    token_hash: bytes
    slug: str
    at: datetime
    actor: str
    request_id: str
    pads: tuple[bytes, bytes]


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


def read_rules(unit: Unit, connection_id: ConnectionId, schema_version: int) -> Rules:
    """Read what a process remembers of an organization."""
    ladder = ladder_of(read_pools(unit))
    placement = Placement(ladder=ladder, mapping_set=mapping_set_in_force(unit, ladder))
    return Rules(unit.org_id, connection_id, placement, schema_version)


def find_person(lane: Lane, caller: Caller, attribute: str, value: str) -> FoundPerson | Nobody | None:
    """Find a person by ``id``, ``userName`` (its comparison key) or ``externalId``.

    Returns:
        None when the general way has to answer.
    """
    row = lane.ask(_READ, (caller.token_hash, caller.at, caller.slug, attribute, value))
    if row is None:
        return None
    (org_id, connection_id, can_write, schema_version, *columns, reason, group_ids, group_names, inherited) = row
    if columns[0] is None:
        return Nobody(can_write)
    person = PersonRow(org_id, connection_id, *columns)
    groups = list(zip(group_ids or (), group_names or (), strict=True))
    around = frozenset(group_id for group_id, yes in zip(group_ids, inherited, strict=True) if yes) if inherited else ()
    return FoundPerson(person, groups, reason, can_write, frozenset(around), schema_version)


def take_in(lane: Lane, caller: Caller, rules: Rules, draft: PersonDraft) -> FoundPerson | None:
    """Take a new person of a directory in, with the seat that the rules say (rules A1 to A3).

    Returns:
        None when nothing was done and the general way has to answer.
    """
    if not draft.user_name.strip() or len(draft.user_name) > MAX_USER_NAME:
        return None
    document = draft.full_document()
    member_id, decision_id = MemberId(new_id()), new_id()
    email = primary_email(document)
    entitlement = _entitlement(rules, document, ())
    role, teams = (entitlement.role, list(entitlement.teams)) if draft.active else (None, [])
    outcomes = _arrivals(rules, entitlement) if draft.active else []
    entries = [_entry(caller, rules, member_id, "member.created", "scim")]
    if teams:
        entries.append(_entry(caller, rules, member_id, "member.teams_changed", "mapping", body={"teams": teams}))
    if role is not None:
        body = {"from": str(Role.MEMBER), "to": role}
        entries.append(_entry(caller, rules, member_id, "member.role_changed", "mapping", body=body))
    person = PersonRow(
        org_id=rules.org_id,
        connection_id=rules.connection_id,
        id=member_id,
        source="scim",
        role=role or str(Role.MEMBER),
        role_from_mapping=role is not None,
        teams=teams,
        user_name=draft.user_name,
        user_name_key=comparison_key(draft.user_name),
        external_id=draft.external_id,
        active=draft.active,
        document=document,
        version=1,
        created_at=caller.at,
        modified_at=caller.at,
        tier=None,
        granted_by=None,
        pinned=False,
        waiting_for=None,
        decision_id=None,
    )
    row = lane.write(
        _CREATE,
        (
            *_known(caller, rules),
            member_id,
            person.user_name,
            person.user_name_key,
            person.external_id,
            display_name(document),
            email,
            comparison_key(email) if email else None,
            person.active,
            person.role,
            person.role_from_mapping,
            _json(teams),
            _json(document),
            _json(comparison_document(document)),
            caller.actor,
            caller.request_id,
            *caller.pads,
            _json(entries),
            _json({"id": str(decision_id), **_decision(rules, entitlement, Occasion.ARRIVED, groups=())}),
            _json([_outcome(caller, rules, member_id, outcome) for outcome in outcomes]),
        ),
    )
    return None if row is None else _settled(person, (), outcomes, row[0], decision_id)


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
    updated = _entry(caller, rules, person.id, "member.updated", "directory", body={"attributes": changed})
    email = primary_email(document)
    row = lane.write(
        _UPDATE,
        (
            *_known(caller, rules),
            person.id,
            person.version,
            person.decision_id,
            person.role,
            [f"{group_id} {name}" for group_id, name in sorted(found.groups)],
            display_name(document),
            email,
            comparison_key(email) if email else None,
            draft.active,
            _json(document),
            _json(comparison_document(document)),
            caller.actor,
            caller.request_id,
            *caller.pads,
            _json([updated, *turn.before]),
            turn.release,
            _json({"id": str(decision_id), **turn.record}),
            _json([_outcome(caller, rules, person.id, outcome) for outcome in turn.outcomes]),
            _json(turn.after),
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
    if draft.active == person.active:
        if not draft.active or not _facts_differ(person, document):
            return _Turn()
        return None if _needs_settling(rules, person, _entitlement(rules, document, groups)) else _Turn()
    if draft.active:
        entitlement = _entitlement(rules, document, groups)
        if _access_differs(person, entitlement):
            return None
        return _Turn(
            outcomes=_arrivals(rules, entitlement),
            before=[_entry(caller, rules, person.id, "member.reactivated", "directory")],
            record=_decision(rules, entitlement, Occasion.ARRIVED, groups=sorted(groups)),
        )
    after = [_entry(caller, rules, person.id, "member.deactivated", "directory")]
    if person.tier is None:
        return _Turn(after=after)
    record = _decision(rules, None, SeatReason.DEACTIVATED, groups=groups) | {"from_tier": person.tier}
    return _Turn([deactivate(_holding(person))], person.tier, after=after, record=record)


def _facts_differ(person: PersonRow, document: dict[str, Any]) -> bool:
    """Tell whether rules may give something else for the new document: without new facts all stays as it was settled.

    Who waits is served when a seat is free and not when they are looked at, so waiting is no new fact.
    """
    return mappable_attributes(document) != mappable_attributes(person.document)


def _needs_settling(rules: Rules, person: PersonRow, entitlement: Entitlement) -> bool:
    """Tell whether the rules now give a present person another seat, role or team than they have."""
    if _access_differs(person, entitlement):
        return True
    holding = _holding(person)
    placement = rules.placement
    wanted = wish(entitlement, holding, Occasion.REGROUPED, placement.ladder, placement.mapping_set.on_exhausted)
    return bool(wanted.tiers) or decide(wanted, None, holding).alters(holding)


def _access_differs(person: PersonRow, entitlement: Entitlement) -> bool:
    if list(entitlement.teams) != person.teams:
        return True
    role = entitlement.role or (Role.MEMBER if person.role_from_mapping else person.role)
    return bool(role != person.role or person.role_from_mapping != (entitlement.role is not None))


def _holding(person: PersonRow) -> Holding:
    granted_by = Grant(person.granted_by) if person.granted_by else None
    return Holding(person.tier, granted_by, person.pinned, person.waiting_for)


def _entitlement(rules: Rules, document: dict[str, Any], groups: Sequence[str]) -> Entitlement:
    facts = PersonFacts(groups=frozenset(groups), attributes=mappable_attributes(document))
    return resolve(facts, rules.placement.mapping_set, rules.placement.ladder)


def _arrivals(rules: Rules, entitlement: Entitlement) -> list[SeatDecision]:
    """Return what may become of somebody who arrives: best seat first, no seat last."""
    placement = rules.placement
    wanted = wish(entitlement, NOTHING, Occasion.ARRIVED, placement.ladder, placement.mapping_set.on_exhausted)
    return [decide(wanted, tier, NOTHING) for tier in (*wanted.tiers, None)]


def _known(caller: Caller, rules: Rules) -> tuple[Any, ...]:
    return (
        caller.token_hash,
        caller.at,
        caller.slug,
        rules.org_id,
        rules.connection_id,
        rules.mapping_version,
        rules.schema_version,
        list(rules.placement.ladder.keys),
    )


def _decision(rules: Rules, entitlement: Entitlement | None, occasion: str, *, groups: Sequence[str]) -> dict[str, Any]:
    """Return what every outcome's record has in common."""
    rule = entitlement.winning if entitlement else None
    return {
        "occasion": str(occasion),
        "from_tier": None,
        "groups": list(groups),
        "rule": {"key": rule.key, "about": str(rule.condition), "tier": rule.tier} if rule else None,
        "losing_rules": [losing.key for losing in entitlement.losing] if entitlement else [],
        "mapping_version": rules.mapping_version,
        "alert_id": str(new_id()),
        "alert_detail": SENTENCES["seats_exhausted"],
    }


def _outcome(caller: Caller, rules: Rules, member_id: MemberId, decision: SeatDecision) -> dict[str, Any]:
    body = {"from": decision.from_tier, "to": decision.tier, "waiting_for": decision.waiting_for}
    return {
        "tier": decision.tier,
        "granted_by": _grant(decision),
        "reason": str(decision.reason),
        "waiting_for": decision.waiting_for,
        "alert_tier": decision.alert_tier,
        "rejected": decision.rejected,
        "entry": _entry(caller, rules, member_id, seat_action(decision), str(decision.reason), body=body),
    }


def _grant(decision: SeatDecision) -> str | None:
    return str(decision.granted_by) if decision.granted_by and decision.tier else None


def _entry(
    caller: Caller,
    rules: Rules,
    member_id: MemberId,
    action: str,
    reason: str,
    *,
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    framed = frame(
        org_id=rules.org_id,
        at=caller.at,
        actor=caller.actor,
        action=action,
        subject_kind="member",
        subject_id=str(member_id),
        reason=reason,
        request_id=caller.request_id,
        body=body or {},
    )
    return {
        "action": action,
        "reason": reason,
        "body": body or {},
        "before": framed.before,
        "behind": framed.behind,
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
    person.tier, person.granted_by, person.waiting_for = taken.tier, _grant(taken), taken.waiting_for
    person.decision_id = decision_id
    return FoundPerson(person, groups, str(taken.reason), can_write=True)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
