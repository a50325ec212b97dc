"""The migrated database that the tests of one process use one after the other, emptied in between.

A copy for each test costs more than most tests do, and more again because every connection to it is a new one. So a
test's database is emptied for the next test as long as nobody has changed more than rows in it.
"""

import uuid
from collections.abc import Callable, Collection
from typing import Any, Final

import psycopg
from psycopg import sql
from sqlalchemy import URL, Engine, event

from bridge.store.lane import Lane
from tests.postgres import Server, clone_database, drop_database

#: After so many tests a new copy is made: rows that were removed leave their places behind.
_TESTS_A_COPY: Final = 50
#: Everything in which a test could change a database but its rows.
_SHAPE: Final = """
SELECT md5(concat_ws(' ',
    (SELECT string_agg(concat_ws(' ', oid, xmin, proacl), ',' ORDER BY oid) FROM pg_proc
      WHERE pronamespace = 'public'::regnamespace),
    (SELECT string_agg(concat_ws(' ', oid, relowner, relacl, relrowsecurity, relforcerowsecurity, relnatts, reloptions),
                       ',' ORDER BY oid) FROM pg_class WHERE relnamespace = 'public'::regnamespace),
    (SELECT string_agg(concat_ws(' ', oid, xmin), ',' ORDER BY oid) FROM pg_policy),
    (SELECT string_agg(concat_ws(' ', oid, tgenabled), ',' ORDER BY oid) FROM pg_trigger),
    (SELECT string_agg(concat_ws(' ', attrelid, attnum, attname, attnotnull, atttypid, atthasdef), ','
                       ORDER BY attrelid, attnum)
       FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
      WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'),
    (SELECT string_agg(oid::text, ',' ORDER BY oid) FROM pg_constraint),
    (SELECT string_agg(concat_ws(' ', setdatabase, setrole, setconfig), ',' ORDER BY setdatabase, setrole)
       FROM pg_db_role_setting),
    (SELECT string_agg(concat_ws(' ', datacl, datconnlimit), ',') FROM pg_database WHERE datname = current_database()),
    (SELECT string_agg(concat_ws(' ', oid, rolsuper, rolbypassrls), ',' ORDER BY oid) FROM pg_roles),
    (SELECT string_agg(version_num, ',') FROM alembic_version)))
"""
_TABLES: Final = """
SELECT relname FROM pg_class
 WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'
"""
_SEQUENCES: Final = "SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace"
_OTHERS: Final = """
SELECT pid FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


class SharedEngines:
    """The engine and the lane that the tests of one process take turns with, each at those of one server.

    New ones for every test would compile every statement and open every connection anew: a third of the time that
    tests take.
    """

    def __init__(self) -> None:
        self._kept: dict[URL, tuple[Engine, Lane]] = {}
        self._database: str | None = None
        self.backends: set[int] = set()

    def at(self, url: URL, build: Callable[[], tuple[Engine, Lane]]) -> tuple[Engine, Lane]:
        """Return those of the URL's server; from now on they connect to the URL's database."""
        server = url.set(database="")
        if server not in self._kept:
            engine, lane = self._kept[server] = build()
            for one in (engine, lane.engine):
                event.listen(one, "do_connect", self._point)
                event.listen(one, "connect", self._know)
        if self._database != url.database:
            self.leave()
        self._database = url.database
        return self._kept[server]

    def leave(self) -> None:
        """Give every connection back."""
        for engine, lane in self._kept.values():
            engine.dispose()
            lane.close()
        self.backends.clear()

    def _point(self, dialect: object, record: object, arguments: object, facts: dict[str, Any]) -> None:
        del dialect, record, arguments
        facts["dbname"] = self._database

    def _know(self, connection: psycopg.Connection, record: object) -> None:
        del record
        self.backends.add(connection.info.backend_pid)


class KeptDatabase:
    """A copy of the migrated database, lent to one test after the other."""

    def __init__(self, server: Server, template: str, engines: SharedEngines) -> None:
        self._server = server
        self._template = template
        self._engines = engines
        self._name: str | None = None
        self._shape: str = ""
        self._emptying = sql.Composed([])
        self._lent = 0

    def lend(self) -> str:
        """Return the name of an empty database."""
        if self._name is None:
            self._name = f"t_{uuid.uuid4().hex}"
            self._lent = 0
            clone_database(self._server, self._template, self._name)
            with psycopg.connect(self._server.dsn(self._name), autocommit=True) as connection:
                self._shape = _shape(connection)
                self._emptying = _emptying(connection)
        self._lent += 1
        return self._name

    def take_back(self) -> None:
        """Empty the database, or drop it where that would not make it what it was."""
        if self._name is not None and not (self._lent < _TESTS_A_COPY and self._empty(self._name)):
            self.drop()

    def drop(self) -> None:
        """Drop the database, if there is one."""
        if self._name is not None:
            self._engines.leave()
            drop_database(self._server, self._name)
            self._name = None

    def _empty(self, name: str) -> bool:
        try:
            with psycopg.connect(self._server.dsn(name), autocommit=True) as connection:
                others = {pid for (pid,) in connection.execute(_OTHERS)}
                if others.issubset(self._engines.backends) and _shape(connection) == self._shape:
                    connection.execute(self._emptying)
                    return True
        except psycopg.Error:
            pass  # it is gone, closed, or held by somebody
        return False


def _shape(connection: psycopg.Connection) -> str:
    (shape,) = connection.execute(_SHAPE).fetchone() or ("",)
    return str(shape)


def _emptying(connection: psycopg.Connection) -> sql.Composed:
    """Return the statements that remove every row, whatever refers to it, and let every sequence begin again."""
    tables, sequences = _names(connection, _TABLES), _names(connection, _SEQUENCES)
    return sql.SQL("; ").join(
        [
            sql.SQL("SET lock_timeout = 2000"),
            sql.SQL("SET session_replication_role = replica"),
            *(sql.SQL("DELETE FROM {}").format(table) for table in tables),
            *(sql.SQL("ALTER SEQUENCE {} RESTART").format(sequence) for sequence in sequences),
        ]
    )


def _names(connection: psycopg.Connection, query: str) -> Collection[sql.Identifier]:
    return [sql.Identifier(name) for (name,) in connection.execute(query)]
