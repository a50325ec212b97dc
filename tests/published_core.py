"""The published contract of a billing core, as a judge of what goes over the line to one."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import yaml
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from tests.processes import ROOT

Json = Mapping[str, Any]
FILE: Final = ROOT / "docs" / "reference" / "billing-core.openapi.yaml"
_URI: Final = "urn:billing-core"
_SUBSCRIPTION: Final = re.compile(r"/v1/subscriptions/[^/?]+")
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")

formats = FormatChecker(formats=())


@formats.checks("date-time", raises=ValueError)
def _is_instant(value: object) -> bool:
    """Check RFC 3339 as published: the seconds are there, and so is the offset."""
    if not isinstance(value, str):
        return True
    return bool(_INSTANT.fullmatch(value)) and datetime.fromisoformat(value).tzinfo is not None


@dataclass(frozen=True)
class Message:
    """A request or an answer: its first line, its headers with names in small letters, and its body."""

    first: str
    headers: Mapping[str, str]
    body: bytes

    @classmethod
    def parse(cls, raw: bytes) -> "Message":
        """Read what went over the line."""
        head, _, body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return cls(first, headers, body)

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0]


@dataclass
class PublishedContract:
    """What `docs/reference/billing-core.openapi.yaml` says."""

    document: Json = field(default_factory=lambda: yaml.safe_load(FILE.read_text()))

    def __post_init__(self) -> None:
        resource = DRAFT202012.create_resource(self.document)
        self._registry: Registry[Any] = Registry().with_resource(_URI, resource)
        self._validators: dict[str, Draft202012Validator] = {}

    def problems(self, schema: Json | str, value: object) -> list[str]:
        """Say what of a value breaks a schema: a component, by its name, or one that stands in the contract."""
        validator = self._validator(schema if isinstance(schema, str) else json.dumps(schema))
        return [f"{'.'.join(map(str, one.absolute_path))}: {one.message[:200]}" for one in validator.iter_errors(value)]

    def _validator(self, schema: str) -> Draft202012Validator:
        if schema not in self._validators:
            wanted = schema if schema.startswith("{") else f'{{"$ref": "#/components/schemas/{schema}"}}'
            self._validators[schema] = Draft202012Validator(
                json.loads(wanted.replace('"#/', f'"{_URI}#/')), registry=self._registry, format_checker=formats
            )
        return self._validators[schema]

    def judge(self, request: Message, answer: Message) -> tuple[str, list[str]]:
        """Return the operation of an exchange, and everything in it that is not as published."""
        method, target, _ = request.first.split(" ")
        parts = urlsplit(target)
        path = _SUBSCRIPTION.sub("", parts.path, count=1)
        for template, item in self.document["paths"].items():
            if method.lower() in item and re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template)), path):
                operation = item[method.lower()]
                found = [*self._of_request(operation, request), *self._of_answer(operation, answer)]
                return operation["operationId"], [f"{operation['operationId']}: {one}" for one in found]
        return "", [f"nothing is published for {method} {path}"]

    def _of_request(self, operation: Json, request: Message) -> Iterator[str]:
        if not request.headers.get("authorization", "").startswith("Bearer "):
            yield "there is no bearer token"
        for parameter in map(self._resolved, operation.get("parameters", [])):
            value = request.headers.get(parameter["name"].lower())
            if parameter["in"] == "header":
                yield from ([f"{parameter['name']} is missing"] if value is None else [])
                yield from self.problems(parameter["schema"], value or "")
        wanted = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if wanted is not None:
            yield from self._body(wanted["schema"], request, "application/json")
            published = self._resolved(wanted["schema"])["properties"]
            yield from (f"{name} is not published" for name in json.loads(request.body) if name not in published)

    def _of_answer(self, operation: Json, answer: Message) -> Iterator[str]:
        status = answer.first.split(" ")[1]
        response = self._resolved(operation["responses"].get(status, operation["responses"]["default"]))
        for media_type, content in response.get("content", {}).items():
            if media_type == "application/pdf":
                yield from ([] if answer.media_type == media_type else [f"{answer.media_type} is not {media_type}"])
            else:
                yield from self._body(content["schema"], answer, media_type)

    def _body(self, schema: Json, message: Message, media_type: str) -> Iterator[str]:
        if message.media_type != media_type:
            yield f"{message.media_type!r} is not {media_type}"
            return
        yield from self.problems(schema, json.loads(message.body))

    def _resolved(self, part: Json) -> Json:
        """Follow a reference to a component."""
        if "$ref" not in part:
            return part
        found: Any = self.document
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        resolved: Json = found
        return resolved
