import time
from typing import Any

import pytest
from lxml import etree

from bridge.adapters.saml import MAX_RESPONSE_BYTES, SamlRefusal, check_structure
from bridge.errors import SignInRefusedError
from bridge.simulator.saml import DS, Signed
from tests.saml_forgeries import (
    NAME_ID,
    REFERENCE,
    XSW_FAMILY,
    Edit,
    add,
    draft,
    drop,
    find,
    put,
    signed,
    tampered,
    verify,
)

C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
SHA1 = "http://www.w3.org/2000/09/xmldsig#sha1"
SIGNED_INFO = "saml:Assertion/ds:Signature/ds:SignedInfo"
XSLT = f"""<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116">
  <xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform" xmlns:ds="{DS}">
    <xsl:template match="/">{'<xsl:for-each select="//. | //@*">' * 20}{"</xsl:for-each>" * 20}</xsl:template>
  </xsl:stylesheet></ds:Transform>"""
XPATH = f"""<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116">
  <ds:XPath xmlns:ds="{DS}">{" + ".join(["count(//. | //@* | //namespace::*)"] * 60)} &gt; 0</ds:XPath>
</ds:Transform>"""


def refusal_of(xml: bytes) -> SignInRefusedError:
    started = time.thread_time()
    with pytest.raises(SignInRefusedError) as refusal:
        check_structure(xml)
    assert time.thread_time() - started < 0.1, "a refusal costs less than 100 ms"
    return refusal.value


def bytes_of(response: Any) -> bytes:
    document: bytes = etree.tostring(response)
    return document


@pytest.mark.parametrize("part", Signed)
def test_lets_an_ordinary_signed_response_pass(part: Signed) -> None:
    check_structure(bytes_of(signed(part=part)))


def test_lets_an_unsigned_response_pass_because_it_judges_the_shape_only() -> None:
    check_structure(bytes_of(draft()))


def test_lets_the_prefix_list_that_okta_sends_pass() -> None:
    prefixes = f'<ec:InclusiveNamespaces xmlns:ec="{C14N}" PrefixList="xs"/>'

    check_structure(bytes_of(tampered(add(f"{REFERENCE}/ds:Transforms/ds:Transform[2]", prefixes))))


def _same_ids(response: Any) -> None:
    response.set("ID", find(response, "saml:Assertion").get("ID"))


def _without_namespace(response: Any) -> None:
    find(response, f"{REFERENCE}/ds:DigestValue").tag = "DigestValue"


