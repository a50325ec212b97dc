"""What the brake holds, in words and with names."""

import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from bridge.domain.brake import HeldEffect, HoldState, Outcome, Thresholds
from bridge.domain.identifiers import MemberId
from bridge.domain.roles import Permission
from bridge.errors import NotFoundError
from bridge.store.departed import departed_from
from bridge.store.models import Connection, Contract, HeldPerson, Hold, Member
from bridge.store.unit import Unit
from bridge.usecases.actors import name_actors
from bridge.usecases.brake import thresholds_of

#: What each effect is called behind the name of a directory, before that of a person.
DID: Mapping[HeldEffect, str] = {
    HeldEffect.TURN_OFF: "turned off",
    HeldEffect.REMOVE: "deleted",
    HeldEffect.RESEAT: "changed the groups or attributes of",
    HeldEffect.PROMOTE: "freed a seat for",
    HeldEffect.UNCONFIRMED: "had not named, by its time,",
}
#: What releasing does to a person.
WOULD: Mapping[HeldEffect, str] = {
    HeldEffect.TURN_OFF: "loses access",
    HeldEffect.REMOVE: "loses access and is removed",
    HeldEffect.RESEAT: "gets what the rules give now",
    HeldEffect.PROMOTE: "moves up in line",
    HeldEffect.UNCONFIRMED: "loses access, unconfirmed",
}


@dataclass(frozen=True, slots=True)
class HeldPersonView:
    """Somebody under a hold; the names are None when the person has been removed.

    Attributes:
        outcome: None while it is held.
    """

    member_id: MemberId
    display_name: str | None
    user_name: str | None
    tier: str | None
    effect: HeldEffect
    directory: str
    at: datetime
    request_id: str
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class HoldView:
    """A hold.

    Attributes:
        counted: Effects within the window when the brake tripped.
        people: How many are or were under it by effect; of a decided hold those whom the decision was about.
        revision: What a decision has to name, so that nobody decides about what they have not seen.
        decided_by: In words.
        bills_at: When the plan renews with the seats in use then (rule R7): a later release saves nothing until the
            next renewal. None where a plan bills otherwise, and of a decided hold.
    """

    id: uuid.UUID
    state: HoldState
    at: datetime
    directory: str
    request_id: str
    counted: int
    allowed: int
    window_minutes: int
    people: Mapping[HeldEffect, int]
    revision: int
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None
    bills_at: datetime | None

    @property
    def number(self) -> int:
        """Return how many people it is about."""
        return sum(self.people.values())

    @property
    def sentence(self) -> str:
        """Say what happened, ending with a full stop."""
        minutes = "1 minute" if self.window_minutes == 1 else f"{self.window_minutes} minutes"
        return (
            f"{self.directory} would have let go or moved {self.counted:,} people within {minutes}, "
            f"more than the {self.allowed:,} allowed."
        )

    @property
    def deadline(self) -> str | None:
        """Say by when a decision still counts for the next bill, ending with a full stop."""
        if self.bills_at is None:
            return None
        return (
            f"The plan renews on {self.bills_at:%Y-%m-%d at %H:%M} UTC with the seats in use then, also those of "
            "people who are held: decide before."
        )

    @property
    def effects(self) -> tuple[str, ...]:
        """Say what releasing it does, each for how many people; without a full stop."""
        words = {
            HeldEffect.TURN_OFF: ("1 person loses access", "{:,} people lose access"),
            HeldEffect.REMOVE: ("1 person loses access and is removed", "{:,} people lose access and are removed"),
            HeldEffect.RESEAT: ("1 person gets what the rules give now", "{:,} people get what the rules give now"),
            HeldEffect.PROMOTE: ("1 person moves up in line", "{:,} people move up in line"),
            HeldEffect.UNCONFIRMED: (
                "1 person whom the directory never named loses access",
                "{:,} people whom the directory never named lose access",
            ),
        }
        return tuple(
            words[effect][0] if number == 1 else words[effect][1].format(number)
            for effect in HeldEffect
            if (number := self.people.get(effect, 0))
        )


def read_thresholds(unit: Unit) -> Thresholds:
    """Return what trips the brake.

    Raises:
        ForbiddenError: The actor may not open the console.
    """
    unit.require(Permission.SEE_CONSOLE)
    return thresholds_of(unit.state())


def open_holds(unit: Unit) -> list[HoldView]:
    """Return what waits for a decision: one hold at most.

    Raises:
        ForbiddenError: The actor may not open the console.
    """
    return [view for view in list_holds(unit, limit=1) if view.state is HoldState.OPEN]


def list_holds(unit: Unit, *, limit: int = 50) -> list[HoldView]:
    """Return the holds, an open one first, then the newest first.

    Raises:
        ForbiddenError: The actor may not open the console.
    """
    unit.require(Permission.SEE_CONSOLE)
    holds = unit.session.scalars(
        select(Hold)
        .where(Hold.org_id == unit.org_id)
        .order_by((Hold.state == HoldState.OPEN).desc(), Hold.at.desc(), Hold.id)
        .limit(limit)
    ).all()
    return [_view(unit, hold) for hold in holds]


def read_hold(unit: Unit, hold_id: uuid.UUID) -> HoldView:
    """Return one hold.

    Raises:
        ForbiddenError: The actor may not open the console.
        NotFoundError: There is no such hold here.
    """
    unit.require(Permission.SEE_CONSOLE)
    return _view(unit, get_hold(unit, hold_id))


