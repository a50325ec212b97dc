"""Whose client speaks, told from the 77 requests of documented and reported traffic; what is generic stays generic."""

import json
from pathlib import Path
from typing import Any

import pytest

from bridge.domain.dialects import GENERIC, SIGNS, Dialect, SentRequest, conclude, signs_of

CASES = json.loads((Path(__file__).parents[1] / "data" / "idp-requests.json").read_text())

#: Requests that show nothing of their sender: the standard's own shapes.
GENERIC_OF_ENTRA = {"E04", "E05", "E06", "E11", "E16", "E23", "E24", "E29", "E35", "E40"}
GENERIC_OF_OKTA = {"O03", "O07", "O09", "O11", "O12", "O13", "O15", "O16", "O17", "O18"}
#: Anybody may send these; this one has Entra's capitalised operation.
TOLD_OF_ANYBODY = {"X12": Dialect.ENTRA}


def signs_in(case: dict[str, Any], agent: str | None = None) -> list[str]:
    found = []
    for step in case["steps"]:
        path, _, query = step["path"].partition("?")
        found += signs_of(SentRequest(step["method"], path, query, agent, step.get("body")))
    return found


def expected(case: dict[str, Any]) -> Dialect:
    if case["idp"] == "entra":
        return Dialect.GENERIC if case["id"] in GENERIC_OF_ENTRA else Dialect.ENTRA
    if case["idp"] == "okta":
        return Dialect.GENERIC if case["id"] in GENERIC_OF_OKTA else Dialect.OKTA
    return TOLD_OF_ANYBODY.get(case["id"], Dialect.GENERIC)


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_what_a_request_shows_is_told_and_what_is_generic_stays_generic(case: dict[str, Any]) -> None:
    assert conclude(signs_in(case)).dialect is expected(case)


@pytest.mark.parametrize("idp", ["entra", "okta"])
def test_all_the_requests_of_one_provider_together_tell_it(idp: str) -> None:
    signs = [sign for case in CASES if case["idp"] == idp for sign in signs_in(case)]

    behaviour = conclude(signs)

    assert behaviour.dialect == idp
    assert behaviour.seen_by


@pytest.mark.parametrize(
    ("agent", "dialect"),
    [
        ("Okta SCIM Client 1.0.0", Dialect.OKTA),
        ("Microsoft Azure AD SCIM provisioning 1.2.3", Dialect.ENTRA),
        ("Google-SCIM", Dialect.GOOGLE),
        ("OneLogin SCIM", Dialect.ONELOGIN),
        ("", Dialect.ONELOGIN),
        ("JumpCloud/1.0", Dialect.JUMPCLOUD),
        ("PingFederate/12", Dialect.PING),
        ("Rippling", Dialect.RIPPLING),
        ("keycloak-scim", Dialect.KEYCLOAK),
        ("python-requests/2.32", Dialect.GENERIC),
        (None, Dialect.GENERIC),
    ],
)
def test_a_user_agent_names_its_provider(agent: str | None, dialect: Dialect) -> None:
    signs = signs_of(SentRequest("GET", "/Users", "", agent))

    assert conclude(signs).dialect is dialect


@pytest.mark.parametrize(
    ("method", "shown"), [("PUT", "Okta (custom app)"), ("PATCH", "Okta (catalogue app)"), ("GET", "Okta")]
)
def test_okta_shows_which_kind_of_app_it_is(method: str, shown: str) -> None:
    signs = signs_of(SentRequest(method, "/Users/42", "", "Okta SCIM Client 1.0.0", {}))

    assert str(conclude(signs)) == shown


def test_a_user_agent_outweighs_a_shape_that_another_provider_has() -> None:
    body = {"Operations": [{"op": "Replace", "path": "title", "value": "Engineer"}]}

    behaviour = conclude(signs_of(SentRequest("PATCH", "/Users/42", "", "JumpCloud", body)))

    assert behaviour.dialect is Dialect.JUMPCLOUD  # 10 points against 3


def test_signs_that_weigh_the_same_tell_nothing() -> None:
    assert conclude(["entra_test", "okta_page"]) == GENERIC  # 2 points each


def test_one_weak_sign_is_not_enough() -> None:
    assert conclude(["okta_password"]) == GENERIC


def test_a_sign_of_a_newer_version_is_ignored() -> None:
    assert conclude(["from_the_future", "agent_okta"]).dialect is Dialect.OKTA


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "text",
        {"Operations": "none"},
        {"Operations": [None, 1, {"op": ["Add"]}, {"op": {}}]},
        {"schemas": [1, None], "meta": 5, "members": {"value": "x"}, "roles": "admin"},
        {"members": [None, "x", {"$ref": 1}], "roles": [None, {"value": 1}]},
        {"Operations": [{"op": "replace", "path": 5, "value": [[]]}]},
    ],
)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("path", ["/Users", "/Groups/1", ""])
def test_a_body_of_any_shape_is_read_without_complaint(method: str, path: str, body: Any) -> None:
    assert set(signs_of(SentRequest(method, path, "filter=%22&&=", "x", body))) <= set(SIGNS)
