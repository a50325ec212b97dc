"""One service under attack for each module: what one attack left behind is there when the next one comes."""

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import make_url

from bridge.billing import BuiltinPayments
from bridge.config import Settings
from bridge.domain.actors import OPERATOR
from bridge.domain.identifiers import ConnectionId, new_id
from bridge.runtime import EMBEDDED_ROLE, Runtime, build_runtime
from bridge.store.directory import get_connection
from bridge.store.embedded import EmbeddedPostgres
from bridge.store.models import Connection
from tests import saml_forgeries
from tests.attacks.target import REQUEST_ID, Door, Target, evil_twin
from tests.conftest import KEY, SettableClock
from tests.factories import Customer, create_customer
from tests.postgres import clone_database, drop_database
from tests.sign_ins import trust
from wsgi import compose


@pytest.fixture(scope="module")
def target(embedded_server: EmbeddedPostgres, template: str) -> Iterator[Target]:
    """The service under attack."""
    name = f"t_{uuid.uuid4().hex}"
    with ExitStack() as stack:
        clone_database(embedded_server, template, name)
        stack.callback(drop_database, embedded_server, name)
        url = make_url(embedded_server.url(name)).set(username=EMBEDDED_ROLE)
        settings = Settings.model_validate(
            {
                "database": {"url": SecretStr(url.render_as_string(hide_password=False)), "pool_size": 8},
                "secrets": {"keys": (KEY,)},
                # Each attack is to be looked at and refused for what it is, not for coming after many others.
                "sso": {"requests_per_minute": 1_000_000, "refused_per_minute": 100_000},
            }
        )
        clock = SettableClock(saml_forgeries.NOW)
        runtime = build_runtime(settings, url, payments=BuiltinPayments(), clock=clock)
        stack.callback(runtime.close)
        owner = stack.enter_context(psycopg.connect(embedded_server.dsn(name), autocommit=True))
        yield _prepared(runtime, owner, clock)


@pytest.fixture
def door(target: Target) -> Iterator[Door]:
    """A browser with a sign-in begun; after the attack, the true answer to that very sign-in still lets Ada in."""
    door = target.door()
    yield door
    door.lets_in()


@pytest.fixture
def provider_may_begin(target: Target) -> Iterator[None]:
    """Let sign-ins begin at the provider, for one test."""
    _switch(target.acme, idp_initiated=True)
    yield
    _switch(target.acme, idp_initiated=False)


def _switch(customer: Customer, *, idp_initiated: bool) -> None:
    with customer.unit() as unit:
        get_connection(unit, customer.connection_id).idp_initiated = idp_initiated


def _prepared(runtime: Runtime, owner: psycopg.Connection, clock: SettableClock) -> Target:
    acme, neighbour, evil = (create_customer(runtime, slug) for slug in ("acme", "neighbour", "evil"))
    second = replace(acme, connection_id=_add_connection(acme))
    for customer in (acme, second, neighbour):
        trust(customer, saml_forgeries.idp())
    trust(evil, evil_twin())
    target = Target(compose(runtime), acme, second, neighbour, evil, owner, clock)
    refused = target.browser().answer("nonsense", headers=REQUEST_ID)
    assert refused.status_code == 403
    return replace(target, neutral=(dict(refused.headers), refused.data))


def _add_connection(customer: Customer) -> ConnectionId:
    added = ConnectionId(new_id())
    with customer.unit(OPERATOR) as unit:
        unit.session.add(Connection(org_id=unit.org_id, id=added, kind="idp", name="Okta 2", created_at=unit.at))
    return added
