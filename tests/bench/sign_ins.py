"""Sign-ins that are measured: signed answers of one identity provider, made before the clock runs."""

import base64
import itertools
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from urllib.parse import quote

import psycopg
from lxml import etree

from bridge.adapters.saml import new_request_id
from bridge.simulator.saml import SAML, ReceivedRequest, Signed, SimulatedIdp, SimulatedUser, sign
from tests.bench.people import ENGINEERING, user_name
from tests.bench.services import OURS, Service
from tests.bench.workloads import Directory, Workload

#: The default of ``server.public_url``: addresses are built from it, whatever port a service listens at.
PUBLIC_URL = "http://127.0.0.1:8080"
DEPARTMENT = "department"
#: How many people return again and again.
_RETURNING = 40
_newcomers = itertools.count(5_000_000)
_visited: set[str] = set()
_START = """
INSERT INTO sign_in_request (org_id, id, connection_id, cookie_hash, return_path, created_at, expires_at)
SELECT org_id, %s, id, %s, '/', now(), now() + interval '10 minutes' FROM connection WHERE id = %s
"""


@cache
def idp() -> SimulatedIdp:
    """Return the identity provider that both services trust."""
    return SimulatedIdp.create("https://idp.bench.example", "https://idp.bench.example/sso", now=datetime.now(UTC))


def first(directory: Directory, number: int) -> list[bytes]:
    """Sign people in whom nobody knows yet."""
    return _answers(directory.service, [user_name(next(_newcomers)) for _ in range(number)])


def again(directory: Directory, number: int) -> list[bytes]:
    """Sign people in who have been here before: that they have is no part of what is measured."""
    if directory.service.database not in _visited:
        _visited.add(directory.service.database)
        directory.service.run(_answers(directory.service, [user_name(each) for each in range(_RETURNING)]))
    return _answers(directory.service, [user_name(next(directory.turn) % _RETURNING) for _ in range(number)])


FIRST = Workload("sso-first", "SAML sign-in, first", first, frozenset({303}))
AGAIN = Workload("sso-again", "SAML sign-in, returning", again, frozenset({303}))


def _answers(service: Service, names: Sequence[str]) -> list[bytes]:
    """Return posts of answers to requests that each another browser has started."""
    requests = [(new_request_id(), secrets.token_urlsafe(32)) for _ in names]
    if service.kind == OURS:
        connection = service.sign_in_path.rpartition("/")[2]
        with psycopg.connect(service.dsn) as database, database.cursor() as cursor:
            cursor.executemany(
                _START, [(each, sha256(cookie.encode()).digest(), connection) for each, cookie in requests]
            )
    return [_post(service, name, *request) for name, request in zip(names, requests, strict=True)]


def _post(service: Service, name: str, request_id: str, cookie: str) -> bytes:
    base = f"{PUBLIC_URL}{service.sign_in_path}"
    received = ReceivedRequest(request_id, f"{base}/metadata", f"{base}/acs")
    user = SimulatedUser(name, name, "Given", "Family")
    response = idp().draft(received, user, now=datetime.now(UTC))
    (statement,) = response.iter(f"{{{SAML}}}AttributeStatement")
    attribute = etree.SubElement(statement, f"{{{SAML}}}Attribute", {"Name": DEPARTMENT})
    etree.SubElement(attribute, f"{{{SAML}}}AttributeValue").text = ENGINEERING
    signed = etree.tostring(sign(response, idp().key, Signed.ASSERTION))
    body = f"SAMLResponse={quote(base64.b64encode(signed).decode(), safe='')}".encode()
    lines = [
        f"POST {service.sign_in_path}/acs HTTP/1.1",
        f"Host: {service.address[0]}:{service.address[1]}",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
        f"Cookie: seatbridge-sso-{sha256(request_id.encode()).hexdigest()[:16]}={cookie}",
    ]
    return "\r\n".join([*lines, "\r\n"]).encode() + body
