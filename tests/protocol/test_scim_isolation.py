"""What keeps organizations apart: whatever one asks about another is answered as if the other did not exist.

Two organizations that are built alike ask the same thing, the one about what a third one really has, the other about
what nobody has. Both answers must be the same, byte for byte.
"""

import re
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from flask import Flask
from scim2_server.routing import Operation
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from bridge.store.models import AuditEntry, Group, GroupMember, Member, ParkedMember
from scim.edge import METHODS
from tests.factories import Customer
from tests.protocol.scim_client import ENTERPRISE, GROUP, USER, ScimClient, make_app, make_token

#: Identifiers, and what an ETag says, which is partly a digest over them.
RANDOM = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d+-[0-9a-f]{12}-[0-9a-f]+")
BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
#: Samples of each kind, and how much slower the middle one may be: generous, for a busy machine.
SAMPLES = 200
FACTOR = 2.0


@dataclass(frozen=True)
class Asked:
    """One request; ``{id}`` in the path and in the body stands for the thing asked about."""

    operation: Operation
    method: str
    path: str
    body: Any = None
    headers: dict[str, str] | None = None

    def send(self, client: ScimClient, target: str, own: dict[str, str]) -> TestResponse:
        facts = {"id": target, **own}
        headers = {"X-Request-Id": "the-same", **(self.headers or {})}
        path = _filled(self.path, {name: quote(text) for name, text in facts.items()})
        return client.send(self.method, path, _filled(self.body, facts), headers=headers)


def _filled(value: Any, facts: dict[str, str]) -> Any:
    if isinstance(value, str):
        for name, text in facts.items():
            value = value.replace(f"{{{name}}}", text)
        return value
    if isinstance(value, dict):
        return {name: _filled(each, facts) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, facts) for each in value]
    return value


@dataclass(frozen=True)
class World:
    """Somebody with secrets, and two who ask: ``asking`` about them, ``guessing`` about nobody."""

    secretive: Customer
    secrets: tuple[str, ...]
    targets: tuple[str, ...]
    asking: ScimClient
    guessing: ScimClient
    own: tuple[dict[str, str], dict[str, str]]

    def answers(self, asked: Asked, target: str, instead: str) -> tuple[str, str]:
        """Ask both, and return what they were answered, without what must differ between two organizations."""
        first = asked.send(self.asking, target, self.own[0])
        second = asked.send(self.guessing, instead, self.own[1])
        # What was sent before, as the manager of one's own person, comes back.
        self.check_nothing_shows(first, but=self.targets[: self.targets.index(target) + 1])
        return _comparable(first, self.asking, target), _comparable(second, self.guessing, instead)

    def check_nothing_shows(self, answer: TestResponse, but: tuple[str, ...] = ()) -> None:
        """Check that nothing of the secretive organization is in an answer, except what was sent oneself."""
        told = f"{answer.text}\n{answer.headers}"
        assert [secret for secret in self.secrets if secret in told and secret not in but] == []

    def state(self) -> tuple[Any, ...]:
        """Everything of the secretive organization that a request could change."""
        with self.secretive.unit() as unit:
            people = unit.session.execute(select(Member.id, Member.version, Member.document).order_by(Member.id)).all()
            counts = [
                unit.session.scalar(select(func.count()).select_from(model))
                for model in (AuditEntry, Group, GroupMember, ParkedMember)
            ]
            return (*people, *counts)


def _comparable(answer: TestResponse, client: ScimClient, target: str) -> str:
    """Write an answer down with organization, target and random ids by their order of appearance."""
    headers = sorted((name, value) for name, value in answer.headers.items() if name != "Date")
    text = f"{answer.status}\n{headers}\n{answer.text}".replace(target, "<asked about>").replace(client.root, "<root>")
    seen: dict[str, str] = {}
    return RANDOM.sub(lambda match: seen.setdefault(match.group(), f"<random {len(seen)}>"), text)


@pytest.fixture
def app(customer: Customer) -> Flask:
    return make_app(customer)


@pytest.fixture
def world(app: Flask, customer: Customer, make_customer: Callable[..., Customer]) -> World:
    del customer  # It makes the runtime that all share.
    secretive, asking, guessing = (make_customer(slug=slug) for slug in ("secretive", "twin-one", "twin-two"))
    theirs = ScimClient(app, secretive.slug, make_token(secretive))
    boss = theirs.create_user("boss@hidden.test", displayName="Hidden Boss", externalId="hidden-7")
    person = theirs.create_user(
        "p@hidden.test", **{"schemas": [USER, ENTERPRISE], ENTERPRISE: {"manager": {"value": boss}}}
    )
    group = theirs.create_group("Hidden Team", person, externalId="hidden-group-7")
    clients = [ScimClient(app, one.slug, make_token(one)) for one in (asking, guessing)]
    return World(
        secretive=secretive,
        secrets=(boss, person, group, str(secretive.org_id), "hidden", "Hidden", "secretive"),
        targets=(person, group),
        asking=clients[0],
        guessing=clients[1],
        own=(_furnish(clients[0]), _furnish(clients[1])),
    )


