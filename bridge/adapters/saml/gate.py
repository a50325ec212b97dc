"""The gate in front of every key and library: the exact shape a signed SAML response may have.

libxmlsec processes a signature's references *before* it checks the signature, so an unsigned document of 6
kB with an XSLT or XPath transform costs half a minute, and a second reference to ``file://`` reads local
files. Signature wrapping moves the signed part to a place nobody reads. All of it is refused here by shape,
in milliseconds.

Source: SAML core §5.4 (signature profile), XML signature best practices (W3C note of 2013) §2 and §3.
"""

from collections.abc import Collection
from typing import Any, Final

from lxml import etree

from bridge.adapters.refusals import refused, shown
from bridge.adapters.saml.encryption import XENC11, check_encrypted
from bridge.adapters.saml.refusals import SamlRefusal
from bridge.adapters.saml.xml import DS, SAML, SAMLP, XENC, XSI, UnsafeXml, UnsafeXmlError, read_xml

MAX_RESPONSE_BYTES: Final = 256 * 1024
"""A response of an identity provider has 5 to 20 kB; one with 150 groups has 40."""

EXCLUSIVE_C14N: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED: Final = DS + "enveloped-signature"

_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
SIGNATURE_METHODS: Final = frozenset(
    {f"{_MORE}rsa-sha{bits}" for bits in (256, 384, 512)} | {f"{_MORE}ecdsa-sha{bits}" for bits in (256, 384, 512)}
)
DIGEST_METHODS: Final = frozenset({XENC + "sha256", _MORE + "sha384", XENC + "sha512"})

_RESPONSE = f"{{{SAMLP}}}Response"
_ASSERTION = f"{{{SAML}}}Assertion"
_SIGNATURE = f"{{{DS}}}Signature"
_ENCRYPTED_ASSERTION = f"{{{SAML}}}EncryptedAssertion"
_ENCRYPTED_PARTS = {f"{{{SAML}}}{name}" for name in ("EncryptedID", "EncryptedAttribute", "NewEncryptedID")}
_X509_PARTS = {f"{{{DS}}}{name}" for name in ("X509Certificate", "X509IssuerSerial", "X509SubjectName", "X509SKI")} | {
    f"{{{DS}}}X509IssuerName",
    f"{{{DS}}}X509SerialNumber",
}
_ID_ATTRIBUTES = ("ID", "Id", "id", "{http://www.w3.org/XML/1998/namespace}id")
_SCHEMA_LOCATIONS = (f"{{{XSI}}}schemaLocation", f"{{{XSI}}}noNamespaceSchemaLocation")

_UNSAFE = {
    UnsafeXml.TOO_LARGE: SamlRefusal.TOO_LARGE,
    UnsafeXml.DOCTYPE: SamlRefusal.DOCTYPE,
    UnsafeXml.MALFORMED: SamlRefusal.MALFORMED,
}


def check_structure(xml: bytes, *, decrypted: bool = False) -> Any:
    """Parse a document and refuse every one that is not shaped like a SAML response with ordinary signatures.

    Says nothing about who signed it: an unsigned response passes. At most one assertion, encrypted or not, as a child
    of the response; every signature a direct child of what it signs, by one reference to that element's unique ID.

    Args:
        xml: The document.
        decrypted: Its assertion was encrypted and was opened: nothing in it is encrypted any more.

    Returns:
        The Response (lxml): nobody parses the document again.

    Raises:
        SignInRefusedError: With one of the codes of :class:`SamlRefusal`.
    """
    try:
        root = read_xml(xml, max_bytes=MAX_RESPONSE_BYTES)
    except UnsafeXmlError as problem:
        raise refused(_UNSAFE[problem.kind], str(problem)) from problem
    if root.tag != _RESPONSE:
        raise refused(SamlRefusal.NOT_A_RESPONSE, f"The document is {shown(root.tag)}, not a SAML 2.0 Response")
    _check_nodes(root)
    check_unique_ids(root)
    _check_assertions(root, decrypted=decrypted)
    for signature in root.iter(_SIGNATURE):
        _check_place(root, signature)
    _check_stray_cryptography(root)
    return root


