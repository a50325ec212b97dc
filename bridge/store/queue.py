"""Waking the workers: a job in the durable queue that says nothing but "look"."""

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

#: The task that looks for due deliveries and renewals.
WAKE_TASK = "seatbridge.work_through_due"
QUEUE = "seatbridge"

#: A worker that has not been heard of for this long is not at work.
LIVE_SECONDS = 60

#: One waiting job is enough for any number of rows, and only an insert of one that is really needed notifies. A row
#: that commits behind a job which has just begun is found by the minute's sweep. The function names queue and task as
#: above (``bridge/store/functions/apps.sql``).
_WAKE = text("SELECT wake_workers()")


def wake_workers(session: Session) -> None:
    """Ask a worker to come, once this transaction commits; the row it comes for is the truth, not the job."""
    session.execute(_WAKE)


def live_workers(database: Session | Connection) -> int:
    """Count the workers that were heard of within :data:`LIVE_SECONDS`."""
    alive = text(
        "SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - make_interval(secs => :seconds)"
    )
    return int(database.scalar(alive, {"seconds": LIVE_SECONDS}) or 0)
