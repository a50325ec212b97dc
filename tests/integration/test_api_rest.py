"""The rest of the programming interface: what else the console and the command line do, as programs meet it."""

import re
from collections.abc import Callable

import pytest
from flask import Flask

from bridge.domain.identifiers import MemberId, new_id
from bridge.domain.scopes import Scope
from bridge.ports import FeeDraft
from bridge.runtime import Runtime
from tests.api import Program, make_key, published
from tests.conftest import SettableClock
from tests.factories import Customer, create_workspace, loosen_brake, set_brake
from tests.integration.test_brake import say_active
from wsgi import compose


@pytest.fixture
def app(runtime: Runtime) -> Flask:
    return compose(runtime)


@pytest.fixture
def program(app: Flask, customer: Customer) -> Program:
    """A program with an owner's key and every scope."""
    return Program(app, make_key(customer))


def calls() -> list[tuple[str, str, str | None]]:
    """Every operation of the document, its parts filled in, and the scope it needs."""
    return [
        (method.upper(), re.sub(r"\{[a-z_]+\}", _filled, path), operation.get("x-scope"))
        for path, item in published()["paths"].items()
        for method, operation in item.items()
    ]


def _filled(part: re.Match[str]) -> str:
    return "1" if part.group() == "{version}" else str(new_id())


def test_nothing_at_all_is_answered_without_a_key(app: Flask, customer: Customer) -> None:
    stranger = Program(app, "")

    answers = {(method, path): stranger.call(method, path, None, {}).status for method, path, _ in calls()}

    assert {call for call, status in answers.items() if status != 401} == set()


def test_nothing_is_answered_to_a_key_that_was_made_for_something_else(app: Flask, customer: Customer) -> None:
    programs = {scope: Program(app, make_key(customer, scope)) for scope in ("events:read", "audit:read")}

    answers = {
        (method, path): programs["audit:read" if wanted == Scope.EVENTS_READ else "events:read"].call(
            method, path, None, {}
        )
        for method, path, wanted in calls()
        if wanted is not None
    }

    assert {call for call, told in answers.items() if told.status != 403} == set()
    assert {told.json["code"] for told in answers.values()} == {"insufficient_scope"}


def test_t1_what_is_not_there_is_the_same_problem_everywhere(program: Program) -> None:
    """T1: whatever is read by an id that nobody knows."""
    answers = {
        path: program.get(path)
        for method, path, _ in calls()
        if method == "GET" and re.search("[0-9a-f]{8}-", path) and not path.endswith("/sessions")
    }

    assert {path for path, told in answers.items() if told.status != 404 and not path.endswith("/history")} == set()


def test_whatever_needs_nothing_else_can_be_read(program: Program, customer: Customer) -> None:
    customer.push("ada@nordlys.test", displayName="Ada")
    plain = [
        path
        for path, item in published()["paths"].items()
        if "get" in item and "{" not in path and not path.endswith((".csv", "/licences", "/holders", "/users"))
    ]

    statuses = {path: program.get(path).status for path in plain}

    assert {path for path, status in statuses.items() if status != 200} == {
        "/contract/agreed-change",  # nothing is agreed ahead
        "/contract/evaluation",  # it is in none
    }


def test_an_invoice_is_listed_explained_and_taken_away(program: Program) -> None:
    preview = program.post("/seats/previews", {"changes": {"premium": 1}}).json
    program.post(f"/seats/previews/{preview['id']}/apply", {"accepted_total": preview["total_today"]})
    invoice = program.get("/invoices").json["items"][0]
    path = f"/invoices/{invoice['id']}"

    why = program.get(f"{path}/why").json
    table = program.get("/exports/invoices.csv")
    lines = program.get("/exports/invoice-lines.csv")

    assert invoice["total"] == 15000
    assert program.get(path).json == invoice
    assert (why["number"], why["lines"][0]["amount"]) == (invoice["number"], 15000)
    assert invoice["number"].encode() in table.content
    assert lines.headers["Content-Disposition"] == 'attachment; filename="invoice-lines-nordlys.csv"'


def test_an_e_invoice_that_cannot_be_made_says_what_is_missing(program: Program) -> None:
    invoice = program.get("/invoices").json["items"][0]["id"]

    refused = program.get(f"/invoices/{invoice}/xml")

    assert (refused.status, refused.json["code"]) == (409, "e_invoice_incomplete")


