"""Schemas of an organization's own, over HTTP: discovery, every type in and out, PATCH, filters, what is shown."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from bridge.errors import UnavailableError
from bridge.store.models import Member
from scim.service import BridgeService
from scim.services import Services
from scim.storage import MemberStorage
from tests.factories import Customer
from tests.protocol.extensions import ACME, CREW, EVERY_TYPE, OF_GROUPS, attribute, declare
from tests.protocol.scim_client import ENTERPRISE, USER, ScimClient, make_app, make_token


@pytest.fixture
def client(customer: Customer) -> ScimClient:
    """A writing client of an organization that declared an attribute of every type."""
    declare(customer, EVERY_TYPE, OF_GROUPS)
    return ScimClient(make_app(customer), customer.slug, make_token(customer))


def own(client: ScimClient, user_id: str, **query: str) -> dict[str, Any]:
    """Return what an answer shows of a person's extension."""
    parameters = "&".join(f"{name}={value}" for name, value in query.items())
    answer = client.get(f"/Users/{user_id}?{parameters}" if query else f"/Users/{user_id}").get_json(force=True)
    return dict(answer.get(ACME, {}))


def found(client: ScimClient, text: str) -> set[str]:
    """Return the userNames a filter finds; the same by GET and by POST."""
    answer = client.post("/Users/.search", {"filter": text, "attributes": ["userName"]})
    assert answer.status_code == 200, answer.text
    return {each["userName"] for each in answer.get_json(force=True)["Resources"]}


class TestDiscovery:
    def test_an_organization_s_own_schemas_are_shown_to_its_tokens(self, client: ScimClient) -> None:
        schemas = client.get("/Schemas").get_json(force=True)["Resources"]
        one = client.get(f"/Schemas/{ACME}").get_json(force=True)
        users, groups = client.get("/ResourceTypes").get_json(force=True)["Resources"]

        assert {ACME, CREW} <= {schema["id"] for schema in schemas}
        assert (one["name"], one["attributes"][2]["type"]) == ("Acme", "integer")
        assert {"schema": ACME, "required": False} in users["schemaExtensions"]
        assert groups["schemaExtensions"] == [{"schema": CREW, "required": False}]

    def test_t2_another_organization_sees_and_uses_nothing_of_them(
        self, client: ScimClient, make_customer: Callable[..., Customer]
    ) -> None:
        other = make_customer("other")
        stranger = ScimClient(client.client.application, other.slug, make_token(other))
        user_id = stranger.create_user("eve@other.test", **{ACME: {"badge": "x"}})

        listed = stranger.get("/Schemas").get_json(force=True)["Resources"]
        filtered = stranger.post("/Users/.search", {"filter": f'{ACME}:badge eq "x"'})

        assert ACME not in {schema["id"] for schema in listed}
        assert stranger.get(f"/Schemas/{ACME}").status_code == 404
        assert ACME not in stranger.get(f"/Users/{user_id}").text
        assert filtered.status_code == 400

    def test_a_changed_schema_is_in_force_with_the_next_request(self, client: ScimClient, customer: Customer) -> None:
        before = client.get(f"/Schemas/{CREW}").get_json(force=True)
        declare(customer, OF_GROUPS | {"attributes": [*OF_GROUPS["attributes"], attribute("shift")]})

        after = client.get(f"/Schemas/{CREW}").get_json(force=True)

        assert (len(before["attributes"]), len(after["attributes"])) == (2, 3)