def _furnish(client: ScimClient) -> dict[str, str]:
    person = client.create_user("own@asking.test")
    return {"own_person": person, "own_group": client.create_group("Own", person)}


def _member(path: str | None, operation: str) -> dict[str, Any]:
    change: dict[str, Any] = {"op": operation, "value": [{"value": "{id}"}]}
    return {"schemas": [PATCH], "Operations": [change | ({"path": path} if path else {})]}


def _bulk(method: str, path: str, **facts: Any) -> dict[str, Any]:
    return {"schemas": [BULK], "Operations": [{"method": method, "path": path, **facts}]}


FILTERS = (
    ("Users", 'id eq "{id}"'),
    ("Users", 'id sw "{id}"'),
    ("Users", 'not (id ne "{id}")'),
    ("Users", 'groups.value eq "{id}"'),
    ("Users", 'groups[value eq "{id}"]'),
    ("Users", 'manager.value eq "{id}"'),
    ("Users", f'{ENTERPRISE}:manager.value eq "{{id}}"'),
    ("Users", 'id eq "{id}" and manager eq "{id}"'),
    ("Groups", 'id eq "{id}"'),
    ("Groups", 'members.value eq "{id}"'),
    ("Groups", 'members[value eq "{id}"]'),
    ("Groups", 'members eq "{id}"'),
    ("Groups", 'id eq "{id}" and members[value eq "{id}"]'),
)

