"""Landmarks: counters beside the directory that find where a page starts, exact however its rows are written."""

import random
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from bridge.store.unit import Unit
from tests.factories import Customer
from tests.protocol.scim_client import ScimClient, make_app, make_token

PEOPLE = """
    INSERT INTO member (org_id, id, connection_id, source, position, user_name, user_name_key, external_id,
        display_name, email, email_key, active, role, role_from_mapping, teams, document, comparison, version,
        created_at, modified_at, pinned)
    SELECT :org, gen_random_uuid(), :connection, 'scim', i, 'u' || i, 'u' || i, 'x' || i, 'P ' || i,
        'u' || i || '@corp.test', 'u' || i || '@corp.test', true, 'member', false, '[]', d, d, 1, now(), now(), false
    FROM generate_series(cast(:first AS bigint), cast(:last AS bigint)) i,
        LATERAL (SELECT jsonb_build_object('userName', 'u' || i, 'active', true,
            'emails', jsonb_build_array(jsonb_build_object('value', 'u' || i || '@corp.test'))) d) made
"""
COUNTED = """
    SELECT connection_id, kind, bucket, n FROM page_landmark WHERE n <> 0 ORDER BY 1, 2, 3
"""
COUNTED_ANEW = """
    SELECT connection_id, kind, position >> 10 AS bucket, count(*) AS n FROM (
        SELECT connection_id, 'member' AS kind, position FROM member
        UNION ALL SELECT connection_id, 'group', position FROM "group"
    ) every_row GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""


def add_people(unit: Unit, customer: Customer, first: int, last: int) -> None:
    """Write people straight into the table, as nobody's use case does."""
    facts = {"org": customer.org_id, "connection": customer.connection_id, "first": first, "last": last}
    unit.session.execute(text(PEOPLE), facts)


def landmarks(unit: Unit, statement: str) -> list[Any]:
    return [tuple(row) for row in unit.session.execute(text(statement))]


@pytest.mark.every_postgres
@settings(
    max_examples=25,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 2**32))
