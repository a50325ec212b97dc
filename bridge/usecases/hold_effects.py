"""What a release and a drop do to the people under a hold."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Uuid, any_, func, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from bridge.domain.brake import HeldEffect, Outcome
from bridge.domain.identifiers import MemberId
from bridge.domain.roles import Role
from bridge.store.departed import note_departed
from bridge.store.models import AuditEntry, HeldPerson, Hold, MappingVersion, Member
from bridge.store.unit import Unit
from bridge.usecases.alerts import raise_alert
from bridge.usecases.assign_seats import holding_of, read_placement
from bridge.usecases.brake import settle_held
from bridge.usecases.manage_access import end_access
from bridge.usecases.mapping_versions import VersionReason
from bridge.usecases.move_line import promote_together
from bridge.usecases.provision_member import remove_people
from bridge.usecases.provisional import keep_member
from bridge.usecases.reevaluate import settle_together
from bridge.usecases.settle_many import settle_many
from mappings.allocation import Holding, Occasion, SeatReason, deactivate
from mappings.preview import MovesPreview, Settlement
from mappings.rules import PersonFacts

_REASON = "brake_released"
#: Of whom access ends and everything else stays.
_ENDING = frozenset({HeldEffect.TURN_OFF, HeldEffect.UNCONFIRMED})


@dataclass(frozen=True, slots=True)
class HeldPeople:
    """Who is under a hold, by what is done to them when it is released; nothing is done to owners who were to leave."""

    off: tuple[MemberId, ...]
    gone: tuple[MemberId, ...]
    reseat: tuple[MemberId, ...]
    owners: tuple[MemberId, ...]

    @property
    def number(self) -> int:
        """Return how many people something is done to."""
        return len(self.off) + len(self.gone) + len(self.reseat)


def release_people(unit: Unit, hold: Hold) -> HeldPeople:
    """Do to everybody what is held for them: leavers first, then who waits, then those whose groups changed."""
    held = _gather(unit, hold)
    settle_held(unit, held.owners, Outcome.OWNER)
    settle_held(unit, (*held.off, *held.gone, *held.reseat), Outcome.RELEASED)
    for member_id in held.owners:
        raise_alert(unit, "owner_protected", member_id=member_id)
    _let_go(unit, held.off, held.gone)
    placement = read_placement(unit)
    promote_together(unit, placement)
    if held.reseat:
        settle_together(unit, held.reseat, placement)
        promote_together(unit, placement)
    return held


def keep_people(unit: Unit, hold: Hold) -> None:
    """Let everybody out of a hold as they are, then do what has passed them by: changed rules, and free seats.

    Changed rules reach those who were to leave or to move up: of the others' groups the directory has said something
    that is not to count. Who was not to move up is let out last, when the seats that are free have been given on.
    """
    passed_by = _held_before_the_rules(unit, hold)
    last = {HeldEffect.PROMOTE}
    for effects in (set(HeldEffect) - last, last):
        ids = ids_under(unit, hold, effects)
        behind = passed_by.intersection(ids_under(unit, hold, effects & (_ENDING | last)))
        unconfirmed = ids_under(unit, hold, effects & {HeldEffect.UNCONFIRMED})
        settle_held(unit, ids, Outcome.DROPPED)
        for member in _members(unit, unconfirmed):
            keep_member(unit, member, reason="brake_dropped")
        placement = read_placement(unit)
        if unconfirmed:
            settle_together(unit, unconfirmed, placement)
        if behind:
            settle_together(unit, behind, placement, occasion=Occasion.REMAPPED)
        if effects != last:
            promote_together(unit, placement)


def _held_before_the_rules(unit: Unit, hold: Hold) -> set[MemberId]:
    """Return who came under a hold before somebody here last changed the rules: by the audit, which is in order."""
    changed = unit.session.scalar(
        select(func.max(MappingVersion.version)).where(
            MappingVersion.org_id == unit.org_id,
            MappingVersion.reason.in_([VersionReason.EDITED, VersionReason.ROLLED_BACK]),
        )
    )
    if changed is None:
        return set()
    applied = select(AuditEntry.seq).where(
        AuditEntry.org_id == unit.org_id,
        AuditEntry.action == "mapping.applied",
        AuditEntry.subject_id == str(changed),
    )
    bodies = unit.session.scalars(
        select(AuditEntry.body).where(
            AuditEntry.org_id == unit.org_id,
            AuditEntry.action == "brake.held",
            AuditEntry.subject_id == str(hold.id),
            AuditEntry.seq < applied.scalar_subquery(),
        )
    )
    return {MemberId(uuid.UUID(one)) for body in bodies for one in body["members"]}


def ids_under(unit: Unit, hold: Hold, effects: Collection[HeldEffect] = tuple(HeldEffect)) -> Sequence[MemberId]:
    """Return who is under a hold for one of these effects."""
    return unit.session.scalars(
        select(HeldPerson.member_id).where(
            HeldPerson.org_id == unit.org_id,
            HeldPerson.hold_id == hold.id,
            HeldPerson.outcome.is_(None),
            HeldPerson.effect.in_(effects),
        )
    ).all()


def _gather(unit: Unit, hold: Hold) -> HeldPeople:
    rows = unit.session.execute(
        select(HeldPerson.member_id, HeldPerson.effect, Member.role)
        .join(Member, (Member.org_id == HeldPerson.org_id) & (Member.id == HeldPerson.member_id))
        .where(HeldPerson.org_id == unit.org_id, HeldPerson.hold_id == hold.id, HeldPerson.outcome.is_(None))
        .order_by(HeldPerson.member_id)
    ).all()
    leaving = _ENDING | {HeldEffect.REMOVE}
    spared = {row.member_id for row in rows if Role(row.role).is_owner and row.effect in leaving}

    def with_effect(*effects: HeldEffect) -> tuple[MemberId, ...]:
        return tuple(row.member_id for row in rows if row.effect in effects and row.member_id not in spared)

    return HeldPeople(
        off=with_effect(*_ENDING),
        gone=with_effect(HeldEffect.REMOVE),
        reseat=with_effect(HeldEffect.RESEAT, HeldEffect.PROMOTE),
        owners=tuple(sorted(spared)),
    )


def _let_go(unit: Unit, off: Collection[MemberId], gone: Collection[MemberId]) -> None:
    """Turn people off or remove them, by a number of statements that does not grow with them (rules K1 and C1)."""
    members = _members(unit, (*off, *gone))
    if not members:
        return
    _free_seats(unit, members)
    _turn_off(unit, off, reason=_REASON)
    if gone:
        remove_people(unit, _members(unit, gone), reason=_REASON)
        note_departed(unit)


def turn_off_people(unit: Unit, ids: Collection[MemberId], *, reason: str) -> None:
    """Turn many people off together: their seats are free afterwards, and given to nobody yet (rule K1)."""
    _free_seats(unit, _members(unit, ids))
    _turn_off(unit, ids, reason=reason)


def _turn_off(unit: Unit, ids: Collection[MemberId], *, reason: str) -> None:
    leaving = _members(unit, ids)
    unit.session.execute(
        update(Member)
        .where(Member.org_id == unit.org_id, Member.id == any_(literal(list(ids), ARRAY(Uuid))))
        .values(active=False, said_off=False)
        .execution_options(synchronize_session="fetch")
    )
    end_access(unit, [member for member in leaving if member.hold_id is None], reason=reason)


def _members(unit: Unit, ids: Collection[MemberId]) -> Sequence[Member]:
    return unit.session.scalars(
        select(Member)
        .where(Member.org_id == unit.org_id, Member.id == any_(literal(list(ids), ARRAY(Uuid))))
        .order_by(Member.id)
        .execution_options(populate_existing=True)
    ).all()


def _free_seats(unit: Unit, members: Sequence[Member]) -> None:
    alike: dict[Holding, list[MemberId]] = {}
    for member in members:
        holding = holding_of(member)
        if holding.tier is not None or holding.waiting_for is not None or holding.pinned:
            alike.setdefault(holding, []).append(member.id)
    settlements = tuple(
        Settlement(deactivate(holding), holding, PersonFacts(), None, tuple(ids), len(ids))
        for holding, ids in alike.items()
    )
    effect = MovesPreview((), (), (), {}, (), {}, 0, len(members), settlements)
    settle_many(unit, effect, read_placement(unit), SeatReason.DEACTIVATED, touched=())
