"""The OpenAPI document of the programming interface: ``python -m bridge.web.api.document [reference]``.

flask-openapi writes it from the declared operations and their models. It does so when the document is made, not in the
service: workers answer the file, and neither load the library nor keep its models.
"""

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from flask_openapi.models.info import Info
from flask_openapi.models.security_scheme import SecurityScheme
from flask_openapi.models.server import Server
from flask_openapi.models.tag import Tag
from flask_openapi.openapi import OpenAPI
from pydantic import BaseModel, Field, create_model

from bridge.domain.scopes import Scope
from bridge.web.api.operations import CONVERTERS, Operation
from bridge.web.api.resources import RESOURCES, all_operations

FILE: Final = Path(__file__).with_name("openapi.json")
_ABOUT: Final = """Everything that the console and the command line do, for programs of one organization.

Every request brings a key: `Authorization: Bearer sbkey_…`, made by `seatbridge api-key create`. The key says which
organization it is; nothing in an address or a body does. What costs or moves people is previewed first, and applied
as it was shown or not at all. Amounts are whole minor units; instants are ISO 8601 in UTC."""
_EVERY_ANSWER: Final = {
    "X-Request-Id": {"description": "Names this request in logs and in the audit.", "schema": {"type": "string"}}
}
_CHANGED: Final = {"description": "What the answer is now, for `If-Match`.", "schema": {"type": "string"}}


class Problem(BaseModel):
    """A refusal (RFC 9457). `code` stays the same from version to version; `type` explains it."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[dict[str, str]] = Field(default=[], description="What is wrong where, of what was sent.")


class IdempotencyHeader(BaseModel):
    """What a repeat is known by."""

    idempotency_key: str | None = Field(
        None, alias="Idempotency-Key", description="A repeat with the same key and body is answered as the first time."
    )


class ChangeHeaders(IdempotencyHeader):
    """The same, and what is to be changed as it was seen."""

    if_match: str | None = Field(
        None, alias="If-Match", description="The `ETag` that was seen; another one by now is refused (412)."
    )


def build_document() -> dict[str, Any]:
    """Return the document, as OpenAPI 3.2."""
    app = OpenAPI(
        "bridge.web.api",
        info=Info(title="Seatbridge", version="1", description=_ABOUT),
        servers=[Server(url="/api/v1")],
        security_schemes={"key": SecurityScheme(type="http", scheme="bearer", description="A key, `sbkey_…`.")},
        doc_ui=False,
    )
    tags = {resource.tag: Tag(name=resource.tag, description=resource.about) for resource in RESOURCES}
    for operation in all_operations():
        register: Callable[..., Callable[[Callable[..., None]], object]] = getattr(app, operation.method.lower())
        register(
            operation.path,
            tags=[tags[operation.tag]],
            summary=operation.summary,
            description=_description(operation),
            operation_id=operation.name,
            security=[{"key": []}],
            responses=_responses(operation),
        )(_stand_in(operation))
    document: dict[str, Any] = json.loads(json.dumps(app.api_doc))
    return _completed(document)


def write_reference(document: Mapping[str, Any]) -> str:
    """Return the page that lists every operation."""
    lines = [_HEAD]
    by_tag: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {tag["name"]: [] for tag in document["tags"]}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            by_tag[operation["tags"][0]].append((method.upper(), path, operation))
    for tag in document["tags"]:
        lines += [f"## {tag['name']}", "", tag["description"], ""]
        lines += ["| operation | what it does | scope |", "| --- | --- | --- |"]
        lines += [
            f"| `{method} {path}` | {operation['summary']}. | {_scope_cell(operation)} |"
            for method, path, operation in by_tag[tag["name"]]
        ]
        lines.append("")
    return "\n".join(lines)


_HEAD: Final = """# Programming interface

<!-- Made by `python -m bridge.web.api.document reference`; change the operations, not this page. -->

Every operation below `/api/v1`, with the scope that a key needs for it. A scope that writes (`people:write`) reads the
same. The service itself shows what is sent and answered at `/api/v1/docs`, and as OpenAPI 3.2 at
`/api/v1/openapi.json` and `/api/v1/openapi.yaml`. [How to use it](../how-to/use-the-api.md) begins with a key.

- **Keys.** `Authorization: Bearer sbkey_…`. A key belongs to one organization, may never more than the role it was
  made with, and ends when it expires, is revoked, or its person loses access. Money needs an owner's key.
- **Previews.** What costs or moves people is asked for at `…/previews` first, which answers people, reasons and cost
  with its formula. `…/apply` takes `accepted_total`, the preview's `total_today`: another sum is refused
  (`cost_differs`), and so is a preview that shows what is no longer so (`preview_stale`, 409).
