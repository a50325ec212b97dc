"""What identity providers are documented, or reported, to send: 77 requests with what must come of them."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.factories import Customer
from tests.protocol.scim_client import ENTERPRISE, ScimClient, make_app, make_token

CASES = json.loads((Path(__file__).parents[1] / "data" / "idp-requests.json").read_text())


@pytest.fixture
def client(customer: Customer) -> ScimClient:
    return ScimClient(make_app(customer), customer.slug, make_token(customer))


@pytest.fixture
def known(client: ScimClient) -> dict[str, str]:
    """People u1 to u3, one without mail address, and group G1 of the first two."""
    ids = {
        name: client.create_user(
            f"{name}@corp.test",
            externalId=f"ext-{name}",
            displayName=name.upper(),
            name={"givenName": name.upper(), "familyName": "Test"},
            title="Engineer",
            emails=[{"value": f"{name}@corp.test", "type": "work", "primary": True}],
        )
        for name in ("u1", "u2", "u3")
    }
    ids["bare"] = client.create_user("bare@corp.test")
    ids["g1"] = client.create_group("G1", ids["u1"], ids["u2"], externalId="gx-1")
    return ids


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_answers_what_identity_providers_send(case: dict[str, Any], client: ScimClient, known: dict[str, str]) -> None:
    steps, expected = _filled(case["steps"], known), _filled(case["expect"], known)

    response = [
        client.send(step["method"], _encoded(step["path"]), step.get("body"), headers=step.get("headers"))
        for step in steps
    ][-1]

    assert response.status_code in expected["status"], response.text
    answer = response.get_json(force=True) if response.data else {}
    for path, *values in expected.get("body", []):
        assert read(answer, path) in values, answer
    if "get" in expected:
        answer = client.get(expected["get"]).get_json(force=True)
    for path, *values in expected.get("checks", []):
        assert read(answer, path) in values, answer
    members = [entry["value"] for entry in answer.get("members", [])]
    if "members" in expected:
        assert sorted(members) == sorted(expected["members"])
    if "membersInclude" in expected:
        assert set(expected["membersInclude"]) <= set(members)
    if "memberOfCreated" in expected:
        assert members == expected["memberOfCreated"]
    if expected.get("rolesPresent"):
        assert [entry["value"] for entry in answer["roles"]] == ["premium"]
    if case["id"] == "X19":
        assert [operation["status"] for operation in answer["Operations"]] == ["201", "201"]
    assert "figmaPermission" not in answer


def read(document: Any, path: str) -> Any:
    """Read ``emails[type=work].value``, ``Resources.0.active`` or ``urn:...:User.department``."""
    if path.startswith(ENTERPRISE):
        document, path = document.get(ENTERPRISE, {}), path.removeprefix(f"{ENTERPRISE}.")
    for step in path.split("."):
        selected = re.fullmatch(r"(\w+)\[(\w+)=(\w+)\]", step)
        if document is None:
            return None
        if selected:
            name, key, value = selected.groups()
            document = next((each for each in document.get(name) or [] if each.get(key) == value), None)
        elif isinstance(document, list):
            document = document[int(step)] if int(step) < len(document) else None
        else:
            document = document.get(step)
    return document


def _filled(value: Any, known: dict[str, str]) -> Any:
    text = json.dumps(value)
    for name, identifier in known.items():
        text = text.replace("{" + name + "}", identifier)
    return json.loads(text)


def _encoded(path: str) -> str:
    endpoint, mark, query = path.partition("?")
    return f"{endpoint}{mark}{quote(query, safe='=&%')}"
