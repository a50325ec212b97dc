"""What a supervisor of services asks: alive, and ready to serve."""

from datetime import datetime

from flask import Flask, Response, jsonify
from sqlalchemy.exc import SQLAlchemyError

from bridge.runtime import Runtime
from bridge.store.gate import waiting_work
from bridge.store.schema import newest_revision, present_revision
from bridge.web.credentials import public


def add_probes(app: Flask, runtime: Runtime) -> None:
    """Add the two probes: alive, and ready to serve."""

    @app.get("/healthz")
    @public
    def healthz() -> Response:
        """Answer that the process is alive; nothing else is looked at."""
        return jsonify(status="ok")

    @app.get("/readyz")
    @public
    def readyz() -> tuple[Response, int]:
        """Answer whether the database can be reached and has this version's schema, and how old waiting work is."""
        needed = newest_revision()
        try:
            with runtime.engine.connect() as connection:
                present = present_revision(connection)
            ready = present == needed
            waiting = waiting_ages(runtime) if ready else {}
        except SQLAlchemyError:
            return jsonify(status="unavailable", database="unreachable", schema=None, needed=needed), 503
        status = "ok" if ready else "unavailable"
        answer = {"status": status, "database": "ok", "schema": present, "needed": needed, "waiting": waiting}
        return jsonify(answer), 200 if ready else 503


def waiting_ages(runtime: Runtime) -> dict[str, int]:
    """Count what waits for workers, and how many seconds the oldest has waited: numbers only."""
    waiting = runtime.ask_gate(waiting_work)
    return {
        "orders": waiting.orders,
        "orders_given_up": waiting.dead_orders,
        "oldest_order_seconds": _seconds_since(runtime, waiting.oldest_order),
        "deliveries": waiting.deliveries,
        "oldest_delivery_seconds": _seconds_since(runtime, waiting.oldest_mail),
    }


def _seconds_since(runtime: Runtime, instant: datetime | None) -> int:
    return 0 if instant is None else max(int((runtime.clock.now() - instant).total_seconds()), 0)
