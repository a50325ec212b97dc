"""``seatbridge doctor``: everything that would not work, each with its repair."""

import os
import shutil
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from bridge.cli.lazy import REFUSED
from bridge.cli.showing import harmless_line, json_option, print_json

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from bridge.config import Settings
    from bridge.runtime import DatabaseUrls

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
#: Where a container's platform puts secrets, readable to all: there is nobody else in the container.
_PLATFORM_SECRETS = Path("/run/secrets")
_CLOCK_SECONDS = 5.0
_ENOUGH_BYTES = 1_000_000_000


class Health(StrEnum):
    """What a check came to: a warning is allowed, but worth knowing."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, what was found, and how to repair it (empty when nothing is wrong)."""

    check: str
    health: Health
    found: str
    repair: str = ""


@click.command()
@json_option
@click.pass_context
def doctor(context: click.Context, *, as_json: bool) -> None:
    """Look for everything that would not work: settings, keys, database, clock, mail, address. Ends with 1 if any."""
    from bridge.observability import configure_logging

    configure_logging(level="error", as_json=False)
    findings = []
    for finding in examine(context.find_root().obj):
        findings.append(finding)
        if not as_json:
            print_finding(finding)
    if as_json:
        print_json(findings)
    context.exit(REFUSED if any(finding.health is Health.FAILED for finding in findings) else 0)


def print_finding(finding: Finding) -> None:
    """Print what was found, with its repair on a line of its own."""
    click.echo(f"{_sign(finding.health)} {finding.check:<14} {harmless_line(finding.found)}")
    if finding.repair:
        click.echo(f"  {'':<14} → {harmless_line(finding.repair)}")


def examine(config: Path | None) -> Iterator[Finding]:
    """Look at everything, one finding after the other; what depends on something broken is left out."""
    from bridge.config import load_settings
    from bridge.errors import ConfigurationError

    try:
        settings = load_settings(config)
    except ConfigurationError as error:
        for problem in error.problems:
            yield Finding("configuration", Health.FAILED, problem, "correct it; `config.example.yaml` shows every name")
        return
    yield Finding("configuration", Health.OK, "every setting is understood")
    yield from _keys(settings)
    yield from _embedded_folder(settings)
    yield from _database(settings)
    yield _time_zones()
    yield _mail(settings)
    yield _documents()
    yield _address(settings)
    yield _port(settings)


def _keys(settings: "Settings") -> Iterator[Finding]:
    from bridge.config import resolve_keys
    from bridge.config.keys import KEYS_FILE_NAME
    from bridge.errors import ConfigurationError

    file = settings.secrets.keys_file
    if file is None and not settings.secrets.keys and settings.database.url is None:
        file = settings.database.embedded_path / KEYS_FILE_NAME
        if not file.exists():
            yield Finding("secrets", Health.OK, f"a key will be made in {file} at the first start")
            return
    try:
        count = len(resolve_keys(settings))
    except ConfigurationError as error:
        yield Finding("secrets", Health.FAILED, str(error), "see `seatbridge secrets generate`")
        return
    if file is not None and stat.S_IMODE(file.stat().st_mode) & 0o077 and not file.is_relative_to(_PLATFORM_SECRETS):
        repair = f"chmod 600 {file}"
        yield Finding("secrets", Health.FAILED, f"{file} can be read by other users of this machine", repair)
    else:
        yield Finding("secrets", Health.OK, "1 key" if count == 1 else f"{count} keys")


def _embedded_folder(settings: "Settings") -> Iterator[Finding]:
    from bridge.errors import ConfigurationError
    from bridge.store.embedded_files import programs, refuse_a_file

    if settings.database.url is not None:
        return
    path = settings.database.embedded_path
    try:
        programs()
    except ConfigurationError as error:
        yield Finding("embedded", Health.FAILED, str(error), "set SEATBRIDGE__DATABASE__URL")
        return
    try:
        refuse_a_file(path)
    except ConfigurationError as error:
        yield _of_problem("embedded", error.problems[0])
        return
    present = next(folder for folder in (path, *path.parents) if folder.exists())
    free = shutil.disk_usage(present).free
    if not os.access(present, os.W_OK):
        repair = "make it writable for this user, or set SEATBRIDGE__DATABASE__EMBEDDED_PATH to a folder that is"
        yield Finding("embedded", Health.FAILED, f"{present} cannot be written to", repair)
    elif free < _ENOUGH_BYTES:
        found = f"{free // 1_000_000} MB are free for {path}"
        yield Finding("embedded", Health.FAILED, found, "free at least 1 GB there, or set another folder")
    else:
        yield Finding("embedded", Health.OK, f"{path}, {free / 1e9:.1f} GB free")


