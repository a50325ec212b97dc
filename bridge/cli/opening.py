"""What commands work on: settings, the running product, one organization."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from sqlalchemy import URL

from bridge.adapters.mail import SmtpMailer
from bridge.billing import BuiltinPayments
from bridge.config import Settings, load_settings
from bridge.domain.actors import OPERATOR
from bridge.domain.identifiers import OrgId, parse_id
from bridge.errors import NotFoundError
from bridge.observability import configure_logging
from bridge.runtime import Runtime, build_runtime, database
from bridge.store import gate, journal
from bridge.store.database import check_database
from bridge.store.installation import Installation
from bridge.store.unit import Unit

_TRIED_ORGANIZATIONS = 50


def read_settings() -> Settings:
    """Read the settings of the installation, from the file that ``--config`` names if it does."""
    return load_settings(click.get_current_context().find_root().obj)


def mailer_of(settings: Settings) -> SmtpMailer | None:
    """Return the configured way out for mail; None without one."""
    url = settings.mail.smtp_url
    return None if url is None else SmtpMailer(url.get_secret_value(), settings.mail.sender)


def start_runtime(settings: Settings, url: URL) -> Runtime:
    """Put the product together over a database that is there, and refuse one that it cannot work on.

    Raises:
        ConfigurationError: As :func:`bridge.store.database.check_database`.
    """
    runtime = build_runtime(settings, url, payments=BuiltinPayments(), mailer=mailer_of(settings))
    try:
        check_database(runtime.engine)
    except BaseException:
        runtime.close()
        raise
    return runtime


def sealed_by_other_keys(runtime: Runtime) -> tuple[OrgId, str] | None:
    """Try the keys on the newest audit entries of the first organizations.

    Returns:
        Id and slug of the first organization whose entries other keys sealed; None when the keys fit, or nothing is
        written yet.
    """
    for org_id, slug, _ in runtime.ask_gate(gate.list_organizations)[:_TRIED_ORGANIZATIONS]:
        with runtime.unit(org_id, OPERATOR) as unit:
            if not journal.is_sealed_by_these_keys(unit):
                return org_id, slug
    return None


@contextmanager
def open_runtime() -> Iterator[Runtime]:
    """Open the product for one command, with the embedded database running meanwhile where none is configured."""
    settings = read_settings()
    configure_logging(level="error", as_json=False)
    with database(settings) as urls:
        runtime = start_runtime(settings, urls.service)
        try:
            yield runtime
        finally:
            runtime.close()


def find_organization(runtime: Runtime, name: str) -> OrgId:
    """Return an organization by its slug or id.

    Raises:
        NotFoundError: There is none.
    """
    identifier = parse_id(name)
    for org_id, slug, _ in runtime.ask_gate(gate.list_organizations):
        if slug == name or org_id == identifier:
            return org_id
    raise NotFoundError("organization", name)


@contextmanager
def open_installation() -> Iterator[tuple[Runtime, Installation]]:
    """Open what belongs to the installation, for the operator; committed when the block ends."""
    with open_runtime() as runtime, runtime.installation(OPERATOR) as installation:
        yield runtime, installation


@contextmanager
def open_organization(name: str) -> Iterator[tuple[Runtime, Unit]]:
    """Open a unit of work of the operator for one organization; committed when the block ends."""
    with open_runtime() as runtime, runtime.unit(find_organization(runtime, name), OPERATOR) as unit:
        yield runtime, unit
