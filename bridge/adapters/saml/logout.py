"""Single logout: the messages that end sessions at both sides, in both directions.

Only what is signed counts. In a query (HTTP-Redirect) the signature stands beside the message and is verified over the
bytes that arrived before anything is inflated; in a form (HTTP-POST) it stands in the message, whose shape is checked
before any key, as with responses. What we send goes by HTTP-Redirect, signed.

Source: SAML core §3.7, profiles §4.4, bindings §3.4.4.1.
"""

import base64
import binascii
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from lxml import etree

from bridge.adapters.refusals import refused, shown
from bridge.adapters.saml.gate import SIGNATURE_METHODS, check_message
from bridge.adapters.saml.library import verify_message
from bridge.adapters.saml.refusals import SamlRefusal
from bridge.adapters.saml.requests import MAX_RELAY_STATE_BYTES, SpKey, redirect_url
from bridge.adapters.saml.responses import IdpTrust
from bridge.adapters.saml.xml import SAML, SAMLP, parse_instant, text_of

MAX_MESSAGE_BYTES: Final = 64 * 1024
"""A logout message has 1 to 3 kB; with many session indexes some more."""
MAX_NAME_CHARACTERS: Final = 256
"""No id, NameID or session index of an identity provider is longer; what is used once is kept in an index."""
VALID_FOR: Final = timedelta(minutes=5)
"""How long a request counts that does not say until when (``NotOnOrAfter``)."""

_REQUEST, _RESPONSE = f"{{{SAMLP}}}LogoutRequest", f"{{{SAMLP}}}LogoutResponse"
_SUCCESS: Final = "urn:oasis:names:tc:SAML:2.0:status:Success"
_HASHES: Final[Mapping[str, Callable[[], hashes.HashAlgorithm]]] = {
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}


@dataclass(frozen=True, slots=True)
class SessionName:
    """How an identity provider knows a session: the NameID with its attributes, and its own index of the session."""

    name_id: str
    attributes: Mapping[str, str]
    index: str | None


@dataclass(frozen=True, slots=True)
class LogoutRequest:
    """A verified request to end sessions: those of the indexes, or all of the person where it names none.

    It must be refused a second time until ``expires_at``, to which the clock difference is added already.
    """

    id: str
    name_id: str
    indexes: tuple[str, ...]
    expires_at: datetime
    relay_state: str | None


@dataclass(frozen=True, slots=True)
class LogoutResponse:
    """A verified answer to a request of ours: whether everybody else ended their sessions too."""

    in_response_to: str
    succeeded: bool


@dataclass(frozen=True, slots=True)
class Posted:
    """A message as it came by a form: the field's name and text, and the relay state."""

    field: str
    text: str
    relay_state: str | None


def read_logout(
    sent: bytes | Posted, *, location: str, idp: IdpTrust, now: datetime, skew_seconds: int
) -> LogoutRequest | LogoutResponse:
    """Verify a logout message.

    Args:
        sent: The query as it arrived, byte for byte, or what a form brought.
        location: Our configured address for these messages.
        idp: The connection's trust.
        now: Aware instant.
        skew_seconds: Clock difference allowed on every time.

    Raises:
        SignInRefusedError: Always this, whatever the bytes; ``reason`` is one of :class:`SamlRefusal`.
    """
    message, relay_state = _from_form(sent, idp) if isinstance(sent, Posted) else _from_query(sent, idp)
    skew = timedelta(seconds=skew_seconds)
    issued = _check_message(message, location, idp, now, skew)
    if message.tag == _RESPONSE:
        code = message.find(f"{{{SAMLP}}}Status/{{{SAMLP}}}StatusCode")
        return LogoutResponse(message.get("InResponseTo", ""), code.get("Value") == _SUCCESS and not len(code))
    return _request(message, issued, relay_state, now, skew)


