"""Every table. A tenant table's key starts with ``org_id`` and is under forced row-level security."""

from bridge.store.models.billing import Contract, Invoice, InvoiceLine, Payment, SeatPool
from bridge.store.models.directory import (
    Connection,
    Domain,
    Group,
    GroupMember,
    IdpCertificate,
    Member,
    ParkedMember,
    ScimToken,
)
from bridge.store.models.journal import (
    Alert,
    AuditEntry,
    Decision,
    Delivery,
    IdempotencyKey,
    MappingVersion,
    Preview,
)
from bridge.store.models.organization import Organization, OrganizationState
from bridge.store.models.sessions import (
    Identity,
    SamlReplay,
    SamlRequest,
    SignInEvent,
    SignInLink,
    WebSession,
)

__all__ = [
    "Alert",
    "AuditEntry",
    "Connection",
    "Contract",
    "Decision",
    "Delivery",
    "Domain",
    "Group",
    "GroupMember",
    "IdempotencyKey",
    "Identity",
    "IdpCertificate",
    "Invoice",
    "InvoiceLine",
    "MappingVersion",
    "Member",
    "Organization",
    "OrganizationState",
    "ParkedMember",
    "Payment",
    "Preview",
    "SamlReplay",
    "SamlRequest",
    "ScimToken",
    "SeatPool",
    "SignInEvent",
    "SignInLink",
    "WebSession",
]
