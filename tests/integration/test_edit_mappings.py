"""Changing the mappings: applying does exactly what the preview showed, or nothing at all (rules A8, Q1 to Q5)."""

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import func, select

from bridge.domain.actors import Actor, ActorKind
from bridge.domain.identifiers import new_id
from bridge.domain.roles import Role
from bridge.errors import (
    AcknowledgementMissingError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    PreviewExpiredError,
    PreviewStaleError,
)
from bridge.store.journal import verify
from bridge.store.models import AuditEntry, Delivery, Invoice, Member
from bridge.store.pools import read_pools
from bridge.usecases.alerts import open_alerts
from bridge.usecases.assign_seats import assign_tier
from bridge.usecases.edit_mappings import MappingsApplied, apply_mappings
from bridge.usecases.explain import explain_member
from bridge.usecases.preview_mappings import mapping_problems, open_preview, preview_mappings
from bridge.usecases.read_mappings import read_mappings
from tests.conftest import SettableClock
from tests.factories import Customer
from tests.web import add_to_group, make_admin, push_group


def rules(*given: dict[str, Any], default: str = "unassigned", on_exhausted: str = "unassigned") -> dict[str, Any]:
    return {"schema": 1, "default": default, "on_exhausted": on_exhausted, "rules": list(given)}


ENGINEERS_PREMIUM = rules({"group": "Engineering", "expected": True, "tier": "premium"})
ENGINEERS_STANDARD = rules({"group": "Engineering", "expected": True, "tier": "standard"})


def apply(customer: Customer, document: dict[str, Any], **options: bool) -> MappingsApplied:
    """Preview and apply as the owner."""
    with customer.unit(customer.owner) as unit:
        preview = preview_mappings(unit, document)
    buy = options.get("buy", False)
    with customer.unit(customer.owner) as unit:
        return apply_mappings(unit, preview.id, acknowledged=buy, buy=buy, roles_acknowledged=True)


def engineers(customer: Customer, number: int) -> list[Member]:
    """Push a group of people, one after the other."""
    push_group(customer, "Engineering", [])
    people = []
    for index in range(number):
        person = customer.push(f"e{index}@nordlys.test", displayName=f"Engineer {index}")
        add_to_group(customer, "Engineering", person)
        people.append(person)
    return people


def seats(customer: Customer) -> dict[str, tuple[str | None, str | None]]:
    """Return {userName: (tier, waiting_for)} of the people pushed."""
    with customer.unit() as unit:
        rows = unit.session.scalars(select(Member).where(Member.source == "scim").order_by(Member.position))
        return {member.user_name: (member.tier, member.waiting_for) for member in rows}


def used(customer: Customer) -> dict[str, int]:
    with customer.unit() as unit:
        return {pool.tier: pool.used for pool in read_pools(unit)}


def test_nobody_moves_by_looking_at_a_preview(customer: Customer) -> None:
    apply(customer, ENGINEERS_STANDARD)
    engineers(customer, 2)
    before = seats(customer)

    with customer.unit(customer.owner) as unit:
        preview = preview_mappings(unit, ENGINEERS_PREMIUM)

    assert len(preview.moves.moves) == 2
    assert seats(customer) == before


def test_applying_moves_exactly_whom_the_preview_named(customer: Customer) -> None:
    apply(customer, ENGINEERS_STANDARD)
    engineers(customer, 3)
    with customer.unit(customer.owner) as unit:
        preview = preview_mappings(unit, ENGINEERS_PREMIUM)
        shown = {preview.names[move.member_id]: move.to_tier for move in preview.moves.moves}  # type: ignore[index] # ids
    with customer.unit(customer.owner) as unit:
        apply_mappings(unit, preview.id, acknowledged=False)

    moved = {name: tier for name, (tier, _) in seats(customer).items() if tier == "premium"}
    # 2 Premium seats for 3 engineers: two move up, the third keeps Standard and waits.
    assert len(shown) == len(moved) == 2
    assert used(customer) == {"premium": 2, "standard": 1}
    assert sorted(waiting for _, waiting in seats(customer).values() if waiting) == ["premium"]


