"""The worker, as a real process against a real database and a real mail server."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL, text

from bridge.billing import BuiltinPayments
from bridge.config import Settings
from bridge.domain.actors import OPERATOR, SYSTEM
from bridge.domain.identifiers import new_id
from bridge.jobs.work import check_everywhere, deliver_due, expire_everywhere, renew_due
from bridge.ports import Message
from bridge.runtime import Runtime, build_runtime
from bridge.store.models import Delivery
from bridge.store.queue import wake_workers
from bridge.usecases.alerts import raise_alert
from bridge.usecases.attempts import MAX_ATTEMPTS
from bridge.usecases.deliver import claim_delivery, list_open_deliveries, retry_dead_deliveries
from tests.conftest import KEY, SettableClock
from tests.factories import Customer, create_customer
from tests.processes import Product, eventually, seatbridge
from tests.smtp import MailServer, mail_server

StartWorker = Callable[..., AbstractContextManager[Product]]


class KeptMail:
    """A mailer that keeps what it is given; it fails for subjects that hold ``poison``."""

    def __init__(self, poison: str | None = None) -> None:
        self.poison = poison
        self.sent: list[Message] = []

    def send(self, message: Message) -> None:
        if self.poison is not None and self.poison in message.subject:
            raise ConnectionRefusedError
        self.sent.append(message)


@pytest.fixture
def now_runtime(settings: Settings, database_url: URL) -> Iterator[Runtime]:
    """The product at the real time, as the worker's process sees it."""
    runtime = build_runtime(settings, database_url, payments=BuiltinPayments())
    yield runtime
    runtime.close()


@pytest.fixture
def server() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture
def environment(database_url: URL, server: MailServer) -> dict[str, str]:
    return {
        "SEATBRIDGE__DATABASE__URL": database_url.render_as_string(hide_password=False),
        "SEATBRIDGE__SECRETS__KEYS": KEY,
        "SEATBRIDGE__MAIL__SMTP_URL": server.url,
        "SEATBRIDGE__MAIL__SENDER": "seats@seatbridge.test",
        "SEATBRIDGE__JOBS__SWEEP_SECONDS": "0.5",
    }


@pytest.fixture
def start_worker(environment: Mapping[str, str], tmp_path: Path) -> StartWorker:
    def start(**changed: str) -> AbstractContextManager[Product]:
        return seatbridge("worker", environment={**environment, **changed}, folder=tmp_path)

    return start


