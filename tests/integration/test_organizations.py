"""Taking customers in."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import select

from bridge.domain.actors import OPERATOR
from bridge.errors import InvalidInputError, PaymentFailedError, UniquenessError
from bridge.ports import ContractDraft, TierPrice
from bridge.runtime import Runtime
from bridge.store.directory import get_member, manual_connection
from bridge.store.gate import find_organization, list_organizations
from bridge.store.journal import verify
from bridge.store.models import Invoice
from bridge.usecases.organizations import OrganizationDraft, find_owner_by_email, show_organization
from tests.billing import Payments
from tests.factories import Customer

STANDARD = TierPrice("standard", "Standard", 1, 2500, 5)
PREMIUM = TierPrice("premium", "Premium", 2, 15000, 2)
CONTRACT = ContractDraft(
    kind="team",
    cycle="month",
    anchor=datetime(2026, 3, 1, tzinfo=UTC),
    currency="EUR",
    time_zone="Europe/Oslo",
    tiers=(PREMIUM, STANDARD),
)
DRAFT = OrganizationDraft(
    slug="nordlys-labs",
    name="Nordlys Labs",
    locale="en",
    time_zone="Europe/Oslo",
    contract=CONTRACT,
    owner_email="Olga@nordlys.example",
    owner_name="Olga Owner",
)


def test_an_organization_starts_with_its_plan_its_first_invoice_and_an_owner_without_a_seat(runtime: Runtime) -> None:
    created = runtime.create_organization(DRAFT)

    with runtime.unit(created.org_id, OPERATOR) as unit:
        shown = show_organization(unit)
        owner = get_member(unit, created.owner_id)
        invoice = unit.session.scalars(select(Invoice)).one()
        assert owner.connection_id == manual_connection(unit).id
        assert verify(unit) is None
    assert (owner.role, owner.source, owner.tier, owner.pinned) == ("primary_owner", "manual", None, False)
    assert (shown.organization.slug, shown.contract.status, shown.members) == ("nordlys-labs", "active", 1)
    assert [(pool.tier, pool.total, pool.used) for pool in shown.pools] == [("premium", 2, 0), ("standard", 5, 0)]
    # 5 × 25.00 + 2 × 150.00 = 425.00.
    assert (invoice.number, invoice.reason, invoice.total) == ("NORDLYS-LABS-000001", "start", 42500)
    assert created.invoice is not None
    assert created.invoice.id == str(invoice.id)


def test_p1_a_plan_without_seats_starts_without_an_invoice(runtime: Runtime) -> None:
    contract = replace(CONTRACT, tiers=(replace(STANDARD, seats=0),))

    created = runtime.create_organization(replace(DRAFT, contract=contract))

    assert created.invoice is None


def test_an_owner_is_found_by_address_whatever_its_case(runtime: Runtime) -> None:
    created = runtime.create_organization(DRAFT)

    with runtime.unit(created.org_id, OPERATOR) as unit:
        owner = find_owner_by_email(unit, "OLGA@nordlys.example")
        nobody = find_owner_by_email(unit, "other@nordlys.example")

    assert owner is not None
    assert owner.id == created.owner_id
    assert nobody is None


def test_a_slug_is_taken_once(runtime: Runtime) -> None:
    runtime.create_organization(DRAFT)

    with pytest.raises(UniquenessError, match="slug 'nordlys-labs' is already taken"):
        runtime.create_organization(replace(DRAFT, name="Another"))

    assert len(runtime.ask_gate(list_organizations)) == 1


def test_of_two_organizations_of_one_slug_at_once_one_is_refused(runtime: Runtime) -> None:
    barrier = Barrier(2)

    def create(name: str) -> str:
        barrier.wait(10)
        try:
            runtime.create_organization(replace(DRAFT, name=name))
        except UniquenessError as refusal:
            return refusal.code
        return "created"

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(create, ("One", "Two")))

    assert outcomes == ["created", "uniqueness"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"slug": "Nordlys"}, "slug"),
        ({"slug": "-nordlys"}, "slug"),
        ({"slug": "nord--lys"}, "slug"),
        ({"slug": "nordlys-"}, "slug"),
        ({"slug": "nordlys\n"}, "slug"),
        ({"slug": ""}, "slug"),
        ({"slug": "a" * 64}, "slug"),
        ({"name": " "}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"locale": "de"}, "locale"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"time_zone": "../etc/passwd"}, "time_zone"),
        ({"owner_email": "olga"}, "owner_email"),
        ({"owner_email": "olga@localhost"}, "owner_email"),
        ({"contract": replace(CONTRACT, time_zone="Mars/Olympus")}, "contract.time_zone"),
        ({"contract": replace(CONTRACT, tiers=())}, "contract.tiers"),
        ({"contract": replace(CONTRACT, currency="EURO")}, "currency"),
        ({"contract": replace(CONTRACT, kind="licence")}, "kind"),
        ({"contract": replace(CONTRACT, kind="enterprise", cycle="month")}, "contract"),
        ({"contract": replace(CONTRACT, tax_rate="a quarter")}, "tax_rate"),
        ({"contract": replace(CONTRACT, tiers=(STANDARD, replace(PREMIUM, rank=1)))}, "tiers"),
        ({"contract": replace(CONTRACT, tiers=(replace(STANDARD, key="any"),))}, "tiers"),
        ({"contract": replace(CONTRACT, tiers=(replace(STANDARD, price=-1),))}, "tiers.standard"),
        ({"contract": replace(CONTRACT, contract_minimum={"gold": 1})}, "contract"),
    ],
    ids=str,
)
def test_an_impossible_field_is_named_and_nothing_is_created(
    runtime: Runtime, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        runtime.create_organization(replace(DRAFT, **changes))

    assert refused.value.field == field
    assert runtime.ask_gate(list_organizations) == []


def test_q4_a_declined_first_payment_creates_nothing(customer: Customer) -> None:
    declining = Payments(customer, declined=True).customer.runtime

    with pytest.raises(PaymentFailedError):
        declining.create_organization(DRAFT)

    assert customer.runtime.ask_gate(lambda session: find_organization(session, "nordlys-labs")) is None


def test_t1_two_organizations_number_their_invoices_each_for_itself(make_customer: Callable[..., Customer]) -> None:
    one, two = make_customer("nordlys"), make_customer("fjord")

    numbers = []
    for customer in (one, two):
        with customer.unit() as unit:
            numbers.append(unit.session.scalars(select(Invoice.number)).all())

    assert numbers == [["NORDLYS-000001"], ["FJORD-000001"]]
