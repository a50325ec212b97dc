"""An identity provider's metadata: what an administrator uploads, pastes or points us to."""

import base64
import binascii
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from bridge.adapters.fetch import fetch_https
from bridge.adapters.saml.library import verify_metadata_signature
from bridge.adapters.saml.requests import REDIRECT_BINDING
from bridge.adapters.saml.xml import DS, METADATA, SAMLP, UnsafeXmlError, parse_instant, read_xml, text_of
from bridge.errors import InvalidInputError, SignInRefusedError

MAX_METADATA_BYTES: Final = 256 * 1024
MAX_FEDERATION_BYTES: Final = 512 * 1024
"""For a document with several entities (EntitiesDescriptor)."""
MIN_RSA_BITS: Final = 2048

_FETCH_SECONDS: Final = 10.0
_ARMOUR = re.compile(r"-----(BEGIN|END) CERTIFICATE-----")


@dataclass(frozen=True, slots=True)
class IdpCertificate:
    """A signing certificate in PEM, its SHA-256 fingerprint (``AA:BB:…``) and its validity in UTC."""

    pem: str
    fingerprint: str
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class IdpMetadata:
    """What a connection needs to know of an identity provider. ``sso_url`` takes HTTP-Redirect requests."""

    entity_id: str
    sso_url: str
    sso_binding: str
    certificates: tuple[IdpCertificate, ...]
    name_id_format: str | None
    wants_signed_requests: bool


def parse_idp_metadata(
    xml: bytes, *, now: datetime, entity_id: str | None = None, signed_by: str | None = None
) -> IdpMetadata:
    """Read the metadata document of an identity provider.

    Args:
        xml: The document, of one entity (256 kB) or of a federation (512 kB).
        now: Aware instant, to refuse a document whose ``validUntil`` has passed.
        entity_id: The entity to take out of a document with several identity providers.
        signed_by: Certificate (PEM) whose signature over the whole document is required, such as a federation's.

    Raises:
        InvalidInputError: Of the field ``metadata``, with what to do about it.
    """
    root = _read(xml)
    if signed_by is not None:
        try:
            verify_metadata_signature(root, signed_by)
        except SignInRefusedError as problem:
            raise _invalid(f"its signature is required and does not hold: {problem.detail}") from problem
    entity = _choose(_identity_providers(root), entity_id)
    _check_validity([root, entity], now)
    name = (entity.get("entityID") or "").strip()
    if not name:
        raise _invalid("the entityID is missing: export the document again at the identity provider")
    descriptor = _descriptor(entity)
    return IdpMetadata(
        entity_id=name,
        sso_url=_redirect_url(descriptor),
        sso_binding=REDIRECT_BINDING,
        certificates=_certificates(descriptor),
        name_id_format=text_of(descriptor.find(f"{{{METADATA}}}NameIDFormat")) or None,
        wants_signed_requests=descriptor.get("WantAuthnRequestsSigned") in ("true", "1"),
    )


def fetch_metadata(url: str) -> bytes:
    """Read a metadata document from an https address; http leads to this very machine only, named as such.

    Another name never leads to this machine or into a private network, whatever it resolves to by now (I8).

    Raises:
        InvalidInputError: Of the field ``url``, with what to do about it.
    """
    host = urlsplit(url).hostname or ""
    return fetch_https(
        url,
        max_bytes=MAX_FEDERATION_BYTES,
        timeout_seconds=_FETCH_SECONDS,
        allow_loopback=_is_loopback(host),
    )


