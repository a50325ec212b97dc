"""An owner decides about what the brake holds: release lets it take effect, drop lets it be as if never said."""

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from bridge.domain.brake import MAX_REASON, HoldState
from bridge.domain.roles import Permission
from bridge.errors import HoldChangedError, InvalidInputError
from bridge.store.models import Hold
from bridge.store.unit import Unit
from bridge.usecases.alerts import queue_delivery
from bridge.usecases.brake import end_hold, find_open_hold
from bridge.usecases.buy_for_line import LineServed, serve_line
from bridge.usecases.hold_effects import ids_under, keep_people, release_people
from bridge.usecases.idempotency import once
from bridge.usecases.preview_holds import decisions_since, get_undecided
from mappings.allocation import Occasion

#: How often owners are reminded of a hold that waits.
REMINDER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Decided:
    """What a decision did: how many people lost access, were removed, were settled anew, and got a freed seat.

    A dropped hold settles those whom rules that were changed meanwhile give something else, and buys seats within
    budgets where those rules do: ``bought`` are the seats, ``invoices`` the numbers of what was charged.
    """

    hold_id: str
    state: HoldState
    people: int
    turned_off: int = 0
    removed: int = 0
    resettled: int = 0
    promoted: int = 0
    bought: int = 0
    invoices: tuple[str, ...] = ()

    @property
    def sentences(self) -> str:
        """Say what dropping a hold did."""
        people = "1 person" if self.people == 1 else f"{self.people:,} people"
        if not (self.resettled or self.promoted or self.bought):
            return f"Dropped. Nothing has changed for {people}."
        said = [f"Dropped. What the directory said of {people} does not take effect."]
        if self.resettled:
            these = "1 person follows" if self.resettled == 1 else f"{self.resettled:,} people follow"
            said.append(f"{these} the rules that were changed meanwhile.")
        if self.promoted:
            these = "1 person" if self.promoted == 1 else f"{self.promoted:,} people"
            said.append(f"{these} in line got a seat that had become free.")
        if self.bought:
            these = "1 seat was" if self.bought == 1 else f"{self.bought:,} seats were"
            by = f" (invoice {', '.join(self.invoices)})" if self.invoices else ""
            said.append(f"{these} bought within the budgets{by}.")
        return " ".join(said)


def release_hold(unit: Unit, hold_id: uuid.UUID, *, revision: int, reason: str, key: str | None = None) -> Decided:
    """Let what is held take effect now, for everybody under the hold at once; who waits gets the freed seats.

    The brake counts from zero afterwards, so that the rest of the same change is not held once more.

    Args:
        unit: The unit.
        hold_id: Which hold.
        revision: The hold's revision that the owner looked at.
        reason: What the owner says of why.
        key: Idempotency key.

    Raises:
        ForbiddenError: The actor is no owner.
        HoldChangedError: People came under it, or left it, since that revision.
        HoldDecidedError: It was decided about.
        InvalidInputError: There is no reason, or a very long one.
        NotFoundError: There is no such hold here.
    """
    unit.require(Permission.DECIDE_HOLDS)

    def act() -> dict[str, Any]:
        hold = _decidable(unit, hold_id, revision)
        seq = unit.lock().audit_seq
        held = release_people(unit, hold)
        promoted = {one.member_id for one in decisions_since(unit, seq) if one.occasion == Occasion.PROMOTION}
        state = unit.lock()
        state.brake_counts, state.brake_limit = {}, None
        end_hold(unit, hold, HoldState.RELEASED, reason=given)
        done = Decided(
            str(hold.id),
            HoldState.RELEASED,
            held.number,
            turned_off=len(held.off),
            removed=len(held.gone),
            resettled=len(held.reseat),
            promoted=len(promoted),
        )
        return asdict(done)

    given = _checked(reason)
    return _read(once(unit, key, _content("release", hold_id, revision, given), act))


def drop_hold(unit: Unit, hold_id: uuid.UUID, *, revision: int, reason: str, key: str | None = None) -> Decided:
    """Let nothing of what is held take effect: people keep access, seats, roles and teams.

    The directory goes on reading what it wrote. What it says anew about somebody counts as ever. Rules that were
    changed meanwhile now reach those who were to leave, a seat that became free goes to who waits, and whom the rules
    let buy is bought one, as :func:`~bridge.usecases.preview_holds.preview_drop` shows.

    Args:
        unit: The unit.
        hold_id: Which hold.
        revision: The hold's revision that the owner looked at.
        reason: What the owner says of why.
        key: Idempotency key.

    Raises:
        ForbiddenError: The actor is no owner.
        HoldChangedError: People came under it, or left it, since that revision.
        HoldDecidedError: It was decided about.
        InvalidInputError: There is no reason, or a very long one.
        NotFoundError: There is no such hold here.
    """
    unit.require(Permission.DECIDE_HOLDS)

    def act() -> dict[str, Any]:
        hold = _decidable(unit, hold_id, revision)
        people = len(ids_under(unit, hold))
        seq = unit.lock().audit_seq
        keep_people(unit, hold)
        end_hold(unit, hold, HoldState.DROPPED, reason=given)
        after = decisions_since(unit, seq)
        promoted = {one.member_id for one in after if one.occasion == Occasion.PROMOTION}
        resettled = {one.member_id for one in after if one.occasion == Occasion.REMAPPED}
        served = serve_line(unit) if unit.line_grew else LineServed()
        unit.line_grew = False
        done = Decided(
            str(hold.id),
            HoldState.DROPPED,
            people,
            resettled=len(resettled),
            promoted=len(promoted - resettled),
            bought=sum(use.seats for use in served.uses),
            invoices=tuple(invoice.number for invoice in served.invoices),
        )
        return asdict(done)

    given = _checked(reason)
    return _read(once(unit, key, _content("drop", hold_id, revision, given), act))


def remind_of_hold(unit: Unit) -> bool:
    """Write the mail that reminds the owners of a hold, once a day while it waits; tell whether one is due."""
    waiting = find_open_hold(unit)
    if waiting is None or unit.at - waiting.reminded_at < REMINDER:
        return False
    unit.lock()
    hold = find_open_hold(unit)  # as it is under the lock
    if hold is None or unit.at - hold.reminded_at < REMINDER:
        return False
    hold.reminded_at = unit.at
    queue_delivery(unit, "hold_reminder", key=f"hold:{hold.id}:{unit.at:%Y-%m-%dT%H}", subject_id=str(hold.id))
    return True


def _content(verb: str, hold_id: uuid.UUID, revision: int, reason: str) -> dict[str, Any]:
    return {"decide": verb, "hold": str(hold_id), "revision": revision, "reason": reason}


def _read(answer: Mapping[str, Any]) -> Decided:
    invoices = tuple(answer.get("invoices", ()))
    return Decided(**{**answer, "state": HoldState(answer["state"]), "invoices": invoices})


def _checked(reason: str) -> str:
    cleaned = reason.strip()
    if not cleaned or len(cleaned) > MAX_REASON or not cleaned.isprintable():
        raise InvalidInputError("reason", f"say why, in 1 to {MAX_REASON} printable characters")
    return cleaned


def _decidable(unit: Unit, hold_id: uuid.UUID, revision: int) -> Hold:
    unit.lock()
    hold = get_undecided(unit, hold_id)
    if hold.revision != revision:
        raise HoldChangedError(seen=revision, now=hold.revision)
    return hold
