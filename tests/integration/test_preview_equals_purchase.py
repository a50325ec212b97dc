"""Whom a preview of seats promises one is whom the purchase serves, in that order, whatever the rules and the line."""

import random
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select

from bridge.store.models import Member
from bridge.store.pools import read_pools
from bridge.usecases.buy_seats import confirm_seats, preview_seats
from bridge.usecases.edit_mappings import apply_mappings
from bridge.usecases.preview_mappings import preview_mappings
from bridge.usecases.provision_member import PersonDraft, Source, provision_member
from bridge.usecases.sync_groups import sync_claimed_groups
from tests.conftest import SettableClock
from tests.factories import Customer


def arrive(customer: Customer, name: str, groups: tuple[str, ...]) -> None:
    with customer.unit(customer.directory) as unit:
        member = provision_member(
            unit, customer.connection_id, PersonDraft(f"{name}@nordlys.test"), Source.JIT, claimed_groups=groups
        )
        sync_claimed_groups(unit, customer.connection_id, member, groups)


def tiers(customer: Customer) -> dict[object, str | None]:
    with customer.unit() as unit:
        return {row.id: row.tier for row in unit.session.execute(select(Member.id, Member.tier))}


@pytest.mark.parametrize("seed", range(10))
def test_the_purchase_serves_whom_the_preview_showed(
    make_customer: Callable[..., Customer], clock: SettableClock, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 (a test's die, thrown the same way each time)
    customer = make_customer(premium=chance.randint(0, 2), standard=chance.randint(0, 2))
    document = {
        "schema": 1,
        "on_exhausted": "next_lower" if seed % 2 else "unassigned",
        "default": chance.choice(["highest_available", "standard", "premium"]),
        "rules": [
            {"group": "eng", "expected": True, "tier": "premium"},
            {"group": "ops", "expected": True, "tier": "standard"},
        ],
    }
    with customer.unit(customer.owner) as unit:
        apply_mappings(unit, preview_mappings(unit, document).id, acknowledged=True)
    for number in range(9):
        clock.at += timedelta(seconds=chance.randint(0, 1))
        arrive(customer, f"u{number}", tuple(chance.sample(["eng", "ops", "other"], chance.randint(0, 2))))
    before = tiers(customer)
    with customer.unit(customer.owner) as unit:
        preview = preview_seats(unit, {"premium": chance.randint(1, 3), "standard": chance.randint(0, 3)})

    with customer.unit(customer.owner) as unit:
        done = confirm_seats(unit, preview.id, acknowledged=True)

    assert done.promoted == tuple(one.member_id for one in preview.promotions)
    after = tiers(customer)
    assert {member: tier for member, tier in after.items() if tier != before[member]} == {
        one.member_id: one.to_tier for one in preview.promotions
    }
    with customer.unit() as unit:
        assert all(pool.used == list(after.values()).count(pool.tier) for pool in read_pools(unit))
