"""Organizations: taking a customer in, and what an operator sees of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from bridge.domain.documents import comparison_key
from bridge.domain.identifiers import ConnectionId, MemberId, OrgId, new_id
from bridge.domain.plan_kinds import EVALUATION, FIXED_FEE, REMOTE, SOLD_BY_SEATS
from bridge.domain.roles import Role
from bridge.errors import InvalidInputError, UniquenessError
from bridge.ports import ContractDraft, InvoiceReference
from bridge.store.gate import find_organization
from bridge.store.journal import record
from bridge.store.models import Connection, Contract, Member, Organization, OrganizationState, SeatPool
from bridge.store.pools import read_pools
from bridge.store.unit import Unit
from bridge.usecases.alerts import queue_delivery
from bridge.usecases.billing_details import change_billing_details
from bridge.usecases.provision_member import PersonDraft, Source, provision_member

LOCALES = ("en", "fr", "nl", "sv")
MAX_SLUG = 63
#: Minor units for one seat and period; with the most seats a plan may have, every sum still fits the ledger.
MAX_PRICE = 1_000_000_000
MAX_SEATS = 1_000_000
MAX_ANNUAL_FEE = 10**12
#: An evaluation that goes on for longer is taken for a slip; it can be extended.
LONGEST_EVALUATION = timedelta(days=366)
_SLUG = re.compile(r"[a-z0-9](-?[a-z0-9])*")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+")
_MAX_EMAIL = 254
_MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class OrganizationDraft:
    """A customer to take in.

    Args:
        slug: The name in URLs: small letters and digits, parts joined by single dashes, at most 63 characters.
        locale: en, fr, nl or sv.
        time_zone: IANA name.
        owner_email: The primary owner's address, and their userName.
        billing: Billing details that the first invoice carries already, as
            :func:`bridge.usecases.billing_details.change_billing_details` takes them.
    """

    slug: str
    name: str
    locale: str
    time_zone: str
    contract: ContractDraft
    owner_email: str
    owner_name: str
    billing: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CreatedOrganization:
    """A customer taken in: its id, its primary owner, and the first period's invoice if anything was billed."""

    org_id: OrgId
    owner_id: MemberId
    invoice: InvoiceReference | None


@dataclass(frozen=True, slots=True)
class OrganizationSummary:
    """What an operator sees of an organization at a glance; pools stand best tier first."""

    organization: Organization
    contract: Contract
    pools: tuple[SeatPool, ...]
    members: int


def create_organization(unit: Unit, draft: OrganizationDraft) -> CreatedOrganization:
    """Take a customer in: organization, contract, pools, the first invoice (rule P1) and the primary owner.

    The owner has no seat; nobody else is in it yet.

    Args:
        unit: A unit that is bound to the new organization's id already: row-level security lets nothing else in.
        draft: The customer.

    Raises:
        InvalidInputError: A field is not possible.
        UniquenessError: The slug is taken.
        PaymentFailedError: The first payment was declined; the unit must roll back.
    """
    check_draft(draft)
    taken = find_organization(unit.session, draft.slug)
    if taken is not None:
        raise UniquenessError(attribute="slug", value=draft.slug, taken_by=str(taken))
    _insert_organization(unit, draft)
    record(
        unit,
        "organization.created",
        subject_kind="organization",
        subject_id=unit.org_id,
        reason="operator",
        body={
            "kind": draft.contract.kind,
            "seats": {tier.key: tier.seats for tier in draft.contract.tiers},
            **({"until": draft.contract.until.isoformat()} if draft.contract.until else {}),
        },
    )
    manual = Connection(
        org_id=unit.org_id,
        id=ConnectionId(new_id()),
        kind="manual",
        name="Added by hand",
        created_at=unit.at,
        jit_enabled=False,
    )
    unit.session.add(manual)
    unit.session.flush()
    change_billing_details(unit, draft.billing)
    invoice = unit.billing.start(draft.contract).invoice
    if invoice is not None:
        queue_delivery(unit, "invoice_mail", key=f"invoice:{invoice.id}", subject_id=invoice.id)
    owner = _add_owner(unit, manual.id, draft)
    return CreatedOrganization(org_id=unit.org_id, owner_id=owner.id, invoice=invoice)


def check_draft(draft: OrganizationDraft) -> None:
    """Refuse what cannot be an organization; the contract's own terms are checked by the billing core.

    Raises:
        InvalidInputError: Naming the field, what is wrong and what would be right.
    """
    if len(draft.slug) > MAX_SLUG or not _SLUG.fullmatch(draft.slug):
        shape = f"small letters and digits, parts joined by single dashes, at most {MAX_SLUG} characters"
        raise InvalidInputError("slug", f"{draft.slug!r} is no name for URLs, which is {shape}: nordlys-labs")
    if not draft.name.strip() or len(draft.name) > _MAX_NAME or not draft.name.isprintable():
        raise InvalidInputError("name", f"must be 1 to {_MAX_NAME} printable characters")
    if draft.locale not in LOCALES:
        raise InvalidInputError("locale", f"{draft.locale!r} is not one of {', '.join(LOCALES)}")
    for place, zone in (("time_zone", draft.time_zone), ("contract.time_zone", draft.contract.time_zone)):
        check_time_zone(place, zone)
    if len(draft.owner_email) > _MAX_EMAIL or not _EMAIL.fullmatch(draft.owner_email):
        raise InvalidInputError("owner_email", f"{draft.owner_email!r} is no mail address")
    check_plan(draft.contract)


