"""The lanes of sign-ins change nothing but time: the same answers and the same rows with and without them."""

import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import Any

import pytest
from lxml import etree
from sqlalchemy import select

from bridge.domain.credentials import credential_hash
from bridge.domain.provisioning import Confirmation
from bridge.errors import AdoptionRefusedError, UniquenessError
from bridge.simulator.saml import SAML, ReceivedRequest, Signed, SimulatedIdp, SimulatedUser, encode, sign
from bridge.store.base import Base
from bridge.store.directory import get_connection, get_member
from bridge.store.journal import verify
from bridge.store.models import Member, ScimToken
from bridge.usecases.manage_access import deactivate_member, reactivate_member
from bridge.usecases.map_claims import map_claims
from bridge.usecases.provision_member import remove_member
from bridge.web.app import create_web_app
from bridge.web.console import console_blueprints
from bridge.web.sso import oidc_blueprint, saml_blueprint
from bridge.web.sso.lane import SignInLane
from tests.conftest import SettableClock
from tests.factories import Customer, switch_mode_to
from tests.op import ADA as OP_ADA
from tests.op import OidcBrowser, open_id_provider, trust_op
from tests.protocol.scim_client import make_token
from tests.sign_ins import Browser, idp, map_groups, members, trust

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}")
#: What is random, or counted for all organizations together.
_RANDOM = {("saml_replay", "assertion_id"), ("sign_in_event", "seq"), ("sign_in_request", "id")}
_NAMES = ("ada", "bob", "carol", "dave")
#: Half of the names are longer.
_SHORT = 3
_STEPS = 20
_TABLES = (
    *("alert", "audit_entry", "connection", "decision", "delivery", "group", "group_member", "identity", "member"),
    *("organization_state", "saml_replay", "saml_session", "seat_pool", "sign_in_event", "sign_in_request"),
    "web_session",
)
_ENGINEERS = {"rules": [{"attribute": "department", "equals": "Engineering", "tier": "premium"}]}


class Side:
    """One of the two worlds in which the same people sign in."""

    def __init__(self, customer: Customer, *, with_lanes: bool) -> None:
        runtime = customer.runtime
        protocols = [blueprint(runtime, with_lanes=with_lanes) for blueprint in (saml_blueprint, oidc_blueprint)]
        self.app, self.customer = create_web_app(runtime, [*protocols, *console_blueprints()]), customer
        self.browsers: dict[str, Browser] = {}
        self.posted: list[tuple[str, str]] = []

    def browser(self, name: str) -> Browser:
        """Return one of the browsers of this world."""
        return self.browsers.setdefault(name, Browser(self.app, self.customer))

    def shape(self, answer: Any) -> tuple[Any, ...]:
        """Return what must be the same of an answer."""
        cookies = sorted(re.sub(r"=[\w-]{43}|-[0-9a-f]{16}", "=X", one) for one in answer.headers.getlist("Set-Cookie"))
        cookies = [re.sub(r"Expires=[^;]+", "Expires", one) for one in cookies]
        return tuple(self._plain(str(part)) for part in (answer.status_code, answer.location, cookies, answer.text))

    def _plain(self, text: str, names: Mapping[str, str] = MappingProxyType({})) -> str:
        plain = text.replace(str(self.customer.connection_id), "CONNECTION").replace(self.customer.slug, "SLUG")
        plain = plain.replace(self.customer.slug.title(), "NAME")
        return _ID.sub(lambda found: names.get(found.group(), "ID"), plain)

    def rows(self) -> dict[str, list[str]]:
        """Return every row of the organization, in an order that is no random one."""
        with self.customer.unit() as unit:
            broken = verify(unit)
            assert broken is None, f"the audit chain is broken at entry {broken}"
            names = self._names(unit)
            found: dict[str, list[str]] = {}
            for name in _TABLES:
                table = Base.metadata.tables[name]
                rows = unit.session.execute(select(table).where(table.c.org_id == unit.org_id)).mappings()
                found[name] = sorted(self._row(row, names, name) for row in rows)
            return found

    def _names(self, unit: Any) -> dict[str, str]:
        """Name people by their order of arrival; other identifiers are told apart by nothing."""
        people = unit.session.execute(select(Member.id, Member.position).where(Member.org_id == unit.org_id))
        return {str(member_id): f"person {position}" for member_id, position in people}

    def _row(self, row: Any, names: dict[str, str], table: str) -> str:
        facts = []
        for column, value in row.items():
            if (table, column) in _RANDOM or isinstance(value, bytes):
                continue
            facts.append(f"{column}={self._plain(str(value), names)}")
        return " ".join(facts)


