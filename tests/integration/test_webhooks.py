"""Events for the application: whatever the way of a change, told once in order, signed, retried, seen."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import URL, select, text, update

from bridge.adapters.webhooks import check_signature, new_webhook_secret
from bridge.cli import main
from bridge.config import Settings
from bridge.domain.identifiers import MemberId, new_id
from bridge.domain.people_files import read_people
from bridge.domain.webhooks import EVENT_OF, EventType
from bridge.errors import ForbiddenError, InvalidInputError, NotFoundError, WebhookRefusedError
from bridge.jobs.webhooks import send_message, tell_applications
from bridge.runtime import Runtime
from bridge.store.directory import get_member
from bridge.store.models import Alert, AuditEntry, WebhookEndpoint, WebhookMessage, WebSession
from bridge.usecases.alerts import open_alerts
from bridge.usecases.expire import expire_what_ran_out
from bridge.usecases.import_people import import_people
from bridge.usecases.people_by_hand import turn_off_member, turn_on_member
from bridge.usecases.provision_member import remove_member
from bridge.usecases.sessions import end_sessions_of
from bridge.usecases.webhook_endpoints import (
    add_endpoint,
    enable_endpoint,
    find_endpoint,
    list_endpoints,
    remove_endpoint,
    rotate_secret,
)
from bridge.usecases.webhook_messages import list_messages, queue_test, replay
from tests.conftest import KEY, SettableClock
from tests.factories import Customer
from tests.processes import ROOT
from tests.protocol.scim_client import ScimClient, make_app, make_token

RECEIVER = ROOT / "docs" / "how-to" / "example_receiver.py"


@dataclass
class Application:
    """An application that takes events, or answers as a test wishes; ``taken`` are those it was sent."""

    url: str = ""
    answers: int = 204
    location: str = ""
    encoding: str = ""
    body: bytes = b""
    slow_seconds: float = 0.0
    taken: list[tuple[dict[str, str], dict[str, Any], bytes]] = field(default_factory=list)

    @property
    def types(self) -> list[str]:
        return [event["type"] for _, event, _ in self.taken]


@contextmanager
def application() -> Iterator[Application]:
    """Run an application on this machine."""
    app, over = Application(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            app.taken.append(({name.lower(): value for name, value in self.headers.items()}, json.loads(body), body))
            over.wait(app.slow_seconds)
            self.send_response(app.answers)
            if app.location:
                self.send_header("Location", app.location)
            if app.encoding:
                self.send_header("Content-Encoding", app.encoding)
            self.end_headers()
            with suppress(ConnectionError):  # nobody reads it
                self.wfile.write(app.body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    app.url = f"http://127.0.0.1:{server.server_port}/events"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield app
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def app() -> Iterator[Application]:
    with application() as running:
        yield running


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The tests' settings, which vouch for this machine."""
    return settings.model_copy(
        update={
            "webhooks": settings.webhooks.model_copy(update={"internal_hosts": ("127.0.0.1",), "timeout_seconds": 0.5})
        }
    )


@dataclass(frozen=True)
class Told:
    """An endpoint and what it was given to check signatures with."""

    customer: Customer
    url: str
    secret: str

    def endpoint(self) -> WebhookEndpoint:
        with self.customer.unit() as unit:
            return find_endpoint(unit, self.url)

    def states(self) -> list[tuple[str, str, int]]:
        with self.customer.unit() as unit:
            return [
                (one.event, one.state, one.attempts)
                for one in reversed(list_messages(unit, find_endpoint(unit, self.url)))
            ]


def listen(customer: Customer, url: str, events: tuple[str, ...] = ()) -> Told:
    secret = new_webhook_secret()
    runtime = customer.runtime
    with customer.unit() as unit:
        add_endpoint(unit, url, events, lambda row: runtime.sealed_webhook_secret(customer.org_id, row, secret))
    return Told(customer, url, secret)


def tell(customer: Customer) -> int:
    return tell_applications(customer.runtime)


