"""What we send to an identity provider: authentication requests and our own metadata.

Built as trees: python3-saml fills string templates without escaping, which an ``&`` in an address breaks.
"""

import base64
import secrets
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from urllib.parse import quote, urlencode

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from lxml import etree

from bridge.adapters.saml.xml import DS, METADATA, SAML, SAMLP
from bridge.errors import InvalidInputError

POST_BINDING: Final = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
REDIRECT_BINDING: Final = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
RSA_SHA256: Final = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
ENCRYPTION_METHODS: Final = (
    "http://www.w3.org/2009/xmlenc11#aes256-gcm",
    "http://www.w3.org/2009/xmlenc11#aes128-gcm",
    "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p",
)
"""How assertions may be encrypted to us, as our metadata says it."""
NAME_ID_FORMATS: Final = (
    "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
    "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress",
    "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified",
)
MAX_RELAY_STATE_BYTES: Final = 80
"""SAML bindings §3.4.3."""


@dataclass(frozen=True, slots=True)
class SpKey:
    """The key our requests are signed with, both parts in PEM; ``repr`` leaves the private one out."""

    certificate: str
    private_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PublishedKeys:
    """The certificates (PEM) in our metadata: whose signatures are ours, and what may be encrypted to."""

    signing: tuple[str, ...] = ()
    encryption: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SpSettings:
    """This service as one connection's identity provider knows it; with a key, requests are signed."""

    entity_id: str
    acs_url: str
    key: SpKey | None = None


class SignInEndpoint(Protocol):
    """Where a sign-in is sent; :class:`bridge.adapters.saml.IdpMetadata` is one."""

    @property
    def sso_url(self) -> str:
        """The HTTP-Redirect endpoint of the identity provider."""


def new_request_id() -> str:
    """Return an unguessable request ID: an underscore and 128 random bits, so that it is an XML name."""
    return f"_{secrets.token_hex(16)}"


def build_authn_request(
    sp: SpSettings, idp: SignInEndpoint, request_id: str, relay_state: str | None, now: datetime
) -> str:
    """Return the URL that starts a sign-in (HTTP-Redirect binding, SAML bindings §3.4).

    Asks for no particular way to authenticate and no format of NameID: Entra ID and AD FS refuse what they
    would not have chosen themselves. Signed when ``sp`` has a key.

    Raises:
        ValueError: When ``relay_state`` is longer than the 80 bytes that an identity provider must return.
    """
    if relay_state is not None and len(relay_state.encode()) > MAX_RELAY_STATE_BYTES:
        raise ValueError(f"RelayState is limited to {MAX_RELAY_STATE_BYTES} bytes")
    request = etree.Element(
        f"{{{SAMLP}}}AuthnRequest",
        {
            "ID": request_id,
            "Version": "2.0",
            "IssueInstant": f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "Destination": idp.sso_url,
            "AssertionConsumerServiceURL": sp.acs_url,
            "ProtocolBinding": POST_BINDING,
        },
        nsmap={"samlp": SAMLP, "saml": SAML},
    )
    etree.SubElement(request, f"{{{SAML}}}Issuer").text = sp.entity_id
    etree.SubElement(request, f"{{{SAMLP}}}NameIDPolicy", {"AllowCreate": "true"})
    parameters = {"SAMLRequest": base64.b64encode(_deflate(etree.tostring(request))).decode()}
    if relay_state is not None:
        parameters["RelayState"] = relay_state
    query = urlencode(parameters, quote_via=quote) if sp.key is None else _signed_query(parameters, sp.key)
    return f"{idp.sso_url}{'&' if '?' in idp.sso_url else '?'}{query}"


def sp_metadata(sp: SpSettings, published: PublishedKeys = PublishedKeys(), *, signs_requests: bool = False) -> bytes:
    """Return our metadata document for one connection, to be uploaded at the identity provider.

    Args:
        sp: Our addresses.
        published: Our certificates: several to sign with while a new key takes over.
        signs_requests: Whether our requests are signed, which an identity provider may insist on then.
    """
    entity = etree.Element(
        f"{{{METADATA}}}EntityDescriptor", {"entityID": sp.entity_id}, nsmap={"md": METADATA, "ds": DS}
    )
    descriptor = etree.SubElement(
        entity,
        f"{{{METADATA}}}SPSSODescriptor",
        {
            "AuthnRequestsSigned": "true" if signs_requests else "false",
            "WantAssertionsSigned": "true",
            "protocolSupportEnumeration": SAMLP,
        },
    )
    for use, certificates in (("signing", published.signing), ("encryption", published.encryption)):
        for certificate in certificates:
            _add_key(descriptor, use, certificate)
    for name_id_format in NAME_ID_FORMATS:
        etree.SubElement(descriptor, f"{{{METADATA}}}NameIDFormat").text = name_id_format
    etree.SubElement(
        descriptor,
        f"{{{METADATA}}}AssertionConsumerService",
        {"Binding": POST_BINDING, "Location": sp.acs_url, "index": "0", "isDefault": "true"},
    )
    document: bytes = etree.tostring(entity, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    return document


def _add_key(descriptor: Any, use: str, certificate: str) -> None:
    key = etree.SubElement(descriptor, f"{{{METADATA}}}KeyDescriptor", {"use": use})
    data = etree.SubElement(etree.SubElement(key, f"{{{DS}}}KeyInfo"), f"{{{DS}}}X509Data")
    der = x509.load_pem_x509_certificate(certificate.encode()).public_bytes(serialization.Encoding.DER)
    etree.SubElement(data, f"{{{DS}}}X509Certificate").text = base64.b64encode(der).decode()
    for algorithm in ENCRYPTION_METHODS if use == "encryption" else ():
        etree.SubElement(key, f"{{{METADATA}}}EncryptionMethod", {"Algorithm": algorithm})


def _deflate(xml: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(xml) + compressor.flush()


def load_private_key(key: SpKey) -> Any:
    """Return the private key as an object; it is ours and was checked when it was made."""
    return serialization.load_pem_private_key(
        key.private_key.encode(), password=None, unsafe_skip_rsa_key_validation=True
    )


def _signed_query(parameters: dict[str, str], key: SpKey) -> str:
    """Sign the query in the order that SAML bindings §3.4.4.1 prescribes: request, relay state, algorithm."""
    private_key = load_private_key(key)
    if not isinstance(private_key, rsa.RSAPrivateKey):
        raise InvalidInputError("private_key", "requests are signed with RSA: generate an RSA key of 2048 bits")
    query = urlencode(parameters | {"SigAlg": RSA_SHA256}, quote_via=quote)
    signature = private_key.sign(query.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{query}&{urlencode({'Signature': base64.b64encode(signature).decode()}, quote_via=quote)}"
