"""The audit chain: complete, in order, and unable to be changed without showing it."""

import json
from collections.abc import Callable

import psycopg
import pytest
from sqlalchemy import URL

from bridge.billing import BuiltinPayments
from bridge.config import Settings, generate_key
from bridge.runtime import Runtime, build_runtime
from bridge.store import journal
from tests.conftest import KEY
from tests.factories import Customer
from tests.processes import run_seatbridge


@pytest.fixture
def busy(customer: Customer) -> Customer:
    """A customer with a history of more than ten entries."""
    for name in ("ada", "bob", "cleo"):
        customer.push(f"{name}@nordlys.test")
    return customer


def first_bad(customer: Customer) -> int | None:
    with customer.unit() as unit:
        return journal.verify(unit)


def count(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM audit_entry").fetchone()
    assert row is not None
    return int(row[0])


def test_what_nobody_touched_is_whole(busy: Customer, owner_connection: psycopg.Connection) -> None:
    assert first_bad(busy) is None
    assert count(owner_connection) >= 5


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE audit_entry SET actor = 'system' WHERE seq = 3",
        "UPDATE audit_entry SET reason = 'because' WHERE seq = 3",
        "UPDATE audit_entry SET body = '{\"x\": 1}' WHERE seq = 3",
        "UPDATE audit_entry SET at = at + interval '1 second' WHERE seq = 3",
        "UPDATE audit_entry SET subject_id = 'x' WHERE seq = 3",
        "UPDATE audit_entry SET action = 'x' WHERE seq = 3",
        "UPDATE audit_entry SET request_id = 'x' WHERE seq = 3",
        "UPDATE audit_entry SET digest = '\\x00' WHERE seq = 3",
        "UPDATE audit_entry SET previous = '\\x00' WHERE seq = 3",
        "DELETE FROM audit_entry WHERE seq = 3",
    ],
)
def test_the_first_entry_that_was_changed_is_named(
    busy: Customer, owner_connection: psycopg.Connection, tampering: str
) -> None:
    owner_connection.execute(tampering)

    assert first_bad(busy) == 3


def test_an_end_that_was_cut_off_is_missed(busy: Customer, owner_connection: psycopg.Connection) -> None:
    entries = count(owner_connection)

    owner_connection.execute("DELETE FROM audit_entry WHERE seq = %s", [entries])

    assert first_bad(busy) == entries


def test_entries_that_changed_places_are_noticed(busy: Customer, owner_connection: psycopg.Connection) -> None:
    for old, new in ((2, 1002), (3, 2), (1002, 3)):
        owner_connection.execute("UPDATE audit_entry SET seq = %s WHERE seq = %s", [new, old])

    assert first_bad(busy) == 2


def test_an_entry_of_another_organization_does_not_fit(
    make_customer: Callable[..., Customer], owner_connection: psycopg.Connection
) -> None:
    ours, theirs = make_customer("ours"), make_customer("theirs")
    owner_connection.execute(
        "UPDATE audit_entry o SET at = t.at, actor = t.actor, action = t.action, subject_kind = t.subject_kind,"
        " subject_id = t.subject_id, reason = t.reason, request_id = t.request_id, body = t.body,"
        " previous = t.previous, digest = t.digest"
        " FROM audit_entry t WHERE o.org_id = %s AND t.org_id = %s AND o.seq = 1 AND t.seq = 1",
        [ours.org_id, theirs.org_id],
    )

    assert first_bad(ours) == 1
    assert first_bad(theirs) is None


def test_a_chain_outlives_the_rotation_of_the_key(busy: Customer, settings: Settings, database_url: URL) -> None:
    new_key = generate_key()
    rotated = Settings.model_validate({**settings.model_dump(), "secrets": {"keys": (new_key, KEY)}})
    stranger = Settings.model_validate({**settings.model_dump(), "secrets": {"keys": (new_key,)}})

    def check(changed: Settings) -> int | None:
        runtime: Runtime = build_runtime(changed, database_url, payments=BuiltinPayments())
        again = Customer(runtime, busy.org_id, busy.slug, busy.owner_id, busy.connection_id)
        found = first_bad(again)
        runtime.close()
        return found

    assert (check(rotated), check(stranger)) == (None, 1)


def test_the_command_names_the_first_bad_entry(
    busy: Customer, database_url: URL, owner_connection: psycopg.Connection
) -> None:
    environment = {
        "SEATBRIDGE__DATABASE__URL": database_url.render_as_string(hide_password=False),
        "SEATBRIDGE__SECRETS__KEYS": KEY,
    }
    whole = run_seatbridge("audit", "verify", "nordlys", environment=environment)
    owner_connection.execute("UPDATE audit_entry SET reason = 'because' WHERE seq = 4")

    broken = run_seatbridge("audit", "verify", "nordlys", environment=environment)
    as_json = run_seatbridge("audit", "verify", "nordlys", "--json", environment=environment)

    assert (whole.returncode, broken.returncode, as_json.returncode) == (0, 1, 1), whole.stderr + broken.stderr
    assert broken.stderr == "Entry 4 is not what was written, or is missing\n"
    assert json.loads(as_json.stdout)["first_bad_entry"] == 4
