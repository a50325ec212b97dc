"""Extension schemas of an organization: declared, changed without harm to what is stored, removed, audited."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import select

from bridge.domain.actors import Actor, ActorKind
from bridge.domain.identifiers import MemberId, new_id
from bridge.domain.roles import Role
from bridge.errors import ForbiddenError, InvalidInputError, NotFoundError
from bridge.store.models import AuditEntry, Member
from bridge.usecases.extension_schemas import apply_schema, count_holders, find_schema, list_schemas, remove_schema
from tests.factories import Customer
from tests.integration.test_cli import Run, nordlys, run
from tests.protocol.extensions import ACME, EVERY_TYPE, attribute

__all__ = ["nordlys", "run"]

SMALL: dict[str, Any] = {
    "resourceType": "User",
    "id": ACME,
    "name": "Acme",
    "attributes": [attribute("badge"), attribute("level", "integer")],
}
DESK = attribute("desk", "complex", multiValued=True, subAttributes=[attribute("floor"), attribute("room")])


def actions(customer: Customer) -> list[str]:
    with customer.unit() as unit:
        mine = (AuditEntry.org_id == customer.org_id, AuditEntry.subject_kind == "schema")
        return list(unit.session.scalars(select(AuditEntry.action).where(*mine).order_by(AuditEntry.seq)))


def version(customer: Customer) -> int:
    with customer.unit() as unit:
        return unit.state().schema_version


def test_a_schema_is_declared_changed_and_removed_each_audited_and_a_new_version(customer: Customer) -> None:
    with customer.unit() as unit:
        apply_schema(unit, SMALL)
    with customer.unit() as unit:
        changed = apply_schema(unit, SMALL | {"attributes": [*SMALL["attributes"], DESK]})
    with customer.unit() as unit:
        remove_schema(unit, ACME.upper())

    assert [change.sentence for change in changed.changes] == ["adds desk (several complex)"]
    assert actions(customer) == ["schema.declared", "schema.changed", "schema.removed"]
    assert version(customer) == 3


def test_applying_what_is_in_force_changes_nothing(customer: Customer) -> None:
    with customer.unit() as unit:
        apply_schema(unit, EVERY_TYPE)

    with customer.unit() as unit:
        applied = apply_schema(unit, EVERY_TYPE)

    assert applied.changes == ()
    assert (version(customer), actions(customer)) == (1, ["schema.declared"])


def test_t2_schemas_are_their_organization_s_alone(make_customer: Callable[..., Customer]) -> None:
    ours, theirs = make_customer("ours"), make_customer("theirs")
    with ours.unit() as unit:
        apply_schema(unit, SMALL)

    with theirs.unit() as unit:
        assert list_schemas(unit) == []
        with pytest.raises(NotFoundError):
            find_schema(unit, ACME)
    assert version(theirs) == 0


def test_a_member_may_not_declare_one(customer: Customer) -> None:
    nobody = Actor(ActorKind.MEMBER, MemberId(new_id()), Role.MEMBER)

    with customer.unit(nobody) as unit, pytest.raises(ForbiddenError):
        apply_schema(unit, SMALL)


class TestStoredValues:
    @pytest.fixture
    def acme(self, customer: Customer) -> Customer:
        """An organization with two people who have values."""
        with customer.unit() as unit:
            apply_schema(unit, SMALL | {"attributes": [*SMALL["attributes"], DESK]})
        ann: dict[str, Any] = {ACME: {"badge": "B", "level": 3, "desk": [{"floor": "1"}, {"room": "2"}]}}
        bob: dict[str, Any] = {ACME: {"badge": "C"}}
        customer.push("ann", **ann)
        customer.push("bob", **bob)
        return customer

    @pytest.mark.parametrize(
        ("attributes", "sentence"),
        [
            ([attribute("badge"), DESK], "level: 1 person has a value"),
            (
                [attribute("badge", multiValued=True), attribute("level", "integer"), DESK],
                "badge: 2 people have a value",
            ),
            ([attribute("badge"), attribute("level"), DESK], "level: 1 person has"),
            (
                [attribute("badge"), attribute("level", "integer"), DESK | {"subAttributes": [attribute("floor")]}],
                "desk.room: 1 person has",
            ),
        ],
    )
    def test_a_change_that_would_spoil_them_is_refused(
        self, acme: Customer, attributes: list[object], sentence: str
    ) -> None:
        with acme.unit() as unit, pytest.raises(InvalidInputError, match=sentence):
            apply_schema(unit, SMALL | {"attributes": attributes})

    def test_a_schema_somebody_has_values_of_is_not_removed(self, acme: Customer) -> None:
        with acme.unit() as unit, pytest.raises(InvalidInputError, match=r"2 people have a value.*--delete-values"):
            remove_schema(unit, ACME)

    def test_values_are_deleted_when_that_is_said(self, acme: Customer) -> None:
        with acme.unit() as unit:
            apply_schema(unit, SMALL | {"attributes": [attribute("level", "integer"), DESK]}, delete_values=True)
            schema = find_schema(unit, ACME)
            holders = count_holders(unit, schema)
            people = {each.user_name: each for each in unit.session.scalars(select(Member))}

        assert holders == 1
        assert people["ann"].document[ACME] == {"level": 3, "desk": [{"floor": "1"}, {"room": "2"}]}
        assert ACME not in people["bob"].document
        assert ACME not in people["bob"].comparison
        assert people["bob"].version == 2

    def test_removing_with_values_leaves_nothing(self, acme: Customer) -> None:
        with acme.unit() as unit:
            remove_schema(unit, ACME, delete_values=True)

        with acme.unit() as unit:
            assert not [each for each in unit.session.scalars(select(Member)) if ACME in each.document]


class TestCommands:
    def test_a_file_is_applied_shown_listed_and_removed(self, run: Run, nordlys: Customer, tmp_path: Path) -> None:
        file = tmp_path / "acme.yaml"
        file.write_text(yaml.safe_dump(SMALL))

        tried = run("schema", "apply", "nordlys", str(file), "--dry-run")
        applied = run("schema", "apply", "nordlys", str(file))
        again = run("schema", "apply", "nordlys", str(file))
        shown = run("schema", "show", "nordlys", ACME)
        listed = json.loads(run("schema", "list", "nordlys", "--json").output)
        removed = run("schema", "remove", "nordlys", ACME)

        assert (tried.exit_code, applied.exit_code, again.exit_code) == (2, 0, 0)
        assert f"adds {ACME} to User with 2 attributes" in applied.output
        assert "in force already" in again.output
        assert yaml.safe_load(shown.output)["attributes"][1]["type"] == "integer"
        assert [(row["id"], row["attributes"], row["holders"]) for row in listed] == [(ACME, 2, 0)]
        assert removed.exit_code == 0
        assert "No schema of its own" in run("schema", "list", "nordlys").output

    def test_a_refusal_says_where(self, run: Run, nordlys: Customer, tmp_path: Path) -> None:
        file = tmp_path / "acme.json"
        file.write_text(json.dumps(SMALL | {"attributes": [{"name": "a", "required": True}]}))

        answer = run("schema", "apply", "nordlys", str(file))

        assert answer.exit_code == 1
        assert "attributes[0].required" in answer.output

    def test_a_person_s_token_and_a_reader_s_are_issued(self, run: Run, nordlys: Customer) -> None:
        mine = run("connection", "add-token", "nordlys", "Okta", "--for", "owner@nordlys.test", "--json")
        reader = run("connection", "add-token", "nordlys", "Okta", "--scope", "read", "--json")
        both = run("connection", "add-token", "nordlys", "Okta", "--scope", "read", "--for", "owner@nordlys.test")

        token = json.loads(mine.output)["scim_token"]
        assert (mine.exit_code, reader.exit_code, both.exit_code) == (0, 0, 2)
        assert run("connection", "revoke-token", "nordlys", token[:13], "--yes").exit_code == 0
