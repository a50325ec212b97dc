"""The provisioning log over HTTP: everything a connection sends is in it, secrets are not, and nobody else sees it."""

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import URL, Update, func, select, text, update

from bridge.billing import BuiltinPayments
from bridge.config import Settings
from bridge.jobs.work import forget_requests
from bridge.runtime import Runtime, build_runtime
from bridge.store.models import Alert, Connection, LoggedRequest, ScimToken
from bridge.usecases.read_requests import behaviour_of, list_requests, read_request
from scim.callers import KnownCallers
from scim.edge import scim_blueprint
from scim.log_entries import Heard
from scim.request_log import MAX_UNATTRIBUTED, RequestLog
from tests.conftest import SettableClock
from tests.factories import Customer
from tests.processes import ROOT
from tests.protocol.scim_client import USER, ScimClient, make_app, make_token

ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"


@pytest.fixture
def app(customer: Customer) -> Flask:
    return make_app(customer)


@pytest.fixture
def client(app: Flask, customer: Customer) -> ScimClient:
    return ScimClient(app, customer.slug, make_token(customer))


def entries(customer: Customer) -> list[LoggedRequest]:
    """Everything in the log of an organization, in the order of arrival, once what waits is written."""
    customer.runtime.closing.close()  # what the end of the process does: it writes what waits
    with customer.unit() as unit:
        return list(
            unit.session.scalars(
                select(LoggedRequest).where(LoggedRequest.org_id == unit.org_id).order_by(LoggedRequest.id)
            )
        )


def strict(customer: Customer, **scim: Any) -> Flask:
    """Serve SCIM with other limits."""
    settings = customer.runtime.settings
    changed = settings.model_copy(update={"scim": settings.scim.model_copy(update=scim)})
    app = Flask(__name__)
    app.register_blueprint(scim_blueprint(replace(customer.runtime, settings=changed)))
    return app


# What is in it.


def test_a_request_is_kept_with_its_answer(client: ScimClient, customer: Customer) -> None:
    response = client.post(
        "/Users", {"schemas": [USER], "userName": "ada@nordlys.test"}, headers={"User-Agent": "Okta SCIM Client 1.0.0"}
    )

    (entry,) = entries(customer)
    assert (entry.method, entry.path, entry.query, entry.status) == ("POST", "/Users", "", 201)
    assert entry.connection_id == customer.connection_id
    assert entry.request_id == response.headers["X-Request-Id"]
    assert entry.user_agent == "Okta SCIM Client 1.0.0"
    assert (
        entry.request_body
        == '{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "ada@nordlys.test"}'
    )
    assert entry.response_body == response.text
    assert (entry.bytes_in, entry.bytes_out) == (len(entry.request_body), len(response.data))
    assert (entry.mark, entry.dialect, entry.address) == (None, "okta", None)
    assert entry.latency_ms > 0


def test_lanes_and_the_general_way_are_logged_alike(client: ScimClient, customer: Customer) -> None:
    member_id = client.create_user("ada@nordlys.test")
    client.create_user("bea@nordlys.test")
    client.get(f"/Users/{member_id}")
    client.get('/Users?filter=userName eq "ada@nordlys.test"')
    client.patch(f"/Users/{member_id}", {"op": "replace", "path": "title", "value": "Engineer"})
    client.patch(f"/Users/{member_id}", {"op": "remove", "path": "title"})
    client.delete(f"/Users/{member_id}")

    seen = [(entry.method, entry.status, entry.connection_id) for entry in entries(customer)]
    assert seen == [
        (method, status, customer.connection_id)
        for method, status in [
            *(("POST", 201), ("POST", 201), ("GET", 200), ("GET", 200), ("PATCH", 200), ("PATCH", 200)),
            ("DELETE", 204),
        ]
    ]


def test_of_a_read_only_the_size_is_kept(client: ScimClient, customer: Customer) -> None:
    response = client.get('/Users?filter=userName eq "nobody"')

    (entry,) = entries(customer)
    assert (entry.request_body, entry.response_body) == (None, None)
    assert entry.bytes_out == len(response.data)


