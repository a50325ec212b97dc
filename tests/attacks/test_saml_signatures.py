"""Attacks on how a response is signed: what is done before any key is touched, and what a signature covers."""

import base64
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import xmlsec
from lxml import etree

from bridge.adapters.saml import MAX_RESPONSE_BYTES, SamlRefusal
from bridge.simulator.saml import DS, SAML, ReceivedRequest, Signed, encode, sign, sign_element
from tests.attacks.target import Door, evil_twin
from tests.saml_forgeries import (
    ASSERTION,
    EVIL,
    NAME_ID,
    REFERENCE,
    XSW_FAMILY,
    Edit,
    add,
    draft,
    drop,
    find,
    forge_copy,
    idp,
    other_key,
    put,
    signed,
    write,
)

EXC_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
MORE = "http://www.w3.org/2001/04/xmldsig-more#"
XENC = "http://www.w3.org/2001/04/xmlenc#"
SIGNATURE = f"{ASSERTION}/ds:Signature"
SIGNED_INFO = f"{SIGNATURE}/ds:SignedInfo"
TRANSFORMS = f"{REFERENCE}/ds:Transforms"
KEY_INFO = f"{SIGNATURE}/ds:KeyInfo"

XSLT = f"""<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116">
  <xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform" xmlns:ds="{DS}">
    <xsl:template match="/">{'<xsl:for-each select="//. | //@*">' * 20}{"</xsl:for-each>" * 20}</xsl:template>
  </xsl:stylesheet></ds:Transform>"""
XPATH = f"""<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116">
  <ds:XPath xmlns:ds="{DS}">{" + ".join(["count(//. | //@* | //namespace::*)"] * 60)} &gt; 0</ds:XPath>
</ds:Transform>"""
FILE_REFERENCE = (
    f'<ds:Reference URI="file:///etc/hostname"><ds:DigestMethod Algorithm="{XENC}sha256"/>'
    "<ds:DigestValue>AA==</ds:DigestValue></ds:Reference>"
)

