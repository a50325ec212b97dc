"""People arriving, changing and leaving: one way in for SCIM, sign-in (JIT), import and by hand (T16)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from sqlalchemy import Uuid, any_, delete, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert

from bridge.domain.actors import ActorKind
from bridge.domain.brake import HeldEffect, Outcome
from bridge.domain.documents import (
    comparison_document,
    comparison_key,
    display_name,
    mappable_attributes,
    primary_email,
)
from bridge.domain.identifiers import ConnectionId, MemberId, new_id
from bridge.domain.roles import Permission, Role
from bridge.errors import AdoptionRefusedError, InvalidInputError, UniquenessError
from bridge.store.departed import find_departed, give_up_name, put_aside, take_back
from bridge.store.directory import (
    find_member_by_external_id,
    find_member_by_user_name,
    get_member,
    manual_connection,
)
from bridge.store.journal import Entry, record, record_many
from bridge.store.models import Group, GroupMember, Member, ParkedMember
from bridge.store.pools import ladder_of, read_pools
from bridge.store.teams import end_stays
from bridge.store.unit import Unit
from bridge.usecases.alerts import raise_alert
from bridge.usecases.assign_seats import (
    free_seat,
    place_member,
    read_placement,
    settle_seat,
)
from bridge.usecases.brake import forget_limit, held_effect, hold_people, is_braked, let_off, lets_through
from bridge.usecases.manage_access import deactivate_member, reactivate_member, revoke_tokens
from bridge.usecases.move_line import give_on, offer_free
from bridge.usecases.provisional import is_unconfirmed, let_off_unconfirmed, provisional_until
from bridge.usecases.reevaluate import reevaluate
from bridge.usecases.removed_people import forget_removed, remember_removed
from bridge.usecases.same_person import forget_links, is_addressed_alike, is_named_alike
from bridge.usecases.sessions import end_sign_ins
from bridge.usecases.sync_groups import sync_claimed_groups
from mappings.allocation import Occasion
from mappings.rules import comparison_key as rule_key
from mappings.tiers import UNASSIGNED

MAX_USER_NAME = 255
MAX_DISPLAY_NAME = 1024


class Source(StrEnum):
    """How a person came in."""

    SCIM = "scim"
    JIT = "jit"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class PersonDraft:
    """A person as a directory, a sign-in or an admin describes them.

    Args:
        document: SCIM attributes (RFC 7643 §4.1) without ``id``, ``meta``, ``groups``, ``userName``, ``externalId`` and
            ``active``: those have their own fields here and win.
    """

    user_name: str
    external_id: str | None = None
    active: bool = True
    document: dict[str, Any] = field(default_factory=dict)

    def full_document(self) -> dict[str, Any]:
        """Return the document as it is stored, with the fields that have their own columns."""
        full = {**self.document, "userName": self.user_name, "active": self.active}
        if self.external_id is not None:
            full["externalId"] = self.external_id
        return full


def provision_member(
    unit: Unit,
    connection_id: ConnectionId,
    draft: PersonDraft,
    source: Source,
    *,
    claimed_groups: tuple[str, ...] = (),
    member_id: MemberId | None = None,
) -> Member:
    """Take a new person in and give them the seat that the rules say.

    Provisioning never fails for want of a seat, and buys one within an owner's budget at most (rule A3). A person who
    is here already and whom no directory manages (signed in before the push, or added by hand inside a verified domain)
    is adopted: same id, same seat, now managed by the directory.

    Args:
        unit: The unit.
        connection_id: The directory the person belongs to.
        draft: Who.
        source: How they came.
        claimed_groups: Names of groups that a sign-in asserted: the person is in them from the beginning.
        member_id: A new person's id, for a rehearsal that must come out the same each time; random by default.

    Raises:
        UniquenessError: Another member of the directory has this userName or externalId.
        AdoptionRefusedError: A person of this name or address is here by hand, or signed in under another name, outside
            the verified domains; owners are alerted.
    """
    unit.lock()
    user_name_key = checked_user_name(draft.user_name)
    present = find_member_by_user_name(unit, connection_id, user_name_key)
    if present is None and source is Source.SCIM:
        departed = find_departed(unit, connection_id, user_name_key, draft.external_id)
        if departed is not None:
            return _bring_back(unit, departed, connection_id, draft)
    if present is None and source is not Source.MANUAL:
        present = _unmanaged_namesake(unit, connection_id, draft)
    if present is not None:
        return _adopt(unit, present, connection_id, draft, source)
    _check_external_id(unit, connection_id, draft.external_id)
    if source is Source.SCIM:
        forget_removed(unit, connection_id, draft.user_name, draft.external_id)
    until = provisional_until(unit, connection_id) if source is Source.JIT else None
    member = build_member(unit, connection_id, draft, source, member_id=member_id)
    member.provisional_until = until
    unit.session.add(member)
    record(
        unit,
        "member.created",
        subject_kind="member",
        subject_id=member.id,
        reason=str(source),
        body={"provisional_until": until.isoformat()} if until is not None else {},
    )
    adopt_parked(unit, member)
    if claimed_groups:
        sync_claimed_groups(unit, connection_id, member, claimed_groups)
    if member.active and source is not Source.MANUAL:
        settle_seat(unit, member, Occasion.ARRIVED)
    return member


def build_member(
    unit: Unit, connection_id: ConnectionId, draft: PersonDraft, source: Source, *, member_id: MemberId | None = None
) -> Member:
    """Make the record of a new person, next in the order of arrival; what says that they may come is the caller's.

    Raises:
        InvalidInputError: It cannot be a userName.
    """
    user_name_key = checked_user_name(draft.user_name)
    state = unit.lock()
    state.member_position += 1
    document = draft.full_document()
    email = primary_email(document)
    return Member(
        org_id=unit.org_id,
        id=member_id or MemberId(new_id()),
        connection_id=connection_id,
        source=str(source),
        position=state.member_position,
        user_name=draft.user_name,
        user_name_key=user_name_key,
        external_id=draft.external_id,
        display_name=display_name(document),
        email=email,
        email_key=comparison_key(email) if email else None,
        active=draft.active,
        role=str(Role.MEMBER),
        role_from_mapping=False,
        teams=[],
        document=document,
        comparison=comparison_document(document),
        version=1,
        created_at=unit.at,
        modified_at=unit.at,
        tier=None,
        granted_by=None,
        pinned=False,
        waiting_for=None,
        waiting_since=None,
        waited_from=None,
        decision_id=None,
        provisional_until=None,
    )


def adopt_member(unit: Unit, member: Member, connection_id: ConnectionId, draft: PersonDraft) -> Member:
    """Let a directory take over a person it names by id, as if it pushed them anew.

    Args:
        unit: The unit.
        member: A person whom no directory manages.
        connection_id: The directory.
        draft: Who they are there; it must have the person's name or address.

    Raises:
        UniquenessError: Another member of the directory has this userName or externalId.
        AdoptionRefusedError: Outside the verified domains, or the draft is of somebody else; owners are alerted.
    """
    unit.lock()
    key = checked_user_name(draft.user_name)
    other = find_member_by_user_name(unit, connection_id, key)
    if other is not None and other.id != member.id:
        raise UniquenessError(attribute="userName", value=draft.user_name, taken_by=str(other.id))
    return _adopt(unit, member, connection_id, draft, Source.SCIM)


def checked_user_name(user_name: str) -> str:
    """Return the comparison key of a userName; refuse a blank one (RFC 7643 §4.1.1)."""
    if not user_name.strip():
        raise InvalidInputError("userName", "must not be empty")
    if len(user_name) > MAX_USER_NAME:
        raise InvalidInputError("userName", f"must not be longer than {MAX_USER_NAME} characters")
    return comparison_key(user_name)


def _unmanaged_namesake(unit: Unit, connection_id: ConnectionId, draft: PersonDraft) -> Member | None:
    """Return a person of the same name or address whom no directory manages: added by hand, or signed in here."""
    email = primary_email(draft.document)
    keys = {comparison_key(draft.user_name)} | ({comparison_key(email)} if email else set())
    manual = manual_connection(unit)
    return unit.session.scalars(
        select(Member)
        .where(
            Member.org_id == unit.org_id,
            (Member.connection_id == manual.id)
            | ((Member.connection_id == connection_id) & (Member.source == Source.JIT)),
            Member.user_name_key.in_(keys) | Member.email_key.in_(keys),
        )
        .order_by(Member.position)
        .limit(1)
    ).one_or_none()


def _adopt(unit: Unit, member: Member, connection_id: ConnectionId, draft: PersonDraft, source: Source) -> Member:
    """Let a directory take over a person whom none manages yet; refuse anybody else as taken.

    Nobody is turned on again by it.
    """
    if source is not Source.SCIM or member.source == Source.SCIM:
        raise UniquenessError(attribute="userName", value=draft.user_name, taken_by=str(member.id))
    draft = _take_over(unit, member, connection_id, draft)
    _check_external_id(unit, connection_id, draft.external_id, but=member.id)
    member.external_id = draft.external_id
    unit.session.flush()
    adopt_parked(unit, member)
    was_on = member.active
    update_member(unit, member, draft, settle=False)
    if was_on and member.active:
        # Rules may speak of the people of this directory only.
        reevaluate(unit, [member.id])
    return member


def _bring_back(unit: Unit, member: Member, connection_id: ConnectionId, draft: PersonDraft) -> Member:
    """Give somebody back to the directory that had deleted them and pushes them anew: nothing has happened to them.

    The seat stays until their groups, which a directory sends afterwards, say something of it.
    """
    _check_external_id(unit, connection_id, draft.external_id, but=member.id)
    let_off(unit, [member.id], Outcome.REVERSED)
    take_back(unit, member, connection_id)
    unit.session.flush()
    record(unit, "member.pushed_again", subject_kind="member", subject_id=member.id, reason="directory")
    adopt_parked(unit, member)
    update_member(unit, member, draft, settle=False)
    offer_free(unit)
    return member


def update_member(
    unit: Unit, member: Member, draft: PersonDraft, *, settle: bool = True, reason: str = "directory"
) -> bool:
    """Write what a directory says of a person now.

    Version and lastModified move only when something really changed. An owner is neither renamed nor turned off by a
    directory, nor given another mail address: the rest is applied and an alert raised (T11). Whom a directory pushes
    an update of is that directory's from then on, however they first came.

    Args:
        unit: The unit.
        member: Whom.
        draft: What is said of them.
        settle: Look at the seat again; a caller that does so for many people together says no. Who is turned on or off
            is placed, or loses the seat, in any case.
        reason: What the audit says of why.

    Returns:
        Whether anything changed.

    Raises:
        UniquenessError: Another member of the directory has the new userName or externalId.
    """
    unit.lock()
    was_from = member.source
    if Role(member.role).is_owner:
        draft = _spare_owner(unit, member, draft)
    if member.source == Source.JIT and unit.actor.kind is ActorKind.DIRECTORY:
        draft = _take_over(unit, member, member.connection_id, draft)
    document = draft.full_document()
    was_on = member.is_on if is_braked(unit) else member.active
    if document == member.document and draft.external_id == member.external_id and draft.active == was_on:
        return False
    user_name_key = checked_user_name(draft.user_name)
    _check_user_name(unit, member, draft.user_name, user_name_key)
    _check_external_id(unit, member.connection_id, draft.external_id, but=member.id)
    if user_name_key != member.user_name_key:
        # The name was somebody's NameID: under a new name that sign-in is not this person any more (T14).
        forget_links(unit, member, named=member.user_name_key)
        _take_name(unit, member, user_name_key)
        member.user_name_key = user_name_key
    is_renamed = draft.external_id not in {None, member.external_id}
    facts_before = mappable_attributes(member.document)
    changed = write_person(unit, member, draft)
    unit.session.flush()
    record(
        unit,
        "member.updated",
        subject_kind="member",
        subject_id=member.id,
        reason=reason,
        body={"attributes": changed},
    )
    if is_renamed:
        adopt_parked(unit, member)
    if draft.active != was_on:
        turn = _turn_on if draft.active else _turn_off
        turn(unit, member, reason)
    elif (
        member.active
        and settle
        and (is_renamed or was_from != member.source or asks_for_change(unit, facts_before, member))
    ):
        reevaluate(unit, [member.id])
    return True


def _take_name(unit: Unit, member: Member, user_name_key: str) -> None:
    """Let a name be this person's alone, of which somebody who is aside was known so far, and signed in (T14)."""
    if unit.lock().has_departed:
        for member_id in give_up_name(unit, ConnectionId(member.connection_id), user_name_key):
            forget_links(unit, get_member(unit, member_id), named=user_name_key)