def test_a_refusal_is_kept_with_its_words(client: ScimClient, customer: Customer) -> None:
    client.post("/Users", {"schemas": [USER]})

    (entry,) = entries(customer)
    assert (entry.status, entry.scim_type) == (400, "invalidValue")
    assert "userName" in str(entry.response_body)


def test_secrets_are_not_in_it(client: ScimClient, customer: Customer, owner_connection: psycopg.Connection) -> None:
    body = {"schemas": [USER], "userName": "ada@nordlys.test", "password": "hunter2-hunter2"}
    client.post("/Users", body)
    client.get("/Users?access_token=hunter2-hunter2")
    client.post("/Users", {"password": "hunter2-hunter2"}, headers={"User-Agent": "x sbscim_AbC123dEf456"})

    kept = entries(customer)

    rows = owner_connection.execute("SELECT row_to_json(r)::text FROM scim_request r").fetchall()
    assert len(rows) == len(kept) == 3
    for (row,) in rows:
        assert "hunter2" not in row
        assert "sbscim_" not in row
        assert str(client.token) not in row
    assert "ada@nordlys.test" in str(kept[0].request_body)


def test_a_long_body_is_cut_and_marked(client: ScimClient, customer: Customer) -> None:
    members = [{"value": f"unknown-{number}"} for number in range(2000)]

    client.post("/Groups", {"displayName": "All", "members": members})

    (entry,) = entries(customer)
    assert not entry.request_whole
    assert len(str(entry.request_body)) == 16_384
    assert entry.bytes_in > 32_768


@pytest.mark.parametrize(
    ("path", "value"),
    [("active", {"a": [1]}), ("active", [True, False]), ("active", "perhaps")],
)
def test_an_unknown_shape_is_marked_and_the_owners_told(
    client: ScimClient, customer: Customer, path: str, value: object
) -> None:
    member_id = client.create_user("ada@nordlys.test")

    response = client.patch(f"/Users/{member_id}", {"op": "replace", "path": path, "value": value})

    assert response.status_code == 400
    assert entries(customer)[-1].mark == "unknown_shape"
    with customer.unit() as unit:
        assert unit.session.scalar(select(Alert.code)) == "unreadable_push"


def test_a_bulk_request_is_one_entry_with_how_each_operation_ended(client: ScimClient, customer: Customer) -> None:
    operations = [
        {
            "method": "POST",
            "path": "/Users",
            "bulkId": "a",
            "data": {"schemas": [USER], "userName": "ada@nordlys.test"},
        },
        {
            "method": "POST",
            "path": "/Users",
            "bulkId": "b",
            "data": {"schemas": [USER], "userName": "ADA@nordlys.test"},
        },
    ]
    client.post("/Bulk", {"Operations": operations})

    (entry,) = entries(customer)
    assert entry.operations is not None
    assert entry.operations["statuses"] == [201, 409]
    assert entry.operations["ended"] == {"POST /Users 201": 1, "POST ? 409": 1}
    (failed,) = entry.operations["failed"]
    assert (failed["number"], failed["bulkId"], failed["scimType"]) == (2, "b", "uniqueness")


def test_an_entry_leads_to_the_decisions_it_caused(client: ScimClient, customer: Customer) -> None:
    client.create_user("ada@nordlys.test")
    (entry,) = entries(customer)

    with customer.unit() as unit:
        story = read_request(unit, entry.request_id)

    assert story.line.said == "create person ada@nordlys.test"
    assert [(one.from_tier, one.to_tier) for one in story.decisions] == [(None, "premium")]
    assert story.line.meaning is None


def test_a_connection_shows_whom_it_behaves_like(client: ScimClient, customer: Customer) -> None:
    member_id = client.create_user("ada@nordlys.test", groups=[], externalId="00u1a2b3c4d5e6f7g8h9")
    client.put(f"/Users/{member_id}", {"schemas": [USER], "userName": "ada@nordlys.test", "groups": []})
    entries(customer)

    with customer.unit() as unit:
        behaviour = behaviour_of(unit, customer.connection_id)

    assert str(behaviour) == "Okta (custom app)"
    assert behaviour.seen_by == ("an externalId of 00u and 17 characters", "an empty list of groups in a person")


