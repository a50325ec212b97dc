"""What is measured, built from nothing: one durable PostgreSQL, and services on databases of several sizes."""

import hashlib
import secrets
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy import URL, make_url

from bridge.adapters.saml import parse_idp_metadata
from bridge.adapters.saml.trust import trust_in
from bridge.billing import BuiltinPayments
from bridge.config import Settings, generate_key
from bridge.runtime import EMBEDDED_ROLE, Runtime, build_runtime
from bridge.store.embedded import EmbeddedPostgres
from bridge.store.schema import upgrade
from bridge.usecases.connections import issue_scim_token
from bridge.usecases.edit_mappings import apply_mappings
from bridge.usecases.map_claims import map_claims
from bridge.usecases.preview_mappings import preview_mappings
from bridge.usecases.saml_trust import trust_saml_provider
from tests.bench.ceiling import DATABASE_VARIABLE, metadata
from tests.bench.ceiling_sign_in import CERTIFICATE_VARIABLE, PATH
from tests.bench.people import mapping_document
from tests.bench.seeding import fill
from tests.bench.services import CEILING, OURS, Service, running
from tests.bench.sign_ins import DEPARTMENT, idp
from tests.factories import create_customer, loosen_brake
from tests.postgres import clone_database

SLUG = "bench"
#: The most that a plan may have: more than any database here has people in one tier.
SEATS = 1_000_000
_TEMPLATE = "bench_template"
#: With the brake the only settings that are not the defaults: a run sends more than a directory may. Both work all the
#: same.
_UNLIMITED = {
    "SEATBRIDGE__SCIM__RATE_BURST": "10000000",
    "SEATBRIDGE__SCIM__RATE_PER_SECOND": "100000",
    "SEATBRIDGE__SSO__REQUESTS_PER_MINUTE": "1000000",
}


@dataclass(slots=True)
class World:
    """One PostgreSQL with databases and the services that run on them, until it is closed.

    Attributes:
        folder: For the databases and the logs; on a disk, so that a commit costs what it costs in use.
    """

    folder: Path
    server: EmbeddedPostgres
    kept: ExitStack
    key: str = field(default_factory=generate_key)
    databases: int = 0
    sign_in_paths: dict[str, str] = field(default_factory=dict)

    def ours(self, people: int, sizes: Sequence[int] = (), *, movers: int = 1) -> Service:
        """Run our service on a new database with so many people, and groups of these sizes; 0 leaves it empty."""
        name = self._name(OURS)
        clone_database(self.server, _TEMPLATE, name)
        service = self.serve_ours(name, self._take_customer_in(name), people)
        if people:
            fill(service, self.server.dsn(name), sizes, movers)
        return service

    def serve_ours(self, database: str, token: str, people: int, *, workers: int = 1) -> Service:
        """Run our service on a database that is there."""
        environment = {
            "SEATBRIDGE__DATABASE__URL": self.url(database).render_as_string(hide_password=False),
            "SEATBRIDGE__SECRETS__KEYS": self.key,
            **_UNLIMITED,
        }
        service = running(
            OURS,
            environment,
            self.folder,
            root=f"/scim/v2/{SLUG}",
            token=token,
            people=people,
            database=database,
            workers=workers,
            sign_in_path=self.sign_in_paths[database],
            dsn=self.server.dsn(database),
        )
        return self.kept.enter_context(service)

    def ceiling(self, people: int, sizes: Sequence[int] = (), *, movers: int = 1) -> Service:
        """Run the ceiling on a new database with the same people and groups; 0 leaves it empty."""
        name, token = self._name(CEILING), secrets.token_urlsafe(32)
        self.server.ensure_database(name)
        engine = sa.create_engine(self.server.url(name))
        metadata.create_all(engine)
        engine.dispose()
        with psycopg.connect(self.server.dsn(name)) as connection:
            connection.execute("INSERT INTO token VALUES (%s)", [hashlib.sha256(token.encode()).digest()])
        environment = {
            DATABASE_VARIABLE: self.server.url(name),
            CERTIFICATE_VARIABLE: idp().key.certificate.decode(),
        }
        service = self.kept.enter_context(
            running(CEILING, environment, self.folder, token=token, people=people, database=name, sign_in_path=PATH)
        )
        if people:
            fill(service, self.server.dsn(name), sizes, movers)
        return service

    def url(self, database: str) -> URL:
        """Return the address of a database, as the service connects."""
        return make_url(self.server.url(database, EMBEDDED_ROLE))

    def facts(self) -> dict[str, str]:
        """Return what PostgreSQL this is and whether a commit waits for the disk."""
        with psycopg.connect(self.server.dsn()) as connection:
            row = connection.execute(
                "SELECT current_setting('server_version'), current_setting('fsync'),"
                " current_setting('synchronous_commit'), current_setting('shared_buffers')"
            ).fetchone()
        assert row is not None
        return dict(zip(("PostgreSQL", "fsync", "synchronous_commit", "shared_buffers"), row, strict=True))

    def _name(self, kind: str) -> str:
        self.databases += 1
        return f"{kind}_{self.databases}"

    def _take_customer_in(self, database: str) -> str:
        """Create the organization with seats, mappings and a connection; return its token."""
        with open_runtime(self.url(database), self.key) as runtime:
            customer = create_customer(
                runtime, SLUG, premium=SEATS, standard=SEATS, premium_price=200, standard_price=100
            )
            loosen_brake(customer)
            self.sign_in_paths[database] = f"/sso/saml/{SLUG}/{customer.connection_id}"
            with customer.unit() as unit:
                read = parse_idp_metadata(idp().metadata(), now=unit.at)
                trust_saml_provider(unit, customer.connection_id, trust_in(read))
                map_claims(unit, customer.connection_id, attributes={DEPARTMENT: DEPARTMENT})
                token = issue_scim_token(unit, customer.connection_id).text
                apply_mappings(unit, preview_mappings(unit, mapping_document()).id, acknowledged=True)
        return token


@contextmanager
def open_runtime(url: URL, key: str) -> Iterator[Runtime]:
    """Put the product together in this process, over one of the databases."""
    facts: Mapping[str, object] = {
        "database": {"url": SecretStr(url.render_as_string(hide_password=False))},
        "secrets": {"keys": (key,)},
    }
    runtime = build_runtime(Settings.model_validate(facts), url, payments=BuiltinPayments())
    try:
        yield runtime
    finally:
        runtime.close()


@contextmanager
def world(folder: Path, *, durable: bool = True) -> Iterator[World]:
    """Start PostgreSQL with a migrated template in a new folder below ``folder``; everything is removed at the end.

    Without ``durable`` no commit waits for the disk, and no figure means anything.
    """
    here = folder / f"bench-{uuid.uuid4().hex[:8]}"
    here.mkdir(parents=True, mode=0o711)
    try:
        with EmbeddedPostgres(here / "pg", durable=durable) as server, ExitStack() as kept:
            server.ensure_database(_TEMPLATE)
            owner = make_url(server.url(_TEMPLATE))
            upgrade(owner, owner.set(username=EMBEDDED_ROLE))
            yield World(here, server, kept)
    finally:
        shutil.rmtree(here, ignore_errors=True)
