import base64
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from lxml import etree

from bridge.adapters.saml import check_sso_url, parse_idp_metadata, read_certificate
from bridge.errors import InvalidInputError
from bridge.simulator.saml import METADATA, SAMLP, SigningKey, SimulatedIdp, sign_element
from tests.saml_forgeries import NOW, idp, other_key

# A key that must be refused.
WEAK_KEY = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - on purpose
REDIRECT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"


def certificate_of(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, days: int = 365
) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=730))
        .not_valid_after(NOW - timedelta(days=730) + timedelta(days=days))
        .sign(key, algorithm)
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def document(*, sso: str | None = None, keys: str | None = None, attributes: str = "", inner: str = "") -> bytes:
    pem = idp().key.certificate.decode()
    keys = key_descriptor(pem) if keys is None else keys
    sso = f'<md:SingleSignOnService Binding="{REDIRECT}" Location="https://idp.example/sso"/>' if sso is None else sso
    return (
        f'<md:EntityDescriptor xmlns:md="{METADATA}" xmlns:ds="http://www.w3.org/2000/09/xmldsig#" '
        f'entityID="https://idp.example" {attributes}>'
        f'<md:IDPSSODescriptor protocolSupportEnumeration="{SAMLP}" {inner}>{keys}{sso}</md:IDPSSODescriptor>'
        "</md:EntityDescriptor>"
    ).encode()


def key_descriptor(pem: str, use: str = ' use="signing"') -> str:
    bare = "".join(line for line in pem.splitlines() if "CERTIFICATE" not in line)
    return (
        f"<md:KeyDescriptor{use}><ds:KeyInfo><ds:X509Data><ds:X509Certificate>\n{bare}\n</ds:X509Certificate>"
        "</ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"
    )


def problem_of(xml: bytes, entity_id: str | None = None) -> str:
    with pytest.raises(InvalidInputError) as refusal:
        parse_idp_metadata(xml, now=NOW, entity_id=entity_id)
    assert refusal.value.field == "metadata"
    return refusal.value.problem


def test_reads_the_simulators_metadata() -> None:
    parsed = parse_idp_metadata(idp().metadata(), now=NOW)

    expected = x509.load_pem_x509_certificate(idp().key.certificate)
    assert (parsed.entity_id, parsed.sso_url, parsed.sso_binding) == (
        "https://idp.example/saml",
        "https://idp.example/sso",
        REDIRECT,
    )
    assert [certificate.pem for certificate in parsed.certificates] == [idp().key.certificate.decode()]
    assert parsed.certificates[0].fingerprint.replace(":", "") == expected.fingerprint(hashes.SHA256()).hex().upper()
    assert parsed.certificates[0].not_after == NOW + timedelta(days=365)
    assert parsed.name_id_format == "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
    assert parsed.wants_signed_requests is False


def test_prefers_the_redirect_binding() -> None:
    services = (
        f'<md:SingleSignOnService Binding="{POST}" Location="https://idp.example/post"/>'
        f'<md:SingleSignOnService Binding="{REDIRECT}" Location="https://idp.example/redirect"/>'
    )

    assert parse_idp_metadata(document(sso=services), now=NOW).sso_url == "https://idp.example/redirect"


def test_reads_both_certificates_of_a_roll_over_once_each() -> None:
    first, second = idp().key.certificate.decode(), other_key().certificate.decode()
    keys = key_descriptor(first) + key_descriptor(second, "") + key_descriptor(first)

    parsed = parse_idp_metadata(document(keys=keys), now=NOW)

    assert [certificate.pem for certificate in parsed.certificates] == [first, second]


def test_sees_that_requests_must_be_signed() -> None:
    assert parse_idp_metadata(document(inner='WantAuthnRequestsSigned="true"'), now=NOW).wants_signed_requests


def test_takes_one_identity_provider_out_of_a_federation() -> None:
    other = SimulatedIdp("https://second.example", "https://second.example/sso", other_key())
    federation = etree.Element(f"{{{METADATA}}}EntitiesDescriptor")
    federation.extend([etree.fromstring(idp().metadata()), etree.fromstring(other.metadata())])
    xml = etree.tostring(federation)

    assert "https://second.example" in problem_of(xml)
    assert parse_idp_metadata(xml, now=NOW, entity_id="https://second.example").sso_url == other.sso_url
    assert "no identity provider 'https://third.example'" in problem_of(xml, "https://third.example")


