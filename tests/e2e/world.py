"""A company whose pages have something on them: two tiers, mapped groups, a full pool and people in line."""

from datetime import UTC, datetime, timedelta

from bridge.runtime import Runtime
from bridge.usecases.buy_seats import change_seats
from bridge.usecases.edit_mappings import apply_mappings
from bridge.usecases.preview_mappings import preview_mappings
from tests.factories import Customer, create_customer
from tests.web import add_to_group, push_group

ENGINEERING = ("Alice Lindqvist", "Elin Berg", "Gustav Ek", "Bram de Vries", "Femke Visser")
SUPPORT = ("Chloé Moreau", "Hugo Petit", "Ida Holm", "Tove Aalto", "Johan Svensson", "Wiktor Nowak")
PARTNERS = ("Noor Bakker", "Émile Roux")

MAPPINGS = {
    "schema": 1,
    "on_exhausted": "next_lower",
    "default": "unassigned",
    "rules": [
        {"group": "Engineering", "expected": True, "tier": "premium", "teams": ["platform"]},
        {"group": "Support", "expected": True, "tier": "standard"},
    ],
}


def build_world(runtime: Runtime) -> Customer:
    """Create Nordlys: 3 Premium seats for 5 engineers, 12 Standard seats, an enterprise contract since 1 January.

    Bram and Femke come last of the engineers: they hold Standard and wait, in this order.
    """
    start = datetime(2026, 1, 1, tzinfo=UTC)
    customer = create_customer(
        runtime,
        "nordlys",
        kind="enterprise",
        premium=2,
        standard=12,
        premium_price=72000,
        standard_price=30000,
        anchor=start,
    )
    with customer.unit(customer.owner, at=start + timedelta(days=31)) as unit:
        change_seats(unit, {"premium": 1}, key="february")
    with customer.unit(customer.owner) as unit:
        preview = preview_mappings(unit, MAPPINGS)
        apply_mappings(unit, preview.id, acknowledged=False)
    for name, names in (("Engineering", ENGINEERING), ("Support", SUPPORT), ("Partners", PARTNERS)):
        push_group(customer, name, [])
        for person in names:  # one by one, so that the first ones get the seats
            address = f"{person.split()[0].lower()}@nordlys.test"
            member = customer.push(address, displayName=person, emails=[{"value": address, "primary": True}])
            add_to_group(customer, name, member)
    return customer
