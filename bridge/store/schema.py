"""Bringing a database to the newest schema: one process at a time, resumable, all or nothing."""

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import URL, Connection, create_engine, inspect, make_url, text
from sqlalchemy.pool import NullPool

from bridge.errors import ConfigurationError
from bridge.store.security import APP_ROLE

if TYPE_CHECKING:
    from alembic.config import Config

_VERSIONS = Path(__file__).parent / "migrations" / "versions"

#: Any number will do, as long as every instance uses the same one.
MIGRATION_LOCK = 7_326_428_113


def alembic_config(connection: Connection | None = None) -> "Config":
    """Build alembic's configuration in code: there is no ini file to keep in step."""
    from alembic.config import Config  # noqa: PLC0415 (10 MB in every process that never migrates)

    config = Config()
    config.set_main_option("script_location", str(_VERSIONS.parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


@cache
def known_revisions() -> tuple[str, ...]:
    """Name the schema revisions this code knows, oldest first: the numbers that its migrations' files begin with."""
    numbers = (re.match(r"(\d{4})_\w+\.py", path.name) for path in _VERSIONS.iterdir())
    return tuple(sorted(number.group(1) for number in numbers if number is not None))


def newest_revision() -> str:
    """Name the schema revision this code was written for."""
    return known_revisions()[-1]


def present_revision(connection: Connection) -> str | None:
    """Name the schema revision a database is at; None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return None if found is None else str(found)


def unknown_revision(present: str | None) -> str | None:
    """Say what to do about a schema this code has never heard of: a newer version made it. None for any other."""
    if present is None or present in known_revisions():
        return None
    return (
        f"database: the schema is at {present}, which this version does not know:"
        " this database was upgraded by a newer version: install that version"
    )


def ensure_login(connection: Connection, user: str, password: str | None) -> None:
    """Let a login role work as the application; create it where the cluster lacks it.

    An existing role keeps its password and attributes.
    """
    quoted = connection.dialect.identifier_preparer.quote(user)
    exists = connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :user"), {"user": user})
    if exists is None:
        literal = connection.scalar(text("SELECT quote_nullable(:password)"), {"password": password})
        connection.exec_driver_sql(f"CREATE ROLE {quoted} LOGIN NOSUPERUSER NOBYPASSRLS PASSWORD {literal}")
    connection.execute(text(f"GRANT {APP_ROLE} TO {quoted}"))


def upgrade(owner_url: str | URL, app_url: str | URL | None = None) -> str:
    """Bring the schema up to date, as the role that owns it.

    Instances that start at once take turns on an advisory lock. Each migration and its mark commit together, so an
    interrupted run is resumed by running it again.

    Args:
        owner_url: Connects as the owner of the schema; needs the right to create roles the first time.
        app_url: What the service connects with; its role is created where missing and becomes a member of the
            application role.

    Returns:
        The revision the database is at now.

    Raises:
        ConfigurationError: A newer version upgraded this database before.
    """
    from alembic import command  # noqa: PLC0415 (10 MB in every process that never migrates)

    engine = create_engine(make_url(owner_url), poolclass=NullPool)
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            unknown = unknown_revision(present_revision(connection))
            if unknown is not None:
                raise ConfigurationError([unknown])
            command.upgrade(alembic_config(connection), "head")
            app = make_url(app_url) if app_url is not None else None
            if app is not None and app.username is not None and app.username != make_url(owner_url).username:
                ensure_login(connection, app.username, app.password)
        return newest_revision()
    finally:
        engine.dispose()