def states(connection: psycopg.Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT state FROM delivery ORDER BY created_at, id")]


def drop_deliveries(connection: psycopg.Connection) -> None:
    connection.execute("DELETE FROM delivery")


def alert_owners(customer: Customer) -> None:
    with customer.unit(SYSTEM) as unit:
        raise_alert(unit, "owner_protected", member_id=customer.owner_id)


class TestDelivery:
    def test_invoice_and_alert_reach_the_owner_by_a_real_mail_server(
        self, now_runtime: Runtime, start_worker: StartWorker, server: MailServer, owner_connection: psycopg.Connection
    ) -> None:
        customer = create_customer(now_runtime)
        alert_owners(customer)

        with start_worker() as worker:
            done = eventually(lambda: states(owner_connection) == ["done", "done"])

        assert done, worker.text
        assert server.subjects() == [
            "Invoice NORDLYS-000001",
            "Nordlys: A directory tried to change an owner: nothing was changed",
        ]
        invoice = next(mail for mail in server.mails if "Invoice" in mail["Subject"])
        assert invoice["To"] == "owner@nordlys.test"
        assert invoice["From"] == "seats@seatbridge.test"
        # 2 × €150.00 + 5 × €25.00 = €425.00
        assert "€425.00" in invoice.get_payload(decode=True).decode()  # type: ignore[union-attr] # a plain text mail

    def test_a_row_written_later_wakes_the_worker_long_before_its_next_sweep(
        self, now_runtime: Runtime, start_worker: StartWorker, owner_connection: psycopg.Connection
    ) -> None:
        customer = create_customer(now_runtime)

        with start_worker(SEATBRIDGE__JOBS__SWEEP_SECONDS="3600", SEATBRIDGE__JOBS__POLL_SECONDS="300") as worker:
            first = eventually(lambda: states(owner_connection) == ["done"])
            time.sleep(1)  # the worker listens by now
            alert_owners(customer)
            second = eventually(lambda: states(owner_connection) == ["done", "done"], within_seconds=10)

        assert (first, second) == (True, True), worker.text

    def test_a_row_that_lost_its_job_is_found_by_the_sweep(
        self, now_runtime: Runtime, start_worker: StartWorker, owner_connection: psycopg.Connection
    ) -> None:
        create_customer(now_runtime)
        owner_connection.execute("TRUNCATE procrastinate_jobs CASCADE")

        with start_worker() as worker:
            done = eventually(lambda: states(owner_connection) == ["done"])

        assert done, worker.text

    def test_a_mail_server_that_is_away_delays_and_loses_nothing(
        self, now_runtime: Runtime, start_worker: StartWorker, server: MailServer, owner_connection: psycopg.Connection
    ) -> None:
        server.refuses = True
        create_customer(now_runtime)

        with start_worker() as worker:
            postponed = eventually(
                lambda: (
                    owner_connection.execute("SELECT last_error, attempts FROM delivery").fetchone()
                    == ("SMTPRecipientsRefused", 1)
                )
            )
            pause = owner_connection.execute("SELECT next_attempt_at - now() FROM delivery").fetchone()
            server.refuses = False
            owner_connection.execute("UPDATE delivery SET next_attempt_at = now()")  # the pause is over
            delivered = eventually(lambda: states(owner_connection) == ["done"])

        assert (postponed, delivered) == (True, True), worker.text
        # 15 s × 2¹, a fifth more or less: 24 to 36 seconds
        assert pause is not None
        assert timedelta(seconds=20) < pause[0] < timedelta(seconds=36)
        assert len(server.mails) == 1

    def test_two_workers_deliver_each_row_once(
        self, now_runtime: Runtime, start_worker: StartWorker, server: MailServer, owner_connection: psycopg.Connection
    ) -> None:
        for number in range(12):
            create_customer(now_runtime, f"org-{number}")

        with start_worker() as one, start_worker() as two:
            done = eventually(lambda: states(owner_connection) == ["done"] * 12)

        assert done, one.text + two.text
        assert server.subjects() == sorted(f"Invoice ORG-{number}-000001" for number in range(12))
        assert owner_connection.execute("SELECT max(attempts) FROM delivery").fetchone() == (1,)

    def test_of_many_who_claim_a_row_at_once_one_gets_it(
        self, customer: Customer, owner_connection: psycopg.Connection
    ) -> None:
        (delivery_id,) = owner_connection.execute("SELECT id FROM delivery").fetchone() or (uuid.UUID(int=0),)
        claims: list[bool] = []
        barrier = threading.Barrier(6)

        def claim() -> None:
            barrier.wait()
            with customer.unit(SYSTEM) as unit:
                claims.append(claim_delivery(unit, delivery_id) is not None)

        threads = [threading.Thread(target=claim) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(claims) == [False] * 5 + [True]

    def test_a_poison_row_blocks_nobody_and_dies_after_its_last_attempt(
        self, runtime: Runtime, make_customer: Callable[..., Customer], clock: SettableClock
    ) -> None:
        poisoned, healthy = make_customer("poisoned"), make_customer("healthy")
        runtime.mailer = mailer = KeptMail()
        with poisoned.unit() as unit:
            unit.session.add(
                Delivery(
                    org_id=poisoned.org_id,
                    id=new_id(),
                    kind="no such kind",
                    key="poison",
                    subject_id="",
                    state="pending",
                    attempts=0,
                    created_at=unit.at,
                    next_attempt_at=unit.at - timedelta(days=1),
                    done_at=None,
                    last_error=None,
                )
            )

        for _ in range(MAX_ATTEMPTS + 1):
            deliver_due(runtime)
            clock.at += timedelta(hours=4)  # longer than the longest pause

        with poisoned.unit() as unit:
            (dead,) = list_open_deliveries(unit)
        assert (dead.state, dead.attempts, dead.last_error) == ("dead", MAX_ATTEMPTS, "KeyError")
        assert sorted(message.subject for message in mailer.sent) == [
            "Invoice HEALTHY-000001",
            "Invoice POISONED-000001",
        ]
        with healthy.unit() as unit:
            assert list_open_deliveries(unit) == []

    def test_a_dead_row_is_delivered_after_all_when_somebody_retries_it(
        self, runtime: Runtime, customer: Customer, owner_connection: psycopg.Connection
    ) -> None:
        owner_connection.execute("UPDATE delivery SET state = 'dead', attempts = 12")
        runtime.mailer = mailer = KeptMail()
        before = deliver_due(runtime)

        with customer.unit() as unit:
            revived = retry_dead_deliveries(unit)

        assert (before, revived, deliver_due(runtime)) == (0, 1, 1)
        assert [message.subject for message in mailer.sent] == ["Invoice NORDLYS-000001"]

    def test_without_a_mail_server_a_row_is_done_and_says_so(
        self, runtime: Runtime, customer: Customer, owner_connection: psycopg.Connection
    ) -> None:
        deliver_due(runtime)

        assert owner_connection.execute("SELECT state, last_error FROM delivery").fetchone() == (
            "done",
            "no_mail_server",
        )

    def test_a_worker_killed_while_it_delivers_leaves_the_row_to_another_after_its_lease(
        self, now_runtime: Runtime, start_worker: StartWorker, server: MailServer, owner_connection: psycopg.Connection
    ) -> None:
        server.gate.clear()
        create_customer(now_runtime)
        with start_worker() as first:
            assert server.holding.wait(20), first.text
            first.kill()

        server.gate.set()
        server.mails.clear()
        with start_worker() as second:
            time.sleep(2)
            before_the_lease_ended = len(server.mails)
            owner_connection.execute("UPDATE delivery SET next_attempt_at = now()")  # the lease of two minutes is over
            delivered = eventually(lambda: states(owner_connection) == ["done"])

        assert delivered, second.text
        assert before_the_lease_ended == 0
        assert server.subjects() == ["Invoice NORDLYS-000001"]
        assert owner_connection.execute("SELECT attempts FROM delivery").fetchone() == (2,)

    def test_a_late_failure_does_not_touch_the_claim_of_another_worker(
        self, runtime: Runtime, customer: Customer, owner_connection: psycopg.Connection
    ) -> None:
        from bridge.usecases.deliver import postpone_delivery  # noqa: PLC0415 - beside its only use

        (delivery_id,) = owner_connection.execute("SELECT id FROM delivery").fetchone() or (uuid.UUID(int=0),)
        with customer.unit() as unit:
            late = claim_delivery(unit, delivery_id)
        with customer.unit(at=runtime.clock.now() + timedelta(minutes=3)) as unit:
            second = claim_delivery(unit, delivery_id)

        assert late is not None
        with customer.unit() as unit:
            postpone_delivery(unit, late, "TimeoutError")

        assert second is not None
        assert owner_connection.execute("SELECT attempts, last_error FROM delivery").fetchone() == (2, None)

    def test_term_lets_the_delivery_under_way_finish_and_begins_no_other(
        self, now_runtime: Runtime, start_worker: StartWorker, server: MailServer, owner_connection: psycopg.Connection
    ) -> None:
        server.gate.clear()
        create_customer(now_runtime, "first")
        create_customer(now_runtime, "second")

        with start_worker() as worker:
            assert server.holding.wait(20), worker.text
            worker.process.terminate()
            time.sleep(0.5)
            still_there = worker.process.poll() is None
            server.gate.set()
            status = worker.process.wait(20)

        assert (still_there, status) == (True, 0), worker.text
        # One is brought out; the other waits, or was under way in a second thread at the moment of the signal.
        assert states(owner_connection)[0] == "done"
        assert owner_connection.execute(
            "SELECT count(*) FROM delivery WHERE state = 'pending' AND attempts > 0"
        ).fetchone() == (0,)


class TestQueue:
    def test_one_waiting_job_serves_any_number_of_rows(
        self, customer: Customer, owner_connection: psycopg.Connection
    ) -> None:
        for _ in range(3):
            with customer.unit() as unit:
                wake_workers(unit.session)

        assert owner_connection.execute("SELECT count(*) FROM procrastinate_jobs").fetchone() == (1,)

    def test_a_row_that_rolls_back_wakes_nobody(self, customer: Customer, owner_connection: psycopg.Connection) -> None:
        owner_connection.execute("TRUNCATE procrastinate_jobs CASCADE")

        with pytest.raises(LookupError), customer.unit() as unit:  # noqa: PT012 - the unit is what rolls back
            wake_workers(unit.session)
            raise LookupError

        assert owner_connection.execute("SELECT count(*) FROM procrastinate_jobs").fetchone() == (0,)

    def test_the_job_of_a_dead_worker_is_closed(
        self, now_runtime: Runtime, start_worker: StartWorker, server: MailServer, owner_connection: psycopg.Connection
    ) -> None:
        owner_connection.execute(
            "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '10 minutes')"
        )
        owner_connection.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, status, worker_id)"
            " SELECT 'seatbridge', 'seatbridge.work_through_due', 'doing', max(id) FROM procrastinate_workers"
        )

        with start_worker() as worker:
            closed = eventually(
                lambda: (
                    owner_connection.execute(
                        "SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing'"
                    ).fetchone()
                    == (0,)
                )
            )

        assert closed, worker.text

    def test_a_worker_survives_a_database_that_ends_its_connections(
        self, now_runtime: Runtime, start_worker: StartWorker, server: MailServer, owner_connection: psycopg.Connection
    ) -> None:
        with start_worker() as worker:
            started = eventually(lambda: "worker.started" in worker.text)
            time.sleep(1.5)
            owner_connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            now_runtime.engine.dispose()
            create_customer(now_runtime)
            delivered = eventually(lambda: states(owner_connection) == ["done"])
            alive = worker.process.poll() is None

        assert (started, delivered, alive) == (True, True, True), worker.text


