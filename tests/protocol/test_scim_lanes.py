"""Lanes change nothing but time: the same requests with and without them leave the same answers and the same rows."""

import random
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from bridge.store.journal import verify
from bridge.store.models import Alert, AuditEntry, Decision, Delivery, Group, HeldPerson, Hold, Member, SeatPool
from scim.edge import scim_blueprint
from scim.lanes.directory import Lanes
from tests.conftest import SettableClock
from tests.factories import Customer
from tests.protocol.scim_client import ENTERPRISE, GROUP, USER, ScimClient, make_token

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TAG = re.compile(r'W/\\?"(\d+)-(\w+)-(\w+)\\?"')


class Side:
    """One of the two worlds that get the same requests."""

    def __init__(self, customer: Customer, slug: str, *, with_lanes: bool) -> None:
        app = Flask(__name__)
        app.register_blueprint(scim_blueprint(customer.runtime, with_lanes=with_lanes))
        self.customer, self.slug = customer, slug
        self.client = ScimClient(app, slug, make_token(customer))
        self.reader = ScimClient(app, slug, make_token(customer, can_write=False))
        self.ids: dict[str, str] = {}
        self.known: dict[str, str] = {}
        # The first request of a token notes its use, which is the general way's.
        self.client.get("/Users?count=0")
        self.reader.get("/Users?count=0")

    def symbols(self, text: str) -> str:
        """Name what differs between the worlds by the order in which it is seen."""
        text = text.replace(self.slug, "SLUG").replace(str(self.customer.connection_id), "CONNECTION")
        text = _TAG.sub(lambda tag: f"W/{tag.group(1)}-{tag.group(2) == '0'}-{tag.group(3) == '0'}", text)
        return _ID.sub(lambda found: self.ids.setdefault(found.group(), f"ID{len(self.ids)}"), text)

    def shape(self, answer: TestResponse) -> tuple[Any, ...]:
        """Return what must be the same: status, headers, body."""
        headers = {name: self.symbols(value) for name, value in answer.headers.items() if name != "X-Request-Id"}
        headers.pop("Content-Length", None)
        body = answer.get_json(force=True) if answer.data else None
        return answer.status_code, sorted(headers.items()), _sorted(self.symbols, body)

    def rows(self) -> list[Any]:
        """Return everything that the requests left behind."""
        with self.customer.unit() as unit:
            broken = verify(unit)
            assert broken is None, f"the audit chain is broken at entry {broken}"
            found: list[Any] = []
            skipped = {"org_id", "id", "digest", "previous", "request_id", "invoice_id"}
            for model, order in (
                (Member, Member.position),
                (Group, Group.position),
                (SeatPool, SeatPool.rank),
                (AuditEntry, AuditEntry.seq),
                (Decision, Decision.seq),
                (Alert, Alert.member_id),
                (Delivery, Delivery.created_at),
                (Hold, Hold.at),
                (HeldPerson, HeldPerson.at),
            ):
                for row in unit.session.scalars(select(model).where(model.org_id == unit.org_id).order_by(order)):
                    facts = {
                        column.key: getattr(row, column.key)
                        for column in model.__mapper__.column_attrs
                        if column.key not in skipped
                    }
                    if model in {Alert, Delivery}:
                        facts = {name: facts[name] for name in facts if name in {"code", "tier", "kind", "state"}}
                    found.append((model.__name__, _sorted(self.symbols, facts)))
            state = unit.state()
            counted = {"brake": state.brake_counts, "limit": state.brake_limit, "departed": state.has_departed}
            found.append(
                ("state", {"seq": state.audit_seq, "seats": state.seat_version, "at": state.member_position, **counted})
            )
        plain = [each for each in found if each[0] not in {"Alert", "Delivery"}]
        return plain + sorted((each for each in found if each not in plain), key=str)