class TestWriting:
    def test_values_of_every_type_come_back_as_they_were_sent(self, client: ScimClient) -> None:
        values = {
            "badge": "B-1",
            "code": "Ab",
            "level": 5,
            "ratio": 0.5,
            "remote": True,
            "hiredAt": "2024-05-01T08:00:00+02:00",
            "profile": "https://example.com/ann",
            "seal": "aGVsbG8" * 40,
            "tags": ["a", "b"],
            "scores": [1, 2],
            "desk": {"building": "North", "floor": 3, "since": "2024-05-01T08:00:00Z"},
            "contracts": [{"value": "c1", "type": "work", "code": "X", "hours": 37.5, "primary": True}],
            "site": "Oslo",
        }

        user_id = client.create_user("ann@corp.test", **{ACME: values})

        answer = client.get(f"/Users/{user_id}").get_json(force=True)
        assert answer[ACME] == values
        assert answer["schemas"] == [USER, ACME]

    @pytest.mark.parametrize(
        ("name", "sent", "stored"),
        [
            ("badge", 5, "5"),
            ("badge", ["B"], "B"),
            ("badge", {"value": "B"}, "B"),
            ("level", "5", 5),
            ("level", [" 5 "], 5),
            ("level", 5.0, 5),
            ("level", "5.0", 5),
            ("level", -9223372036854775807, -9223372036854775807),
            ("ratio", "0.25", 0.25),
            ("ratio", 2, 2),
            ("remote", "True", True),
            ("remote", [{"value": "False"}], False),
            ("hiredAt", "2024-05-01T08:00:00", "2024-05-01T08:00:00Z"),
            ("hiredAt", "2024-05-01", "2024-05-01T00:00:00Z"),
            ("tags", "a", ["a"]),
            ("tags", [{"value": "a"}, None, 7], ["a", "7"]),
            ("scores", ["1", 2.0], [1, 2]),
            ("desk", [{"Building": "North", "unknown": 1}], {"building": "North"}),
            ("contracts", "c1", [{"value": "c1"}]),
            ("contracts", {"VALUE": "c1", "primary": "true"}, [{"value": "c1", "primary": True}]),
        ],
    )
    def test_what_is_meant_is_read(self, client: ScimClient, name: str, sent: Any, stored: Any) -> None:
        user_id = client.create_user("ann@corp.test", **{ACME: {name: sent}})
        patched = client.create_user("bob@corp.test")
        client.patch(f"/Users/{patched}", {"op": "Add", "path": f"{ACME}:{name}", "value": sent})
        keyed = client.create_user("cleo@corp.test")
        client.patch(
            f"/Users/{keyed}", {"op": "replace", "value": {f"{ACME.upper().replace('URN', 'urn')}:{name}": sent}}
        )

        assert own(client, user_id) == {name: stored}
        assert own(client, patched) == {name: stored}
        assert own(client, keyed) == {name: stored}

    @pytest.mark.parametrize(
        ("name", "sent"),
        [
            ("level", "five"),
            ("level", 5.5),
            ("level", True),
            ("level", 2**63),
            ("level", [1, 2]),
            ("ratio", "nan"),
            ("ratio", 1e30),
            ("remote", "maybe"),
            ("hiredAt", "yesterday"),
            ("hiredAt", 5),
            ("hiredAt", "0001-01-01T00:00:00+23:59"),
            ("profile", "not a uri"),
            ("seal", "@@@"),
            ("desk", "North"),
            ("tags", [["a"]]),
            ("scores", ["a"]),
            ("badge", True),
        ],
    )
    def test_what_does_not_fit_is_refused_by_the_name_of_the_attribute(
        self, client: ScimClient, name: str, sent: Any
    ) -> None:
        created = client.post("/Users", {"schemas": [USER], "userName": "ann@corp.test", ACME: {name: sent}})
        user_id = client.create_user("bob@corp.test")
        patched = client.patch(f"/Users/{user_id}", {"op": "replace", "path": f"{ACME}:{name}", "value": sent})

        for answer in (created, patched):
            assert (answer.status_code, answer.get_json(force=True)["scimType"]) == (400, "invalidValue")
            assert name in answer.get_json(force=True)["detail"]

    def test_an_empty_value_is_none(self, client: ScimClient) -> None:
        user_id = client.create_user("ann@corp.test", **{ACME: {"level": "", "tags": [], "desk": {}, "badge": None}})

        answer = client.get(f"/Users/{user_id}").get_json(force=True)

        assert ACME not in answer
        assert answer["schemas"] == [USER]

    def test_a_put_replaces_and_leaves_what_nobody_may_write(self, client: ScimClient, customer: Customer) -> None:
        user_id = client.create_user("ann@corp.test", **{ACME: {"badge": "old", "level": 1, "grade": "made up"}})
        assert own(client, user_id) == {"badge": "old", "level": 1}
        with customer.unit() as unit:
            member = unit.session.get_one(Member, (customer.org_id, uuid.UUID(user_id)))
            member.document = {**member.document, ACME: {**member.document[ACME], "grade": "A"}}

        client.put(
            f"/Users/{user_id}", {"schemas": [USER], "userName": "ann@corp.test", ACME: {"badge": "new", "grade": "F"}}
        )

        assert own(client, user_id) == {"badge": "new", "grade": "A"}

    def test_a_patch_of_what_nobody_may_write_is_refused(self, client: ScimClient) -> None:
        user_id = client.create_user("ann@corp.test")

        answer = client.patch(f"/Users/{user_id}", {"op": "replace", "path": f"{ACME}:grade", "value": "F"})

        assert (answer.status_code, answer.get_json(force=True)["scimType"]) == (400, "mutability")

    def test_schemas_nobody_declared_are_still_ignored(self, client: ScimClient) -> None:
        private = "urn:private:ext:1.0:User"

        user_id = client.create_user(
            "ann@corp.test", **{private: {"active": "what?"}, ACME: {"unknown": 1, "badge": "B"}}
        )
        patched = client.patch(f"/Users/{user_id}", {"op": "add", "value": {f"{private}:x": 1, f"{ACME}:code": "C"}})

        assert patched.status_code == 200
        assert own(client, user_id) == {"badge": "B", "code": "C"}
        assert private not in client.get(f"/Users/{user_id}").text

    def test_groups_have_extensions_too(self, client: ScimClient) -> None:
        group_id = client.create_group("Crew 1", **{CREW: {"costCode": 47, "size": "3"}})
        client.patch(f"/Groups/{group_id}", {"op": "replace", "path": f"{CREW}:size", "value": ["4"]})

        answer = client.get(f"/Groups/{group_id}").get_json(force=True)
        listed = client.post("/Groups/.search", {"filter": f"{CREW}:size ge 4"}).get_json(force=True)

        assert answer[CREW] == {"costCode": "47", "size": 4}
        assert CREW in answer["schemas"]
        assert listed["totalResults"] == 1

    def test_an_attribute_named_like_a_core_one_is_its_own(self, client: ScimClient, customer: Customer) -> None:
        urn = "urn:example:params:scim:schemas:extension:odd:2.0:User"
        names = ["active", "userName", "manager", "emails", "members", "name"]
        declare(
            customer, {"resourceType": "User", "id": urn, "name": "emails", "attributes": [attribute(n) for n in names]}
        )
        user_id = client.create_user("ann@corp.test", **{urn: dict.fromkeys(names, "yes")})

        for name in names:
            answer = client.patch(
                f"/Users/{user_id}", {"op": "replace", "path": f"{urn}:{name}", "value": f"my {name}"}
            )
            assert answer.status_code == 200, answer.text

        shown = client.get(f"/Users/{user_id}").get_json(force=True)
        assert shown[urn] == {name: f"my {name}" for name in names}
        assert (shown["active"], shown["userName"]) == (True, "ann@corp.test")
        removed = client.patch(f"/Users/{user_id}", {"op": "remove", "path": f"{urn}:userName"})
        assert removed.status_code == 200