def test_what_happens_is_told_in_order_with_ids_name_and_tier(customer: Customer, app: Application) -> None:
    customer.push("early@acme.test")
    listen(customer, app.url)
    ada = customer.push("ada@acme.test")
    with customer.unit() as unit:
        turn_off_member(unit, ada.id)
        turn_on_member(unit, ada.id)

    assert tell(customer) == 6

    # What was before the endpoint is not told.
    assert app.types == [
        "user.created",
        "seat.assigned",
        "seat.released",
        "user.deactivated",
        "user.reactivated",
        "seat.assigned",
    ]
    event = app.taken[1][1]
    assert event["data"]["user"] == {"id": str(ada.id), "userName": "ada@acme.test", "active": True, "tier": "premium"}
    assert event["data"]["seat"] == {"from": None, "to": "premium", "waiting_for": None}
    assert (event["data"]["organization"], event["timestamp"]) == (customer.slug, "2026-03-02T09:00:00Z")
    sequences = [event["data"]["sequence"] for _, event, _ in app.taken]
    assert sequences == sorted(set(sequences))
    assert tell(customer) == 0


def test_every_way_of_a_change_is_told(customer: Customer, app: Application) -> None:
    """A lane, a request of its own, Bulk, an import and a removal: whatever is audited is told."""
    listen(customer, app.url, ("user.created", "user.deactivated", "user.removed"))
    directory = ScimClient(make_app(customer), customer.slug, make_token(customer))
    directory.send("GET", "/Users?count=1")
    by_lane = directory.send("POST", "/Users", {"userName": "lane@acme.test"}).get_json()["id"]
    operations = [{"op": "replace", "path": "active", "value": False}]
    directory.send("PATCH", f"/Users/{by_lane}", {"schemas": [PATCH], "Operations": operations})
    bulk = [{"method": "POST", "path": "/Users", "bulkId": "b", "data": {"userName": "bulk@acme.test"}}]
    directory.send("POST", "/Bulk", {"schemas": [BULK], "Operations": bulk})
    with customer.unit() as unit:
        import_people(unit, read_people(b"userName\nfile@acme.test\n"), customer.connection_id)
    directory.send("DELETE", f"/Users/{by_lane}")

    tell(customer)

    assert app.types == ["user.created", "user.deactivated", "user.created", "user.created", "user.removed"]
    gone = app.taken[-1][1]["data"]["user"]
    assert gone == {"id": by_lane, "userName": None, "active": False, "tier": None}


PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"


def test_the_end_of_a_session_is_told(customer: Customer, app: Application) -> None:
    listen(customer, app.url, ("session.ended",))
    session_id = new_id()
    with customer.unit() as unit:
        unit.session.add(
            WebSession(
                org_id=unit.org_id,
                id=session_id,
                token_hash=b"x",
                member_id=customer.owner_id,
                method="saml",
                device="",
                created_at=unit.at,
                last_seen_at=unit.at,
                expires_at=unit.at + timedelta(hours=1),
                ended_at=None,
                ended_by=None,
            )
        )
        unit.session.flush()
        end_sessions_of(unit, customer.owner_id)

    tell(customer)

    data = app.taken[0][1]["data"]
    assert (data["session"], data["reason"]) == ({"id": str(session_id)}, "by_hand")


def test_a_change_that_is_taken_back_is_not_told(customer: Customer, app: Application) -> None:
    listen(customer, app.url)
    ada = customer.push("ada@acme.test")

    def removed_and_taken_back() -> None:
        with customer.unit() as unit:
            remove_member(unit, get_member(unit, ada.id))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        removed_and_taken_back()

    assert (tell(customer), app.types) == (2, ["user.created", "seat.assigned"])


def test_events_are_signed_by_standard_webhooks_and_repeated_under_the_same_id(
    customer: Customer, app: Application, clock: SettableClock
) -> None:
    told = listen(customer, app.url, ("user.created",))
    customer.push("ada@acme.test")
    app.answers = 503
    tell(customer)
    clock.at += timedelta(minutes=1)
    app.answers = 200

    assert tell(customer) == 1

    (first, _, _), (second, _, body) = app.taken
    assert first["webhook-id"] == second["webhook-id"]
    assert check_signature(told.secret, second, body, clock.at) == second["webhook-id"]
    with pytest.raises(WebhookRefusedError):
        check_signature(told.secret, second, body + b" ", clock.at)
    with pytest.raises(WebhookRefusedError):
        check_signature(told.secret, first, body, clock.at + timedelta(minutes=6))
    assert told.states() == [("user.created", "done", 2)]


