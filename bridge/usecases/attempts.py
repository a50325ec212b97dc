"""Rows that workers bring out of the house: claimed by one at a time, retried with growing pauses, never lost."""

import random
import uuid
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import update

from bridge.store.models import BillingOrder, Delivery, WebhookMessage
from bridge.store.queue import wake_workers
from bridge.store.unit import Unit

#: How long one attempt may take before another worker may claim the row.
LEASE = timedelta(minutes=2)
#: After these many attempts (about ten hours) a row is dead until somebody retries it.
MAX_ATTEMPTS = 12
#: Doubled by every attempt, up to the longest.
FIRST_PAUSE_SECONDS = 15.0
LONGEST_PAUSE_SECONDS = 3 * 3600.0

Attempted = type[Delivery] | type[BillingOrder] | type[WebhookMessage]


def claim(unit: Unit, rows: Attempted, row_id: uuid.UUID) -> int | None:
    """Claim a due row for a lease and count the attempt; None when another worker has it or it is done.

    The claim commits before anything leaves the house, so a worker that dies gives it back when the lease ends.

    Returns:
        Which attempt this is, counted from 1.
    """
    return unit.session.execute(
        update(rows)
        .where(rows.org_id == unit.org_id, rows.id == row_id, rows.state == "pending", rows.next_attempt_at <= unit.at)
        .values(attempts=rows.attempts + 1, next_attempt_at=unit.at + LEASE)
        .returning(rows.attempts)
        .execution_options(synchronize_session=False)
    ).scalar_one_or_none()


def postpone(
    unit: Unit, rows: Attempted, row_id: uuid.UUID, attempt: int, error_code: str, *, is_last: bool | None = None
) -> bool:
    """Try again later, with a growing, jittered pause; after the last attempt the row is dead and visible.

    Nothing is written when the lease ended meanwhile and another worker has claimed the row.

    Args:
        unit: The unit.
        rows: Of which kind the row is.
        row_id: Which row.
        attempt: Which attempt failed, as :func:`claim` said.
        error_code: Why.
        is_last: Whether the row is given up now; by default after :data:`MAX_ATTEMPTS`.

    Returns:
        Whether the row is dead from now on.
    """
    dead = attempt >= MAX_ATTEMPTS if is_last is None else is_last
    pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**attempt) * random.uniform(0.8, 1.2)  # noqa: S311 (jitter)
    written = unit.session.execute(
        update(rows)
        .where(rows.org_id == unit.org_id, rows.id == row_id, rows.state == "pending", rows.attempts == attempt)
        .values(
            state="dead" if dead else "pending",
            next_attempt_at=unit.at + timedelta(seconds=pause),
            last_error=error_code,
        )
        .returning(rows.id)
        .execution_options(synchronize_session=False)
    ).scalar_one_or_none()
    return dead and written is not None


def revive(unit: Unit, rows: Attempted, row_id: uuid.UUID | None = None) -> Sequence[uuid.UUID]:
    """Put dead rows back in line, or one of them, and wake a worker; return which."""
    one = [] if row_id is None else [rows.id == row_id]
    revived = unit.session.scalars(
        update(rows)
        .where(rows.org_id == unit.org_id, rows.state == "dead", *one)
        .values(state="pending", attempts=0, next_attempt_at=unit.at)
        .returning(rows.id)
        .execution_options(synchronize_session=False)
    ).all()
    if revived:
        wake_workers(unit.session)
    return revived
