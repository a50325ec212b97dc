"""The programming interface: who may call, what is answered, and that it is what its document says."""

import json
import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask

from bridge.domain.actors import Actor, ActorKind
from bridge.domain.identifiers import MemberId
from bridge.domain.roles import Role
from bridge.domain.scopes import GRANTED, Scope
from bridge.errors import ForbiddenError, InvalidInputError
from bridge.runtime import Runtime
from bridge.store.journal import verify
from bridge.store.models import ApiKey
from bridge.usecases.api_keys import list_api_keys, revoke_api_key
from bridge.usecases.people_by_hand import turn_off_member
from tests.api import Program, make_key
from tests.conftest import SettableClock
from tests.factories import Customer
from tests.web import make_admin, push_group
from wsgi import compose


@pytest.fixture
def app(runtime: Runtime) -> Flask:
    return compose(runtime)


@pytest.fixture
def program(app: Flask, customer: Customer) -> Program:
    """A program with an owner's key and every scope."""
    return Program(app, make_key(customer))


RULES = {"schema": 2, "default": "highest_available", "rules": [{"group": "Engineering", "tier": "standard"}]}


def test_a_key_says_whose_it_is_and_what_it_may_be_used_for(app: Flask, customer: Customer) -> None:
    program = Program(app, make_key(customer, "seats:read", role="admin"))

    key, organization = program.get("/key").json, program.get("/organization").json

    assert (key["role"], key["scopes"], key["label"]) == ("admin", ["seats:read"], "Payroll")
    assert (organization["slug"], organization["plan"]) == ("nordlys", "team")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer sbkey_unknown", "Basic c2Jr"])
def test_without_a_live_key_nothing_is_answered(app: Flask, customer: Customer, header: str) -> None:
    answer = app.test_client().get("/api/v1/organization", headers={"Authorization": header})

    problem = json.loads(answer.data)
    assert (answer.status_code, problem["code"]) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert problem["type"].endswith("/api/v1/errors/unauthenticated")


def test_a_revoked_and_an_expired_key_open_nothing(app: Flask, customer: Customer, clock: SettableClock) -> None:
    revoked = Program(app, make_key(customer))
    expired = Program(app, make_key(customer, lifetime=timedelta(days=1)))
    with customer.unit() as unit:
        revoke_api_key(unit, revoked.key[:12])
    clock.at += timedelta(days=1)

    answers = [revoked.get("/key").status, expired.get("/key").status]

    assert answers == [401, 401]
    with customer.unit() as unit:
        assert {one.state for one in list_api_keys(unit)} == {"revoked", "expired"}
        assert verify(unit) is None


def test_a_key_of_a_person_ends_with_their_access(app: Flask, customer: Customer) -> None:
    admin = make_admin(customer)
    program = Program(app, make_key(customer, role="admin", member_id=admin.id))
    before = program.get("/key").status
    with customer.unit() as unit:
        turn_off_member(unit, admin.id)

    after = program.get("/key").status

    assert (before, after) == (200, 401)


def test_a_key_of_an_admin_is_never_an_owners(customer: Customer) -> None:
    admin = make_admin(customer)

    with pytest.raises(InvalidInputError, match="no owner"):
        make_key(customer, role="owner", member_id=admin.id)
    with pytest.raises(ForbiddenError):
        make_key(customer, role="owner", actor=Actor(ActorKind.MEMBER, admin.id, Role.ADMIN))


def test_a_scope_that_is_missing_is_named(app: Flask, customer: Customer) -> None:
    program = Program(app, make_key(customer, "people:read"))

    answer = program.post("/people", {"user_name": "ada@nordlys.test"})

    assert answer.status == 403
    assert answer.json["code"] == "insufficient_scope"
    assert "people:write" in answer.json["detail"]
    assert 'scope="people:write"' in answer.headers["WWW-Authenticate"]


def test_every_scope_stays_within_what_owners_may() -> None:
    assert {scope for scope in Scope if not GRANTED[scope]} == set()


