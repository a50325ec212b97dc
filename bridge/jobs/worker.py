"""The worker process: the durable queue wakes it, and its own clock does where no wake-up arrives."""

import asyncio
import signal
import threading
from contextlib import suppress
from typing import Final

import procrastinate
import structlog
from procrastinate import exceptions, jobs
from sqlalchemy import URL

from bridge.jobs.metadata import keep_trust_fresh
from bridge.jobs.webhooks import tell_applications
from bridge.jobs.work import (
    Task,
    catch_up_everywhere,
    check_everywhere,
    end_unconfirmed_everywhere,
    expire_everywhere,
    forget_requests,
    mail_usage_everywhere,
    reconcile_everywhere,
    remind_everywhere,
    rotate_signing_keys,
    work_through_due,
)
from bridge.runtime import Runtime
from bridge.store.queue import QUEUE, WAKE_TASK

log = structlog.get_logger()

EXPIRE_TASK = "seatbridge.expire"
UNCONFIRMED_TASK = "seatbridge.end_unconfirmed"
REMIND_TASK = "seatbridge.remind_of_holds"
CHECK_TASK = "seatbridge.check"
FORGET_TASK = "seatbridge.forget_requests"
USAGE_TASK = "seatbridge.mail_usage"
CATCH_UP_TASK = "seatbridge.catch_up_with_cores"
RECONCILE_TASK = "seatbridge.reconcile_with_cores"
KEYS_TASK = "seatbridge.rotate_signing_keys"
TRUST_TASK = "seatbridge.keep_trust_fresh"
#: What is done by the clock: the task's name, when, what its log entry is called, and the work.
PERIODIC: Final[tuple[tuple[str, str, str, Task], ...]] = (
    (EXPIRE_TASK, "7 * * * *", "worker.expired", expire_everywhere),
    (UNCONFIRMED_TASK, "12 * * * *", "worker.ended_unconfirmed", end_unconfirmed_everywhere),
    (REMIND_TASK, "17 * * * *", "worker.reminded", remind_everywhere),
    (FORGET_TASK, "37 * * * *", "worker.forgot_requests", forget_requests),
    (USAGE_TASK, "11 6 * * *", "worker.mailed_usage", mail_usage_everywhere),
    (CHECK_TASK, "23 3 * * *", "worker.checked", check_everywhere),
    (CATCH_UP_TASK, "27 * * * *", "worker.caught_up", catch_up_everywhere),
    (KEYS_TASK, "33 * * * *", "worker.rotated_keys", rotate_signing_keys),
    (TRUST_TASK, "51 * * * *", "worker.kept_trust_fresh", keep_trust_fresh),
    (RECONCILE_TASK, "43 3 * * *", "worker.books_differ", reconcile_everywhere),
)
#: Jobs of workers that have not been heard of for this long are closed.
STALLED_SECONDS = 30.0
_LONGEST_BACKOFF_SECONDS = 10.0


class Worker:
    """One worker process.

    Deliveries and renewals are found by their rows: at a wake-up job, and every ``jobs.sweep_seconds`` whatever became
    of the jobs. Hourly and nightly tasks are deferred by the queue, so that of several workers one does them.

    Args:
        runtime: The product.
        url: The database, as the service's role.
    """

    def __init__(self, runtime: Runtime, url: URL) -> None:
        self._runtime = runtime
        self._stopping = threading.Event()
        conninfo = url.set(drivername="postgresql").render_as_string(hide_password=False)
        connector = procrastinate.PsycopgConnector(conninfo=conninfo, min_size=1, max_size=4)
        self.queue = procrastinate.App(connector=connector)
        self._add_tasks()

    def run(self) -> None:
        """Work until TERM or INT; the delivery or renewal under way is finished first."""
        asyncio.run(self._run())

    def _add_tasks(self) -> None:
        queue = self.queue

        @queue.task(name=WAKE_TASK, queue=QUEUE)
        async def woken() -> None:
            await self._work("worker.woken", work_through_due)

        for name, cron, event, task in PERIODIC:
            self._add_periodic(name, cron, event, task)

    def _add_periodic(self, name: str, cron: str, event: str, task: Task) -> None:
        @self.queue.periodic(cron=cron)
        @self.queue.task(name=name, queue=QUEUE)
        async def work(timestamp: int) -> None:
            del timestamp
            await self._work(event, task)

    async def _work(self, event: str, task: Task) -> None:
        """Work in a thread: the product's own code is synchronous."""
        count = await asyncio.to_thread(task, self._runtime, self._stopping.is_set)
        if count:
            log.info(event, count=count)

    async def _run(self) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def begin_to_stop() -> None:
            self._stopping.set()
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, begin_to_stop)
        log.info("worker.started")
        failures = 0
        while not stop.is_set():
            try:
                await self._run_until(stop)
            except Exception as error:  # noqa: BLE001 (the database may be away: its errors come in many classes)
                log.warning("worker.interrupted", error=type(error).__name__)
                failures += 1
                pause = min(_LONGEST_BACKOFF_SECONDS, 0.25 * 2**failures)
                await _wait(stop, pause)
            else:
                failures = 0
        log.info("worker.stopped")

    async def _run_until(self, stop: asyncio.Event) -> None:
        """Serve the queue and the clock; return once asked to stop and everything under way is done."""
        settings = self._runtime.settings.jobs
        async with self.queue.open_async():
            serving = asyncio.create_task(
                self.queue.run_worker_async(
                    queues=[QUEUE],
                    name="seatbridge",
                    concurrency=4,
                    fetch_job_polling_interval=settings.poll_seconds,
                    delete_jobs=jobs.DeleteJobCondition.ALWAYS,
                    install_signal_handlers=False,
                    stalled_worker_timeout=STALLED_SECONDS,
                )
            )
            sweeping = asyncio.create_task(self._sweep(stop, settings.sweep_seconds))
            telling = asyncio.create_task(self._tell(stop, settings.poll_seconds))
            stopped = asyncio.create_task(stop.wait())
            try:
                await asyncio.wait({serving, sweeping, telling, stopped}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopped.cancel()
                serving.cancel()  # procrastinate's own way to stop gracefully: running jobs are finished
                if not stop.is_set():
                    sweeping.cancel()
                    telling.cancel()
                results = await asyncio.gather(serving, sweeping, telling, return_exceptions=True)
            for result in results:
                if isinstance(result, Exception):
                    raise result

    async def _sweep(self, stop: asyncio.Event, seconds: float) -> None:
        """Look for what no wake-up brought us to, at once and then again and again."""
        while not stop.is_set():
            await self._work("worker.swept", work_through_due)
            await close_stalled_jobs(self.queue)
            await _wait(stop, seconds)

    async def _tell(self, stop: asyncio.Event, seconds: float) -> None:
        """Tell applications of events soon: no request waits for a wake-up of its own."""
        while not stop.is_set():
            await _wait(stop, seconds)
            await self._work("worker.told_applications", tell_applications)


async def close_stalled_jobs(queue: procrastinate.App) -> int:
    """Close the jobs of workers that died, and return how many: what they came for is found without them."""
    stalled = list(await queue.job_manager.get_stalled_jobs(queue=QUEUE, seconds_since_heartbeat=STALLED_SECONDS))
    for job in stalled:
        with suppress(exceptions.ConnectorException):  # another worker was quicker
            await queue.job_manager.finish_job(job, status=jobs.Status.FAILED, delete_job=True)
        log.info("worker.stalled_job_closed", job_id=job.id)
    return len(stalled)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    """Wait so many seconds, or less when it is time to stop."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
