"""Whom only a sign-in made, under a name that nothing proves: a directory that comes upon them gives them nothing."""

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from bridge.domain.provisioning import Confirmation
from bridge.domain.roles import Role
from bridge.errors import SignInRefusedError
from bridge.store.directory import get_connection, get_member
from bridge.store.models import Alert, Identity, Member
from bridge.usecases.confirm_people import confirm_member
from bridge.usecases.provisional import set_confirmation
from tests.factories import Customer
from tests.protocol.scim_client import GROUP, USER, ScimClient, make_app, make_token
from tests.sign_ins import map_groups, sign_in, trust, verified_domain

PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
_numbers = itertools.count()


@pytest.fixture
def acme(customer: Customer) -> Customer:
    """A provider whose people may choose a name, and a rule by which a group of the directory makes admins."""
    trust(customer)
    map_groups(customer, {"rules": [{"group": "Executives", "expected": True, "role": "admin", "tier": "premium"}]})
    return customer


@pytest.fixture
def directory(acme: Customer) -> ScimClient:
    return ScimClient(make_app(acme), acme.slug, make_token(acme))


@pytest.fixture
def executives(directory: ScimClient) -> str:
    return str(directory.post("/Groups", {"schemas": [GROUP], "displayName": "Executives"}).get_json()["id"])


def confirming(acme: Customer, *, wanted: bool = True) -> None:
    with acme.unit() as unit:
        set_confirmation(unit, acme.connection_id, Confirmation.ALWAYS if wanted else Confirmation.NEVER)


def choose_name(acme: Customer, name: str, subject: str = "mallory") -> Member:
    """Sign somebody in who calls themselves so, which nobody vouches for."""
    return sign_in(
        acme, subject, directory_name=name, is_name_sure=False, email="m@evil.test", is_email_verified=False
    ).member


def now(acme: Customer, member: Member) -> Member:
    with acme.unit() as unit:
        return get_member(unit, member.id)


def alerts(acme: Customer) -> list[tuple[str, bool]]:
    with acme.unit() as unit:
        return [(one.code, one.resolved_at is None) for one in unit.session.scalars(select(Alert))]


def put_into(directory: ScimClient, group: str, *ids: object) -> None:
    values = [{"value": str(one)} for one in ids]
    body = {"schemas": [PATCH], "Operations": [{"op": "add", "path": "members", "value": values}]}
    assert directory.send("PATCH", f"/Groups/{group}", body).status_code in {200, 204}


@pytest.mark.parametrize("is_provisional", [True, False])
@pytest.mark.parametrize("is_verified", [True, False])
def test_t14_a_directory_that_finds_a_stranger_by_name_makes_them_nothing_and_owners_are_told_once(
    acme: Customer, directory: ScimClient, executives: str, *, is_provisional: bool, is_verified: bool
) -> None:
    if is_verified:
        verified_domain(acme, "acme.test")
    confirming(acme, wanted=is_provisional)
    before = now(acme, choose_name(acme, "ceo@acme.test"))
    found = directory.get('/Users?filter=userName eq "ceo@acme.test"').get_json()["Resources"][0]["id"]

    put_into(directory, executives, found)
    put_into(directory, executives, found)

    after = now(acme, before)
    assert found == str(before.id)
    assert (after.role, after.tier, after.provisional_until) == (Role.MEMBER, before.tier, before.provisional_until)
    assert alerts(acme) == [("unproven_named", True)]


def test_whom_an_admin_confirms_gets_what_the_directory_has_said_and_is_pushed_with_their_sign_in(
    acme: Customer, directory: ScimClient, executives: str
) -> None:
    confirming(acme)
    ceo = choose_name(acme, "ceo@acme.test")
    put_into(directory, executives, ceo.id)

    with acme.unit(acme.owner) as unit:
        confirm_member(unit, get_member(unit, ceo.id))

    confirmed = now(acme, ceo)
    pushed = directory.post("/Users", {"schemas": [USER], "userName": "ceo@acme.test", "active": True})
    assert (confirmed.role, confirmed.provisional_until, pushed.status_code) == (Role.ADMIN, None, 201)
    assert alerts(acme) == [("unproven_named", False)]
    assert choose_name(acme, "ceo@acme.test").id == ceo.id