TRANSFORMS = f"{REFERENCE}/ds:Transforms"
SECOND_REFERENCE = (
    '<ds:Reference URI="file:///etc/hostname"><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>'
    "<ds:DigestValue>AA==</ds:DigestValue></ds:Reference>"
)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        pytest.param(add(TRANSFORMS, XSLT), SamlRefusal.TRANSFORM, id="an XSLT transform"),
        pytest.param(add(TRANSFORMS, XPATH), SamlRefusal.TRANSFORM, id="an XPath transform"),
        pytest.param(drop(f"{TRANSFORMS}/ds:Transform[2]"), SamlRefusal.TRANSFORM, id="one transform only"),
        pytest.param(
            put(f"{TRANSFORMS}/ds:Transform[2]", Algorithm=C14N + "WithComments"),
            SamlRefusal.TRANSFORM,
            id="canonicalization with comments",
        ),
        pytest.param(
            add(f"{TRANSFORMS}/ds:Transform[1]", "<ds:XPath>1</ds:XPath>"),
            SamlRefusal.TRANSFORM,
            id="a parameter of the enveloped transform",
        ),
        pytest.param(
            add(f"{TRANSFORMS}/ds:Transform[2]", "<ds:XPath>1</ds:XPath>"),
            SamlRefusal.TRANSFORM,
            id="a foreign parameter of the canonicalization",
        ),
        pytest.param(add(SIGNED_INFO, SECOND_REFERENCE), SamlRefusal.REFERENCE, id="a second reference, to a file"),
        pytest.param(drop(REFERENCE), SamlRefusal.REFERENCE, id="no reference"),
        pytest.param(put(REFERENCE, URI="file:///etc/hostname"), SamlRefusal.REFERENCE, id="a reference to a file"),
        pytest.param(put(REFERENCE, URI=""), SamlRefusal.REFERENCE, id="a reference to the whole document"),
        pytest.param(put(REFERENCE, URI=None), SamlRefusal.REFERENCE, id="a reference to nothing"),
        pytest.param(put(REFERENCE, URI="#xpointer(/)"), SamlRefusal.REFERENCE, id="an xpointer"),
        pytest.param(_without_namespace, SamlRefusal.REFERENCE, id="a digest without its namespace"),
        pytest.param(drop(f"{REFERENCE}/ds:DigestValue"), SamlRefusal.REFERENCE, id="no digest"),
        pytest.param(put(f"{REFERENCE}/ds:DigestMethod", Algorithm=SHA1), SamlRefusal.ALGORITHM, id="a SHA-1 digest"),
        pytest.param(
            put(f"{SIGNED_INFO}/ds:SignatureMethod", Algorithm=DS + "rsa-sha1"),
            SamlRefusal.ALGORITHM,
            id="an RSA-SHA1 signature",
        ),
        pytest.param(
            put(
                f"{SIGNED_INFO}/ds:SignatureMethod",
                Algorithm="http://www.w3.org/2001/04/xmldsig-more#hmac-sha256",
            ),
            SamlRefusal.ALGORITHM,
            id="HMAC with the public key as its secret",
        ),
        pytest.param(
            put(
                f"{SIGNED_INFO}/ds:CanonicalizationMethod",
                Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
            ),
            SamlRefusal.ALGORITHM,
            id="inclusive canonicalization",
        ),
        pytest.param(
            add(f"{SIGNED_INFO}/ds:SignatureMethod", "<ds:HMACOutputLength>1</ds:HMACOutputLength>"),
            SamlRefusal.SIGNATURE_STRUCTURE,
            id="a parameter of the signature method",
        ),
        pytest.param(
            drop(f"{SIGNED_INFO}/ds:SignatureMethod"),
            SamlRefusal.SIGNATURE_STRUCTURE,
            id="no signature method",
        ),
        pytest.param(
            add("saml:Assertion/ds:Signature", "<ds:Object>x</ds:Object>"),
            SamlRefusal.SIGNATURE_STRUCTURE,
            id="an object in the signature",
        ),
        pytest.param(
            add("saml:Assertion/ds:Signature/ds:KeyInfo", '<ds:RetrievalMethod URI="file:///etc/hostname"/>'),
            SamlRefusal.KEY_INFO,
            id="a retrieval method",
        ),
        pytest.param(
            add("saml:Assertion/ds:Signature/ds:KeyInfo", "<ds:KeyValue/>"),
            SamlRefusal.KEY_INFO,
            id="a bare key",
        ),
        pytest.param(
            add("saml:Assertion/ds:Signature/ds:KeyInfo/ds:X509Data", "<ds:KeyValue/>"),
            SamlRefusal.KEY_INFO,
            id="a bare key among the certificates",
        ),
        pytest.param(
            add("saml:Assertion/saml:Subject", "<ds:KeyInfo/>"),
            SamlRefusal.SIGNATURE_PLACE,
            id="a stray KeyInfo",
        ),
        pytest.param(
            add("saml:Assertion/saml:Subject", "<ds:Signature/>"),
            SamlRefusal.SIGNATURE_PLACE,
            id="a signature in the subject",
        ),
        pytest.param(
            add("saml:Assertion", "<ds:Signature/>"),
            SamlRefusal.SIGNATURE_PLACE,
            id="two signatures of one element",
        ),
        pytest.param(_same_ids, SamlRefusal.DUPLICATE_ID, id="one ID twice"),
        pytest.param(
            add(".", "<saml:EncryptedAssertion/>"), SamlRefusal.SEVERAL_ASSERTIONS, id="an encrypted one beside it"
        ),
        pytest.param(
            add(
                "saml:Assertion/saml:Subject",
                '<e:CipherReference xmlns:e="http://www.w3.org/2001/04/xmlenc#" URI="file:///etc/hostname"/>',
            ),
            SamlRefusal.ENCRYPTED,
            id="a cipher reference",
        ),
        pytest.param(
            add("saml:Assertion", "<saml:Advice><saml:Assertion/></saml:Advice>"),
            SamlRefusal.SEVERAL_ASSERTIONS,
            id="an assertion as advice",
        ),
        pytest.param(
            add(".", "<samlp:Extensions><samlp:Response/></samlp:Extensions>"),
            SamlRefusal.NOT_A_RESPONSE,
            id="a response in the response",
        ),
        pytest.param(
            add(
                "saml:Assertion",
                '<saml:Advice xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="urn:x http://x"/>',
            ),
            SamlRefusal.FORBIDDEN_CONTENT,
            id="the location of a schema",
        ),
    ],
)
def test_refuses_a_response_with(edit: Edit, reason: SamlRefusal) -> None:
    assert refusal_of(bytes_of(tampered(edit))).reason == reason