# What an attacker can do to a response without any key: it must be refused before a signature is looked at.
WITHOUT_A_KEY = {
    "an XSLT transform that burns half a minute": (add(TRANSFORMS, XSLT), SamlRefusal.TRANSFORM),
    "an XSLT transform instead of the others": (
        lambda response: (drop(f"{TRANSFORMS}/ds:Transform[2]")(response), add(TRANSFORMS, XSLT)(response)),
        SamlRefusal.TRANSFORM,
    ),
    "an XPath transform that burns half a minute": (add(TRANSFORMS, XPATH), SamlRefusal.TRANSFORM),
    "XPath inside the enveloped transform": (
        add(f"{TRANSFORMS}/ds:Transform[1]", "<ds:XPath>1</ds:XPath>"),
        SamlRefusal.TRANSFORM,
    ),
    "a second reference, to a file": (add(SIGNED_INFO, FILE_REFERENCE), SamlRefusal.REFERENCE),
    "a reference to a file": (put(REFERENCE, URI="file:///etc/hostname"), SamlRefusal.REFERENCE),
    "a reference to an address": (put(REFERENCE, URI="http://169.254.169.254/"), SamlRefusal.REFERENCE),
    "a reference to the whole document": (put(REFERENCE, URI=""), SamlRefusal.REFERENCE),
    "a reference without a target": (put(REFERENCE, URI=None), SamlRefusal.REFERENCE),
    "an xpointer": (put(REFERENCE, URI="#xpointer(/)"), SamlRefusal.REFERENCE),
    "a retrieval method": (add(KEY_INFO, '<ds:RetrievalMethod URI="file:///etc/hostname"/>'), SamlRefusal.KEY_INFO),
    "a bare key": (add(KEY_INFO, "<ds:KeyValue/>"), SamlRefusal.KEY_INFO),
    "a name for a key": (add(KEY_INFO, "<ds:KeyName>/etc/ssl/private</ds:KeyName>"), SamlRefusal.KEY_INFO),
    "a manifest": (add(SIGNATURE, "<ds:Object><ds:Manifest/></ds:Object>"), SamlRefusal.SIGNATURE_STRUCTURE),
    "a signature truncated to one bit": (
        add(f"{SIGNED_INFO}/ds:SignatureMethod", "<ds:HMACOutputLength>1</ds:HMACOutputLength>"),
        SamlRefusal.SIGNATURE_STRUCTURE,
    ),
    "canonicalization that keeps comments": (
        put(f"{SIGNED_INFO}/ds:CanonicalizationMethod", Algorithm=EXC_C14N + "WithComments"),
        SamlRefusal.ALGORITHM,
    ),
    "inclusive canonicalization": (
        put(f"{SIGNED_INFO}/ds:CanonicalizationMethod", Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"),
        SamlRefusal.ALGORITHM,
    ),
    "the secret of HMAC is a public key": (
        put(f"{SIGNED_INFO}/ds:SignatureMethod", Algorithm=MORE + "hmac-sha256"),
        SamlRefusal.ALGORITHM,
    ),
    "MD5": (put(f"{SIGNED_INFO}/ds:SignatureMethod", Algorithm=MORE + "rsa-md5"), SamlRefusal.ALGORITHM),
    "no signature": (drop(SIGNATURE), SamlRefusal.NO_SIGNATURE),
    "a signature without a value": (write(f"{SIGNATURE}/ds:SignatureValue", ""), SamlRefusal.BAD_SIGNATURE),
    "another name": (write(NAME_ID, EVIL), SamlRefusal.BAD_SIGNATURE),
    "one ID twice": (
        lambda response: response.set("ID", find(response, ASSERTION).get("ID")),
        SamlRefusal.DUPLICATE_ID,
    ),
    "one ID twice, written Id": (
        lambda response: find(response, NAME_ID).set("Id", find(response, ASSERTION).get("ID")),
        SamlRefusal.DUPLICATE_ID,
    ),
    "the location of a schema": (
        put(
            "saml:Issuer", **{"{http://www.w3.org/2001/XMLSchema-instance}schemaLocation": "urn:x http://evil.example"}
        ),
        SamlRefusal.FORBIDDEN_CONTENT,
    ),
}


@pytest.mark.parametrize(("edit", "reason"), WITHOUT_A_KEY.values(), ids=WITHOUT_A_KEY)
def test_a_response_with_something_done_to_it_is_refused(door: Door, edit: Edit, reason: SamlRefusal) -> None:
    door.refuses(door.tampered(edit), reason)


@pytest.mark.parametrize("wrap", XSW_FAMILY, ids=lambda wrap: str(wrap.__doc__))
def test_a_wrapped_signature_is_refused(door: Door, wrap: Callable[[ReceivedRequest], Any]) -> None:
    door.refuses(encode(wrap(door.received)), SamlRefusal.SEVERAL_ASSERTIONS)


HIDING_PLACES = {
    "extensions": (".", "<samlp:Extensions/>", 1),
    "the detail of the status": ("samlp:Status", "<samlp:StatusDetail/>", None),
    "advice": (ASSERTION, "<saml:Advice/>", None),
    "the subject": (f"{ASSERTION}/saml:Subject", "<saml:SubjectConfirmation/>", None),
    "the conditions": (f"{ASSERTION}/saml:Conditions", "<saml:Condition/>", None),
    "the authentication": (f"{ASSERTION}/saml:AuthnStatement/saml:AuthnContext", "<saml:AuthnContextDecl/>", None),
    "an attribute": (f"{ASSERTION}/saml:AttributeStatement/saml:Attribute", "<saml:AttributeValue/>", None),
}


@pytest.mark.parametrize(("path", "xml", "position"), HIDING_PLACES.values(), ids=HIDING_PLACES)
@pytest.mark.parametrize("hidden", ["the signed one", "the forged one"])
def test_a_second_assertion_is_found_wherever_it_is_hidden(
    door: Door, path: str, xml: str, position: int | None, hidden: str
) -> None:
    response = signed(received=door.received)
    original = find(response, ASSERTION)
    forged = forge_copy(original)
    if hidden == "the signed one":
        response.replace(original, forged)
    add(path, xml, position)(response)
    place = find(response, path)[-1 if position is None else position]
    place.append(original if hidden == "the signed one" else forged)

    door.refuses(encode(response), SamlRefusal.SEVERAL_ASSERTIONS)


def test_a_signature_over_another_part_covers_nobody(door: Door) -> None:
    response = draft(received=door.received)
    find(response, "samlp:Status").set("ID", "_status")
    sign_element(find(response, "samlp:Status"), idp().key)

    door.refuses(encode(response), SamlRefusal.SIGNATURE_PLACE)


def test_a_response_in_an_envelope_is_no_response(door: Door) -> None:
    envelope = etree.Element("{http://schemas.xmlsoap.org/soap/envelope/}Envelope")
    etree.SubElement(envelope, "{http://schemas.xmlsoap.org/soap/envelope/}Body").append(signed(received=door.received))

    door.refuses(encode(envelope), SamlRefusal.NOT_A_RESPONSE)


def test_two_assertions_are_refused_though_the_provider_signed_both(door: Door) -> None:
    response = draft(received=door.received)
    response.append(find(draft(write(NAME_ID, EVIL), received=door.received), ASSERTION))
    for assertion in response.findall(f"{{{SAML}}}Assertion"):
        sign_element(assertion, idp().key)

    door.refuses(encode(response), SamlRefusal.SEVERAL_ASSERTIONS)


@pytest.mark.parametrize("part", Signed)
def test_another_key_under_the_providers_name_is_refused(door: Door, part: Signed) -> None:
    door.refuses(door.signed(by=evil_twin(), part=part), SamlRefusal.BAD_SIGNATURE)


def test_the_certificate_that_a_response_carries_is_not_believed(door: Door) -> None:
    response = sign(draft(write(NAME_ID, EVIL), received=door.received), other_key(), Signed.ASSERTION)
    certificate = f"{KEY_INFO}/ds:X509Data/ds:X509Certificate"
    write(certificate, find(signed(), certificate).text)(response)

    door.refuses(encode(response), SamlRefusal.BAD_SIGNATURE)


@pytest.mark.parametrize("outer", [True, False], ids=["the response's is true", "the assertion's is true"])
def test_of_two_signatures_both_must_hold(door: Door, *, outer: bool) -> None:
    inner_key, outer_key = (other_key(), idp().key) if outer else (idp().key, other_key())
    response = sign(draft(received=door.received), inner_key, Signed.ASSERTION)
    sign_element(response, outer_key)

    door.refuses(encode(response), SamlRefusal.BAD_SIGNATURE)


CONSTANTS = xmlsec.constants


@pytest.mark.parametrize(
    ("method", "digest"),
    [
        pytest.param(CONSTANTS.TransformRsaSha1, CONSTANTS.TransformSha256, id="RSA over SHA-1"),
        pytest.param(CONSTANTS.TransformRsaSha256, CONSTANTS.TransformSha1, id="a digest of SHA-1"),
        pytest.param(CONSTANTS.TransformRsaSha224, CONSTANTS.TransformSha256, id="RSA over SHA-224"),
    ],
)
def test_a_weak_algorithm_is_refused_even_with_the_right_key(door: Door, method: Any, digest: Any) -> None:
    response = draft(received=door.received)
    sign_element(find(response, ASSERTION), idp().key, method=method, digest=digest)

    door.refuses(encode(response), SamlRefusal.ALGORITHM)


def test_a_signature_made_with_the_public_certificate_as_a_shared_secret_is_refused(door: Door) -> None:
    response = draft(write(NAME_ID, EVIL), received=door.received)
    assertion = find(response, ASSERTION)
    signature = xmlsec.template.create(assertion, CONSTANTS.TransformExclC14N, CONSTANTS.TransformHmacSha256, ns="ds")
    assertion.insert(1, signature)
    reference = xmlsec.template.add_reference(signature, CONSTANTS.TransformSha256, uri=f"#{assertion.get('ID')}")
    xmlsec.template.add_transform(reference, CONSTANTS.TransformEnveloped)
    xmlsec.template.add_transform(reference, CONSTANTS.TransformExclC14N)
    xmlsec.tree.add_ids(assertion, ["ID"])
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_binary_data(CONSTANTS.KeyDataHmac, idp().key.certificate)
    context.sign(signature)

    door.refuses(encode(response), SamlRefusal.ALGORITHM)


@pytest.mark.parametrize("inserted", ["<!---->", "<!-- x -->", "<?x y?>"], ids=["comment", "long comment", "PI"])
def test_a_name_is_not_cut_at_a_comment(door: Door, inserted: str) -> None:
    """The attacker's own name is ada@acme.example.evil.example; a library that drops comments reads the first part."""
    response = signed(write(NAME_ID, "ada@acme.example.evil.example"), received=door.received)
    xml = etree.tostring(response).replace(b"ada@acme.example.evil", f"ada@acme.example{inserted}.evil".encode())

    door.refuses(base64.b64encode(xml).decode(), SamlRefusal.FORBIDDEN_CONTENT)


LAUGHS = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10))
DOCUMENTS: dict[str, tuple[Callable[[bytes], bytes], SamlRefusal]] = {
    "a doctype": (lambda xml: b"<!DOCTYPE Response>" + xml, SamlRefusal.DOCTYPE),
    "an external entity": (
        lambda xml: (
            b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/hostname">]>' + xml.replace(b"ada@acme.example", b"&x;")
        ),
        SamlRefusal.DOCTYPE,
    ),
    "an external subset": (
        lambda xml: b'<!DOCTYPE r SYSTEM "http://169.254.169.254/x.dtd">' + xml,
        SamlRefusal.DOCTYPE,
    ),
    "a billion laughs": (
        lambda xml: f'<!DOCTYPE r [<!ENTITY a0 "ha">{LAUGHS}]>'.encode() + xml.replace(b"ada@acme.example", b"&a9;"),
        SamlRefusal.DOCTYPE,
    ),
    "a doctype in UTF-16": (
        lambda xml: ('<?xml version="1.0" encoding="utf-16"?><!DOCTYPE r>' + xml.decode()).encode("utf-16"),
        SamlRefusal.MALFORMED,
    ),
    "a stylesheet": (lambda xml: b'<?xml-stylesheet href="http://evil.example"?>' + xml, SamlRefusal.FORBIDDEN_CONTENT),
    "more than 256 kB": (lambda xml: xml + b" " * MAX_RESPONSE_BYTES, SamlRefusal.TOO_LARGE),
    "sixty thousand elements": (lambda _: b"<a>" + b"<b/>" * 60_000 + b"</a>", SamlRefusal.NOT_A_RESPONSE),
    "thirty thousand levels": (lambda _: b"<a>" * 30_000 + b"</a>" * 30_000, SamlRefusal.MALFORMED),
    "twelve thousand namespaces": (
        lambda _: b"<a" + b"".join(b' xmlns:n%d="u"' % number for number in range(12_000)) + b"/>",
        SamlRefusal.NOT_A_RESPONSE,
    ),
    "four thousand signatures": (
        lambda xml: xml.replace(
            b"</samlp:Response>", f'<ds:Signature xmlns:ds="{DS}"/>'.encode() * 4_000 + b"</samlp:Response>"
        ),
        SamlRefusal.SIGNATURE_PLACE,
    ),
    "two hundred XSLT transforms": (
        lambda xml: xml.replace(b"</ds:Transforms>", XSLT.encode() * 200 + b"</ds:Transforms>"),
        SamlRefusal.TRANSFORM,
    ),
    "a thousand references": (
        lambda xml: xml.replace(b"</ds:SignedInfo>", FILE_REFERENCE.encode() * 1_000 + b"</ds:SignedInfo>"),
        SamlRefusal.REFERENCE,
    ),
}