def _database(settings: "Settings") -> Iterator[Finding]:
    from sqlalchemy.exc import SQLAlchemyError

    from bridge.errors import ConfigurationError
    from bridge.runtime import database

    if settings.database.url is None and not (settings.database.embedded_path / "data").exists():
        yield Finding("database", Health.OK, "will be made at the first start")
        return
    try:
        with database(settings) as urls:
            yield from _examine_database(settings, urls)
    except ConfigurationError as error:
        for problem in error.problems:
            yield _of_problem("database", problem)
    except SQLAlchemyError as error:
        found = next(iter(str(getattr(error, "orig", None) or error).splitlines()), type(error).__name__)
        repair = "start PostgreSQL, and correct SEATBRIDGE__DATABASE__URL (host, port, user, password, database)"
        yield Finding("database", Health.FAILED, found.strip(), repair)


def _examine_database(settings: "Settings", urls: "DatabaseUrls") -> Iterator[Finding]:
    from sqlalchemy import text

    from bridge.errors import ConfigurationError
    from bridge.store.database import build_engine, check_database

    engine = build_engine(
        urls.service,
        pool_size=1,
        pool_overflow=0,
        statement_timeout_seconds=settings.database.statement_timeout_seconds,
        lock_timeout_seconds=settings.database.lock_timeout_seconds,
    )
    try:
        with engine.connect() as connection:
            version = connection.scalar(text("SHOW server_version"))
            role = connection.scalar(text("SELECT current_user"))
        yield Finding("database", Health.OK, f"PostgreSQL {version} answers, as {role}")
        try:
            check_database(engine)
        except ConfigurationError as error:
            for problem in error.problems:
                yield _of_problem("database", problem)
            return
        yield Finding("schema", Health.OK, "is this version's; the role cannot bypass row-level security")
        with engine.connect() as connection:
            yield _clock(connection)
            yield _worker(connection)
            yield from _room(connection, settings)
        yield from _keys_of_the_data(settings, urls)
    finally:
        engine.dispose()


def _keys_of_the_data(settings: "Settings", urls: "DatabaseUrls") -> Iterator[Finding]:
    """Try the keys on the newest audit entries: with others, credentials cannot be read and the chain breaks."""
    from bridge.cli.opening import sealed_by_other_keys, start_runtime
    from bridge.config.keys import KEYS_FILE_NAME
    from bridge.errors import ConfigurationError

    repair = "put back the keys it was written with (secrets.keys_file); older keys may stand below a new one"
    own_file = settings.database.embedded_path / KEYS_FILE_NAME
    is_made_later = settings.secrets.keys_file is None and not settings.secrets.keys and settings.database.url is None
    if is_made_later and not own_file.exists():
        yield Finding("data's keys", Health.WARNING, f"the database is there and {own_file} is not", repair)
        return
    try:
        runtime = start_runtime(settings, urls.service)
    except ConfigurationError:
        return  # the keys cannot be read, as was said above
    try:
        stranger = sealed_by_other_keys(runtime)
    finally:
        runtime.close()
    if stranger is not None:
        found = f"the keys do not belong to this data: what was written for {stranger[1]} was sealed by others"
        yield Finding("data's keys", Health.FAILED, found, repair)
    else:
        yield Finding("data's keys", Health.OK, "the keys fit what is written")


def _of_problem(check: str, problem: str) -> Finding:
    """Part a problem of the configuration, which reads ``setting: what is wrong: what to do``."""
    found, _, repair = problem.removeprefix(f"{check}: ").rpartition(": ")
    return Finding(check, Health.FAILED, found, repair) if found else Finding(check, Health.FAILED, repair)