def test_z1_an_admins_key_sees_and_spends_no_money_whatever_its_scopes(app: Flask, customer: Customer) -> None:
    """Rule Z1."""
    program = Program(app, make_key(customer, role="admin"))

    pools = program.get("/seats").json["pools"]
    refused = [
        program.post("/seats/previews", {"changes": {"premium": 1}}),
        program.get("/seats/budgets"),
    ]

    assert {pool["price"] for pool in pools} == {None}
    assert [(answer.status, answer.json["code"]) for answer in refused] == [(403, "forbidden")] * 2


def test_a_scope_of_seats_sees_no_prices_though_the_key_is_an_owners(app: Flask, customer: Customer) -> None:
    program = Program(app, make_key(customer, "seats:read", "seats:write", "mappings:write"))
    push_group(customer, "Engineering", [customer.push("ada@nordlys.test")])
    preview = program.post("/mappings/previews", {"document": RULES}).json

    pools = program.get("/seats").json["pools"]

    assert {pool["price"] for pool in pools} == {None}
    assert preview["total_today"] is None


def test_people_are_read_to_the_end_by_cursors(app: Flask, customer: Customer, program: Program) -> None:
    pushed = {str(customer.push(f"p{number}@nordlys.test").id) for number in range(5)}
    seen, path = [], "/people?limit=2"
    while path:
        page = program.get(path)
        seen += [one["id"] for one in page.json["items"]]
        link = page.headers.get("Link", "")
        path = link.partition("</api/v1")[2].partition(">")[0]

    assert sorted(seen) == sorted(pushed | {str(customer.owner_id)})


def test_a_cursor_of_another_list_organization_or_filter_is_refused(
    app: Flask, program: Program, make_customer: Callable[..., Customer], customer: Customer
) -> None:
    customer.push("ada@nordlys.test")
    cursor = program.get("/people?limit=1").json["next_cursor"]
    other = Program(app, make_key(make_customer("sudlys")))

    answers = [
        program.get(f"/people?limit=1&state=all&cursor={cursor}"),
        program.get(f"/audit?cursor={cursor}"),
        other.get(f"/people?limit=1&cursor={cursor}"),
        program.get("/people?cursor=AAAA"),
    ]

    assert [(one.status, one.json["errors"][0]["field"]) for one in answers] == [(422, "cursor")] * 4


def test_a_person_is_added_explained_turned_off_and_on(customer: Customer, program: Program) -> None:
    added = program.post("/people", {"user_name": "ada@nordlys.test", "name": "Ada", "tier": "premium"})
    person = added.json["id"]

    why = program.get(f"/people/{person}/why").json
    off = program.post(f"/people/{person}/turn-off").json
    on = program.post(f"/people/{person}/turn-on").json
    history = program.get(f"/people/{person}/history").json["items"]

    assert (added.status, added.json["tier"], added.json["email"]) == (201, "premium", "ada@nordlys.test")
    assert why["sentence"].startswith("Ada")
    assert (off["active"], off["tier"], on["active"]) == (False, None, True)
    assert {entry["actor"] for entry in history} == {"the API key Payroll"}


def test_owners_only_things_need_an_owners_key(app: Flask, customer: Customer) -> None:
    admin = make_admin(customer)
    weak, strong = Program(app, make_key(customer, role="admin")), Program(app, make_key(customer))

    refused = weak.put(f"/people/{admin.id}/role", {"role": "owner"})
    done = strong.put(f"/people/{admin.id}/role", {"role": "owner"})

    assert (refused.status, done.status, done.json["role"]) == (403, 200, "owner")


def test_what_was_changed_meanwhile_is_not_changed_again(customer: Customer, program: Program) -> None:
    member = customer.push("ada@nordlys.test")
    seen = program.get(f"/people/{member.id}").headers["ETag"]
    program.put(f"/people/{member.id}/role", {"role": "admin"})

    refused = program.post(f"/people/{member.id}/turn-off", If_Match=seen)
    now = program.get(f"/people/{member.id}").headers["ETag"]
    done = program.post(f"/people/{member.id}/turn-off", If_Match=now)

    assert (refused.status, refused.json["code"]) == (412, "version_mismatch")
    assert done.status == 200
    assert program.get(f"/people/{member.id}", If_None_Match=done.headers["ETag"]).status == 304


