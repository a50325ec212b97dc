"""The worker process: procrastinate brings it to the rows that wait."""

import asyncio
import functools

import procrastinate
import structlog
from procrastinate import jobs
from sqlalchemy import URL

from bridge.jobs.work import Task, expire_everywhere, work_through_due
from bridge.runtime import Runtime
from bridge.store.queue import QUEUE, WAKE_TASK

log = structlog.get_logger()

SWEEP_TASK = "seatbridge.sweep"
EXPIRE_TASK = "seatbridge.expire"


def build_queue(runtime: Runtime, url: URL) -> procrastinate.App:
    """Build the queue's application over the service's own database connection settings."""
    conninfo = url.set(drivername="postgresql").render_as_string(hide_password=False)
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=conninfo, min_size=1, max_size=4))

    async def run(task: Task) -> int:
        """Work in a thread: the product's own code is synchronous."""
        return await asyncio.to_thread(functools.partial(task, runtime))

    @app.task(name=WAKE_TASK, queue=QUEUE)
    async def woken() -> None:
        count = await run(work_through_due)
        log.info("worker.woken", done=count)

    @app.periodic(cron="* * * * *")
    @app.task(name=SWEEP_TASK, queue=QUEUE)
    async def sweep(timestamp: int) -> None:
        del timestamp
        count = await run(work_through_due)
        await clear_stalled(app)
        log.info("worker.swept", done=count)

    @app.periodic(cron="7 * * * *")
    @app.task(name=EXPIRE_TASK, queue=QUEUE)
    async def expire(timestamp: int) -> None:
        del timestamp
        count = await run(expire_everywhere)
        log.info("worker.expired", rows=count)

    return app


async def clear_stalled(app: procrastinate.App) -> None:
    """Close the jobs of workers that died: what they came for is still due and is found without them."""
    for job in await app.job_manager.get_stalled_jobs():
        await app.job_manager.finish_job(job, status=jobs.Status.FAILED, delete_job=True)
        log.info("worker.stalled_job_closed", job_id=job.id)


async def _run(app: procrastinate.App, *, poll_seconds: float) -> None:
    async with app.open_async():
        await app.run_worker_async(
            queues=[QUEUE],
            name="seatbridge",
            concurrency=4,
            fetch_job_polling_interval=poll_seconds,
            delete_jobs=jobs.DeleteJobCondition.ALWAYS,
            shutdown_graceful_timeout=30,
        )


def run_worker(runtime: Runtime, url: URL) -> None:
    """Work until TERM or INT; what is under way is finished first."""
    asyncio.run(_run(build_queue(runtime, url), poll_seconds=runtime.settings.jobs.poll_seconds))