def test_billing_details_are_changed_as_they_were_seen(program: Program) -> None:
    before = program.get("/billing/details")

    changed = program.patch(
        "/billing/details", {"changes": {"legal_name": "Nordlys AB"}}, If_Match=before.headers["ETag"]
    )
    stale = program.patch("/billing/details", {"changes": {"city": "Oslo"}}, If_Match=before.headers["ETag"])

    assert changed.json["details"]["legal_name"] == "Nordlys AB"
    assert (stale.status, stale.json["code"]) == (412, "version_mismatch")


def test_a_budget_is_previewed_set_and_removed(program: Program) -> None:
    preview = program.post("/seats/budget-previews", {"tier": "premium", "seats": 3}).json

    done = program.post(f"/seats/budget-previews/{preview['id']}/apply", {"accepted_total": preview["total_today"]})
    listed = program.get("/seats/budgets").json["items"]
    removed = program.delete("/seats/budgets/premium")

    assert (done.status, done.json["seats_left"]) == (200, 3)
    assert [(one["tier"], one["seats_left"]) for one in listed] == [("premium", 3)]
    assert (removed.status, program.get("/seats/budgets").json["items"]) == (204, [])


def test_who_waits_is_moved_and_taken_out_of_the_line(customer: Customer, program: Program) -> None:
    loosen_brake(customer)
    for number in range(9):
        customer.push(f"p{number}@nordlys.test")
    line = program.get("/seats/waiting").json["items"]
    last = line[-1]["person_id"]

    promoted = program.post(f"/seats/waiting/{last}/promote", {"why": "on call"}).json
    left = program.post(f"/seats/waiting/{last}/leave", {"why": "has left"})

    assert len(line) == 2  # 9 people, 7 seats
    assert (promoted["place"], promoted["moved"]) == (1, True)
    assert (left.status, len(program.get("/seats/waiting").json["items"])) == (204, 1)


def test_what_the_brake_holds_is_previewed_and_decided_by_what_was_seen(customer: Customer, program: Program) -> None:
    set_brake(customer, minimum=1, share=1)
    people = [MemberId(customer.push(f"p{number}@nordlys.test").id) for number in range(3)]
    thresholds = program.patch("/brake", {"window_minutes": 20}).json
    for member_id in people:
        say_active(customer, member_id, active=False)
    hold = program.get("/brake/holds").json["items"][0]
    path = f"/brake/holds/{hold['id']}"

    held = program.get(f"{path}/people").json["items"]
    preview = program.post(f"{path}/release-previews").json
    unseen = program.post(f"{path}/release", {"revision": hold["revision"] - 1, "reason": "leavers"})
    released = program.post(f"{path}/release", {"revision": hold["revision"], "reason": "leavers"}).json

    assert (thresholds["minimum"], thresholds["window_minutes"]) == (1, 20)
    assert len(held) == len(preview["people"]) == hold["number"]
    assert (unseen.status, unseen.json["code"]) == (409, "hold_changed")
    assert (released["state"], released["turned_off"]) == ("released", hold["number"])
    assert program.get("/people/counts").json["deactivated"] == 3


def test_a_connection_is_made_with_tokens_and_clients_and_turned_off(program: Program) -> None:
    made = program.post("/connections", {"name": "Entra"}).json
    path = f"/connections/{made['id']}"
    token = program.post(f"{path}/tokens", {"label": "first"}).json
    client = program.post(f"{path}/clients", {}).json
    rotated = program.post(f"{path}/clients/{client['client_id']}/rotate-secret").json
    listed = program.get(f"{path}/tokens").json["items"]

    changed = program.patch(path, {"creates_people": False, "confirmation": "always"}).json
    revoked = program.delete(f"{path}/tokens/{listed[0]['id']}")
    gone = program.delete(f"{path}/clients/{client['client_id']}")
    off, on = program.post(f"{path}/disable"), program.post(f"{path}/enable")

    assert token["token"].startswith("sbscim_")
    assert rotated["client_secret"] != client["client_secret"]
    assert (changed["creates_people"], changed["confirmation"]) == (False, "always")
    assert [answer.status for answer in (revoked, gone, off, on)] == [204, 204, 200, 200]
    assert program.get(f"{path}/addresses").json["scim"].endswith("/scim/v2/nordlys")


def test_a_token_of_another_connection_is_not_revoked_by_this_ones_address(program: Program) -> None:
    one, two = (program.post("/connections", {"name": name}).json["id"] for name in ("Entra", "Google"))
    program.post(f"/connections/{one}/tokens", {})
    token = program.get(f"/connections/{one}/tokens").json["items"][0]["id"]

    refused = program.delete(f"/connections/{two}/tokens/{token}")

    assert refused.status == 404
    assert len(program.get(f"/connections/{one}/tokens").json["items"]) == 1