def _sorted(symbols: Callable[[str], str], value: Any) -> Any:
    """Give a JSON value one order, and its identifiers symbols."""
    if isinstance(value, dict):
        return {name: _sorted(symbols, value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [_sorted(symbols, each) for each in value]
    return symbols(str(value)) if not isinstance(value, bool | int | float | None) else value


class Worlds:
    """Both worlds, and whether each request took a lane."""

    def __init__(self, one: Side, other: Side, clock: SettableClock) -> None:
        self.sides, self.clock = (one, other), clock
        self.names: dict[str, tuple[str, str]] = {}

    def send(self, method: str, path: str, body: Any = None, **facts: Any) -> TestResponse:
        """Send the same to both; ``{name}`` stands for the id of what was created under that name."""
        # People who began to wait at the same instant are served in the order of their random ids.
        self.clock.at += timedelta(milliseconds=1)
        answers = []
        for number, side in enumerate(self.sides):
            put = self._putting(number)
            sent = _filled(put, body)
            client = side.reader if facts.get("reader") else side.client
            answers.append(client.send(method, put(path), sent, headers=facts.get("headers")))
        shapes = [side.shape(answer) for side, answer in zip(self.sides, answers, strict=True)]
        assert shapes[0] == shapes[1], (method, path, body)
        return answers[0] if not facts.get("name") else self._named(facts["name"], answers)

    def _putting(self, number: int) -> Callable[[str], str]:
        """Return what puts the ids of one world into a text."""
        return lambda text: re.sub(r"\{(\w+)\}", lambda name: self.names[name.group(1)][number], text)

    def _named(self, name: str, answers: list[TestResponse]) -> TestResponse:
        self.names[name] = (answers[0].get_json()["id"], answers[1].get_json()["id"])
        return answers[0]

    def agree(self) -> None:
        """Check that both worlds hold the same."""
        one, other = (side.rows() for side in self.sides)
        for mine, its in zip(one, other, strict=True):
            assert mine[0] == its[0]
            differs = {name: (mine[1][name], its[1].get(name)) for name in mine[1] if mine[1][name] != its[1].get(name)}
            assert not differs, mine[0]


def _filled(put: Callable[[str], str], value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _filled(put, each) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(put, each) for each in value]
    return put(value) if isinstance(value, str) else value


@pytest.fixture
def worlds(make_customer: Callable[..., Customer], clock: SettableClock) -> Worlds:
    """Two organizations of 2 Premium and 3 Standard seats: the first with lanes, the second without."""
    one, other = (make_customer(slug=slug, premium=2, standard=3) for slug in ("with-lanes", "lanes-less"))
    return Worlds(Side(one, "with-lanes", with_lanes=True), Side(other, "lanes-less", with_lanes=False), clock)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The requests that a lane answered."""
    requests: list[tuple[str, str]] = []
    answer = Lanes.answer

    def noted(self: Lanes, call: Any) -> Any:
        answered = answer(self, call)
        if answered is not None:
            requests.append((call.method, call.path.partition("/")[0]))
        return answered

    monkeypatch.setattr(Lanes, "answer", noted)
    return requests


def person(name: str, **facts: Any) -> dict[str, Any]:
    """A person as an identity provider pushes one."""
    return {
        "schemas": [USER, ENTERPRISE],
        "userName": f"{name}@nordlys.example",
        "externalId": f"00u-{name}",
        "name": {"givenName": name.capitalize(), "familyName": "Åberg"},
        "emails": [{"value": f"{name}@nordlys.example", "type": "work", "primary": True}],
        "active": True,
        ENTERPRISE: {"department": "Research", "manager": {"value": "26118915-6090-4610-87e4-49d8ca9f808d"}},
        **facts,
    }


def patch(*operations: tuple[str, str | None, Any]) -> dict[str, Any]:
    """A PATCH body."""
    return {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [
            {"op": op, **({"path": path} if path else {}), **({"value": value} if value is not None else {})}
            for op, path, value in operations
        ],
    }


@pytest.mark.every_postgres
def test_a_day_of_an_identity_provider_is_the_same_with_lanes_and_without(
    worlds: Worlds, taken: list[tuple[str, str]]
) -> None:
    names = ["alice", "bob", "carol", "dave", "erin", "frank", "grace"]
    for name in names:
        worlds.send("GET", f'/Users?filter=userName eq "{name}@nordlys.example"')
        worlds.send("POST", "/Users", person(name), name=name)
        worlds.send("GET", f"/Users/{{{name}}}")
        worlds.send("GET", f"/Users/{{{name}}}", reader=True)
    worlds.send("POST", "/Users", person("alice"))
    worlds.send("POST", "/Users", person("ALICE", externalId="other"))
    worlds.send("POST", "/Users", person("heidi", externalId="00u-bob"))
    worlds.send("POST", "/Users", person("ivan", active=False), name="ivan")
    worlds.send("POST", "/Users", person("", userName=" "))
    worlds.send("POST", "/Groups", {"schemas": [GROUP], "displayName": "R&D", "members": [{"value": "{alice}"}]})
    for filter_text in ('externalId eq "00u-bob"', 'id eq "{carol}"', 'USERNAME EQ "Bob@Nordlys.example"', 'id eq "x"'):
        worlds.send("GET", f"/Users?filter={filter_text}")
        worlds.send("GET", f"/Users?startIndex=1&count=5&filter={filter_text}", reader=True)
    worlds.send("PATCH", "/Users/{alice}", patch(("replace", "title", "Head of R&D")))
    worlds.send("PATCH", "/Users/{alice}", patch(("replace", "title", "Head of R&D")))
    worlds.send("PATCH", "/Users/{bob}", patch(("Replace", "active", "False")))
    worlds.send("PATCH", "/Users/{bob}", patch(("Replace", "active", "False")))
    worlds.send("GET", "/Users/{grace}", reader=True)
    worlds.send("PATCH", "/Users/{bob}", patch(("Replace", "active", "True")))
    worlds.send("PATCH", "/Users/{ivan}", patch(("add", None, {"active": True, "name.givenName": "Iwan"})))
    worlds.send("PATCH", "/Users/{carol}", patch(("replace", 'emails[type eq "work"].value', "c@nordlys.example")))
    worlds.send("PATCH", "/Users/{carol}", patch(("remove", "name.familyName", None), ("add", "nickName", "Caz")))
    worlds.send("PATCH", "/Users/{carol}", patch(("replace", f"{ENTERPRISE}:department", "Sales")))
    worlds.send("PATCH", "/Users/{carol}", patch(("replace", "userName", "carolyn@nordlys.example")))
    worlds.send("PATCH", "/Users/{carol}", patch(("replace", "noSuchAttribute", "x")))
    worlds.send("PATCH", "/Users/{carol}", patch(("remove", "userName", None)))
    worlds.send("PUT", "/Users/{dave}", person("dave", title="Engineer"))
    worlds.send("PUT", "/Users/{dave}", person("dave", title="Engineer"))
    worlds.send("PUT", "/Users/{dave}", {"schemas": [USER], "userName": "dave@nordlys.example"})
    worlds.send("PUT", "/Users/{dave}", person("dave", active=False, displayName="Dave"))
    worlds.send("GET", "/Users/{dave}", headers={"If-None-Match": '"x"'})
    worlds.send("GET", "/Users/00000000-0000-4000-8000-000000000000")
    worlds.send("DELETE", "/Users/{erin}")
    worlds.send("GET", "/Users/{erin}")

    worlds.agree()
    assert {("GET", "Users"), ("POST", "Users"), ("PATCH", "Users"), ("PUT", "Users")} <= set(taken)
    assert len(taken) > 40, taken


@pytest.mark.parametrize("seed", range(6))
def test_any_history_is_the_same_with_lanes_and_without(
    worlds: Worlds, seed: int, taken: list[tuple[str, str]]
) -> None:
    chance = random.Random(seed)  # noqa: S311 (a test's choices)
    names: list[str] = []
    for _ in range(60):
        kind = chance.choice(["create", "create", "patch", "patch", "patch", "put", "get", "delete"])
        if kind == "create" or not names:
            name = f"p{len(names)}"
            worlds.send("POST", "/Users", person(name, active=chance.random() < 0.9), name=name)
            names.append(name)
            continue
        name = chance.choice(names)
        if kind == "patch":
            operations = chance.sample(
                [
                    ("replace", "active", chance.random() < 0.5),
                    ("add", "title", chance.choice(["a", "b"])),
                    ("replace", "name.familyName", chance.choice(["x", "y"])),
                    ("replace", None, {"displayName": chance.choice(["One", "Two"]), "active": "True"}),
                    ("add", "emails", [{"value": f"{name}@other.example", "type": "home"}]),
                    ("remove", "title", None),
                ],
                chance.randint(1, 2),
            )
            worlds.send("PATCH", f"/Users/{{{name}}}", patch(*operations))
        elif kind == "put":
            worlds.send("PUT", f"/Users/{{{name}}}", person(name, active=chance.random() < 0.6, title="p"))
        elif kind == "get":
            worlds.send("GET", f"/Users/{{{name}}}", reader=True)
        else:
            worlds.send("DELETE", f"/Users/{{{name}}}")

    worlds.agree()
    assert taken


def _walked(side: Side, client: ScimClient, count: int, direction: str, cursor: str = "") -> tuple[list[Any], str]:
    """Follow the cursors one way; return every page, its cursors as whether they are there, and the last cursor."""
    pages: list[Any] = []
    while True:
        answer = client.get(f"/Users?cursor={cursor}&count={count}")
        page = answer.get_json()
        following = page.pop(direction, None)
        beside = {name: page.pop(name) is not None for name in ("nextCursor", "previousCursor") if name in page}
        pages.append((answer.status_code, _sorted(side.symbols, page), following is not None, beside))
        if following is None:
            return pages, cursor
        cursor = following


@pytest.mark.parametrize("nested", [False, True], ids=["flat groups", "nested groups"])
def test_every_page_is_the_same_with_lanes_and_without(
    worlds: Worlds, taken: list[tuple[str, str]], *, nested: bool
) -> None:
    for number in range(23):
        worlds.send("POST", "/Users", person(f"p{number}", active=number % 5 > 0), name=f"p{number}")
    for number in (0, 7, 8, 22):
        worlds.send("DELETE", f"/Users/{{p{number}}}")
    inner = [{"value": "{p3}"}, {"value": "{p11}"}]
    worlds.send("POST", "/Groups", {"schemas": [GROUP], "displayName": "Inner", "members": inner}, name="inner")
    outer = [{"value": "{p3}"}, *([{"value": "{inner}", "type": "Group"}] if nested else [])]
    worlds.send("POST", "/Groups", {"schemas": [GROUP], "displayName": "Outer", "members": outer})
    del taken[:]

    for query in ("", "?startIndex=3&count=4", "?count=7&startIndex=14", "?startIndex=20&count=50", "?startIndex=99"):
        worlds.send("GET", f"/Users{query}")
        worlds.send("GET", f"/Users{query}", reader=True)
    by_lane = len(taken)
    for query in ("?count=0", "?count=-1", "?startIndex=0&count=2", "?startIndex=9223372036854775809", "?cursor=x"):
        worlds.send("GET", f"/Users{query}")
    worlds.send("GET", "/Users?count=2&sortBy=userName")
    walks = []
    for side in worlds.sides:
        for client in (side.client, side.reader):
            forwards, last = _walked(side, client, 4, "nextCursor")
            backwards, _ = _walked(side, client, 4, "previousCursor", last)
            walks.append((forwards, backwards))

    assert by_lane == 10
    assert walks[:2] == walks[2:]
    assert len(walks[0][0]) == len(walks[0][1]) == 5
    assert len(taken) > by_lane + 20


_PLACES = (
    'emails[type eq "work"].value',
    'EMAILS[TYPE EQ "Work"].VALUE',
    'emails[type eq "home"].value',
    'emails[ type  eq "other" ].display',
    'phoneNumbers[type eq "mobile"].value',
    'phoneNumbers[type eq "fax"].value',
    'addresses[type eq "work"].streetAddress',
    'addresses[type eq "work"].postalcode',
    'ims[type eq "skype"].value',
    'emails[type eq "work" and primary eq true].value',
    'emails[value eq "x"].value',
    'urn:ietf:params:scim:schemas:core:2.0:User:emails[type eq "work"].value',
    "name.givenName",
    "displayName",
)
_VALUES = (
    "x@nordlys.example",
    "X@NORDLYS.example",
    "Ada <ada@nordlys.example>",
    "not-an-address",
    "å@nordlys.example",
    "+47 1",
    " ",
    "x\t\u00e5",
    "",
)


@pytest.mark.parametrize("seed", range(4))
def test_parts_of_listed_values_are_written_the_same_with_lanes_and_without(
    worlds: Worlds, seed: int, taken: list[tuple[str, str]]
) -> None:
    chance = random.Random(seed)  # noqa: S311 (a test's choices)
    listed: dict[str, Any] = {
        "phoneNumbers": [{"value": "+47 2", "type": "Mobile"}, {"value": "+47 3", "type": "home"}],
        "addresses": [{"type": "work", "streetAddress": "Storgata 1", "primary": True}],
        "ims": [{"value": "a", "type": "skype"}, {"value": "b", "type": "skype"}],
    }
    worlds.send("POST", "/Users", person("rich", **listed), name="rich")
    worlds.send("POST", "/Users", person("plain", displayName="Plain"), name="plain")

    for _ in range(60):
        operations = [
            (chance.choice(["replace", "replace", "Replace", "add"]), chance.choice(_PLACES), chance.choice(_VALUES))
            for _ in range(chance.choice([1, 1, 2]))
        ]
        worlds.send("PATCH", f"/Users/{{{chance.choice(['rich', 'plain'])}}}", patch(*operations))

    worlds.agree()
    assert ("PATCH", "Users") in taken


@pytest.mark.parametrize(
    "path",
    [
        '/Users?filter=\u0130d eq "a"',
        '/Users?filter=external\u0131d eq "a"',
        '/Users?filter=u\u017ferName eq "rich@nordlys.example"',
        '/Users?filter=userName\u00a0eq "rich@nordlys.example"',
        '/Users?filter=\x1cuserName eq\u3000"rich@nordlys.example"',
        '/Groups?filter=d\u0130splayName eq "a"',
        '/Groups?filter=di\u017fplayName eq "a"',
        "/Groups/{team}?excludedAttributes=member\u017f",
    ],
)
def test_letters_and_spaces_beyond_ascii_are_no_others(worlds: Worlds, path: str) -> None:
    worlds.send("POST", "/Users", person("rich"), name="rich")
    worlds.send("POST", "/Groups", {"schemas": [GROUP], "displayName": "Team"}, name="team")
    strangers = [ScimClient(side.client.client.application, side.slug, "x") for side in worlds.sides]

    worlds.send("GET", path)

    assert {stranger.get(path.replace("{team}", "x")).status_code for stranger in strangers} == {401}


@pytest.mark.parametrize(
    "path",
    [
        "nic\u212aName",
        "name.honori\ufb01cPrefix",
        'addre\u017f\u017fe\u017f[type eq "work"].region',
        'emails[type eq "work"].di\u017fplay',
        'emails[type\u00a0eq "work"].value',
        "ACT\u0130VE",
    ],
)
def test_paths_with_letters_beyond_ascii_name_nothing(worlds: Worlds, path: str) -> None:
    worlds.send("POST", "/Users", person("rich", addresses=[{"type": "work", "region": "Oslo"}]), name="rich")

    worlds.send("PATCH", "/Users/{rich}", patch(("replace", path, "x@nordlys.example")))

    worlds.agree()
