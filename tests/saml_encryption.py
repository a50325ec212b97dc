"""Encrypting assertions as an identity provider does, and as an attacker would."""

import base64
import os
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import padding as block_padding
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from lxml import etree

from bridge.simulator.saml import DS, SAML

XENC = "http://www.w3.org/2001/04/xmlenc#"
XENC11 = "http://www.w3.org/2009/xmlenc11#"
AES128, AES256, CBC = XENC11 + "aes128-gcm", XENC11 + "aes256-gcm", XENC + "aes128-cbc"
OAEP_MGF1P, OAEP, RSA15 = XENC + "rsa-oaep-mgf1p", XENC11 + "rsa-oaep", XENC + "rsa-1_5"


@dataclass(frozen=True, slots=True)
class Method:
    """How something is encrypted; ``sibling`` puts the key beside the data instead of inside of it."""

    content: str = AES256
    transport: str = OAEP_MGF1P
    digest: str | None = None
    mask: str | None = None
    sibling: bool = False


def encrypt_assertion(response: Any, certificate: str, method: Method = Method()) -> Any:
    """Return a copy of a response whose assertion is encrypted to a certificate (PEM)."""
    copied = etree.fromstring(etree.tostring(response))
    assertion = copied.find(f"{{{SAML}}}Assertion")
    copied.replace(assertion, encrypted(etree.tostring(assertion), certificate, method))
    return copied


def encrypted(text: bytes, certificate: str, method: Method = Method()) -> Any:
    """Return an EncryptedAssertion over any text."""
    key = os.urandom(32 if method.content == AES256 else 16)
    outer = etree.Element(f"{{{SAML}}}EncryptedAssertion", nsmap={"saml": SAML, "xenc": XENC})
    data = etree.SubElement(outer, f"{{{XENC}}}EncryptedData", {"Type": XENC + "Element"})
    etree.SubElement(data, f"{{{XENC}}}EncryptionMethod", {"Algorithm": method.content})
    if method.sibling:
        _cipher(data, _sealed(key, text, method))
        _wrapped(outer, key, certificate, method)
    else:
        _wrapped(etree.SubElement(data, f"{{{DS}}}KeyInfo"), key, certificate, method)
        _cipher(data, _sealed(key, text, method))
    return outer


def _wrapped(parent: Any, key: bytes, certificate: str, method: Method) -> None:
    public_key = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    assert isinstance(public_key, rsa.RSAPublicKey)
    wrapped = etree.SubElement(parent, f"{{{XENC}}}EncryptedKey")
    transport = etree.SubElement(wrapped, f"{{{XENC}}}EncryptionMethod", {"Algorithm": method.transport})
    if method.digest is not None:
        etree.SubElement(transport, f"{{{DS}}}DigestMethod", {"Algorithm": method.digest})
    if method.mask is not None:
        etree.SubElement(transport, f"{{{XENC11}}}MGF", {"Algorithm": method.mask})
    digest = hashes.SHA256() if method.digest == XENC + "sha256" else hashes.SHA1()  # noqa: S303 - as OAEP's default is
    mask = hashes.SHA256() if method.mask == XENC11 + "mgf1sha256" else hashes.SHA1()  # noqa: S303 - as above
    scheme: Any = padding.OAEP(mgf=padding.MGF1(mask), algorithm=digest, label=None)
    _cipher(wrapped, public_key.encrypt(key, padding.PKCS1v15() if method.transport == RSA15 else scheme))


def _sealed(key: bytes, text: bytes, method: Method) -> bytes:
    if method.content == CBC:
        nonce, padder = os.urandom(16), block_padding.PKCS7(128).padder()
        encryptor = Cipher(algorithms.AES(key), modes.CBC(nonce)).encryptor()
        return nonce + encryptor.update(padder.update(text) + padder.finalize()) + encryptor.finalize()
    nonce = os.urandom(12)
    return nonce + AESGCM(key).encrypt(nonce, text, None)


def _cipher(parent: Any, octets: bytes) -> None:
    data = etree.SubElement(parent, f"{{{XENC}}}CipherData")
    etree.SubElement(data, f"{{{XENC}}}CipherValue").text = base64.encodebytes(octets).decode()
