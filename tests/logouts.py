"""Logout messages as an identity provider sends them, built on lxml and cryptography alone."""

import base64
import zlib
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from lxml import etree

from bridge.simulator.saml import SAML, SAMLP, SigningKey, SimulatedIdp, instant, sign_element
from tests.sign_ins import idp

LOGOUT = "http://localhost:9999/slo"
SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"


@cache
def provider() -> SimulatedIdp:
    """Return the provider of these tests: the usual one, which offers single logout."""
    return replace(idp(), logout_url=LOGOUT)


def logout_request(location: str, name_id: str, *, now: datetime, index: str | None = None, **changes: str) -> Any:
    """Return an unsigned LogoutRequest; ``changes`` replace attributes, and an empty one takes it away."""
    attributes = {
        "ID": "_logout" + str(now.timestamp()).replace(".", ""),
        "Version": "2.0",
        "IssueInstant": instant(now),
        "NotOnOrAfter": instant(now + timedelta(minutes=5)),
        "Destination": location,
    } | changes
    request = etree.Element(
        f"{{{SAMLP}}}LogoutRequest",
        {name: value for name, value in attributes.items() if value},
        nsmap={"samlp": SAMLP, "saml": SAML},
    )
    etree.SubElement(request, f"{{{SAML}}}Issuer").text = provider().entity_id
    etree.SubElement(request, f"{{{SAML}}}NameID").text = name_id
    if index is not None:
        etree.SubElement(request, f"{{{SAMLP}}}SessionIndex").text = index
    return request


def logout_response(location: str, *, now: datetime, status: str = "Success") -> Any:
    """Return an unsigned LogoutResponse to some request of ours."""
    response = etree.Element(
        f"{{{SAMLP}}}LogoutResponse",
        {
            "ID": "_answer",
            "Version": "2.0",
            "IssueInstant": instant(now),
            "Destination": location,
            "InResponseTo": "_ours",
        },
        nsmap={"samlp": SAMLP, "saml": SAML},
    )
    etree.SubElement(response, f"{{{SAML}}}Issuer").text = provider().entity_id
    code = etree.SubElement(etree.SubElement(response, f"{{{SAMLP}}}Status"), f"{{{SAMLP}}}StatusCode")
    code.set("Value", f"urn:oasis:names:tc:SAML:2.0:status:{status}")
    return response


def as_query(
    message: Any, *, key: SigningKey | None = None, algorithm: str = SHA256, relay_state: str | None = None
) -> str:
    """Return a message as a signed query (HTTP-Redirect)."""
    kind = "SAMLResponse" if message.tag.endswith("LogoutResponse") else "SAMLRequest"
    query = f"{kind}={quote(deflated(etree.tostring(message)), safe='')}"
    if relay_state is not None:
        query += f"&RelayState={quote(relay_state, safe='')}"
    query += f"&SigAlg={quote(algorithm, safe='')}"
    return f"{query}&Signature={quote(base64.b64encode(signature(query, key or provider().key)).decode(), safe='')}"


def deflated(document: bytes) -> str:
    """Deflate and encode a document as the binding wants it."""
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return base64.b64encode(compressor.compress(document) + compressor.flush()).decode()


def signature(query: str, key: SigningKey) -> bytes:
    """Sign a query with RSA-SHA256."""
    private_key = serialization.load_pem_private_key(key.private_key, password=None)
    assert isinstance(private_key, rsa.RSAPrivateKey)
    return private_key.sign(query.encode(), padding.PKCS1v15(), hashes.SHA256())


def as_form(message: Any, key: SigningKey | None = None) -> dict[str, str]:
    """Return a message as a form with its signature inside (HTTP-POST)."""
    sign_element(message, key or provider().key)
    kind = "SAMLResponse" if message.tag.endswith("LogoutResponse") else "SAMLRequest"
    return {kind: base64.b64encode(etree.tostring(message)).decode(), "RelayState": "r"}


def read_query(url: str, certificate: str) -> Any:
    """Return the message that we sent by a query, after its signature was verified with a certificate of ours (PEM)."""
    query = urlsplit(url).query
    signed, _, sent = query.partition("&Signature=")
    public_key = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    assert isinstance(public_key, rsa.RSAPublicKey)
    octets = base64.b64decode(parse_qs(f"s={sent}")["s"][0])
    public_key.verify(octets, signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    fields = parse_qs(signed)
    packed = fields.get("SAMLRequest", fields.get("SAMLResponse", [""]))[0]
    return etree.fromstring(zlib.decompress(base64.b64decode(packed), -zlib.MAX_WBITS))