def check_message(xml: bytes, tags: Collection[str], *, signed: bool) -> Any:
    """Parse another message than a response and refuse every unusual shape: no signature in it, or one of its own.

    Args:
        xml: The document.
        tags: Which messages are expected.
        signed: Whether the message carries its signature itself.

    Returns:
        The message (lxml).

    Raises:
        SignInRefusedError: With one of the codes of :class:`SamlRefusal`.
    """
    try:
        root = read_xml(xml, max_bytes=MAX_RESPONSE_BYTES)
    except UnsafeXmlError as problem:
        raise refused(_UNSAFE[problem.kind], str(problem)) from problem
    if root.tag not in tags:
        raise refused(SamlRefusal.NOT_A_RESPONSE, f"The document is {shown(root.tag)}")
    _check_nodes(root)
    check_unique_ids(root)
    signatures = list(root.iter(_SIGNATURE))
    if signed and not signatures:
        raise refused(SamlRefusal.NO_SIGNATURE, "The message is not signed")
    if len(signatures) != int(signed) or any(signature.getparent() is not root for signature in signatures):
        raise refused(SamlRefusal.SIGNATURE_PLACE, "A signature stands where none belongs")
    for signature in signatures:
        check_signature(root, signature)
    if any(element.tag in _ENCRYPTED_PARTS for element in root.iter()):
        raise refused(SamlRefusal.ENCRYPTED, "The name in it is encrypted by itself: send it in clear, or signed only")
    _check_stray_cryptography(root)
    return root


def _check_nodes(root: Any) -> None:
    # The library drops comments and joins the text around them; the signature holds with and without them.
    for node in root.getroottree().iter():
        if node.tag in (etree.Comment, etree.ProcessingInstruction, etree.Entity):
            raise refused(SamlRefusal.FORBIDDEN_CONTENT, "The response contains a comment, an instruction or an entity")
        # A hint where to load a schema from: no message needs one, and no validator should be tempted.
        if any(name in node.attrib for name in _SCHEMA_LOCATIONS):
            raise refused(SamlRefusal.FORBIDDEN_CONTENT, "The response names the location of a schema")
    if root.getprevious() is not None or root.getnext() is not None:
        raise refused(SamlRefusal.FORBIDDEN_CONTENT, "The document has content outside the Response")


def check_unique_ids(root: Any) -> None:
    """Refuse a document in which a reference to an ID could mean two elements.

    Raises:
        SignInRefusedError: With the ID that occurs twice.
    """
    seen: set[str] = set()
    for element in root.iter():
        for name in _ID_ATTRIBUTES:
            identifier = element.get(name)
            if identifier is None:
                continue
            if identifier in seen:
                raise refused(SamlRefusal.DUPLICATE_ID, f"The ID {shown(identifier)} occurs more than once")
            seen.add(identifier)


def _check_assertions(root: Any, *, decrypted: bool) -> None:
    if any(element.tag in _ENCRYPTED_PARTS for element in root.iter()):
        raise refused(
            SamlRefusal.ENCRYPTED,
            "A name or an attribute is encrypted by itself: encrypt the whole assertion at the identity provider, or "
            "nothing",
        )
    assertions = list(root.iter(_ASSERTION, _ENCRYPTED_ASSERTION))
    if len(assertions) > 1:
        raise refused(SamlRefusal.SEVERAL_ASSERTIONS, f"The response has {len(assertions)} assertions instead of one")
    if assertions and assertions[0].getparent() is not root:
        raise refused(SamlRefusal.SEVERAL_ASSERTIONS, "The assertion is not a direct child of the response")
    if assertions and assertions[0].tag == _ENCRYPTED_ASSERTION:
        if decrypted:
            raise refused(SamlRefusal.ENCRYPTED, "What was encrypted is encrypted again")
        check_encrypted(assertions[0])
    if sum(1 for _ in root.iter(_RESPONSE)) > 1:
        raise refused(SamlRefusal.NOT_A_RESPONSE, "The response contains another response")


def _check_place(root: Any, signature: Any) -> None:
    signed = signature.getparent()
    if signed is None or (signed is not root and signed.tag != _ASSERTION):
        raise refused(SamlRefusal.SIGNATURE_PLACE, "A signature is neither in the response nor in its assertion")
    if len(signed.findall(_SIGNATURE)) > 1:
        raise refused(SamlRefusal.SIGNATURE_PLACE, "One element carries more than one signature")
    check_signature(signed, signature)


def check_signature(signed: Any, signature: Any) -> None:
    """Refuse a signature that is anything but an ordinary one over ``signed``, the element that carries it.

    Raises:
        SignInRefusedError: With the code of what is unusual about it.
    """
    parts = _children(signature)
    if parts not in (["SignedInfo", "SignatureValue"], ["SignedInfo", "SignatureValue", "KeyInfo"]):
        raise refused(SamlRefusal.SIGNATURE_STRUCTURE, f"A signature has the parts {shown(parts)}")
    _check_signed_info(signature[0], signed)
    _check_leaf(signature[1])
    if len(signature) > 2:  # noqa: PLR2004 - SignedInfo, SignatureValue, KeyInfo
        _check_key_info(signature[2])


