"""The stage of the tour: a database of its own, the service, three customers, and their identity providers."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import yaml
from psycopg import sql

import bridge
from bridge.billing import BuiltinPayments
from bridge.cli.tour.cast import CAST, Role
from bridge.cli.tour.narration import Narrator
from bridge.cli.tour.service import free_port, running, wait_until_ready, web_command, worker_command
from bridge.config import Settings, load_settings
from bridge.config.keys import KEYS_FILE_NAME
from bridge.domain.actors import OPERATOR
from bridge.domain.identifiers import ConnectionId, MemberId, OrgId
from bridge.ports import ContractDraft, TierPrice
from bridge.runtime import EMBEDDED_DATABASE, DatabaseUrls, Runtime, build_runtime, embedded_urls
from bridge.simulator.company import Company
from bridge.simulator.saml import SimulatedIdp
from bridge.simulator.server import bind, serving
from bridge.store.embedded import EmbeddedPostgres
from bridge.store.schema import newest_revision, upgrade
from bridge.store.unit import Unit
from bridge.usecases.connections import (
    SamlTrust,
    TrustedCertificate,
    claim_domain,
    create_connection,
    create_sign_in_link,
    issue_scim_token,
    trust_identity_provider,
    verify_domain,
)
from bridge.usecases.edit_mappings import apply_mappings, preview_mappings
from bridge.usecases.organizations import OrganizationDraft

CONFIG_FILE = "config.yaml"
LOG_FILE = "service.log"
_TIERS = {"standard": ("Standard", 1), "premium": ("Premium", 2)}


@dataclass(frozen=True, slots=True)
class Customer:
    """One customer that was taken in: what the product calls it, and its own side, the company."""

    role: Role
    org_id: OrgId
    owner_id: MemberId
    connection_id: ConnectionId
    start: datetime
    company: Company


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that the tour needs: the running service's address, its runtime, and the customers by slug."""

    url: str
    idp_url: str
    config_file: Path
    runtime: Runtime
    customers: Mapping[str, Customer] = field(repr=False)

    @contextmanager
    def unit(self, customer: Customer) -> Iterator[Unit]:
        """Open a unit of the operator for a customer, for reading."""
        with self.runtime.unit(customer.org_id, OPERATOR) as unit:
            yield unit

    def sign_in_link(self, customer: Customer) -> str:
        """Make the address that signs a customer's owner in, once."""
        with self.unit(customer) as unit:
            return f"{self.url}/sign-in/link/{create_sign_in_link(unit, customer.owner_id).text}"


@contextmanager
def set_stage(folder: Path, narrator: Narrator, *, port: int, keep: bool) -> Iterator[Stage]:
    """Prepare everything, and take it down again whatever happens; what takes time is said.

    Args:
        folder: The demo's own folder. The database's server keeps its files there from run to run.
        narrator: Says what is done.
        port: Of the service, where it is free.
        keep: Whether the database stays afterwards.
    """
    with ExitStack() as stack:
        with narrator.step("PostgreSQL") as notes:
            notes.append("embedded")
            server = EmbeddedPostgres(folder / "postgres")
            stack.enter_context(server.service_lock())
            notes.append(_shown(server.path) if (server.path / "data").exists() else f"{_shown(server.path)} (new)")
            stack.enter_context(server)
        with narrator.step("database") as notes:
            revision = newest_revision()
            urls = _fresh_database(server, revision)
            notes.append(f"fresh, schema {revision}")
            if not keep:
                stack.callback(_drop_database, server, EMBEDDED_DATABASE)
        with narrator.step("service") as notes:
            url = f"http://127.0.0.1:{free_port(port)}"
            notes.append(url)
            settings, environment = _configure(folder, url, urls)
            log = folder / LOG_FILE
            log.unlink(missing_ok=True)
            web = stack.enter_context(running(web_command(settings.server.port), environment, log))
            # While the service starts, the tour makes ready for its customers.
            runtime = build_runtime(settings, urls.service, payments=BuiltinPayments())
            stack.callback(runtime.close)
            site = bind()
            idp_url = f"http://localhost:{site.server_port}"
            customers = {role.slug: _take_in(runtime, role, url, idp_url) for role in CAST}
            companies = {slug: customer.company for slug, customer in customers.items()}
            stack.enter_context(serving(site, companies, url))
            wait_until_ready(web, url, log)
            stack.enter_context(running(worker_command(), environment, log))
        narrator.note("identity", f"{idp_url} (simulated: SCIM and SAML)")
        yield Stage(url, idp_url, folder / CONFIG_FILE, runtime, customers)