def test_for_a_day_both_secrets_sign_after_a_rotation(
    customer: Customer, app: Application, clock: SettableClock
) -> None:
    told = listen(customer, app.url, ("user.created",))
    new = new_webhook_secret()
    with customer.unit() as unit:
        found = find_endpoint(unit, app.url)
        rotate_secret(unit, found, lambda row: customer.runtime.sealed_webhook_secret(customer.org_id, row, new))
    customer.push("ada@acme.test")
    tell(customer)
    headers, _, body = app.taken[0]
    for secret in (told.secret, new):
        assert check_signature(secret, headers, body, clock.at)
    clock.at += timedelta(hours=24)
    customer.push("bo@acme.test")
    tell(customer)

    headers, _, body = app.taken[1]
    assert check_signature(new, headers, body, clock.at)
    with pytest.raises(WebhookRefusedError):
        check_signature(told.secret, headers, body, clock.at)


def test_what_is_given_up_is_dead_and_can_be_sent_again(
    customer: Customer, app: Application, clock: SettableClock
) -> None:
    """One that is refused for three days by an endpoint that takes others."""
    told = listen(customer, app.url, ("user.created",))
    customer.push("ada@acme.test")
    for _ in range(14):  # 13 * 6 hours = 78 hours
        app.answers = 500
        tell(customer)
        app.answers = 204
        with customer.unit() as unit:
            tried = queue_test(unit, find_endpoint(unit, app.url))
        assert send_message(customer.runtime, customer.org_id, tried) is True
        clock.at += timedelta(hours=6)
    (given_up,) = [one for one in told.states() if one[0] == "user.created"]

    with customer.unit() as unit:
        again = replay(unit, find_endpoint(unit, app.url))
    tell(customer)

    assert given_up == ("user.created", "dead", 13)
    assert len({headers["webhook-id"] for headers, event, _ in app.taken if event["type"] == "user.created"}) == 1
    assert len(again) == 1
    assert ("user.created", "done", 1) in told.states()
    with pytest.raises(NotFoundError), customer.unit() as unit:
        replay(unit, find_endpoint(unit, app.url), new_id())


def test_a_night_without_the_application_loses_no_event_and_the_owners_are_told(
    customer: Customer, app: Application, clock: SettableClock
) -> None:
    told = listen(customer, app.url, ("user.created",))
    customer.push("ada@acme.test")
    app.answers = 503
    for _ in range(13):  # 12 * 4 hours = 2 days
        tell(customer)
        clock.at += timedelta(hours=4)
    with customer.unit() as unit:
        alerts = [alert.detail for alert in open_alerts(unit)]
    waiting = told.states()
    clock.at -= timedelta(hours=3)  # it is not ada's turn yet
    customer.push("bo@acme.test")
    app.answers = 204

    taken = tell(customer), tell(customer)

    assert waiting == [("user.created", "pending", 13)]
    assert (len(alerts), alerts[0].startswith("127.0.0.1 has not taken an event for hours")) == (1, True)
    assert taken == (1, 1)
    with customer.unit() as unit:
        assert open_alerts(unit) == []


@pytest.mark.parametrize(
    ("encoding", "body"), [("gzip", b"\x1f\x8b no gzip"), ("", b"x" * 200_000)], ids=["compressed", "large"]
)
def test_what_an_endpoint_answers_beside_its_status_matters_to_nobody(
    customer: Customer, app: Application, encoding: str, body: bytes
) -> None:
    app.answers, app.encoding, app.body = 200, encoding, body
    listen(customer, app.url, ("user.created",))
    customer.push("ada@acme.test")

    assert tell(customer) == 1


def test_an_endpoint_that_fails_for_days_is_left_and_goes_on_from_there_when_enabled(
    customer: Customer, app: Application, clock: SettableClock
) -> None:
    told = listen(customer, app.url, ("user.created",))
    app.answers = 500
    for day in range(4):
        customer.push(f"p{day}@acme.test")
        tell(customer)
        clock.at += timedelta(days=1)
    left = told.endpoint()
    customer.push("later@acme.test")
    assert tell(customer) == 0
    with customer.unit() as unit:
        alerts = unit.session.scalars(select(Alert).where(Alert.code == "webhook_disabled")).all()
        (view,) = list_endpoints(unit)
    app.answers = 204
    with customer.unit() as unit:
        enable_endpoint(unit, find_endpoint(unit, app.url))

    assert tell(customer) == 5
    assert (left.disabled_by, view.state, len(alerts)) == ("failing", "disabled", 1)
    assert "127.0.0.1" in alerts[0].detail
    with customer.unit() as unit:
        assert unit.session.scalars(select(Alert.resolved_at).where(Alert.code == "webhook_disabled")).one() is not None