def _check_signed_info(signed_info: Any, signed: Any) -> None:
    parts = _children(signed_info)
    if parts != ["CanonicalizationMethod", "SignatureMethod", "Reference"]:
        if parts.count("Reference") != 1:
            raise refused(SamlRefusal.REFERENCE, f"A signature has {parts.count('Reference')} references, not one")
        raise refused(SamlRefusal.SIGNATURE_STRUCTURE, f"SignedInfo has the parts {shown(parts)}")
    canonicalization, method, reference = signed_info
    _check_exclusive_c14n(canonicalization)
    _check_algorithm(method, SIGNATURE_METHODS)
    identifier = signed.get("ID")
    if not identifier or reference.get("URI") != f"#{identifier}":
        raise refused(
            SamlRefusal.REFERENCE,
            f"A signature refers to {shown(reference.get('URI'))}, not to the element that carries it",
        )
    parts = _children(reference)
    if parts != ["Transforms", "DigestMethod", "DigestValue"]:
        raise refused(SamlRefusal.REFERENCE, f"A reference has the parts {shown(parts)}")
    _check_transforms(reference[0])
    _check_algorithm(reference[1], DIGEST_METHODS)
    _check_leaf(reference[2])


def _check_transforms(transforms: Any) -> None:
    algorithms = [transform.get("Algorithm") for transform in transforms]
    if _children(transforms) != ["Transform", "Transform"] or algorithms != [ENVELOPED, EXCLUSIVE_C14N]:
        raise refused(
            SamlRefusal.TRANSFORM,
            f"A signature uses the transforms {shown(algorithms)}: enveloped and exc-c14n only",
        )
    if len(transforms[0]):
        raise refused(SamlRefusal.TRANSFORM, "The enveloped-signature transform takes no parameters")
    _check_exclusive_c14n(transforms[1])


def _check_exclusive_c14n(element: Any) -> None:
    if element.get("Algorithm") != EXCLUSIVE_C14N:
        raise refused(SamlRefusal.ALGORITHM, f"Canonicalization {shown(element.get('Algorithm'))} is not allowed")
    tags = [child.tag for child in element]
    if tags not in ([], [f"{{{EXCLUSIVE_C14N}}}InclusiveNamespaces"]) or any(len(child) for child in element):
        raise refused(SamlRefusal.TRANSFORM, "Exclusive canonicalization takes one list of prefixes and nothing else")


def _check_algorithm(element: Any, allowed: frozenset[str]) -> None:
    algorithm = element.get("Algorithm")
    if algorithm not in allowed:
        raise refused(
            SamlRefusal.ALGORITHM,
            f"The algorithm {shown(algorithm)} is not allowed: choose SHA-256 at the identity provider",
        )
    _check_leaf(element)


def _check_key_info(key_info: Any) -> None:
    if set(_children(key_info)) != {"X509Data"}:
        raise refused(
            SamlRefusal.KEY_INFO,
            "KeyInfo may hold certificates only: have the identity provider send its certificate, not its bare key",
        )
    for element in key_info.iterdescendants():
        if element.tag not in _X509_PARTS | {f"{{{DS}}}X509Data"}:
            raise refused(SamlRefusal.KEY_INFO, f"KeyInfo holds {shown(element.tag)}; certificates only are allowed")


def _check_leaf(element: Any) -> None:
    if len(element):
        raise refused(SamlRefusal.SIGNATURE_STRUCTURE, f"{shown(element.tag)} may hold no elements")


def _check_stray_cryptography(root: Any) -> None:
    for element in root.iter(f"{{{XENC}}}*", f"{{{XENC11}}}*"):
        if next(element.iterancestors(_ENCRYPTED_ASSERTION), None) is None:
            raise refused(SamlRefusal.ENCRYPTED, f"{shown(element.tag)} stands outside an encrypted assertion")
    for element in root.iter(f"{{{DS}}}*"):
        if element.tag != _SIGNATURE and next(element.iterancestors(_SIGNATURE, _ENCRYPTED_ASSERTION), None) is None:
            raise refused(SamlRefusal.SIGNATURE_PLACE, f"{shown(element.tag)} stands outside a signature")


def _children(element: Any) -> list[str]:
    """Return the local names of the children; a name outside the signature namespace becomes ``{…}name``."""
    names = [etree.QName(child) for child in element]
    return [name.localname if name.namespace == DS else f"{{{name.namespace}}}{name.localname}" for name in names]
