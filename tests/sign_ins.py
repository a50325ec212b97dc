"""Sign-ins for tests: a trusted provider, verified assertions, rules."""

import itertools
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Protocol

from flask import Flask
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from bridge.adapters import saml
from bridge.adapters.saml.trust import trust_in
from bridge.domain.actors import Actor, ActorKind
from bridge.domain.credentials import credential_hash
from bridge.domain.identifiers import ConnectionId
from bridge.domain.sign_in import SignInProtocol
from bridge.simulator.saml import ReceivedRequest, SimulatedIdp, SimulatedUser, read_authn_request
from bridge.store.models import Domain, MappingVersion, Member, SignInEvent
from bridge.usecases.saml_trust import trust_saml_provider
from bridge.usecases.sign_in import AssertedSubject, Assertion, SignedIn, complete_sign_in, start_sign_in, use_up
from tests.factories import Customer

ADA = SimulatedUser("ada@acme.test", "ada@acme.test", "Ada", "Lovelace", ("Engineering",))
COOKIE = "the cookie of this browser"
_numbers = itertools.count()


@cache
def idp() -> SimulatedIdp:
    """Return the one provider of these tests, on another site than the service: making its key takes time."""
    return SimulatedIdp.create(
        "http://localhost:9999/idp", "http://localhost:9999/sso", now=datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
    )


class HasMetadata(Protocol):
    """A provider, simulated or real."""

    def metadata(self) -> bytes:
        """Return its metadata document."""


def trust(customer: Customer, provider: HasMetadata | None = None, connection_id: ConnectionId | None = None) -> None:
    """Make a connection believe a provider, by its metadata."""
    with customer.unit() as unit:
        metadata = saml.parse_idp_metadata((provider or idp()).metadata(), now=unit.at)
        trust_saml_provider(unit, connection_id or customer.connection_id, trust_in(metadata))


def map_groups(customer: Customer, document: dict[str, Any]) -> None:
    """Put a set of mappings in force."""
    with customer.unit() as unit:
        state = unit.lock()
        state.mapping_version += 1
        unit.session.add(
            MappingVersion(
                org_id=unit.org_id,
                version=state.mapping_version,
                document={"schema": 1} | document,
                at=unit.at,
                actor="operator",
                reason="edited",
            )
        )


def verified_domain(customer: Customer, name: str, connection_id: ConnectionId | None = None) -> None:
    """Give the organization a verified domain."""
    with customer.unit() as unit:
        unit.session.add(
            Domain(
                org_id=unit.org_id,
                name=name,
                challenge="x",
                connection_id=connection_id,
                created_at=unit.at,
                verified_at=unit.at,
                verified_by="operator",
            )
        )


def actor(customer: Customer) -> Actor:
    """The connection, as the one who signs people in."""
    return Actor(ActorKind.SIGN_IN, customer.connection_id)


def start(customer: Customer, *, return_path: str = "/people", cookie: str = COOKIE) -> str:
    """Start a sign-in in a browser and return the request's id."""
    request_id = saml.new_request_id()
    with customer.unit(actor(customer)) as unit:
        start_sign_in(
            unit,
            customer.connection_id,
            request_id=request_id,
            cookie_hash=credential_hash(cookie),
            return_path=return_path,
            lifetime_seconds=600,
        )
    return request_id


def asserted(customer: Customer, subject: str, request_id: str | None, **facts: Any) -> AssertedSubject:
    """Describe a verified assertion about ``subject``, whose address it is unless ``email`` says otherwise."""
    values: dict[str, Any] = {
        "connection_id": customer.connection_id,
        "protocol": SignInProtocol.SAML,
        "issuer": idp().entity_id,
        "subject": subject,
        "request_id": request_id,
        "assertion": Assertion(f"_assertion{next(_numbers)}", customer.runtime.clock.now() + timedelta(minutes=6)),
        "directory_name": subject,
        "is_name_sure": True,
        "email": subject,
        "is_email_verified": True,
    }
    return AssertedSubject(**(values | facts))


