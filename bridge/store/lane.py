"""Connections for lanes: one statement, its own transaction, straight to the driver.

A lane is the short way of a frequent request. Its statement finds out who calls, does what is asked or nothing, and
says so; where it does nothing the general way answers. Nothing here decides anything.
"""

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, TypeVar

import orjson
import psycopg
from psycopg import abc
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus, Format
from psycopg.types.json import set_json_loads
from sqlalchemy import URL, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from bridge.store.database import driver_url, session_options

Row = tuple[Any, ...]
RowT = TypeVar("RowT")

#: The connection broke, or the database goes down.
_LOST: frozenset[str | None] = frozenset({None, "57P01", "57P02", "57P03", "08006", "08003"})
#: The function is not the one that was prepared: the database is being upgraded.
_REPLACED: frozenset[str | None] = frozenset({"0A000", "26000", "42883"})
_DONE = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)


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
            # Whoever answered last has at hand what the next request asks for.
            pool_use_lifo=True,
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

    def ask(self, function: str, parameters: Sequence[Any]) -> Row | None:
        """Call one function of the database and return the only row of its table; None when it has none.

        None as well when the connection broke, as for :meth:`ask_for_all`.

        Raises:
            psycopg.Error: The database refused the call.
        """
        rows = self.ask_for_all(function, parameters, tuple)
        return rows[0] if rows else None

    def ask_for_all(self, function: str, parameters: Sequence[Any], row: Callable[[Sequence[Any]], RowT]) -> list[RowT]:
        """Call one function of the database and return the rows of its table, each made by ``row``.

        There are none either when the connection broke or the function is another one by now: that connection is then
        given up, and the general way finds out whether the database is there.

        Raises:
            psycopg.Error: The database refused the call.
        """
        return self._call(function, parameters, row, forgives=_LOST | _REPLACED)

    def write(
        self, function: str, parameters: Sequence[Any], *, wrote: Callable[[Row], bool] = lambda _row: True
    ) -> Row | None:
        """Call a function that writes under an organization's lock; what it wrote is on disk when this returns.

        The function's last parameter is added here: whether it gives the lock up before the disk has written, which
        it does when others of this process write too, so that they need not wait for the disk one after the other.
        Then a commit of its own waits for the disk, together with theirs. What somebody builds on a commit that is not
        on disk yet cannot outlive it: the database's log is written in order.

        Args:
            function: Its name.
            parameters: All but the last.
            wrote: Tells by the row whether there is anything to wait for.

        Raises:
            psycopg.Error: The database refused the call, or was lost before all was known to be on disk.
        """
        with self._lock:
            self._writers += 1
            early = self._writers > 1
        try:
            # Lost on the way, it may have been written all the same: nobody must then do it once more.
            rows = self._call(function, (*parameters, early), tuple, forgives=_REPLACED)
            if early and rows and wrote(rows[0]):
                self._call("lane_flush", (), tuple, forgives=frozenset())
            return rows[0] if rows else None
        finally:
            with self._lock:
                self._writers -= 1

    def _call(
        self,
        function: str,
        parameters: Sequence[Any],
        row: Callable[[Sequence[Any]], RowT],
        *,
        forgives: frozenset[str | None],
    ) -> list[RowT]:
        """Call a function over one of the connections; no rows where what went wrong is forgiven.

        Where a loss is not, it is looked first whether the connection broke while it was idle: nothing was sent then.
        """
        try:
            fairy = self._engine.raw_connection()
        except psycopg.OperationalError:
            return []
        try:
            calls = _calls_of(fairy)
            if None not in forgives and not calls.are_possible():
                fairy.invalidate()
                return []
            return calls.call(function, parameters, row)
        except psycopg.Error as error:
            broken = error.sqlstate in (_LOST if isinstance(error, psycopg.OperationalError) else _REPLACED)
            if broken:
                fairy.invalidate()
            if broken and error.sqlstate in forgives:
                return []
            raise
        finally:
            fairy.close()

    def close(self) -> None:
        """Give every connection back."""
        self._engine.dispose()


class _Calls:
    """Function calls over one connection, each prepared once and then sent as it is.

    This is the driver's own lower level: the upper one looks at each statement anew and asks for the type of every
    column of every answer, which takes longer than the shortest of these functions.
    """

    def __init__(self, connection: "psycopg.Connection[Row]") -> None:
        self._connection, self._pgconn = connection, connection.pgconn
        self._dumper = Transformer(connection)
        self._prepared: set[str] = set()
        self._loaders: dict[str, abc.Transformer] = {}

    def are_possible(self) -> bool:
        """Tell whether the connection is still there, as far as the database has said by now."""
        try:
            # Its last words come first, and only behind them that it is gone.
            self._pgconn.consume_input()
            self._pgconn.is_busy()
            self._pgconn.consume_input()
        except psycopg.OperationalError:
            return False
        return self._pgconn.status == ConnStatus.OK

    def call(self, function: str, parameters: Sequence[Any], row: Callable[[Sequence[Any]], RowT]) -> list[RowT]:
        """Call a function and return the rows of its table, each made by ``row``.

        Raises:
            psycopg.Error: The database refused the call, or was lost.
        """
        name = function.encode()
        values: Any = self._dumper.dump_sequence(parameters, [PyFormat.TEXT] * len(parameters))
        if function not in self._prepared:
            places = ", ".join(f"${place}" for place in range(1, len(parameters) + 1))
            self._check(self._pgconn.prepare(name, f"SELECT * FROM {function}({places})".encode()))  # noqa: S608 (ours)
            self._prepared.add(function)
        result = self._pgconn.exec_prepared(name, values, result_format=Format.BINARY)
        self._check(result)
        loader = self._loaders.get(function)
        if loader is None:
            loader = self._loaders[function] = Transformer(self._connection)
            loader.set_pgresult(result)
        else:
            loader.set_pgresult(result, set_loaders=False)
        return loader.load_rows(0, result.ntuples, row)

    def _check(self, result: Any) -> None:
        """Raise what the database said.

        Raises:
            psycopg.Error: The database refused the call, or was lost.
        """
        if result.status in _DONE:
            return
        if self._pgconn.status == ConnStatus.BAD:
            raise psycopg.OperationalError("the connection was lost")
        raise error_from_result(result)


def _calls_of(fairy: PoolProxiedConnection) -> _Calls:
    """Return what calls functions over a connection; it is kept with the connection."""
    calls: _Calls | None = fairy.info.get(_Calls)
    if calls is None:
        connection: Any = fairy.driver_connection  # psycopg's, which SQLAlchemy does not know
        calls = fairy.info[_Calls] = _Calls(connection)
    return calls


def _prepare(connection: "psycopg.Connection[Row]", _entry: ConnectionPoolEntry) -> None:
    """Read JSON by the quicker library."""
    set_json_loads(orjson.loads, connection)
