"""The product over HTTP on 127.0.0.1, with one customer whose people sign in through a real provider on localhost."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from sqlalchemy import URL, select

from bridge.billing import BuiltinPayments
from bridge.config import Settings
from bridge.runtime import build_runtime
from bridge.store.models import Decision
from tests.factories import Customer, create_customer
from tests.live import free_port, served
from tests.providers import PostedResponse
from tests.sign_ins import events, map_groups, members
from wsgi import compose


@dataclass(frozen=True, slots=True)
class SignInService:
    """A running service with one customer."""

    customer: Customer
    url: str

    def base(self, protocol: str = "saml") -> str:
        """Return what the addresses of the connection's sign-in begin with."""
        return f"{self.url}/sso/{protocol}/{self.customer.slug}/{self.customer.connection_id}"

    def start_url(self, protocol: str = "saml") -> str:
        """Return the address that begins a sign-in, which ends at the person's own page."""
        return f"{self.base(protocol)}/start?return=/me"

    def check_has_come(self, user_name: str, *, display_name: str, tier: str, groups: Sequence[str]) -> None:
        """Check that one person has come, just in time, with a seat by a rule that speaks of their groups."""
        [person] = members(self.customer)
        with self.customer.unit() as unit:
            decisions = unit.session.scalars(select(Decision).where(Decision.member_id == person.id)).all()
        assert (person.user_name, person.display_name, person.source) == (user_name, display_name, "jit")
        assert person.tier == tier
        assert [(made.to_tier, made.groups) for made in decisions] == [(tier, list(groups))]
        assert decisions[0].rule is not None
        assert decisions[0].rule["tier"] == tier
        assert [event.outcome for event in events(self.customer)] == ["provisioned"]


@contextmanager
def sign_in_service(settings: Settings, database_url: URL, mappings: Mapping[str, Any]) -> Iterator[SignInService]:
    """Serve the product with a customer and these mappings in force."""
    port = free_port()
    server = settings.server.model_copy(update={"public_url": f"http://127.0.0.1:{port}", "port": port})
    runtime = build_runtime(settings.model_copy(update={"server": server}), database_url, payments=BuiltinPayments())
    customer = create_customer(runtime)
    map_groups(customer, dict(mappings))
    try:
        with served(compose(runtime), port) as url:
            yield SignInService(customer, url)
    finally:
        runtime.close()


def sign_in_over_http(service: SignInService, at_provider: Callable[[str], PostedResponse]) -> str:
    """Sign somebody in by SAML as a browser would, and return the page it ends on.

    A library's cookie jar sends no ``Secure`` cookie over http, as a browser does to this machine: they are sent by
    hand.
    """
    with httpx.Client(trust_env=False, timeout=30) as browser:
        started = browser.get(service.start_url())
        posted = at_provider(started.headers["Location"])
        answered = browser.post(
            posted.acs_url,
            data={"SAMLResponse": posted.saml_response},
            headers={"Cookie": started.headers["Set-Cookie"].partition(";")[0]},
        )
        assert (started.status_code, answered.status_code) == (302, 303)
        session = {"Cookie": answered.headers["Set-Cookie"].partition(";")[0]}
        finished = httpx.get(answered.headers["Location"], headers=session, trust_env=False)
        return httpx.get(finished.headers["Refresh"].partition("url=")[2], headers=session, trust_env=False).text