def logout_request_url(
    url: str, *, entity_id: str, request_id: str, session: SessionName, key: SpKey, now: datetime
) -> str:
    """Return the address that asks the identity provider to end a session, signed."""
    request = _message(_REQUEST, url, entity_id, request_id, now)
    request.set("NotOnOrAfter", _instant(now + VALID_FOR))
    etree.SubElement(request, f"{{{SAML}}}NameID", dict(session.attributes)).text = session.name_id
    if session.index is not None:
        etree.SubElement(request, f"{{{SAMLP}}}SessionIndex").text = session.index
    return redirect_url(url, {"SAMLRequest": request}, None, key)


def logout_response_url(
    url: str, *, entity_id: str, response_id: str, answered: LogoutRequest, key: SpKey, now: datetime
) -> str:
    """Return the address that answers an identity provider's request: its sessions are ended here, signed."""
    response = _message(_RESPONSE, url, entity_id, response_id, now)
    response.set("InResponseTo", answered.id)
    status = etree.SubElement(response, f"{{{SAMLP}}}Status")
    etree.SubElement(status, f"{{{SAMLP}}}StatusCode", {"Value": _SUCCESS})
    return redirect_url(url, {"SAMLResponse": response}, answered.relay_state, key)


def _from_query(query: bytes, idp: IdpTrust) -> tuple[Any, str | None]:
    """Verify the signature beside a message, then inflate it: what nobody signed is never inflated."""
    raw: dict[str, bytes] = {}
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        if raw.setdefault(name.decode("ascii", "replace"), value) is not value:
            raise refused(SamlRefusal.MALFORMED, f"The query names {shown(name)} twice")
    kinds = [name for name in ("SAMLRequest", "SAMLResponse") if name in raw]
    if len(kinds) != 1:
        raise refused(SamlRefusal.MALFORMED, "The query carries no logout message, or two")
    if "Signature" not in raw or "SigAlg" not in raw:
        raise refused(SamlRefusal.NO_SIGNATURE, "The logout message is not signed")
    signed = b"&".join(name.encode() + b"=" + raw[name] for name in (*kinds, "RelayState", "SigAlg") if name in raw)
    _verify(signed, _octets(raw["Signature"]), _text(raw["SigAlg"]), idp)
    message = check_message(_inflated(_octets(raw[kinds[0]])), (_REQUEST, _RESPONSE), signed=False)
    _check_kind(message, kinds[0])
    verify_message(message, None)
    relay_state = _text(raw["RelayState"]) if "RelayState" in raw else None
    return message, relay_state


def _from_form(posted: Posted, idp: IdpTrust) -> tuple[Any, str | None]:
    if len(posted.text) > MAX_MESSAGE_BYTES * 3 // 2:
        raise refused(SamlRefusal.TOO_LARGE, f"The logout message is larger than {MAX_MESSAGE_BYTES // 1024} kB")
    message = check_message(_octets(posted.text.encode()), (_REQUEST, _RESPONSE), signed=True)
    _check_kind(message, posted.field)
    verify_message(message, idp.certificates)
    return message, posted.relay_state


def _check_kind(message: Any, field: str) -> None:
    if message.tag != (_REQUEST if field == "SAMLRequest" else _RESPONSE):
        raise refused(SamlRefusal.NOT_A_RESPONSE, f"{field} carries {shown(message.tag)}")


def _check_message(message: Any, location: str, idp: IdpTrust, now: datetime, skew: timedelta) -> datetime:
    if message.get("Version") != "2.0":
        raise refused(SamlRefusal.VERSION, "The logout message is not of SAML version 2.0")
    issuer = text_of(message.find(f"{{{SAML}}}Issuer"))
    if issuer != idp.entity_id:
        raise refused(SamlRefusal.ISSUER, f"The logout message is issued by {shown(issuer)}")
    if message.get("Destination") != location:
        raise refused(
            SamlRefusal.DESTINATION,
            f"The logout message is addressed to {shown(message.get('Destination'))}, not to {location}",
        )
    issued = _time(message, "IssueInstant")
    if issued > now + skew:
        raise refused(SamlRefusal.ISSUED_IN_FUTURE, "The logout message was issued in the future: check both clocks")
    return issued


