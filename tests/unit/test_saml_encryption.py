import time
from collections.abc import Callable
from typing import Any

import pytest
from lxml import etree

from bridge.adapters import saml
from bridge.adapters.saml import SamlRefusal, SignedPart
from bridge.errors import SignInRefusedError
from bridge.simulator.saml import SAML, Signed, encode, sign_element
from tests.key_pairs import key_pair
from tests.saml_encryption import (
    AES128,
    AES256,
    CBC,
    OAEP,
    OAEP_MGF1P,
    RSA15,
    XENC,
    XENC11,
    Method,
    encrypt_assertion,
    encrypted,
)
from tests.saml_forgeries import ADA, NOW, XSW_FAMILY, draft, idp, other_key, signed, verify

OURS, OLD, FOREIGN = (key_pair(number, NOW) for number in range(3))
KEYS = tuple(saml.SpKey(one.certificate, one.private_key) for one in (OURS, OLD))
ENCRYPTED = f"{{{SAML}}}EncryptedAssertion"


def opened(response: Any, keys: tuple[saml.SpKey, ...] = KEYS) -> saml.VerifiedAssertion:
    return verify(response, our_keys=lambda: keys)


def refusal(response: Any, keys: tuple[saml.SpKey, ...] = KEYS) -> str:
    began = time.process_time()
    with pytest.raises(SignInRefusedError) as caught:
        opened(response, keys)
    assert time.process_time() - began < 0.1, "a refusal costs less than 100 ms"
    assert caught.value.detail, "a refusal says why in words"
    return caught.value.reason


def signed_outside(response: Any) -> Any:
    """Sign the response after its assertion was encrypted, as providers that sign messages do."""
    sign_element(response, idp().key)
    return etree.fromstring(etree.tostring(response))


@pytest.mark.parametrize(
    "method",
    [
        Method(AES128),
        Method(AES256),
        Method(AES256, OAEP_MGF1P, digest=XENC + "sha256"),
        Method(AES256, OAEP, digest=XENC + "sha256", mask=XENC11 + "mgf1sha256"),
        Method(AES128, OAEP, digest="http://www.w3.org/2000/09/xmldsig#sha1", mask=XENC11 + "mgf1sha1"),
        Method(AES256, sibling=True),
    ],
    ids=str,
)
def test_an_encrypted_assertion_is_read_as_one_in_clear(method: Method) -> None:
    assertion = opened(encrypt_assertion(signed(), OURS.certificate, method))

    assert (assertion.name_id, assertion.signed) == (ADA.name_id, SignedPart.ASSERTION)


def test_a_signature_over_the_whole_response_covers_what_is_encrypted_in_it() -> None:
    response = signed_outside(encrypt_assertion(draft(), OURS.certificate))
    both = signed_outside(encrypt_assertion(signed(), OURS.certificate))

    assert opened(response).signed is SignedPart.RESPONSE
    assert opened(both).signed is SignedPart.BOTH


def test_what_is_encrypted_to_the_key_before_is_opened_while_it_is_kept() -> None:
    response = encrypt_assertion(signed(), OLD.certificate)

    assert opened(response).name_id == ADA.name_id
    assert refusal(response, KEYS[:1]) == SamlRefusal.DECRYPTION


@pytest.mark.parametrize("keys", [KEYS, ()], ids=["other keys", "no key at all"])
def test_what_is_encrypted_to_somebody_else_is_refused(keys: tuple[saml.SpKey, ...]) -> None:
    assert refusal(encrypt_assertion(signed(), FOREIGN.certificate), keys) == SamlRefusal.DECRYPTION


@pytest.mark.parametrize(
    "method",
    [
        Method(CBC),
        Method(XENC + "tripledes-cbc"),
        Method(XENC11 + "aes192-gcm"),
        Method(transport=RSA15),
        Method(transport=XENC + "kw-aes128"),
        Method(transport=OAEP, mask=XENC11 + "mgf1sha512"),
        Method(digest="http://www.w3.org/2001/04/xmldsig-more#md5"),
    ],
    ids=str,
)
def test_weak_or_unknown_encryption_is_refused_before_a_key_is_touched(method: Method) -> None:
    response = encrypt_assertion(signed(), OURS.certificate, method)

    with pytest.raises(SignInRefusedError, match="AES-GCM and RSA-OAEP") as caught:
        verify(response, our_keys=lambda: pytest.fail("a key was asked for"))

    assert caught.value.reason == SamlRefusal.ALGORITHM


def test_encryption_proves_nothing_anybody_can_encrypt_to_us() -> None:
    assert refusal(encrypt_assertion(draft(), OURS.certificate)) == SamlRefusal.NO_SIGNATURE


def test_a_forged_signature_inside_is_refused() -> None:
    response = draft()
    sign_element(response.find(f"{{{SAML}}}Assertion"), other_key())

    assert refusal(encrypt_assertion(response, OURS.certificate)) == SamlRefusal.BAD_SIGNATURE


def test_an_assertion_encrypted_into_a_signed_response_breaks_its_signature() -> None:
    response = signed_outside(encrypt_assertion(draft(), OURS.certificate))
    response.replace(response.find(ENCRYPTED), encrypt_assertion(draft(), OURS.certificate).find(ENCRYPTED))

    assert refusal(response) == SamlRefusal.BAD_SIGNATURE