def test_seats_are_bought_as_previewed_and_a_repeat_buys_nothing(customer: Customer, program: Program) -> None:
    preview = program.post("/seats/previews", {"changes": {"premium": 2}}).json
    path = f"/seats/previews/{preview['id']}/apply"

    unaccepted = program.post(path, {})
    other = program.post(path, {"accepted_total": preview["total_today"] + 1})
    done = program.post(path, {"accepted_total": preview["total_today"]}, Idempotency_Key="buy-1")
    again = program.post(path, {"accepted_total": preview["total_today"]}, Idempotency_Key="buy-1")

    # 2 March 2026 at 09:00 is when the plan began: two seats at 150.00 for the whole period.
    assert preview["total_today"] == 2 * 15000
    assert [line["amount"] for line in preview["bill"]["lines"]] == [30000]
    assert (unaccepted.status, unaccepted.json["code"]) == (422, "acknowledgement_missing")
    assert (other.status, other.json["code"]) == (409, "cost_differs")
    assert (done.status, again.json) == (200, done.json)
    assert {pool["tier"]: pool["bought"] for pool in program.get("/seats").json["pools"]}["premium"] == 4


def test_a_preview_that_shows_what_is_no_longer_so_is_refused(customer: Customer, program: Program) -> None:
    first = program.post("/seats/previews", {"changes": {"premium": 2}}).json
    second = program.post("/seats/previews", {"changes": {"premium": 1}}).json
    program.post(f"/seats/previews/{second['id']}/apply", {"accepted_total": second["total_today"]})

    stale = program.post(f"/seats/previews/{first['id']}/apply", {"accepted_total": first["total_today"]})

    assert (stale.status, stale.json["code"]) == (409, "preview_stale")


def test_a_key_that_was_used_for_something_else_is_refused(program: Program) -> None:
    program.post("/people", {"user_name": "ada@nordlys.test"}, Idempotency_Key="one")

    other = program.post("/people", {"user_name": "bob@nordlys.test"}, Idempotency_Key="one")
    same = program.post("/people", {"user_name": "ada@nordlys.test"}, Idempotency_Key="one")

    assert (other.status, other.json["code"]) == (422, "idempotency_conflict")
    assert same.status == 201


def test_a_seat_that_is_not_free_is_bought_at_the_price_that_was_shown(customer: Customer, program: Program) -> None:
    for name in ("a", "b"):
        program.post("/people", {"user_name": f"{name}@nordlys.test", "tier": "premium"})
    member = customer.push("ada@nordlys.test")
    preview = program.post(f"/people/{member.id}/seat-previews", {"tier": "premium"}).json

    placed = program.post(
        f"/people/seat-previews/{preview['id']}/apply", {"accepted_total": preview["total_today"]}
    ).json

    assert (preview["free"], preview["total_today"] > 0) == (False, True)
    assert (placed["person"]["tier"], placed["person"]["pinned"], placed["ordered"]) == ("premium", True, False)


def test_two_people_swap_their_seats(customer: Customer, program: Program) -> None:
    one = program.post("/people", {"user_name": "a@nordlys.test", "tier": "premium"}).json["id"]
    two = program.post("/people", {"user_name": "b@nordlys.test", "tier": "standard"}).json["id"]
    preview = program.post("/seats/swap-previews", {"first": one, "second": two}).json

    program.post(f"/seats/swap-previews/{preview['id']}/apply")

    assert [program.get(f"/people/{who}").json["tier"] for who in (one, two)] == ["standard", "premium"]


def test_rules_are_previewed_applied_and_rolled_back(customer: Customer, program: Program) -> None:
    ada = customer.push("ada@nordlys.test", displayName="Ada")
    push_group(customer, "Engineering", [ada])
    preview = program.post("/mappings/previews", {"document": RULES}).json

    applied = program.post(f"/mappings/previews/{preview['id']}/apply", {}).json
    versions = program.get("/mappings/versions").json["items"]
    drafts = program.put("/mappings/drafts/Next", {"document": RULES, "expected": 0})

    assert [(move["name"], move["to_tier"]) for move in preview["moves"]] == [("Ada", "standard")]
    assert (applied["version"], applied["moved"]) == (versions[0]["version"], 1)
    assert versions[0]["by"] == "the API key Payroll"
    assert program.get(f"/people/{ada.id}").json["tier"] == "standard"
    assert drafts.json["name"] == "Next"
    assert [group["people"] for group in program.get("/groups").json["items"]] == [1]