def test_an_endpoint_that_says_it_is_gone_is_left_at_once(customer: Customer, app: Application) -> None:
    told = listen(customer, app.url)
    customer.push("ada@acme.test")
    app.answers = 410

    tell(customer)

    assert told.endpoint().disabled_by == "gone"
    assert len(app.taken) == 1


def test_i8_no_redirect_is_followed(customer: Customer, app: Application) -> None:
    with application() as inside:
        app.answers, app.location = 307, inside.url
        told = listen(customer, app.url, ("user.created",))
        customer.push("ada@acme.test")

        assert tell(customer) == 0

        assert (len(app.taken), inside.taken) == (1, [])
    with customer.unit() as unit:
        (message,) = list_messages(unit, told.endpoint())
    assert (message.state, message.status, message.last_error) == ("pending", 307, "redirected")


def test_i8_an_address_that_leads_inside_is_neither_taken_nor_talked_to(
    customer: Customer, database_url: URL, app: Application
) -> None:
    environment = {
        "SEATBRIDGE__DATABASE__URL": database_url.render_as_string(hide_password=False),
        "SEATBRIDGE__SECRETS__KEYS": KEY,
    }
    for url in (
        app.url,
        "https://10.0.0.1/",
        "https://169.254.169.254/",
        "http://example.com/",
        "https://u:p@example.com/",
    ):
        refused = CliRunner().invoke(main, ["webhooks", "add", customer.slug, url], env=environment)
        assert refused.exit_code == 1, url
        assert "url" in refused.output
    # A name that leads elsewhere later than when it was added is looked at again with every event.
    told = listen(customer, "https://127.0.0.2/", ("user.created",))
    customer.push("ada@acme.test")

    assert (tell(customer), app.taken) == (0, [])
    with customer.unit() as unit:
        assert list_messages(unit, told.endpoint())[0].last_error == "address_not_allowed"


def test_an_endpoint_that_takes_its_time_keeps_nobody_else_waiting(
    customer: Customer, app: Application, make_customer: Callable[..., Customer]
) -> None:
    other = make_customer("other")
    with application() as slow:
        slow.slow_seconds = 5
        listen(customer, slow.url, ("user.created",))
        listen(other, app.url, ("user.created",))
        for number in range(3):
            customer.push(f"p{number}@acme.test")
        other.push("ada@other.test")

        assert tell(customer) == 1

        # One attempt, and the rest of them is left for the next round.
        assert (len(slow.taken), app.types) == (1, ["user.created"])


def test_two_workers_tell_everything_once(customer: Customer, app: Application) -> None:
    listen(customer, app.url, ("user.created",))
    for number in range(8):
        customer.push(f"p{number}@acme.test")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: tell(customer), range(2)))
    tell(customer)

    assert len(app.taken) == len({headers["webhook-id"] for headers, _, _ in app.taken}) == 8


def test_case_x3_an_event_whose_worker_died_is_told_when_its_lease_is_over(
    customer: Customer, app: Application, clock: SettableClock
) -> None:
    told = listen(customer, app.url, ("user.created",))
    customer.push("ada@acme.test")
    app.answers = 500
    tell(customer)
    with customer.unit() as unit:  # as a worker leaves it that claimed it and died
        unit.session.execute(update(WebhookMessage).values(next_attempt_at=clock.at + timedelta(minutes=2)))
    app.answers = 204
    early = tell(customer)
    clock.at += timedelta(minutes=2)

    assert (early, tell(customer)) == (0, 1)
    assert told.states() == [("user.created", "done", 2)]


def test_organizations_without_endpoints_pay_nothing(customer: Customer) -> None:
    customer.push("ada@acme.test")

    assert tell(customer) == 0
    with customer.unit() as unit:
        assert unit.session.scalar(text("SELECT count(*) FROM webhook_message")) == 0


def test_z4_and_t3_endpoints_are_for_admins_and_for_their_own_organization(
    customer: Customer, app: Application, make_customer: Callable[..., Customer]
) -> None:
    told = listen(customer, app.url)
    with pytest.raises(ForbiddenError), customer.unit(customer.directory) as unit:
        list_endpoints(unit)
    with pytest.raises(NotFoundError), make_customer("other").unit() as unit:
        find_endpoint(unit, str(told.endpoint().id))


@pytest.mark.parametrize("events", [("user.renamed",), ("user.created", "seat.lost")])
def test_an_event_that_there_is_not_is_refused(customer: Customer, events: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInputError, match=r"none of user\.created"):
        listen(customer, "https://example.com/", events)


