"""A service under attack, and what must hold after every attack: refused quickly, told nothing, changed nothing."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from types import MappingProxyType
from typing import Any

import psycopg
from flask import Flask
from psycopg import sql
from werkzeug.test import TestResponse

from bridge.simulator.saml import ReceivedRequest, Signed, SimulatedIdp, SimulatedUser, encode, sign
from bridge.store.directory import manual_connection
from bridge.store.models import Member
from bridge.usecases.provision_member import PersonDraft, Source, provision_member
from tests import saml_forgeries
from tests.conftest import SettableClock
from tests.factories import Customer
from tests.saml_forgeries import ADA, Edit
from tests.sign_ins import Browser

SIGN_IN_LOG = "sign_in_event"
#: What a refusal may cost the service's processor, and how long a browser may wait for it while others work here too.
MAX_SECONDS, MAX_WAIT_SECONDS = 0.1, 2.0
TRIES = 5
#: One id for every request, so that pages can be compared byte for byte.
REQUEST_ID = {"X-Request-Id": "an-attack"}


@cache
def foreign_idp() -> SimulatedIdp:
    """Return the provider of another organization, which an attacker owns altogether."""
    return SimulatedIdp.create(
        "https://idp.evil.example/saml", "https://idp.evil.example/sso", now=datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
    )


def evil_twin() -> SimulatedIdp:
    """Return the attacker's provider under the name of the provider that everybody trusts."""
    trusted = saml_forgeries.idp()
    return SimulatedIdp(trusted.entity_id, trusted.sso_url, foreign_idp().key)


@dataclass(frozen=True, slots=True)
class Target:
    """A running service with three customers, each of which trusts a provider of the same name.

    ``acme`` has two connections to it, ``acme`` and ``second``; ``neighbour`` has one to the same provider (two
    organizations of one group of companies); what ``evil`` trusts under this name is the attacker's own key
    (:func:`evil_twin`).
    """

    app: Flask
    acme: Customer
    second: Customer
    neighbour: Customer
    evil: Customer
    owner: psycopg.Connection
    clock: SettableClock
    #: What a browser gets that was refused, headers and page.
    neutral: tuple[Mapping[str, str], bytes] = field(default=({}, b""))

    def door(self, customer: Customer | None = None) -> "Door":
        """Open a new browser in front of a connection, with a sign-in begun in it."""
        return Door(self, customer or self.acme)

    def browser(self, customer: Customer | None = None) -> Browser:
        """Open a new browser that knows nothing of a sign-in."""
        return Browser(self.app, customer or self.acme)

    @contextmanager
    def at(self, moment: datetime) -> Iterator[None]:
        """Do something at another time."""
        now, self.clock.at = self.clock.at, moment
        yield
        self.clock.at = now

    def tables(self) -> dict[str, str]:
        """Return a digest of every row of every table but the sign-in log."""
        found = self.owner.execute(_digests(self.owner)).fetchall()
        return {str(table): f"{rows} rows, {digest}" for table, rows, digest in found}

    def logged(self) -> Counter[str]:
        """Count the reasons in the sign-in logs."""
        return Counter(str(reason) for (reason,) in self.owner.execute("SELECT reason FROM sign_in_event"))

    def lets_in(self, send: Callable[[], TestResponse], user_name: str) -> None:
        """Check that an answer signs somebody in, and nobody else."""
        self.owner.execute("DELETE FROM web_session")
        answered = send()
        assert answered.status_code == 303
        found = self.owner.execute("SELECT user_name FROM web_session JOIN member ON member.id = member_id").fetchall()
        assert found == [(user_name,)]

    def refuses(self, send: Callable[[], TestResponse], reason: str, *, neutrally: bool = True) -> TestResponse:
        """Send a request, check everything that must hold of an attack, and return what the browser got.

        Args:
            send: Sends it, with :data:`REQUEST_ID`; again, if it took too long.
            reason: What the sign-in log must say.
            neutrally: Whether the browser learns nothing at all.
        """
        before, logged = self.tables(), self.logged()
        answered, tries = within_time(send)
        assert answered.status_code == 403, f"{answered.status_code} {answered.location}"
        assert "Set-Cookie" not in answered.headers
        if neutrally:
            assert (dict(answered.headers), answered.data) == self.neutral
        assert changed(before, self.tables()) == {}
        noted = self.logged() - logged
        # What is used up by the first try, such as a code, is refused for that at the next.
        assert noted[reason] >= 1
        assert noted.total() == tries
        return answered


