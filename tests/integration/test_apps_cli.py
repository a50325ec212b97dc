"""``seatbridge apps``: what an operator registers, sees and takes back."""

import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import URL

from bridge.cli import main
from bridge.runtime import Runtime
from tests.conftest import KEY
from tests.factories import Customer

Run = Callable[..., Result]
CALLBACK = "https://planner.example.com/callback"


@pytest.fixture
def run(database_url: URL) -> Run:
    """Run ``seatbridge ...`` here."""
    environment: dict[str, str | None] = {
        "SEATBRIDGE__DATABASE__URL": database_url.render_as_string(hide_password=False),
        "SEATBRIDGE__SECRETS__KEYS": KEY,
        "SEATBRIDGE__SERVER__PUBLIC_URL": "https://seats.example.com",
    }
    return lambda *arguments, typed="": CliRunner().invoke(main, list(arguments), input=typed, env=environment)


def documents(run: Run, *arguments: str) -> object:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_an_application_from_its_registration_to_its_end(run: Run, runtime: Runtime) -> None:
    added = run("apps", "add", "Planner", "--redirect-uri", CALLBACK)
    listed = documents(run, "apps", "list")
    rotated = run("apps", "rotate-secret", "planner")
    assert isinstance(listed, list)
    old = listed[0]["secrets"][0]["prefix"]
    third = run("apps", "rotate-secret", "Planner")
    revoked = run("apps", "revoke-secret", "Planner", old, typed="y\n")
    unasked = run("apps", "remove", "Planner", "--json")
    removed = run("apps", "remove", listed[0]["client_id"], "--yes")
    history = documents(run, "apps", "history")

    assert added.exit_code == 0, added.output
    assert "issuer         https://seats.example.com" in added.output
    assert f'revoke the old one: seatbridge apps revoke-secret "Planner" {old}' in rotated.output
    assert (third.exit_code, "2 secrets of Planner are live" in third.output) == (1, True)
    assert f"revoked      {old}…" in revoked.output
    assert (unasked.exit_code, "add --yes" in unasked.output) == (2, True)
    assert "removed    Planner" in removed.output
    assert isinstance(history, list)
    assert [event["action"] for event in history] == [
        "app.removed",
        "app.secret_revoked",
        "app.secret_issued",
        "signing_key.published",
        "app.secret_issued",
        "app.added",
    ]
    assert {event["actor"] for event in history} == {"operator"}
    assert {event["name"] for event in history if event["action"].startswith("app.")} == {"Planner"}
    assert "sbapp_" not in json.dumps(history)


def test_redirect_uris_change_and_the_application_stays_who_it_is(run: Run, runtime: Runtime) -> None:
    added = documents(run, "apps", "add", "Planner", "--redirect-uri", CALLBACK)
    other = "https://planner.example.org/callback"

    moved = documents(run, "apps", "set-redirect-uris", "Planner", "--add", other, "--remove", CALLBACK)
    refused = [
        run("apps", "set-redirect-uris", "Planner", *options)
        for options in ((), ("--remove", CALLBACK), ("--remove", other), ("--add", "http://planner.example.org/"))
    ]

    assert isinstance(added, dict)
    assert moved == {"application": "Planner", "client_id": added["client_id"], "redirect_uris": [other]}
    assert [result.exit_code for result in refused] == [2, 1, 1, 1]
    assert "is not registered" in refused[1].output
    assert "add another one with it" in refused[2].output
    assert "app.redirect_uris_changed" in run("apps", "history").output


def test_a_secret_is_shown_once(run: Run, customer: Customer) -> None:
    added = documents(run, "apps", "add", "Planner", "--redirect-uri", CALLBACK, "--org", customer.slug)
    table = run("apps", "list")

    assert isinstance(added, dict)
    assert added["client_secret"].startswith("sbapp_")
    assert added["client_secret"] not in table.output
    assert "Planner" in table.output
    assert customer.slug in table.output


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--redirect-uri", "http://planner.example.com/"), "must begin with https://"),
        (("--redirect-uri", "https://*.example.com/"), "has a star in it"),
        (("--redirect-uri", CALLBACK, "--backchannel-logout-uri", "http://planner.example.com/"), "must begin with"),
        (("--redirect-uri", CALLBACK, "--org", "nobody"), "There is no organization 'nobody'"),
    ],
)
def test_what_cannot_be_registered_is_refused_with_the_reason(
    run: Run, runtime: Runtime, options: tuple[str, ...], why: str
) -> None:
    refused = run("apps", "add", "Planner", *options)

    assert refused.exit_code == 1
    assert why in refused.output


def test_a_name_is_taken_without_regard_to_case(run: Run, runtime: Runtime) -> None:
    run("apps", "add", "Planner", "--redirect-uri", CALLBACK)

    again = run("apps", "add", "PLANNER", "--redirect-uri", CALLBACK)

    assert again.exit_code == 1
    assert "is already taken" in again.output


def test_keys_are_rotated_ahead_and_at_once(run: Run, runtime: Runtime) -> None:
    run("apps", "add", "Planner", "--redirect-uri", CALLBACK)

    ahead = documents(run, "apps", "rotate-keys")
    now = run("apps", "rotate-keys", "--at-once", typed="y\n")

    assert isinstance(ahead, dict)
    assert ahead["published_at"] == "https://seats.example.com/oauth2/jwks"
    assert now.exit_code == 0, now.output
    history = documents(run, "apps", "history")
    assert isinstance(history, list)
    assert [event["action"] for event in history].count("signing_key.revoked") == 2