def test_a_document_with_mistakes_is_refused_by_their_places(program: Program) -> None:
    wrong = {"schema": 2, "rules": [{"group": "Engineering", "tier": "gold"}]}

    push = program.post("/mappings/problems", {"document": wrong})
    problems = push.json["problems"]
    refused = program.post("/mappings/previews", {"document": wrong})

    assert [one["path"] for one in problems] != []
    assert refused.status == 422


def test_the_feed_and_the_webhook_give_an_event_the_same_id(customer: Customer, program: Program) -> None:
    made = program.post("/webhooks", {"url": "https://93.184.216.34/hook"})
    member = customer.push("ada@nordlys.test")
    from bridge.usecases.webhook_messages import make_events  # noqa: PLC0415 (what the worker does)

    with customer.unit() as unit:
        make_events(unit)
    told = program.get(f"/webhooks/{made.json['endpoint']['id']}/deliveries").json["items"]
    feed = program.get("/events?type=user.created").json["items"]

    assert made.json["secret"].startswith("whsec_")
    created = next(one for one in feed if one["data"]["user"]["id"] == str(member.id))
    assert created["id"] in {one["id"] for one in told}


def test_the_feed_goes_on_where_it_was_left(customer: Customer, program: Program) -> None:
    start = program.get("/events?from_now=true").json
    first, second = customer.push("ada@nordlys.test"), customer.push("bob@nordlys.test")

    page = program.get(f"/events?from_now=true&limit=1&cursor={start['next_cursor']}").json
    rest = program.get(f"/events?from_now=true&cursor={page['next_cursor']}").json
    nothing = program.get(f"/events?from_now=true&cursor={rest['next_cursor']}").json

    people = [one["data"]["user"]["id"] for one in (*page["items"], *rest["items"]) if one["type"] == "user.created"]
    assert start["items"] == []
    assert page["has_more"]
    assert people == [str(first.id), str(second.id)]
    assert (nothing["items"], nothing["next_cursor"]) == ([], rest["next_cursor"])


def test_a_webhook_is_disabled_enabled_tested_replayed_and_removed(program: Program) -> None:
    endpoint = program.post("/webhooks", {"url": "https://93.184.216.34/hook", "events": ["seat.assigned"]}).json
    path = f"/webhooks/{endpoint['endpoint']['id']}"

    states = [program.post(f"{path}/{what}").json["state"] for what in ("disable", "enable")]
    test = program.post(f"{path}/test")
    again = program.post(f"{path}/deliveries/{test.json['id']}/replay").json["replayed"]
    rotated = program.post(f"{path}/rotate-secret").json
    gone = program.delete(path)

    assert states == ["disabled", "ok"]
    assert (test.status, again) == (202, [test.json["id"]])
    assert rotated["secret"] != endpoint["secret"]
    assert (gone.status, program.get(path).status) == (204, 404)


def test_a_secret_that_is_answered_again_is_kept_sealed(customer: Customer, program: Program) -> None:
    from sqlalchemy import select  # noqa: PLC0415

    from bridge.store.models import IdempotencyKey  # noqa: PLC0415

    body = {"url": "https://93.184.216.34/hook"}
    first = program.post("/webhooks", body, Idempotency_Key="hook").json["secret"]
    second = program.post("/webhooks", body, Idempotency_Key="hook").json["secret"]

    with customer.unit() as unit:
        kept = unit.session.scalars(select(IdempotencyKey)).all()
    assert first == second
    assert all(first not in str(row.result) for row in kept)


