"""Why somebody has what they have and why an invoice says what it says, over real organizations."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from sqlalchemy import func, select

from bridge.billing.documents import find_by_number
from bridge.billing.why_invoice import WhyInvoice, why_invoice
from bridge.billing.why_person import why_person
from bridge.domain.actors import Actor, ActorKind
from bridge.domain.identifiers import ConnectionId, MemberId, new_id
from bridge.domain.roles import Role
from bridge.errors import ForbiddenError, NotFoundError
from bridge.ports import FeeDraft
from bridge.runtime import Runtime
from bridge.store.directory import get_member
from bridge.store.models import Connection, Invoice, Member
from bridge.usecases.amend_contract import AmendmentDraft, amend_contract
from bridge.usecases.assign_seats import assign_tier
from bridge.usecases.buy_seats import change_seats
from bridge.usecases.edit_mappings import apply_mappings
from bridge.usecases.manage_access import deactivate_member
from bridge.usecases.person_history import read_person_history
from bridge.usecases.preview_mappings import preview_mappings
from bridge.usecases.product_roles import change_roles
from bridge.usecases.provision_member import PersonDraft, Source, provision_member, remove_member
from bridge.usecases.renew_contract import set_price
from bridge.usecases.sync_groups import GroupDraft, create_group, sync_claimed_groups
from bridge.usecases.workspace_teams import archive_team, create_team, join_teams
from bridge.web.app import create_web_app
from bridge.web.console import console_blueprints
from tests.conftest import SettableClock
from tests.factories import Customer, create_customer, create_workspace, set_budget
from tests.web import sign_in

Make = Callable[..., Customer]


def explained(customer: Customer, number: int) -> WhyInvoice:
    with customer.unit(customer.owner) as unit:
        return why_invoice(unit, find_by_number(unit, f"{customer.slug.upper()}-{number:06}"))


def group_rule(customer: Customer, group: str, tier: str) -> None:
    document = {"schema": 1, "rules": [{"group": group, "expected": True, "tier": tier}]}
    with customer.unit(customer.owner) as unit:
        apply_mappings(unit, preview_mappings(unit, document).id, acknowledged=True)


class TestPeople:
    def test_leaving_the_group_is_said_to_take_the_seat_that_the_rules_would_take(self, make_customer: Make) -> None:
        customer = make_customer(premium=1, standard=1)
        group_rule(customer, "Engineering", "premium")
        with customer.unit(customer.directory) as unit:
            draft = PersonDraft("ada@nordlys.test", document={"displayName": "Ada"})
            ada = provision_member(unit, customer.connection_id, draft, Source.JIT, claimed_groups=("Engineering",))
            sync_claimed_groups(unit, customer.connection_id, ada, ("Engineering",))

        with customer.unit(customer.owner) as unit:
            why = why_person(unit, ada.id)

        # The owner took the standard seat, or the premium one, first: Ada has Premium or waits for it.
        assert "because the group Engineering gives Premium" in why.sentence
        assert any(one.startswith("Leaving the group Engineering would ") for one in why.would_change)
        assert [step.text for step in why.steps if step.decides][-1]

    def test_a_person_in_line_learns_how_many_seats_they_wait_for(
        self, make_customer: Make, clock: SettableClock
    ) -> None:
        customer = make_customer(premium=0, standard=0)
        first = customer.push("first@nordlys.test", displayName="First")
        clock.at += timedelta(seconds=1)
        second = customer.push("second@nordlys.test", displayName="Second")

        with customer.unit(customer.owner) as unit:
            one, two = why_person(unit, first.id), why_person(unit, second.id)

        assert "The next free seat goes to First." in one.would_change
        assert "Second is number 2 of 2 in line for any tier." in two.would_change
        assert "2 free seats would give Second Standard: 1 person is served first." in two.would_change

    def test_a_pinned_person_learns_what_a_new_look_would_give(self, make_customer: Make) -> None:
        customer = make_customer(premium=1, standard=2)
        ada = customer.push("ada@nordlys.test", displayName="Ada")
        with customer.unit(customer.owner) as unit:
            assign_tier(unit, customer.owner_id, "standard")
            assign_tier(unit, ada.id, "standard")

        with customer.unit(customer.owner) as unit:
            why = why_person(unit, ada.id)

        assert "Turning access off and on again would move Ada to Premium." in why.would_change
        assert "No rule was asked: the choice was made by hand" in [step.text for step in why.steps]

    def test_a_seat_bought_for_somebody_is_a_charge_they_caused(
        self, make_customer: Make, clock: SettableClock
    ) -> None:
        customer = make_customer(premium=0, standard=2)
        ada = customer.push("ada@nordlys.test", displayName="Ada")
        clock.at += timedelta(days=10)
        with customer.unit(customer.owner) as unit:
            assign_tier(unit, ada.id, "premium", buy_if_needed=True)

        with customer.unit(customer.owner) as unit:
            why = why_person(unit, ada.id)
            total = unit.session.scalars(
                select(func.sum(Invoice.subtotal)).where(Invoice.reason == "seat_change")
            ).one()
        with customer.unit(Actor(ActorKind.MEMBER, ada.id, Role.MEMBER)) as unit:
            own = why_person(unit, ada.id)

        assert {charge.reason for charge in why.charges} == {"bought"}
        assert sum(charge.amount for charge in why.charges) == total
        assert own.charges == ()

    def test_seats_bought_together_are_told_as_shares_that_sum_up_to_the_line(
        self, make_customer: Make, clock: SettableClock
    ) -> None:
        customer = make_customer(premium=0, standard=0, premium_price=10000)
        people = [customer.push(f"{name}@nordlys.test").id for name in ("a", "b", "c")]
        clock.at += timedelta(days=10, seconds=7)
        with customer.unit(customer.owner) as unit:
            set_budget(unit, "premium", seats=3)
        with customer.unit(customer.directory) as unit:
            create_group(unit, customer.connection_id, GroupDraft("Staff"), [str(each) for each in people])
        rules = [{"group": "Staff", "tier": "premium"}]
        document = {"schema": 1, "on_exhausted": "buy_up_to", "rules": rules}
        with customer.unit(customer.owner) as unit:
            applied = apply_mappings(unit, preview_mappings(unit, document).id, acknowledged=True)

        with customer.unit(customer.owner) as unit:
            charges = [charge for each in people for charge in why_person(unit, each).charges]
            (invoice,) = unit.session.scalars(select(Invoice).where(Invoice.number == applied.invoices[0].number))
            subtotal = invoice.subtotal

        assert {charge.text for charge in charges} == {"One of 3 seats bought together"}
        assert all(charge.formula.endswith(", of that 1/3") for charge in charges)
        assert (len(charges), sum(charge.amount for charge in charges)) == (3, subtotal)
        assert max(charge.amount for charge in charges) - min(charge.amount for charge in charges) <= 1

    def test_missing_seats_bought_with_new_rules_are_charges_of_who_gets_them_each_of_their_tier(
        self, make_customer: Make, clock: SettableClock
    ) -> None:
        customer = make_customer(premium=1, standard=0)
        groups = {"Board": ["a", "b", "c"], "Staff": ["d"]}
        ids = {name: customer.push(f"{name}@nordlys.test", displayName=name).id for name in "abcd"}
        with customer.unit(customer.owner) as unit:
            held = [get_member(unit, ids[name]).tier for name in "abcd"]
            for group, names in groups.items():
                create_group(unit, customer.connection_id, GroupDraft(group), [str(ids[name]) for name in names])
        clock.at += timedelta(days=10)
        rules = [{"group": "Board", "tier": "premium"}, {"group": "Staff", "tier": "standard"}]
        with customer.unit(customer.owner) as unit:
            preview = preview_mappings(unit, {"schema": 1, "rules": rules})
            applied = apply_mappings(unit, preview.id, acknowledged=True, buy=True)

        assert applied.invoice is not None
        with customer.unit(customer.owner) as unit:
            why = {name: why_person(unit, ids[name]) for name in "abcd"}
            bought = {
                name: [(charge.tier, charge.amount) for charge in one.charges if charge.reason == "bought"]
                for name, one in why.items()
            }
            subtotal = unit.session.scalars(
                select(Invoice.subtotal).where(Invoice.number == applied.invoice.number)
            ).one()

        assert held == ["premium", None, None, None]
        assert [[tier for tier, _ in bought[name]] for name in "abcd"] == [[], ["premium"], ["premium"], ["standard"]]
        assert sum(amount for charges in bought.values() for _, amount in charges) == subtotal
        assert f"Paid by invoice {applied.invoice.number}" in [step.text for step in why["b"].steps]

    def test_a_group_of_another_connection_is_not_said_to_change_anything(self, make_customer: Make) -> None:
        customer = make_customer(premium=5, standard=5)
        other = ConnectionId(new_id())
        with customer.unit() as unit:
            unit.session.add(Connection(org_id=unit.org_id, id=other, kind="idp", name="Entra", created_at=unit.at))
        with customer.unit(Actor(ActorKind.DIRECTORY, other)) as unit:
            create_group(unit, other, GroupDraft("Theirs"))
        with customer.unit(customer.directory) as unit:
            create_group(unit, customer.connection_id, GroupDraft("Ours"))
        rules = [{"group": name, "tier": "premium"} for name in ("Theirs", "Ours")]
        with customer.unit(customer.owner) as unit:
            preview = preview_mappings(unit, {"schema": 1, "default": "standard", "rules": rules})
            apply_mappings(unit, preview.id, acknowledged=True)
        ada = customer.push("ada@nordlys.test", displayName="Ada")

        with customer.unit(customer.owner) as unit:
            why = why_person(unit, ada.id)

        assert why.would_change == ("Joining the group Ours would move Ada to Premium.",)

    @pytest.mark.parametrize(
        ("budget", "told"),
        [
            (1, "Joining the group Ours would give Ada Premium, by a seat bought within the budget."),
            (0, "Joining the group Ours would put Ada in line for Premium."),
        ],
    )
    def test_a_seat_that_a_budget_would_buy_is_told_as_bought(
        self, make_customer: Make, budget: int, told: str
    ) -> None:
        customer = make_customer(premium=0, standard=0)
        with customer.unit(customer.directory) as unit:
            create_group(unit, customer.connection_id, GroupDraft("Ours"))
        rules = [{"group": "Ours", "tier": "premium"}]
        document = {"schema": 1, "default": "unassigned", "on_exhausted": "buy_up_to", "rules": rules}
        with customer.unit(customer.owner) as unit:
            apply_mappings(unit, preview_mappings(unit, document).id, acknowledged=True)
        if budget:
            with customer.unit(customer.owner) as unit:
                set_budget(unit, "premium", seats=budget)
        ada = customer.push("ada@nordlys.test", displayName="Ada")

        with customer.unit(customer.owner) as unit:
            why = why_person(unit, ada.id)

        assert why.would_change == (told,)

    def test_u1_a_user_by_role_learns_which_role_makes_them_paid(self, runtime: Runtime) -> None:
        customer = create_customer(runtime, fee=FeeDraft(annual_fee=1_200_000, tier="M", paid_users=50))
        ada = customer.push("ada@nordlys.test", displayName="Ada")

        with customer.unit(customer.owner) as unit:
            without = why_person(unit, ada.id)
        with customer.unit(customer.owner) as unit:
            change_roles(unit, ada.id, ["team_member", "client"])
            paid = why_person(unit, ada.id)

        assert without.sentence == "Ada has no role in the product yet, and so is no user."
        assert paid.sentence == "Ada is a paid user because of Team member; held: Team member, Client."
        assert paid.would_change == ("Without the role Team member Ada would be a free user, by Client.",)

    def test_w3_a_licence_holder_learns_what_counts_and_from_when_it_would_not(
        self, runtime: Runtime, clock: SettableClock
    ) -> None:
        workspace = create_workspace(runtime)
        ada, bob = (workspace.push(f"{name}@nordlys.test", displayName=name.title()) for name in ("ada", "bob"))
        with workspace.unit() as unit:
            create_team(unit, "Red")
            join_teams(unit, ada.id, ["Red"])
        clock.at += timedelta(days=1)

        with workspace.unit(workspace.owner) as unit:
            counts, free = why_person(unit, ada.id), why_person(unit, bob.id)

        assert counts.sentence.startswith("Ada counts for this month, once: in 1 team that was not archived")
        assert counts.would_change[0].startswith("Leaving or archiving Red would spare Ada from 1 ")
        assert free.would_change == ("Joining a team that is not archived would count Bob from this month on.",)

    def test_nobody_else_s_reasons_are_for_members(self, make_customer: Make) -> None:
        customer = make_customer()
        ada, bob = customer.push("ada@nordlys.test"), customer.push("bob@nordlys.test")

        with pytest.raises(ForbiddenError), customer.unit(Actor(ActorKind.MEMBER, bob.id, Role.MEMBER)) as unit:
            why_person(unit, ada.id)


class TestHistory:
    def test_b4_every_change_of_a_person_is_in_the_chain_even_after_they_are_gone(self, make_customer: Make) -> None:
        customer = make_customer(premium=1, standard=1)
        ada = customer.push("ada@nordlys.test", displayName="Ada")
        with customer.unit(customer.owner) as unit:
            assign_tier(unit, ada.id, "standard")
            remove_member(unit, unit.session.get_one(Member, (unit.org_id, ada.id)), reason="by_hand")

        with customer.unit(customer.owner) as unit:
            changes = read_person_history(unit, ada.id)

        assert [one.action for one in changes] == [
            "member.created",
            "seat.assigned",
            "seat.assigned",
            "seat.released",
            "member.removed",
        ]
        assert [one.actor for one in changes][:3] == ["Okta", "Okta", "Olga Owner"]

    def test_b4_members_do_not_read_the_chain(self, make_customer: Make) -> None:
        customer = make_customer()
        ada = customer.push("ada@nordlys.test")

        with pytest.raises(ForbiddenError), customer.unit(Actor(ActorKind.MEMBER, ada.id, Role.MEMBER)) as unit:
            read_person_history(unit, ada.id)


class TestPages:
    def test_the_person_s_page_says_what_the_command_line_says(self, make_customer: Make, runtime: Runtime) -> None:
        customer = make_customer(premium=1, standard=0)
        ada = customer.push("ada@nordlys.test", displayName="Ada")
        with customer.unit(customer.owner) as unit:
            why = why_person(unit, ada.id)
        browser = sign_in(create_web_app(runtime, console_blueprints()), customer)

        page = unescape(browser.get(f"/console/people/{ada.id}").text)

        assert why.sentence in page
        for step in why.steps:
            assert step.text in page
        for sentence in why.would_change:
            assert sentence in page

    def test_every_line_of_an_invoice_leads_to_its_reasons(self, make_customer: Make, runtime: Runtime) -> None:
        customer = make_customer(premium=1, standard=2)
        browser = sign_in(create_web_app(runtime, console_blueprints()), customer)
        with customer.unit(customer.owner) as unit:
            invoice_id = find_by_number(unit, "NORDLYS-000001")
            why = why_invoice(unit, invoice_id)

        invoice = browser.get(f"/console/seats/invoices/{invoice_id}")
        page = browser.get(f"/console/seats/invoices/{invoice_id}/why")

        for one in why.lines:
            assert f"/console/seats/invoices/{invoice_id}/why#line-{one.line.position}" in invoice.text
            assert f'id="line-{one.line.position}"' in page.text
            assert one.sentence in unescape(page.text)
            assert all(step in unescape(page.text) for step in one.steps)


class TestInvoices:
    def test_the_first_invoice_names_the_plan_s_beginning(self, make_customer: Make) -> None:
        customer = make_customer(premium=2, standard=5)

        why = explained(customer, 1)

        assert why.cause.action == "organization.created"
        assert [(one.line.quantity, one.unheld, one.changes) for one in why.lines] == [(5, 5, ()), (2, 2, ())]

    def test_a_change_of_seats_names_who_bought_and_whom_it_served(
        self, make_customer: Make, clock: SettableClock
    ) -> None:
        customer = make_customer(premium=0, standard=0)
        ada = customer.push("ada@nordlys.test", displayName="Ada")
        clock.at += timedelta(days=3)
        with customer.unit(customer.owner) as unit:
            change_seats(unit, {"premium": 2})

        why = explained(customer, 1)

        line = why.lines[0]
        assert (why.cause.action, why.cause.actor) == ("seats.changed", "Olga Owner")
        assert [(one.id, one.name) for one in line.people] == [(ada.id, "Ada")]
        assert line.sentence.endswith("1 person got one at once.")
        # 2 × €150.00 × what is left of the month, once exactly and once rounded.
        assert line.steps[0] == "Charged are 2 seats at €150.00 for one and a whole period."
        assert line.steps[-1].startswith(("Rounded once", "That is exactly"))

    def test_r7_a_renewal_of_seats_in_use_counts_exactly_the_people_it_names(
        self, make_customer: Make, clock: SettableClock
    ) -> None:
        customer = make_customer(kind="enterprise", premium=1, standard=5)
        people = [customer.push(f"p{number}@nordlys.test", displayName=f"P{number}") for number in range(4)]
        with customer.unit(customer.owner) as unit:
            deactivate_member(unit, unit.session.get_one(Member, (unit.org_id, people[0].id)), reason="by_hand")
            remove_member(unit, unit.session.get_one(Member, (unit.org_id, people[1].id)), reason="by_hand")
            set_price(unit, "standard", 3000)
        clock.at += timedelta(days=366)
        with customer.unit(customer.owner) as unit:
            unit.lock()

        why = explained(customer, 2)

        assert why.before == "NORDLYS-000001"
        for one in why.lines:
            assert len(one.people) == one.line.quantity
            assert one.unheld == 0
        told = " ".join(change for one in why.lines for change in one.changes)
        assert "The price was €25.00 and is €30.00." in told
        assert "A price of €30.00 was agreed on" in told

    def test_w5_a_month_names_its_holders_and_who_is_new(self, runtime: Runtime, clock: SettableClock) -> None:
        workspace = create_workspace(runtime, anchor=datetime(2026, 3, 10, tzinfo=UTC))
        clock.at = datetime(2026, 3, 10, tzinfo=UTC)
        ada, bob = (workspace.push(f"{name}@nordlys.test", displayName=name.title()) for name in ("ada", "bob"))
        with workspace.unit() as unit:
            create_team(unit, "Red")
            create_team(unit, "Blue")
            join_teams(unit, ada.id, ["Red"])
        clock.at = datetime(2026, 4, 5, tzinfo=UTC)
        with workspace.unit() as unit:
            join_teams(unit, bob.id, ["Blue"])
            archive_team(unit, "Red")
        clock.at = datetime(2026, 6, 2, tzinfo=UTC)
        with workspace.unit() as unit:
            unit.lock()

        march, april, may = (explained(workspace, number).lines[0] for number in (1, 2, 3))

        assert [[one.name for one in line.people] for line in (march, april, may)] == [["Ada"], ["Ada", "Bob"], ["Bob"]]
        assert [one.detail for one in april.people] == ["in Red", "in Blue"]
        assert april.changes == ("1 on 1 April 2026, 2 now.", "New: Bob.")
        assert may.changes == ("2 on 1 May 2026, 1 now.", "No longer counted: Ada.")

    def test_u4_an_instalment_tells_the_users_of_that_day_and_the_spare_unit(
        self, runtime: Runtime, clock: SettableClock
    ) -> None:
        fee = FeeDraft(annual_fee=100_001, tier="M", paid_users=5, schedule="quarterly")
        customer = create_customer(runtime, fee=fee)
        ada = customer.push("ada@nordlys.test", displayName="Ada")
        with customer.unit(customer.owner) as unit:
            change_roles(unit, ada.id, ["team_member"])
            amend_contract(unit, AmendmentDraft(annual_fee=110_001))
        clock.at += timedelta(days=95)
        with customer.unit(customer.owner) as unit:
            unit.lock()

        first, raised, second = (explained(customer, number).lines[0] for number in (1, 2, 3))

        # 100,001 ÷ 4 = 25,000.25: one unit is spare and goes to the first instalment.
        assert first.steps[-1] == (
            "Rounded down, and one minor unit that was spare is added, so that the instalments add up to the fee: "
            "€250.01."
        )
        assert second.steps[-1] == "Rounded down, so that the instalments add up to the fee: €250.00."
        assert "1 paid user and 0 free then" in raised.sentence
        assert "1 paid user and 0 free then" in second.sentence
        assert second.changes[0] == "The instalment was €250.01 and is €250.00."

    def test_money_is_for_owners_and_an_unknown_number_is_not_found(self, make_customer: Make) -> None:
        customer = make_customer()
        with customer.unit() as unit:
            invoice_id = find_by_number(unit, "nordlys-000001")

        with (
            pytest.raises(ForbiddenError),
            customer.unit(Actor(ActorKind.MEMBER, MemberId(invoice_id), Role.ADMIN)) as unit,
        ):
            why_invoice(unit, invoice_id)
        with pytest.raises(NotFoundError), customer.unit() as unit:
            find_by_number(unit, "NORDLYS-000099")
