"""A person is read by the connection's own names, over really signed responses."""

from typing import Any

import pytest
from flask import Flask
from lxml import etree
from sqlalchemy import select

from bridge.errors import ForbiddenError, InvalidInputError
from bridge.runtime import Runtime
from bridge.simulator.saml import SAML, Signed, SimulatedUser, encode, sign
from bridge.store.models import AuditEntry, Identity
from bridge.usecases.map_claims import map_claims
from bridge.web.app import create_web_app
from bridge.web.sso import saml_blueprint
from tests.factories import Customer
from tests.sign_ins import ADA, Browser, count, events, idp, map_groups, members, trust

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
TRANSIENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"
NOBODY = SimulatedUser("_3f7b3dcf", "usual@acme.test", "Usual", "Name")


@pytest.fixture
def app(runtime: Runtime) -> Flask:
    return create_web_app(runtime, [saml_blueprint(runtime)])


@pytest.fixture
def visitor(app: Flask, customer: Customer) -> Browser:
    trust(customer)
    return Browser(app, customer)


def set_map(customer: Customer, **said: Any) -> None:
    with customer.unit() as unit:
        map_claims(unit, customer.connection_id, **said)


def sign_in_with(visitor: Browser, customer: Customer, *, name_id_format: str | None = None, **attributes: str) -> int:
    response = idp().draft(visitor.start(), NOBODY, now=customer.runtime.clock.now())
    (name_id,) = response.iter(f"{{{SAML}}}NameID")
    if name_id_format is not None:
        name_id.set("Format", name_id_format)
    (statement,) = response.iter(f"{{{SAML}}}AttributeStatement")
    for name, text in attributes.items():
        attribute = etree.SubElement(statement, f"{{{SAML}}}Attribute", {"Name": name})
        etree.SubElement(attribute, f"{{{SAML}}}AttributeValue").text = text
    return visitor.answer(encode(sign(response, idp().key, Signed.ASSERTION))).status_code


def test_a_person_is_provisioned_by_the_connection_s_own_names(visitor: Browser, customer: Customer) -> None:
    map_groups(customer, {"rules": [{"attribute": "department", "equals": "R&D", "tier": "premium"}]})
    set_map(
        customer,
        facts={"user_name": "login", "email": "post", "display_name": "cn", "groups": "memberOf"},
        attributes={"department": "dept", "title": "job"},
    )

    answered = sign_in_with(
        visitor, customer, login="ada@acme.test", post="ada@post.test", cn="Ada", dept="R&D", job="Engineer"
    )

    (ada,) = members(customer)
    assert answered == 303
    assert (ada.user_name, ada.email, ada.display_name) == ("ada@acme.test", "ada@post.test", "Ada")
    assert (ada.document["title"], ada.document[ENTERPRISE]) == ("Engineer", {"department": "R&D"})
    assert ada.tier == "premium"


def test_a_later_sign_in_changes_the_attributes_it_speaks_of_and_the_seat_with_them(
    visitor: Browser, customer: Customer
) -> None:
    map_groups(
        customer,
        {"default": "standard", "rules": [{"attribute": "department", "equals": "R&D", "tier": "premium"}]},
    )
    set_map(customer, attributes={"department": "dept", "costCenter": "cc"})
    sign_in_with(visitor, customer, dept="Sales", cc="7")
    before = members(customer)[0].tier

    sign_in_with(visitor, customer, dept="R&D")

    (person,) = members(customer)
    assert (before, person.tier) == ("standard", "premium")
    assert person.document[ENTERPRISE] == {"department": "R&D", "costCenter": "7"}


def test_a_transient_name_is_refused_unless_an_attribute_tells_who_it_is(visitor: Browser, customer: Customer) -> None:
    refused = sign_in_with(visitor, customer, name_id_format=TRANSIENT, uid="ada")
    set_map(customer, facts={"subject": "uid"})
    first = sign_in_with(visitor, customer, name_id_format=TRANSIENT, uid="ada")
    second = sign_in_with(visitor, customer, name_id_format=TRANSIENT, uid="ada")

    assert (refused, first, second) == (403, 303, 303)
    assert "map-claims --subject" in events(customer)[0].detail
    assert count(customer, Identity) == 1


def test_another_subject_forgets_who_was_known_only_when_that_is_allowed(visitor: Browser, customer: Customer) -> None:
    """Values of two claims may be two people's: what one was linked by must not find the other."""
    visitor.sign_in(ADA)

    with pytest.raises(InvalidInputError, match="1 people are known"):
        set_map(customer, facts={"subject": "uid"})
    set_map(customer, facts={"subject": "uid"}, forget_links=True)

    assert count(customer, Identity) == 0
    assert sign_in_with(visitor, customer, uid="ada@acme.test") == 403


def test_a_change_is_in_the_audit_trail_and_the_same_again_is_none(customer: Customer) -> None:
    for _ in range(2):
        set_map(customer, facts={"email": "mail"})

    with customer.unit() as unit:
        (entry,) = unit.session.scalars(select(AuditEntry).where(AuditEntry.action == "connection.claims_mapped"))
    assert (entry.actor, entry.body) == ("operator", {"from": {}, "to": {"email": "mail"}, "links_forgotten": 0})


def test_z1_a_directory_maps_no_claims(customer: Customer) -> None:
    with pytest.raises(ForbiddenError), customer.unit(customer.directory) as unit:
        map_claims(unit, customer.connection_id, facts={"email": "mail"})


def test_groups_that_are_too_many_to_be_sent_take_nothing_away_and_the_log_says_what_to_do(
    visitor: Browser, customer: Customer
) -> None:
    map_groups(customer, {"default": "standard", "rules": [{"group": "staff", "expected": True, "tier": "premium"}]})
    link = {
        "http://schemas.microsoft.com/claims/groups.link": "https://graph.windows.net/acme/users/1/getMemberObjects"
    }
    sign_in_with(visitor, customer, groups="staff")
    before = members(customer)[0].tier

    answered = sign_in_with(visitor, customer, **link)

    assert (before, answered, members(customer)[0].tier) == ("premium", 303, "premium")
    assert any("Let the identity provider send the groups of" in event.detail for event in events(customer))


@pytest.mark.parametrize("content", ["<b xmlns=''>staff</b>", "", "  "])
def test_groups_that_cannot_be_read_take_nothing_away(visitor: Browser, customer: Customer, content: str) -> None:
    map_groups(customer, {"default": "standard", "rules": [{"group": "staff", "expected": True, "tier": "premium"}]})
    sign_in_with(visitor, customer, groups="staff")
    response = idp().draft(visitor.start(), NOBODY, now=customer.runtime.clock.now())
    (statement,) = response.iter(f"{{{SAML}}}AttributeStatement")
    attribute = etree.SubElement(statement, f"{{{SAML}}}Attribute", {"Name": "groups"})
    attribute.append(etree.fromstring(f'<s:AttributeValue xmlns:s="{SAML}">{content}</s:AttributeValue>'))

    answered = visitor.answer(encode(sign(response, idp().key, Signed.ASSERTION)))

    assert (answered.status_code, members(customer)[0].tier) == (303, "premium")
