"""Attacks by encryption: what anybody can encrypt to us, what hides in it, and what a refusal tells about a key."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from lxml import etree

from bridge.adapters.saml import SamlRefusal
from bridge.simulator.saml import METADATA, SAML, Signed, encode, sign, sign_element
from tests.attacks.target import Door
from tests.saml_encryption import CBC, RSA15, XENC, Method, encrypt_assertion, encrypted
from tests.saml_forgeries import ASSERTION, EVIL, NAME_ID, draft, find, forge_copy, idp, other_key, signed, write


def our_certificate(door: Door) -> str:
    """Return the certificate to encrypt to, which everybody can read in our metadata."""
    entity = etree.fromstring(door.browser.get(f"{door.browser.base}/metadata").data)
    [text] = entity.xpath(
        "//md:KeyDescriptor[@use='encryption']//ds:X509Certificate/text()",
        namespaces={"md": METADATA, "ds": "http://www.w3.org/2000/09/xmldsig#"},
    )
    return f"-----BEGIN CERTIFICATE-----\n{text.strip()}\n-----END CERTIFICATE-----\n"


def test_what_anybody_can_encrypt_proves_nothing(door: Door) -> None:
    response = encrypt_assertion(draft(write(NAME_ID, EVIL), received=door.received), our_certificate(door))

    door.refuses(encode(response), SamlRefusal.NO_SIGNATURE)


def test_what_somebody_else_signed_proves_nothing_when_it_is_encrypted(door: Door) -> None:
    response = sign(draft(write(NAME_ID, EVIL), received=door.received), other_key(), Signed.ASSERTION)

    door.refuses(encode(encrypt_assertion(response, our_certificate(door))), SamlRefusal.BAD_SIGNATURE)


def test_a_signed_response_does_not_cover_what_is_encrypted_into_it_afterwards(door: Door) -> None:
    response = encrypt_assertion(draft(received=door.received), our_certificate(door))
    sign_element(response, idp().key)
    forged = encrypt_assertion(draft(write(NAME_ID, EVIL), received=door.received), our_certificate(door))
    response.replace(find(response, "saml:EncryptedAssertion"), find(forged, "saml:EncryptedAssertion"))

    door.refuses(encode(response), SamlRefusal.BAD_SIGNATURE)


@pytest.mark.parametrize("order", [1, -1], ids=["clear first", "encrypted first"])
def test_a_forged_assertion_hides_behind_no_signed_one(door: Door, order: int) -> None:
    response = signed(received=door.received)
    original = find(response, ASSERTION)
    hidden = encrypted(etree.tostring(forge_copy(original)), our_certificate(door))
    response.remove(original)
    response.extend([original, hidden][::order])

    door.refuses(encode(response), SamlRefusal.SEVERAL_ASSERTIONS)


@pytest.mark.parametrize("method", [Method(CBC), Method(transport=RSA15)], ids=["AES-CBC", "RSA PKCS #1 v1.5"])
def test_encryption_that_can_be_broken_by_asking_often_is_refused(door: Door, method: Method) -> None:
    response = encrypt_assertion(signed(received=door.received), our_certificate(door), method)

    door.refuses(encode(response), SamlRefusal.ALGORITHM)


@pytest.mark.parametrize("place", range(0, 300, 60))
def test_a_changed_byte_is_refused_like_any_other(door: Door, place: int) -> None:
    """Whether the key, the nonce, the text or the tag was changed is not to be told from the answer."""
    response = encrypt_assertion(signed(received=door.received), our_certificate(door))
    for value in response.iter(f"{{{XENC}}}CipherValue"):
        octets = bytearray(base64.b64decode(value.text))
        octets[place % len(octets)] ^= 1
        value.text = base64.b64encode(octets).decode()

    door.refuses(encode(response), SamlRefusal.DECRYPTION)


def reference(outer: Any) -> None:
    value = outer.find(f"{{{XENC}}}EncryptedData/{{{XENC}}}CipherData")
    value.replace(value[0], etree.Element(f"{{{XENC}}}CipherReference", {"URI": "file:///etc/hostname"}))


def retrieval(outer: Any) -> None:
    info = outer.find(f".//{{{XENC}}}EncryptedKey").getparent()
    info.insert(0, etree.Element("{http://www.w3.org/2000/09/xmldsig#}RetrievalMethod", {"URI": "http://127.0.0.1/"}))


def thousand_keys(outer: Any) -> None:
    key = outer.find(f".//{{{XENC}}}EncryptedKey")
    key.getparent().extend([etree.fromstring(etree.tostring(key)) for _ in range(100)])


@pytest.mark.parametrize("edit", [reference, retrieval, thousand_keys], ids=lambda edit: edit.__name__)
def test_an_unusual_way_to_name_key_or_content_is_refused(door: Door, edit: Callable[[Any], None]) -> None:
    response = encrypt_assertion(signed(received=door.received), our_certificate(door))
    edit(find(response, "saml:EncryptedAssertion"))

    door.refuses(encode(response), SamlRefusal.ENCRYPTED)


INSIDE = {
    "nothing": (b"", SamlRefusal.NO_ASSERTION),
    "two assertions": (b"<saml:Assertion/><saml:Assertion/>", SamlRefusal.NO_ASSERTION),
    "the end of what is around it": (b"</around><around>", SamlRefusal.MALFORMED),
    "an external entity": (
        b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]><a>&b;</a>',
        SamlRefusal.MALFORMED,
    ),
    "a comment": (b"<saml:Assertion><!-- x --></saml:Assertion>", SamlRefusal.FORBIDDEN_CONTENT),
    "encryption once more": (
        b"<saml:Assertion><saml:EncryptedAssertion/></saml:Assertion>",
        SamlRefusal.SEVERAL_ASSERTIONS,
    ),
    "three hundred levels": (b"<saml:Assertion>" * 300 + b"</saml:Assertion>" * 300, SamlRefusal.MALFORMED),
}


@pytest.mark.parametrize(("text", "reason"), INSIDE.values(), ids=INSIDE)
def test_what_was_encrypted_passes_the_same_gate(door: Door, text: bytes, reason: SamlRefusal) -> None:
    response = signed(received=door.received)
    response.replace(response.find(f"{{{SAML}}}Assertion"), encrypted(text, our_certificate(door)))

    door.refuses(encode(response), reason)
