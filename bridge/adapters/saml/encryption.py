"""Encrypted assertions: the exact shape they may have, and how they are opened.

Opened by ``cryptography`` and not by libxmlsec, which would follow whatever the document says about its keys. Content
is encrypted by AES-GCM only: what an attacker changed does not open, so nothing is to be learned from its refusal.
AES-CBC and RSA PKCS #1 v1.5, which can be broken by asking often, are refused by name before any key is touched.

Source: SAML core §2.3.4 and §6, XML encryption 1.1 §5.2.4 and §5.5.2.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Any, Final
from xml.sax.saxutils import quoteattr

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from lxml import etree

from bridge.adapters.refusals import refused, shown
from bridge.adapters.saml.refusals import SamlRefusal
from bridge.adapters.saml.requests import SpKey, load_private_key
from bridge.adapters.saml.xml import DS, SAML, XENC, UnsafeXmlError, read_xml, text_of

XENC11: Final = "http://www.w3.org/2009/xmlenc11#"
CONTENT_KEY_BYTES: Final = {XENC11 + "aes128-gcm": 16, XENC11 + "aes256-gcm": 32}
OAEP_MGF1P: Final = XENC + "rsa-oaep-mgf1p"
OAEP: Final = XENC11 + "rsa-oaep"
_DIGESTS: Final = {DS + "sha1": hashes.SHA1, XENC + "sha256": hashes.SHA256}
_MASKS: Final = {XENC11 + "mgf1sha1": hashes.SHA1, XENC11 + "mgf1sha256": hashes.SHA256}
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_ADVICE: Final = "choose AES-GCM and RSA-OAEP at the identity provider, or take our encryption key away there"

_DATA, _KEY = f"{{{XENC}}}EncryptedData", f"{{{XENC}}}EncryptedKey"
_METHOD, _INFO, _CIPHER = f"{{{XENC}}}EncryptionMethod", f"{{{DS}}}KeyInfo", f"{{{XENC}}}CipherData"
_VALUE, _REFERENCES = f"{{{XENC}}}CipherValue", f"{{{XENC}}}ReferenceList"
_DIGEST, _MASK = f"{{{DS}}}DigestMethod", f"{{{XENC11}}}MGF"
_RECIPIENT = (f"{{{DS}}}X509Data", f"{{{DS}}}KeyName")


def check_encrypted(encrypted: Any) -> None:
    """Refuse an EncryptedAssertion that is anything but one text for one key, both inside of it.

    Raises:
        SignInRefusedError: With the code of what is unusual about it.
    """
    parts = [child.tag for child in encrypted]
    if parts not in ([_DATA], [_DATA, _KEY]):
        raise refused(SamlRefusal.ENCRYPTED, f"An encrypted assertion has the parts {shown(parts)}")
    data = encrypted[0]
    keys = [*data.iterfind(f"{_INFO}/{_KEY}"), *encrypted.findall(_KEY)]
    if len(keys) != 1:
        raise refused(SamlRefusal.ENCRYPTED, f"The assertion is encrypted with {len(keys)} keys, not with one")
    if data.get("Type", XENC + "Element") != XENC + "Element":
        raise refused(SamlRefusal.ENCRYPTED, "What is encrypted is not an element")
    _check_parts(data, (_METHOD, _INFO, _CIPHER), needed=(_METHOD, _CIPHER))
    for info in data.findall(_INFO):
        _check_parts(info, (_KEY,), needed=(_KEY,))
    _check_algorithm(data[0].get("Algorithm"), tuple(CONTENT_KEY_BYTES))
    _check_parts(data[0], ())
    (key,) = keys
    _check_parts(key, (_METHOD, _INFO, _CIPHER, _REFERENCES), needed=(_METHOD, _CIPHER))
    for info in key.findall(_INFO):
        _check_parts(info, _RECIPIENT)
    _check_transport(key[0])
    for cipher in (data.find(_CIPHER), key.find(_CIPHER)):
        _check_parts(cipher, (_VALUE,), needed=(_VALUE,))
        _check_parts(cipher[0], ())


def open_assertion(encrypted: Any, keys: Sequence[SpKey], *, max_bytes: int) -> Any:
    """Decrypt an EncryptedAssertion whose shape was checked, by whichever key it was encrypted to.

    Returns:
        The assertion (lxml). Anybody can encrypt to us: it proves nothing before its signature, or that of the response
        around it, was verified.

    Raises:
        SignInRefusedError: No key of ours opens it, it was changed, or what is inside is no assertion.
    """
    data = encrypted[0]
    wrapped = next(encrypted.iter(_KEY))
    size = CONTENT_KEY_BYTES[data.find(_METHOD).get("Algorithm")]
    sealed = _octets(data)
    for key in keys:
        content_key = _unwrapped(wrapped, key)
        if content_key is None or len(content_key) != size or len(sealed) < _NONCE_BYTES + _TAG_BYTES:
            continue
        try:
            text = AESGCM(content_key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
        except InvalidTag:
            continue
        return _element(text, encrypted, max_bytes)
    raise refused(
        SamlRefusal.DECRYPTION,
        "The assertion was encrypted to a key that is not ours, or not any more, or was changed on the way: give the "
        "identity provider our present metadata",
    )


def _unwrapped(wrapped: Any, key: SpKey) -> bytes | None:
    method = wrapped.find(_METHOD)
    digest, mask = method.find(_DIGEST), method.find(_MASK)
    digest_hash = hashes.SHA1 if digest is None else _DIGESTS[digest.get("Algorithm")]
    mask_hash = hashes.SHA1 if mask is None else _MASKS[mask.get("Algorithm")]
    scheme = padding.OAEP(mgf=padding.MGF1(mask_hash()), algorithm=digest_hash(), label=None)
    try:
        opened: bytes = load_private_key(key).decrypt(_octets(wrapped), scheme)
    except ValueError:
        return None
    return opened


def _octets(sealed: Any) -> bytes:
    try:
        return base64.b64decode("".join(text_of(sealed.find(f"{_CIPHER}/{_VALUE}")).split()), validate=True)
    except (binascii.Error, ValueError) as problem:
        raise refused(SamlRefusal.DECRYPTION, "What is encrypted is not base64") from problem


def _element(text: bytes, encrypted: Any, max_bytes: int) -> Any:
    """Parse what was encrypted where it stood: it may use prefixes that were declared around it."""
    names = "".join(
        f" xmlns{':' if prefix else ''}{prefix or ''}={quoteattr(uri)}" for prefix, uri in encrypted.nsmap.items()
    )
    try:
        around = read_xml(b"<around%b>%b</around>" % (names.encode(), text), max_bytes=max_bytes)
    except UnsafeXmlError as problem:
        raise refused(SamlRefusal.MALFORMED, f"What was encrypted cannot be read: {problem}") from problem
    found = list(around)
    if len(found) != 1 or found[0].tag != f"{{{SAML}}}Assertion":
        raise refused(SamlRefusal.NO_ASSERTION, "What was encrypted is not one assertion")
    return found[0]


def _check_transport(method: Any) -> None:
    algorithm = method.get("Algorithm")
    _check_algorithm(algorithm, (OAEP_MGF1P, OAEP))
    _check_parts(method, (_DIGEST, _MASK) if algorithm == OAEP else (_DIGEST,))
    for part, allowed in ((method.find(_DIGEST), _DIGESTS), (method.find(_MASK), _MASKS)):
        if part is not None:
            _check_algorithm(part.get("Algorithm"), tuple(allowed))
            _check_parts(part, ())


def _check_parts(element: Any, allowed: Sequence[str], *, needed: Sequence[str] = ()) -> None:
    """Refuse children that are not allowed, come twice or out of turn, and needed ones that are missing."""
    parts = [child.tag for child in element]
    if parts != [tag for tag in allowed if tag in parts] or not set(needed) <= set(parts):
        name = etree.QName(element).localname
        raise refused(SamlRefusal.ENCRYPTED, f"{name} of an encrypted assertion has the parts {shown(parts)}")


def _check_algorithm(algorithm: str | None, allowed: Sequence[str]) -> None:
    if algorithm not in allowed:
        raise refused(SamlRefusal.ALGORITHM, f"The encryption {shown(algorithm)} is not allowed: {_ADVICE}")
