"""``/metrics`` for Prometheus: requests by route, and what waits for workers. Numbers only, and off unless configured.

Where several processes serve, the library counts in the folder that its own variable names
(:data:`bridge.observability.METRICS_FOLDER`), and adds up what all of them have counted. ``seatbridge serve`` sets it.
"""

import hmac
import os
from collections.abc import Iterator
from time import perf_counter
from typing import Final

from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry, Counter, Histogram, exposition, multiprocess
from prometheus_client.core import GaugeMetricFamily
from sqlalchemy.exc import SQLAlchemyError

from bridge.observability import METRICS_FOLDER
from bridge.runtime import Runtime
from bridge.store.gate import counted_work
from bridge.store.queue import live_workers
from bridge.web.credentials import metrics
from bridge.web.probes import waiting_ages

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
#: Upper bounds in seconds: a lane takes a few thousandths, a bulk request or an import many seconds.
_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_HELP: Final = {
    "orders": "Orders of seats at billing cores, by state; dead ones wait for the operator.",
    "deliveries": "Mails, by state; dead ones were given up.",
    "holds": "Mass changes that the brake has held, by state; open ones wait for an owner.",
    "held_people": "People whom an open hold keeps something back from.",
}
_AGES: Final = {
    "oldest_order_seconds": "Age of the oldest order that waits for a worker; 0 when none does.",
    "oldest_delivery_seconds": "Age of the oldest mail that waits for a worker; 0 when none does.",
}


def add_metrics(app: Flask, runtime: Runtime) -> None:
    """Count every request and serve the numbers to whoever has the token; do nothing where none is configured."""
    configured = runtime.settings.metrics.token
    if configured is None:
        return
    token = configured.get_secret_value().encode()
    counted = _count_requests(app)

    @app.get("/metrics")
    @metrics
    def show_metrics() -> Response:
        """Tell the numbers, of all processes together."""
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.encode(), token):
            return Response("The bearer token is not that of metrics.token\n", 401, {"WWW-Authenticate": "Bearer"})
        registry = CollectorRegistry()
        if os.environ.get(METRICS_FOLDER):
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # the library's
        else:
            registry.register(counted)
        registry.register(_Work(runtime))
        return Response(exposition.generate_latest(registry), content_type=exposition.CONTENT_TYPE_LATEST)


def _count_requests(app: Flask) -> CollectorRegistry:
    """Count requests and how long they took, by the route's template: no address, and no slug, is ever a label."""
    own = CollectorRegistry()
    labels = ("method", "route")
    requests = Counter("seatbridge_http_requests", "Requests answered.", (*labels, "status"), registry=own)
    seconds = Histogram(
        "seatbridge_http_request_seconds", "Seconds until the answer.", labels, registry=own, buckets=_BOUNDS
    )

    def begin() -> None:
        g.metrics_began = perf_counter()

    def end(response: Response) -> Response:
        rule, method = request.url_rule, request.method
        told = (method if method in _METHODS else "other", "none" if rule is None else rule.rule)
        requests.labels(*told, str(response.status_code)).inc()
        seconds.labels(*told).observe(perf_counter() - g.get("metrics_began", perf_counter()))
        return response

    app.before_request(begin)
    app.after_request(end)
    return own


class _Work:
    """What the database knows when it is asked: the same whichever process answers."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Count now; without a database there is one number, and it says so."""
        try:
            found, ages = self._runtime.ask_gate(counted_work), waiting_ages(self._runtime)
            workers = self._runtime.ask_gate(live_workers)
        except SQLAlchemyError:
            yield GaugeMetricFamily("seatbridge_database_up", "Whether the database answers.", value=0)
            return
        yield GaugeMetricFamily("seatbridge_database_up", "Whether the database answers.", value=1)
        yield GaugeMetricFamily("seatbridge_workers", "Workers heard of within a minute.", value=workers)
        for fact, words in _HELP.items():
            family = GaugeMetricFamily(f"seatbridge_{fact}", words, labels=("state",))
            for _, state, number in (one for one in found if one[0] == fact):
                family.add_metric((state,), number)
            yield family
        for name, words in _AGES.items():
            yield GaugeMetricFamily(f"seatbridge_{name}", words, value=ages[name])