def _request(message: Any, issued: datetime, relay_state: str | None, now: datetime, skew: timedelta) -> LogoutRequest:
    ends = issued + VALID_FOR if message.get("NotOnOrAfter") is None else _time(message, "NotOnOrAfter")
    if ends + skew <= now:
        raise refused(SamlRefusal.EXPIRED, f"The logout request ended at {ends:%FT%TZ}: check both clocks")
    name_id = text_of(message.find(f"{{{SAML}}}NameID"))
    if not name_id:
        raise refused(SamlRefusal.NAME_ID, "The logout request names nobody, or in a form that is not understood")
    indexes = tuple(text_of(index) for index in message.findall(f"{{{SAMLP}}}SessionIndex"))
    if any(len(text) > MAX_NAME_CHARACTERS for text in (message.get("ID"), name_id, *indexes)):
        raise refused(
            SamlRefusal.TOO_LARGE,
            f"The logout request's ID, NameID or a SessionIndex has more than {MAX_NAME_CHARACTERS} characters",
        )
    fits = relay_state is not None and len(relay_state.encode()) <= MAX_RELAY_STATE_BYTES
    return LogoutRequest(
        id=message.get("ID"),
        name_id=name_id,
        indexes=indexes,
        expires_at=ends + skew,
        relay_state=relay_state if fits else None,
    )


def _verify(signed: bytes, signature: bytes, algorithm: str, idp: IdpTrust) -> None:
    if algorithm not in SIGNATURE_METHODS:
        raise refused(SamlRefusal.ALGORITHM, f"The algorithm {shown(algorithm)} is not allowed: choose SHA-256")
    kind, _, digest = algorithm.rpartition("#")[2].partition("-")
    chosen = _HASHES[digest]()
    for certificate in idp.certificates:
        key = x509.load_pem_x509_certificate(certificate.encode()).public_key()
        try:
            if isinstance(key, rsa.RSAPublicKey) and kind == "rsa":
                key.verify(signature, signed, padding.PKCS1v15(), chosen)
                return
            if isinstance(key, ec.EllipticCurvePublicKey) and kind == "ecdsa":
                key.verify(signature, signed, ec.ECDSA(chosen))
                return
        except InvalidSignature:
            continue
    raise refused(
        SamlRefusal.BAD_SIGNATURE, "The logout message was signed by none of the connection's certificates, or changed"
    )


def _inflated(octets: bytes) -> bytes:
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    try:
        document = inflater.decompress(octets, MAX_MESSAGE_BYTES)
    except zlib.error as problem:
        raise refused(SamlRefusal.MALFORMED, "The logout message cannot be inflated") from problem
    if not inflater.eof:
        raise refused(SamlRefusal.TOO_LARGE, f"The logout message is larger than {MAX_MESSAGE_BYTES // 1024} kB")
    return document


def _octets(value: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(unquote_to_bytes(value).split()), validate=True)
    except (binascii.Error, ValueError) as problem:
        raise refused(SamlRefusal.NOT_BASE64, "A part of the logout message is not base64") from problem


def _text(value: bytes) -> str:
    try:
        return unquote_to_bytes(value.replace(b"+", b" ")).decode()
    except ValueError as problem:
        raise refused(SamlRefusal.MALFORMED, "A part of the query is no text") from problem


def _time(message: Any, attribute: str) -> datetime:
    try:
        return parse_instant(message.get(attribute, ""))
    except ValueError as problem:
        raise refused(SamlRefusal.SCHEMA, f"{attribute} of the logout message is no date and time") from problem


def _message(tag: str, url: str, entity_id: str, message_id: str, now: datetime) -> Any:
    message = etree.Element(
        tag,
        {"ID": message_id, "Version": "2.0", "IssueInstant": _instant(now), "Destination": url},
        nsmap={"samlp": SAMLP, "saml": SAML},
    )
    etree.SubElement(message, f"{{{SAML}}}Issuer").text = entity_id
    return message


def _instant(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
