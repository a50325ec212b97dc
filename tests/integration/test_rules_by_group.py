"""Rules know groups by id: names change, connections have namesakes, groups come late and go, upgrades move nobody."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from alembic import command
from sqlalchemy import URL, create_engine, make_url, select, text
from sqlalchemy.pool import NullPool

from bridge.domain.actors import Actor, ActorKind
from bridge.domain.identifiers import ConnectionId, GroupId
from bridge.errors import GroupConnectionMissingError, InvalidInputError
from bridge.store.embedded import EmbeddedPostgres
from bridge.store.journal import verify
from bridge.store.models import Decision, Group, MappingVersion, Member
from bridge.store.schema import alembic_config
from bridge.store.unit import Unit
from bridge.usecases.alerts import open_alerts
from bridge.usecases.connections import create_connection
from bridge.usecases.edit_mappings import apply_mappings
from bridge.usecases.mapping_versions import VersionReason, store_version
from bridge.usecases.preview_mappings import mapping_problems, preview_mappings, preview_rollback
from bridge.usecases.provision_member import PersonDraft, Source, provision_member, update_member
from bridge.usecases.read_mappings import read_mappings
from bridge.usecases.sync_groups import GroupDraft, change_members, create_group, remove_group, update_group
from mappings.documents import from_document
from mappings.resolution import resolve
from mappings.rules import PersonFacts
from mappings.tiers import SeatTier, TierLadder
from tests.factories import Customer
from tests.postgres import drop_database

BINDS_RULES = "0013"
LADDER = TierLadder([SeatTier("premium", "Premium", 2), SeatTier("standard", "Standard", 1)])


def apply(customer: Customer, *rules: dict[str, Any]) -> None:
    with customer.unit(customer.owner) as unit:
        preview = preview_mappings(unit, {"schema": 2, "default": "unassigned", "rules": list(rules)})
    with customer.unit(customer.owner) as unit:
        apply_mappings(unit, preview.id, acknowledged=True)


def push_group(customer: Customer, name: str, members: list[Member], connection: ConnectionId | None = None) -> GroupId:
    with customer.unit(customer.directory) as unit:
        ids = [str(member.id) for member in members]
        return create_group(unit, connection or customer.connection_id, GroupDraft(name), ids).id


def second_connection(customer: Customer) -> ConnectionId:
    with customer.unit(customer.owner) as unit:
        return create_connection(unit, "Entra").id


def tier_of(customer: Customer, member: Member) -> str | None:
    with customer.unit() as unit:
        return unit.session.get_one(Member, (unit.org_id, member.id)).tier


def rules_in_force(unit: Unit) -> list[dict[str, Any]]:
    return list(read_mappings(unit).document["rules"])


def test_renaming_a_group_keeps_its_rule_and_everybodys_seat(customer: Customer) -> None:
    ann = customer.push("ann@nordlys.test")
    group_id = push_group(customer, "Finance", [ann])
    apply(customer, {"group": "Finance", "tier": "premium"})

    with customer.unit(customer.directory) as unit:
        update_group(unit, unit.session.get_one(Group, (unit.org_id, group_id)), GroupDraft("Finance & Controlling"))

    assert tier_of(customer, ann) == "premium"
    ben = customer.push("ben@nordlys.test")
    with customer.unit(customer.directory) as unit:
        change_members(unit, unit.session.get_one(Group, (unit.org_id, group_id)), add=[str(ben.id)])
    assert tier_of(customer, ben) == "premium"
    with customer.unit(customer.owner) as unit:
        [rule] = read_mappings(unit).rules
        assert rule.rule.label == "Finance & Controlling"
        assert rule.rule.key == "group:finance"


def test_another_connections_group_of_the_same_name_is_another_group(customer: Customer) -> None:
    entra = second_connection(customer)
    ann = customer.push("ann@nordlys.test")
    push_group(customer, "Finance", [ann])
    apply(customer, {"group": "Finance", "tier": "premium"})
    with customer.unit(customer.directory) as unit:
        eve = provision_member(unit, entra, PersonDraft("eve@other.test"), Source.SCIM)
    push_group(customer, "Finance", [eve], entra)

    assert tier_of(customer, ann) == "premium"
    assert tier_of(customer, eve) is None
    with customer.unit(customer.owner) as unit, pytest.raises(InvalidInputError, match="2 groups are called"):
        preview_mappings(unit, {"schema": 2, "rules": [{"group": "Finance", "tier": "standard"}]})


def test_an_expected_group_is_bound_when_it_comes_and_expected_again_when_it_goes(customer: Customer) -> None:
    entra = second_connection(customer)
    apply(customer, {"group": "Finance", "expected": True, "connection": "Entra", "tier": "premium"})
    ann = customer.push("ann@nordlys.test")
    push_group(customer, "Finance", [ann])
    with customer.unit(customer.owner) as unit:
        assert rules_in_force(unit)[0]["expected"] is True
    assert tier_of(customer, ann) is None

    with customer.unit(customer.directory) as unit:
        eve = provision_member(unit, entra, PersonDraft("eve@other.test"), Source.SCIM)
    group_id = push_group(customer, "FINANCE", [eve], entra)

    assert tier_of(customer, eve) == "premium"
    with customer.unit(customer.owner) as unit:
        assert rules_in_force(unit)[0]["group_id"] == str(group_id)
    with customer.unit(customer.directory) as unit:
        remove_group(unit, unit.session.get_one(Group, (unit.org_id, group_id)))
    assert tier_of(customer, eve) is None
    with customer.unit(customer.owner) as unit:
        assert rules_in_force(unit)[0]["expected"] is True
        reasons = unit.session.scalars(select(MappingVersion.reason).order_by(MappingVersion.version)).all()
        assert list(reasons) == ["edited", "group_arrived", "group_removed"]
        assert verify(unit) is None


def test_a_group_that_gets_the_expected_name_is_bound_with_everybody_in_it(customer: Customer) -> None:
    apply(customer, {"group": "Board", "expected": True, "tier": "premium"})
    ann = customer.push("ann@nordlys.test")
    group_id = push_group(customer, "Boardroom", [ann])

    with customer.unit(customer.directory) as unit:
        update_group(unit, unit.session.get_one(Group, (unit.org_id, group_id)), GroupDraft("Board"))

    assert tier_of(customer, ann) == "premium"


@pytest.mark.parametrize("connected", [False, True], ids=["one connection", "two"])
def test_case_t10_a_rule_that_gives_a_role_names_the_connection_of_a_group_to_come(
    customer: Customer, *, connected: bool
) -> None:
    if connected:
        second_connection(customer)
    board = {"group": "Board", "expected": True, "tier": "premium", "role": "admin"}

    with pytest.raises(GroupConnectionMissingError) as refusal, customer.unit(customer.owner) as unit:
        preview_mappings(unit, {"schema": 2, "rules": [board]})
    apply(customer, {**board, "connection": "Okta"})

    ways = "connection: Entra or connection: Okta" if connected else "connection: Okta"
    assert refusal.value.code == "group_connection_missing"
    assert f'rules.0: expects a group "Board" that any connection could bring; say which with {ways}' in str(
        refusal.value
    )


def test_of_several_connections_every_rule_names_the_one_that_a_group_is_to_come_from(customer: Customer) -> None:
    apply(customer, {"group": "Board", "expected": True, "tier": "premium"})
    apply(customer, {"group": "Board", "expected": True, "tier": "standard"})
    entra = second_connection(customer)
    eve = of_entra(customer, entra)
    push_group(customer, "Sales", [eve], entra)
    nested = {"when": {"all": [{"group": "Sales", "expected": True}]}, "tier": "premium"}

    with pytest.raises(GroupConnectionMissingError), customer.unit(customer.owner) as unit:
        preview_mappings(unit, {"schema": 2, "rules": [nested]})
    with pytest.raises(GroupConnectionMissingError), customer.unit(customer.owner) as unit:
        preview_rollback(unit, 1)
    with customer.unit(customer.owner) as unit:
        problems = mapping_problems(unit, {"schema": 2, "rules": [nested]})
    apply(customer, {**nested, "connection": "Entra"})

    assert [(problem.path, problem.code) for problem in problems] == [("rules.0", "group_connection_missing")]
    assert tier_of(customer, eve) == "premium"


@pytest.mark.parametrize("way", ["claimed", "renamed"])
def test_case_t10_no_connection_brings_what_was_expected_of_any_once_there_are_several(
    customer: Customer, way: str
) -> None:
    board = {"group": "Board", "expected": True, "tier": "premium", "role": "admin"}
    with customer.unit() as unit:  # as a release before this one took it
        old = from_document({"schema": 2, "default": "unassigned", "rules": [board]}, LADDER)
        store_version(unit, old, VersionReason.EDITED)
    entra = second_connection(customer)

    if way == "claimed":
        with customer.unit(Actor(ActorKind.SIGN_IN, entra)) as unit:
            eve = provision_member(unit, entra, PersonDraft("e@x.test"), Source.JIT, claimed_groups=("board",))
    else:
        eve = of_entra(customer, entra)
        group_id = push_group(customer, "Innocent", [eve], entra)
        with customer.unit(Actor(ActorKind.DIRECTORY, entra)) as unit:
            update_group(unit, unit.session.get_one(Group, (unit.org_id, group_id)), GroupDraft("BOARD"))

    with customer.unit() as unit:
        found = unit.session.get_one(Member, (unit.org_id, eve.id))
        assert (found.role, found.tier) == ("member", None)
        [told] = open_alerts(unit)
        assert (told.code, "came by Entra" in told.detail) == ("group_connection_missing", True)
    apply(customer, {**board, "connection": "Okta"})
    with customer.unit() as unit:
        assert open_alerts(unit) == []
        assert unit.session.get_one(Member, (unit.org_id, eve.id)).role == "member"


def of_entra(customer: Customer, entra: ConnectionId) -> Member:
    with customer.unit(customer.directory) as unit:
        return provision_member(unit, entra, PersonDraft("eve@other.test"), Source.SCIM)


def test_a_claimed_group_counts_in_its_connection_alone(customer: Customer) -> None:
    entra = second_connection(customer)
    apply(customer, {"group": "Finance", "expected": True, "connection": "Entra", "tier": "premium"})

    with customer.unit(customer.directory) as unit:
        ours = provision_member(
            unit, customer.connection_id, PersonDraft("a@nordlys.test"), Source.JIT, claimed_groups=("Finance",)
        )
        theirs = provision_member(unit, entra, PersonDraft("b@other.test"), Source.JIT, claimed_groups=("finance",))

    assert tier_of(customer, ours) is None
    assert tier_of(customer, theirs) == "premium"


def test_conditions_and_scope_decide_alike_for_one_person_and_for_everybody(customer: Customer) -> None:
    apply(customer)
    entra = second_connection(customer)
    enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
    ann = customer.push("ann@nordlys.test", title="Sales lead", emails=[{"value": "ann@nordlys.test"}])
    ben = customer.push("ben@nordlys.test", title="Sales lead", emails=[{"value": "ben@agency.test"}])
    with customer.unit(customer.directory) as unit:
        draft = PersonDraft("eve@other.test", document={"title": "Sales lead", enterprise: {"department": "X"}})
        eve = provision_member(unit, entra, draft, Source.SCIM)
    outside = {"attribute": "emails", "ends_with": "@agency.test"}
    rule = {
        "when": {"all": [{"attribute": "title", "starts_with": "sales"}, {"not": outside}]},
        "tier": "premium",
    }
    with customer.unit() as unit:
        name = read_connection_name(unit, customer.connection_id)

    apply(customer, {**rule, "connection": name})

    together = [tier_of(customer, member) for member in (ann, ben, eve)]
    cid = customer.push("cid@nordlys.test", title="SALES", emails=[{"value": "cid@nordlys.test"}])
    assert together == ["premium", None, None]
    assert tier_of(customer, cid) == "premium"
    with customer.unit(customer.directory) as unit:
        member = unit.session.get_one(Member, (unit.org_id, cid.id))
        update_member(unit, member, PersonDraft("cid@nordlys.test", document={"title": "Clerk"}))
    assert tier_of(customer, cid) is None
    with customer.unit() as unit:
        mine = select(Decision).where(Decision.member_id == ann.id).order_by(Decision.seq.desc())
        decision = unit.session.scalars(mine).first()
        assert decision is not None
        assert decision.rule is not None
        assert decision.rule["about"].startswith("the title starting with sales and not the emails ending with")


def read_connection_name(unit: Unit, connection_id: ConnectionId) -> str:
    row = unit.session.execute(text("SELECT name FROM connection WHERE id = :id"), {"id": connection_id})
    return str(row.scalar_one())


@pytest.fixture
def before_url(postgres_server: EmbeddedPostgres) -> Iterator[URL]:
    """A database as it was before rules were bound to groups."""
    name = f"t_{uuid.uuid4().hex}"
    postgres_server.ensure_database(name)
    url = make_url(postgres_server.url(name))
    _migrate(url, f"{int(BINDS_RULES) - 1:04}")
    yield url
    drop_database(postgres_server, name)


def _migrate(url: URL, revision: str) -> None:
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), revision)
    engine.dispose()


def test_an_upgrade_binds_every_name_to_what_it_meant_and_moves_nobody(before_url: URL) -> None:
    org, okta, entra = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    ids = {name: uuid.uuid4() for name in ("Engineering", "Finance", "finance ")}
    document = {
        "schema": 1,
        "on_exhausted": "unassigned",
        "default": "standard",
        "rules": [
            {"group": "engineering", "tier": "premium"},
            {"key": "money", "group": "Finance", "tier": "premium"},
            {"group": "Board", "tier": "premium"},
            {"attribute": "department", "equals": "Sales", "tier": "standard"},
        ],
    }
    engine = create_engine(before_url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO organization (id, slug, name, locale, time_zone, created_at)"
                " VALUES (:org, 'nordlys', 'Nordlys', 'en', 'UTC', now())"
            ),
            {"org": org},
        )
        connection.execute(
            text(
                "INSERT INTO organization_state (org_id, audit_seq, audit_head, member_position, group_position,"
                " invoice_number, mapping_version, seat_version, schema_version)"
                " VALUES (:org, 0, '', 0, 0, 0, 4, 7, 0)"
            ),
            {"org": org},
        )
        for connection_id, name in ((okta, "Okta"), (entra, "Entra")):
            connection.execute(
                text(
                    "INSERT INTO connection (org_id, id, kind, name, created_at, jit_enabled, idp_initiated)"
                    " VALUES (:org, :id, 'idp', :name, now(), true, false)"
                ),
                {"org": org, "id": connection_id, "name": name},
            )
        for position, (name, group_id) in enumerate(ids.items()):
            connection.execute(
                text(
                    'INSERT INTO "group" (org_id, id, connection_id, source, position, display_name, display_name_key,'
                    " document, comparison, version, created_at, modified_at)"
                    " VALUES (:org, :id, :at, 'scim', :place, :name, lower(:name), '{}', '{}', 1, now(), now())"
                ),
                {"org": org, "id": group_id, "at": entra if position == 2 else okta, "place": position, "name": name},
            )
        connection.execute(
            text(
                "INSERT INTO mapping_version (org_id, version, document, at, actor)"
                " VALUES (:org, 4, :document, now(), 'operator')"
            ),
            {"org": org, "document": json.dumps(document)},
        )

    _migrate(before_url, BINDS_RULES)

    with engine.connect() as connection:
        state = connection.execute(text("SELECT mapping_version, seat_version FROM organization_state")).one()
        rows = connection.execute(text("SELECT document, reason FROM mapping_version ORDER BY version")).all()
    engine.dispose()
    assert tuple(state) == (5, 8)
    assert [row.reason for row in rows] == ["edited", "upgraded"]
    assert rows[0].document == document
    upgraded = from_document(rows[1].document, LADDER, version=5)
    assert [rule.key for rule in upgraded.rules] == [
        "group:engineering",
        "money",
        "group:board",
        "attribute:department=sales",
    ]
    for name, tier in (("Engineering", "premium"), ("Finance", "premium"), ("finance ", "premium")):
        facts = PersonFacts(frozenset({str(ids[name])}))
        assert resolve(facts, upgraded, LADDER).tier == tier
    assert resolve(PersonFacts(), upgraded, LADDER).tier is None
    assert [str(expected) for expected in upgraded.expected] == ["the group Board"]
