"""A SAML identity provider to try the bridge with: it reads real requests and signs real responses.

Built on lxml, xmlsec and cryptography alone, so that it shares no mistake with the code it is meant to try.
"""

import base64
import copy
import secrets
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from lxml import etree

from bridge.simulator.dialects import Dialect

SAML: Final = "urn:oasis:names:tc:SAML:2.0:assertion"
SAMLP: Final = "urn:oasis:names:tc:SAML:2.0:protocol"
METADATA: Final = "urn:oasis:names:tc:SAML:2.0:metadata"
DS: Final = "http://www.w3.org/2000/09/xmldsig#"
EMAIL_FORMAT: Final = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
MAX_REQUEST_BYTES: Final = 64 * 1024
VALIDITY: Final = timedelta(minutes=5)

_REDIRECT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
_CLAIMS = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
_MICROSOFT = "http://schemas.microsoft.com/ws/2008/06/identity/claims/"


#: What the attributes are called; the names are those in each provider's own set-up guide.
_ATTRIBUTE_NAMES: Final[Mapping[Dialect, Mapping[str, str]]] = {
    Dialect.OKTA: {"email": "email", "given": "firstName", "family": "lastName", "groups": "groups"},
    Dialect.ENTRA: {
        "email": _CLAIMS + "emailaddress",
        "given": _CLAIMS + "givenname",
        "family": _CLAIMS + "surname",
        "groups": _MICROSOFT + "groups",
    },
    Dialect.GOOGLE: {"email": "email", "given": "first_name", "family": "last_name", "groups": "groups"},
}


