"""Connections for lanes: one statement, its own transaction, straight to the driver.

A lane is the short way of a frequent request. Its statement finds out who calls, does what is asked or nothing, and
says so; where it does nothing the general way answers. Nothing here decides anything.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any

import orjson
import psycopg
from psycopg.types.json import set_json_loads
from sqlalchemy import URL, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry

from bridge.store.database import driver_url, session_options

Row = tuple[Any, ...]


class Lane:
    """A pool of connections in autocommit mode, of which each call borrows one.

    Args:
        url: The service's own role: every policy holds as it does elsewhere.
        size: Connections that may be open; a call waits for one no longer than the pool of the units does.
        statement_timeout_seconds: As for the units.
        lock_timeout_seconds: As for the units.
    """

    def __init__(self, url: URL, *, size: int, statement_timeout_seconds: float, lock_timeout_seconds: float) -> None:
        self._engine = create_engine(
            driver_url(url),
            isolation_level="AUTOCOMMIT",
            pool_size=size,
            max_overflow=0,
            pool_timeout=10,
            pool_reset_on_return=None,
            connect_args={
                "options": session_options(statement_timeout_seconds, lock_timeout_seconds)
                # Each statement of a lane finds its rows by a key: planning it anew for each value takes longer.
                + " -c plan_cache_mode=force_generic_plan",
                "connect_timeout": 5,
                "application_name": "seatbridge lane",
            },
        )
        event.listen(self._engine, "connect", _prepare)
        self._writers = 0
        self._lock = Lock()

    def ask(self, statement: str, parameters: Sequence[Any]) -> Row | None:
        """Run one statement and return its only row; None when it has none.

        None as well when the connection broke, whose pool is then emptied: the general way finds out whether the
        database is there.

        Raises:
            psycopg.Error: The database refused the statement.
        """
        try:
            with self._borrowed() as connection:
                return connection.execute(statement, parameters, binary=True).fetchone()
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            if getattr(error, "sqlstate", None) not in {None, "57P01", "57P02", "57P03", "08006", "08003"}:
                raise
            self._engine.dispose()
            return None

    def write(self, statement: str, parameters: Sequence[Any]) -> Row | None:
        """Run a statement that writes under an organization's lock; what it wrote is on disk when this returns.

        The statement's last parameter is added here: whether it gives the lock up before the disk has written, which
        it does when others of this process write too, so that they need not wait for the disk one after the other.
        Then a commit of its own waits for the disk, together with theirs. What somebody builds on a commit that is not
        on disk yet cannot outlive it: the database's log is written in order.

        Raises:
            psycopg.Error: The database refused the statement, or was lost before all was known to be on disk.
        """
        with self._lock:
            self._writers += 1
            early = self._writers > 1
        try:
            row = self.ask(statement, (*parameters, early))
            if early and row is not None:
                with self._borrowed() as connection:
                    connection.execute("SELECT lane_flush()")
            return row
        finally:
            with self._lock:
                self._writers -= 1

    @contextmanager
    def _borrowed(self) -> Iterator["psycopg.Connection[Row]"]:
        fairy = self._engine.raw_connection()
        try:
            yield fairy.driver_connection  # type: ignore[misc] # psycopg's, which SQLAlchemy does not know
        except BaseException:
            if fairy.driver_connection is None or fairy.driver_connection.closed:
                fairy.invalidate()
            raise
        finally:
            fairy.close()

    def close(self) -> None:
        """Give every connection back."""
        self._engine.dispose()


def _prepare(connection: "psycopg.Connection[Row]", _entry: ConnectionPoolEntry) -> None:
    """Read JSON by the quicker library, and prepare each statement at its second use."""
    set_json_loads(orjson.loads, connection)
    connection.prepare_threshold = 1