def check_plan(contract: ContractDraft) -> None:
    """Refuse a plan that is a slip; its terms are checked by the billing core.

    Raises:
        InvalidInputError: Naming the field.
    """
    if contract.billed_by == REMOTE and contract.kind not in SOLD_BY_SEATS:
        raise InvalidInputError("billed_by", f"a core of its own bills {' and '.join(SOLD_BY_SEATS)} plans only")
    if contract.kind == FIXED_FEE:
        _check_fixed_fee(contract)
    elif contract.kind == EVALUATION:
        _check_evaluation(contract)
    elif not contract.tiers:
        raise InvalidInputError("contract.tiers", "a plan has at least one tier of seats")
    for tier in contract.tiers:
        if tier.price > MAX_PRICE:
            raise InvalidInputError(f"contract.tiers.{tier.key}", f"a price above {MAX_PRICE:,} minor units is a slip")
        if tier.seats > MAX_SEATS:
            raise InvalidInputError(f"contract.tiers.{tier.key}", f"a plan has at most {MAX_SEATS:,} seats of a tier")


def _check_evaluation(contract: ContractDraft) -> None:
    """Refuse an evaluation that ends before it begins, or in years.

    Raises:
        InvalidInputError: Naming the field.
    """
    if contract.until is None or not contract.anchor < contract.until <= contract.anchor + LONGEST_EVALUATION:
        raise InvalidInputError("until", f"must be to come, and at most {LONGEST_EVALUATION.days} days ahead")


def _check_fixed_fee(contract: ContractDraft) -> None:
    """Refuse a fixed fee that is a slip, and seats beside one.

    Raises:
        InvalidInputError: Naming the field.
    """
    if contract.tiers:
        raise InvalidInputError("contract.tiers", "a contract for a fixed fee has no seats: people have roles")
    if contract.fee is None:
        raise InvalidInputError("contract.fee", "a contract for a fixed fee names the fee, the tier and its paid users")
    if not 0 <= contract.fee.annual_fee <= MAX_ANNUAL_FEE:
        raise InvalidInputError("contract.fee", f"an annual fee is 0 to {MAX_ANNUAL_FEE:,} minor units")


def check_time_zone(field: str, name: str) -> None:
    """Refuse a name that is no IANA time zone.

    Raises:
        InvalidInputError: Naming the field.
    """
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as problem:
        raise InvalidInputError(field, f"{name!r} is no time zone such as Europe/Oslo") from problem


def _insert_organization(unit: Unit, draft: OrganizationDraft) -> None:
    unit.session.add(
        Organization(
            id=unit.org_id,
            slug=draft.slug,
            name=draft.name.strip(),
            locale=draft.locale,
            time_zone=draft.time_zone,
            created_at=unit.at,
        )
    )
    try:
        unit.session.flush()
    except IntegrityError as race:
        raise UniquenessError(attribute="slug", value=draft.slug, taken_by="another organization") from race
    unit.session.add(
        OrganizationState(
            org_id=unit.org_id,
            audit_seq=0,
            audit_head=b"",
            member_position=0,
            group_position=0,
            invoice_number=0,
            mapping_version=0,
            seat_version=0,
        )
    )
    unit.session.flush()


def _add_owner(unit: Unit, connection_id: ConnectionId, draft: OrganizationDraft) -> Member:
    person = PersonDraft(
        draft.owner_email,
        document={
            "displayName": draft.owner_name.strip() or draft.owner_email,
            "emails": [{"value": draft.owner_email, "primary": True}],
        },
    )
    owner = provision_member(unit, connection_id, person, Source.MANUAL)
    owner.role = str(Role.PRIMARY_OWNER)
    record(
        unit,
        "member.role_changed",
        subject_kind="member",
        subject_id=owner.id,
        reason="organization_created",
        body={"from": str(Role.MEMBER), "to": str(Role.PRIMARY_OWNER)},
    )
    unit.session.flush()
    return owner


def show_organization(unit: Unit) -> OrganizationSummary:
    """Sum an organization up for the operator."""
    members = unit.session.scalar(
        select(func.count()).select_from(Member).where(Member.org_id == unit.org_id, Member.active)
    )
    return OrganizationSummary(
        organization=unit.organization(),
        contract=unit.session.get_one(Contract, unit.org_id),
        pools=tuple(read_pools(unit)),
        members=members or 0,
    )


def find_owner_by_email(unit: Unit, email: str) -> Member | None:
    """Return the active owner of a mail address, compared without case: whom an operator lets back in."""
    return unit.session.scalars(
        select(Member)
        .where(
            Member.org_id == unit.org_id,
            Member.active,
            Member.email_key == comparison_key(email),
            Member.role.in_([Role.PRIMARY_OWNER, Role.OWNER]),
        )
        .order_by(Member.position)
        .limit(1)
    ).one_or_none()