def read_certificate(text: str) -> IdpCertificate:
    """Read one certificate, in PEM or as bare base64 (as in metadata).

    An expired one is read: what counts is that the administrator gave us this very key. Its expiry is there
    to warn.

    Raises:
        InvalidInputError: Of the field ``certificate``: unreadable, an RSA key below 2048 bits, or another
        kind of key.
    """
    try:
        der = base64.b64decode("".join(_ARMOUR.sub("", text).split()), validate=True)
        certificate = x509.load_der_x509_certificate(der)
        key = certificate.public_key()
    except (binascii.Error, ValueError, TypeError) as problem:
        raise InvalidInputError("certificate", "this is not an X.509 certificate in PEM or base64") from problem
    except Exception as problem:  # cryptography's own classes of unsupported algorithms share no public base
        raise InvalidInputError("certificate", f"the certificate's key is not supported: {problem}") from problem
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise InvalidInputError("certificate", "the certificate's key must be RSA or an elliptic curve")
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        raise InvalidInputError("certificate", f"the RSA key has {key.key_size} bits; {MIN_RSA_BITS} are needed")
    return IdpCertificate(
        pem=certificate.public_bytes(serialization.Encoding.PEM).decode(),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(":").upper(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def check_sso_url(url: str) -> str:
    """Return a sign-in URL a browser may be sent to: https, or http to this machine.

    Raises:
        InvalidInputError: Of the field ``sso_url``.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError as problem:
        raise InvalidInputError("sso_url", f"{url!r} is not a URL") from problem
    if not host or parts.username is not None or parts.fragment or any(ord(sign) <= 32 for sign in url):  # noqa: PLR2004 - the space and the control characters
        raise InvalidInputError("sso_url", f"{url!r} is not a plain URL of a sign-in page")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise InvalidInputError("sso_url", f"{url!r} must start with https://")
    return url


def _read(xml: bytes) -> Any:
    try:
        root = read_xml(xml, max_bytes=MAX_FEDERATION_BYTES)
    except UnsafeXmlError as problem:
        raise _invalid(f"{problem}. Paste the identity provider's metadata XML as it was exported") from problem
    if root.tag not in (f"{{{METADATA}}}EntityDescriptor", f"{{{METADATA}}}EntitiesDescriptor"):
        raise _invalid("this is not SAML metadata: it must start with an EntityDescriptor")
    if root.tag == f"{{{METADATA}}}EntityDescriptor" and len(xml) > MAX_METADATA_BYTES:
        raise _invalid(f"the document of one identity provider may have {MAX_METADATA_BYTES // 1024} kB at most")
    return root


def _identity_providers(root: Any) -> list[Any]:
    return [entity for entity in root.iter(f"{{{METADATA}}}EntityDescriptor") if _descriptors(entity)]


def _descriptors(entity: Any) -> list[Any]:
    return [
        descriptor
        for descriptor in entity.findall(f"{{{METADATA}}}IDPSSODescriptor")
        if SAMLP in (descriptor.get("protocolSupportEnumeration") or "").split()
    ]


def _descriptor(entity: Any) -> Any:
    descriptors = _descriptors(entity)
    if len(descriptors) > 1:
        raise _invalid("the entity has several IDPSSODescriptors for SAML 2.0: leave one")
    return descriptors[0]


def _choose(entities: list[Any], entity_id: str | None) -> Any:
    if entity_id is not None:
        entities = [entity for entity in entities if entity.get("entityID") == entity_id]
    if not entities:
        which = "no SAML 2.0 identity provider" if entity_id is None else f"no identity provider {entity_id!r}"
        raise _invalid(
            f"the document describes {which}: export the metadata of the identity provider, not of a service"
        )
    if len(entities) > 1:
        names = ", ".join(str(entity.get("entityID")) for entity in entities[:5])
        raise _invalid(f"the document describes {len(entities)} identity providers ({names}, …): say which entity ID")
    return entities[0]


def _check_validity(elements: list[Any], now: datetime) -> None:
    for element in elements:
        until = element.get("validUntil")
        try:
            expired = until is not None and parse_instant(until) <= now
        except ValueError as problem:
            raise _invalid(f"validUntil {until!r} is not a date and time") from problem
        if expired:
            raise _invalid(f"the document was valid until {until}: export a fresh one at the identity provider")


def _redirect_url(descriptor: Any) -> str:
    for service in descriptor.findall(f"{{{METADATA}}}SingleSignOnService"):
        if service.get("Binding") == REDIRECT_BINDING:
            try:
                return check_sso_url(service.get("Location") or "")
            except InvalidInputError as problem:
                raise _invalid(f"the sign-in address {problem.problem}") from problem
    raise _invalid("it offers no sign-in by HTTP-Redirect: enable that binding at the identity provider")


def _certificates(descriptor: Any) -> tuple[IdpCertificate, ...]:
    certificates: dict[str, IdpCertificate] = {}
    for text in _certificate_texts(descriptor):
        try:
            certificate = read_certificate(text)
        except InvalidInputError as problem:
            raise _invalid(f"a signing certificate cannot be used: {problem.problem}") from problem
        certificates[certificate.fingerprint] = certificate
    if not certificates:
        raise _invalid("it has no signing certificate: export it with its certificates at the identity provider")
    return tuple(certificates.values())


def _certificate_texts(descriptor: Any) -> Iterator[str]:
    for key in descriptor.findall(f"{{{METADATA}}}KeyDescriptor"):
        if key.get("use") in (None, "signing"):
            for certificate in key.iterfind(f"{{{DS}}}KeyInfo/{{{DS}}}X509Data/{{{DS}}}X509Certificate"):
                yield text_of(certificate)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _invalid(problem: str) -> InvalidInputError:
    return InvalidInputError("metadata", problem)