def test_landmarks_are_the_count_of_each_bucket_whatever_is_written(customer: Customer, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 (a test's dice)
    with customer.unit() as unit:
        manual = unit.session.scalar(text("SELECT id FROM connection WHERE kind = 'manual'"))
        last = unit.session.scalar(text("SELECT max(position) FROM member")) or 0
        for _ in range(chance.randint(1, 6)):
            low = chance.randint(1, last + 1)
            facts = {
                "low": low,
                "high": low + chance.randint(0, 1500),
                "manual": manual,
                "mine": customer.connection_id,
            }
            match chance.randint(0, 4):
                case 0 | 1:
                    many = chance.choice((1, 3, 1500))
                    add_people(unit, customer, last + 1, last + many)
                    last += many
                case 2:
                    gone = "DELETE FROM member WHERE connection_id = :mine AND position BETWEEN :low AND :high"
                    unit.session.execute(text(gone), facts)
                case 3:
                    moved = (
                        "UPDATE member SET connection_id = CASE connection_id WHEN :mine THEN cast(:manual AS uuid)"
                        " ELSE cast(:mine AS uuid) END WHERE position BETWEEN :low AND :high"
                    )
                    unit.session.execute(text(moved), facts)
                case _:
                    unit.session.execute(
                        text("UPDATE member SET position = position + 1024 WHERE position = :low"), facts
                    )
                    last += 1024

        kept, anew = landmarks(unit, COUNTED), landmarks(unit, COUNTED_ANEW)

    assert kept == anew


def test_landmarks_count_what_the_owner_of_the_schema_copies_in(
    customer: Customer, owner_connection: psycopg.Connection
) -> None:
    with customer.unit() as unit:
        add_people(unit, customer, 2, 1200)
    columns = (
        "org_id, id, connection_id, source, position, display_name, display_name_key, document, comparison, version"
    )
    with (
        owner_connection.cursor() as cursor,
        cursor.copy(f'COPY "group" ({columns}, created_at, modified_at) FROM STDIN') as copy,
    ):
        for number in range(1, 1101):
            place = f"00000000-0000-4000-8000-{number:012x}"
            facts = (customer.org_id, place, customer.connection_id, "scim", number, f"G{number}", f"g{number}")
            copy.write_row((*facts, "{}", "{}", 1, "2026-03-02T09:00:00Z", "2026-03-02T09:00:00Z"))

    with customer.unit() as unit:
        kept, anew = landmarks(unit, COUNTED), landmarks(unit, COUNTED_ANEW)

    assert kept == anew
    # 1,100 groups at positions 1 to 1,100: 1,023 before position 1,024 and 77 from there on.
    assert [(row[2], row[3]) for row in kept if row[1] == "group"] == [(0, 1023), (1, 77)]


def reference(unit: Unit, customer: Customer, table: str, offset: int, count: int) -> tuple[list[str], int]:
    """Return a page and its total as OFFSET finds them."""
    rows = unit.session.execute(
        text(
            f'SELECT id::text FROM "{table}" WHERE connection_id = :mine'  # noqa: S608 (the table's name)
            " ORDER BY position OFFSET :offset LIMIT :count"
        ),
        {"mine": customer.connection_id, "offset": offset, "count": count},
    )
    total = unit.session.scalar(
        text(f'SELECT count(*) FROM "{table}" WHERE connection_id = :mine'),  # noqa: S608 (the table's name)
        {"mine": customer.connection_id},
    )
    return [row[0] for row in rows], total or 0


def test_an_index_page_is_the_one_that_offset_finds(customer: Customer) -> None:
    client = ScimClient(make_app(customer), customer.slug, make_token(customer))
    chance = random.Random(2)  # noqa: S311 (a test's dice)
    with customer.unit() as unit:
        add_people(unit, customer, 2, 5000)
        unit.session.execute(text("DELETE FROM member WHERE position % 7 = 3 OR position BETWEEN 2000 AND 3300"))
        manual = unit.session.scalar(text("SELECT id FROM connection WHERE kind = 'manual'"))
        moved = "UPDATE member SET connection_id = :manual WHERE position % 11 = 5"
        unit.session.execute(text(moved), {"manual": manual})

    for start in [1, 2, 1024, 1025, 2048, 2700, 2900, 10_000, *(chance.randint(1, 3200) for _ in range(12))]:
        count = chance.choice((1, 7, 100))
        body = client.get(f"/Users?startIndex={start}&count={count}").get_json(force=True)
        with customer.unit() as unit:
            ids, total = reference(unit, customer, "member", start - 1, count)
        assert ([person["id"] for person in body["Resources"]], body["totalResults"]) == (ids, total)
        assert body["itemsPerPage"] == len(ids)


@pytest.mark.parametrize("sort_by", ["userName", "externalId", "meta.lastModified", "meta.created", "title", None])
@pytest.mark.parametrize("order", ["ascending", "descending"])
def test_cursor_pages_give_everybody_once_in_the_order_of_index_pages(
    customer: Customer, sort_by: str | None, order: str
) -> None:
    client = ScimClient(make_app(customer), customer.slug, make_token(customer))
    with customer.unit() as unit:
        add_people(unit, customer, 2, 40)
        unit.session.execute(
            text(
                "UPDATE member SET external_id = CASE WHEN position % 3 = 0 THEN NULL ELSE external_id END,"
                " comparison = comparison || jsonb_build_object('title', CASE WHEN position % 4 > 0"
                " THEN to_jsonb('t' || position % 5) END), modified_at = now() + position % 6 * interval '1 s'"
                " WHERE connection_id = :mine"
            ),
            {"mine": customer.connection_id},
        )
    sort = f"&sortBy={sort_by}&sortOrder={order}" if sort_by else ""
    whole = client.get(f"/Users?count=100{sort}").get_json(force=True)

    pages: list[list[str]] = []
    cursor: str | None = ""
    back: str | None = None
    while cursor is not None:
        page = client.get(f"/Users?cursor={cursor}&count=7{sort}").get_json(force=True)
        pages.append([person["id"] for person in page["Resources"]])
        cursor, back = page.get("nextCursor"), page.get("previousCursor")
    walked = [pages[-1]]
    while back is not None:
        page = client.get(f"/Users?cursor={back}&count=7{sort}").get_json(force=True)
        walked.insert(0, [person["id"] for person in page["Resources"]])
        back = page.get("previousCursor")

    expected = [person["id"] for person in whole["Resources"]]
    assert len(expected) == 39  # positions 2 to 40
    assert [identifier for page in pages for identifier in page] == expected
    assert [identifier for page in walked for identifier in page] == expected


def test_a_cursor_that_nobody_gave_is_refused_in_our_words(customer: Customer) -> None:
    client = ScimClient(make_app(customer), customer.slug, make_token(customer))

    refused = client.get("/Users?cursor=garbage")

    body = refused.get_json(force=True)
    assert (refused.status_code, body["scimType"]) == (400, "invalidCursor")
    assert body["detail"] == "The cursor is none that this search gave: start again without one"
