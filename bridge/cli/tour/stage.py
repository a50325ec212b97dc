"""The stage of the tour: three customers taken in, with their identity providers."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bridge.adapters.saml import parse_idp_metadata
from bridge.adapters.saml.trust import trust_in
from bridge.billing import BuiltinPayments
from bridge.cli.tour.cast import CAST, Role
from bridge.cli.tour.ground import Ground
from bridge.cli.tour.narration import Narrator
from bridge.config import load_settings
from bridge.domain.actors import OPERATOR
from bridge.domain.identifiers import ConnectionId, MemberId, OrgId
from bridge.ports import ContractDraft, TierPrice
from bridge.runtime import Runtime, build_runtime
from bridge.simulator.company import Company
from bridge.simulator.saml import SimulatedIdp
from bridge.simulator.server import bind, serving
from bridge.store.database import driver_url
from bridge.store.unit import Unit
from bridge.usecases.connections import (
    claim_domain,
    create_connection,
    issue_scim_token,
    verify_domain,
)
from bridge.usecases.edit_mappings import apply_mappings
from bridge.usecases.organizations import OrganizationDraft
from bridge.usecases.preview_mappings import preview_mappings
from bridge.usecases.saml_trust import trust_saml_provider
from bridge.usecases.sign_in_links import create_sign_in_link

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
    processes: Mapping[str, "subprocess.Popen[bytes]"] = field(repr=False)

    def ended(self) -> list[str]:
        """Return the names of the service's processes that run no more."""
        return [name for name, process in self.processes.items() if process.poll() is not None]

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
def set_stage(ground: Ground, narrator: Narrator) -> Iterator[Stage]:
    """Take the customers in while the service starts, and run the worker and the identity providers meanwhile."""
    with ExitStack() as stack:
        with narrator.step("service") as notes:
            notes.append(ground.url)
            settings = load_settings(ground.config_file, {})
            runtime = build_runtime(settings, driver_url(ground.database_url), payments=BuiltinPayments())
            stack.callback(runtime.close)
            site = bind()
            idp_url = f"http://localhost:{site.server_port}"
            customers = {role.slug: _take_in(runtime, role, ground.url, idp_url) for role in CAST}
            companies = {slug: customer.company for slug, customer in customers.items()}
            stack.enter_context(serving(site, companies, ground.url))
            ground.wait_until_ready()
            worker = stack.enter_context(ground.worker())
        narrator.note("identity", f"{idp_url} (simulated: SCIM and SAML)")
        yield Stage(ground.url, idp_url, ground.config_file, runtime, customers, {"web": ground.web, "worker": worker})


def _take_in(runtime: Runtime, role: Role, url: str, idp_url: str) -> Customer:
    """Take one customer in as an operator would: contract, connection, trust, domain, mappings."""
    now = datetime.now(UTC)
    start = role.start(now).astimezone(UTC)
    created = runtime.create_organization(_draft(role, start), at=start)
    entity_id = f"{idp_url}/{role.slug}"
    idp = SimulatedIdp.create(entity_id, f"{entity_id}/sso", now=now, dialect=role.dialect)
    with runtime.unit(created.org_id, OPERATOR) as unit:
        connection_id = create_connection(unit, role.dialect.title()).id
        token = reading_token = ""
        if role.scim:
            token = issue_scim_token(unit, connection_id, label="provisioning").text
            reading_token = issue_scim_token(unit, connection_id, label="seats, read only", can_write=False).text
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
        reading_token=reading_token,
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
    read = parse_idp_metadata(idp.metadata(), now=unit.at)
    trust_saml_provider(unit, connection_id, trust_in(read))