@pytest.mark.parametrize("on_exhausted", ["unassigned", "next_lower", "reject"])
@pytest.mark.parametrize("number", [1, 3, 6, 9])
def test_after_applying_the_heads_are_what_the_preview_said(customer: Customer, on_exhausted: str, number: int) -> None:
    engineers(customer, number)
    wanted = rules({"group": "Engineering", "expected": True, "tier": "standard"}, on_exhausted=on_exhausted)

    with customer.unit(customer.owner) as unit:
        preview = preview_mappings(unit, wanted)
    with customer.unit(customer.owner) as unit:
        apply_mappings(unit, preview.id, acknowledged=False)

    promised = {count.tier: count.after for count in preview.moves.seats if count.tier}
    assert used(customer) == promised
    waiting = sum(1 for _, waits in seats(customer).values() if waits)
    assert waiting == sum(count.short for count in preview.moves.seats)


@pytest.mark.parametrize("seed", range(8))
def test_every_person_ends_with_exactly_what_the_preview_said(
    customer: Customer, clock: SettableClock, seed: int
) -> None:
    """The preview counts cohorts, applying settles people one by one: both must tell the same story (Q2)."""
    random = Random(seed)  # noqa: S311 (draws cases, no secrets)
    groups = ("Engineering", "Support", "Board", "Sales")
    people = [customer.push(f"p{index}@nordlys.test") for index in range(12)]
    for group in groups:
        push_group(customer, group, random.sample(people, random.randint(1, 8)))

    for _ in range(5):
        drawn = [
            {"group": group, "expected": True, "tier": random.choice(["premium", "standard", "unassigned"])}
            | ({"on_exhausted": random.choice(["next_lower", "unassigned"])} if random.random() < 0.3 else {})
            for group in random.sample(groups, random.randint(1, 4))
        ]
        wanted = rules(*drawn, on_exhausted=random.choice(["unassigned", "next_lower", "reject"]))
        before = places(customer)
        with customer.unit(customer.owner) as unit:
            if mapping_problems(unit, wanted):
                continue  # drawn twice in a row
            preview = preview_mappings(unit, wanted)
        promised = before | {
            member_id: (settlement.decision.tier, settlement.decision.waiting_for)
            for settlement in preview.moves.settlements
            for member_id in settlement.member_ids
        }
        clock.at += timedelta(seconds=1)  # who begins to wait now stands behind who waited before
        with customer.unit(customer.owner) as unit:
            apply_mappings(unit, preview.id, acknowledged=False)

        assert places(customer) == promised
        assert used(customer) == held(customer)
    with customer.unit() as unit:
        assert verify(unit) is None


def held(customer: Customer) -> dict[str, int]:
    """Count the seats that people hold, by tier."""
    tiers = [tier for tier, _ in places(customer).values()]
    return {tier: tiers.count(tier) for tier in ("premium", "standard")}


def places(customer: Customer) -> dict[object, tuple[str | None, str | None]]:
    """Return {member id: (tier, waiting_for)} of everybody."""
    with customer.unit() as unit:
        return {member.id: (member.tier, member.waiting_for) for member in unit.session.scalars(select(Member))}


def test_a_withdrawn_rule_takes_the_seats_it_gave_and_the_next_in_line_gets_them(customer: Customer) -> None:
    """Rule A5."""
    apply(
        customer,
        rules(
            {"group": "Engineering", "expected": True, "tier": "premium"},
            {"group": "Board", "expected": True, "tier": "premium"},
        ),
    )
    engineers(customer, 2)
    push_group(customer, "Board", [])
    chair = customer.push("chair@nordlys.test", displayName="The Chair")
    add_to_group(customer, "Board", chair)
    assert seats(customer)["chair@nordlys.test"] == (None, "premium")

    apply(customer, rules({"group": "Board", "expected": True, "tier": "premium"}))

    assert seats(customer)["chair@nordlys.test"] == ("premium", None)
    assert used(customer) == {"premium": 1, "standard": 0}


def test_buying_the_missing_seats_charges_what_the_preview_showed_and_seats_everybody(customer: Customer) -> None:
    apply(customer, ENGINEERS_STANDARD)
    engineers(customer, 3)
    with customer.unit(customer.owner) as unit:
        preview = preview_mappings(unit, ENGINEERS_PREMIUM)
    assert preview.shortage == {"premium": 1}
    assert preview.quote is not None
    assert preview.quote.bill is not None

    with customer.unit(customer.owner) as unit:
        applied = apply_mappings(unit, preview.id, acknowledged=True, buy=True)

    # Bought at the period's very start: 1 × 150.00 × 1 = 150.00
    assert applied.invoice is not None
    assert applied.invoice.total == preview.quote.bill.total == 15000
    assert used(customer) == {"premium": 3, "standard": 0}