def within_time(send: Callable[[], TestResponse]) -> tuple[TestResponse, int]:
    """Return an answer that came in time, and how many tries it took on a busy machine.

    Raises:
        AssertionError: None did.
    """
    spent, waited = [], []
    for tries in range(1, TRIES + 1):
        started, begun = time.monotonic(), time.thread_time()
        answered = send()
        spent.append(time.thread_time() - begun)
        waited.append(time.monotonic() - started)
        if spent[-1] < MAX_SECONDS and waited[-1] < MAX_WAIT_SECONDS:
            return answered, tries
    raise AssertionError(f"a refusal took {min(spent):.3f} s of the processor, {min(waited):.3f} s in all")


def _digests(owner: psycopg.Connection) -> sql.Composed:
    tables = owner.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') "
        "AND tablename <> %s ORDER BY tablename",
        [SIGN_IN_LOG],
    ).fetchall()
    one = sql.SQL("SELECT {name}, count(*), md5(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '')) FROM {t} t")
    return sql.SQL(" UNION ALL ").join(one.format(name=name, t=sql.Identifier(name)) for (name,) in tables)


class Door:
    """A browser in front of one connection's sign-in, with a request (``received``) that waits for its answer."""

    def __init__(self, target: Target, customer: Customer) -> None:
        self.target, self.customer = target, customer
        self.browser = target.browser(customer)
        self.received: ReceivedRequest = self.browser.start()

    def signed(
        self,
        *edits: Edit,
        part: Signed = Signed.ASSERTION,
        user: SimulatedUser = ADA,
        by: SimulatedIdp | None = None,
        received: ReceivedRequest | None = None,
    ) -> str:
        """Return an answer to this browser's request that was edited, then signed by the provider that it trusts."""
        provider = by or saml_forgeries.idp()
        response = provider.draft(received or self.received, user, now=self.target.clock.now())
        for edit in edits:
            edit(response)
        return encode(sign(response, provider.key, part))

    def tampered(self, *edits: Edit, part: Signed = Signed.ASSERTION) -> str:
        """Return an answer to this browser's request that was signed, then edited."""
        return encode(saml_forgeries.tampered(*edits, part=part, received=self.received))

    def refuses(
        self,
        posted: str | Mapping[str, Any],
        reason: str,
        *,
        neutrally: bool = True,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> TestResponse:
        """Post an answer and check everything that must hold of an attack.

        Args:
            posted: The form field ``SAMLResponse``, or a whole request.
            reason: What the sign-in log must say.
            neutrally: Whether the browser learns nothing at all.
            headers: Headers of the request.
        """
        body = {"data": {"SAMLResponse": posted}} if isinstance(posted, str) else posted
        acs = f"{self.browser.base}/acs"

        def post() -> TestResponse:
            return self.browser.post(acs, headers={**headers, **REQUEST_ID}, **body)

        return self.target.refuses(post, reason, neutrally=neutrally)

    def lets_in(self, user: SimulatedUser = ADA, *, by: SimulatedIdp | None = None) -> None:
        """Check that the request is still there for its true answer, in this very browser."""
        self.target.lets_in(lambda: self.browser.answer(self.signed(user=user, by=by)), user.name_id)


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, tuple[str | None, str | None]]:
    """Return what two digests do not agree on, by table."""
    return {
        table: (before.get(table), after.get(table))
        for table in sorted(before.keys() | after.keys())
        if before.get(table) != after.get(table)
    }


def member_by_hand(customer: Customer, address: str) -> Member:
    """Add somebody whom no directory manages."""
    with customer.unit() as unit:
        return provision_member(
            unit,
            manual_connection(unit).id,
            PersonDraft(address, document={"emails": [{"value": address, "primary": True}]}),
            Source.MANUAL,
        )
