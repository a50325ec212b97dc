"""When the database fails under a request: 503 and nothing partial, and served again as soon as it is back."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import URL, func, select
from werkzeug.test import TestResponse

from bridge.billing import BuiltinPayments
from bridge.config import Settings
from bridge.runtime import build_runtime
from bridge.store.journal import verify
from bridge.store.models import AuditEntry, Contract, Member, SeatPool
from scim.edge import scim_blueprint
from tests.conftest import SettableClock
from tests.factories import Customer
from tests.protocol.scim_client import USER, ScimClient, make_token

Owner = psycopg.Connection[Any]


@pytest.fixture
def impatient(customer: Customer, settings: Settings, database_url: URL, clock: SettableClock) -> Iterator[Customer]:
    """The customer in a process that waits for no lock longer than a tenth of a second."""
    database = settings.database.model_copy(update={"lock_timeout_seconds": 0.1})
    changed = settings.model_copy(update={"database": database})
    runtime = build_runtime(changed, database_url, payments=BuiltinPayments(), clock=clock)
    yield replace(customer, runtime=runtime)
    runtime.close()


@pytest.fixture(params=[True, False], ids=["lanes", "no-lanes"])
def client(impatient: Customer, request: pytest.FixtureRequest) -> ScimClient:
    app = Flask(__name__)
    app.register_blueprint(scim_blueprint(impatient.runtime, with_lanes=request.param))
    client = ScimClient(app, impatient.slug, make_token(impatient))
    client.create_user("before@nordlys.test")
    return client


def push(client: ScimClient, name: str) -> TestResponse:
    return client.post("/Users", {"schemas": [USER], "userName": f"{name}@nordlys.test"})


def refused(answer: TestResponse) -> bool:
    """Tell whether an answer is a refusal for now: 503, when to come again, and a SCIM Error."""
    error = answer.get_json(force=True)
    return answer.status_code == 503 and "Retry-After" in answer.headers and error["status"] == "503"


def test_r6_a_push_is_to_come_again_while_the_plans_boundary_cannot_be_passed(
    client: ScimClient, impatient: Customer, clock: SettableClock
) -> None:
    with impatient.unit() as unit:
        contract = unit.session.get_one(Contract, unit.org_id)
        contract.time_zone = "Mars/Olympus"
        clock.at = contract.period_end

    answer = push(client, "ada")

    # Not 409 and not 400, which a directory takes as its own mistake.
    assert refused(answer)
    assert "whose last period cannot be closed" in answer.text


def everything(customer: Customer) -> tuple[Any, ...]:
    """Count what a push would leave behind."""
    with customer.unit() as unit:
        people = unit.session.scalar(select(func.count()).select_from(Member))
        entries = unit.session.scalar(select(func.count()).select_from(AuditEntry))
        return people, entries, unit.session.execute(select(SeatPool.tier, SeatPool.used)).all(), verify(unit)


def without_connections(owner: Owner, act: Callable[[], TestResponse]) -> TestResponse:
    """Do something while the database takes no connection of the service, and has ended those there were."""
    name = owner.info.dbname
    owner.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 0')
    owner.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    try:
        return act()
    finally:
        owner.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1')


def test_case_x5_while_the_database_takes_no_connection_pushes_get_503_and_are_served_again_at_once(
    client: ScimClient, impatient: Customer, owner_connection: Owner
) -> None:
    during = without_connections(owner_connection, lambda: push(client, "ada"))
    after = push(client, "ada")

    assert refused(during)
    assert after.status_code == 201
    assert everything(impatient)[3] is None


def test_case_x5_locked_tables_get_503_and_are_served_again_at_once(
    client: ScimClient, impatient: Customer, owner_connection: Owner
) -> None:
    before = everything(impatient)
    with owner_connection.transaction():
        owner_connection.execute("LOCK TABLE member IN ACCESS EXCLUSIVE MODE")
        during = push(client, "ada")

    assert refused(during)
    assert everything(impatient) == before
    assert push(client, "ada").status_code == 201


def test_case_x7_a_full_disk_gets_503_and_leaves_nothing_partial(
    client: ScimClient, impatient: Customer, owner_connection: Owner
) -> None:
    before = everything(impatient)
    owner_connection.execute(
        "CREATE FUNCTION is_full() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$"
    )
    # The decision is written after the person, the seat and the audit entries.
    owner_connection.execute("CREATE TRIGGER is_full BEFORE INSERT ON decision FOR EACH ROW EXECUTE FUNCTION is_full()")

    during = push(client, "ada")

    owner_connection.execute("DROP TRIGGER is_full ON decision")
    assert refused(during)
    assert everything(impatient) == before
    assert push(client, "ada").status_code == 201


def test_case_x11_a_clock_that_is_set_back_changes_no_order_and_charges_nothing_again(
    client: ScimClient, impatient: Customer, clock: SettableClock
) -> None:
    with impatient.unit() as unit:
        period = unit.billing.next_renewal()
    first = push(client, "ada")
    clock.at = clock.at.replace(hour=clock.at.hour - 2)

    second = push(client, "eva")

    with impatient.unit() as unit:
        entries = unit.session.execute(select(AuditEntry.seq, AuditEntry.action).order_by(AuditEntry.seq)).all()
        positions = unit.session.scalars(select(Member.user_name).order_by(Member.position)).all()
        after = unit.billing.next_renewal()
        whole = verify(unit)
    assert [first.status_code, second.status_code] == [201, 201]
    assert positions[-2:] == ["ada@nordlys.test", "eva@nordlys.test"]
    assert [seq for seq, _ in entries] == list(range(1, len(entries) + 1))
    assert whole is None
    assert after == period