def test_a_provisional_person_gets_the_role_of_their_groups_when_the_directory_pushes_them(
    acme: Customer, directory: ScimClient, executives: str
) -> None:
    confirming(acme)
    ada = sign_in(acme, "ada@acme.test", groups=frozenset({"Executives"})).member
    before = now(acme, ada)

    directory.send("PUT", f"/Users/{ada.id}", {"schemas": [USER], "userName": "ada@acme.test", "active": True})

    after = now(acme, ada)
    assert (before.role, before.tier, after.role, after.tier) == (Role.MEMBER, "premium", Role.ADMIN, "premium")


def test_t14_a_connection_that_believes_another_provider_adopts_nobody_of_the_former_one(
    acme: Customer, directory: ScimClient
) -> None:
    sign_in(acme, "ceo@acme.test")
    with acme.unit() as unit:
        get_connection(unit, acme.connection_id).issuer = "https://other.example/idp"

    pushed = directory.post("/Users", {"schemas": [USER], "userName": "CEO@acme.test", "active": True})

    assert pushed.status_code == 409


STEPS: dict[str, Any] = {
    "group": lambda person, group: ("PATCH", f"/Groups/{group}", _patch("add", "members", [{"value": person["id"]}])),
    "members": lambda person, group: (
        "PUT",
        f"/Groups/{group}",
        {"schemas": [GROUP], "displayName": "Executives", "members": [{"value": person["id"]}]},
    ),
    "out": lambda person, group: (
        "PATCH",
        f"/Groups/{group}",
        _patch("remove", f'members[value eq "{person["id"]}"]', None),
    ),
    "same": lambda person, _: ("PUT", f"/Users/{person['id']}", person),
    "numbered": lambda person, _: ("PUT", f"/Users/{person['id']}", {**person, "externalId": f"n-{person['id']}"}),
    "title": lambda person, _: ("PATCH", f"/Users/{person['id']}", _patch("replace", "title", "Chief")),
    "address": lambda person, _: (
        "PATCH",
        f"/Users/{person['id']}",
        _patch("replace", "emails", [{"value": person["userName"], "primary": True}]),
    ),
    "off": lambda person, _: ("PATCH", f"/Users/{person['id']}", _patch("replace", "active", value=False)),
    "on": lambda person, _: ("PATCH", f"/Users/{person['id']}", _patch("replace", "active", value=True)),
    "push": lambda person, _: ("POST", "/Users", {key: value for key, value in person.items() if key != "id"}),
    "delete": lambda person, _: ("DELETE", f"/Users/{person['id']}", None),
}


def _patch(op: str, path: str, value: Any) -> dict[str, Any]:
    operation = {"op": op, "path": path} | ({} if value is None else {"value": value})
    return {"schemas": [PATCH], "Operations": [operation]}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.booleans()), min_size=1, max_size=6),
    is_provisional=st.booleans(),
    is_verified=st.booleans(),
)
def test_t14_no_sequence_of_pushes_gives_a_console_role_to_whom_nothing_proves(
    acme: Customer,
    directory: ScimClient,
    executives: str,
    steps: list[tuple[str, bool]],
    *,
    is_provisional: bool,
    is_verified: bool,
) -> None:
    number = next(_numbers)
    domain, subject = f"acme{number}.test", f"mallory{number}"
    name = f"ceo@{domain}"
    if is_verified:
        verified_domain(acme, domain)
    confirming(acme, wanted=is_provisional)
    choose_name(acme, name, subject)

    for step, is_bulk in steps:
        found = directory.get(f'/Users?filter=userName eq "{name}"').get_json()["Resources"]
        person = {"schemas": [USER], "userName": name, "active": True, "id": found[0]["id"] if found else "gone"}
        method, path, body = STEPS[step](person, executives)
        if is_bulk:
            operation = {"method": method, "path": path, "bulkId": "1", "data": body}
            method, path, body = "POST", "/Bulk", {"schemas": [BULK], "Operations": [operation]}
        assert directory.send(method, path, body).status_code < 500

        assert role_of(acme, subject) in {None, Role.MEMBER}
        try:
            choose_name(acme, name, subject)
        except SignInRefusedError:
            continue
        assert role_of(acme, subject) == Role.MEMBER


def role_of(acme: Customer, subject: str) -> str | None:
    """Return the role of whoever comes in by a subject now; None where nobody would."""
    with acme.unit() as unit:
        return unit.session.scalars(
            select(Member.role)
            .join(Identity, (Identity.org_id == Member.org_id) & (Identity.member_id == Member.id))
            .where(Identity.org_id == unit.org_id, Identity.subject == subject)
        ).one_or_none()
