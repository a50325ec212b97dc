"""Bringing deliveries out: claimed by one worker at a time, retried with growing pauses, never lost."""

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select, update

from bridge.store.models import Delivery
from bridge.store.queue import wake_workers
from bridge.store.unit import Unit
from bridge.usecases.manage_access import owners_of

#: How long one attempt may take before another worker may claim the delivery.
LEASE = timedelta(minutes=2)
#: After these many attempts (about a day) a delivery is dead until somebody retries it.
MAX_ATTEMPTS = 12
_LONGEST_PAUSE_SECONDS = 3 * 3600


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that this worker brings out now: what it tells of, and to which addresses."""

    delivery_id: uuid.UUID
    attempt: int
    kind: str
    key: str
    subject_id: str
    to: tuple[str, ...]


def claim_delivery(unit: Unit, delivery_id: uuid.UUID) -> Claim | None:
    """Claim a due delivery for a lease; None when another worker has it or it is done.

    The claim commits before anything leaves the house, so a worker that dies gives it back when the lease ends.
    """
    claimed = unit.session.execute(
        update(Delivery)
        .where(
            Delivery.org_id == unit.org_id,
            Delivery.id == delivery_id,
            Delivery.state == "pending",
            Delivery.next_attempt_at <= unit.at,
        )
        .values(attempts=Delivery.attempts + 1, next_attempt_at=unit.at + LEASE)
        .returning(Delivery.kind, Delivery.key, Delivery.subject_id, Delivery.attempts)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if claimed is None:
        return None
    return Claim(
        delivery_id=delivery_id,
        attempt=claimed.attempts,
        kind=claimed.kind,
        key=claimed.key,
        subject_id=claimed.subject_id,
        to=tuple(owner.email for owner in owners_of(unit) if owner.email),
    )


def finish_delivery(unit: Unit, delivery_id: uuid.UUID, *, note: str | None = None) -> None:
    """Acknowledge a delivery: nobody brings it out again."""
    unit.session.execute(
        update(Delivery)
        .where(Delivery.org_id == unit.org_id, Delivery.id == delivery_id)
        .values(state="done", done_at=unit.at, last_error=note)
        .execution_options(synchronize_session=False)
    )


def postpone_delivery(unit: Unit, claim: Claim, error_code: str) -> None:
    """Try again later, with a growing, jittered pause; after the last attempt the delivery is dead and visible.

    Nothing is written when the lease ended meanwhile and another worker has claimed the delivery.
    """
    dead = claim.attempt >= MAX_ATTEMPTS
    pause = min(_LONGEST_PAUSE_SECONDS, 15 * 2**claim.attempt) * random.uniform(0.8, 1.2)  # noqa: S311 (jitter)
    unit.session.execute(
        update(Delivery)
        .where(
            Delivery.org_id == unit.org_id,
            Delivery.id == claim.delivery_id,
            Delivery.state == "pending",
            Delivery.attempts == claim.attempt,
        )
        .values(
            state="dead" if dead else "pending",
            next_attempt_at=unit.at + timedelta(seconds=pause),
            last_error=error_code,
        )
        .execution_options(synchronize_session=False)
    )


def list_open_deliveries(unit: Unit) -> Sequence[Delivery]:
    """Return what is not brought out yet, dead ones included, oldest first."""
    return unit.session.scalars(
        select(Delivery)
        .where(Delivery.org_id == unit.org_id, Delivery.state != "done")
        .order_by(Delivery.created_at, Delivery.id)
    ).all()


def retry_dead_deliveries(unit: Unit) -> int:
    """Put dead deliveries back in line and wake a worker; return how many."""
    revived = unit.session.scalars(
        update(Delivery)
        .where(Delivery.org_id == unit.org_id, Delivery.state == "dead")
        .values(state="pending", attempts=0, next_attempt_at=unit.at)
        .returning(Delivery.id)
        .execution_options(synchronize_session=False)
    ).all()
    if revived:
        wake_workers(unit.session)
    return len(revived)