# Refused credentials.


def test_a_token_that_is_no_longer_good_is_logged_with_its_connection_and_why(
    client: ScimClient, app: Flask, customer: Customer, clock: SettableClock
) -> None:
    client.get("/Users?count=0")
    with customer.unit() as unit:
        unit.session.execute(update(ScimToken).values(expires_at=clock.at))
    client.get("/Users?count=0")

    refused = entries(customer)[-1]

    assert (refused.status, refused.mark) == (401, "token_expired")
    assert refused.connection_id == customer.connection_id
    assert refused.address == "127.0.0.1"


@pytest.mark.parametrize(
    ("change", "mark"),
    [
        (update(ScimToken).values(revoked_at=func.now()), "token_revoked"),
        (update(Connection).values(disabled_at=func.now()), "connection_disabled"),
    ],
)
def test_a_refused_connection_is_named_with_why(
    client: ScimClient, customer: Customer, change: Update, mark: str
) -> None:
    with customer.unit() as unit:
        unit.session.execute(change)

    assert client.get("/Users").status_code == 401

    (refused,) = entries(customer)
    assert (refused.mark, refused.connection_id) == (mark, customer.connection_id)


def test_a_good_token_on_another_organization_s_path_is_logged_with_its_own(
    app: Flask, client: ScimClient, customer: Customer, make_customer: Callable[..., Customer]
) -> None:
    rival = make_customer(slug="rival")

    ScimClient(app, rival.slug, client.token).get("/Users")

    (refused,) = entries(customer)
    assert (refused.mark, refused.connection_id) == ("other_organization", customer.connection_id)
    assert entries(rival) == []


@pytest.mark.parametrize(("token", "mark"), [("nobodys", "token_unknown"), (None, "token_missing")])
def test_a_token_of_nobody_is_logged_for_whom_the_path_names(
    app: Flask, customer: Customer, token: str | None, mark: str
) -> None:
    stranger = ScimClient(app, customer.slug, token)

    stranger.post("/Users", {"userName": "x"})

    (refused,) = entries(customer)
    assert (refused.status, refused.mark, refused.connection_id) == (401, mark, None)
    assert refused.request_body is None  # not read


def test_nobody_floods_another_one_s_log(customer: Customer) -> None:
    app = strict(customer, refused_per_minute=100_000)
    for number in range(MAX_UNATTRIBUTED + 40):
        ScimClient(app, customer.slug, f"guess-{number}").get("/Users")
    ScimClient(app, customer.slug, make_token(customer)).get("/Users?count=0")

    logged = entries(customer)

    assert sum(entry.connection_id is None for entry in logged) == MAX_UNATTRIBUTED
    assert logged[-1].connection_id == customer.connection_id


def test_an_organization_that_does_not_exist_leaves_no_entry(app: Flask, customer: Customer) -> None:
    assert ScimClient(app, "nobody", "x").get("/Users").status_code == 401

    assert entries(customer) == []


def test_no_address_keeps_other_entries_from_being_written(app: Flask, client: ScimClient, customer: Customer) -> None:
    client.get("/Users?count=0")
    for slug in ("%00", "a%00b", "%ff", "%ed%a0%80", "x" * 2000):
        ScimClient(app, slug, "x").get("/Users%00%ff")
    ScimClient(app, customer.slug, "x").get("/Users%00%ff?a=%00", headers={"User-Agent": "agent \xe9"})

    assert [entry.status for entry in entries(customer)] == [200, 401]