class TestSchedules:
    def test_a_contract_passes_its_boundary_by_the_sweep(
        self, now_runtime: Runtime, start_worker: StartWorker, server: MailServer, owner_connection: psycopg.Connection
    ) -> None:
        # The first period began 40 days ago, so one monthly boundary has passed, whatever the month.
        customer = create_customer(now_runtime, anchor=datetime.now(UTC) - timedelta(days=40))
        with customer.unit() as unit:
            (before,) = unit.session.execute(text("SELECT period_index FROM contract")).one()

        with start_worker() as worker:
            renewed = eventually(
                lambda: owner_connection.execute("SELECT period_index FROM contract").fetchone() == (1,)
            )
            mailed = eventually(lambda: len(server.mails) == 2)

        assert (renewed, mailed) == (True, True), f"{before} {worker.text}"
        assert server.subjects() == ["Invoice NORDLYS-000001", "Invoice NORDLYS-000002"]

    def test_every_boundary_that_was_missed_is_passed_and_billed_once(
        self, runtime: Runtime, customer: Customer, clock: SettableClock, owner_connection: psycopg.Connection
    ) -> None:
        clock.at = datetime(2026, 5, 20, tzinfo=UTC)  # boundaries on 2 April and 2 May

        first, again = renew_due(runtime), renew_due(runtime)

        assert (first, again) == (2, 0)
        assert owner_connection.execute("SELECT count(*) FROM invoice").fetchone() == (3,)

    def test_what_ran_out_is_forgotten(
        self, runtime: Runtime, customer: Customer, clock: SettableClock, owner_connection: psycopg.Connection
    ) -> None:
        with customer.unit() as unit:
            unit.session.execute(
                text(
                    "INSERT INTO saml_replay (org_id, connection_id, issuer, assertion_id, expires_at)"
                    " VALUES (:org, :connection, 'idp', 'one', :until), (:org, :connection, 'idp', 'two', :later)"
                ),
                {
                    "org": customer.org_id,
                    "connection": customer.connection_id,
                    "until": clock.at,
                    "later": clock.at + timedelta(days=1),
                },
            )

        removed = expire_everywhere(runtime)

        assert removed == 1
        assert owner_connection.execute("SELECT assertion_id FROM saml_replay").fetchall() == [("two",)]

    def test_the_nightly_count_finds_a_counter_that_is_wrong(
        self, runtime: Runtime, customer: Customer, owner_connection: psycopg.Connection
    ) -> None:
        customer.push("ada@nordlys.test")
        right = check_everywhere(runtime)

        owner_connection.execute("UPDATE seat_pool SET used = used + 1 WHERE tier = 'standard'")

        assert (right, check_everywhere(runtime)) == (0, 1)

    def test_one_organization_that_fails_stops_no_other(
        self,
        runtime: Runtime,
        make_customer: Callable[..., Customer],
        clock: SettableClock,
        owner_connection: psycopg.Connection,
    ) -> None:
        broken, healthy = make_customer("broken"), make_customer("healthy")
        owner_connection.execute("UPDATE contract SET proration = 'nonsense' WHERE org_id = %s", [broken.org_id])
        clock.at = datetime(2026, 4, 3, tzinfo=UTC)

        renewed = renew_due(runtime)

        assert renewed == 1
        with healthy.unit(OPERATOR) as unit:
            assert unit.session.execute(text("SELECT period_index FROM contract")).one() == (1,)