@pytest.mark.parametrize(
    ("xml", "sentence"),
    [
        (b"", "not well-formed"),
        (b"<html/>", "not SAML metadata"),
        (b'<!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/hostname">]><x>&y;</x>', "DOCTYPE"),
        (document() + b" " * 262_144, "256 kB"),
        (document() + b" " * 524_288, "524288"),
        (document(keys=""), "no signing certificate"),
        (document(keys=key_descriptor("AAAA")), "not an X.509 certificate"),
        (document(sso=""), "no sign-in by HTTP-Redirect"),
        (document(sso=f'<md:SingleSignOnService Binding="{POST}" Location="https://x.example"/>'), "HTTP-Redirect"),
        (document(sso=f'<md:SingleSignOnService Binding="{REDIRECT}" Location="http://x.example"/>'), "https://"),
        (document(sso=f'<md:SingleSignOnService Binding="{REDIRECT}" Location="javascript:x"/>'), "plain URL"),
        (document(sso=f'<md:SingleSignOnService Binding="{REDIRECT}"/>'), "plain URL"),
        (document(attributes='validUntil="2026-03-02T09:00:00Z"'), "valid until"),
        (document(attributes='validUntil="soon"'), "not a date"),
        (document().replace(b"IDPSSODescriptor", b"SPSSODescriptor"), "not of a service"),
        (document().replace(b'"https://idp.example"', b'" "'), "entityID is missing"),
    ],
)
def test_refuses_metadata_and_says_what_to_do(xml: bytes, sentence: str) -> None:
    assert sentence in problem_of(xml)


def test_accepts_metadata_that_is_still_valid() -> None:
    xml = document(attributes='validUntil="2026-03-02T09:00:01Z"')

    assert parse_idp_metadata(xml, now=NOW).entity_id == "https://idp.example"


def signed_metadata(key: SigningKey) -> bytes:
    root = etree.fromstring(idp().metadata())
    root.set("ID", "_metadata")
    sign_element(root, key)
    xml: bytes = etree.tostring(root)
    return xml


def test_accepts_metadata_signed_by_the_required_certificate() -> None:
    certificate = other_key().certificate.decode()

    parsed = parse_idp_metadata(signed_metadata(other_key()), now=NOW, signed_by=certificate)

    assert parsed.entity_id == "https://idp.example/saml"


@pytest.mark.parametrize(
    ("xml", "sentence"),
    [
        (lambda: idp().metadata(), "not signed"),
        (lambda: signed_metadata(idp().key), "another key"),
        (lambda: signed_metadata(other_key()).replace(b"/sso", b"/evil"), "changed"),
        (lambda: signed_metadata(other_key()).replace(b"#_metadata", b"#_other"), "refers to"),
    ],
)
def test_refuses_metadata_without_the_required_signature(xml: Callable[[], bytes], sentence: str) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        parse_idp_metadata(xml(), now=NOW, signed_by=other_key().certificate.decode())


@pytest.mark.parametrize("url", ["https://idp.example/sso?idpid=C0", "http://127.0.0.1:8080/sso", "http://localhost/"])
def test_accepts_a_sign_in_page_of_https_or_of_this_machine(url: str) -> None:
    assert check_sso_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://idp.example",
        "ftp://idp.example",
        "https://",
        "https://u:p@idp.example",
        "https://a b",
        "https://[x",
        "//x",
    ],
)
def test_refuses_another_sign_in_page(url: str) -> None:
    with pytest.raises(InvalidInputError):
        check_sso_url(url)


def test_reads_a_certificate_with_and_without_its_armour() -> None:
    pem = idp().key.certificate.decode()
    bare = "".join(line for line in pem.splitlines() if "CERTIFICATE" not in line)

    assert read_certificate(pem) == read_certificate(bare)


def test_reads_an_expired_certificate_so_that_its_expiry_can_be_shown() -> None:
    expired = SigningKey.generate("x", NOW - timedelta(days=400))

    assert read_certificate(expired.certificate.decode()).not_after == NOW - timedelta(days=35)  # 400 − 365


def test_reads_an_elliptic_curve_certificate() -> None:
    assert read_certificate(certificate_of(ec.generate_private_key(ec.SECP256R1()))).pem


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("hello", "not an X.509"),
        (base64.b64encode(b"hello").decode(), "not an X.509"),
        (certificate_of(WEAK_KEY), "1024 bits"),
        (certificate_of(ed25519.Ed25519PrivateKey.generate()), "RSA or an elliptic curve"),
    ],
)
def test_refuses_a_certificate_that_cannot_be_used(text: str, sentence: str) -> None:
    with pytest.raises(InvalidInputError, match=sentence):
        read_certificate(text)
