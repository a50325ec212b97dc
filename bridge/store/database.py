"""The engine: how connections to PostgreSQL are made and what they are limited to."""

from sqlalchemy import URL, Engine, create_engine, make_url, text

from bridge.errors import ConfigurationError
from bridge.store.schema import newest_revision, present_revision, unknown_revision

#: PostgreSQL 15, in the form of server_version_num.
OLDEST_VERSION = 150_000


def driver_url(url: str | URL) -> URL:
    """Name our driver in a URL that says just ``postgresql://``."""
    return make_url(url).set(drivername="postgresql+psycopg")


def build_engine(
    url: str | URL,
    *,
    pool_size: int,
    pool_overflow: int,
    statement_timeout_seconds: float,
    lock_timeout_seconds: float,
) -> Engine:
    """Build the engine of the service; connections are checked before use and bounded in time."""
    return create_engine(
        driver_url(url),
        pool_size=pool_size,
        max_overflow=pool_overflow,
        pool_pre_ping=True,
        pool_timeout=10,
        connect_args={
            "options": session_options(statement_timeout_seconds, lock_timeout_seconds),
            "connect_timeout": 5,
            "application_name": "seatbridge",
        },
    )


def session_options(statement_timeout_seconds: float, lock_timeout_seconds: float) -> str:
    """Return what every session of the service is limited to, as the server's command line options."""
    return (
        f"-c statement_timeout={int(statement_timeout_seconds * 1000)}"
        f" -c lock_timeout={int(lock_timeout_seconds * 1000)}"
        " -c idle_in_transaction_session_timeout=60000 -c timezone=UTC"
    )


def check_database(engine: Engine) -> None:
    """Refuse a database this code cannot work on, and a role that row-level security would not hold.

    Raises:
        ConfigurationError: The schema is missing or another version's, the server is too old, or the role could
            bypass the policies; each with the fix.
    """
    problems: list[str] = []
    with engine.connect() as connection:
        if int(connection.scalar(text("SHOW server_version_num")) or 0) < OLDEST_VERSION:
            problems.append("database: PostgreSQL 15 or newer is needed")
        role = connection.execute(
            text(
                "SELECT rolname, rolsuper OR rolbypassrls AS bypasses,"
                " EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = 'public' AND tablename = 'member'"
                " AND pg_has_role(tableowner, 'MEMBER')) AS owns FROM pg_roles WHERE rolname = current_user"
            )
        ).one()
        if role.bypasses or role.owns:
            problems.append(
                f"database.url: the role {role.rolname!r} could bypass row-level security: give the service an ordinary"
                " role in database.url, the schema's owner in database.owner_url, and run `seatbridge db upgrade`"
            )
        present, newest = present_revision(connection), newest_revision()
        unknown = unknown_revision(present)
        if unknown is not None:
            problems.append(unknown)
        elif present != newest:
            problems.append(
                f"database: the schema is at {present or 'nothing'} and this version needs {newest}:"
                " run `seatbridge db upgrade`"
            )
    if problems:
        raise ConfigurationError(problems)