def test_an_address_is_told_once(customer: Customer) -> None:
    listen(customer, "https://example.com/")

    with pytest.raises(InvalidInputError, match="already"):
        listen(customer, "https://example.com/")


def test_what_is_removed_is_told_nothing_and_what_waited_is_dropped(customer: Customer, app: Application) -> None:
    listen(customer, app.url)
    customer.push("ada@acme.test")
    with customer.unit() as unit:
        remove_endpoint(unit, find_endpoint(unit, app.url))

    assert (tell(customer), app.taken) == (0, [])
    with customer.unit() as unit:
        told = select(AuditEntry.action).where(AuditEntry.action.like("webhook.%")).order_by(AuditEntry.seq)
        actions = unit.session.scalars(told).all()
    assert actions == ["webhook.added", "webhook.removed"]


def test_s6_nothing_personal_and_no_secret_stands_in_the_tables(customer: Customer, app: Application) -> None:
    told = listen(customer, app.url)
    customer.push("ada@acme.test")
    app.answers = 500
    tell(customer)

    with customer.unit() as unit:
        tables = ("webhook_endpoint", "webhook_message")
        rows = [unit.session.scalars(text(f"SELECT to_jsonb(t)::text FROM {table} t")).all() for table in tables]  # noqa: S608 (ours)
        written = "".join(row for table in rows for row in table)
    assert written
    assert "acme.test" not in written
    assert told.secret.removeprefix("whsec_") not in written


def test_what_was_told_is_forgotten_after_a_month(customer: Customer, app: Application, clock: SettableClock) -> None:
    told = listen(customer, app.url)
    customer.push("ada@acme.test")
    tell(customer)
    clock.at += timedelta(days=31)
    with customer.unit() as unit:
        expire_what_ran_out(unit)

    assert told.states() == []


def test_a_test_event_goes_out_at_once(customer: Customer, app: Application) -> None:
    told = listen(customer, app.url, ("seat.waiting",))
    with customer.unit() as unit:
        message_id = queue_test(unit, told.endpoint())

    assert send_message(customer.runtime, customer.org_id, message_id) is True
    assert send_message(customer.runtime, customer.org_id, message_id) is None
    assert (app.types, app.taken[0][1]["data"]) == (["webhook.test"], {"organization": customer.slug})


def test_every_event_is_caused_by_an_action_of_the_audit() -> None:
    assert set(EVENT_OF.values()) == set(EventType)


def test_the_receiver_of_the_guide_takes_what_is_sent_and_refuses_what_is_forged(
    runtime: Runtime, customer: Customer, clock: SettableClock
) -> None:
    clock.at = datetime.now(UTC)
    secret = new_webhook_secret()
    process = subprocess.Popen(
        [sys.executable, str(RECEIVER), "0"],
        env={**os.environ, "WEBHOOK_SECRET": secret},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        for url, signed_with in ((found[0], secret), (f"{found[0]}forged", new_webhook_secret())):
            with customer.unit() as unit:
                add_endpoint(
                    unit,
                    url,
                    ["user.created"],
                    lambda row, s=signed_with: runtime.sealed_webhook_secret(customer.org_id, row, s),  # type: ignore[misc] # bound now
                )
        ada = customer.push("ada@acme.test")

        assert tell(customer) == 1
        assert process.stdout.readline().split() == ["user.created", str(MemberId(ada.id))]
        with customer.unit() as unit:
            refused = list_messages(unit, find_endpoint(unit, f"{found[0]}forged"))
            sent = list_messages(unit, find_endpoint(unit, found[0]))
            replay(unit, find_endpoint(unit, found[0]), sent[0].id)
        assert [(one.status, one.state) for one in refused] == [(401, "pending")]
        assert tell(customer) == 1  # taken again, and passed by: nothing more is printed
    finally:
        process.kill()
        rest = process.communicate()[0]
    assert rest == ""


def test_a_third_secret_within_a_day_is_refused_as_the_receiver_may_have_the_first(
    customer: Customer, app: Application
) -> None:
    listen(customer, app.url, ("user.created",))

    def rotate() -> None:
        with customer.unit() as unit:
            found, new = find_endpoint(unit, app.url), new_webhook_secret()
            rotate_secret(unit, found, lambda row: customer.runtime.sealed_webhook_secret(customer.org_id, row, new))

    rotate()

    with pytest.raises(InvalidInputError, match="has two secrets until"):
        rotate()