def test_a_domain_is_claimed_and_given_up(program: Program) -> None:
    claimed = program.post("/domains", {"name": "Nordlys.test"}).json

    gone = program.delete("/domains/nordlys.test")

    assert claimed["record"].startswith("seatbridge-verification=")
    assert (claimed["verified_at"], gone.status, program.get("/domains").json["items"]) == (None, 204, [])


def test_the_mode_is_previewed_and_switched(program: Program) -> None:
    preview = program.post("/provisioning/previews", {"mode": "jit"}).json

    switched = program.post(f"/provisioning/previews/{preview['id']}/apply").json

    assert switched["after"] == "jit" == program.get("/provisioning").json["mode"]


def test_single_sign_on_is_enforced_only_for_whom_was_seen(program: Program) -> None:
    effect = program.get("/sso").json

    refused = program.post("/sso/enforce", {"shut_out": []})

    assert len(effect["shut_out"]) == 1
    assert refused.status in {409, 422}


def test_a_file_of_people_is_taken_in_as_previewed(program: Program) -> None:
    file = "userName,displayName,tier\nada@nordlys.test,Ada,premium\nbob@nordlys.test,Bob,\n"
    preview = program.post("/imports/previews", {"csv": file}).json

    other = program.post("/imports", {"csv": file, "expect": "0" * 16})
    done = program.post("/imports", {"csv": file, "expect": preview["fingerprint"]}).json

    assert (preview["applied"], preview["rows"], len(preview["added"])) == (False, 2, 2)
    assert (other.status, other.json["code"]) == (409, "preview_stale")
    assert (done["applied"], done["problems"]) == (True, [])
    assert program.get("/people/counts").json["active"] == 3


def test_teams_and_licences_of_a_workspace(app: Flask, runtime: Runtime) -> None:
    workspace = create_workspace(runtime, "workspace")
    program = Program(app, make_key(workspace))
    member = workspace.push("ada@workspace.test")

    team = program.post("/teams", {"name": "Design"}).json
    joined = program.post(f"/teams/members/{member.id}/join", {"teams": ["Design"]}).json["joined"]
    licensed = program.get("/licences").json["licensed"]
    left = program.delete(f"/teams/Design/members/{member.id}")
    preview = program.post("/removals/previews").json
    removed = program.post(f"/removals/previews/{preview['id']}/apply").json["removed"]
    archived = program.post("/teams/Design/archive").json

    assert [one["id"] for one in joined] == [team["id"]]
    assert (licensed, left.status) == (1, 204)
    assert [one["person_id"] for one in preview["people"]] == removed == [str(member.id)]
    assert archived["archived_at"] is not None


def test_roles_in_the_product_and_an_amendment_of_the_fee(
    app: Flask, make_customer: Callable[..., Customer], clock: SettableClock
) -> None:
    del clock
    customer = make_customer("fees", fee=FeeDraft(annual_fee=1_200_000, tier="Gold", paid_users=100))
    program = Program(app, make_key(customer))

    program.put("/users/roles/auditor", {"name": "Auditor", "permissions": ["view"], "paid": False})
    user = program.post("/users", {"user_name": "ada@fees.test", "roles": ["auditor"]}).json
    program.put(f"/users/{user['id']}/roles", {"roles": ["team_member"]})
    listed = program.get("/users").json
    preview = program.post("/contract/amendment-previews", {"annual_fee": 1_300_000}).json
    amended = program.post(
        f"/contract/amendment-previews/{preview['id']}/apply", {"accepted_total": preview["total_today"]}
    ).json
    lower = program.post("/contract/amendment-previews", {"annual_fee": 1_000_000})

    assert (listed["paid_users"], listed["items"][0]["roles"]) == (1, ["team_member"])
    assert amended["annual_fee"] == 1_300_000
    assert program.get("/contract").json["fee"]["annual_fee"] == 1_300_000
    assert (lower.status, lower.json["code"]) == (409, "lower_fee")
    assert program.delete(f"/users/{user['id']}").status == 204


def test_a_schema_is_declared_and_taken_back(program: Program) -> None:
    declaration = {
        "id": "urn:example:params:scim:schemas:extension:badge:2.0:User",
        "name": "Badge",
        "resourceType": "User",
        "attributes": [{"name": "number", "type": "string", "multiValued": False}],
    }

    applied = program.put("/schemas", {"declaration": declaration})
    removed = program.delete(f"/schemas/{declaration['id']}")

    assert applied.status == 200, applied.json
    assert (removed.status, program.get("/schemas").json["items"]) == (204, [])