def complete(
    customer: Customer, assertion: AssertedSubject, cookies: Collection[str] = (COOKIE,), at: datetime | None = None
) -> SignedIn:
    """Bring an assertion back, in a unit of its own."""
    with customer.unit(actor(customer), at=at) as unit:
        return complete_sign_in(unit, use_up(unit, assertion, [credential_hash(cookie) for cookie in cookies]))


def sign_in(customer: Customer, subject: str, **facts: Any) -> SignedIn:
    """Start a sign-in and complete it in the same browser."""
    return complete(customer, asserted(customer, subject, start(customer), **facts))


def members(customer: Customer) -> list[Member]:
    """Return everybody but the owner, in order of arrival."""
    with customer.unit() as unit:
        found = unit.session.scalars(select(Member).where(Member.org_id == unit.org_id).order_by(Member.position))
        return [member for member in found if member.id != customer.owner_id]


def member(customer: Customer, signed_in: SignedIn) -> Member:
    """Read a member as they are now."""
    with customer.unit() as unit:
        return unit.session.get_one(Member, (unit.org_id, signed_in.member.id))


def events(customer: Customer) -> list[SignInEvent]:
    """Return the sign-in log, oldest first."""
    with customer.unit() as unit:
        return list(
            unit.session.scalars(
                select(SignInEvent).where(SignInEvent.org_id == unit.org_id).order_by(SignInEvent.at, SignInEvent.seq)
            )
        )


def count(customer: Customer, model: type[Any]) -> int:
    """Count the organization's rows of a table."""
    with customer.unit() as unit:
        return unit.session.scalar(select(func.count()).select_from(model).where(model.org_id == unit.org_id)) or 0


class Browser:
    """A browser with its own cookies that reaches the service at its public address, without a network."""

    def __init__(self, app: Flask, customer: Customer) -> None:
        self._client = app.test_client()
        self._public_url = customer.runtime.settings.server.public_url
        self._now = customer.runtime.clock.now
        self.base = f"/sso/saml/{customer.slug}/{customer.connection_id}"

    def get(self, path: str, **request: Any) -> TestResponse:
        """Open a page."""
        return self._client.get(path, **({"base_url": self._public_url} | request))

    def post(self, path: str, **request: Any) -> TestResponse:
        """Post to a page."""
        return self._client.post(path, **({"base_url": self._public_url} | request))

    def keep(self, name: str, value: str) -> None:
        """Put a cookie into the jar."""
        self._client.set_cookie(name, value, domain="127.0.0.1", path="/")

    def cookie(self, name: str, path: str = "/") -> str | None:
        """Read a cookie from the jar."""
        found = self._client.get_cookie(name, domain="127.0.0.1", path=path)
        return found.value if found is not None else None

    def request_cookie(self) -> tuple[str, str]:
        """Return name and value of the one cookie that belongs to a sign-in request."""
        [found] = [one for one in (self._client._cookies or {}).values() if "seatbridge-sso-" in one.key]
        return found.key, found.value

    def start(self, return_path: str = "/whoami", **request: Any) -> ReceivedRequest:
        """Start a sign-in and return what the provider receives."""
        started = self.get(f"{self.base}/start", query_string={"return": return_path}, **request)
        assert started.status_code == 302, started.text
        return read_authn_request(started.location)

    def begin_test(self) -> ReceivedRequest:
        """Start a test sign-in and return what the provider receives."""
        started = self.get(f"{self.base}/test")
        assert started.status_code == 302, started.text
        return read_authn_request(started.location)

    def answer(self, response: str, **request: Any) -> TestResponse:
        """Post a provider's answer to the ACS."""
        return self.post(f"{self.base}/acs", data={"SAMLResponse": response, "RelayState": "x"}, **request)

    def sign_in(self, user: SimulatedUser, return_path: str = "/whoami") -> TestResponse:
        """Sign a person in and return the answer of the ACS."""
        return self.answer(idp().respond(self.start(return_path), user, now=self._now()))
