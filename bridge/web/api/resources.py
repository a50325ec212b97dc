"""Everything the programming interface speaks of, in the order of its reference."""

from typing import Final

from bridge.web.api.approvals import approvals
from bridge.web.api.brake import brake
from bridge.web.api.connections import connections, domains, provisioning, sso
from bridge.web.api.contract import contract
from bridge.web.api.events import audit, events
from bridge.web.api.imports import imports, schemas
from bridge.web.api.invoices import billing, exports, invoices
from bridge.web.api.mappings import groups, mappings
from bridge.web.api.operations import Operation, Resource
from bridge.web.api.organization import key, organization
from bridge.web.api.people import people, session_list
from bridge.web.api.seats import seats
from bridge.web.api.webhooks import webhooks
from bridge.web.api.workspace import inactive, licences, teams, users

RESOURCES: Final[tuple[Resource, ...]] = (
    organization,
    key,
    people,
    session_list,
    inactive,
    imports,
    groups,
    seats,
    mappings,
    approvals,
    brake,
    contract,
    invoices,
    billing,
    exports,
    teams,
    licences,
    users,
    connections,
    domains,
    sso,
    provisioning,
    schemas,
    events,
    webhooks,
    audit,
)


def all_operations() -> list[Operation]:
    """Return every operation."""
    return [operation for resource in RESOURCES for operation in resource.operations]
