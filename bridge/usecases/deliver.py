"""Bringing mails out: what they tell of and to whom; attempts are counted by :mod:`bridge.usecases.attempts`."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import select, update

from bridge.store.journal import causing_request
from bridge.store.models import Delivery
from bridge.store.unit import Unit
from bridge.usecases.alerts import raise_alert, resolve_alerts
from bridge.usecases.attempts import MAX_ATTEMPTS, claim, postpone, revive
from bridge.usecases.manage_access import owners_of

#: How long an application is told that a session ended.
_TOLD_FOR: Final = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that this worker brings out now: what it tells of, for which request, and to which addresses."""

    delivery_id: uuid.UUID
    attempt: int
    kind: str
    key: str
    subject_id: str
    to: tuple[str, ...]
    request_id: str | None = None


def claim_delivery(unit: Unit, delivery_id: uuid.UUID) -> Claim | None:
    """Claim a due delivery for a lease; None when another worker has it or it is done.

    The claim commits before anything leaves the house, so a worker that dies gives it back when the lease ends.
    """
    attempt = claim(unit, Delivery, delivery_id)
    if attempt is None:
        return None
    claimed = unit.session.get_one(Delivery, (unit.org_id, delivery_id), populate_existing=True)
    return Claim(
        delivery_id=delivery_id,
        attempt=attempt,
        kind=claimed.kind,
        key=claimed.key,
        subject_id=claimed.subject_id,
        to=tuple(owner.email for owner in owners_of(unit) if owner.email),
        request_id=claimed.request_id or _causing_request(unit, claimed),
    )


def _causing_request(unit: Unit, delivery: Delivery) -> str | None:
    """Find the request of what a function of the database wrote: of the end of a person's access or session."""
    if delivery.kind != "app_logout":
        return None
    _, member_id, *_ = delivery.subject_id.split()
    return causing_request(unit, member_id, at=delivery.created_at)


def finish_delivery(unit: Unit, delivery_id: uuid.UUID, *, note: str | None = None) -> None:
    """Acknowledge a delivery: nobody brings it out again."""
    unit.session.execute(
        update(Delivery)
        .where(Delivery.org_id == unit.org_id, Delivery.id == delivery_id)
        .values(state="done", done_at=unit.at, last_error=note)
        .execution_options(synchronize_session=False)
    )
    late = (Delivery.kind == "app_logout", Delivery.state != "done", Delivery.attempts >= MAX_ATTEMPTS)
    if unit.session.scalars(select(Delivery.id).where(Delivery.org_id == unit.org_id, *late).limit(1)).first() is None:
        resolve_alerts(unit, "app_logout_not_taken")


def postpone_delivery(unit: Unit, claimed: Claim, error_code: str) -> None:
    """Try again later; after the last attempt the delivery is dead and visible.

    The end of a session is told for three days: whoever was turned off goes on in an application that does not know.
    """
    if claimed.kind != "app_logout":
        postpone(unit, Delivery, claimed.delivery_id, claimed.attempt, error_code)
        return
    written_at = unit.session.get_one(Delivery, (unit.org_id, claimed.delivery_id)).created_at
    is_last = claimed.attempt >= MAX_ATTEMPTS and unit.at - written_at >= _TOLD_FOR
    postpone(unit, Delivery, claimed.delivery_id, claimed.attempt, error_code, is_last=is_last)
    if claimed.attempt >= MAX_ATTEMPTS:
        raise_alert(unit, "app_logout_not_taken")


def list_open_deliveries(unit: Unit) -> Sequence[Delivery]:
    """Return what is not brought out yet, dead ones included, oldest first."""
    return unit.session.scalars(
        select(Delivery)
        .where(Delivery.org_id == unit.org_id, Delivery.state != "done")
        .order_by(Delivery.created_at, Delivery.id)
    ).all()


def retry_dead_deliveries(unit: Unit) -> int:
    """Put dead deliveries back in line and wake a worker; return how many."""
    return len(revive(unit, Delivery))
