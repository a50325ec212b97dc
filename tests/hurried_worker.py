"""A worker whose leases and pauses are so many times shorter: ``python -m tests.hurried_worker 60``."""

import sys

from sqlalchemy import make_url

from bridge.billing import BuiltinPayments
from bridge.config import load_settings
from bridge.jobs.worker import Worker
from bridge.observability import configure_logging
from bridge.runtime import build_runtime
from bridge.usecases import attempts


def main() -> None:
    quicker = int(sys.argv[1])
    attempts.LEASE /= quicker
    attempts.FIRST_PAUSE_SECONDS /= quicker
    attempts.LONGEST_PAUSE_SECONDS /= quicker
    settings = load_settings()
    configure_logging(level=settings.log.level, as_json=True)
    assert settings.database.url is not None
    url = make_url(settings.database.url.get_secret_value()).set(drivername="postgresql+psycopg")
    runtime = build_runtime(settings, url, payments=BuiltinPayments())
    Worker(runtime, url).run()


if __name__ == "__main__":
    main()
