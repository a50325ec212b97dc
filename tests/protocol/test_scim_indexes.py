"""What identity providers ask for is found by an index, under row-level security, among 20,000 people."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import event, text

from scim.edge import scim_blueprint
from tests.factories import Customer
from tests.protocol.scim_client import ScimClient, make_app, make_token
from tests.protocol.test_scim_paging import add_people

PEOPLE = 20_000
ADDRESSED = """
    UPDATE member SET
        document = jsonb_set(document, '{emails,1}', jsonb_build_object('value', 'Home' || position || '@home.test')),
        comparison = jsonb_set(
            comparison, '{emails,1}', jsonb_build_object('value', 'home' || position || '@home.test')
        ),
        modified_at = now() - position * interval '1 s', created_at = now() - position * interval '1 s'
"""


def _general_way(customer: Customer) -> Flask:
    """Serve SCIM without its short ways, which answer the plainest of these before a page is looked for."""
    app = Flask(__name__)
    app.register_blueprint(scim_blueprint(customer.runtime, with_lanes=False))
    return app


class World:
    """A directory, a client of it, and the plans of what it asks."""

    def __init__(self, customer: Customer, owner: psycopg.Connection) -> None:
        self.customer = customer
        self.client = ScimClient(_general_way(customer), customer.slug, make_token(customer))
        with customer.unit() as unit:
            add_people(unit, customer, 2, PEOPLE + 1)
            unit.session.execute(text(ADDRESSED))
        self.group = self.client.create_group("Group", self.person(77))
        owner.execute("ANALYZE")

    def person(self, position: int) -> str:
        """Return the id of a person by order of arrival."""
        with self.customer.unit() as unit:
            return str(unit.session.scalar(text("SELECT id FROM member WHERE position = :p"), {"p": position}))

    def plan(self, path: str) -> tuple[dict[str, Any], str]:
        """Return an answer and the plan of the statement that found its page, as the service's role."""
        with self.explained() as plans:
            body = self.client.get(path).get_json(force=True)
        return body, plans[-1]

    @contextmanager
    def explained(self) -> Iterator[list[str]]:
        """Explain each statement that reads pages, before it runs."""
        plans: list[str] = []

        def explain(_: Any, cursor: Any, statement: str, parameters: Any, *__: Any) -> None:
            if " AS position" in statement:
                cursor.execute(f"EXPLAIN {statement}", parameters)
                plans.append("\n".join(row[0] for row in cursor.fetchall()))

        event.listen(self.customer.runtime.engine, "before_cursor_execute", explain)
        try:
            yield plans
        finally:
            event.remove(self.customer.runtime.engine, "before_cursor_execute", explain)


@pytest.mark.every_postgres
def test_what_identity_providers_ask_is_found_by_an_index(
    customer: Customer, owner_connection: psycopg.Connection
) -> None:
    world = World(customer, owner_connection)
    with customer.unit() as unit:
        recent = unit.session.scalar(
            text("SELECT to_char(max(modified_at) - interval '5.5 s', 'YYYY-MM-DD\"T\"HH24:MI:SS.USZ') FROM member")
        )
    one = world.person(500)
    asked = {
        '/Users?filter=userName eq "U500"': 1,
        '/Users?filter=externalId eq "x500"': 1,
        f'/Users?filter=id eq "{one}"': 1,
        '/Users?filter=emails.value eq "U500@corp.test"': 1,
        '/Users?filter=emails.value eq "HOME500@home.test"': 1,
        '/Users?filter=emails[value eq "home500@home.test"]': 1,
        '/Users?filter=emails[type eq "work" and value eq "home500@home.test"]': 0,
        '/Users?filter=userName eq "u500" or emails.value eq "home501@home.test"': 2,
        '/Users?filter=userName sw "u1999"': 11,  # u1999 and u19990 to u19999
        f'/Users?filter=meta.lastModified gt "{recent}"': 5,
        f'/Users?filter=groups.value eq "{world.group}"': 1,
        f'/Groups?filter=members.value eq "{world.person(77)}"': 1,
        '/Groups?filter=displayName eq "GROUP"': 1,
    }
    for path, expected in asked.items():
        body, plan = world.plan(path)

        assert len(body["Resources"]) == expected, path
        assert "Seq Scan on member" not in plan, f"{path}\n{plan}"
    for sort_by in ("userName", "externalId", "meta.lastModified", "meta.created", None):
        for order in ("ascending", "descending"):
            sort = f"&sortBy={sort_by}&sortOrder={order}" if sort_by else ""
            first, _ = world.plan(f"/Users?cursor=&count=10{sort}")
            body, plan = world.plan(f"/Users?cursor={first['nextCursor']}&count=10{sort}")

            assert len(body["Resources"]) == 10
            assert "Seq Scan on member" not in plan, f"{sort}\n{plan}"
            assert not re.search(r"(?<!Incremental )Sort  ", plan), f"{sort}\n{plan}"
    body, plan = world.plan("/Users?startIndex=19000&count=10")
    assert (len(body["Resources"]), body["totalResults"]) == (10, PEOPLE)
    assert "Seq Scan on member" not in plan


def test_addresses_beyond_the_first_are_kept_in_step(customer: Customer) -> None:
    client = ScimClient(make_app(customer), customer.slug, make_token(customer))
    home, work = {"value": "Home@corp.test", "type": "home"}, {"value": "w@corp.test", "type": "work", "primary": True}
    ann = client.create_user("ann@corp.test", emails=[home, work])
    client.create_user("bob@corp.test", emails=[{"value": "bob@corp.test"}])
    seen = []
    for operation in (
        None,
        {"op": "replace", "path": 'emails[type eq "home"].value', "value": "new@corp.test"},
        {"op": "remove", "path": 'emails[type eq "home"]'},
    ):
        if operation is not None:
            assert client.patch(f"/Users/{ann}", operation).status_code == 200
        with customer.unit() as unit:
            seen.append(list(unit.session.scalars(text("SELECT value_key FROM member_email"))))

    assert seen == [["home@corp.test"], ["new@corp.test"], []]