def test_an_admin_asks_and_an_owner_approves(app: Flask, customer: Customer, program: Program) -> None:
    admin = Program(app, make_key(customer, role="admin"))
    asked = admin.post("/approvals/seats", {"changes": {"premium": 1}, "note": "Two join"}).json
    opened = program.post(f"/approvals/{asked['id']}/previews").json

    approved = program.post(
        f"/approvals/{asked['id']}/approve",
        {"preview_id": opened["preview_id"], "accepted_total": opened["total_today"]},
    ).json

    assert opened["total_today"] == 15000
    assert (approved["approval"]["state"], len(approved["invoices"])) == ("approved", 1)


def test_t1_another_organizations_things_are_not_there(
    app: Flask, program: Program, customer: Customer, make_customer: Callable[..., Customer]
) -> None:
    """T1."""
    other = Program(app, make_key(make_customer("sudlys")))
    member = customer.push("ada@nordlys.test")
    preview = program.post("/seats/previews", {"changes": {"premium": 1}}).json["id"]
    paths = [
        ("GET", f"/people/{member.id}"),
        ("GET", f"/people/{member.id}/why"),
        ("POST", f"/people/{member.id}/turn-off"),
        ("POST", f"/seats/previews/{preview}/apply"),
    ]

    bodies = [None, None, None, {"accepted_total": 15000}]
    answers = [other.call(*where, body, {}) for where, body in zip(paths, bodies, strict=True)]
    unknown = other.get(f"/people/{uuid.uuid4()}")

    assert [answer.status for answer in answers] == [404] * 4
    assert unknown.status == 404
    assert [one["user_name"] for one in other.get("/people").json["items"]] == ["owner@sudlys.test"]


def test_what_cannot_be_read_is_named_by_its_place(program: Program) -> None:
    unknown = program.post("/people", {"user_name": "", "tire": "premium"})
    parameter = program.get("/people?sort=name")
    address = program.get("/peoples")
    method = program.call("DELETE", "/people", None, {})

    assert unknown.status == 422
    assert {one["field"] for one in unknown.json["errors"]} == {"user_name", "tire"}
    assert parameter.json["errors"][0]["field"] == "sort"
    assert (address.status, address.json["code"]) == (404, "not_found")
    assert (method.status, method.json["code"], method.json["type"]) == (405, "method_not_allowed", "about:blank")


def test_a_key_that_asks_too_often_waits(app: Flask, runtime: Runtime, customer: Customer) -> None:
    settings = runtime.settings.model_copy(
        update={"api": runtime.settings.api.model_copy(update={"requests_per_minute": 2})}
    )
    runtime.settings = settings
    program = Program(compose(runtime), make_key(customer))

    answers = [program.get("/key") for _ in range(3)]

    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].json["code"] == "too_many_requests"
    assert int(answers[2].headers["Retry-After"]) >= 1


def test_a_key_is_found_by_its_hash_alone(customer: Customer) -> None:
    text = make_key(customer)

    with customer.unit() as unit:
        row = unit.session.query(ApiKey).one()
    assert text.encode() not in row.key_hash
    assert text.startswith(row.prefix)


def test_every_scope_opens_what_only_reads_it(app: Flask, customer: Customer) -> None:
    program = Program(app, make_key(customer, "events:read", "audit:read", "connections:read"))

    statuses = [program.get(path).status for path in ("/events", "/audit", "/audit/verification", "/webhooks")]

    assert statuses == [200] * 4
    assert MemberId(customer.owner_id) is not None


def test_a_code_has_a_page_of_its_own(app: Flask) -> None:
    page = app.test_client().get("/api/v1/errors/preview_stale")

    assert page.status_code == 200
    assert "Something changed since this preview" in page.get_data(as_text=True)


def test_the_reference_is_drawn_from_files_of_ours_under_a_strict_policy(app: Flask) -> None:
    client = app.test_client()
    page = client.get("/api/v1/docs")

    assets = [client.get(f"/api/v1/docs/{name}").data for name in ("swagger-ui.css", "swagger-ui-bundle.js")]

    assert "'unsafe-inline'" not in page.headers["Content-Security-Policy"]
    assert "http://" not in page.get_data(as_text=True)
    assert all(len(asset) > 100_000 for asset in assets)
    assert json.loads(client.get("/api/v1/openapi.json").data)["openapi"] == "3.2.0"
    assert client.get("/api/v1/openapi.yaml").content_type == "application/yaml"
