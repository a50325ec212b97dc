"""Traces by OpenTelemetry, an extra: requests, statements and background work, and nothing about people.

Nothing of it is imported unless it is turned on. What leaves the process has passed :func:`harmless`: attributes by a
list of names that are known to hold no personal data, exceptions as their class. Addresses of requests, which hold
names in SCIM filters and secrets in sign-in links, are not in it; statements are, as values travel apart from them.
Where spans go, and how many, is said by OpenTelemetry's own variables (``OTEL_EXPORTER_OTLP_ENDPOINT`` and others).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from bridge.config import Settings
from bridge.errors import NotInstalledError
from bridge.observability import current_request_id

if TYPE_CHECKING:
    from flask import Flask
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

REQUEST_ID: Final = "seatbridge.request_id"
_SCOPE: Final = "seatbridge"
_HARMLESS: Final = frozenset(
    {
        REQUEST_ID,
        "db.name",
        "db.namespace",
        "db.operation.name",
        "db.query.text",
        "db.statement",
        "db.system",
        "db.system.name",
        "error.type",
        "exception.type",
        "http.flavor",
        "http.method",
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "http.scheme",
        "http.status_code",
        "network.protocol.version",
        "url.scheme",
    }
)
#: What is asked so often that it would hide the rest.
_UNTRACED: Final = "/healthz$,/readyz$,/metrics$,/static/"


class Tracing:
    """A process's traces.

    Args:
        exporter: Where spans go; by default to where OpenTelemetry's variables say, in the background.
    """

    def __init__(self, exporter: "SpanExporter | None" = None) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
            from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor  # noqa: PLC0415 - an extra
            from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource  # noqa: PLC0415 - an extra
            from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - an extra
            from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor  # noqa: PLC0415 - an extra
        except ImportError:
            raise NotInstalledError("Traces", "pip install 'seatbridge[otel]'") from None
        resource = Resource.create({SERVICE_NAME: _SCOPE}).merge(OTELResourceDetector().detect())
        self.provider = TracerProvider(resource=resource)
        self._statements = PsycopgInstrumentor()
        processor = (
            BatchSpanProcessor(_harmless_exporter(OTLPSpanExporter()))
            if exporter is None
            else SimpleSpanProcessor(_harmless_exporter(exporter))
        )
        self.provider.add_span_processor(processor)
        self._statements.instrument(tracer_provider=self.provider)

    def watch(self, app: "Flask") -> None:
        """Trace every request of an application, under its id."""
        from opentelemetry.instrumentation.flask import FlaskInstrumentor  # noqa: PLC0415 - an extra

        FlaskInstrumentor.instrument_app(  # type: ignore[no-untyped-call] # the library's
            app,
            response_hook=_note_request,
            tracer_provider=self.provider,
            excluded_urls=_UNTRACED,
            enable_commenter=False,
        )
        before = app.before_request_funcs[None]
        before.insert(0, before.pop())  # what is refused at the door is traced too

    @contextmanager
    def work(self, name: str) -> Iterator[None]:
        """Trace a piece of background work, under the id of the request that caused it."""
        attributes = {} if (request_id := current_request_id()) is None else {REQUEST_ID: request_id}
        with self.provider.get_tracer(_SCOPE).start_as_current_span(name, attributes=attributes):
            yield

    def close(self) -> None:
        """Send what is left."""
        self._statements.uninstrument()
        self.provider.shutdown()


def start_tracing(settings: Settings) -> Tracing | None:
    """Begin to trace this process, before it connects to its database; None unless it is turned on.

    Raises:
        NotInstalledError: It is turned on, and the extra isn't installed.
    """
    return Tracing() if settings.tracing.enabled else None


def harmless(span: "ReadableSpan") -> "ReadableSpan":
    """Return a span without whatever might name a person or open a door."""
    from opentelemetry.sdk.trace import Event, ReadableSpan  # noqa: PLC0415 - an extra
    from opentelemetry.trace.status import Status  # noqa: PLC0415 - an extra

    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_known(span.attributes),
        events=[Event(one.name, _known(one.attributes), one.timestamp) for one in span.events],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _known(attributes: Any) -> dict[str, Any]:
    return {name: value for name, value in (attributes or {}).items() if name in _HARMLESS}


def _harmless_exporter(exporter: "SpanExporter") -> "SpanExporter":
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult  # noqa: PLC0415 - an extra

    class Harmless(SpanExporter):
        def export(self, spans: Sequence["ReadableSpan"]) -> SpanExportResult:
            return exporter.export([harmless(span) for span in spans])

        def shutdown(self) -> None:
            exporter.shutdown()

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return exporter.force_flush(timeout_millis)

    return Harmless()


def _note_request(span: Any, _status: str, headers: Sequence[tuple[str, str]]) -> None:
    """Give a request's span the id that its answer names."""
    if span is not None and span.is_recording():
        span.set_attribute(REQUEST_ID, next((value for name, value in headers if name == "X-Request-Id"), ""))
