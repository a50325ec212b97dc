"""What holds after every request of a provisioning client, whatever it sent."""

import json
import re
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import func, select, text
from werkzeug.test import TestResponse

from bridge.domain.actors import OPERATOR
from bridge.store.base import Base
from bridge.store.journal import verify
from bridge.store.models import Member
from bridge.usecases.reconcile import reconcile_pools
from tests.factories import Customer
from tests.protocol.scim_client import ScimClient

ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
SCIM_JSON = "application/scim+json"
#: What only a library, the interpreter or the database would say.
LEAKS = re.compile(
    r"pydantic|psycopg|sqlalchemy|scim2_|Traceback|validation error|Input should|object at 0x|"
    r"[A-Z][a-z]+(Error|Exception)\b|SELECT |INSERT |<class|werkzeug|line \d+, in"
)
#: Processor seconds that one request, or one look at everything, may take: generous, for tests share the machine.
MOST_SECONDS = 3.0
#: What a refusal may change: alerts and their mails, when a token was used, the log of requests and its conclusions.
_UNCOUNTED = {"alert", "delivery", "scim_token", "connection", "scim_request", "dialect_sign"}


def check_answer(answer: TestResponse, method: str) -> None:
    """Check what every answer must look like: SCIM JSON or nothing, refusals as SCIM Errors in our own words."""
    assert answer.status_code < 500 or answer.status_code == 501, answer.text
    assert answer.headers["X-Request-Id"].isprintable()
    assert answer.headers["Cache-Control"] in {"no-store", "private, no-cache"}
    assert "evil.test" not in str(answer.headers)
    if answer.status_code in {204, 304} or method == "HEAD":
        assert answer.data == b""
        return
    assert answer.content_type == SCIM_JSON
    body = json.loads(answer.data)
    if answer.status_code >= 400:
        check_error(body, answer.status_code)
    for step in body.get("Operations", ()):
        assert int(step["status"]) < 500, step
        if "response" in step and int(step["status"]) >= 400:
            check_error(step["response"], int(step["status"]))


def check_error(body: Any, status: int) -> None:
    """Check that a body is a SCIM Error (RFC 7644 §3.12) without a library's text."""
    assert body["schemas"] == [ERROR]
    assert body["status"] == str(status)
    assert isinstance(body["detail"], str)
    assert body["detail"]
    assert LEAKS.search(body["detail"]) is None, body["detail"]


def quickly(call: Callable[[], TestResponse]) -> TestResponse:
    """Send a request and check that it cost no more processor time than it may."""
    started = time.thread_time()
    answer = call()
    assert time.thread_time() - started < MOST_SECONDS
    return answer


def digest(customer: Customer) -> dict[str, str]:
    """Return a digest of the rows of each table that a refusal must leave alone."""
    tables = [table.name for table in Base.metadata.sorted_tables if "org_id" in table.c]
    parts = [
        f"SELECT '{name}', md5(coalesce(string_agg(t::text, '~' ORDER BY t::text), '')) FROM \"{name}\" t"  # noqa: S608 (names of our own tables)
        for name in tables
        if name not in _UNCOUNTED
    ]
    with customer.unit(OPERATOR) as unit:
        return {name: rows for name, rows in unit.session.execute(text(" UNION ALL ".join(parts)))}  # noqa: C416 (a row is no pair to mypy)


def check_books(customer: Customer) -> None:
    """Check that every pool counts whom it serves, nobody who is off holds a seat, and the audit chain is whole."""
    with customer.unit() as unit:
        assert reconcile_pools(unit) == []
        off = select(func.count()).select_from(Member).where(~Member.active, Member.tier.is_not(None))
        assert unit.session.scalar(off) == 0
        assert verify(unit) is None


def read_everything(client: ScimClient) -> dict[str, dict[str, dict[str, Any]]]:
    """List all people and groups and return them by endpoint and id; the lists must be whole and quick."""
    found = {}
    for endpoint in ("/Users", "/Groups"):
        answer = quickly(lambda endpoint=endpoint: client.get(f"{endpoint}?count=200"))  # type: ignore[misc] # a default binds it
        assert answer.status_code == 200, answer.text
        body = answer.get_json(force=True)
        assert body["totalResults"] == len(body["Resources"])
        found[endpoint] = {each["id"]: each for each in body["Resources"]}
    return found


def check_found_again(client: ScimClient, endpoint: str, resource: dict[str, Any]) -> None:
    """Check that a stored resource is the same by its id, in part, and by each of its unique attributes."""
    by_id = client.get(f"{endpoint}/{resource['id']}")
    assert by_id.get_json(force=True) == resource
    assert by_id.headers["ETag"] == resource["meta"]["version"]
    part = client.get(f"{endpoint}/{resource['id']}?excludedAttributes=meta.created")
    assert part.status_code == 200, part.text
    unique = "userName" if endpoint == "/Users" else "displayName"
    for name in {unique, "externalId"} & set(resource):
        wanted = f"{name} eq {json.dumps(resource[name])}"
        found = client.post(f"{endpoint}/.search", {"filter": wanted}).get_json(force=True)
        assert [each["id"] for each in found.get("Resources", ())] == [resource["id"]], wanted
