"""From the form field ``SAMLResponse`` to a verified assertion, or to a refusal with its reason."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from bridge.adapters.refusals import refused, shown
from bridge.adapters.saml.conditions import Expectation, authn_statement, check_conditions
from bridge.adapters.saml.gate import MAX_RESPONSE_BYTES, check_structure
from bridge.adapters.saml.library import SignedPart, verify_signatures
from bridge.adapters.saml.refusals import SamlRefusal
from bridge.adapters.saml.requests import SpKey, SpSettings
from bridge.adapters.saml.xml import SAML, text_of

MAX_NAME_ID_CHARACTERS: Final = 256
"""SAML core §8.3.7 allows a persistent identifier 256 characters; an e-mail address has 254 at most."""

NAME_ATTRIBUTES: Final = ("Format", "NameQualifier", "SPNameQualifier", "SPProvidedID")
_WHITE_SPACE = re.compile(r"[ \t\r\n]+")


@dataclass(frozen=True, slots=True)
class IdpTrust:
    """Whom a connection believes: the issuer's entity ID and its signing certificates (PEM), all alike."""

    entity_id: str
    certificates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VerifiedAssertion:
    """What an identity provider says about one person, all of it read from the signed element.

    ``in_response_to`` is the *signed* value; None means the sign-in was started at the identity provider.
    The pair (``issuer``, ``assertion_id``) must be refused a second time until ``not_on_or_after`` plus the
    skew has passed. ``attributes`` maps an attribute's Name to its texts; a name with no text is there with
    ``()``. ``name_attributes`` are the NameID's format and qualifiers, as a logout request repeats them.
    """

    issuer: str
    assertion_id: str
    response_id: str
    in_response_to: str | None
    name_id: str
    name_id_format: str | None
    session_index: str | None
    attributes: Mapping[str, tuple[str, ...]]
    authn_instant: datetime
    not_on_or_after: datetime
    signed: SignedPart
    name_attributes: Mapping[str, str] = field(default_factory=dict)


def verify_response(
    raw_b64: str,
    *,
    sp: SpSettings,
    idp: IdpTrust,
    expected_request: str | None,
    now: datetime,
    skew_seconds: int,
    our_keys: Callable[[], Sequence[SpKey]] = tuple,
) -> VerifiedAssertion:
    """Verify what the browser posted to the assertion consumer service.

    With ``expected_request`` None the caller has to look up the returned ``in_response_to`` itself, among
    the requests that this connection and this browser started, and to refuse what it does not find; None in
    the result is acceptable only where the connection allows sign-ins started at the identity provider.
    This order, verify first and look up then, keeps an unsigned value from reaching the table of requests.

    Args:
        raw_b64: The form field, as posted.
        sp: Our configured entity ID and URL; the HTTP request's own host plays no part.
        idp: The connection's trust.
        expected_request: ID of the only request this may answer, or None (see above).
        now: Aware instant.
        skew_seconds: Clock difference allowed on every time alike.
        our_keys: Asked for the keys that open an encrypted assertion, only when there is one.

    Raises:
        SignInRefusedError: Always this, whatever the bytes; ``reason`` is one of :class:`SamlRefusal`.
    """
    xml = _decode(raw_b64)
    document = verify_signatures(check_structure(xml), idp.certificates, our_keys)
    expected = Expectation(
        sp_entity_id=sp.entity_id,
        acs_url=sp.acs_url,
        idp_entity_id=idp.entity_id,
        expected_request=expected_request,
        now=now,
        skew=timedelta(seconds=skew_seconds),
    )
    confirmation = check_conditions(document.response, document.assertion, expected)
    authn_instant, session_index = authn_statement(document.assertion, expected)
    named = _name_id(document.assertion, sp)
    return VerifiedAssertion(
        issuer=idp.entity_id,
        assertion_id=document.assertion.get("ID"),
        response_id=document.response.get("ID"),
        in_response_to=confirmation.in_response_to,
        name_id=text_of(named),
        name_id_format=named.get("Format"),
        name_attributes={name: named.get(name) for name in NAME_ATTRIBUTES if named.get(name) is not None},
        session_index=session_index,
        attributes=_attributes(document.assertion),
        authn_instant=authn_instant,
        not_on_or_after=confirmation.not_on_or_after,
        signed=document.signed,
    )


def _decode(raw_b64: str) -> bytes:
    # Four characters carry three bytes; lines of 64 or 76 characters add a line break each.
    if len(raw_b64) > MAX_RESPONSE_BYTES * 3 // 2:
        raise refused(SamlRefusal.TOO_LARGE, f"The response is larger than {MAX_RESPONSE_BYTES // 1024} kB")
    try:
        return base64.b64decode(_WHITE_SPACE.sub("", raw_b64), validate=True)
    except (binascii.Error, ValueError) as problem:
        raise refused(SamlRefusal.NOT_BASE64, "The SAMLResponse field is not base64") from problem


def _name_id(assertion: Any, sp: SpSettings) -> Any:
    found = assertion.findall(f"{{{SAML}}}Subject/{{{SAML}}}NameID")
    name_id = text_of(found[0]) if len(found) == 1 else ""
    if not name_id:
        raise refused(SamlRefusal.NAME_ID, "The assertion's NameID is missing or blank")
    if len(name_id) > MAX_NAME_ID_CHARACTERS:
        raise refused(SamlRefusal.NAME_ID, f"The NameID has {len(name_id)} characters: {shown(name_id)}")
    if not name_id.isprintable():
        raise refused(SamlRefusal.NAME_ID, f"The NameID has characters in it that nobody can see: {shown(name_id)}")
    qualifier = found[0].get("SPNameQualifier")
    if qualifier and qualifier != sp.entity_id:
        raise refused(SamlRefusal.NAME_ID, f"The NameID was made for another service, {shown(qualifier)}")
    return found[0]


def _attributes(assertion: Any) -> Mapping[str, tuple[str, ...]]:
    """Collect the attributes by Name: repeated names are joined, blank values are left out.

    An attribute that cannot be read, as a value has markup in it or all are blank, is one that was not sent: it says
    nothing, which is not the same as "none". Only one without any value says that (SAML core §2.7.3.1).
    """
    attributes: dict[str, tuple[str, ...]] = {}
    unreadable: set[str] = set()
    for attribute in assertion.iterfind(f"{{{SAML}}}AttributeStatement/{{{SAML}}}Attribute"):
        name, values = attribute.get("Name"), attribute.findall(f"{{{SAML}}}AttributeValue")
        texts = tuple(text for value in values if (text := text_of(value)))
        if any(len(value) for value in values) or (values and not texts):
            unreadable.add(name)
        attributes[name] = attributes.get(name, ()) + texts
    return {name: texts for name, texts in attributes.items() if name not in unreadable}