class Signed(StrEnum):
    """What the provider signs."""

    RESPONSE = "response"
    ASSERTION = "assertion"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class SimulatedUser:
    """A person at the provider. ``groups`` None leaves the claim out; ``()`` sends it without values."""

    name_id: str
    email: str
    given_name: str
    family_name: str
    groups: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A sign-in to answer. ``request_id`` None is one that starts at the provider (no ``InResponseTo``)."""

    request_id: str | None
    sp_entity_id: str
    acs_url: str
    relay_state: str | None = None


def read_authn_request(url: str) -> ReceivedRequest:
    """Read the request out of the URL the service provider sent the browser to.

    Raises:
        ValueError: When the URL carries no request of SAML 2.0.
    """
    query = parse_qs(urlsplit(url).query)
    if "SAMLRequest" not in query:
        raise ValueError("The URL carries no SAMLRequest")
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    try:
        document = inflater.decompress(base64.b64decode(query["SAMLRequest"][0]), MAX_REQUEST_BYTES)
        request = etree.fromstring(document, etree.XMLParser(resolve_entities=False, no_network=True))
    except (zlib.error, etree.XMLSyntaxError) as problem:
        raise ValueError(f"The SAMLRequest cannot be read: {problem}") from problem
    issuer = request.findtext(f"{{{SAML}}}Issuer")
    if request.tag != f"{{{SAMLP}}}AuthnRequest" or not issuer:
        raise ValueError("The SAMLRequest is not an AuthnRequest with an issuer")
    return ReceivedRequest(
        request_id=request.get("ID"),
        sp_entity_id=issuer,
        acs_url=request.get("AssertionConsumerServiceURL"),
        relay_state=query.get("RelayState", [None])[0],
    )


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key and its self-signed certificate, both in PEM."""

    private_key: bytes = field(repr=False)
    certificate: bytes

    @classmethod
    def generate(cls, common_name: str, now: datetime, valid_for: timedelta = timedelta(days=365)) -> "SigningKey":
        """Make an RSA key of 2048 bits with a certificate that is valid from an hour before ``now``."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + valid_for)
            .sign(key, hashes.SHA256())
        )
        return cls(
            private_key=key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            certificate=certificate.public_bytes(serialization.Encoding.PEM),
        )


@dataclass(frozen=True, slots=True)
class SimulatedIdp:
    """An identity provider with one key.

    ``dialect`` names the attributes the way a real one does; with ``logout_url`` it offers single logout.
    """

    entity_id: str
    sso_url: str
    key: SigningKey
    dialect: Dialect = Dialect.OKTA
    logout_url: str | None = None

    @classmethod
    def create(cls, entity_id: str, sso_url: str, *, now: datetime, dialect: Dialect = Dialect.OKTA) -> "SimulatedIdp":
        """Return a provider with a new key."""
        return cls(entity_id, sso_url, SigningKey.generate("Simulated identity provider", now), dialect)

    def metadata(self) -> bytes:
        """Return the metadata document to give to the service provider."""
        entity = etree.Element(
            f"{{{METADATA}}}EntityDescriptor", {"entityID": self.entity_id}, nsmap={"md": METADATA, "ds": DS}
        )
        descriptor = etree.SubElement(entity, f"{{{METADATA}}}IDPSSODescriptor", {"protocolSupportEnumeration": SAMLP})
        info = etree.SubElement(
            etree.SubElement(descriptor, f"{{{METADATA}}}KeyDescriptor", {"use": "signing"}),
            f"{{{DS}}}KeyInfo",
        )
        der = x509.load_pem_x509_certificate(self.key.certificate).public_bytes(serialization.Encoding.DER)
        data = etree.SubElement(info, f"{{{DS}}}X509Data")
        etree.SubElement(data, f"{{{DS}}}X509Certificate").text = base64.b64encode(der).decode()
        if self.logout_url is not None:
            place = {"Binding": _REDIRECT, "Location": self.logout_url}
            etree.SubElement(descriptor, f"{{{METADATA}}}SingleLogoutService", place)
        etree.SubElement(descriptor, f"{{{METADATA}}}NameIDFormat").text = EMAIL_FORMAT
        etree.SubElement(
            descriptor,
            f"{{{METADATA}}}SingleSignOnService",
            {"Binding": _REDIRECT, "Location": self.sso_url},
        )
        document: bytes = etree.tostring(entity, xml_declaration=True, encoding="UTF-8")
        return document

    def respond(
        self,
        request: ReceivedRequest,
        user: SimulatedUser,
        *,
        now: datetime,
        signed: Signed = Signed.ASSERTION,
        forged: bool = False,
    ) -> str:
        """Return the ``SAMLResponse`` form field for a person who has just signed in here.

        With ``forged`` it is signed by a key that nobody trusts, as an attacker would.
        """
        response = self.draft(request, user, now=now)
        key = SigningKey.generate("Somebody else", now) if forged else self.key
        return encode(sign(response, key, signed))

    def draft(self, request: ReceivedRequest, user: SimulatedUser, *, now: datetime) -> Any:
        """Return the unsigned response as an lxml element."""
        answers = {} if request.request_id is None else {"InResponseTo": request.request_id}
        response = etree.Element(
            f"{{{SAMLP}}}Response",
            {
                "ID": _new_id(),
                "Version": "2.0",
                "IssueInstant": instant(now),
                "Destination": request.acs_url,
                **answers,
            },
            nsmap={"samlp": SAMLP, "saml": SAML},
        )
        etree.SubElement(response, f"{{{SAML}}}Issuer").text = self.entity_id
        status = etree.SubElement(response, f"{{{SAMLP}}}Status")
        etree.SubElement(status, f"{{{SAMLP}}}StatusCode", {"Value": "urn:oasis:names:tc:SAML:2.0:status:Success"})
        assertion = etree.SubElement(
            response,
            f"{{{SAML}}}Assertion",
            {"ID": _new_id(), "Version": "2.0", "IssueInstant": instant(now)},
        )
        etree.SubElement(assertion, f"{{{SAML}}}Issuer").text = self.entity_id
        _add_subject(assertion, user, {"Recipient": request.acs_url, **answers}, now)
        _add_conditions(assertion, request.sp_entity_id, now)
        _add_authn_statement(assertion, now)
        self._add_attributes(assertion, user)
        return response

    def _add_attributes(self, assertion: Any, user: SimulatedUser) -> None:
        names = _ATTRIBUTE_NAMES[self.dialect]
        values: dict[str, tuple[str, ...]] = {
            names["email"]: (user.email,),
            names["given"]: (user.given_name,),
            names["family"]: (user.family_name,),
        }
        if user.groups is not None:
            values[names["groups"]] = user.groups
        statement = etree.SubElement(assertion, f"{{{SAML}}}AttributeStatement")
        for name, texts in values.items():
            attribute = etree.SubElement(statement, f"{{{SAML}}}Attribute", {"Name": name})
            for text in texts:
                etree.SubElement(attribute, f"{{{SAML}}}AttributeValue").text = text


def sign(response: Any, key: SigningKey, signed: Signed) -> Any:
    """Return a signed copy of a drafted response; the assertion is signed first."""
    copied = copy.deepcopy(response)
    if signed in (Signed.ASSERTION, Signed.BOTH):
        sign_element(copied.find(f"{{{SAML}}}Assertion"), key)
    if signed in (Signed.RESPONSE, Signed.BOTH):
        sign_element(copied, key)
    # Elements that libxmlsec made are not found by name in lxml's tree before it is read again.
    return etree.fromstring(etree.tostring(copied))


def sign_element(
    element: Any,
    key: SigningKey,
    *,
    method: Any = xmlsec.constants.TransformRsaSha256,
    digest: Any = xmlsec.constants.TransformSha256,
) -> None:
    """Sign one element in place, by its ``ID``; the signature follows the issuer (SAML core §5.4)."""
    signature = xmlsec.template.create(element, xmlsec.constants.TransformExclC14N, method, ns="ds")
    issuer = element.find(f"{{{SAML}}}Issuer")
    element.insert(0 if issuer is None else 1, signature)
    reference = xmlsec.template.add_reference(signature, digest, uri=f"#{element.get('ID')}")
    xmlsec.template.add_transform(reference, xmlsec.constants.TransformEnveloped)
    xmlsec.template.add_transform(reference, xmlsec.constants.TransformExclC14N)
    xmlsec.template.add_x509_data(xmlsec.template.ensure_key_info(signature))
    xmlsec.tree.add_ids(element, ["ID"])
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_memory(key.private_key, xmlsec.constants.KeyDataFormatPem)
    context.key.load_cert_from_memory(key.certificate, xmlsec.constants.KeyDataFormatPem)
    context.sign(signature)


def encode(response: Any) -> str:
    """Return an element as the value of the form field ``SAMLResponse``."""
    return base64.b64encode(etree.tostring(response)).decode()


def instant(at: datetime) -> str:
    """Return an instant the way SAML writes it (UTC, whole seconds)."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _new_id() -> str:
    return f"_{secrets.token_hex(16)}"


