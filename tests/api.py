"""Programs for tests: keys, and a client whose every answer is held against the document of the interface."""

import functools
import json
import re
from collections.abc import Sequence
from datetime import timedelta
from importlib.resources import files
from typing import Any

from flask import Flask
from jsonschema import Draft202012Validator

from bridge.domain.actors import OPERATOR, Actor
from bridge.domain.identifiers import MemberId
from bridge.domain.scopes import Scope
from bridge.usecases.api_keys import LIFETIME, ApiKeyDraft, create_api_key
from tests.factories import Customer

_PART = re.compile(r"\{[a-z_]+\}")


@functools.cache
def published() -> dict[str, Any]:
    """Return the document as it is answered."""
    document: dict[str, Any] = json.loads(files("bridge.web.api").joinpath("openapi.json").read_text())
    return document


def make_key(
    customer: Customer,
    *scopes: str,
    role: str = "owner",
    actor: Actor = OPERATOR,
    member_id: MemberId | None = None,
    lifetime: timedelta = LIFETIME,
) -> str:
    """Make a key; with every scope by default."""
    with customer.unit(actor) as unit:
        draft = ApiKeyDraft("Payroll", scopes or list(Scope), role=role, member_id=member_id, lifetime=lifetime)
        return create_api_key(unit, draft)[1].text


class Told:
    """What was answered."""

    def __init__(self, response: Any) -> None:
        self.status: int = response.status_code
        self.headers: dict[str, str] = dict(response.headers)
        self.content: bytes = response.get_data()

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.content)


class Program:
    """A client that calls by a key and refuses an answer that the document does not describe."""

    def __init__(self, app: Flask, key: str) -> None:
        self._client, self.key = app.test_client(), key

    def get(self, path: str, **headers: str) -> Told:
        """Read."""
        return self.call("GET", path, None, headers)

    def post(self, path: str, body: object = None, **headers: str) -> Told:
        """Change, or preview."""
        return self.call("POST", path, body, headers)

    def put(self, path: str, body: object = None, **headers: str) -> Told:
        """Set."""
        return self.call("PUT", path, body, headers)

    def patch(self, path: str, body: object = None, **headers: str) -> Told:
        """Change some fields."""
        return self.call("PATCH", path, body, headers)

    def delete(self, path: str, **headers: str) -> Told:
        """Remove."""
        return self.call("DELETE", path, None, headers)

    def call(self, method: str, path: str, body: object, headers: dict[str, str]) -> Told:
        """Call, and hold the answer against the document."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        response = self._client.open(
            f"/api/v1{path}", method=method, json=body, headers={"Authorization": f"Bearer {self.key}", **sent}
        )
        told = Told(response)
        hold_against_document(method, path.partition("?")[0], told)
        return told


def hold_against_document(method: str, path: str, told: Told) -> None:
    """Fail where an answer is not as its operation's document says."""
    operation = operation_at(method, path)
    if told.status >= 400:
        assert told.headers["Content-Type"] == "application/problem+json", told.content
        check_schema({"$ref": "#/components/schemas/Problem"}, told.json)
        return
    if told.status == 304:
        return
    assert operation is not None, f"{method} {path} is answered and not described"
    answer = operation["responses"][str(told.status)]
    content = answer.get("content", {}).get("application/json")
    if content is not None:
        check_schema(content["schema"], told.json)
    elif not answer.get("content"):
        assert told.content == b""


def operation_at(method: str, path: str) -> dict[str, Any] | None:
    """Return the operation of a request; paths without a part come before those with one."""
    templates: Sequence[str] = sorted(published()["paths"], key=lambda template: len(_PART.findall(template)))
    for template in templates:
        if re.fullmatch(_PART.sub("[^/]+", template), path) and method.lower() in published()["paths"][template]:
            found: dict[str, Any] = published()["paths"][template][method.lower()]
            return found
    return None


def check_schema(schema: dict[str, Any], value: object) -> None:
    """Validate a value by a schema of the document; a field that is not described is a fault too."""
    described = {**schema, "components": _closed()["components"]}
    validator = Draft202012Validator(described, format_checker=Draft202012Validator.FORMAT_CHECKER)
    problems = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
    assert problems == []


@functools.cache
def _closed() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(published()))
    for schema in document["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return document
