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
        each: Values of the rows, by column, all of one length and at least one; JSON as text.
    """
    same, different = _parted(each)
    columns = [*shared, *same, *different]
    chosen = [f"%(same_{name})s::{_type(model, name)}" for name in (*shared, *same)]
    chosen += [_value(model, name) for name in different]
    names = ", ".join(f'"{name}"' for name in columns)
    session.connection().exec_driver_sql(
        f'INSERT INTO "{model.__tablename__}" ({names}) SELECT {", ".join(chosen)} FROM {_given(model, different)}',  # noqa: S608 (names of columns, no values)
        {**{f"same_{name}": value for name, value in {**shared, **same}.items()}, **different},
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
        f'UPDATE "{table}" SET {assigned} FROM {_given(model, each)}'  # noqa: S608 (names of columns, no values)
        f' WHERE "{table}".org_id = %(org_id)s AND "{table}".id = {GIVEN}.id',
        {**shared, **each},
    )


def _parted(each: Mapping[str, Sequence[Any]]) -> tuple[dict[str, Any], dict[str, Sequence[Any]]]:
    """Part the columns in which every row has the same value, and return that value once, from the others.

    One column at least stays among the others: it says how many the rows are.
    """
    same: dict[str, Any] = {}
    for name, values in each.items():
        if len(same) < len(each) - 1 and all(value == values[0] for value in values):
            same[name] = values[0]
    return same, {name: values for name, values in each.items() if name not in same}


def _given(model: type[Base], each: Mapping[str, Sequence[Any]]) -> str:
    """Return a FROM item with one row for each value of arrays that are bound by the names of columns.

    The arrays travel in the binary form: in the text form each value would be searched for what must be quoted.
    """
    arrays = ", ".join(f"%({name})b::{_sent_type(model, name)}[]" for name in each)
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