def _add_subject(assertion: Any, user: SimulatedUser, facts: Mapping[str, str], now: datetime) -> None:
    subject = etree.SubElement(assertion, f"{{{SAML}}}Subject")
    etree.SubElement(subject, f"{{{SAML}}}NameID", {"Format": EMAIL_FORMAT}).text = user.name_id
    confirmation = etree.SubElement(
        subject, f"{{{SAML}}}SubjectConfirmation", {"Method": "urn:oasis:names:tc:SAML:2.0:cm:bearer"}
    )
    etree.SubElement(
        confirmation,
        f"{{{SAML}}}SubjectConfirmationData",
        {"NotOnOrAfter": instant(now + VALIDITY), **facts},
    )


def _add_conditions(assertion: Any, audience: str, now: datetime) -> None:
    conditions = etree.SubElement(
        assertion,
        f"{{{SAML}}}Conditions",
        {"NotBefore": instant(now - VALIDITY), "NotOnOrAfter": instant(now + VALIDITY)},
    )
    restriction = etree.SubElement(conditions, f"{{{SAML}}}AudienceRestriction")
    etree.SubElement(restriction, f"{{{SAML}}}Audience").text = audience


def _add_authn_statement(assertion: Any, now: datetime) -> None:
    statement = etree.SubElement(
        assertion, f"{{{SAML}}}AuthnStatement", {"AuthnInstant": instant(now), "SessionIndex": _new_id()}
    )
    context = etree.SubElement(statement, f"{{{SAML}}}AuthnContext")
    etree.SubElement(
        context, f"{{{SAML}}}AuthnContextClassRef"
    ).text = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
