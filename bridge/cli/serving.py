"""``seatbridge serve`` and ``seatbridge worker``."""

import os
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click
import structlog

from bridge.errors import ConfigurationError

if TYPE_CHECKING:
    from bridge.config import Settings
    from bridge.runtime import DatabaseUrls

log = structlog.get_logger()

#: Requests and deliveries under way get this long after TERM.
GRACEFUL_SECONDS = 30
REQUEST_SECONDS = 60
_BACKLOG = 512


@click.command()
@click.option("--without-worker", is_flag=True, help="Only answer requests; run `seatbridge worker` elsewhere.")
def serve(*, without_worker: bool) -> None:
    """Run the service: web, worker and, where no database is configured, PostgreSQL.

    Prints one line when it is ready. TERM or Ctrl-C finish what is under way, then everything stops; a second one stops
    at once. A part that crashes is started again.
    """
    from bridge.cli.opening import read_settings, sealed_by_other_keys, start_runtime
    from bridge.cli.processes import Child, Processes
    from bridge.observability import configure_logging

    settings = read_settings()
    configure_logging(level=settings.log.level, as_json=settings.log.format == "json")
    with _listening(settings) as listener, _database(settings) as urls, _counting(settings) as counting:
        runtime = start_runtime(settings, urls.service)
        stranger = sealed_by_other_keys(runtime)
        runtime.close()
        if stranger is not None:
            log.error("keys.do_not_belong_to_the_data", org_id=str(stranger[0]), repair="see `seatbridge doctor`")
        web = Child("web", _gunicorn(settings, listener), keeps=(listener.fileno(),))
        worker_ = Child("worker", [sys.executable, "-m", "bridge.cli", "worker"])
        processes = Processes(
            children=[web] if without_worker else [web, worker_],
            environment={**_environment(settings, urls), **counting},
            is_ready=lambda: _answers(listener),
            announce=lambda: click.echo(f"Seatbridge is ready: {_where(settings, listener)}"),
        )
        status = processes.run()
    click.get_current_context().exit(status)


@click.command()
def worker() -> None:
    """Run a worker: deliveries, renewals, expiries, the nightly count.

    Any number may run; one that dies leaves nothing undone. TERM finishes what is under way.
    """
    from bridge.adapters.tracing import start_tracing
    from bridge.cli.opening import read_settings, start_runtime
    from bridge.jobs.worker import Worker
    from bridge.observability import configure_logging
    from bridge.runtime import database

    settings = read_settings()
    configure_logging(level=settings.log.level, as_json=settings.log.format == "json")
    with ExitStack() as kept:
        tracing = start_tracing(settings)
        if tracing is not None:
            kept.callback(tracing.close)
        urls = kept.enter_context(database(settings))
        runtime = start_runtime(settings, urls.service)
        kept.callback(runtime.close)
        if tracing is not None:
            runtime.traced = tracing.work
        Worker(runtime, urls.service).run()


@contextmanager
def _database(settings: "Settings") -> Iterator["DatabaseUrls"]:
    """Give the database; an embedded one is ours alone, watched, and started again should it crash."""
    from bridge.runtime import EMBEDDED_DATABASE, configured_urls, embedded_urls
    from bridge.store.embedded import EmbeddedPostgres
    from bridge.store.schema import upgrade

    urls = configured_urls(settings)
    if urls is not None:
        yield urls
        return
    server = EmbeddedPostgres(settings.database.embedded_path)
    with server.service_lock(), server:
        server.supervise()
        server.ensure_database(EMBEDDED_DATABASE)
        urls = embedded_urls(server)
        upgrade(urls.owner, urls.service)
        yield urls


@contextmanager
def _counting(settings: "Settings") -> Iterator[dict[str, str]]:
    """Give the web's processes a folder that they count requests in together, where somebody reads the numbers."""
    from bridge.observability import METRICS_FOLDER

    if settings.metrics.token is None:
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="seatbridge-metrics-", ignore_cleanup_errors=True) as folder:
        yield {METRICS_FOLDER: folder}


@contextmanager
def _listening(settings: "Settings") -> Iterator[socket.socket]:
    """Listen for the web's processes: requests wait in line while they are started again, and none is refused.

    Raises:
        ConfigurationError: The address is taken or not ours.
    """
    host, port = settings.server.host, settings.server.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            problem = (
                f"server.port: {host}:{port} cannot be listened on ({error.strerror}): end what uses it, or set "
                "SEATBRIDGE__SERVER__PORT to a free port"
            )
            raise ConfigurationError([problem]) from None
        listener.listen(_BACKLOG)
        yield listener
    finally:
        listener.close()


def _gunicorn(settings: "Settings", listener: socket.socket) -> list[str]:
    options: Mapping[str, object] = {
        "bind": f"fd://{listener.fileno()}",
        "workers": settings.server.workers,
        "worker-class": "gthread",
        "threads": settings.server.threads,
        "timeout": REQUEST_SECONDS,
        "graceful-timeout": GRACEFUL_SECONDS,
        "keep-alive": 5,
        "limit-request-line": 8190,  # filters travel in addresses
        "log-level": "warning",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "gunicorn", "--no-control-socket", *flags, "wsgi:create_app()"]


def _environment(settings: "Settings", urls: "DatabaseUrls") -> dict[str, str]:
    """Return what the children run in: the same settings, and the database that is running here.

    They connect as the service's role and never learn the owner's.
    """
    import bridge
    from bridge.config.keys import KEYS_FILE_NAME

    root = str(Path(bridge.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))}
    # Eight threads would otherwise keep up to sixteen heaps, each with what its largest request once needed.
    environment.setdefault("MALLOC_ARENA_MAX", "2")
    config = click.get_current_context().find_root().obj
    if config is not None:
        environment["SEATBRIDGE_CONFIG"] = str(Path(config).resolve())
    if settings.database.url is None:
        environment["SEATBRIDGE__DATABASE__URL"] = urls.service.render_as_string(hide_password=False)
        if not settings.secrets.keys and settings.secrets.keys_file is None:
            environment["SEATBRIDGE__SECRETS__KEYS_FILE"] = str(settings.database.embedded_path / KEYS_FILE_NAME)
    return environment


def _where(settings: "Settings", listener: socket.socket) -> str:
    """Return the public address, and what is listened on where the two obviously differ."""
    host, port = listener.getsockname()[:2]
    parts = urlsplit(settings.server.public_url)
    if parts.scheme == "https" or parts.port == port:
        return settings.server.public_url
    return f"{settings.server.public_url} (server.public_url; listening on {host}:{port})"


def _answers(listener: socket.socket) -> bool:
    """Tell whether the web answers a request that needs the database."""
    host, port = listener.getsockname()[:2]
    loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (read, not listened on)
    try:
        with socket.create_connection((loopback, port), timeout=5) as connection:
            connection.sendall(b"GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n")
            return connection.recv(64).partition(b"\r\n")[0].endswith(b" 200 OK")
    except OSError:
        return False
