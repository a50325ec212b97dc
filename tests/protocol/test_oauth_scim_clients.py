"""Provisioning clients that fetch their tokens: what they may do at the SCIM door, and how soon it ends."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import URL, func, select

from bridge.cli import main
from bridge.domain.credentials import Credential
from bridge.jobs.work import expire_everywhere
from bridge.runtime import Runtime
from bridge.store.models import AuditEntry, Connection, ScimClient, ScimToken
from bridge.usecases.connections import live_tokens
from bridge.usecases.scim_clients import (
    LIVE_TOKENS,
    add_client,
    issue_client_token,
    registered_client,
    revoke_client,
    revoke_client_secret,
)
from tests.apps import register
from tests.conftest import KEY, SettableClock
from tests.factories import Customer
from wsgi import compose

Client = tuple[ScimClient, Credential]


@pytest.fixture
def web(runtime: Runtime) -> Flask:
    return compose(runtime)


@pytest.fixture
def client(customer: Customer) -> Client:
    with customer.unit() as unit:
        return add_client(unit, customer.connection_id)


def fetch(web: Flask, client: Client, **form: str) -> Any:
    credentials = base64.b64encode(f"{client[0].id}:{client[1].text}".encode()).decode()
    asked = {"grant_type": "client_credentials", **form}
    return web.test_client().post("/oauth2/token", data=asked, headers={"Authorization": f"Basic {credentials}"})


def users(web: Flask, customer: Customer, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return web.test_client().get(f"/scim/v2/{customer.slug}/Users", headers=headers).status_code


def push(web: Flask, customer: Customer, token: str) -> int:
    body = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "mia@nordlys.test"}
    headers = {"Authorization": f"Bearer {token}"}
    return web.test_client().post(f"/scim/v2/{customer.slug}/Users", json=body, headers=headers).status_code


def test_a_client_fetches_a_token_for_an_hour_and_provisions_with_it(
    web: Flask, customer: Customer, client: Client, clock: SettableClock
) -> None:
    answer = fetch(web, client)
    token = answer.get_json()["access_token"]
    pushed = push(web, customer, token)
    clock.at += timedelta(hours=1)

    assert (answer.get_json()["token_type"], answer.get_json()["expires_in"]) == ("Bearer", 3600)
    assert answer.get_json()["scope"] == "scim.read scim.write"
    assert "refresh_token" not in answer.get_json()
    assert pushed == 201
    assert users(web, customer, token) == 401


def test_a_token_for_reading_writes_nothing(web: Flask, customer: Customer, client: Client) -> None:
    with customer.unit() as unit:
        reader = add_client(unit, customer.connection_id, can_write=False)

    narrow = fetch(web, client, scope="scim.read").get_json()["access_token"]
    reading = fetch(web, reader).get_json()
    refused = fetch(web, reader, scope="scim.write")

    assert [users(web, customer, token) for token in (narrow, reading["access_token"])] == [200, 200]
    assert [push(web, customer, token) for token in (narrow, reading["access_token"])] == [403, 403]
    assert reading["scope"] == "scim.read"
    assert refused.get_json()["error"] == "invalid_scope"


def test_a_revoked_client_and_a_disabled_connection_are_out_at_once(
    web: Flask, customer: Customer, client: Client
) -> None:
    with customer.unit() as unit:
        other = add_client(unit, customer.connection_id)
    token, others = (fetch(web, one).get_json()["access_token"] for one in (client, other))

    with customer.unit() as unit:
        revoke_client(unit, unit.session.get_one(ScimClient, (unit.org_id, client[0].id)))
    after_revoking = users(web, customer, token), users(web, customer, others), fetch(web, client).status_code
    with customer.unit() as unit:
        unit.session.get_one(Connection, (unit.org_id, customer.connection_id)).disabled_at = unit.at

    assert after_revoking == (401, 200, 401)
    assert (users(web, customer, others), fetch(web, other).status_code) == (401, 401)


def test_a_revoked_secret_brings_no_more_tokens(web: Flask, customer: Customer, client: Client) -> None:
    with customer.unit() as unit:
        revoke_client_secret(unit, unit.session.get_one(ScimClient, (unit.org_id, client[0].id)), client[1].prefix)

    assert fetch(web, client).get_json()["error"] == "invalid_client"


@pytest.mark.parametrize("what", ["client", "secret", "connection"])
def test_who_is_revoked_while_it_fetches_gets_no_token(customer: Customer, client: Client, what: str) -> None:
    with customer.unit() as unit:
        checked = registered_client(unit, client[0].id)
    assert checked is not None
    with customer.unit() as unit:
        stored = unit.session.get_one(ScimClient, (unit.org_id, client[0].id))
        if what == "client":
            revoke_client(unit, stored)
        elif what == "secret":
            revoke_client_secret(unit, stored, client[1].prefix)
        else:
            unit.session.get_one(Connection, (unit.org_id, customer.connection_id)).disabled_at = unit.at

    with customer.unit() as unit:
        issued = issue_client_token(unit, checked, can_write=True)
        tokens = unit.session.scalar(
            select(func.count()).select_from(ScimToken).where(ScimToken.client_id.is_not(None))
        )

    assert (issued, tokens) == (None, 0)


def test_t2_a_client_s_token_is_worth_nothing_at_another_organization(
    web: Flask, client: Client, make_customer: Callable[..., Customer]
) -> None:
    theirs = make_customer("sudlys")

    assert users(web, theirs, fetch(web, client).get_json()["access_token"]) == 401


def test_t7_a_provisioning_client_is_no_application_and_an_application_no_provisioning_client(
    web: Flask, runtime: Runtime, client: Client
) -> None:
    app = register(web, runtime)
    authorize = f"/oauth2/authorize?response_type=code&client_id={client[0].id}&redirect_uri=https://app.test/callback"
    secret = {"client_id": str(client[0].id), "client_secret": client[1].text, "token": "x"}

    as_machine = app.post("/oauth2/token", {"grant_type": "client_credentials"})
    as_app = fetch(web, client, grant_type="refresh_token", refresh_token="x")
    sent_there = web.test_client().get(authorize)
    asking = [web.test_client().post(f"/oauth2/{endpoint}", data=secret) for endpoint in ("introspect", "revoke")]

    assert as_machine.get_json()["error"] == "unauthorized_client"
    assert as_app.get_json()["error"] == "unauthorized_client"
    assert sent_there.status_code == 400
    assert {answer.get_json()["error"] for answer in asking} == {"invalid_client"}


def test_who_fetches_a_token_for_every_request_keeps_the_newest_ones(
    web: Flask, customer: Customer, client: Client, clock: SettableClock
) -> None:
    tokens = []
    for _ in range(LIVE_TOKENS + 1):
        tokens.append(fetch(web, client).get_json()["access_token"])
        clock.at += timedelta(seconds=1)

    assert [users(web, customer, token) for token in (tokens[0], tokens[1], tokens[-1])] == [401, 200, 200]


def test_fetched_tokens_are_not_counted_as_handed_out_and_are_forgotten_in_time(
    web: Flask, runtime: Runtime, customer: Customer, client: Client, clock: SettableClock
) -> None:
    fetch(web, client)
    with customer.unit() as unit:
        listed = live_tokens(unit, customer.connection_id)
        actions = set(unit.session.scalars(select(AuditEntry.action)))
    clock.at += timedelta(days=31)

    expire_everywhere(runtime)

    assert listed == []
    assert {"scim_client.added", "scim_client.secret_issued"} <= actions
    with customer.unit() as unit:
        assert unit.session.scalar(select(func.count()).select_from(ScimToken)) == 0


def test_the_service_says_that_clients_may_fetch_their_tokens(web: Flask, customer: Customer, client: Client) -> None:
    headers = {"Authorization": f"Bearer {fetch(web, client).get_json()['access_token']}"}

    config = web.test_client().get(f"/scim/v2/{customer.slug}/ServiceProviderConfig", headers=headers).get_json()

    assert [scheme["type"] for scheme in config["authenticationSchemes"]] == ["oauthbearertoken", "oauth2"]


def test_the_command_line_adds_rotates_and_revokes_a_client(database_url: URL, customer: Customer) -> None:
    environment: dict[str, str | None] = {
        "SEATBRIDGE__DATABASE__URL": database_url.render_as_string(hide_password=False),
        "SEATBRIDGE__SECRETS__KEYS": KEY,
    }

    def run(*arguments: str, typed: str = "") -> Any:
        return CliRunner().invoke(main, ["connection", *arguments], input=typed, env=environment)

    added = json.loads(run("add-client", "nordlys", "Okta", "--label", "sync", "--json").stdout)
    rotated = run("rotate-client-secret", "nordlys", "sync")
    third = run("rotate-client-secret", "nordlys", "sync")
    listed = run("list", "nordlys")
    prefix = added["client_secret"][:15]
    old = run("revoke-client", "nordlys", "sync", "--secret", prefix, "--yes")
    gone = run("revoke-client", "nordlys", added["client_id"], typed="y\n")

    assert added["token_url"] == "http://127.0.0.1:8080/oauth2/token"
    assert f"--secret {prefix}" in rotated.output
    assert (third.exit_code, "2 secrets of sync are live" in third.output) == (1, True)
    assert added["client_id"] in listed.output
    assert added["client_secret"] not in listed.output
    assert (old.exit_code, gone.exit_code) == (0, 0), old.output + gone.output
