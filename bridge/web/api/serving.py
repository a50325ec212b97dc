"""From request to view and back: what is read is checked, what is answered has its document's shape."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from flask import Response, request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import BadRequest

from bridge.errors import IdempotencyConflictError, InvalidInputError, VersionMismatchError
from bridge.runtime import Runtime
from bridge.usecases.idempotency import once
from bridge.web.api.calls import Call, CallLimits, open_call
from bridge.web.api.operations import Operation
from bridge.web.api.paging import next_link

JSON: Final = "application/json"
LONGEST_KEY: Final = 200


@dataclass(frozen=True, slots=True)
class File:
    """An answer that is a file."""

    content: bytes
    media: str
    name: str


class BodyInvalidError(InvalidInputError):
    """Several values that cannot be accepted; the first of them is told as the others are elsewhere."""

    def __init__(self, problems: list[dict[str, str]]) -> None:
        self.all_problems = problems
        super().__init__(problems[0]["field"], problems[0]["problem"])


def view_of(runtime: Runtime, limits: CallLimits, operation: Operation) -> Callable[..., Response]:
    """Return what the router calls for an operation: key, scope, input, unit of work, view, answer."""

    def serve(**parts: Any) -> Response:
        with open_call(runtime, limits, operation) as call:
            arguments = dict(parts)
            if operation.query is not None:
                arguments["query"] = _checked(operation.query, _query_values(operation.query))
            elif request.args:
                raise InvalidInputError(next(iter(request.args)), "is no parameter of this operation")
            if operation.body is not None:
                arguments["body"] = _checked(operation.body, _sent())
            if not operation.changes:
                return _matched(operation, _answer(operation, operation.view(call, **arguments)))
            return _changed(call, parts, arguments)

    serve.__name__ = operation.name
    return serve


def _changed(call: Call, parts: Mapping[str, Any], arguments: Mapping[str, Any]) -> Response:
    """Do what changes something, once for each key, and only where it is as the caller saw it."""
    operation = call.operation

    def act() -> Response:
        expected = request.headers.get("If-Match")
        if expected is not None and operation.reads is not None:
            call.unit.lock()
            seen = _answer(operation.reads, operation.reads.view(call, **parts))
            if expected.strip() not in {"*", seen.headers["ETag"]}:
                raise VersionMismatchError(operation.tag, request.path)
            call.unit.session.expire_all()
        return _answer(operation, operation.view(call, **arguments))

    key = request.headers.get("Idempotency-Key")
    return act() if key is None else _once(call, key, act)


def _once(call: Call, key: str, act: Callable[[], Response]) -> Response:
    """Answer a repeat as the first time; what was answered is kept sealed, for it may hold a secret."""
    key = key.strip('"')
    if not key or len(key) > LONGEST_KEY or not key.isprintable():
        raise InvalidInputError("Idempotency-Key", f"must be 1 to {LONGEST_KEY} printable characters")
    secrets = call.runtime.secrets
    name = "api:" + hashlib.sha256(f"{call.key.id}:{key}".encode()).hexdigest()
    place = f"idempotency_key:{call.unit.org_id}:{name}"
    content = {
        "do": call.operation.name,
        "path": request.full_path,
        "body": hashlib.sha256(request.get_data()).hexdigest(),
    }

    def kept() -> dict[str, Any]:
        done = act()
        call.unit.session.flush()
        sealed = secrets.seal(done.get_data() or b" ", bound_to=place).hex()
        return {"status": done.status_code, "sealed": sealed}

    try:
        told = once(call.unit, name, content, kept)
    except IdempotencyConflictError:
        raise IdempotencyConflictError(key) from None
    body = secrets.open(bytes.fromhex(told["sealed"]), bound_to=place).strip()
    return _written(body, told["status"], JSON)


def _answer(operation: Operation, result: object) -> Response:
    """Write an answer in its shape; a page names the next one."""
    if isinstance(result, File):
        answer = _written(result.content, operation.status, result.media)
        answer.headers["Content-Disposition"] = f'attachment; filename="{result.name}"'
        return answer
    if operation.answer is None:
        return _written(b"", operation.status, JSON)
    document = operation.answer.model_validate(result, from_attributes=True)
    answer = _written(document.model_dump_json(by_alias=True).encode(), operation.status, JSON)
    cursor = getattr(document, "next_cursor", None)
    if cursor is not None and operation.method == "GET":
        answer.headers["Link"] = next_link(cursor)
    return answer


def _written(body: bytes, status: int, media: str) -> Response:
    answer = Response(body, status=status, content_type=media)
    if not body:
        del answer.headers["Content-Type"]
    else:
        answer.headers["ETag"] = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    return answer


def _matched(operation: Operation, answer: Response) -> Response:
    """Answer 304 to who has the same already."""
    known = request.headers.get("If-None-Match", "")
    if operation.method == "GET" and answer.headers.get("ETag") in {one.strip() for one in known.split(",")}:
        return Response(status=304, headers={"ETag": answer.headers["ETag"]})
    return answer


def _sent() -> object:
    if request.mimetype not in {JSON, ""} and request.get_data():
        raise InvalidInputError("Content-Type", f"must be {JSON}")
    try:
        return request.get_json(force=True) if request.get_data() else {}
    except BadRequest:
        raise InvalidInputError("body", "is no JSON") from None


def _query_values(model: type[BaseModel]) -> dict[str, object]:
    """Gather the parameters: several of one name are a list where a list is wanted, and refused elsewhere."""
    values: dict[str, object] = {}
    for name in request.args:
        given = request.args.getlist(name)
        field = model.model_fields.get(name)
        is_list = field is not None and str(field.annotation).startswith(("list", "tuple"))
        values[name] = given if is_list or len(given) > 1 else given[0]
    return values


def _checked(model: type[BaseModel], values: object) -> BaseModel:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise BodyInvalidError(
            [
                {"field": ".".join(str(part) for part in one["loc"]) or "body", "problem": _words(one["msg"])}
                for one in error.errors(include_url=False, include_context=False, include_input=False)
            ]
        ) from None


def _words(message: str) -> str:
    return message[:1].lower() + message[1:]
