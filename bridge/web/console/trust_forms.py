"""What an administrator says of an identity provider: read from a form, and asked of the provider itself.

Nothing here has a transaction open: no lock waits for somebody else's answer.
"""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from flask import request

from bridge.adapters.oidc import ProviderFacts, Wire, discover
from bridge.adapters.oidc.wire import is_loopback
from bridge.adapters.saml import fetch_metadata, parse_idp_metadata, read_certificate
from bridge.adapters.saml.trust import trust_in
from bridge.config import Settings
from bridge.errors import InvalidInputError
from bridge.usecases.saml_trust import MetadataSource, SamlTrust


@dataclass(frozen=True, slots=True)
class GivenMetadata:
    """Metadata as it came: its bytes, and where it is read again; None for a file."""

    document: bytes
    source: MetadataSource | None

    def trust(self, now: datetime, entity_id: str | None = None) -> SamlTrust:
        """Return what it says.

        Raises:
            InvalidInputError: Of the field ``metadata``, with what to do about it.
        """
        signer = None if self.source is None else self.source.signed_by
        return trust_in(parse_idp_metadata(self.document, now=now, entity_id=entity_id, signed_by=signer))


def given_metadata(settings: Settings) -> GivenMetadata:
    """Read the metadata of the form: from its file, or from its address.

    Raises:
        InvalidInputError: Neither was given, or the address cannot be read.
    """
    url = request.form.get("metadata_url", "").strip()
    signer = request.form.get("signed_by", "").strip()
    signed_by = read_certificate(signer).pem if signer else None
    file = request.files.get("metadata")
    document = file.read() if file is not None else b""
    if document:
        return GivenMetadata(document, None)
    if not url:
        raise InvalidInputError("metadata", "give its address, or choose the file that the identity provider exports")
    return GivenMetadata(fetch_metadata(reachable(url, settings, "metadata_url")), MetadataSource(url, signed_by))


def provider_facts(issuer: str, settings: Settings) -> ProviderFacts:
    """Fetch and check what an OpenID Connect provider says of itself.

    Raises:
        InvalidInputError: Of the field ``issuer``, with what to do about it.
    """
    return discover(Wire(reachable(issuer, settings, "issuer"), settings.sso.internal_hosts))


def reachable(url: str, settings: Settings, field: str) -> str:
    """Return an address that a customer may have us ask: none on this machine, unless the operator vouches for it.

    Raises:
        InvalidInputError: Of that field.
    """
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    if host is None:
        raise InvalidInputError(field, "must be an address such as https://idp.example.com/metadata")
    if is_loopback(url) and host not in settings.sso.internal_hosts:
        raise InvalidInputError(field, "leads to this machine: the operator allows that by `sso.internal_hosts`")
    return url
