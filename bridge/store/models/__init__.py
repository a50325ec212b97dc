"""Every table. A tenant table's key starts with ``org_id`` and is under forced row-level security."""

from bridge.store.models.api_keys import ApiKey
from bridge.store.models.approvals import Approval, MappingDraft
from bridge.store.models.apps import App, AppGrant, AppRefreshToken, AppSecret, InstallationEvent, SigningKey
from bridge.store.models.billing import (
    AgreedChange,
    Contract,
    FixedFee,
    Invoice,
    InvoiceLine,
    Payment,
    SeatPool,
    StoredBillingDetails,
)
from bridge.store.models.brake import HeldPerson, Hold
from bridge.store.models.budgets import BudgetPurchase, SeatBudget, SeatWatch
from bridge.store.models.directory import (
    Connection,
    Domain,
    Group,
    GroupMember,
    IdpCertificate,
    Member,
    OidcProvider,
    ParkedMember,
    SamlProvider,
    ScimClient,
    ScimClientSecret,
    ScimToken,
)
from bridge.store.models.extensions import DeclaredSchema
from bridge.store.models.journal import (
    Alert,
    AuditEntry,
    Decision,
    Delivery,
    IdempotencyKey,
    MappingVersion,
    Preview,
)
from bridge.store.models.nesting import GroupAncestor, GroupNesting, effective_membership
from bridge.store.models.orders import BillingConnection, BillingOrder, CoreEventApplied
from bridge.store.models.organization import Organization, OrganizationState
from bridge.store.models.paging import MemberEmail, PageLandmark
from bridge.store.models.product_roles import ProductRole, ProductRoleHolder
from bridge.store.models.requests import DialectSign, LoggedRequest
from bridge.store.models.service_keys import SamlSession, ServiceKey
from bridge.store.models.sessions import (
    Identity,
    RemovedPerson,
    SamlReplay,
    SignInEvent,
    SignInLink,
    SignInRequest,
    WebSession,
)
from bridge.store.models.setup_links import SetupLink
from bridge.store.models.stripe import StripeOrder, StripePicture
from bridge.store.models.webhooks import WebhookEndpoint, WebhookMessage
from bridge.store.models.workspace import LicenceHolder, LicencePlan, Team, TeamSpell, TeamStay

__all__ = [
    "AgreedChange",
    "Alert",
    "ApiKey",
    "App",
    "AppGrant",
    "AppRefreshToken",
    "AppSecret",
    "Approval",
    "AuditEntry",
    "BillingConnection",
    "BillingOrder",
    "BudgetPurchase",
    "Connection",
    "Contract",
    "CoreEventApplied",
    "Decision",
    "DeclaredSchema",
    "Delivery",
    "DialectSign",
    "Domain",
    "FixedFee",
    "Group",
    "GroupAncestor",
    "GroupMember",
    "GroupNesting",
    "HeldPerson",
    "Hold",
    "IdempotencyKey",
    "Identity",
    "IdpCertificate",
    "InstallationEvent",
    "Invoice",
    "InvoiceLine",
    "LicenceHolder",
    "LicencePlan",
    "LoggedRequest",
    "MappingDraft",
    "MappingVersion",
    "Member",
    "MemberEmail",
    "OidcProvider",
    "Organization",
    "OrganizationState",
    "PageLandmark",
    "ParkedMember",
    "Payment",
    "Preview",
    "ProductRole",
    "ProductRoleHolder",
    "RemovedPerson",
    "SamlProvider",
    "SamlReplay",
    "SamlSession",
    "ScimClient",
    "ScimClientSecret",
    "ScimToken",
    "SeatBudget",
    "SeatPool",
    "SeatWatch",
    "ServiceKey",
    "SetupLink",
    "SignInEvent",
    "SignInLink",
    "SignInRequest",
    "SigningKey",
    "StoredBillingDetails",
    "StripeOrder",
    "StripePicture",
    "Team",
    "TeamSpell",
    "TeamStay",
    "WebSession",
    "WebhookEndpoint",
    "WebhookMessage",
    "effective_membership",
]