@pytest.mark.parametrize(
    "body",
    [
        '{"userName": "ada", "title": "\\ud800"}',
        '{"userName": "ada", "title": "\\ud800", "password": "x"}',
        '{"userName": "ada", "title": "\\u0000", "password": "x"}',
        '{"userName": "a\\u0000", "\\udfff": 1, "token": 1}',
        '{"password": 1, "a": ' + "[" * 700 + "]" * 700 + "}",
        '{"password": 1, "a": ' + str(2**70) + "}",
        "\ufeff{\x00",
    ],
)
def test_an_entry_is_written_whatever_the_body_holds(client: ScimClient, customer: Customer, body: str) -> None:
    client.get("/Users?count=0")
    client.send("POST", "/Users", data=body.encode())
    client.get("/Users?count=0")

    assert [entry.method for entry in entries(customer)] == ["GET", "POST", "GET"]
    with customer.unit() as unit:
        assert len(list_requests(unit)) == 3


def test_an_entry_is_written_whatever_its_texts_hold(customer: Customer) -> None:
    log = RequestLog(customer.runtime, KnownCallers())
    nasty = "a\x00\ud800b"
    answer = {
        "scimType": nasty,
        "Operations": [{"status": "400", "bulkId": nasty, "location": nasty, "response": {"detail": nasty}}],
    }
    for status in (200, 400, 429):
        log.note(
            Heard(
                at=customer.runtime.clock.now(),
                slug=customer.slug,
                token_hash=None,
                method=nasty,
                path="/Bulk" if status == 200 else f"/{nasty}",
                query=nasty,
                status=status,
                mark=None,
                latency_seconds=0.0,
                request_id=nasty,
                address=nasty,
                user_agent=nasty,
                content_type=nasty,
                body=b"\xed\xa0\x80\x00",
                bytes_in=4,
                answer=json.dumps(answer).encode().replace(b"\\ud800", b""),
                bytes_out=1,
            )
        )

    log.flush()

    assert [entry.status for entry in entries(customer)] == [200, 400, 429]


def test_an_announced_length_beyond_all_measure_is_written_too(app: Flask, customer: Customer) -> None:
    for length in ("9" * 30, "9" * 5000, "-1", "x"):
        app.test_client().get(f"/scim/v2/{customer.slug}/Users", environ_overrides={"CONTENT_LENGTH": length})

    assert [entry.bytes_in for entry in entries(customer)] == [2**63 - 1, 2**63 - 1, 0, 0]


def test_a_bulk_request_with_an_unknown_shape_in_one_operation_is_marked(
    client: ScimClient, customer: Customer
) -> None:
    member_id = client.create_user("ada@nordlys.test")
    change = {"op": "replace", "path": "active", "value": "perhaps"}
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": "a", "data": {"schemas": [USER], "userName": "bea"}},
        {"method": "PATCH", "path": f"/Users/{member_id}", "data": {"Operations": [change]}},
    ]

    client.post("/Bulk", {"Operations": operations})
    client.post("/Bulk", {"Operations": operations[:1]})

    logged = entries(customer)
    assert [(entry.status, entry.mark) for entry in logged[1:]] == [(200, "unknown_shape"), (200, None)]
    with customer.unit() as unit:
        assert str(read_request(unit, str(logged[1].id)).line.meaning).startswith("Members or active came in")


def test_another_organization_s_entries_are_invisible(
    client: ScimClient, customer: Customer, make_customer: Callable[..., Customer]
) -> None:
    rival = make_customer(slug="rival")
    client.create_user("ada@nordlys.test")
    entries(customer)

    with rival.unit() as unit:
        assert list_requests(unit) == []
        assert unit.session.scalar(select(func.count()).select_from(LoggedRequest)) == 0


# Limits.


def test_i13_beyond_its_burst_a_connection_is_answered_429_with_retry_after(customer: Customer) -> None:
    app = strict(customer, rate_burst=3, rate_per_second=0.01)
    client = ScimClient(app, customer.slug, make_token(customer))

    responses = [client.get("/Users?count=0") for _ in range(5)]

    # The first finds out who calls; three more fit into the burst.
    assert [response.status_code for response in responses] == [200, 200, 200, 200, 429]
    refusal = responses[-1]
    assert 90 <= int(refusal.headers["Retry-After"]) <= 100  # one in 1 / 0.01 s
    assert refusal.get_json(force=True)["schemas"] == [ERROR]
    assert refusal.get_json(force=True)["status"] == "429"
    last = entries(customer)[-1]
    assert (last.status, last.mark, last.connection_id) == (429, "rate_limited", customer.connection_id)


