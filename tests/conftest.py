"""What every test on the database shares: one server, one migrated template, a fresh copy for each test."""

import gc
import logging
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import cast

import psycopg
import pytest
import structlog
from flask import Flask
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from jinja2.bccache import Bucket, BytecodeCache
from pydantic import SecretStr
from sqlalchemy import URL, make_url

from bridge.billing import BuiltinPayments
from bridge.config import Settings, generate_key
from bridge.domain.actors import OPERATOR, Actor, ActorKind
from bridge.domain.identifiers import ConnectionId
from bridge.runtime import EMBEDDED_ROLE, Runtime, build_runtime
from bridge.store.embedded import EmbeddedPostgres
from bridge.store.embedded_files import exclusively
from bridge.store.schema import upgrade
from tests.databases import KeptDatabase, SharedEngines
from tests.factories import Customer, create_customer
from tests.key_pairs import ready_made_keys
from tests.postgres import shared_embedded_server
from tests.system_postgres import OLDEST, SystemPostgres, system_server

# Properties run without a clock, because a busy machine is no counterexample, and on the same examples every time, so
# that a change is judged by what it changed. `./dev test --hypothesis-profile=explore` looks for new ones.
_UNTIMED = hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.register_profile("same", _UNTIMED, derandomize=True)
hypothesis_settings.register_profile("explore", _UNTIMED)
hypothesis_settings.load_profile("same")


class CompiledTemplates(BytecodeCache):
    """Compiled templates in memory: every test has an app of its own, and each would compile its pages anew."""

    def __init__(self) -> None:
        self._code: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Give what was compiled of this template, if that is of the same text."""
        if bucket.key in self._code:
            bucket.bytecode_from_string(self._code[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what was compiled."""
        self._code[bucket.key] = bucket.bytecode_to_string()


Flask.jinja_options = {"bytecode_cache": CompiledTemplates()}

TEMPLATE = "seatbridge_template"
KEY = generate_key()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is marked ``every_postgres`` on the embedded PostgreSQL and on the machine's own."""
    if metafunc.definition.get_closest_marker("every_postgres") and "postgres_kind" in metafunc.fixturenames:
        metafunc.parametrize("postgres_kind", ["embedded", "system"], scope="session")


def pytest_collection_finish() -> None:
    """Let the collector of cycles pass over what lives as long as the process: a tenth of the time otherwise."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Undo what a test does to logging: a command that runs here sets it up as a process of its own would."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    known = [one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)]
    levels = [one.level for one in known]
    result = yield
    if root.handlers != handlers:
        root.handlers[:] = handlers
        root.setLevel(level)
        for one, before in zip(known, levels, strict=True):
            one.setLevel(before)
        structlog.reset_defaults()
    return result


@pytest.fixture(scope="session")
def postgres_kind() -> str:
    """Which PostgreSQL a test runs on: ``embedded`` unless it is marked ``every_postgres``."""
    return "embedded"


@pytest.fixture(scope="session")
def embedded_server() -> Iterator[EmbeddedPostgres]:
    """The session's embedded PostgreSQL."""
    with shared_embedded_server() as server:
        yield server


@pytest.fixture(scope="session")
def installed_server() -> Iterator[SystemPostgres | None]:
    """The machine's own PostgreSQL; None when it has none that we support."""
    with system_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server(postgres_kind: str, request: pytest.FixtureRequest) -> EmbeddedPostgres | SystemPostgres:
    """The PostgreSQL a test runs on."""
    if postgres_kind == "embedded":
        return cast("EmbeddedPostgres", request.getfixturevalue("embedded_server"))
    server = request.getfixturevalue("installed_server")
    if server is None:
        pytest.skip(f"no PostgreSQL {OLDEST} or newer is installed on this machine (Debian: postgresql)")
    return cast("SystemPostgres", server)


@pytest.fixture(scope="session")
def template(postgres_server: EmbeddedPostgres | SystemPostgres) -> str:
    """Name a migrated, empty database; the first worker makes it."""
    with exclusively(postgres_server.path.parent / "template.lock"):
        if postgres_server.ensure_database(TEMPLATE):
            owner = make_url(postgres_server.url(TEMPLATE))
            upgrade(owner, owner.set(username=EMBEDDED_ROLE))
    return TEMPLATE


@pytest.fixture(scope="session")
def engines() -> SharedEngines:
    """The engines that the tests of one process take turns with."""
    return SharedEngines()


@pytest.fixture(scope="session")
def kept_database(
    postgres_server: EmbeddedPostgres | SystemPostgres, template: str, engines: SharedEngines
) -> Iterator[KeptDatabase]:
    """The database that the tests of one process take turns with."""
    kept = KeptDatabase(postgres_server, template, engines)
    yield kept
    kept.drop()


@pytest.fixture
def database_name(kept_database: KeptDatabase) -> Iterator[str]:
    """A migrated database without a row."""
    yield kept_database.lend()
    kept_database.take_back()


@pytest.fixture
def owner_url(postgres_server: EmbeddedPostgres | SystemPostgres, database_name: str) -> URL:
    """The fresh database, as the owner of its schema: for looking behind row-level security."""
    return make_url(postgres_server.url(database_name))


@pytest.fixture
def database_url(owner_url: URL) -> URL:
    """The fresh database, as the role the service works as."""
    return owner_url.set(username=EMBEDDED_ROLE)


@pytest.fixture
def owner_connection(
    postgres_server: EmbeddedPostgres | SystemPostgres, database_name: str
) -> Iterator[psycopg.Connection]:
    """A connection of the schema's owner."""
    with psycopg.connect(postgres_server.dsn(database_name), autocommit=True) as connection:
        yield connection


class SettableClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, at: datetime | None = None) -> None:
        self.at = at or datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

    def now(self) -> datetime:
        """Return the instant the test set."""
        return self.at


@pytest.fixture
def clock() -> SettableClock:
    """A clock at Monday, 2 March 2026, 09:00 UTC."""
    return SettableClock()


@pytest.fixture
def settings(database_url: URL) -> Settings:
    """Settings of a service on the fresh database."""
    return Settings.model_validate(
        {
            "database": {"url": SecretStr(database_url.render_as_string(hide_password=False)), "pool_size": 8},
            "secrets": {"keys": (KEY,)},
        }
    )


@pytest.fixture
def runtime(settings: Settings, database_url: URL, clock: SettableClock, engines: SharedEngines) -> Iterator[Runtime]:
    """The product on the fresh database, at the test's instant."""
    built = build_runtime(settings, database_url, payments=BuiltinPayments(), clock=clock)
    engine, lane = engines.at(database_url, lambda: (built.engine, built.lane))
    runtime = replace(built, engine=engine, lane=lane)
    runtime.key_factory = ready_made_keys()
    yield runtime
    runtime.closing.close()


@pytest.fixture
def make_customer(runtime: Runtime) -> Callable[..., Customer]:
    """Create organizations: ``make_customer(slug="nordlys", premium=2, standard=5, kind="team")``."""

    def make(slug: str = "nordlys", **facts: object) -> Customer:
        return create_customer(runtime, slug, **facts)  # type: ignore[arg-type] # the factory checks its facts

    return make


@pytest.fixture
def customer(make_customer: Callable[..., Customer]) -> Customer:
    """One organization on a monthly team plan with 2 Premium and 5 Standard seats, an owner and an IdP connection."""
    return make_customer()


def directory(connection_id: ConnectionId) -> Actor:
    """The provisioning client of a connection, as an actor."""
    return Actor(ActorKind.DIRECTORY, connection_id)


__all__ = ["OPERATOR", "SettableClock", "directory"]