class TestPatch:
    def test_paths_name_parts_and_entries(self, client: ScimClient) -> None:
        user_id = client.create_user(
            "ann@corp.test",
            **{
                ACME: {
                    "desk": {"building": "North"},
                    "contracts": [{"value": "a", "type": "work"}, {"value": "b", "type": "home"}],
                }
            },
        )

        answer = client.patch(
            f"/Users/{user_id}",
            {"op": "replace", "path": f"{ACME}:desk.floor", "value": "7"},
            {"op": "replace", "path": f'{ACME}:contracts[type eq "work"].value', "value": 5},
            {"op": "add", "path": f'{ACME}:contracts[type eq "home"]', "value": {"hours": "12.5"}},
            {"op": "add", "path": f"{ACME}:tags", "value": ["x", "y"]},
            {"op": "add", "path": f"{ACME}:tags", "value": "z"},
            {"op": "add", "path": f"{ACME}:scores", "value": [1, 2, 3]},
        )

        assert answer.status_code == 200, answer.text
        assert own(client, user_id) == {
            "desk": {"building": "North", "floor": 7},
            "contracts": [{"value": "5", "type": "work"}, {"value": "b", "type": "home", "hours": 12.5}],
            "tags": ["x", "y", "z"],
            "scores": [1, 2, 3],
        }

    def test_values_are_removed_by_attribute_entry_and_extension(self, client: ScimClient) -> None:
        values = {
            "badge": "B",
            "tags": ["x", "y"],
            "scores": [1, 2],
            "contracts": [{"value": "a", "type": "work"}, {"value": "b", "type": "home"}],
        }
        user_id = client.create_user("ann@corp.test", **{ACME: values})

        client.patch(
            f"/Users/{user_id}",
            {"op": "remove", "path": f"{ACME}:badge"},
            {"op": "remove", "path": f'{ACME}:contracts[type eq "work"]'},
            {"op": "remove", "path": f'{ACME}:tags[value eq "x"]'},
            {"op": "remove", "path": f"{ACME}:scores[value eq 2]"},
        )
        partly = own(client, user_id)
        client.patch(f"/Users/{user_id}", {"op": "remove", "path": ACME})

        assert partly == {"tags": ["y"], "scores": [1], "contracts": [{"value": "b", "type": "home"}]}
        assert own(client, user_id) == {}
        assert ACME not in client.get(f"/Users/{user_id}").text

    def test_the_whole_extension_is_a_value_or_a_path(self, client: ScimClient) -> None:
        user_id = client.create_user("ann@corp.test", **{ENTERPRISE: {"department": "Sales"}})

        client.patch(f"/Users/{user_id}", {"op": "add", "value": {ACME: {"badge": "B", "level": "1"}}})
        client.patch(f"/Users/{user_id}", {"op": "replace", "path": ACME, "value": {"level": 2}})

        answer = client.get(f"/Users/{user_id}").get_json(force=True)
        assert answer[ACME] == {"badge": "B", "level": 2}
        assert answer["schemas"] == [USER, ENTERPRISE, ACME]