T1_BY_ID = [
    *(
        Asked(Operation.query, method, path, headers=headers)
        for method in ("GET", "HEAD")
        for path in ("/Users/{id}", "/Groups/{id}", "/Users/{id}?attributes=userName", "/Users/{id}.scim")
        for headers in (None, {"If-None-Match": "*"}, {"If-None-Match": 'W/"1"'}, {"If-Match": 'W/"1"'})
    ),
    *(
        Asked(operation, method, f"/{kind}/{{id}}", body, headers)
        for kind, name in (("Users", "userName"), ("Groups", "displayName"))
        for operation, method, body in (
            (Operation.replace, "PUT", {"schemas": [USER if kind == "Users" else GROUP], name: "taken over"}),
            (Operation.patch, "PATCH", {"Operations": [{"op": "replace", "path": name, "value": "x"}]}),
            (Operation.patch, "PATCH", _member("members", "remove")),
            (Operation.delete, "DELETE", None),
        )
        for headers in (None, {"If-Match": "*"}, {"If-Match": 'W/"1"'})
    ),
    Asked(Operation.schema, "GET", "/Schemas/{id}"),
    Asked(Operation.resource_type, "GET", "/ResourceTypes/{id}"),
]
#: Every method at every address under which an id could be tried.
T1_ANYWHERE = [
    Asked(Operation.query, method, path, None if method in {"GET", "HEAD", "DELETE", "OPTIONS"} else {})
    for method in METHODS
    for path in ("/{id}", "/Me/{id}", "/Bulk/{id}", "/.search/{id}", "/Users/{id}/groups", "/Users/.search/{id}")
]
T1_FILTERS = [
    *(Asked(Operation.search, "GET", f"/{kind}?filter={quote(text, safe='{}')}") for kind, text in FILTERS),
    *(
        Asked(Operation.search_with_body, "POST", path, {"schemas": [SEARCH], "filter": text})
        for kind, text in FILTERS
        for path in (f"/{kind}/.search", "/.search")
    ),
]
T3_BODIES = [
    Asked(
        Operation.create,
        "POST",
        "/Groups",
        {"schemas": [GROUP], "displayName": "A {id}", "members": [{"value": "{id}"}]},
    ),
    Asked(
        Operation.create,
        "POST",
        "/Groups",
        {
            "displayName": "B {id}",
            "members": [{"value": "{id}", "type": "Group", "display": "x", "$ref": "../Groups/{id}"}],
        },
    ),
    Asked(Operation.create, "POST", "/Groups", {"displayName": "C {id}", "members": ["{id}"]}),
    Asked(Operation.create, "POST", "/Users", {"schemas": [USER], "userName": "a-{id}@x.test", "id": "{id}"}),
    Asked(Operation.create, "POST", "/Users", {"userName": "b-{id}@x.test", "groups": [{"value": "{id}"}]}),
    Asked(
        Operation.create, "POST", "/Users", {"userName": "c-{id}@x.test", ENTERPRISE: {"manager": {"value": "{id}"}}}
    ),
    Asked(Operation.create, "POST", "/Users", {"userName": "d-{id}@x.test", ENTERPRISE: {"manager": "{id}"}}),
    Asked(Operation.patch, "PATCH", "/Groups/{own_group}", _member("members", "add")),
    Asked(Operation.patch, "PATCH", "/Groups/{own_group}", _member("members", "remove")),
    Asked(Operation.patch, "PATCH", "/Groups/{own_group}", _member("members", "replace")),
    Asked(
        Operation.patch,
        "PATCH",
        "/Groups/{own_group}",
        {"Operations": [{"op": "remove", "path": 'members[value eq "{id}"]'}]},
    ),
    Asked(Operation.replace, "PUT", "/Groups/{own_group}", {"displayName": "Own", "members": [{"value": "{id}"}]}),
    Asked(Operation.query, "GET", "/Groups/{own_group}"),
    Asked(
        Operation.patch,
        "PATCH",
        "/Users/{own_person}",
        {"Operations": [{"op": "add", "path": "manager", "value": "{id}"}]},
    ),
    Asked(
        Operation.replace,
        "PUT",
        "/Users/{own_person}",
        {"userName": "own@asking.test", ENTERPRISE: {"manager": {"value": "{id}", "$ref": "../Users/{id}"}}},
    ),
    Asked(Operation.query, "GET", "/Users/{own_person}"),
]
T3_BULK = [
    *(
        Asked(Operation.bulk, "POST", "/Bulk", _bulk(method, f"/{kind}/{{id}}", **facts))
        for kind in ("Users", "Groups")
        for method, facts in (
            ("DELETE", {}),
            ("DELETE", {"version": 'W/"1"'}),
            ("PATCH", {"data": {"Operations": [{"op": "replace", "path": "displayName", "value": "x"}]}}),
            ("PUT", {"data": {"userName": "z@x.test", "displayName": "z"}}),
        )
    ),
    Asked(
        Operation.bulk,
        "POST",
        "/Bulk",
        _bulk("POST", "/Groups", bulkId="1", data={"displayName": "D {id}", "members": ["{id}"]}),
    ),
    Asked(
        Operation.bulk,
        "POST",
        "/Bulk",
        _bulk("POST", "/Groups", bulkId="1", data={"displayName": "E {id}", "members": [{"value": "bulkId:{id}"}]}),
    ),
    Asked(Operation.bulk, "POST", "/Bulk", _bulk("POST", "/Users", bulkId="{id}", data={"userName": "e-{id}@x.test"})),
    Asked(Operation.bulk, "POST", "/Bulk", _bulk("PATCH", "/Groups/{own_group}", data=_member("members", "add"))),
    Asked(Operation.bulk, "POST", "/Bulk", _bulk("DELETE", "/Users/bulkId:{id}")),
]
CASES = {
    "t1_by_id": T1_BY_ID,
    "t1_anywhere": T1_ANYWHERE,
    "t1_filters": T1_FILTERS,
    "t3_bodies": T3_BODIES,
    "t3_bulk": T3_BULK,
}


def test_every_operation_that_can_name_something_is_asked() -> None:
    asked = {case.operation for cases in CASES.values() for case in cases}

    assert asked == set(Operation) - {Operation.service_provider_config, Operation.resource_types, Operation.schemas}


@pytest.mark.parametrize("name", CASES)
def test_t1_t3_what_another_organization_has_is_answered_as_what_nobody_has(world: World, name: str) -> None:
    before = world.state()

    for target in world.targets:
        nobody = str(uuid4())
        for asked in CASES[name]:
            about_them, about_nobody = world.answers(asked, target, nobody)

            assert about_them == about_nobody, (asked.method, asked.path, asked.body)

    assert world.state() == before