def asks_for_change(unit: Unit, before: Mapping[str, str | tuple[str, ...]], member: Member) -> bool:
    """Tell whether an attribute that some rule asks for is other than before: else the seat stays as it was settled.

    A hold that was dropped stays dropped by it, until the directory says something that rules look at.
    """
    after = mappable_attributes(member.document)
    differ = {rule_key(name) for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    return bool(differ) and not differ.isdisjoint(read_placement(unit).mapping_set.attributes)


def _turn_on(unit: Unit, member: Member, reason: str) -> None:
    """Turn access on, or take back that it was to be turned off."""
    held = held_effect(unit, member)
    member.said_off = False
    if not member.active:
        reactivate_member(unit, member, reason=reason)
        return
    if held is HeldEffect.TURN_OFF:
        let_off(unit, [member.id], Outcome.REVERSED)
        offer_free(unit)
    reevaluate(unit, [member.id])


def _turn_off(unit: Unit, member: Member, reason: str) -> None:
    """Turn access off and give the seat on, unless the brake holds that."""
    if lets_through(unit, 1):
        give_on(unit, [deactivate_member(unit, member, reason=reason)])
        return
    member.said_off = True
    hold_people(unit, [member.id], HeldEffect.TURN_OFF)


def write_person(unit: Unit, member: Member, draft: PersonDraft) -> list[str]:
    """Write what is said of a person into their record, but for the comparison key and whether they are active.

    Returns:
        The names of the attributes that are other than before.
    """
    document, before = draft.full_document(), member.document
    email = primary_email(document)
    member.user_name = draft.user_name
    member.external_id = draft.external_id
    member.display_name = display_name(document)
    member.email, member.email_key = email, comparison_key(email) if email else None
    member.document, member.comparison = document, comparison_document(document)
    member.version += 1
    member.modified_at = unit.at
    return sorted(name for name in {*document, *before} if document.get(name) != before.get(name))


def _take_over(unit: Unit, member: Member, connection_id: ConnectionId, draft: PersonDraft) -> PersonDraft:
    """Make a person the directory's, if its userName proves who they are; return what it may say of them.

    Where only an address says so, the sign-ins they came by are forgotten, their tokens too (T14). Whom somebody here
    turned off stays off, and the owners are told; whose access ended because no directory had named them has it again.

    Raises:
        AdoptionRefusedError: Nothing proves that it is this person.
    """
    key = checked_user_name(draft.user_name)
    if not is_named_alike(unit, member, connection_id, key):
        if not is_addressed_alike(unit, member, connection_id, key):
            raise AdoptionRefusedError(value=draft.user_name, taken_by=str(member.id), member_id=member.id)
        if member.source == Source.JIT:
            forget_links(unit, member)
            end_sign_ins(unit, [member.id], reason="adopted")
            revoke_tokens(unit, [member.id])
    came_from, provisional, late = member.source, member.provisional_until is not None, is_unconfirmed(member)
    member.connection_id, member.source, member.provisional_until = connection_id, str(Source.SCIM), None
    let_off_unconfirmed(unit, member, Outcome.REVERSED)
    confirms = {"confirms": "too_late" if late else "in_time"} if provisional else {}
    record(unit, "member.adopted", subject_kind="member", subject_id=member.id, reason=came_from, body=confirms)
    if draft.active and not member.active and not late:
        raise_alert(unit, "adopted_turned_off", member_id=member.id)
        return replace(draft, active=False)
    return draft


def _spare_owner(unit: Unit, member: Member, draft: PersonDraft) -> PersonDraft:
    """Leave an owner's name, access and addresses as they are, whatever a directory says (T11)."""
    if not draft.active or checked_user_name(draft.user_name) != member.user_name_key:
        raise_alert(unit, "owner_protected", member_id=member.id)
        draft = replace(draft, active=True, user_name=member.user_name)
    return replace(draft, document=_with_emails_of(member, draft.document))


def _with_emails_of(member: Member, document: dict[str, Any]) -> dict[str, Any]:
    """Keep an owner's own addresses: alerts, invoices and the emergency sign-in go there."""
    kept = {name: value for name, value in document.items() if name != "emails"}
    return {**kept, "emails": member.document["emails"]} if "emails" in member.document else kept


def remove_member(unit: Unit, member: Member, *, reason: str = "directory") -> bool:
    """Remove a person: the seat is freed, teams, memberships, identities and sessions go (rule C1: no credit).

    An owner stays, and an alert is raised (T11). The audit and the decisions stay, without a name.

    Returns:
        Whether the person was removed.
    """
    unit.lock()
    if Role(member.role).is_owner:
        raise_alert(unit, "owner_protected", member_id=member.id)
        return False
    is_pending = held_effect(unit, member) is HeldEffect.TURN_OFF
    if member.active and is_braked(unit) and (is_pending or not lets_through(unit, 1)):
        hold_removal(unit, member)
        return True
    freed = free_seat(unit, member)
    remove_people(unit, [member], reason=reason)
    give_on(unit, [freed])
    return True


def hold_removal(unit: Unit, member: Member) -> None:
    """Take somebody out of their directory and its groups, and leave everything else until an owner decides."""
    connection_id = member.connection_id
    record(unit, "member.removal_held", subject_kind="member", subject_id=member.id, reason="directory")
    unit.session.execute(
        delete(GroupMember).where(GroupMember.org_id == unit.org_id, GroupMember.member_id == member.id)
    )
    put_aside(unit, member, connection_id)
    hold_people(unit, [member.id], HeldEffect.REMOVE)


def remove_people(unit: Unit, members: Sequence[Member], *, reason: str) -> None:
    """Remove people whose seats are free already: teams, memberships, identities and sessions go."""
    ids = [member.id for member in members]
    remember_removed(unit, members)
    end_stays(unit, members, reason=reason, removed=True)
    end_sign_ins(unit, ids, reason=reason)
    record_many(unit, [Entry("member.removed", "member", member_id, reason) for member_id in ids])
    if not is_braked(unit):
        forget_limit(unit)
    held = [member.id for member in members if member.hold_id is not None]
    if held:
        let_off(unit, held, Outcome.APPLIED if is_braked(unit) else Outcome.BY_HAND)
    unit.session.flush()
    gone = any_(literal(ids, ARRAY(Uuid)))
    unit.session.execute(delete(GroupMember).where(GroupMember.org_id == unit.org_id, GroupMember.member_id == gone))
    unit.session.execute(
        delete(Member)
        .where(Member.org_id == unit.org_id, Member.id == gone)
        .execution_options(synchronize_session="fetch")
    )
    unit.session.flush()


def check_display_name(draft: PersonDraft) -> None:
    """Refuse a name that no page or line of output could show, of somebody whom people here describe.

    Raises:
        InvalidInputError: It is too long, or has a tab, a line break or another character that cannot be printed.
    """
    name = display_name(draft.full_document())
    if len(name) > MAX_DISPLAY_NAME:
        raise InvalidInputError("displayName", f"must not be longer than {MAX_DISPLAY_NAME} characters")
    if not name.isprintable():
        raise InvalidInputError("displayName", "must have printable characters only: no tab, no line break")


def check_user_name_is_new(unit: Unit, user_name: str) -> None:
    """Refuse the userName of somebody who is here already, whichever directory they came from.

    Raises:
        InvalidInputError: It cannot be a userName.
        UniquenessError: It is taken.
    """
    taken_by = unit.session.scalars(
        select(Member.display_name)
        .where(Member.org_id == unit.org_id, Member.user_name_key == checked_user_name(user_name))
        .limit(1)
    ).first()
    if taken_by is not None:
        raise UniquenessError(attribute="userName", value=user_name, taken_by=taken_by)


def add_member(
    unit: Unit,
    draft: PersonDraft,
    *,
    tier: str | None,
    buy_if_needed: bool = False,
    key: str | None = None,
    member_id: MemberId | None = None,
) -> Member:
    """Add a person by hand.

    Args:
        unit: The unit.
        draft: Who.
        tier: Their tier, ``unassigned``, or None for what the rules give.
        buy_if_needed: Buy a seat when none of the tier is free (rule Q6); needs an owner.
        key: Business key of the purchase.
        member_id: As for :func:`provision_member`.

    Raises:
        ForbiddenError: The actor may not manage people, or not buy seats.
        NoSeatAvailableError: No seat of the tier is free; the person is not added (rule S5).
        UniquenessError: The userName is taken.
    """
    unit.require(Permission.MANAGE_PEOPLE)
    unit.lock()
    check_display_name(draft)
    if not draft.user_name.isprintable():
        raise InvalidInputError("userName", "must have printable characters only")
    check_user_name_is_new(unit, draft.user_name)
    member = provision_member(unit, manual_connection(unit).id, draft, Source.MANUAL, member_id=member_id)
    if tier is None:
        settle_seat(unit, member, Occasion.ARRIVED)
    else:
        target = None if tier == UNASSIGNED else tier
        if target is not None and target not in ladder_of(read_pools(unit)):
            raise InvalidInputError("tier", f"there is no tier {tier!r}")
        place_member(unit, member, target, buy_if_needed=buy_if_needed, key=key)
    return member


def _check_user_name(unit: Unit, member: Member, user_name: str, key: str) -> None:
    if key == member.user_name_key:
        return
    other = find_member_by_user_name(unit, member.connection_id, key)
    if other is not None and other.id != member.id:
        raise UniquenessError(attribute="userName", value=user_name, taken_by=str(other.id))


def _check_external_id(
    unit: Unit, connection_id: ConnectionId, external_id: str | None, *, but: MemberId | None = None
) -> None:
    if external_id is None:
        return
    other = find_member_by_external_id(unit, connection_id, external_id)
    if other is not None and other.id != but:
        raise UniquenessError(attribute="externalId", value=external_id, taken_by=str(other.id))


def adopt_parked(unit: Unit, member: Member) -> None:
    """Put a person into the groups of their own directory that named them before they arrived, or had that name.

    The directory's own name for the person (externalId) counts in that directory's groups only: it is nobody's key
    anywhere else (T5).
    """
    values = [str(member.id)] + ([member.external_id] if member.external_id else [])
    own = select(Group.id).where(Group.org_id == unit.org_id, Group.connection_id == member.connection_id)
    groups = set(
        unit.session.scalars(
            delete(ParkedMember)
            .where(ParkedMember.org_id == unit.org_id, ParkedMember.value.in_(values), ParkedMember.group_id.in_(own))
            .returning(ParkedMember.group_id)
        )
    )
    for group_id in sorted(groups):
        unit.session.execute(
            insert(GroupMember)
            .values(org_id=unit.org_id, group_id=group_id, member_id=member.id, added_at=unit.at)
            .on_conflict_do_nothing()
        )
        record(
            unit,
            "group.members_changed",
            subject_kind="group",
            subject_id=group_id,
            reason="arrived",
            body={"added": [str(member.id)], "removed": []},
        )
    if groups:
        unit.session.execute(
            update(Group)
            .where(Group.org_id == unit.org_id, Group.id.in_(groups))
            .values(version=Group.version + 1, modified_at=unit.at)
        )
        unit.session.flush()