class TestShowing:
    @pytest.fixture
    def user_id(self, client: ScimClient) -> str:
        return client.create_user(
            "ann@corp.test", **{ACME: {"badge": "B", "note": "N", "pin": "1234", "site": "Oslo", "level": 3}}
        )

    def test_never_is_never_shown_and_request_on_request(self, client: ScimClient, user_id: str) -> None:
        created = client.post(
            "/Users", {"schemas": [USER], "userName": "bob", ACME: {"pin": "9", "note": "N", "badge": "B"}}
        )
        listed = client.get("/Users?filter=userName%20eq%20%22ann@corp.test%22").get_json(force=True)["Resources"][0]

        assert created.get_json(force=True)[ACME] == {"badge": "B"}
        assert listed[ACME] == {"badge": "B", "site": "Oslo", "level": 3}
        assert own(client, user_id) == {"badge": "B", "site": "Oslo", "level": 3}
        assert own(client, user_id, attributes=f"{ACME}:note") == {"note": "N", "site": "Oslo"}
        assert own(client, user_id, attributes=f"{ACME}:pin") == {"site": "Oslo"}

    def test_a_projection_names_attributes_by_their_urn(self, client: ScimClient, user_id: str) -> None:
        assert own(client, user_id, attributes=f"{ACME}:level,userName") == {"level": 3, "site": "Oslo"}
        assert own(client, user_id, excludedAttributes=f"{ACME}:level,{ACME}:site") == {"badge": "B", "site": "Oslo"}
        assert own(client, user_id, attributes="userName") == {"site": "Oslo"}

    def test_what_is_never_shown_survives_a_patch_of_something_else(self, client: ScimClient, user_id: str) -> None:
        client.patch(f"/Users/{user_id}", {"op": "replace", "path": "title", "value": "CEO"})

        assert found(client, f'{ACME}:pin eq "1234"') == {"ann@corp.test"}