def get_hold(unit: Unit, hold_id: uuid.UUID) -> Hold:
    """Return a hold as the database has it now.

    Raises:
        NotFoundError: There is no such hold here.
    """
    hold = unit.session.get(Hold, (unit.org_id, hold_id), populate_existing=True)
    if hold is None:
        raise NotFoundError("hold", str(hold_id))
    return hold


def held_people(unit: Unit, hold_id: uuid.UUID, *, limit: int | None = None) -> list[HeldPersonView]:
    """Return the people of a hold by name, those who are still under it first.

    Raises:
        ForbiddenError: The actor may not open the console.
    """
    unit.require(Permission.SEE_CONSOLE)
    rows = unit.session.execute(
        select(HeldPerson, Member.display_name, Member.user_name, Member.tier, Connection.name)
        .outerjoin(Member, (Member.org_id == HeldPerson.org_id) & (Member.id == HeldPerson.member_id))
        .join(Connection, (Connection.org_id == HeldPerson.org_id) & (Connection.id == HeldPerson.connection_id))
        .where(HeldPerson.org_id == unit.org_id, HeldPerson.hold_id == hold_id)
        .order_by(HeldPerson.outcome.is_not(None), Member.display_name, HeldPerson.member_id)
        .limit(limit)
        .execution_options(populate_existing=True)
    )
    return [
        HeldPersonView(
            member_id=held.member_id,
            display_name=display_name,
            user_name=user_name,
            tier=tier,
            effect=HeldEffect(held.effect),
            directory=directory,
            at=held.at,
            request_id=held.request_id,
            outcome=None if held.outcome is None else Outcome(held.outcome),
        )
        for held, display_name, user_name, tier, directory in rows
    ]


def hold_of_request(unit: Unit, request_id: str) -> uuid.UUID | None:
    """Return the hold under which something of a request is or was."""
    return unit.session.scalars(
        select(HeldPerson.hold_id).where(HeldPerson.org_id == unit.org_id, HeldPerson.request_id == request_id).limit(1)
    ).one_or_none()


def held_sentence(unit: Unit, member: Member) -> str | None:
    """Say what the brake keeps from somebody, or an owner has kept; None where there is nothing to say."""
    found = unit.session.execute(
        select(HeldPerson, Hold, Connection.name)
        .join(Hold, (Hold.org_id == HeldPerson.org_id) & (Hold.id == HeldPerson.hold_id))
        .join(Connection, (Connection.org_id == HeldPerson.org_id) & (Connection.id == HeldPerson.connection_id))
        .where(HeldPerson.org_id == unit.org_id, HeldPerson.member_id == member.id)
        .order_by(HeldPerson.at.desc(), HeldPerson.hold_id)
        .limit(1)
    ).first()
    if found is None:
        return None
    held, hold, directory = found
    did = f"{directory} {DID[HeldEffect(held.effect)]} {member.display_name} on {held.at:%Y-%m-%d at %H:%M} UTC"
    if held.outcome is None:
        others = _view(unit, hold).number - 1
        company = "" if not others else " with 1 other" if others == 1 else f" with {others:,} others"
        return f"{did}; held{company} for an owner's decision."
    is_aside = member.connection_id == departed_from(held.connection_id)
    if held.outcome == Outcome.DROPPED and (member.said_off or is_aside):
        by = name_actors(unit, [hold.decided_by or ""])[hold.decided_by or ""]
        return f"{did}; {by} dropped that on {held.outcome_at:%Y-%m-%d}, so nothing has changed here."
    return None


def _view(unit: Unit, hold: Hold) -> HoldView:
    state = HoldState(hold.state)
    wanted = {HoldState.OPEN: None, HoldState.RELEASED: Outcome.RELEASED, HoldState.DROPPED: Outcome.DROPPED}
    counts = select(HeldPerson.effect, func.count()).where(
        HeldPerson.org_id == unit.org_id, HeldPerson.hold_id == hold.id
    )
    if state in wanted:
        counts = counts.where(HeldPerson.outcome.is_not_distinct_from(wanted[state]))
    people: Counter[HeldEffect] = Counter()
    for effect, number in unit.session.execute(counts.group_by(HeldPerson.effect)):
        people[HeldEffect(effect)] = number
    directory = unit.session.scalars(
        select(Connection.name).where(Connection.org_id == unit.org_id, Connection.id == hold.connection_id)
    ).one()
    actor = hold.decided_by
    return HoldView(
        id=hold.id,
        state=state,
        at=hold.at,
        directory=directory,
        request_id=hold.request_id,
        counted=hold.counted,
        allowed=hold.allowed,
        window_minutes=hold.window_minutes,
        people=people,
        revision=hold.revision,
        decided_at=hold.decided_at,
        decided_by=None if actor is None else name_actors(unit, [actor])[actor],
        reason=hold.reason,
        bills_at=_bills_at(unit) if state is HoldState.OPEN else None,
    )


def _bills_at(unit: Unit) -> datetime | None:
    contract = unit.session.get_one(Contract, unit.org_id, populate_existing=True)
    renews = contract.status == "active" and contract.auto_renew and contract.renewal_basis == "in_use"
    return contract.period_end if renews else None
