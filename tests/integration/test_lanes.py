"""A lane declines whenever what it was decided from no longer holds, and the general way answers."""

import hashlib
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask
from sqlalchemy import func, select, update

from bridge.domain.identifiers import MemberId
from bridge.store import functions
from bridge.store.journal import verify
from bridge.store.models import Contract, MappingVersion, Member, ScimToken
from bridge.store.seals import hmac_pads
from bridge.usecases.edit_mappings import apply_mappings
from bridge.usecases.extension_schemas import apply_schema
from bridge.usecases.manage_access import deactivate_member
from bridge.usecases.preview_mappings import preview_mappings
from bridge.usecases.provision_member import PersonDraft
from bridge.usecases.quick_people import FoundPerson, change, find_person
from bridge.usecases.quick_writes import Caller, read_rules
from scim.edge import scim_blueprint
from scim.lanes.directory import Lanes
from tests.conftest import SettableClock
from tests.factories import Customer
from tests.protocol.scim_client import GROUP, USER, ScimClient, make_token

OWN = "urn:example:params:scim:schemas:extension:own:2.0:User"


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each request was answered by a lane."""
    seen: list[bool] = []
    answer = Lanes.answer

    def noted(self: Lanes, call: Any) -> Any:
        found = answer(self, call)
        seen.append(found is not None)
        return found

    monkeypatch.setattr(Lanes, "answer", noted)
    return seen


@pytest.fixture
def client(customer: Customer) -> ScimClient:
    """A client whose first write has taught the process its rules."""
    app = Flask(__name__)
    app.register_blueprint(scim_blueprint(customer.runtime))
    client = ScimClient(app, customer.slug, make_token(customer))
    assert client.post("/Users", person("first")).status_code == 201
    return client


def person(name: str, **facts: Any) -> dict[str, Any]:
    """A person without a group."""
    return {"schemas": [USER], "userName": f"{name}@nordlys.example", **facts}


def tier_of(customer: Customer, member_id: str) -> str | None:
    """Return the tier somebody holds."""
    with customer.unit() as unit:
        return unit.session.scalars(select(Member.tier).where(Member.id == MemberId(uuid.UUID(member_id)))).one()


def test_a_create_is_answered_by_its_lane_once_the_rules_are_known(client: ScimClient, answered: list[bool]) -> None:
    answer = client.post("/Users", person("alice"))

    assert (answer.status_code, answered) == (201, [True])


def test_new_rules_are_followed_by_the_very_next_push(
    client: ScimClient, customer: Customer, answered: list[bool]
) -> None:
    document = {"schema": 1, "default": "standard", "rules": []}
    with customer.unit() as unit:
        state = unit.lock()
        state.mapping_version = 1
        unit.session.add(
            MappingVersion(
                org_id=unit.org_id, version=1, document=document, at=unit.at, actor="operator", reason="edited"
            )
        )

    first, second = (client.post("/Users", person(name)).get_json()["id"] for name in ("alice", "bob"))

    assert answered == [False, True]
    assert [tier_of(customer, member_id) for member_id in (first, second)] == ["standard", "standard"]


def test_a_due_renewal_comes_before_the_push(
    client: ScimClient, customer: Customer, clock: SettableClock, answered: list[bool]
) -> None:
    clock.at += timedelta(days=32)
    client.get("/Users?count=0")  # notes the token's use, which is more than a minute old

    answer = client.post("/Users", person("alice"))

    with customer.unit() as unit:
        period = unit.session.scalars(select(Contract.period_index).where(Contract.org_id == unit.org_id)).one()
    assert (answer.status_code, answered[-1], period) == (201, False, 1)


def test_a_revoked_token_opens_no_lane(client: ScimClient, customer: Customer, answered: list[bool]) -> None:
    member_id = client.post("/Users", person("alice")).get_json()["id"]
    with customer.unit() as unit:
        unit.session.execute(update(ScimToken).where(ScimToken.org_id == unit.org_id).values(revoked_at=unit.at))
    answered.clear()

    answers = [
        client.get(f"/Users/{member_id}"),
        client.get('/Users?filter=userName eq "alice@nordlys.example"'),
        client.post("/Users", person("bob")),
        client.put(f"/Users/{member_id}", person("alice", active=False)),
        client.post("/Users", {"schemas": [USER]}),
    ]

    assert [answer.status_code for answer in answers] == [401] * 5
    assert answered == [False] * 5


def test_a_token_opens_no_lane_of_another_organization(
    client: ScimClient, make_customer: Callable[..., Customer], answered: list[bool]
) -> None:
    other = make_customer(slug="fjord")
    stranger = other.push("olaf@fjord.example")
    answered.clear()

    seen = client.get(f"/Users/{stranger.id}")
    client.root = "/scim/v2/fjord"
    across = [client.get(f"/Users/{stranger.id}"), client.post("/Users", person("mallory"))]

    assert (seen.status_code, [answer.status_code for answer in across]) == (404, [401, 401])
    assert answered == [False] * 3


def test_a_read_only_token_writes_through_no_lane(client: ScimClient, customer: Customer) -> None:
    member_id = client.post("/Users", person("alice")).get_json()["id"]
    client.token = make_token(customer, can_write=False)
    client.get("/Users?count=0")

    answers = [client.post("/Users", person("bob")), client.put(f"/Users/{member_id}", person("alice", active=False))]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert client.get(f"/Users/{member_id}").get_json()["active"] is True


def test_case_x5_a_broken_connection_is_replaced_and_the_request_answered(
    client: ScimClient, owner_connection: psycopg.Connection, answered: list[bool]
) -> None:
    client.post("/Users", person("alice"))
    owner_connection.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    answered.clear()

    answers = [client.post("/Users", person(name)) for name in ("bob", "carol", "dave")]

    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert answered[-1] is True


def test_what_lanes_write_is_sealed_into_the_audit_chain(client: ScimClient, customer: Customer) -> None:
    member_id = client.post("/Users", person("ålice", title='„Größe“ \\ "x" 日本 😀')).get_json()["id"]
    client.put(f"/Users/{member_id}", person("ålice", active=False))

    with customer.unit() as unit:
        assert verify(unit) is None
        assert unit.state().audit_seq > 4


def test_the_token_hash_is_what_a_lane_knows_of_a_token(customer: Customer) -> None:
    token = make_token(customer)

    with customer.unit() as unit:
        stored = unit.session.scalars(select(ScimToken.token_hash).where(ScimToken.org_id == unit.org_id)).all()
    assert hashlib.sha256(token.encode()).digest() in stored


def own_schema(*names: str) -> dict[str, Any]:
    """An extension schema with texts of these names."""
    attributes = [{"name": name, "type": "string", "multiValued": False} for name in names]
    return {"id": OWN, "name": "Own", "resourceType": "User", "attributes": attributes}


def test_a_schema_that_was_declared_since_is_read_by_the_next_update_even_where_all_else_is_as_it_was(
    client: ScimClient, customer: Customer
) -> None:
    member_id = client.post("/Users", person("alice")).get_json()["id"]
    with customer.unit() as unit:
        apply_schema(unit, own_schema("extra"))

    put = client.put(f"/Users/{member_id}", person("alice", **{OWN: {"extra": "kept"}}))

    assert put.get_json()[OWN] == {"extra": "kept"}
    assert client.get(f"/Users/{member_id}").get_json()[OWN] == {"extra": "kept"}


def test_an_update_over_groups_that_have_changed_since_they_were_read_is_left_to_the_general_way(
    client: ScimClient, customer: Customer
) -> None:
    runtime = customer.runtime
    member_id = client.post("/Users", person("alice")).get_json()["id"]
    group = {"schemas": [GROUP], "displayName": "Sales", "members": [{"value": member_id}]}
    group_id = client.post("/Groups", group).get_json()["id"]
    token_hash = hashlib.sha256((client.token or "").encode()).digest()
    pads = hmac_pads(runtime.secrets.derive_all("audit")[0])
    caller = Caller(customer.slug, runtime.clock.now(), str(customer.directory), "request", pads, token_hash)
    with customer.unit() as unit:
        rules = read_rules(unit, customer.connection_id, 0)
    found = find_person(runtime.lane, caller, "id", member_id)
    assert isinstance(found, FoundPerson)
    draft = PersonDraft("alice@nordlys.example", document={"title": "Head"})
    renaming = {"op": "replace", "path": "displayName", "value": "Selling"}
    assert client.patch(f"/Groups/{group_id}", renaming).status_code == 200

    written = change(runtime.lane, caller, rules, found, draft)

    assert written is None
    again = find_person(runtime.lane, caller, "id", member_id)
    assert isinstance(again, FoundPerson)
    assert change(runtime.lane, caller, rules, again, draft) is not None


def test_a_number_of_any_size_in_a_patch_is_answered_as_without_lanes(client: ScimClient) -> None:
    member_id = client.post("/Users", person("alice")).get_json()["id"]
    operation = {"op": "replace", "path": "emails", "value": [{"value": "a@nordlys.example", "odd": [10**40]}]}

    answer = client.patch(f"/Users/{member_id}", operation)

    assert answer.status_code < 500


def test_a_lane_lets_no_record_grow_beyond_its_bound(client: ScimClient) -> None:
    emails = [{"value": f"{number}@{'x' * 900}.example"} for number in range(280)]
    member_id = client.post("/Users", person("alice", emails=emails)).get_json()["id"]
    names = ("title", "nickName", "displayName", "userType", "locale", "timezone", "preferredLanguage")
    answers = [
        client.patch(f"/Users/{member_id}", {"op": "replace", "path": name, "value": "y" * 1024}).status_code
        for name in names
    ]

    assert answers[-1] == 400
    assert set(answers) == {200, 400}


def test_writers_at_once_wait_for_the_disk_together_and_lose_nothing(
    client: ScimClient, customer: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = customer.runtime.lane
    early: list[bool] = []
    call = lane._call

    def noted(function: str, parameters: Sequence[Any], *row: Any, **forgives: Any) -> Any:
        if function == "lane_create_person":
            early.append(parameters[-1])
        return call(function, parameters, *row, **forgives)

    monkeypatch.setattr(lane, "_call", noted)

    def create(number: int) -> int:
        other = ScimClient(client.client.application, customer.slug, client.token)
        return other.post("/Users", person(f"at-once-{number}")).status_code

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(create, range(40)))

    assert answers == [201] * 40
    assert True in early
    with customer.unit() as unit:
        assert verify(unit) is None
        pushed = select(func.count()).where(Member.org_id == unit.org_id, Member.source == "scim")
        assert unit.session.scalar(pushed) == 41


def test_a_function_that_failed_at_its_first_call_serves_the_next_one(customer: Customer) -> None:
    lane = customer.runtime.lane
    lane.close()

    with pytest.raises(psycopg.errors.InvalidArgumentForPowerFunction):
        lane.ask("sqrt", ("-1",))

    assert lane.ask("sqrt", ("4",)) == (2.0,)


def test_functions_that_an_upgrade_replaces_are_found_again(
    client: ScimClient, owner_connection: "psycopg.Connection[Any]"
) -> None:
    member_id = client.post("/Users", person("alice")).get_json()["id"]
    assert client.get(f"/Users/{member_id}").status_code == 200

    source = (Path(functions.__file__).parent / "people.sql").read_text(encoding="utf-8").split("\n-- ;\n")
    (statement,) = (each for each in source if "CREATE FUNCTION lane_person(" in each)
    owner_connection.execute("DROP FUNCTION lane_person")
    while_it_is_gone = client.get(f"/Users/{member_id}").status_code
    owner_connection.execute(statement)

    assert (while_it_is_gone, client.get(f"/Users/{member_id}").status_code) == (200, 200)


@pytest.mark.parametrize("blank", [" ", "\t"])
def test_a_text_that_a_rule_asks_for_is_decided_about_when_it_becomes_blank(
    client: ScimClient, customer: Customer, blank: str
) -> None:
    rules = [{"attribute": "title", "equals": "A", "tier": "premium"}]
    document = {"schema": 1, "default": "unassigned", "rules": rules}
    with customer.unit() as unit:
        apply_mappings(unit, preview_mappings(unit, document).id, acknowledged=True)
    client.post("/Users", person("first-after-the-rules"))
    member_id = client.post("/Users", person("alice", title="A")).get_json()["id"]
    before = tier_of(customer, member_id)

    client.patch(f"/Users/{member_id}", {"op": "replace", "path": "title", "value": blank})

    assert (before, tier_of(customer, member_id)) == ("premium", None)


def test_the_document_of_somebody_turned_off_by_hand_learns_of_it_with_the_first_text(
    client: ScimClient, customer: Customer
) -> None:
    member_id = client.post("/Users", person("alice")).get_json()["id"]
    with customer.unit() as unit:
        member = unit.session.get_one(Member, (unit.org_id, uuid.UUID(member_id)))
        deactivate_member(unit, member, reason="by_hand")

    tags = [
        client.patch(f"/Users/{member_id}", {"op": "replace", "path": "title", "value": "x"}).headers["ETag"]
        for _ in range(2)
    ]

    assert tags[0] == tags[1]
    with customer.unit() as unit:
        member = unit.session.get_one(Member, (unit.org_id, uuid.UUID(member_id)))
        assert (member.active, member.document["active"]) == (False, False)


def test_a_page_is_one_moment_of_the_directory(
    client: ScimClient, customer: Customer, owner_connection: "psycopg.Connection[Any]"
) -> None:
    ids = [client.post("/Users", person(f"p{number}")).get_json()["id"] for number in range(9)]
    client.get("/Users?startIndex=3&count=4")
    with ThreadPoolExecutor(1) as threads:
        with owner_connection.transaction():
            # The page has to wait for this table, wherever in its order of reading that comes.
            owner_connection.execute('LOCK TABLE "group" IN ACCESS EXCLUSIVE MODE')
            page = threads.submit(client.get, "/Users?startIndex=3&count=100")
            wait([page], 0.5)
            owner_connection.execute("DELETE FROM member WHERE id = ANY (%s)", [[uuid.UUID(each) for each in ids[4:7]]])
        answer = page.result().get_json()

    assert answer["itemsPerPage"] == answer["totalResults"] - 2


def test_a_write_that_may_have_happened_is_not_done_again(
    customer: Customer, owner_connection: "psycopg.Connection[Any]"
) -> None:
    owner_connection.execute(
        "CREATE FUNCTION breaks_off(early boolean) RETURNS TABLE (number integer) LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); END $$"
    )

    with pytest.raises(psycopg.OperationalError):
        customer.runtime.lane.write("breaks_off", ())

    assert customer.runtime.lane.ask("breaks_off", (False,)) is None
    assert customer.runtime.lane.ask("sqrt", ("4",)) == (2.0,)
