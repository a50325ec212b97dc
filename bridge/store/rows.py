"""Writing many rows by one statement: each column travels as one array, however many the rows are.

COPY would do, but PostgreSQL refuses it where row-level security holds.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.orm import Session

from bridge.store.base import Base

#: What an array of a column's values is called in the statements here.
GIVEN = "given"

_POSTGRESQL: Dialect = PGDialect()  # type: ignore[no-untyped-call] # the library annotates none of its dialects


def insert_rows(
    session: Session, model: type[Base], *, shared: Mapping[str, Any], each: Mapping[str, Sequence[Any]]
) -> None:
    """Insert rows into a model's table, past the identity map; what the session holds back is not flushed.

    Args:
        session: Whose transaction it is.
        model: Whose table.
        shared: Values that every row has, by column; no JSON.
        each: Values of the rows, by column, all of one length; JSON as text.
    """
    columns = ", ".join(f'"{name}"' for name in (*shared, *each))
    chosen = [f"%(shared_{name})s::{_type(model, name)}" for name in shared] + [_value(model, name) for name in each]
    session.connection().exec_driver_sql(
        f'INSERT INTO "{model.__tablename__}" ({columns}) SELECT {", ".join(chosen)} FROM {given_rows(model, each)}',  # noqa: S608 (names of columns, no values)
        {**{f"shared_{name}": value for name, value in shared.items()}, **each},
    )


def update_rows(
    session: Session,
    model: type[Base],
    changes: Mapping[str, str],
    *,
    shared: Mapping[str, Any],
    each: Mapping[str, Sequence[Any]],
) -> None:
    """Update the rows of an organization that ``each`` names by ``id``, past the identity map.

    Args:
        session: Whose transaction it is.
        model: Whose table; its key is ``(org_id, id)``.
        changes: What each column becomes, as SQL over the row, ``given`` (the values of ``each``) and parameters.
        shared: Parameters, ``org_id`` among them.
        each: Values by name, all of one length: ``id`` and columns of the model; JSON as text.
    """
    table = model.__tablename__
    assigned = ", ".join(f'"{name}" = {change}' for name, change in changes.items())
    session.connection().exec_driver_sql(
        f'UPDATE "{table}" SET {assigned} FROM {given_rows(model, each)}'  # noqa: S608 (names of columns, no values)
        f' WHERE "{table}".org_id = %(org_id)s AND "{table}".id = {GIVEN}.id',
        {**shared, **each},
    )


def given_rows(model: type[Base], each: Mapping[str, Sequence[Any]]) -> str:
    """Return a FROM item with one row for each value of arrays that are bound by the names of columns."""
    arrays = ", ".join(f"%({name})s::{_sent_type(model, name)}[]" for name in each)
    names = ", ".join(f'"{name}"' for name in each)
    return f"unnest({arrays}) AS {GIVEN} ({names})"


def _value(model: type[Base], name: str) -> str:
    return f'{GIVEN}."{name}"' + ("::jsonb" if _type(model, name) == "JSONB" else "")


def _sent_type(model: type[Base], name: str) -> str:
    """Return the type of an array's values; JSON travels as text, which the database reads once."""
    kind = _type(model, name)
    return "TEXT" if kind == "JSONB" else kind


@cache
def _type(model: type[Base], name: str) -> str:
    return model.__table__.c[name].type.compile(dialect=_POSTGRESQL)