def test_the_price_is_pinned_to_the_instant_of_the_preview(customer: Customer, clock: SettableClock) -> None:
    """Rule Q2."""
    apply(customer, ENGINEERS_STANDARD)
    engineers(customer, 3)
    with customer.unit(customer.owner) as unit:
        preview = preview_mappings(unit, ENGINEERS_PREMIUM)
    clock.at += timedelta(minutes=14)

    with customer.unit(customer.owner) as unit:
        applied = apply_mappings(unit, preview.id, acknowledged=True, buy=True)

    assert applied.invoice is not None
    assert applied.invoice.total == 15000


def test_buying_needs_the_tick(customer: Customer) -> None:
    """Rule Q1."""
    with customer.unit(customer.owner) as unit:
        preview = preview_mappings(unit, ENGINEERS_PREMIUM)

    with pytest.raises(AcknowledgementMissingError), customer.unit(customer.owner) as unit:
        apply_mappings(unit, preview.id, acknowledged=False, buy=True)


def test_giving_somebody_a_higher_role_needs_the_tick(customer: Customer) -> None:
    engineers(customer, 2)
    document = rules(
        {"group": "Engineering", "expected": True, "connection": "Okta", "tier": "premium", "role": "admin"}
    )
    with customer.unit(customer.owner) as unit:
        preview = preview_mappings(unit, document)

    with pytest.raises(AcknowledgementMissingError), customer.unit(customer.owner) as unit:
        apply_mappings(unit, preview.id, acknowledged=False)

    assert preview.roles == {"admin": 2}
    assert apply(customer, document).roles == {"admin": 2}
    with customer.unit(customer.owner) as unit:
        withdrawn = preview_mappings(unit, rules({"group": "Engineering", "expected": True, "tier": "premium"}))
    # Losing a role is shown, and needs no tick.
    assert (withdrawn.roles, withdrawn.gives_roles) == ({"member": 2}, False)


def test_an_admin_sees_no_price_and_cannot_buy(customer: Customer) -> None:
    """Rules Z1 and Z2."""
    admin = Actor(ActorKind.MEMBER, make_admin(customer).id, Role.ADMIN)
    engineers(customer, 3)
    with customer.unit(admin) as unit:
        preview = preview_mappings(unit, ENGINEERS_PREMIUM)
    assert preview.quote is None

    with pytest.raises(ForbiddenError), customer.unit(admin) as unit:
        apply_mappings(unit, preview.id, acknowledged=True, buy=True)


def test_a_member_cannot_edit_mappings(customer: Customer) -> None:
    with pytest.raises(ForbiddenError), customer.unit(Actor(ActorKind.MEMBER, new_id())) as unit:
        preview_mappings(unit, ENGINEERS_PREMIUM)


def test_a_preview_is_refused_once_somebody_arrived_after_it(customer: Customer) -> None:
    """Rule Q3."""
    with customer.unit(customer.owner) as unit:
        preview = preview_mappings(unit, ENGINEERS_PREMIUM)
    customer.push("late@nordlys.test")

    with pytest.raises(PreviewStaleError), customer.unit(customer.owner) as unit:
        apply_mappings(unit, preview.id, acknowledged=False)

    with customer.unit() as unit:
        assert unit.state().mapping_version == 0


def test_a_preview_dies_after_fifteen_minutes(customer: Customer, clock: SettableClock) -> None:
    """Rule Q3."""
    with customer.unit(customer.owner) as unit:
        preview = preview_mappings(unit, ENGINEERS_PREMIUM)
    clock.at += timedelta(minutes=15)

    with pytest.raises(PreviewExpiredError), customer.unit(customer.owner) as unit:
        open_preview(unit, preview.id)


def test_another_organizations_preview_is_unknown(make_customer: Callable[..., Customer]) -> None:
    ours, theirs = make_customer("nordlys"), make_customer("sudlys")
    with theirs.unit(theirs.owner) as unit:
        preview = preview_mappings(unit, ENGINEERS_PREMIUM)

    with pytest.raises(NotFoundError), ours.unit(ours.owner) as unit:
        apply_mappings(unit, preview.id, acknowledged=False)


