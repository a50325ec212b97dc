import base64
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from lxml import etree
from onelogin.saml2.settings import OneLogin_Saml2_Settings

from bridge.adapters import saml
from bridge.simulator.saml import METADATA, ReceivedRequest, SimulatedIdp, read_authn_request
from tests.saml_forgeries import NOW, REQUEST, SP, idp, other_key

KEYED = saml.SpSettings(
    SP.entity_id,
    SP.acs_url,
    saml.SpKey(other_key().certificate.decode(), other_key().private_key.decode()),
)
PUBLISHED = saml.PublishedKeys(signing=(other_key().certificate.decode(),))


def test_a_request_arrives_as_it_was_sent() -> None:
    url = saml.build_authn_request(SP, idp(), REQUEST, "a&b=c", NOW)

    assert url.startswith("https://idp.example/sso?SAMLRequest=")
    assert read_authn_request(url) == ReceivedRequest(REQUEST, SP.entity_id, SP.acs_url, "a&b=c")


def test_a_request_keeps_the_query_and_escapes_every_address() -> None:
    sp = saml.SpSettings('https://bridge.example/?a="1"&b=<2>', "https://bridge.example/acs?a=1&b=2")
    provider = SimulatedIdp("https://idp.example", "https://idp.example/sso?idpid=C0&x=1", idp().key)

    url = saml.build_authn_request(sp, provider, REQUEST, None, NOW)

    assert url.startswith("https://idp.example/sso?idpid=C0&x=1&SAMLRequest=")
    assert read_authn_request(url) == ReceivedRequest(REQUEST, sp.entity_id, sp.acs_url, None)


def test_request_ids_are_unguessable_xml_names() -> None:
    made = {saml.new_request_id() for _ in range(100)}

    assert len(made) == 100
    assert all(re.fullmatch("_[0-9a-f]{32}", name) for name in made)


def test_a_relay_state_has_eighty_bytes_at_most() -> None:
    assert saml.build_authn_request(SP, idp(), REQUEST, "é" * 40, NOW)
    with pytest.raises(ValueError, match="80 bytes"):
        saml.build_authn_request(SP, idp(), REQUEST, "é" * 41, NOW)


def test_a_signed_request_is_signed_over_the_query_as_sent() -> None:
    url = saml.build_authn_request(KEYED, idp(), REQUEST, "r", NOW)

    query, _, _ = urlsplit(url).query.partition("&Signature=")
    signature = base64.b64decode(parse_qs(urlsplit(url).query)["Signature"][0])
    public_key = x509.load_pem_x509_certificate(other_key().certificate).public_key()
    assert isinstance(public_key, rsa.RSAPublicKey)
    public_key.verify(signature, query.encode(), padding.PKCS1v15(), hashes.SHA256())
    assert list(parse_qs(query)) == ["SAMLRequest", "RelayState", "SigAlg"]


@pytest.mark.parametrize("sp", [SP, KEYED], ids=["without a key", "with a key"])
def test_our_metadata_is_valid_for_python3_saml(sp: saml.SpSettings) -> None:
    settings = OneLogin_Saml2_Settings(
        {"sp": {"entityId": sp.entity_id, "assertionConsumerService": {"url": sp.acs_url}}},
        sp_validation_only=True,
    )

    document = saml.sp_metadata(sp, PUBLISHED, signs_requests=sp.key is not None)

    assert settings.validate_metadata(document.decode().split("?>", 1)[1]) == []


def test_our_metadata_names_the_service_and_its_key() -> None:
    descriptor = etree.fromstring(saml.sp_metadata(KEYED, PUBLISHED, signs_requests=True)).find(
        f"{{{METADATA}}}SPSSODescriptor"
    )

    assert descriptor.get("AuthnRequestsSigned") == "true"
    assert descriptor.get("WantAssertionsSigned") == "true"
    assert descriptor.find(f"{{{METADATA}}}AssertionConsumerService").get("Location") == SP.acs_url
    certificate = saml.read_certificate("".join(descriptor.find(f"{{{METADATA}}}KeyDescriptor").itertext()))
    assert certificate.pem == other_key().certificate.decode()


def test_the_private_key_shows_up_in_no_representation() -> None:
    assert "PRIVATE" not in repr(KEYED)