@pytest.mark.parametrize("wrap", XSW_FAMILY[2:], ids=lambda wrap: wrap.__name__)
def test_a_wrapped_signature_is_refused_behind_encryption_too(wrap: Callable[[], Any]) -> None:
    """What stands before the first assertion stays in clear; everything else is encrypted."""
    assert refusal(encrypt_assertion(wrap(), OURS.certificate)) in {
        SamlRefusal.SEVERAL_ASSERTIONS,
        SamlRefusal.SIGNATURE_PLACE,
        SamlRefusal.SIGNATURE_STRUCTURE,
        SamlRefusal.REFERENCE,
        SamlRefusal.BAD_SIGNATURE,
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", SamlRefusal.NO_ASSERTION),
        (b"no markup", SamlRefusal.NO_ASSERTION),
        (b"</around><around>", SamlRefusal.MALFORMED),
        (b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", SamlRefusal.DOCTYPE),
        (b"<saml:Assertion/><saml:Assertion/>", SamlRefusal.NO_ASSERTION),
        (b"<saml:EncryptedAssertion/>", SamlRefusal.NO_ASSERTION),
        (b"<saml:Assertion/>", SamlRefusal.SCHEMA),
        (b"<saml:Assertion><saml:EncryptedAssertion/></saml:Assertion>", SamlRefusal.SEVERAL_ASSERTIONS),
        (b"<saml:Assertion>" * 300 + b"</saml:Assertion>" * 300, SamlRefusal.MALFORMED),
        (b"<saml:Assertion><!-- x --></saml:Assertion>", SamlRefusal.FORBIDDEN_CONTENT),
    ],
    ids=lambda value: value[:40].decode() if isinstance(value, bytes) else "",
)
def test_what_was_encrypted_passes_the_same_gate(text: bytes, reason: SamlRefusal) -> None:
    response = signed()
    response.replace(response.find(f"{{{SAML}}}Assertion"), encrypted(text, OURS.certificate))

    assert (
        refusal(response) == reason
        if reason is not SamlRefusal.DOCTYPE
        else refusal(response)
        in {
            SamlRefusal.DOCTYPE,
            SamlRefusal.MALFORMED,
        }
    )


def retrieval(outer: Any) -> None:
    info = outer.find(f".//{{{XENC}}}EncryptedKey").getparent()
    info.insert(0, etree.Element("{http://www.w3.org/2000/09/xmldsig#}RetrievalMethod", {"URI": "file:///etc/passwd"}))


def cipher_reference(outer: Any) -> None:
    value = outer.find(f"{{{XENC}}}EncryptedData/{{{XENC}}}CipherData")
    value.replace(value[0], etree.Element(f"{{{XENC}}}CipherReference", {"URI": "http://127.0.0.1/"}))


def second_key(outer: Any) -> None:
    key = outer.find(f".//{{{XENC}}}EncryptedKey")
    key.getparent().append(etree.fromstring(etree.tostring(key)))


def parameters(outer: Any) -> None:
    etree.SubElement(outer.find(f".//{{{XENC}}}EncryptedKey/{{{XENC}}}EncryptionMethod"), f"{{{XENC}}}OAEPparams")


def properties(outer: Any) -> None:
    etree.SubElement(outer.find(f"{{{XENC}}}EncryptedData"), f"{{{XENC}}}EncryptionProperties")


def content_only(outer: Any) -> None:
    outer.find(f"{{{XENC}}}EncryptedData").set("Type", XENC + "Content")


def no_key(outer: Any) -> None:
    data = outer.find(f"{{{XENC}}}EncryptedData")
    data.remove(data[1])


@pytest.mark.parametrize(
    "edit", [retrieval, cipher_reference, second_key, parameters, properties, content_only, no_key]
)
def test_an_unusual_shape_is_refused_before_a_key_is_touched(edit: Callable[[Any], None]) -> None:
    response = encrypt_assertion(signed(), OURS.certificate)
    edit(response.find(ENCRYPTED))

    with pytest.raises(SignInRefusedError) as caught:
        verify(response, our_keys=lambda: pytest.fail("a key was asked for"))

    assert caught.value.reason == SamlRefusal.ENCRYPTED


def test_a_changed_byte_does_not_open() -> None:
    response = encrypt_assertion(signed(), OURS.certificate)
    value = response.find(f".//{{{XENC}}}EncryptedData/{{{XENC}}}CipherData/{{{XENC}}}CipherValue")
    value.text = value.text[:100] + ("A" if value.text[100] != "A" else "B") + value.text[101:]

    assert refusal(response) == SamlRefusal.DECRYPTION


@pytest.mark.parametrize("name", ["EncryptedID", "EncryptedAttribute"])
def test_a_part_encrypted_by_itself_is_refused_with_what_to_do(name: str) -> None:
    response = draft()
    etree.SubElement(response.find(f"{{{SAML}}}Assertion"), f"{{{SAML}}}{name}")

    with pytest.raises(SignInRefusedError, match="encrypt the whole assertion") as caught:
        opened(response)

    assert caught.value.reason == SamlRefusal.ENCRYPTED


@pytest.mark.parametrize("part", Signed)
def test_one_sign_in_parses_its_response_once(part: Signed, monkeypatch: pytest.MonkeyPatch) -> None:
    posted, parse = encode(signed(part=part)), etree.fromstring
    parsed: list[bytes] = []

    def counting(text: bytes, *rest: Any) -> Any:
        parsed.append(text)
        return parse(text, *rest)

    monkeypatch.setattr(etree, "fromstring", counting)

    verify(posted)

    assert len(parsed) == 1
