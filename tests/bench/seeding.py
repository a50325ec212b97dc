"""Databases filled with people in seconds: one of each kind comes in by SCIM, SQL makes the others after it.

Whatever the service stores of a person is copied from the one that it stored itself, with another number in every text:
this module needs to know no more than the columns that tell rows apart. Positions, counters and pools are put right
afterwards; what the database keeps by triggers it keeps here as well.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psycopg

from tests.bench.people import DESIGN, ENGINEERING, MOVERS, OUTSIDERS, SUPPORT, group, id_of, measured_group, person
from tests.bench.services import OURS, Service

#: The numbers of the people whom the others are copied from, by department: no copy has one of them.
MODELS = {ENGINEERING: 9_999_997, DESIGN: 9_999_998, SUPPORT: 9_999_999}
_TEXTS = frozenset({"text", "json", "jsonb", "text[]"})
_PERSON_ID = "md5('person ' || c.i)::uuid"
_DECISION_ID = "md5('decision ' || c.i)::uuid"

_NUMBER_PEOPLE = """
CREATE TEMPORARY TABLE coming AS
SELECT c.i, m.id AS model, m.number
FROM generate_series(0, %(last)s) c(i)
JOIN model m ON m.department = CASE
    WHEN c.i >= %(people)s THEN %(support)s WHEN c.i %% 4 = 3 THEN %(design)s ELSE %(engineering)s END
ORDER BY c.i
"""
_COUNT_OURS = """
UPDATE seat_pool p SET used = (SELECT count(*) FROM member m WHERE m.org_id = p.org_id AND m.tier = p.tier);
UPDATE organization_state s SET
    member_position = (SELECT max(position) FROM member m WHERE m.org_id = s.org_id), seat_version = seat_version + 1
"""
_COUNT_CEILING = "SELECT setval(pg_get_serial_sequence('person', 'position'), max(position)) FROM person"


@dataclass(frozen=True, slots=True)
class _Tables:
    """What the tables of people and memberships are called, and the columns that tell their rows apart."""

    person: str
    person_keys: Mapping[str, str]
    membership: str
    member_id: str


_OURS = _Tables(
    person="member",
    person_keys={"decision_id": f"CASE WHEN t.decision_id IS NOT NULL THEN {_DECISION_ID} END"},
    membership="group_member",
    member_id="member_id",
)
_CEILING = _Tables(person="person", person_keys={}, membership="membership", member_id="person_id")


def fill(service: Service, dsn: str, sizes: Iterable[int], movers: int) -> None:
    """Fill a service's empty database.

    Args:
        service: Runs on it; ``service.people`` says how many there shall be, and outsiders come besides.
        dsn: Connects as a superuser, past the policies.
        sizes: A measured group is made for each, with so many of the people.
        movers: How many of the people with a Standard seat the group of the movers has.
    """
    tables = _OURS if service.kind == OURS else _CEILING
    models = {
        department: str(service.ask("POST", "/Users", person(number, department), expected=201)["id"])
        for department, number in MODELS.items()
    }
    with psycopg.connect(dsn) as connection:
        _number_people(connection, models, service.people)
        if service.kind == OURS:
            newest = "t.id = (SELECT decision_id FROM member m WHERE m.id = c.model)"
            _copy(connection, "decision", {"id": _DECISION_ID, "member_id": _PERSON_ID}, newest)
        position = f"(SELECT max(position) FROM {tables.person}) + 1 + c.i"  # noqa: S608 (our own names)
        keys = {**tables.person_keys, "id": _PERSON_ID, "position": position}
        _copy(connection, tables.person, keys, "t.id = c.model")
        connection.execute(_COUNT_OURS if service.kind == OURS else _COUNT_CEILING)
    with psycopg.connect(dsn, autocommit=True) as connection:
        for place, size in enumerate(sizes):
            service.groups[size] = _fill_group(service, connection, tables, measured_group(place), who="i", size=size)
        # Who is in Engineering: 0, 1, 2, 4, 5, 6, 8 ...
        _fill_group(service, connection, tables, MOVERS, who="i + i / 3", size=movers)
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")


def _number_people(connection: psycopg.Connection, models: Mapping[str, str], people: int) -> None:
    """List who comes: number, model, and the number that the model carries in its texts."""
    connection.execute("CREATE TEMPORARY TABLE model (department text, id uuid, number text)")
    connection.cursor().executemany(
        "INSERT INTO model VALUES (%s, %s, %s)",
        [(department, models[department], f"{number:07}") for department, number in MODELS.items()],
    )
    facts = {"support": SUPPORT, "design": DESIGN, "engineering": ENGINEERING}
    with psycopg.ClientCursor(connection) as cursor:  # CREATE TABLE AS takes no parameters of the server's
        cursor.execute(_NUMBER_PEOPLE, {**facts, "people": people, "last": people + OUTSIDERS - 1})


def _copy(connection: psycopg.Connection, table: str, keys: Mapping[str, str], chosen: str) -> None:
    """Copy rows: every column as the model has it, but for keys, and for the model's number and id in texts."""
    columns = connection.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''",
        [f'"{table}"'],
    ).fetchall()
    values = [
        keys.get(name) or (_renumbered(name, kind) if kind in _TEXTS else f't."{name}"') for name, kind in columns
    ]
    names = ", ".join(f'"{name}"' for name, _ in columns)
    connection.execute(
        f'INSERT INTO "{table}" ({names}) OVERRIDING SYSTEM VALUE'  # noqa: S608 (our own names)
        f' SELECT {", ".join(values)} FROM coming c JOIN "{table}" t ON {chosen} ORDER BY c.i'
    )


def _renumbered(name: str, kind: str) -> str:
    numbered = f"replace(t.\"{name}\"::text, c.number, lpad(c.i::text, 7, '0'))"
    return f"replace({numbered}, c.model::text, {_PERSON_ID}::text)::{kind}"


def _fill_group(
    service: Service, connection: psycopg.Connection, tables: _Tables, name: str, *, who: str, size: int
) -> str:
    """Make a group with its first member by SCIM, and give it the others: ``who`` says whom ``i`` counts."""
    group_id = str(service.ask("POST", "/Groups", group(name, id_of(0)), expected=201)["id"])
    rows = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
        [tables.membership],
    )
    columns = [str(column) for (column,) in rows]
    values = [f"md5('person ' || ({who}))::uuid" if name == tables.member_id else f"t.{name}" for name in columns]
    connection.execute(
        f"INSERT INTO {tables.membership} ({', '.join(columns)})"  # noqa: S608 (our own names)
        f" SELECT {', '.join(values)} FROM {tables.membership} t, generate_series(1, {size} - 1) i"
        " WHERE t.group_id = %s",
        [group_id],
    )
    return group_id
