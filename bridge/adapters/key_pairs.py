"""Key pairs of our own, with the certificate that shows them to others."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

RSA_BITS: Final = 3072
LIFETIME: Final = timedelta(days=3 * 365)
_EARLIER: Final = timedelta(hours=1)
_LONGEST_NAME: Final = 64


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A self-signed certificate and its private key, both in PEM; ``repr`` leaves the private one out.

    Attributes:
        fingerprint: SHA-256 of the certificate's DER form (``AA:BB:…``).
        not_after: Until when the certificate says that it holds, in UTC.
    """

    certificate: str
    private_key: str = field(repr=False)
    fingerprint: str
    not_after: datetime


def make_key_pair(name: str, now: datetime, *, bits: int = RSA_BITS) -> KeyPair:
    """Make an RSA key and a certificate over it that holds for three years, and from an hour ago on.

    Args:
        name: The certificate's common name; what is longer than 64 characters is cut.
        now: Aware instant.
        bits: Length of the key; making one of 3072 bits takes some tenths of a second.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:_LONGEST_NAME])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return KeyPair(
        certificate=certificate.public_bytes(serialization.Encoding.PEM).decode(),
        private_key=private.decode(),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
        not_after=certificate.not_valid_after_utc,
    )