def _fresh_database(server: EmbeddedPostgres, revision: str) -> DatabaseUrls:
    """Make the database anew, as a copy of an empty one that is migrated once for each schema."""
    urls = embedded_urls(server)
    template, draft = f"empty_{revision}", f"empty_{revision}_draft"
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        ready = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [template]).fetchone()
    if not ready:
        # Renamed when it is complete: an interrupted run leaves nothing that looks ready.
        _drop_database(server, draft)
        server.ensure_database(draft)
        upgrade(urls.owner.set(database=draft), urls.service)
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            names = sql.Identifier(draft), sql.Identifier(template)
            connection.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(*names))
    _drop_database(server, EMBEDDED_DATABASE)
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        names = sql.Identifier(EMBEDDED_DATABASE), sql.Identifier(template)
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))
    return urls


def _drop_database(server: EmbeddedPostgres, name: str) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _configure(folder: Path, url: str, urls: DatabaseUrls) -> tuple[Settings, dict[str, str]]:
    """Write the tour's configuration, and return it with the environment of the service's processes.

    Nothing of the caller's own configuration counts: a tour must not touch a database that somebody uses.
    """
    config = folder / CONFIG_FILE
    document = {
        "server": {"public_url": url, "port": int(url.rpartition(":")[2]), "workers": 1},
        "database": {"embedded_path": str(folder / "postgres")},
        "jobs": {"sweep_seconds": 5.0},
        "log": {"level": "warning", "format": "console"},
    }
    config.write_text(f"# Written by `seatbridge demo`.\n{yaml.safe_dump(document, sort_keys=False)}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SEATBRIDGE")}
    root = str(Path(bridge.__file__).parents[1])
    settings = load_settings(config, environment)
    environment |= {
        "PYTHONPATH": os.pathsep.join(filter(None, (root, environment.get("PYTHONPATH")))),
        "SEATBRIDGE_CONFIG": str(config),
        "SEATBRIDGE__DATABASE__URL": urls.service.render_as_string(hide_password=False),
        "SEATBRIDGE__SECRETS__KEYS_FILE": str(folder / "postgres" / KEYS_FILE_NAME),
    }
    return settings, environment


def _take_in(runtime: Runtime, role: Role, url: str, idp_url: str) -> Customer:
    """Take one customer in as an operator would: contract, connection, trust, domain, mappings."""
    now = datetime.now(UTC)
    start = role.start(now).astimezone(UTC)
    created = runtime.create_organization(_draft(role, start), at=start)
    entity_id = f"{idp_url}/{role.slug}"
    idp = SimulatedIdp.create(entity_id, f"{entity_id}/sso", now=now, dialect=role.dialect)
    with runtime.unit(created.org_id, OPERATOR) as unit:
        connection_id = create_connection(unit, role.dialect.title()).id
        token = issue_scim_token(unit, connection_id, label="demo").text if role.scim else ""
        _trust(unit, connection_id, idp)
        claim_domain(unit, role.domain, connection_id)
        verify_domain(unit, role.domain)
    if role.mappings is not None:
        with runtime.unit(created.org_id, OPERATOR) as unit:
            apply_mappings(unit, preview_mappings(unit, role.mappings).id, acknowledged=False)
    company = Company(
        slug=role.slug,
        name=role.name,
        directory=role.directory(),
        idp=idp,
        dialect=role.dialect,
        scim_url=f"{url}/scim/v2/{role.slug}" if role.scim else "",
        token=token,
        sign_in_url=f"{url}/sso/saml/{role.slug}/{connection_id}/start",
    )
    return Customer(role, created.org_id, created.owner_id, connection_id, start, company)


def _draft(role: Role, start: datetime) -> OrganizationDraft:
    return OrganizationDraft(
        slug=role.slug,
        name=role.name,
        locale=role.locale,
        time_zone=role.time_zone,
        contract=ContractDraft(
            kind=role.kind,
            cycle=role.cycle,
            anchor=start,
            currency="EUR",
            time_zone=role.time_zone,
            tiers=tuple(
                TierPrice(key=key, name=name, rank=rank, price=role.prices[key], seats=role.seats[key])
                for key, (name, rank) in _TIERS.items()
            ),
            tax_rate=role.tax_rate,
        ),
        owner_email=role.owner_email,
        owner_name=role.owner,
    )


def _trust(unit: Unit, connection_id: ConnectionId, idp: SimulatedIdp) -> None:
    """Trust the identity provider by its metadata, read as anybody's would be."""
    from bridge.adapters.saml import parse_idp_metadata

    read = parse_idp_metadata(idp.metadata(), now=unit.at)
    certificates = tuple(
        TrustedCertificate(one.pem, one.fingerprint, one.not_before, one.not_after) for one in read.certificates
    )
    trust_identity_provider(unit, connection_id, SamlTrust(read.entity_id, read.sso_url, certificates))


def _shown(path: Path) -> str:
    """Return a path as people would type it here."""
    try:
        return str(path.relative_to(Path.cwd().resolve()))
    except ValueError:
        return str(path)