class Worlds:
    """Both worlds, and whether a sign-in took a lane in the first."""

    def __init__(self, one: Side, other: Side, clock: SettableClock, taken: list[bool]) -> None:
        self.sides, self.clock, self.taken = (one, other), clock, taken

    def sign_in(
        self,
        user: SimulatedUser,
        *,
        lane: bool | None = None,
        status: int | None = 303,
        browser: str | None = None,
        **facts: Any,
    ) -> None:
        """Let somebody sign in in both worlds, and compare all that follows; None is for what is not known before."""
        self.clock.at += timedelta(milliseconds=1)
        self.taken.clear()
        answers = [_sign_in(side, user, self.clock.at, browser or user.name_id, **facts) for side in self.sides]
        self.compare(answers, status, lane=lane)

    def play_back(self, *, status: int | None = 403) -> None:
        """Post the newest answer once more."""
        self.taken.clear()
        answers = [side.browser(side.posted[-1][0]).answer(side.posted[-1][1]) for side in self.sides]
        self.compare(answers, status, lane=False)

    def each(self, change: Callable[[Customer], object]) -> None:
        """Change something in both worlds."""
        for side in self.sides:
            change(side.customer)

    def compare(self, answers: list[Any], status: int | None, *, lane: bool | None) -> None:
        """Check that both worlds answered the same, and that a lane was taken if one was to be."""
        shapes = [side.shape(answer) for side, answer in zip(self.sides, answers, strict=True)]
        assert status in {None, answers[0].status_code}, answers[0].text
        assert shapes[0] == shapes[1]
        assert lane in {None, any(self.taken)}

    def agree(self) -> None:
        """Check that both worlds hold the same."""
        one, other = (side.rows() for side in self.sides)
        for table, rows in one.items():
            assert rows == other[table], table


def _sign_in(
    side: Side,
    user: SimulatedUser,
    now: datetime,
    browser: str,
    *,
    department: str | None = None,
    at_provider: bool = False,
    answering: str | None = None,
    provider: SimulatedIdp | None = None,
) -> Any:
    received: ReceivedRequest = side.browser(browser).start()
    if at_provider:
        received = replace(received, request_id=None)
    response = (provider or idp()).draft(received, user, now=now)
    if department is not None:
        (statement,) = response.iter(f"{{{SAML}}}AttributeStatement")
        attribute = etree.SubElement(statement, f"{{{SAML}}}Attribute", {"Name": "department"})
        etree.SubElement(attribute, f"{{{SAML}}}AttributeValue").text = department
    posted = encode(sign(response, (provider or idp()).key, Signed.ASSERTION))
    side.posted.append((answering or browser, posted))
    return side.browser(answering or browser).answer(posted)


