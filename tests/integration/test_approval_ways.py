"""Requests to the owners in the console and on the command line; drafts on the command line."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from flask import Flask
from sqlalchemy import URL

from bridge.billing import BuiltinPayments
from bridge.cli import main
from bridge.config import Settings
from bridge.domain.actors import Actor, ActorKind
from bridge.domain.roles import Role
from bridge.ports import FeeDraft
from bridge.runtime import Runtime, build_runtime
from bridge.usecases.approvals import list_approvals
from bridge.usecases.ask_owners import submit_mappings, submit_plan, submit_seats
from bridge.usecases.change_plan import PlanDraft
from bridge.usecases.preview_mappings import preview_mappings
from bridge.usecases.sync_groups import GroupDraft, create_group
from bridge.web.app import create_web_app
from bridge.web.console import console_blueprints
from tests.conftest import KEY, SettableClock
from tests.factories import Customer, create_customer, set_budget
from tests.integration.test_budget_costs import two_labs
from tests.web import make_admin, push_group, sign_in

PREVIEW = re.compile(r'name="preview" value="([0-9a-f-]{36})"')
Run = Callable[..., Result]
OPEN = re.compile(r"/console/approvals/[0-9a-f-]{36}/open")


@pytest.fixture
def app(runtime: Runtime) -> Flask:
    return create_web_app(runtime, console_blueprints())


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, database_url: URL) -> Run:
    """Run ``seatbridge ...`` here."""
    monkeypatch.setenv("SEATBRIDGE__DATABASE__URL", database_url.render_as_string(hide_password=False))
    monkeypatch.setenv("SEATBRIDGE__SECRETS__KEYS", KEY)
    return lambda *arguments, typed="": CliRunner().invoke(main, list(arguments), input=typed)


@pytest.fixture
def nordlys(settings: Settings, database_url: URL) -> Iterator[Customer]:
    """A customer of the present day: 2 Premium and 5 Standard seats by the month."""
    runtime = build_runtime(settings, database_url, payments=BuiltinPayments())
    yield create_customer(runtime)
    runtime.close()


def premium_for_engineers(customer: Customer) -> dict[str, object]:
    push_group(customer, "Engineering", [customer.push(f"e{index}@nordlys.test") for index in range(4)])
    return {"schema": 2, "default": "unassigned", "rules": [{"group": "Engineering", "tier": "premium"}]}


def test_an_admins_rules_go_to_the_owner_who_approves_what_is_shown(app: Flask, customer: Customer) -> None:
    document = premium_for_engineers(customer)
    ada = make_admin(customer)
    admin, owner = sign_in(app, customer, ada.id), sign_in(app, customer)
    with customer.unit(Actor(ActorKind.MEMBER, ada.id, Role.ADMIN)) as unit:
        preview_id = preview_mappings(unit, document).id

    asking = admin.get(f"/console/mappings/previews/{preview_id}").text
    admin.post(f"/console/approvals/mappings/{preview_id}", {"note": "For May"})
    theirs, listed = admin.get("/console/approvals").text, owner.get("/console/approvals").text
    opening = OPEN.search(listed)
    assert opening is not None
    shown = owner.post(opening.group()).text
    preview = PREVIEW.search(shown)
    assert preview is not None
    approved = owner.post(
        opening.group().replace("/open", "/approve"), {"preview": preview.group(1), "acknowledged": "yes"}
    )

    assert "Ask to buy" in asking
    assert "€" not in asking + theirs
    assert OPEN.search(theirs) is None
    assert "Other group mappings, with" in listed
    assert "“For May”" in shown
    assert "€" in shown
    assert approved.status == 303
    assert "invoice" in owner.get("/console/approvals").text


def test_rule_q1_an_owner_approves_the_whole_sum_budgets_included(
    app: Flask, make_customer: Callable[..., Customer], clock: SettableClock
) -> None:
    customer, document = two_labs(make_customer, clock, lapsing=0)
    with customer.unit(customer.owner) as unit:
        set_budget(unit, "premium", seats=5, cost_centre="Lab B")
    ada = make_admin(customer)
    admin, owner = sign_in(app, customer, ada.id), sign_in(app, customer)
    with customer.unit(Actor(ActorKind.MEMBER, ada.id, Role.ADMIN)) as unit:
        preview_id = preview_mappings(unit, document).id
    with customer.unit(customer.owner) as unit:
        own_preview = preview_mappings(unit, document).id
    admin.post(f"/console/approvals/mappings/{preview_id}", {"note": ""})
    opening = OPEN.search(owner.get("/console/approvals").text)
    assert opening is not None

    shown = owner.post(opening.group()).text
    offered = owner.get(f"/console/mappings/previews/{own_preview}").text

    # Two missing seats for Lab A and two within Lab B's budget, 4 × 100.00, by two invoices.
    assert 'is invoiced <b class="money">€400.00</b> today, budgets included.' in shown
    assert "Approve for €400.00" in shown
    assert "€200.00 today, within budgets" in re.sub("<.*?>", "", offered)
    assert "€400.00 today, budgets included" in offered


def test_an_admin_asks_for_seats_and_reads_why_not(app: Flask, customer: Customer) -> None:
    admin, owner = sign_in(app, customer, make_admin(customer).id), sign_in(app, customer)

    form = admin.get("/console/approvals").text
    asked = admin.post("/console/approvals/seats", {"tier": "premium", "number": "2", "note": ""})
    opening = OPEN.search(owner.get("/console/approvals").text)
    assert opening is not None
    refused = admin.post(opening.group())
    declined = owner.post(opening.group().replace("/open", "/decline"), {"reason": "Not before May"})

    assert "Ask for seats" in form
    assert "Ask for seats" not in owner.get("/console/approvals").text
    assert (asked.status, refused.status, declined.status) == (303, 403, 303)
    assert "Not before May" in admin.get("/console/approvals").text


def test_a_request_is_withdrawn_in_the_console(app: Flask, customer: Customer) -> None:
    admin = sign_in(app, customer, make_admin(customer).id)
    admin.post("/console/approvals/seats", {"tier": "premium", "number": "1", "note": ""})
    taking_back = re.search(r"/console/approvals/[0-9a-f-]{36}/withdraw", admin.get("/console/approvals").text)
    assert taking_back is not None

    admin.post(taking_back.group())

    assert "Withdrawn" in admin.get("/console/approvals").text


def editor_of(name: str, group: str = "Engineering", version: str = "0", opened: str = "") -> dict[str, str]:
    """What the editor sends: one rule, and the name of the draft."""
    rule = {"key": "", "about": "group", "value": group, "tier": "premium", "on_exhausted": "", "role": "", "teams": ""}
    return {
        **{f"rule.{field}": value for field, value in rule.items()},
        "rule.kept": "",
        "on_exhausted": "unassigned",
        "default": "unassigned",
        "draft.name": name,
        "draft.opened": opened,
        "draft.version": version,
        "do": "save",
    }


class TestDrafts:
    def test_an_admin_saves_a_draft_and_another_one_goes_on_with_it(self, app: Flask, customer: Customer) -> None:
        premium_for_engineers(customer)
        ada = sign_in(app, customer, make_admin(customer).id)
        bob = sign_in(app, customer, make_admin(customer, "bob@nordlys.test").id)

        place = ada.post("/console/mappings/edit", editor_of("May teams")).location
        listed, shown = bob.get("/console/mappings/drafts").text, bob.get(place).text
        editor = bob.get(f"/console/mappings/edit?draft={place.rpartition('/')[2]}").text
        changed = bob.post("/console/mappings/edit", editor_of("May teams", "Nobody yet", "1", "May teams"))
        saved = bob.post(
            "/console/mappings/edit",
            {**editor_of("May teams", "Sales", "1", "May teams"), "rule.about": "expected"},
        )
        late = ada.post("/console/mappings/edit", editor_of("May teams", "Engineering", "1", "May teams"))

        assert "May teams" in listed
        assert "Engineering: Premium" in shown
        assert 'name="draft.version" value="1"' in editor
        assert 'value="Engineering"' in editor
        assert changed.status == 422  # no such group
        assert "The draft was not saved." in changed.text
        assert saved.location == place
        assert late.status == 422
        assert "has changed meanwhile" in late.text
        assert "Sales" in ada.get(place).text

    def test_a_draft_is_previewed_sent_and_discarded(self, app: Flask, customer: Customer) -> None:
        premium_for_engineers(customer)
        admin = sign_in(app, customer, make_admin(customer).id)
        place = admin.post("/console/mappings/edit", editor_of("May teams")).location

        preview = admin.post(f"{place}/preview")
        asked = admin.post(f"{place}/submit", {"note": "For May"})
        gone = admin.post(f"{place}/discard")

        assert "/console/mappings/previews/" in preview.location
        assert asked.location == "/console/approvals"
        assert "Other group mappings, with" in admin.get("/console/approvals").text
        assert gone.location == "/console/mappings/drafts"
        assert admin.get(place).status == 404
        assert "No drafts" in admin.get("/console/mappings/drafts").text

    def test_a_draft_that_costs_nothing_is_not_sent(self, app: Flask, customer: Customer) -> None:
        push_group(customer, "Engineering", [])
        admin = sign_in(app, customer, make_admin(customer).id)
        place = admin.post("/console/mappings/edit", editor_of("May teams")).location

        answer = admin.post(f"{place}/submit", {"note": ""})

        assert answer.location == place
        assert "buys no missing seat, so it needs no owner" in admin.get(place).text

    def test_a_draft_without_a_name_is_not_saved(self, app: Flask, customer: Customer) -> None:
        push_group(customer, "Engineering", [])
        admin = sign_in(app, customer, make_admin(customer).id)

        answer = admin.post("/console/mappings/edit", editor_of(""))

        assert answer.status == 422
        assert "must be 1 to 100 printable characters" in answer.text


def test_rule_z2_an_admin_asks_for_another_contract_and_an_owner_sees_its_cost(
    app: Flask, make_customer: Callable[..., Customer]
) -> None:
    customer = make_customer(fee=FeeDraft(annual_fee=1_200_000, tier="growth", paid_users=50))
    admin, owner = sign_in(app, customer, make_admin(customer).id), sign_in(app, customer)

    form = admin.get("/console/approvals").text
    asked = admin.post(
        "/console/approvals/contract",
        {"paid_users": "75", "annual_fee": "18,000.00", "when": "now", "note": "We grow"},
    )
    theirs, listed = admin.get("/console/approvals").text, owner.get("/console/approvals").text
    opening = OPEN.search(listed)
    assert opening is not None
    shown = owner.post(opening.group()).text
    preview = PREVIEW.search(shown)
    assert preview is not None
    owner.post(opening.group().replace("/open", "/approve"), {"preview": preview.group(1), "acknowledged": "yes"})

    assert "€" not in form + theirs  # rule Z1
    assert asked.status == 303
    assert "A changed contract: a new annual fee, meant for 75 paid users" in listed
    assert "€12,000.00 → <b>€18,000.00</b>" in shown
    assert "invoice NORDLYS-" in owner.get("/console/approvals").text


def test_rule_b1_an_owner_agrees_to_the_plan_that_the_operator_sent(app: Flask, customer: Customer) -> None:
    with customer.unit() as unit:
        submit_plan(unit, PlanDraft("team", "year", {"premium": 150_000, "standard": 25_000}), note="As agreed")
    owner = sign_in(app, customer)

    listed = owner.get("/console/approvals").text
    opening = OPEN.search(listed)
    assert opening is not None
    shown = owner.post(opening.group()).text
    preview = PREVIEW.search(shown)
    assert preview is not None
    owner.post(opening.group().replace("/open", "/approve"), {"preview": preview.group(1), "acknowledged": "yes"})

    assert "Another plan from the next period on: team, by the year" in listed
    # 2 × 1,500.00 + 5 × 250.00
    assert "€4,250.00" in shown
    assert "Nothing is charged before." in shown
    assert "Agreed ahead" in owner.get("/console/seats").text


def test_a_request_that_is_not_possible_any_more_says_why_and_is_declined(
    app: Flask, make_customer: Callable[..., Customer]
) -> None:
    customer = make_customer(fee=FeeDraft(annual_fee=1_200_000, tier="growth", paid_users=50))
    admin, owner = sign_in(app, customer, make_admin(customer).id), sign_in(app, customer)
    admin.post("/console/approvals/contract", {"annual_fee": "1,000.00", "when": "now"})
    opening = OPEN.search(owner.get("/console/approvals").text)
    assert opening is not None

    shown = owner.post(opening.group())
    declined = owner.post(opening.group().replace("/open", "/decline"), {"reason": "Ask for the next term"})

    assert shown.status == 409
    assert "It is not possible now." in shown.text
    assert "A lower fee is agreed with your account manager" in shown.text
    assert PREVIEW.search(shown.text) is None
    assert declined.status == 303
    assert "Ask for the next term" in admin.get("/console/approvals").text


class TestCommands:
    def test_people_who_may_do_more_are_approved_by_an_answer_of_their_own(
        self, run: Run, nordlys: Customer, tmp_path: Path
    ) -> None:
        people = [nordlys.push(f"ops{index}@nordlys.test").id for index in range(9)]
        with nordlys.unit(nordlys.directory) as unit:
            create_group(unit, nordlys.connection_id, GroupDraft("Ops"), [str(each) for each in people])
        with nordlys.unit(nordlys.owner) as unit:
            rules = {"schema": 1, "rules": [{"group": "Ops", "tier": "premium", "role": "admin"}]}
            preview = preview_mappings(unit, rules)
            asked = submit_mappings(unit, preview.id)

        file = tmp_path / "mappings.yaml"
        file.write_text(yaml.safe_dump(rules))

        by_file = run("mappings", "apply", "nordlys", str(file), "--buy", typed="y\nn\n")
        halfway = run("approvals", "approve", "nordlys", str(asked.id), typed="y\nn\n")
        unsaid = run("approvals", "approve", "nordlys", str(asked.id), "--json")
        approved = run("approvals", "approve", "nordlys", str(asked.id), typed="y\ny\n")

        assert (by_file.exit_code, halfway.exit_code, unsaid.exit_code) == (1, 1, 2)
        assert "today, tax included. Apply?" in by_file.stdout
        assert "Accept that 9 people may do more?" in by_file.stdout
        assert "today, tax included. Approve the change?" in halfway.stdout
        assert "Approve that 9 people may do more?" in halfway.stdout
        assert "--json asks nothing: add --accept-cost" in unsaid.stderr
        assert "Approved. Invoice: " in approved.stdout

    def test_a_request_is_listed_shown_and_approved(self, run: Run, nordlys: Customer) -> None:
        with nordlys.unit() as unit:
            asked = submit_seats(unit, {"premium": 1}, note="For Bo")

        listed = run("approvals", "list", "nordlys", "--waiting")
        shown = run("approvals", "show", "nordlys", str(asked.id))
        unasked = run("approvals", "approve", "nordlys", str(asked.id), typed="n\n")
        otherwise = run("approvals", "approve", "nordlys", str(asked.id), "--accept-cost", "1.00", "--json")
        approved = run("approvals", "approve", "nordlys", str(asked.id), typed="y\n")
        again = run("approvals", "decline", "nordlys", str(asked.id), "--reason", "no")

        assert "seats: +1 Premium" in listed.stdout
        assert shown.stdout.startswith("The operator asks for seats: +1 Premium. “For Bo”\n")
        assert "Total today:" in shown.stdout
        assert unasked.exit_code == 1
        assert "(cost_differs)" in otherwise.stderr
        assert "Approved. Invoice: NORDLYS-000002" in approved.stdout
        assert again.exit_code == 1
        assert "(approval_decided)" in again.stderr

    @pytest.mark.parametrize(("verb", "more"), [("decline", ("--reason", "Not now")), ("withdraw", ())])
    def test_a_request_ends_otherwise(self, run: Run, nordlys: Customer, verb: str, more: tuple[str, ...]) -> None:
        asked = json.loads(run("approvals", "ask-seats", "nordlys", "premium=1", "--json").stdout)

        ended = run("approvals", verb, "nordlys", asked["id"], *more)

        assert ended.exit_code == 0
        with nordlys.unit() as unit:
            assert list_approvals(unit, waiting_only=True) == []

    def test_rules_are_asked_for_by_file(self, run: Run, nordlys: Customer, tmp_path: Path) -> None:
        file = tmp_path / "mappings.yaml"
        file.write_text(yaml.safe_dump(premium_for_engineers(nordlys)))

        asked = json.loads(run("approvals", "ask-mappings", "nordlys", str(file), "--json").stdout)
        shown = run("approvals", "show", "nordlys", asked["id"])

        assert "Engineering: Premium" in shown.stdout
        assert "Next renewal, before tax:" in shown.stdout

    def test_a_draft_is_saved_listed_shown_previewed_and_discarded(
        self, run: Run, nordlys: Customer, tmp_path: Path
    ) -> None:
        file = tmp_path / "mappings.yaml"
        file.write_text(yaml.safe_dump(premium_for_engineers(nordlys)))

        saved = run("mappings", "draft", "save", "nordlys", "May", str(file), "--expect", "0")
        stale = run("mappings", "draft", "save", "nordlys", "May", str(file), "--expect", "0")
        asked = json.loads(run("mappings", "draft", "submit", "nordlys", "may", "--note", "x", "--json").stdout)
        listed = run("mappings", "draft", "list", "nordlys")
        shown = run("mappings", "draft", "show", "nordlys", "May")
        looked = run("mappings", "draft", "preview", "nordlys", "May", "--json")
        discarded = run("mappings", "draft", "discard", "nordlys", "may", "--json")

        assert saved.stdout.startswith("Draft 'May', version 1;")
        assert "(version_mismatch)" in stale.stderr
        assert "May" in listed.stdout
        assert (asked["kind"], asked["note"]) == ("mappings", "x")
        assert yaml.safe_load(shown.stdout)["rules"][0]["group"] == "Engineering"
        assert json.loads(looked.stdout)["moves"] is not None
        assert json.loads(discarded.stdout) == {"discarded": "may"}
