"""The application of the guide, as a process of its own: a person of a SAML identity provider signs in to it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import URL

from bridge.billing import BuiltinPayments
from bridge.config import Settings
from bridge.domain.actors import OPERATOR
from bridge.runtime import Runtime, build_runtime
from bridge.simulator.saml import read_authn_request
from bridge.usecases.apps import AppDraft, add_app
from bridge.usecases.signing_keys import ensure_key
from tests.apps import signing_key
from tests.factories import Customer, create_customer
from tests.live import Surfer, free_port, served
from tests.processes import ROOT, eventually
from tests.sign_ins import ADA, idp, trust
from wsgi import compose


@pytest.fixture
def live(settings: Settings, database_url: URL) -> Iterator[Runtime]:
    """The product at a real address and by the real time."""
    port = free_port()
    server = settings.server.model_copy(update={"public_url": f"http://127.0.0.1:{port}", "port": port})
    runtime = build_runtime(settings.model_copy(update={"server": server}), database_url, payments=BuiltinPayments())
    with served(compose(runtime), port):
        yield runtime
    runtime.close()


@pytest.fixture
def example(live: Runtime, tmp_path: Path) -> Iterator[str]:
    """The example application, registered and running."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    draft = AppDraft("Example", (f"{address}/callback",), post_logout_redirect_uris=(f"{address}/signed-out",))
    with live.installation(OPERATOR) as installation:
        added = add_app(installation, draft)
        ensure_key(installation, signing_key())
    assert added.secret is not None
    issuer = live.settings.server.public_url
    with (tmp_path / "example.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "docs/how-to/example_app.py"), "--issuer", issuer, "--port", str(port)],
            env={**os.environ, "CLIENT_ID": str(added.app.id), "CLIENT_SECRET": added.secret.text},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        try:
            assert eventually(lambda: answers(address)), (tmp_path / "example.log").read_text()
            yield address
        finally:
            process.kill()
            process.wait()


def answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/").is_redirect
    except httpx.HTTPError:
        return False


@pytest.fixture
def surfer() -> Iterator[Surfer]:
    surfer = Surfer()
    yield surfer
    surfer.close()


@pytest.fixture
def acme(live: Runtime) -> Customer:
    """An organization that trusts the provider."""
    customer = create_customer(live, "acme")
    trust(customer)
    return customer


def sign_in_at_idp(surfer: Surfer, acme: Customer, start: str) -> httpx.Response:
    """Go to the identity provider and come back with its answer."""
    request = read_authn_request(surfer.stops_at(start, idp().sso_url))
    answer = idp().respond(request, ADA, now=acme.runtime.clock.now())
    return surfer.post(request.acs_url, {"SAMLResponse": answer, "RelayState": request.relay_state or "x"})


def test_a_new_person_signs_in_to_the_application_which_knows_the_seat_and_signs_them_out(
    example: str, acme: Customer, surfer: Surfer
) -> None:
    sign_in = surfer.open(example)
    start = f"{acme.runtime.settings.server.public_url}/sso/saml/{acme.slug}/{acme.connection_id}/start"

    page = sign_in_at_idp(surfer, acme, f"{start}?{httpx.QueryParams({'return': sign_in.url.params['next']})}")

    assert sign_in.url.path == "/sign-in"
    assert str(page.url) == f"{example}/", page.text
    person = page.json()
    assert person["org"] == {"id": str(acme.org_id), "slug": "acme"}
    assert (person["name"], person["role"], person["seat_tier"]) == ("Ada Lovelace", "member", "premium")
    assert "You are signed out" in surfer.open(f"{example}/sign-out").text
    assert surfer.open(f"{example}/").url.path == "/sign-in"