def person(name: str, **facts: Any) -> SimulatedUser:
    """Somebody of the directory."""
    address = f"{name}@acme.test"
    return replace(SimulatedUser(address, address, name.capitalize(), "Åberg"), **facts)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each sign-in since the list was cleared took a lane."""
    sign_ins: list[bool] = []
    arrive = SignInLane.arrive

    def noted(self: SignInLane, *arguments: Any) -> Any:
        arrived = arrive(self, *arguments)
        sign_ins.append(arrived is not None)
        return arrived

    monkeypatch.setattr(SignInLane, "arrive", noted)
    return sign_ins


@pytest.fixture
def worlds(make_customer: Callable[..., Customer], clock: SettableClock, taken: list[bool]) -> Iterator[Worlds]:
    """Two organizations of 2 Premium and 3 Standard seats: the first with lanes, the second without.

    At the end of a test both hold the same.
    """
    one, other = (make_customer(slug=slug, premium=2, standard=3) for slug in ("with-lanes", "lanes-less"))
    for customer in (one, other):
        trust(customer)
        with customer.unit() as unit:
            map_claims(unit, customer.connection_id, attributes={"department": "department"})
    both = Worlds(Side(one, with_lanes=True), Side(other, with_lanes=False), clock, taken)
    yield both
    both.agree()


def test_sign_ins_of_a_day_leave_the_same_with_lanes_and_without(worlds: Worlds) -> None:
    ada, bob = person("ada"), person("bob")

    worlds.sign_in(ada, lane=False)  # a connection is known once somebody has signed in
    worlds.sign_in(ada, lane=True)
    worlds.sign_in(ada, lane=True, browser="another browser")
    worlds.sign_in(bob, lane=True, department="Engineering")
    worlds.sign_in(bob, lane=True, department="Engineering")
    worlds.sign_in(bob, lane=True)  # what is left out stays as it was
    worlds.sign_in(bob, lane=False, department="Sales")
    worlds.sign_in(replace(ada, family_name="Ågren"), lane=False)
    worlds.sign_in(replace(ada, family_name="Ågren"), lane=True)
    worlds.sign_in(replace(ada, family_name="Ågren", email="bob@acme.test"), lane=False)
    worlds.play_back()


def test_newcomers_wait_when_no_seat_is_free_with_lanes_and_without(worlds: Worlds) -> None:
    worlds.each(lambda customer: map_groups(customer, _ENGINEERS))
    names = ["ada", "bob", "carol", "dave"]

    for name in names:
        # The first is nobody's lane, and neither is the third: the owners are told that Premium is full.
        worlds.sign_in(person(name), lane=name not in {"ada", "carol"}, department="Engineering")
    worlds.sign_in(person("erin"), lane=True)


def test_claimed_groups_are_the_same_with_lanes_and_without(worlds: Worlds) -> None:
    ada = person("ada", groups=("Engineering", "Everybody"))

    worlds.sign_in(ada, lane=False)
    worlds.sign_in(ada, lane=True)
    worlds.sign_in(replace(ada, groups=(" ", "everybody", "ENGINEERING")), lane=True)
    worlds.sign_in(replace(ada, groups=None), lane=True)
    worlds.sign_in(replace(ada, groups=("Everybody",)), lane=False)
    worlds.sign_in(replace(ada, groups=("Everybody",)), lane=True)
    worlds.sign_in(replace(ada, groups=("Everybody", "Legal")), lane=False)
    worlds.sign_in(replace(ada, groups=()), lane=False)
    worlds.sign_in(replace(ada, groups=()), lane=True)
    worlds.sign_in(person("bob", groups=("Everybody",)), lane=True)
    worlds.sign_in(person("bob", groups=("Everybody",)), lane=True)
    worlds.sign_in(person("dave", groups=("Everybody", "Finance")), lane=False)
    worlds.sign_in(person("carol", groups=()), lane=True)


def test_whom_the_directory_pushed_is_followed_by_no_claim_with_lanes_and_without(worlds: Worlds) -> None:
    worlds.each(lambda customer: customer.push("ada@acme.test", name={"givenName": "Ada", "familyName": "Byron"}))
    ada = person("ada")

    worlds.sign_in(ada, lane=False)
    worlds.sign_in(ada, lane=True)
    worlds.sign_in(replace(ada, family_name="Lovelace", groups=("Engineering",)), lane=True)
    worlds.sign_in(person("bob"), lane=True)


def test_refusals_leave_the_same_with_lanes_and_without(worlds: Worlds) -> None:
    ada, bob = person("ada"), person("bob")
    worlds.sign_in(ada, lane=False)
    worlds.sign_in(bob, lane=True)

    worlds.sign_in(ada, lane=False, status=403, browser="one", answering="other")
    worlds.sign_in(ada, lane=False, status=403, at_provider=True)
    worlds.sign_in(person("someone", email="ada@acme.test"), lane=False, status=403)
    worlds.each(lambda customer: _change(customer, "bob@acme.test", partial(deactivate_member, reason="directory")))
    worlds.sign_in(bob, lane=False, status=403)
    other = SimulatedIdp.create(idp().entity_id, idp().sso_url, now=worlds.clock.at)
    worlds.sign_in(ada, lane=False, status=403, provider=other)
    worlds.each(lambda customer: trust(customer, other))
    worlds.sign_in(ada, lane=False, status=403)
    worlds.sign_in(ada, lane=False, provider=other)
    worlds.sign_in(ada, lane=True, provider=other)
    worlds.each(_disable)
    worlds.play_back()


def test_settings_count_at_once_with_lanes_and_without(worlds: Worlds) -> None:
    ada = person("ada")
    worlds.sign_in(ada, lane=False)
    worlds.sign_in(ada, lane=True)

    worlds.each(lambda customer: _set(customer, idp_initiated=True))
    worlds.sign_in(ada, lane=False, at_provider=True)
    worlds.sign_in(ada, lane=True, at_provider=True)
    worlds.play_back()
    worlds.each(lambda customer: map_groups(customer, _ENGINEERS))
    worlds.sign_in(person("bob"), lane=False, department="Engineering")
    worlds.sign_in(person("carol"), lane=True)
    worlds.each(lambda customer: _set(customer, jit_enabled=False))
    worlds.sign_in(person("dave"), lane=False, status=403)
    worlds.sign_in(ada, lane=False)
    worlds.sign_in(person("dave"), lane=False, status=403)
    worlds.sign_in(ada, lane=True)
    worlds.each(lambda customer: switch_mode_to(customer, "scim"))
    worlds.sign_in(ada, lane=False)
    worlds.sign_in(replace(ada, family_name="Lovelace"), lane=True)


def test_provisional_people_and_removed_ones_are_the_same_with_lanes_and_without(worlds: Worlds) -> None:
    worlds.each(lambda customer: _set(customer, confirmation=Confirmation.ALWAYS))
    worlds.sign_in(person("ada"), lane=False)
    worlds.sign_in(person("bob"), lane=True)
    worlds.sign_in(person("bob"), lane=True)

    worlds.each(lambda customer: customer.push("carol@acme.test"))
    worlds.each(_use_token)
    worlds.each(lambda customer: _change(customer, "carol@acme.test", remove_member))
    worlds.sign_in(person("dave"), lane=False)  # that the directory pushes is new
    worlds.sign_in(person("carol"), lane=False, status=403)
    worlds.sign_in(person("erin"), lane=True)


def test_t14_no_lane_gives_a_role_to_whom_the_directory_has_to_name(worlds: Worlds) -> None:
    rules = {"rules": [{"attribute": "department", "equals": "Engineering", "role": "admin", "tier": "premium"}]}
    worlds.each(lambda customer: map_groups(customer, rules))
    worlds.each(lambda customer: _set(customer, confirmation=Confirmation.ALWAYS))
    worlds.sign_in(person("ada"), lane=False)

    worlds.sign_in(person("bob"), lane=True, department="Engineering")

    worlds.agree()
    for side in worlds.sides:
        assert {one.role for one in members(side.customer)} == {"member"}


def test_a_history_that_nobody_thought_of_leaves_the_same_with_lanes_and_without(worlds: Worlds) -> None:
    chance = random.Random(20260302)  # noqa: S311 (what comes next is no secret)
    groups = (None, None, (), ("Engineering",), ("Engineering", "Legal"))
    steps: list[Callable[[str], object]] = [
        lambda name: worlds.sign_in(person(name), status=None),
        lambda name: worlds.sign_in(person(name, groups=chance.choice(groups)), status=None),
        lambda name: worlds.sign_in(person(name), status=None, department=chance.choice(["Engineering", "Sales"])),
        lambda name: worlds.sign_in(person(name, family_name=chance.choice(["Åberg", "Ågren"])), status=None),
        lambda name: worlds.sign_in(person(name), status=None, at_provider=True),
        lambda name: worlds.sign_in(person(name, email=f"{chance.choice(_NAMES)}@acme.test"), status=None),
    ]
    changes: list[Callable[[str], object]] = [
        lambda name: worlds.each(lambda customer: _push(customer, name)),
        lambda name: worlds.each(lambda customer: _turn(customer, f"{name}@acme.test")),
        lambda name: worlds.each(lambda customer: _set(customer, idp_initiated=len(name) > _SHORT)),
        lambda name: worlds.each(lambda customer: _set(customer, jit_enabled=len(name) > _SHORT)),
        lambda _: worlds.each(lambda customer: map_groups(customer, _ENGINEERS)),
        lambda _: worlds.each(_use_token),
        lambda _: worlds.play_back(status=None),
    ]
    worlds.sign_in(person("ada"))
    for _ in range(_STEPS):
        step = chance.choice(changes if chance.random() < 0.2 else steps)
        step(chance.choice(_NAMES))


def test_sign_ins_by_openid_connect_leave_the_same_with_lanes_and_without(
    worlds: Worlds, clock: SettableClock, taken: list[bool]
) -> None:
    with open_id_provider() as op:
        op.now = clock.now
        worlds.each(lambda customer: trust_op(customer, op))
        for name, lane in (("ada", False), ("ada", True), ("bob", True), ("bob", True)):
            op.person = {**OP_ADA, "sub": name, "email": f"{name}@acme.test", "preferred_username": name}
            taken.clear()

            answers = [OidcBrowser(side.app, side.customer, op).enter() for side in worlds.sides]

            worlds.compare(answers, 303, lane=lane)


def _change(customer: Customer, user_name: str, change: Callable[..., object]) -> None:
    with customer.unit(customer.directory) as unit:
        mine = select(Member.id).where(Member.org_id == unit.org_id, Member.user_name == user_name)
        change(unit, get_member(unit, unit.session.scalars(mine).one()))


def _push(customer: Customer, name: str) -> None:
    with suppress(UniquenessError, AdoptionRefusedError):
        customer.push(f"{name}@acme.test", name={"givenName": name.capitalize(), "familyName": "Åberg"})


def _turn(customer: Customer, user_name: str) -> None:
    with customer.unit() as unit:
        mine = select(Member).where(Member.org_id == unit.org_id, Member.user_name == user_name)
        for one in unit.session.scalars(mine).all():
            turn = deactivate_member if one.active else reactivate_member
            turn(unit, one, reason="by_hand")


def _set(customer: Customer, **facts: object) -> None:
    with customer.unit() as unit:
        connection = get_connection(unit, customer.connection_id)
        for name, value in facts.items():
            setattr(connection, name, value)


def _disable(customer: Customer) -> None:
    _set(customer, disabled_at=customer.runtime.clock.now())


def _use_token(customer: Customer) -> None:
    token = make_token(customer)
    with customer.unit() as unit:
        stored = unit.session.scalars(select(ScimToken).where(ScimToken.token_hash == credential_hash(token))).one()
        get_connection(unit, customer.connection_id).scim_last_used_at = unit.at
        stored.last_used_at = unit.at
