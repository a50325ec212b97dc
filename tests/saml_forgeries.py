"""SAML responses an attacker could make of a real one. Every function changes a copy and returns it."""

import base64
import copy
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

from lxml import etree

from bridge.adapters import saml
from bridge.simulator.saml import (
    DS,
    SAML,
    SAMLP,
    ReceivedRequest,
    Signed,
    SigningKey,
    SimulatedIdp,
    SimulatedUser,
    encode,
    sign,
)

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
REQUEST = "_0123456789abcdef0123456789abcdef"
SP = saml.SpSettings("https://bridge.example/saml/acme", "https://bridge.example/saml/acme/acs")
RECEIVED = ReceivedRequest(REQUEST, SP.entity_id, SP.acs_url)
UNASKED = ReceivedRequest(None, SP.entity_id, SP.acs_url)
ADA = SimulatedUser("ada@acme.example", "ada@acme.example", "Ada", "Lovelace", ("Engineering",))
EVIL = "evil@acme.example"

Edit = Callable[[Any], object]


@cache
def idp() -> SimulatedIdp:
    """Return the one provider of these tests: making its key takes a tenth of a second."""
    return SimulatedIdp.create("https://idp.example/saml", "https://idp.example/sso", now=NOW)


@cache
def other_key() -> SigningKey:
    return SigningKey.generate("Somebody else", NOW)


def trust() -> saml.IdpTrust:
    return saml.IdpTrust(idp().entity_id, (idp().key.certificate.decode(),))


def draft(*edits: Edit, received: ReceivedRequest = RECEIVED, user: SimulatedUser = ADA) -> Any:
    """Return an unsigned response to a request after the edits."""
    response = idp().draft(received, user, now=NOW)
    for edit in edits:
        edit(response)
    return response


def signed(
    *edits: Edit,
    part: Signed = Signed.ASSERTION,
    received: ReceivedRequest = RECEIVED,
    user: SimulatedUser = ADA,
) -> Any:
    """Return a response that the provider signed after the edits."""
    return sign(draft(*edits, received=received, user=user), idp().key, part)


def tampered(*edits: Edit, part: Signed = Signed.ASSERTION, received: ReceivedRequest = RECEIVED) -> Any:
    """Return a response that was edited after it was signed."""
    response = signed(part=part, received=received)
    for edit in edits:
        edit(response)
    return response


def verify(response: Any, **changes: Any) -> saml.VerifiedAssertion:
    """Verify an element, bytes or the text of the form field, with this module's settings."""
    raw = response if isinstance(response, str) else None
    if isinstance(response, bytes):
        raw = base64.b64encode(response).decode()
    settings: dict[str, Any] = {
        "sp": SP,
        "idp": trust(),
        "expected_request": REQUEST,
        "now": NOW,
        "skew_seconds": 60,
    }
    return saml.verify_response(encode(response) if raw is None else raw, **(settings | changes))


def find(response: Any, path: str) -> Any:
    """Return the first element at a path written with the prefixes saml, samlp and ds."""
    found = response.find(path, {"saml": SAML, "samlp": SAMLP, "ds": DS})
    assert found is not None, path
    return found


def put(path: str, **attributes: str | None) -> Edit:
    """Return an edit that sets (or with None removes) attributes of the element at ``path``."""

    def edit(response: Any) -> None:
        element = find(response, path)
        for name, value in attributes.items():
            if value is None:
                del element.attrib[name]
            else:
                element.set(name, value)

    return edit


def write(path: str, text: str) -> Edit:
    """Return an edit that replaces the text of the element at ``path``."""

    def edit(response: Any) -> None:
        find(response, path).text = text

    return edit


def drop(path: str) -> Edit:
    """Return an edit that removes the element at ``path``."""

    def edit(response: Any) -> None:
        element = find(response, path)
        element.getparent().remove(element)

    return edit


def add(path: str, xml: str, position: int | None = None) -> Edit:
    """Return an edit that adds an element, given as XML with the three prefixes, under ``path``."""

    def edit(response: Any) -> None:
        wrapped = etree.fromstring(f'<x xmlns:saml="{SAML}" xmlns:samlp="{SAMLP}" xmlns:ds="{DS}">{xml}</x>')
        parent = find(response, path)
        parent.insert(len(parent) if position is None else position, wrapped[0])

    return edit