- **Refusals** are problem details (RFC 9457, `application/problem+json`): `code` is one of the
  [error codes](error-codes.md), `type` is a page about it, `errors` names what is wrong where. What the server refuses
  before it looks has `about:blank` as its type and one of `bad_request`, `method_not_allowed`, `too_large`,
  `internal_error`.
- **Repeats.** With an `Idempotency-Key` (1 to 200 characters) whatever changes something is done once: the same key
  with the same request is answered as the first time, with another one it is refused (`idempotency_conflict`, 422).
  A refusal keeps nothing, so the same key may be tried again.
- **Versions.** Answers have an `ETag`. `If-Match` on a change of what can be read refuses it when it is another one by
  now (`version_mismatch`, 412); `If-None-Match` on a `GET` answers 304.
- **Lists** have `limit` and `next_cursor`, and a `Link` header with `rel="next"`. A cursor is good for its list with
  its filters alone. Lists without these parameters are whole.
- **Limits.** Each key has [`api.requests_per_minute`](configuration.md); beyond, the answer is 429 with `Retry-After`.
- **Events.** The feed gives every event the id that [webhooks](webhooks.md) send as `webhook-id`.
"""


def _scope_cell(operation: Mapping[str, Any]) -> str:
    scope = operation.get("x-scope")
    return f"`{scope}`" if scope else "any"


def _description(operation: Operation) -> str:
    needed = "Any key will do." if operation.scope is None else f"Needs the scope `{operation.scope}`."
    return " ".join(part for part in (operation.description, needed) if part)


def _stand_in(operation: Operation) -> Callable[..., None]:
    """Return a function that takes what the operation takes, for its document."""

    def stand_in(**_: object) -> None:
        """Stand in."""

    takes: dict[str, Any] = {}
    if operation.parts:
        fields: dict[str, Any] = {name: (CONVERTERS[kind], ...) for name, kind in operation.parts.items()}
        takes["path"] = create_model(f"{operation.name}_path", **fields)
    if operation.query is not None:
        takes["query"] = operation.query
    if operation.body is not None:
        takes["body"] = operation.body
    if operation.changes:
        takes["header"] = IdempotencyHeader if operation.reads is None else ChangeHeaders
    stand_in.__annotations__ = takes
    stand_in.__name__ = operation.name
    stand_in.__doc__ = operation.summary
    return stand_in


def _responses(operation: Operation) -> dict[str | int, Any]:
    if operation.answer is not None:
        return {operation.status: operation.answer}
    if operation.media != "application/json":
        media = {operation.media: {"schema": {"type": "string", "format": "binary"}}}
        return {operation.status: {"description": "The file", "content": media}}
    return {operation.status: None}


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    """Add what every operation has in common, in one order."""
    schemas = document["components"]["schemas"]
    schemas.pop("ValidationErrorModel", None)
    schemas["Problem"] = Problem.model_json_schema(mode="serialization")
    by_name = {operation.name: operation for operation in all_operations()}
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    for item in document["paths"].values():
        for told in item.values():
            operation = by_name[told["operationId"]]
            if operation.scope is not None:
                told["x-scope"] = str(operation.scope)
            told["responses"] = {
                status: answer for status, answer in told["responses"].items() if status == str(operation.status)
            }
            for answer in told["responses"].values():
                answer["headers"] = dict(_EVERY_ANSWER)
                if operation.answer is not None:
                    answer["headers"]["ETag"] = _CHANGED
            told["responses"]["default"] = {
                "description": "A refusal, under one of the codes of the product",
                "content": {"application/problem+json": problem},
            }
            if operation.body is not None and _is_optional(operation.body):
                told["requestBody"]["required"] = False
    document["components"]["schemas"] = {name: _flat(schemas[name]) for name in sorted(schemas)}
    document["x-scopes"] = [str(scope) for scope in Scope]
    return document


def _is_optional(body: type[BaseModel]) -> bool:
    return not any(field.is_required() for field in body.model_fields.values())


def _flat(schema: dict[str, Any]) -> dict[str, Any]:
    """Leave out the definitions that stand among the components already."""
    return {name: value for name, value in schema.items() if name != "$defs"}


def main(arguments: Iterable[str]) -> None:
    """Write the document beside this module, or the reference to standard output."""
    document = build_document()
    if "reference" in arguments:
        sys.stdout.write(write_reference(document))
    else:
        FILE.write_text(render(document))


def render(document: Mapping[str, Any]) -> str:
    """Write the document as the file holds it."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