class TestFinding:
    @pytest.fixture
    def people(self, client: ScimClient) -> ScimClient:
        client.create_user("ann", **{ACME: {"badge": "Red", "code": "Ab", "level": 1, "ratio": 1.5, "remote": True,
            "hiredAt": "2024-01-01T01:00:00+02:00", "seal": "aGVsbG8=", "tags": ["X", "y"], "scores": [1, 9],
            "profile": "https://example.com/A", "desk": {"floor": 10},
            "contracts": [{"value": "c1", "hours": 10, "code": "Q"}, {"value": "c2", "hours": 40}]}})  # fmt: skip
        client.create_user("bob", **{ACME: {"badge": "blue", "code": "ab", "level": 10, "ratio": 10, "remote": False,
            "hiredAt": "2023-12-31T23:30:00Z", "tags": ["z"], "scores": [5], "desk": {"floor": 9}}})  # fmt: skip
        client.create_user("cleo")
        return client

    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ('badge eq "RED"', {"ann"}),
            ('badge co "E"', {"ann", "bob"}),
            ('badge ne "red"', {"bob", "cleo"}),
            ("badge pr", {"ann", "bob"}),
            ('code eq "ab"', {"bob"}),
            ('code sw "A"', {"ann"}),
            ("level eq 1", {"ann"}),
            ("level eq 1.0", {"ann"}),
            ("level gt 9", {"bob"}),
            ('level le "10"', {"ann", "bob"}),
            ("level ne 1", {"bob", "cleo"}),
            ("ratio gt 9.5", {"bob"}),
            ("ratio eq 10.0", {"bob"}),
            ("remote eq true", {"ann"}),
            ("remote eq false", {"bob"}),
            ('hiredAt lt "2023-12-31T23:30:00Z"', {"ann"}),
            ('hiredAt ge "2024-01-01T00:30:00+01:00"', {"bob"}),
            ('hiredAt eq "2023-12-31T23:00:00Z"', {"ann"}),
            ('profile eq "https://example.com/A"', {"ann"}),
            ('profile eq "https://example.com/a"', set()),
            ('seal eq "aGVsbG8="', {"ann"}),
            ('tags eq "x"', {"ann"}),
            ('tags co "Z"', {"bob"}),
            ("tags pr", {"ann", "bob"}),
            ('tags ne "x"', {"bob", "cleo"}),
            ("scores gt 5", {"ann"}),
            ("scores eq 5", {"bob"}),
            ("desk.floor gt 9", {"ann"}),
            ("contracts.hours ge 40", {"ann"}),
            ('contracts[hours eq 10.0 and value eq "C1"]', {"ann"}),
            ('contracts[hours eq 10 and value eq "c2"]', set()),
            ('contracts[code eq "q"]', set()),
            ("scores[value gt 8]", {"ann"}),
            ('tags[value eq "X"]', {"ann"}),
        ],
    )
    def test_filters_compare_by_type(self, people: ScimClient, text: str, names: set[str]) -> None:
        before, _, inner = text.partition("[")

        assert found(people, f"{ACME}:{before}" + (f"[{inner}" if inner else "")) == names

    @pytest.mark.parametrize(
        "text", ['level eq "five"', "level eq 1.5", "remote gt true", 'seal co "a"', 'hiredAt gt "x"']
    )
    def test_a_filter_that_cannot_be_meant_is_refused(self, client: ScimClient, text: str) -> None:
        answer = client.post("/Users/.search", {"filter": f"{ACME}:{text}"})

        assert (answer.status_code, answer.get_json(force=True)["scimType"]) == (400, "invalidFilter")

    @pytest.mark.parametrize(
        ("name", "order"),
        [("level", ["ann", "bob"]), ("ratio", ["ann", "bob"]), ("hiredAt", ["ann", "bob"]), ("badge", ["bob", "ann"]),
         ("desk.floor", ["bob", "ann"]), ("remote", ["bob", "ann"])],
    )  # fmt: skip
    def test_sorting_is_by_type_by_index_and_by_cursor(self, people: ScimClient, name: str, order: list[str]) -> None:
        asked = {"sortBy": f"{ACME}:{name}", "filter": f"{ACME}:{name} pr", "attributes": ["userName"]}

        whole = people.post("/Users/.search", asked).get_json(force=True)
        first = people.post("/Users/.search", asked | {"cursor": "", "count": 1}).get_json(force=True)
        second = people.post("/Users/.search", asked | {"cursor": first["nextCursor"], "count": 1}).get_json(force=True)

        assert [each["userName"] for each in whole["Resources"]] == order
        assert [each["userName"] for page in (first, second) for each in page["Resources"]] == order