def test_i13_guessing_tokens_ends_at_429_while_a_good_token_of_the_same_address_is_served(customer: Customer) -> None:
    app = strict(customer, refused_per_minute=3)
    good = ScimClient(app, customer.slug, make_token(customer))
    good.get("/Users?count=0")

    guesses = [ScimClient(app, customer.slug, f"guess-{number}").get("/Users") for number in range(5)]

    assert [response.status_code for response in guesses] == [401, 401, 401, 429, 429]
    assert guesses[-1].headers["Retry-After"] == "20"  # 3 a minute: one in 20 s
    assert good.get("/Users?count=0").status_code == 200


def test_an_organization_that_takes_its_share_is_told_to_come_again_and_another_one_is_served(
    customer: Customer, make_customer: Callable[..., Customer], owner_connection: psycopg.Connection
) -> None:
    rival = make_customer(slug="rival")
    app = strict(customer, concurrent_requests=1)
    slow, same = (ScimClient(app, customer.slug, make_token(customer)) for _ in range(2))
    other = ScimClient(app, rival.slug, make_token(rival))
    for client in (slow, same, other):
        client.get("/Users?count=0")
    with owner_connection.transaction():
        owner_connection.execute("SELECT * FROM organization_state WHERE org_id = %s FOR UPDATE", [customer.org_id])
        waiting = threading.Thread(target=slow.create_user, args=["ada@nordlys.test"])
        waiting.start()
        _until_somebody_waits(owner_connection)

        refused = same.get("/Users?count=0")
        served = other.create_user("bea@rival.test")
    waiting.join()

    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert served
    assert same.get("/Users?count=0").status_code == 200


def _until_somebody_waits(connection: psycopg.Connection) -> None:
    for _ in range(500):
        row = connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
        if row != (0,):
            return
        connection.execute("SELECT pg_sleep(0.01)")
    raise AssertionError("nobody waits for the lock")


# How it is written.


def heard(clock: SettableClock, slug: str, path: str, body: bytes | None = None) -> Heard:
    return Heard(
        at=clock.at,
        slug=slug,
        token_hash=None,
        method="GET",
        path=path,
        query="",
        status=401,
        mark=None,
        latency_seconds=0.001,
        request_id="request-1",
        address="192.0.2.1",
        user_agent=None,
        content_type=None,
        body=body,
        bytes_in=0,
        answer=None,
        bytes_out=0,
    )


def test_an_entry_is_written_without_anybody_asking(client: ScimClient, customer: Customer) -> None:
    client.get("/Users?count=0")

    for _ in range(100):
        with customer.unit() as unit:
            if unit.session.scalar(select(func.count()).select_from(LoggedRequest)):
                break
            unit.session.execute(text("SELECT pg_sleep(0.05)"))
    else:
        raise AssertionError("nothing was written in 5 seconds")


def test_while_the_database_is_away_the_newest_entries_wait_and_the_oldest_are_dropped(
    settings: Settings, customer: Customer, clock: SettableClock
) -> None:
    nowhere = URL.create("postgresql", username="x", host="127.0.0.1", port=1, database="x")
    away = build_runtime(settings, nowhere, payments=BuiltinPayments(), clock=clock)
    log = RequestLog(away, KnownCallers(), max_waiting=2)
    for number in range(5):
        log.note(heard(clock, customer.slug, f"/{number}"))
    with pytest.raises(Exception, match="connection"):
        log.flush()

    away.engine, real = customer.runtime.engine, away.engine
    log.flush()

    assert [entry.path for entry in entries(customer)] == ["/3", "/4"]
    away.engine = real
    away.close()


def test_waiting_bodies_take_bounded_memory(runtime: Runtime, customer: Customer, clock: SettableClock) -> None:
    log = RequestLog(runtime, KnownCallers(), max_waiting_bytes=250)
    for number in range(5):
        log.note(heard(clock, customer.slug, f"/{number}", b"x" * 100))

    log.flush()

    assert [entry.path for entry in entries(customer)] == ["/3", "/4"]