ASSERTION = "saml:Assertion"
SUBJECT_DATA = "saml:Assertion/saml:Subject/saml:SubjectConfirmation/saml:SubjectConfirmationData"
NAME_ID = "saml:Assertion/saml:Subject/saml:NameID"
CONDITIONS = "saml:Assertion/saml:Conditions"
STATEMENT = "saml:Assertion/saml:AuthnStatement"
REFERENCE = "saml:Assertion/ds:Signature/ds:SignedInfo/ds:Reference"


def forge_copy(element: Any, identifier: str = "_evil") -> Any:
    """Return a copy that names somebody else, under IDs of its own and without its signature."""
    forged = copy.deepcopy(element)
    for number, part in enumerate(forged.iterfind(".//*[@ID]")):
        part.set("ID", f"{identifier}{number}")
    forged.set("ID", identifier)
    for name_id in forged.iter(f"{{{SAML}}}NameID"):
        name_id.text = EVIL
    _take_signature(forged)
    return forged


def _take_signature(element: Any) -> Any:
    signature = element.find(f"{{{DS}}}Signature")
    if signature is not None:
        element.remove(signature)
    return signature


def xsw1(received: ReceivedRequest = RECEIVED) -> Any:
    """The signed response inside the signature of a forged response around it."""
    original = signed(part=Signed.RESPONSE, received=received)
    forged = forge_copy(original)
    signature = _take_signature(original)
    signature.append(original)
    forged.insert(1, signature)
    return forged


def xsw2(received: ReceivedRequest = RECEIVED) -> Any:
    """The signed response beside its detached signature, both inside a forged response."""
    original = signed(part=Signed.RESPONSE, received=received)
    forged = forge_copy(original)
    signature = _take_signature(original)
    forged.insert(1, original)
    forged.insert(2, signature)
    return forged


def xsw3(received: ReceivedRequest = RECEIVED) -> Any:
    """A forged assertion before the signed one."""
    response = signed(received=received)
    original = find(response, ASSERTION)
    response.insert(response.index(original), forge_copy(original))
    return response


def xsw4(received: ReceivedRequest = RECEIVED) -> Any:
    """The signed assertion as a child of a forged one."""
    response = signed(received=received)
    original = find(response, ASSERTION)
    forged = forge_copy(original)
    response.replace(original, forged)
    forged.append(original)
    return response


def xsw5(received: ReceivedRequest = RECEIVED) -> Any:
    """The signature in a forged assertion, the assertion it covers after it."""
    response = signed(received=received)
    original = find(response, ASSERTION)
    forged = forge_copy(original)
    response.replace(original, forged)
    forged.insert(1, _take_signature(original))
    response.append(original)
    return response


def xsw6(received: ReceivedRequest = RECEIVED) -> Any:
    """The signature in a forged assertion, the assertion it covers inside the signature."""
    response = signed(received=received)
    original = find(response, ASSERTION)
    forged = forge_copy(original)
    response.replace(original, forged)
    signature = _take_signature(original)
    signature.append(original)
    forged.insert(1, signature)
    return response


def xsw7(received: ReceivedRequest = RECEIVED) -> Any:
    """A forged assertion in the response's extensions."""
    response = signed(received=received)
    extensions = etree.Element(f"{{{SAMLP}}}Extensions")
    extensions.append(forge_copy(find(response, ASSERTION)))
    response.insert(1, extensions)
    return response


def xsw8(received: ReceivedRequest = RECEIVED) -> Any:
    """The assertion that is covered in an Object of the signature of a forged assertion."""
    response = signed(received=received)
    original = find(response, ASSERTION)
    forged = forge_copy(original)
    response.replace(original, forged)
    signature = _take_signature(original)
    etree.SubElement(signature, f"{{{DS}}}Object").append(original)
    forged.insert(1, signature)
    return response


XSW_FAMILY = (xsw1, xsw2, xsw3, xsw4, xsw5, xsw6, xsw7, xsw8)
