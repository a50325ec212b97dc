"""Numbers for a monitoring system: off unless configured, behind a token, of no person and no organization (X8)."""

import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from pydantic import SecretStr, ValidationError
from sqlalchemy import URL

from bridge.billing import BuiltinPayments
from bridge.config import Settings, load_settings
from bridge.config.settings import MetricsSettings
from bridge.domain.identifiers import new_id
from bridge.errors import ConfigurationError
from bridge.runtime import Runtime, build_runtime
from bridge.store.models import BillingOrder
from bridge.usecases.alerts import raise_alert
from tests.conftest import KEY, SettableClock
from tests.factories import Customer
from tests.processes import ROOT
from wsgi import compose

TOKEN = "a-token-of-thirty-two-characters"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def watched(runtime: Runtime) -> Runtime:
    metrics = MetricsSettings(token=SecretStr(TOKEN))
    return replace(runtime, settings=runtime.settings.model_copy(update={"metrics": metrics}))


@pytest.fixture
def client(watched: Runtime) -> FlaskClient:
    return compose(watched).test_client()


def numbers(client: FlaskClient) -> dict[str, float]:
    """Return every line with its number."""
    answer = client.get("/metrics", headers=BEARER)
    assert answer.status_code == 200
    lines = [line for line in answer.get_data(as_text=True).splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_without_a_token_in_the_settings_there_is_nothing(runtime: Runtime) -> None:
    client = compose(runtime).test_client()

    answer, nothing = client.get("/metrics", headers=BEARER), client.get("/nothing-here")

    assert (answer.status_code, nothing.status_code) == (404, 404)


@pytest.mark.parametrize("header", ["", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer é"])
def test_t6_another_token_reads_nothing(client: FlaskClient, header: str) -> None:
    answer = client.get("/metrics", headers={"Authorization": header})

    assert answer.status_code == 401
    assert "seatbridge_" not in answer.get_data(as_text=True)


def test_requests_are_counted_by_route_and_never_by_address(client: FlaskClient) -> None:
    client.get("/scim/v2/nordlys/Users/ada@nordlys.test")
    client.get("/scim/v2/nordlys/Users/other")
    client.get("/sign-in/link/a-secret-token")
    client.get("/no/such/ada@nordlys.test")

    found = numbers(client)

    counted = {name: value for name, value in found.items() if name.startswith("seatbridge_http_requests_total")}
    assert not any(word in name for name in found for word in ("nordlys", "secret", "ada@"))
    assert counted['seatbridge_http_requests_total{method="GET",route="none",status="404"}'] == 1
    assert sum(value for name, value in counted.items() if 'route="/scim/' in name) == 2
    assert sum(value for name, value in found.items() if name.startswith("seatbridge_http_request_seconds_count")) == 4


def test_x8_waiting_and_dead_work_is_told_with_its_age(
    client: FlaskClient, customer: Customer, clock: SettableClock
) -> None:
    with customer.unit() as unit:
        raise_alert(unit, "tier_threshold")
        unit.session.add(dead_order(customer, clock))
    clock.at += timedelta(minutes=10)

    found = numbers(client)

    assert found["seatbridge_database_up"] == 1
    assert found["seatbridge_workers"] == 0
    assert found['seatbridge_orders{state="dead"}'] == 1
    assert found['seatbridge_orders{state="pending"}'] == 0
    # The mail of the first invoice, and the alert's.
    assert found['seatbridge_deliveries{state="pending"}'] == 2
    assert found["seatbridge_oldest_delivery_seconds"] == 600
    assert found["seatbridge_oldest_order_seconds"] == 0
    assert found['seatbridge_holds{state="open"}'] == found['seatbridge_held_people{state="held"}'] == 0


def dead_order(customer: Customer, clock: SettableClock) -> BillingOrder:
    return BillingOrder(
        org_id=customer.org_id,
        id=new_id(),
        key="preview:1",
        body={},
        quote={},
        held_back={},
        member_id=None,
        tier=None,
        state="dead",
        attempts=12,
        created_at=clock.at,
        created_by="member",
        next_attempt_at=clock.at,
        closed_at=None,
        last_error="connection",
        invoice_id=None,
    )


def test_without_a_database_requests_are_still_counted(watched: Runtime, database_url: URL) -> None:
    away = build_runtime(watched.settings, database_url.set(database="no_such_database"), payments=BuiltinPayments())
    client = compose(away).test_client()
    client.get("/healthz")

    found = numbers(client)
    away.close()

    assert found["seatbridge_database_up"] == 0
    assert found['seatbridge_http_requests_total{method="GET",route="/healthz",status="200"}'] == 1


FAMILY = """
import os, signal, sys
from sqlalchemy import make_url
from bridge.billing import BuiltinPayments
from bridge.runtime import build_runtime
from tests.integration.test_metrics import BEARER, settings_with
from wsgi import compose

url = sys.argv[1]
client = compose(build_runtime(settings_with(url), make_url(url), payments=BuiltinPayments())).test_client()
for _ in range(2):
    child = os.fork()
    if not child:
        client.get("/healthz")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
text = client.get("/metrics", headers=BEARER).get_data(as_text=True)
print(*(line for line in text.splitlines() if line.startswith("seatbridge_http_requests_total")), sep="\\n")
"""


def settings_with(url: str) -> Settings:
    facts = {"database": {"url": url}, "secrets": {"keys": (KEY,)}, "metrics": {"token": TOKEN}}
    return Settings.model_validate(facts)


def test_several_processes_are_counted_together_and_killed_ones_are_not_forgotten(
    database_url: URL, tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    command = [sys.executable, "-c", FAMILY, database_url.render_as_string(hide_password=False)]

    told = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=ROOT)

    assert 'seatbridge_http_requests_total{method="GET",route="/healthz",status="200"} 2.0' in told.stdout.splitlines()


@pytest.mark.parametrize("token", ["short", "with a space in the middle of everything", "é" * 40])
def test_a_token_that_is_none_is_refused_at_the_start(token: str) -> None:
    with pytest.raises(ValidationError, match="32 or more printable characters"):
        MetricsSettings(token=SecretStr(token))


def test_a_token_in_the_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"metrics:\n  token: {TOKEN}\n")

    with pytest.raises(ConfigurationError, match="SEATBRIDGE__METRICS__TOKEN"):
        load_settings(file, environ={})