def test_a_batch_that_is_tried_again_writes_nothing_twice(
    runtime: Runtime, customer: Customer, clock: SettableClock
) -> None:
    log = RequestLog(runtime, KnownCallers())
    one = heard(clock, customer.slug, "/Users")
    for _ in range(2):
        log.note(one)
        log.flush()

    assert len(entries(customer)) == 1


def test_an_entry_that_cannot_be_written_takes_no_other_with_it(
    runtime: Runtime, customer: Customer, clock: SettableClock
) -> None:
    log = RequestLog(runtime, KnownCallers())
    for number in range(3):
        log.note(heard(clock, customer.slug, f"/{number}"))
    log.note(replace(heard(clock, customer.slug, "/poison"), bytes_in=2**80))

    log.flush()

    assert [entry.path for entry in entries(customer)] == ["/0", "/1", "/2"]


FORKED = """
import os, sys, time
from bridge.web.session import EXTENSION
from wsgi import create_app
app = create_app()
def ask():
    answer = app.test_client().get("/scim/v2/nordlys/Users", headers={"Authorization": "Bearer " + sys.argv[1]})
    assert answer.status_code == 200, answer.data
ask()
time.sleep(2)  # the entry is written, and nobody is at the connections that no child may share
app.extensions[EXTENSION].engine.dispose()
app.extensions[EXTENSION].lane.close()
child = os.fork()
ask()
if child:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
sys.exit(0)
"""


def test_a_forked_process_writes_its_own_entries_and_an_ending_one_what_waits(
    customer: Customer, settings: Settings
) -> None:
    token = make_token(customer)
    with customer.unit() as unit:
        unit.session.execute(update(ScimToken).values(expires_at=unit.at + timedelta(days=36_500)))

    ended = subprocess.run(
        [sys.executable, "-c", FORKED, token],
        cwd=ROOT,
        env=_environment(settings),
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert len(entries(customer)) == 3  # one before the fork, one in each process


@pytest.mark.slow
def test_a_service_that_is_asked_to_stop_writes_what_waits(customer: Customer, settings: Settings) -> None:
    token = make_token(customer)
    with customer.unit() as unit:
        unit.session.execute(update(ScimToken).values(expires_at=unit.at + timedelta(days=36_500)))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.set_inheritable(True)
        served = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "--no-control-socket", "--worker-class=gthread", "--threads=8"),
                *(f"--bind=fd://{listener.fileno()}", "--log-level=warning", "wsgi:create_app()"),
            ],
            cwd=ROOT,
            env=_environment(settings),
            pass_fds=(listener.fileno(),),
            stderr=subprocess.DEVNULL,
        )
        host, port = listener.getsockname()
        client = http.client.HTTPConnection(host, port, timeout=30)
        client.request("GET", "/scim/v2/nordlys/Users?count=0", headers={"Authorization": f"Bearer {token}"})
        status = client.getresponse().status
        client.close()

        served.terminate()
        ended = served.wait(30)

    assert (status, ended) == (200, 0)
    assert [entry.path for entry in entries(customer)] == ["/Users"]


def _environment(settings: Settings) -> dict[str, str]:
    url = settings.database.url
    assert url is not None
    keys = {"SEATBRIDGE__SECRETS__KEYS": settings.secrets.keys[0].get_secret_value()}
    return {**os.environ, "SEATBRIDGE__DATABASE__URL": url.get_secret_value(), **keys}


def test_old_entries_are_deleted_and_newer_ones_stay(
    client: ScimClient, customer: Customer, clock: SettableClock
) -> None:
    now = clock.at
    clock.at = now - timedelta(days=14, seconds=1)
    client.get("/Users/old")
    clock.at = now - timedelta(days=13, hours=23)
    client.get("/Users/new")
    entries(customer)
    clock.at = now

    removed = forget_requests(customer.runtime)

    assert removed == 1
    assert [entry.path for entry in entries(customer)] == ["/Users/new"]