@pytest.mark.parametrize(("change", "reason"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_document_that_no_provider_sends_is_refused(
    door: Door, change: Callable[[bytes], bytes], reason: SamlRefusal
) -> None:
    xml = change(etree.tostring(signed(received=door.received)))

    door.refuses(base64.b64encode(xml).decode(), reason)


def encoded(document: bytes) -> dict[str, object]:
    return {"data": {"SAMLResponse": base64.b64encode(document).decode()}}


POSTS: dict[str, tuple[dict[str, object], SamlRefusal]] = {
    "no body": ({}, SamlRefusal.MALFORMED),
    "no form": ({"data": b"\x00\xff", "content_type": "application/octet-stream"}, SamlRefusal.MALFORMED),
    "json": ({"json": {"SAMLResponse": "x"}}, SamlRefusal.MALFORMED),
    "no base64": ({"data": {"SAMLResponse": "%%%"}}, SamlRefusal.NOT_BASE64),
    "no text": (
        {"data": b"SAMLResponse=%ff%fe%00", "content_type": "application/x-www-form-urlencoded"},
        SamlRefusal.NOT_BASE64,
    ),
    "a null byte": ({"data": {"SAMLResponse": "\x00"}}, SamlRefusal.NOT_BASE64),
    "no XML": (encoded(b"\x00\x01<"), SamlRefusal.MALFORMED),
    "a deflated response": (encoded(zlib.compress(b"<a/>" * 1000)), SamlRefusal.MALFORMED),
    "a bomb": (encoded(zlib.compress(b" " * 50_000_000, 9)), SamlRefusal.MALFORMED),
    "many fields": (
        {"data": "&".join(f"a{number}=1" for number in range(2000)) + "&SAMLResponse=x"},
        SamlRefusal.MALFORMED,
    ),
    "multipart": (
        {"data": {"SAMLResponse": "x"}, "content_type": "multipart/form-data"},
        SamlRefusal.NOT_BASE64,
    ),
    "broken multipart": (
        {"data": b"--x\r\n", "content_type": "multipart/form-data; boundary=x"},
        SamlRefusal.MALFORMED,
    ),
    "too much": ({"data": {"SAMLResponse": "A" * 400_001}}, SamlRefusal.TOO_LARGE),
}


@pytest.mark.parametrize(("posted", "reason"), POSTS.values(), ids=POSTS)
def test_whatever_is_posted_is_refused_and_never_breaks(
    door: Door, posted: dict[str, object], reason: SamlRefusal
) -> None:
    door.refuses(posted, reason)