@pytest.mark.parametrize("wrap", XSW_FAMILY, ids=lambda wrap: str(wrap.__doc__))
def test_refuses_a_wrapped_signature(wrap: Any) -> None:
    response = wrap()

    refusal_of(bytes_of(response))
    with pytest.raises(SignInRefusedError):
        verify(response)


@pytest.mark.parametrize("inserted", ["<!---->", "<!-- x -->", "<?x y?>"])
def test_refuses_a_comment_or_an_instruction_inside_the_name(inserted: str) -> None:
    response = tampered(lambda response: setattr(find(response, NAME_ID), "text", "ada@acme.example.evil.example"))
    xml = bytes_of(response).replace(b"ada@acme.example.evil", f"ada@acme.example{inserted}.evil".encode())

    assert refusal_of(xml).reason == SamlRefusal.FORBIDDEN_CONTENT


@pytest.mark.parametrize("place", ["{}<!-- after -->", "<!-- before -->{}"])
def test_refuses_content_outside_the_response(place: str) -> None:
    xml = place.format(bytes_of(signed()).decode()).encode()

    assert refusal_of(xml).reason == SamlRefusal.FORBIDDEN_CONTENT


def test_refuses_a_doctype() -> None:
    xml = b"<!DOCTYPE Response>" + bytes_of(signed())

    assert refusal_of(xml).reason == SamlRefusal.DOCTYPE


def test_refuses_nested_entities() -> None:
    levels = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
    xml = f'<!DOCTYPE r [<!ENTITY a0 "ha">{levels}]><r>&a9;</r>'.encode()

    assert refusal_of(xml).reason == SamlRefusal.DOCTYPE


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-7"])
def test_refuses_another_encoding_in_which_a_doctype_could_hide(encoding: str) -> None:
    xml = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE r><r/>'.encode(encoding)

    assert refusal_of(xml).reason in (SamlRefusal.MALFORMED, SamlRefusal.DOCTYPE)


def test_refuses_fifty_thousand_nested_elements() -> None:
    xml = b"<a>" * 50_000 + b"</a>" * 50_000  # 50,000 × 7 bytes are above the size limit, too

    assert refusal_of(xml).reason == SamlRefusal.TOO_LARGE
    assert refusal_of(b"<a>" * 30_000 + b"</a>" * 30_000).reason == SamlRefusal.MALFORMED


def test_refuses_more_than_256_kilobytes() -> None:
    xml = bytes_of(draft()) + b" " * MAX_RESPONSE_BYTES

    assert refusal_of(xml).reason == SamlRefusal.TOO_LARGE


def test_refuses_a_large_document_of_empty_elements_in_time() -> None:
    xml = b"<a>" + b"<b/>" * 60_000 + b"</a>"  # 240,007 bytes

    assert refusal_of(xml).reason == SamlRefusal.NOT_A_RESPONSE


def test_refuses_many_signatures_in_time() -> None:
    xml = bytes_of(draft(add("saml:Assertion/saml:Subject", "<ds:X/>" * 1)))
    many = xml.replace(b"<ds:X", b"<ds:X/>" * 20_000 + b"<ds:X")

    refusal_of(many)


@pytest.mark.parametrize("xml", [b"", b"\0", b"hello", b"<a", b"\xff\xfe", b"<a>\xff</a>", b"<a>&b;</a>"])
def test_refuses_what_is_not_xml(xml: bytes) -> None:
    assert refusal_of(xml).reason == SamlRefusal.MALFORMED


def test_refuses_another_saml_message() -> None:
    xml = b'<samlp:LogoutRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol"/>'

    assert refusal_of(xml).reason == SamlRefusal.NOT_A_RESPONSE
