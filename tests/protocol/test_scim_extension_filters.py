"""A filter on an organization's own attributes means in SQL what the library's reading of the standard means."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from scim2_models import InvalidFilterException, Resource, ScimFilter
from scim2_server.utils import parametrize
from sqlalchemy import select

from bridge.store.models import Member
from bridge.store.unit import Unit
from bridge.usecases.extension_schemas import list_schemas
from scim.attributes import PEOPLE
from scim.expressions import filter_text
from scim.filters import condition_of
from scim.resources import model_of
from scim.service import BridgeService
from scim.storage import MemberStorage
from tests.factories import Customer
from tests.protocol.extensions import ACME, EVERY_TYPE, declare
from tests.protocol.scim_client import ScimClient, make_app, make_token

#: People who differ in every attribute, also by lacking it.
PEOPLE_WITH: tuple[dict[str, Any], ...] = (
    {},
    {"badge": "Red", "code": "Ab", "level": 1, "ratio": 1.5, "remote": True, "hiredAt": "2024-01-01T01:00:00+02:00"},
    {"badge": "red", "code": "ab", "level": 10, "ratio": 10, "remote": False, "hiredAt": "2023-12-31T23:00:00Z"},
    {"badge": "Ångström", "code": "1", "level": -3, "ratio": -0.25, "hiredAt": "2023-12-31T23:00:00.5Z"},
    {"profile": "https://example.com/A", "seal": "aGVsbG8=", "tags": ["X", "red"], "scores": [1, 9]},
    {"profile": "https://example.com/a", "seal": "AAAA", "tags": ["x"], "scores": [5], "desk": {"floor": 10}},
    {"desk": {"building": "North", "since": "2024-01-01T00:00:00Z"}, "level": 9007199254740993},
    {"contracts": [{"value": "Red", "hours": 10, "code": "Q"}, {"type": "work", "hours": 37.5, "primary": True}]},
    {"contracts": [{"value": "x", "code": "q", "primary": False}], "pin": "1", "note": "red"},
)

_TEXTS = st.sampled_from(
    ('"red"', '"RED"', '"ab"', '"Ab"', '"x"', '"Q"', '"ångström"', '"https://example.com/A"', '"1"')
)
_NUMBERS = st.sampled_from(("1", "1.0", "10", '"10"', "-3", "1.5", "-0.25", "37.5", "9", "9007199254740993"))
_INSTANTS = st.sampled_from(('"2023-12-31T23:00:00Z"', '"2024-01-01T00:00:00+01:00"', '"2023-12-31T23:00:00.500Z"'))
_VALUES: dict[str, tuple[tuple[str, ...], st.SearchStrategy[str]]] = {
    "text": (
        ("badge", "code", "profile", "note", "pin", "tags", "desk.building", "contracts", "contracts.code"),
        _TEXTS,
    ),
    "number": (("level", "ratio", "scores", "desk.floor", "contracts.hours"), _NUMBERS),
    "instant": (("hiredAt", "desk.since"), _INSTANTS),
    "truth": (("remote", "contracts.primary"), st.sampled_from(("true", "false"))),
    "bytes": (("seal",), st.sampled_from(('"aGVsbG8="', '"AAAA"', '"BBBB"'))),
}
_ORDERS = ("eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le")
_EQUALITIES = ("eq", "ne")


@st.composite
def comparisons(draw: st.DrawFn) -> str:
    """Write one comparison of one of the attributes, or of a part between brackets."""
    kind = draw(st.sampled_from(sorted(_VALUES)))
    names, values = _VALUES[kind]
    name, value = draw(st.sampled_from(names)), draw(values | st.just("null"))
    operator = draw(st.sampled_from(_EQUALITIES if kind in {"truth", "bytes"} else _ORDERS))
    outer, _, part = name.partition(".")
    if outer == "contracts" and draw(st.booleans()):
        other = draw(st.sampled_from(("", " and hours pr", ' or type eq "WORK"', " and not (primary eq true)")))
        return f"{ACME}:contracts[{part or 'value'} {operator} {value}{other}]"
    if name == "tags" and value != "null" and draw(st.booleans()):
        return f"{ACME}:tags[value {operator} {value}]"
    return f"{ACME}:{name} {operator} {value}"


_PRESENT = st.sampled_from([name for names, _ in _VALUES.values() for name in names] + ["desk"]).map(
    lambda name: f"{ACME}:{name} pr"
)
_TERMS = st.tuples(comparisons() | _PRESENT, st.sampled_from(("{}", "not ({})"))).map(
    lambda pair: pair[1].replace("{}", pair[0])
)
_FILTERS = st.tuples(st.lists(_TERMS, min_size=1, max_size=3), st.sampled_from((" and ", " or "))).map(
    lambda pair: pair[1].join(pair[0])
)

World = tuple[Unit, BridgeService, type[Resource[Any]], dict[str, Resource[Any]]]


@pytest.fixture
def world(customer: Customer) -> Iterator[World]:
    """Everybody of a directory, as rows and as the library's models."""
    declare(customer, EVERY_TYPE)
    client = ScimClient(make_app(customer), customer.slug, make_token(customer))
    for number, values in enumerate(PEOPLE_WITH):
        client.create_user(f"p{number}", **{ACME: values})
    with customer.unit() as unit:
        service = BridgeService(customer.runtime, with_seat=False, schemas=list_schemas(unit))
        users = service.resource_type_at("Users")
        storage = MemberStorage(unit, customer.connection_id, service.provider)
        ids = unit.session.scalars(select(Member.id).where(Member.connection_id == customer.connection_id)).all()
        stored = storage.load("User", ids, related=False)
        people = {str(getattr(one, "user_name", "")): one for one in (storage.resource(users, each) for each in stored)}
        yield unit, service, model_of(service.provider, users), people


@settings(
    max_examples=400,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(text=_FILTERS)
def test_a_filter_finds_whom_the_library_would_match(world: World, text: str) -> None:
    unit, service, model, people = world
    plain = filter_text(text, of_people=True)
    with service.provider:
        try:
            bound = parametrize(ScimFilter, model)(plain)
        except InvalidFilterException:
            return  # such as a text for a number: refused before anything is asked

        matched = {name for name, each in people.items() if bound.match(each)}
        found = set(
            unit.session.scalars(
                select(Member.user_name).where(
                    Member.org_id == unit.org_id, Member.user_name.in_(people), condition_of(bound, model, PEOPLE)
                )
            )
        )

    assert found == matched, text
