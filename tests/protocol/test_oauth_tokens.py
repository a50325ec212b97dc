"""What tokens are worth, for how long, and what ends them: always in the transaction that is the reason."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, select

from bridge.domain.actors import OPERATOR
from bridge.domain.identifiers import MemberId
from bridge.jobs.work import expire_everywhere, rotate_signing_keys
from bridge.runtime import Runtime
from bridge.store.directory import get_member
from bridge.store.models import AppGrant, SigningKey, WebSession
from bridge.usecases.apps import find_app, remove_app
from bridge.usecases.change_role import change_role
from bridge.usecases.enforce_sso import enforce_sso
from bridge.usecases.manage_access import deactivate_member, reactivate_member
from bridge.usecases.provision_member import remove_member
from bridge.usecases.sign_in_links import create_break_glass_link
from bridge.usecases.signing_keys import rotate_keys
from tests.apps import TestApp, register
from tests.conftest import SettableClock
from tests.factories import Customer
from tests.protocol.scim_client import make_token
from tests.sign_ins import trust
from tests.web import Browser, sign_in
from wsgi import compose

OFFLINE = "openid offline_access"


@pytest.fixture
def web(runtime: Runtime) -> Flask:
    return compose(runtime)


@pytest.fixture
def app(web: Flask, runtime: Runtime) -> TestApp:
    return register(web, runtime, offline_access=True)


@pytest.fixture
def mia(customer: Customer) -> MemberId:
    return MemberId(customer.push("mia@nordlys.test", displayName="Mia Member", active=True).id)


@pytest.fixture
def visitor(web: Flask, customer: Customer, mia: MemberId) -> Browser:
    return sign_in(web, customer, mia)


def introspect(app: TestApp, token: str, **more: str) -> dict[str, Any]:
    answer = app.post("/oauth2/introspect", {"token": token, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.get_json()
    return found


def userinfo(app: TestApp, token: str) -> Any:
    return app.flask.test_client().get("/oauth2/userinfo", headers={"Authorization": f"Bearer {token}"})


def is_dead(app: TestApp, tokens: dict[str, Any]) -> bool:
    """Tell whether nothing of a sign-in is worth anything."""
    return (
        introspect(app, tokens["access_token"]) == {"active": False}
        and introspect(app, tokens["refresh_token"]) == {"active": False}
        and userinfo(app, tokens["access_token"]).status_code == 401
        and app.refresh(tokens["refresh_token"]).get_json()["error"] == "invalid_grant"
    )


def ended_by(customer: Customer) -> list[str | None]:
    with customer.unit() as unit:
        return [grant.ended_by for grant in unit.session.scalars(select(AppGrant).order_by(AppGrant.created_at))]


def test_a_refresh_token_brings_the_next_one_and_tokens_that_are_true_now(
    app: TestApp, customer: Customer, visitor: Browser, mia: MemberId, clock: SettableClock
) -> None:
    first = app.tokens(visitor)
    with customer.unit() as unit:
        get_member(unit, mia).tier = None
    clock.at += timedelta(minutes=5)

    second = app.refresh(first["refresh_token"]).get_json()

    claims = app.read(second["id_token"])
    assert second["refresh_token"] != first["refresh_token"]
    assert (app.read(first["access_token"])["seat_tier"], app.read(second["access_token"])["seat_tier"]) == (
        "premium",
        None,
    )
    assert claims["auth_time"] == app.read(first["id_token"])["auth_time"] == claims["iat"] - 300
    assert claims["sub"] == str(mia)


def test_a_refresh_token_that_comes_twice_ends_the_sign_in_and_the_owners_are_told(
    app: TestApp, customer: Customer, visitor: Browser
) -> None:
    stolen = app.tokens(visitor)["refresh_token"]
    newer = app.refresh(stolen).get_json()

    again = app.refresh(stolen)

    assert again.get_json()["error"] == "invalid_grant"
    assert is_dead(app, newer)
    assert ended_by(customer) == ["refresh_token_reused"]


def test_of_many_who_bring_one_refresh_token_at_once_one_gets_tokens_and_then_nobody_has_any(
    app: TestApp, customer: Customer, visitor: Browser
) -> None:
    token = app.tokens(visitor)["refresh_token"]
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(app.refresh(token).status_code)) for _ in range(4)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [200, 400, 400, 400]
    assert ended_by(customer) == ["refresh_token_reused"]


def test_less_can_be_asked_for_and_never_more(app: TestApp, visitor: Browser) -> None:
    token = app.tokens(visitor, scope="openid email")["refresh_token"]

    more = app.refresh(token, scope="openid profile")
    less = app.refresh(token, scope="openid")

    assert more.get_json()["error"] == "invalid_scope"
    assert less.get_json()["scope"] == "openid"
    assert "email" not in userinfo(app, less.get_json()["access_token"]).get_json()


def test_a_refresh_token_of_another_application_is_worth_nothing_and_stays_good(
    app: TestApp, web: Flask, runtime: Runtime, visitor: Browser
) -> None:
    other = register(web, runtime, "Other")
    token = app.tokens(visitor)["refresh_token"]

    assert other.refresh(token).get_json()["error"] == "invalid_grant"
    assert introspect(other, token) == {"active": False}
    assert other.post("/oauth2/revoke", {"token": token}).get_json()["error"] == "invalid_grant"
    assert app.refresh(token).status_code == 200


def test_introspection_tells_the_truth_of_now(
    app: TestApp, customer: Customer, visitor: Browser, mia: MemberId
) -> None:
    tokens = app.tokens(visitor)
    with customer.unit() as unit:
        get_member(unit, mia).tier = "standard"

    access, refresh = introspect(app, tokens["access_token"]), introspect(app, tokens["refresh_token"])

    assert (access["active"], access["sub"], access["seat_tier"]) == (True, str(mia), "standard")
    assert (access["token_type"], access["client_id"], access["org"]["slug"]) == ("Bearer", app.client_id, "nordlys")
    assert (refresh["active"], refresh["token_type"], refresh["seat_tier"]) == (True, "refresh_token", "standard")
    assert introspect(app, tokens["refresh_token"], token_type_hint="refresh_token")["active"]


def test_userinfo_says_what_the_scope_allows(app: TestApp, visitor: Browser, mia: MemberId) -> None:
    answer = userinfo(app, app.tokens(visitor)["access_token"])
    narrow = userinfo(app, app.tokens(visitor, scope="openid")["access_token"])
    posted = app.flask.test_client().post(
        "/oauth2/userinfo", headers={"Authorization": f"Bearer {app.tokens(visitor)['access_token']}"}
    )

    assert (answer.get_json()["sub"], answer.get_json()["name"]) == (str(mia), "Mia Member")
    assert "name" not in narrow.get_json()
    assert posted.get_json() == answer.get_json()


NO_ACCESS_TOKENS: tuple[dict[str, str], ...] = (
    {},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer x"},
    {"Authorization": "Bearer a.b.c"},
    {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."},
    {"Authorization": "Basic eDp5"},
    {"Authorization": "Bearer " + "[" * 8000},
)


def test_what_is_no_access_token_opens_nothing(app: TestApp, visitor: Browser) -> None:
    tokens = app.tokens(visitor)
    others = ({"Authorization": f"Bearer {tokens[name]}"} for name in ("id_token", "refresh_token"))

    answers = [app.flask.test_client().get("/oauth2/userinfo", headers=one) for one in (*NO_ACCESS_TOKENS, *others)]

    assert {answer.status_code for answer in answers} == {401}
    assert all(answer.headers["WWW-Authenticate"].lower().startswith("bearer") for answer in answers)
    bare = app.flask.test_client().get("/oauth2/userinfo").headers["WWW-Authenticate"]
    assert "error" not in bare  # RFC 6750 §3.1: nothing was refused yet


def test_an_access_token_ends_after_ten_minutes(app: TestApp, visitor: Browser, clock: SettableClock) -> None:
    token = app.tokens(visitor)["access_token"]
    clock.at += timedelta(minutes=10)

    assert userinfo(app, token).status_code == 401
    assert introspect(app, token) == {"active": False}


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_a_sign_in_is_given_up_by_any_token_of_it(
    app: TestApp, customer: Customer, visitor: Browser, kind: str
) -> None:
    tokens = app.tokens(visitor)

    given_up = app.post("/oauth2/revoke", {"token": tokens[kind]})
    again = app.post("/oauth2/revoke", {"token": tokens[kind]})

    assert (given_up.status_code, again.status_code) == (200, 200)
    assert is_dead(app, tokens)
    assert ended_by(customer) == ["revoked"]


def test_a_public_application_gives_up_but_is_told_nothing(web: Flask, runtime: Runtime, visitor: Browser) -> None:
    app = register(web, runtime, "Public", is_public=True)
    tokens = app.tokens(visitor)

    asked = app.post("/oauth2/introspect", {"token": tokens["access_token"]})
    given_up = app.post("/oauth2/revoke", {"token": tokens["refresh_token"]})

    assert (asked.status_code, asked.get_json()["error"]) == (401, "invalid_client")
    assert given_up.status_code == 200
    assert app.refresh(tokens["refresh_token"]).get_json()["error"] == "invalid_grant"


def turn_off(customer: Customer, mia: MemberId) -> None:
    with customer.unit() as unit:
        deactivate_member(unit, get_member(unit, mia), reason="by_hand")


def remove(customer: Customer, mia: MemberId) -> None:
    with customer.unit() as unit:
        remove_member(unit, get_member(unit, mia))


def patch_off(customer: Customer, mia: MemberId) -> None:
    """As Entra does: one statement answers it (a lane)."""
    operation = {"op": "replace", "path": "active", "value": False}
    body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation]}
    answer = scim(customer).patch(f"/scim/v2/{customer.slug}/Users/{mia}", json=body, headers=bearer(customer))
    assert answer.status_code == 200, answer.text


def put_off(customer: Customer, mia: MemberId) -> None:
    """As Okta does: another lane answers it."""
    core = "urn:ietf:params:scim:schemas:core:2.0:User"
    body = {"schemas": [core], "userName": "mia@nordlys.test", "displayName": "Mia Member", "active": False}
    answer = scim(customer).put(f"/scim/v2/{customer.slug}/Users/{mia}", json=body, headers=bearer(customer))
    assert answer.status_code == 200, answer.text


def scim(customer: Customer) -> Any:
    return compose(customer.runtime).test_client()


def bearer(customer: Customer) -> dict[str, str]:
    return {"Authorization": f"Bearer {make_token(customer)}", "Content-Type": "application/scim+json"}


@pytest.mark.parametrize("off", [turn_off, remove, patch_off, put_off])
def test_t18_every_way_of_turning_somebody_off_ends_codes_and_tokens_at_once(
    app: TestApp, customer: Customer, visitor: Browser, mia: MemberId, off: Callable[..., None]
) -> None:
    bound, offline = app.tokens(visitor), app.tokens(visitor, scope=OFFLINE)
    codes = app.code(visitor), app.code(visitor, scope=OFFLINE)

    off(customer, mia)

    assert is_dead(app, bound)
    assert is_dead(app, offline)
    assert {app.redeem(code).get_json()["error"] for code in codes} == {"invalid_grant"}


def test_t18_access_that_comes_back_brings_no_token_back(
    app: TestApp, customer: Customer, visitor: Browser, mia: MemberId
) -> None:
    tokens = app.tokens(visitor, scope=OFFLINE)
    turn_off(customer, mia)

    with customer.unit() as unit:
        reactivate_member(unit, get_member(unit, mia), reason="by_hand")

    assert is_dead(app, tokens)


def test_a_session_takes_its_tokens_along_but_for_those_that_may_outlive_it(
    app: TestApp, customer: Customer, visitor: Browser
) -> None:
    bound, offline = app.tokens(visitor), app.tokens(visitor, scope=OFFLINE)

    visitor.post("/sign-out")

    assert is_dead(app, bound)
    assert introspect(app, offline["access_token"])["active"]
    assert app.refresh(offline["refresh_token"]).status_code == 200
    assert sorted(ended_by(customer), key=str) == [None, "sign_out"]


def test_signing_out_everywhere_ends_what_may_outlive_a_session_too(app: TestApp, visitor: Browser) -> None:
    offline = app.tokens(visitor, scope=OFFLINE)

    visitor.post("/me/sessions/end")

    assert is_dead(app, offline)


def test_a_request_of_an_application_holds_one_connection_of_the_database(
    app: TestApp, web: Flask, runtime: Runtime, visitor: Browser, make_customer: Callable[..., Customer]
) -> None:
    elsewhere = register(web, runtime, "Elsewhere", only_org_id=make_customer("fjord").org_id)
    held, most = 0, 0

    def count(change: int) -> None:
        nonlocal held, most
        held += change
        most = max(most, held)

    event.listen(runtime.engine, "checkout", lambda *_: count(1))
    event.listen(runtime.engine, "checkin", lambda *_: count(-1))
    tokens = app.tokens(visitor)
    app.refresh(tokens["refresh_token"])
    userinfo(app, tokens["access_token"])
    introspect(app, tokens["access_token"])
    assert elsewhere.authorize(visitor).status_code == 403

    assert (held, most) == (0, 1)


def test_enforcing_single_sign_on_ends_what_a_link_began_and_may_outlive_its_session(
    app: TestApp, customer: Customer, visitor: Browser
) -> None:
    trust(customer)
    offline = app.tokens(visitor, scope=OFFLINE)
    visitor.post("/sign-out")

    with customer.unit(customer.owner) as unit:
        enforce_sso(unit)

    assert is_dead(app, offline)
    assert ended_by(customer) == ["sso_enforced"]


def test_an_emergency_session_gives_nothing_that_outlives_it(
    app: TestApp, web: Flask, customer: Customer, clock: SettableClock
) -> None:
    with customer.unit() as unit:
        link = create_break_glass_link(unit, customer.owner_id)
    owner = Browser(web.test_client())
    owner.get(f"/sign-in/link/{link.text}")
    assert owner.post(f"/sign-in/link/{link.text}").status == 303
    tokens = app.tokens(owner, scope=OFFLINE)
    clock.at += timedelta(hours=1)

    late = app.refresh(tokens["refresh_token"])

    assert tokens["scope"] == "openid"
    assert late.get_json()["error"] == "invalid_grant"


def test_nobody_gets_offline_access_who_was_not_registered_for_it(
    web: Flask, runtime: Runtime, customer: Customer, visitor: Browser
) -> None:
    app = register(web, runtime, "Plain")

    tokens = app.tokens(visitor, scope=OFFLINE)

    assert tokens["scope"] == "openid"
    visitor.post("/sign-out")
    assert is_dead(app, tokens)


def test_however_often_it_is_renewed_a_sign_in_ends_with_its_session_or_after_thirty_days(
    app: TestApp, visitor: Browser, clock: SettableClock
) -> None:
    bound, offline = app.tokens(visitor), app.tokens(visitor, scope=OFFLINE)
    clock.at += timedelta(hours=11)
    bound, offline = (app.refresh(one["refresh_token"]).get_json() for one in (bound, offline))
    clock.at += timedelta(hours=1)

    late = app.refresh(bound["refresh_token"])
    clock.at += timedelta(days=29)
    offline = app.refresh(offline["refresh_token"]).get_json()
    clock.at += timedelta(hours=12)

    assert late.get_json()["error"] == "invalid_grant"
    assert app.refresh(offline["refresh_token"]).get_json()["error"] == "invalid_grant"


def test_the_hourly_job_ends_sessions_that_ran_out_and_forgets_old_sign_ins(
    app: TestApp, runtime: Runtime, customer: Customer, visitor: Browser, clock: SettableClock
) -> None:
    app.tokens(visitor)
    clock.at += timedelta(hours=12)
    expire_everywhere(runtime)
    after_a_day = ended_by(customer)
    clock.at += timedelta(days=31)

    expire_everywhere(runtime)

    assert after_a_day == ["expired"]
    assert ended_by(customer) == []
    with customer.unit() as unit:
        assert unit.session.scalars(select(WebSession)).all() == []


def test_a_role_that_changed_is_in_the_next_token(
    app: TestApp, customer: Customer, visitor: Browser, mia: MemberId
) -> None:
    tokens = app.tokens(visitor, scope=OFFLINE)

    with customer.unit(customer.owner) as unit:
        change_role(unit, mia, "admin")

    assert app.read(app.refresh(tokens["refresh_token"]).get_json()["access_token"])["role"] == "admin"


def test_a_removed_application_has_nothing_left(app: TestApp, runtime: Runtime, visitor: Browser) -> None:
    tokens = app.tokens(visitor)

    with runtime.installation(OPERATOR) as installation:
        remove_app(installation, find_app(installation.session, "Example"))

    assert app.refresh(tokens["refresh_token"]).get_json()["error"] == "invalid_client"
    assert userinfo(app, tokens["access_token"]).status_code == 401


def test_keys_change_by_themselves_and_tokens_of_the_old_one_stay_good(
    app: TestApp, runtime: Runtime, clock: SettableClock, customer: Customer, mia: MemberId
) -> None:
    clock.at += timedelta(days=91)
    changed = rotate_signing_keys(runtime)
    published = app.flask.test_client().get("/oauth2/jwks").get_json()["keys"]
    clock.at += timedelta(days=1) - timedelta(minutes=5)
    old = app.tokens(sign_in(app.flask, customer, mia))["access_token"]
    clock.at += timedelta(minutes=6)

    new = app.tokens(sign_in(app.flask, customer, mia))["access_token"]

    assert (changed, len(published)) == (1, 2)
    assert old.partition(".")[0] != new.partition(".")[0]
    assert [userinfo(app, token).status_code for token in (old, new)] == [200, 200]
    clock.at += timedelta(days=1)
    assert rotate_signing_keys(runtime) == 1  # the old one is forgotten
    with runtime.installation(OPERATOR) as installation:
        assert len(installation.session.scalars(select(SigningKey)).all()) == 1


def test_a_key_that_somebody_may_know_is_believed_no_more(
    app: TestApp, runtime: Runtime, visitor: Browser, clock: SettableClock
) -> None:
    from bridge.adapters.oauth import make_key  # noqa: PLC0415 - made here alone: it takes time

    token = app.tokens(visitor)["access_token"]
    with runtime.installation(OPERATOR) as installation:
        rotate_keys(installation, make_key(runtime.secrets), at_once=True, reason="compromised")

    assert userinfo(app, token).status_code == 401
    assert userinfo(app, app.tokens(visitor)["access_token"]).status_code == 200