def _clock(connection: "Connection") -> Finding:
    """Compare this machine's clock with the database's: assertions and periods depend on it."""
    from sqlalchemy import text

    there = connection.scalar(text("SELECT clock_timestamp()"))
    off = abs((datetime.now(UTC) - there).total_seconds()) if isinstance(there, datetime) else 0.0
    if off > _CLOCK_SECONDS:
        found = f"this machine and the database differ by {off:.0f} seconds"
        return Finding("clock", Health.FAILED, found, "synchronise both by NTP (timedatectl set-ntp true)")
    return Finding("clock", Health.OK, f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, as the database's")


def _worker(connection: "Connection") -> Finding:
    from bridge.store.queue import live_workers

    alive = live_workers(connection)
    if alive:
        return Finding("worker", Health.OK, f"{alive} at work")
    repair = "run `seatbridge serve`, or `seatbridge worker` beside it: mails and renewals wait meanwhile"
    return Finding("worker", Health.WARNING, "none is at work", repair)


def _room(connection: "Connection", settings: "Settings") -> Iterator[Finding]:
    """Compare the connections that this service may open with those that the server allows."""
    from sqlalchemy import text

    allowed = int(connection.scalar(text("SHOW max_connections")) or 0)
    database = settings.database
    needed = settings.server.workers * (database.pool_size + database.pool_overflow)
    if needed > allowed * 0.9:
        found = f"{settings.server.workers} processes may open {needed} connections, the server allows {allowed}"
        yield Finding("connections", Health.WARNING, found, "raise max_connections, or lower database.pool_size")


def _time_zones() -> Finding:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo("Europe/Oslo")
    except (KeyError, OSError):
        return Finding("time zones", Health.FAILED, "the IANA data is missing", "install the package tzdata")
    return Finding("time zones", Health.OK, "the IANA data is there")


def _mail(settings: "Settings") -> Finding:
    from bridge.cli.opening import mailer_of

    mailer = mailer_of(settings)
    if mailer is None:
        repair = "set SEATBRIDGE__MAIL__SMTP_URL=smtp://user@host:587"
        return Finding("mail", Health.WARNING, "no server is set: nobody is told of invoices and alerts", repair)
    try:
        mailer.check()
    except OSError as error:
        found = " ".join(str(error).split()) or type(error).__name__
        return Finding("mail", Health.FAILED, found, "correct SEATBRIDGE__MAIL__SMTP_URL, or start the mail server")
    return Finding("mail", Health.OK, f"the server takes mail from {settings.mail.sender}")


def _documents() -> Finding:
    """Try whether invoices can be made as PDF, which is an optional part."""
    from bridge.billing.pdf import check_pdf
    from bridge.errors import NotInstalledError

    try:
        check_pdf()
    except NotInstalledError as error:
        found = "invoices cannot be made as PDF: those agreed to be mailed wait; pages and e-invoices work"
        return Finding("documents", Health.WARNING, found, error.how)
    return Finding("documents", Health.OK, "invoices can be made as PDF")


def _address(settings: "Settings") -> Finding:
    url = settings.server.public_url
    if urlsplit(url).scheme == "https":
        return Finding("public_url", Health.OK, url)
    repair = "set SEATBRIDGE__SERVER__PUBLIC_URL=https://... and end TLS in a proxy before it"
    if (urlsplit(url).port or 80) != settings.server.port:
        found = f"{url}, while port {settings.server.port} is listened on"
        return Finding("public_url", Health.FAILED, found, f"end it with :{settings.server.port}")
    if settings.server.host not in _LOOPBACK:
        return Finding("public_url", Health.FAILED, f"{url}, while {settings.server.host} is listened on", repair)
    return Finding("public_url", Health.WARNING, f"{url}: good for trying out on this machine", repair)


def _port(settings: "Settings") -> Finding:
    host, port = settings.server.host, settings.server.port
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            found = f"{host}:{port}: {error.strerror}"
            repair = "nothing, if it is Seatbridge; otherwise set SEATBRIDGE__SERVER__PORT to a free port"
            return Finding("port", Health.WARNING, found, repair)
    return Finding("port", Health.OK, f"{host}:{port} is free")


def _sign(health: Health) -> str:
    return {Health.OK: "✓", Health.WARNING: "!", Health.FAILED: "✗"}[health]