@pytest.mark.parametrize(
    ("taken", "free"),
    [("p@hidden.test", "p@nobody.test"), ("hidden-7", "nobody-7"), ("Hidden Team", "Nobody Team")],
)
def test_t4_t5_a_name_that_another_organization_has_is_as_free_as_any(world: World, taken: str, free: str) -> None:
    new: dict[str, Any] = {"userName": "{id}", "externalId": "{id}", "emails": [{"value": "{id}", "primary": True}]}
    cases = [
        Asked(Operation.query, "GET", "/Users/{id}"),
        *(
            Asked(Operation.search, "GET", f"/Users?filter={quote(text, safe='{}')}")
            for text in (
                'userName eq "{id}"',
                'externalId eq "{id}"',
                'emails.value eq "{id}"',
                'displayName co "{id}"',
            )
        ),
        Asked(Operation.search, "GET", "/Groups?filter=displayName%20eq%20%22{id}%22"),
        Asked(Operation.create, "POST", "/Groups", {"displayName": "N", "members": [{"value": "{id}"}]}),
        Asked(Operation.create, "POST", "/Users", new),
        Asked(Operation.create, "POST", "/Users", new),  # and now it is taken, by oneself
        Asked(Operation.create, "POST", "/Groups", {"displayName": "{id}", "externalId": "{id}"}),
        Asked(
            Operation.patch,
            "PATCH",
            "/Users/{own_person}",
            {"Operations": [{"op": "add", "value": {"nickName": "{id}"}}]},
        ),
    ]
    before = world.state()

    for asked in cases:
        first = asked.send(world.asking, taken, world.own[0])
        second = asked.send(world.guessing, free, world.own[1])

        answers = [
            _comparable(first, world.asking, taken).replace(taken.casefold(), "<asked about>"),
            _comparable(second, world.guessing, free).replace(free.casefold(), "<asked about>"),
        ]
        assert answers[0] == answers[1], (asked.method, asked.path, asked.body)

    assert world.state() == before


def test_t2_another_organizations_address_is_401_for_every_method(world: World) -> None:
    token = world.asking.token
    theirs = ScimClient(world.asking.client.application, "secretive", token)
    nobodys = ScimClient(world.asking.client.application, "nobody", token)
    # Fewer requests than after which whoever guesses is told to wait.
    paths = (f"/Users/{world.targets[0]}", "/Groups", "/Me", "/Bulk")

    for method in METHODS:
        for path in paths:
            answers = [one.send(method, path, headers={"X-Request-Id": "the-same"}) for one in (theirs, nobodys)]

            assert answers[0].status_code == 401, (method, path)
            assert _comparable(answers[0], theirs, "") == _comparable(answers[1], nobodys, ""), (method, path)


def test_t6_an_empty_bearer_learns_nothing_of_an_id(world: World) -> None:
    stranger = ScimClient(world.asking.client.application, "secretive", None)

    for authorization in ("Bearer", "Bearer ", "Bearer \t", "", "bearer  "):
        sent = {"Authorization": authorization, "X-Request-Id": "the-same"}
        answers = [stranger.get(f"/Users/{each}", headers=sent) for each in (world.targets[0], str(uuid4()))]

        assert answers[0].status_code == 401
        assert (answers[0].data, sorted(answers[0].headers)) == (answers[1].data, sorted(answers[1].headers))


def test_a_cursor_of_another_organization_shows_nobody_of_theirs(world: World) -> None:
    theirs = ScimClient(world.asking.client.application, "secretive", make_token(world.secretive))
    cursor = theirs.get("/Users?cursor=&count=1").get_json(force=True)["nextCursor"]

    answer = world.asking.get(f"/Users?cursor={quote(cursor)}&count=1")

    world.check_nothing_shows(answer)
    if answer.status_code == 200:
        listed = [person["userName"] for person in answer.get_json(force=True)["Resources"]]
        assert set(listed) <= {"own@asking.test"}


def test_an_etag_of_another_organization_proves_nothing(world: World) -> None:
    theirs = ScimClient(world.asking.client.application, "secretive", make_token(world.secretive))
    person = world.targets[0]
    etag = theirs.get(f"/Users/{person}").headers["ETag"]

    for header in ("If-None-Match", "If-Match"):
        for method in ("GET", "DELETE"):
            asked = Asked(Operation.query, method, "/Users/{id}", headers={header: etag})
            about_them, about_nobody = world.answers(asked, person, str(uuid4()))

            assert about_them == about_nobody


def test_me_is_nobody_for_a_provisioning_client_whatever_it_says_of_itself(world: World) -> None:
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        for path in ("/Me", "/Me?id={id}", "/Me?filter=id%20eq%20%22{id}%22"):
            asked = Asked(Operation.query, method, path, {"id": "{id}"} if method != "GET" else None)
            about_them, about_nobody = world.answers(asked, world.targets[0], str(uuid4()))

            assert about_them == about_nobody, (method, path)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/Users/{id}", "/Groups?filter=members.value%20eq%20%22{id}%22"])
def test_the_time_of_an_answer_does_not_tell_what_another_organization_has(world: World, path: str) -> None:
    def seconds(target: str) -> float:
        address = path.replace("{id}", target)
        begin = time.perf_counter()
        world.asking.get(address)
        return time.perf_counter() - begin

    target = world.targets[0]
    for _ in range(20):
        seconds(target)
        seconds(str(uuid4()))

    # One after the other, so that whatever else the machine does falls on both.
    pairs = [(seconds(target), seconds(str(uuid4()))) for _ in range(SAMPLES)]

    existing, unknown = (statistics.median(each) for each in zip(*pairs, strict=True))
    assert 1 / FACTOR < existing / unknown < FACTOR