def test_applying_twice_does_it_once_and_answers_the_same(customer: Customer) -> None:
    """Rule Q5."""
    apply(customer, ENGINEERS_STANDARD)
    engineers(customer, 3)
    with customer.unit(customer.owner) as unit:
        preview = preview_mappings(unit, ENGINEERS_PREMIUM)

    answers = []
    for _ in range(2):
        with customer.unit(customer.owner) as unit:
            answers.append(apply_mappings(unit, preview.id, acknowledged=True, buy=True))

    assert answers[0] == answers[1]
    with customer.unit() as unit:
        # One for the first period, one for the seat.
        assert unit.session.scalar(select(func.count()).select_from(Invoice)) == 2
        # The rules as given, the group they expected, the rules as changed.
        assert unit.state().mapping_version == 3


def test_people_placed_by_hand_stay(customer: Customer) -> None:
    """Rule A6."""
    people = engineers(customer, 2)
    with customer.unit(customer.owner) as unit:
        assign_tier(unit, people[0].id, "standard")

    apply(customer, ENGINEERS_PREMIUM)

    assert [tier for tier, _ in seats(customer).values()] == ["standard", "premium"]


def test_the_rules_in_force_are_nothing_to_preview(customer: Customer) -> None:
    apply(customer, ENGINEERS_PREMIUM)

    with pytest.raises(InvalidInputError), customer.unit(customer.owner) as unit:
        preview_mappings(unit, ENGINEERS_PREMIUM)


def test_every_mistake_of_a_document_is_named_by_its_place(customer: Customer) -> None:
    wrong = rules(
        {"group": "Engineering", "expected": True, "tier": "platinum"}, {"group": "", "expected": True, "role": "owner"}
    )

    with customer.unit(customer.owner) as unit:
        problems = mapping_problems(unit, wrong)

    assert [problem.path for problem in problems] == ["rules.0.tier", "rules.1.group", "rules.1.role"]


def test_everybody_whom_a_change_moves_gets_a_decision_that_says_why(customer: Customer) -> None:
    people = engineers(customer, 3)
    apply(
        customer,
        rules(
            {
                "group": "Engineering",
                "expected": True,
                "connection": "Okta",
                "tier": "standard",
                "teams": ["platform"],
                "role": "admin",
            }
        ),
    )

    with customer.unit(customer.owner) as unit:
        why = explain_member(unit, people[0].id)

    assert why.sentence == "Engineer 0 has Standard because the group Engineering gives Standard."
    assert why.current is not None
    assert (why.current.occasion, why.current.groups, why.current.rule_number) == ("remapped", ("Engineering",), 1)
    assert (why.member.teams, why.member.role, why.member.role_from_mapping) == (["platform"], "admin", True)


def test_a_change_that_sends_many_into_a_line_mails_the_owners_once(customer: Customer) -> None:
    engineers(customer, 6)
    apply(customer, ENGINEERS_PREMIUM)

    with customer.unit(customer.owner) as unit:
        alerts = open_alerts(unit)
        mails = unit.session.scalar(select(func.count()).select_from(Delivery).where(Delivery.kind == "alert_mail"))

    # 2 Premium seats were taken on arrival, so 4 of 6 wait
    assert [alert.tier for alert in alerts] == ["premium"] * 4
    assert mails == 1


def test_applying_is_in_the_audit_chain(customer: Customer) -> None:
    apply(customer, ENGINEERS_PREMIUM)

    with customer.unit() as unit:
        entry = unit.session.scalars(select(AuditEntry).where(AuditEntry.action == "mapping.applied")).one()

    assert entry.actor == f"member:{customer.owner_id}"


def test_the_heads_of_all_rules_add_up_to_everybody(customer: Customer) -> None:
    engineers(customer, 3)
    customer.push("other@nordlys.test", userType="Contractor")
    apply(
        customer,
        rules(
            {"group": "engineering", "expected": True, "tier": "standard"},
            {"attribute": "userType", "equals": "contractor", "tier": "premium"},
        ),
    )

    with customer.unit(customer.owner) as unit:
        view = read_mappings(unit)

    assert [one.decides_for for one in view.rules] == [3, 1]
    # 3 engineers + 1 contractor + the owner, of whom no rule speaks
    assert (view.decided_by_none, view.people) == (1, 5)
    assert view.unmapped == ()