class TestGroups:
    def test_what_is_hidden_of_a_group_stays_hidden_on_every_way(self, client: ScimClient, customer: Customer) -> None:
        urn = "urn:example:params:scim:schemas:extension:quiet:2.0:Group"
        quiet = [attribute("loud"), attribute("pin", returned="never"), attribute("site", returned="always")]
        declare(customer, {"resourceType": "Group", "id": urn, "name": "Quiet", "attributes": quiet})
        group_id = client.create_group("Crew 1", **{urn: {"loud": "L", "pin": "1", "site": "S"}})

        ways = [
            client.get(f"/Groups/{group_id}"),
            client.get(f"/Groups/{group_id}?excludedAttributes=members"),
            client.get(f"/Groups/{group_id}?attributes={urn}:loud,{urn}:pin"),
            client.patch(f"/Groups/{group_id}", {"op": "replace", "path": "displayName", "value": "Crew 2"}),
            client.put(f"/Groups/{group_id}", {"displayName": "Crew", urn: {"loud": "L", "pin": "1", "site": "S"}}),
        ]
        listed = [
            client.get("/Groups"),
            client.get('/Groups?filter=displayName%20eq%20"Crew"'),
            client.get('/Groups?filter=displayName%20eq%20"Crew"&excludedAttributes=members'),
        ]

        shown = [answer.get_json(force=True) for answer in ways]
        shown += [answer.get_json(force=True)["Resources"][0] for answer in listed]
        assert [each.get(urn) for each in shown] == [{"loud": "L", "site": "S"}] * 8


def test_a_request_read_by_schemas_that_changed_meanwhile_is_asked_to_come_again(customer: Customer) -> None:
    service = BridgeService(customer.runtime, with_seat=False)
    declare(customer, OF_GROUPS)

    with customer.unit() as unit:
        storage = MemberStorage(unit, customer.connection_id, service.provider, schema_version=0)
        with pytest.raises(UnavailableError), storage.operation():
            pass


def test_organizations_that_declare_the_same_share_a_service(make_customer: Callable[..., Customer]) -> None:
    customers = [make_customer(slug) for slug in ("first", "second", "third")]
    services = Services(customers[0].runtime)
    for customer in customers[:2]:
        declare(customer, EVERY_TYPE)

    first, second, third = (
        services.at(customer.org_id, version, can_write=True)
        for customer, version in zip(customers, (1, 1, 0), strict=True)
    )

    assert first is second
    assert first is not third
    assert services.at(customers[0].org_id, 1, can_write=True) is first
    assert services.at(customers[0].org_id, 1, can_write=False) is not first
