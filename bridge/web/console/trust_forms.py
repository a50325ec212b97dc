"""What an administrator says of an identity provider: read from a form, and asked of the provider itself.

What asks the provider (``given_…``) has no transaction open: no lock waits for somebody else's answer.
"""

from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit

from flask import request

from bridge.adapters.oidc import ProviderFacts, Wire, discover
from bridge.adapters.oidc.trust import read_scopes, read_secret
from bridge.adapters.oidc.trust import trust_in as oidc_trust_in
from bridge.adapters.oidc.wire import is_loopback
from bridge.adapters.saml import fetch_metadata, parse_idp_metadata, read_certificate
from bridge.adapters.saml.trust import trust_in
from bridge.config import Settings
from bridge.domain.identifiers import ConnectionId
from bridge.errors import InvalidInputError
from bridge.store.models import Connection
from bridge.store.secrets import SecretBox
from bridge.store.unit import Unit
from bridge.usecases.oidc_trust import oidc_provider, secret_place, trust_oidc_provider
from bridge.usecases.saml_trust import MetadataSource, SamlTrust, trust_saml_provider


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


@dataclass(frozen=True, slots=True)
class GivenProvider:
    """An OpenID Connect provider as a form names it, and as it describes itself.

    Attributes:
        secret: What was typed; empty to keep the one that is known.
        is_public: The provider gives no secret.
    """

    issuer: str
    client_id: str
    scopes: tuple[str, ...]
    secret: str = field(repr=False)
    is_public: bool
    asks_userinfo: bool
    facts: ProviderFacts


def given_provider(settings: Settings) -> GivenProvider:
    """Read the provider of the form, and ask it to describe itself.

    Raises:
        InvalidInputError: A field is wrong, or the provider cannot be asked; with what to do about it.
    """
    form = request.form
    issuer, scopes = form.get("issuer", "").strip(), read_scopes(form.get("scopes", "").split())
    return GivenProvider(
        issuer=issuer,
        client_id=form.get("client_id", "").strip(),
        scopes=scopes,
        secret=form.get("client_secret", ""),
        is_public=form.get("public_client") == "yes",
        asks_userinfo=form.get("userinfo") == "yes",
        facts=discover(Wire(reachable(issuer, settings, "issuer"), settings.sso.internal_hosts)),
    )


def believe_saml(unit: Unit, connection_id: ConnectionId, given: GivenMetadata) -> SamlTrust:
    """Let a connection believe what the metadata says.

    Raises:
        InvalidInputError: The metadata cannot be used.
    """
    trust = given.trust(unit.at, request.form.get("entity_id", "").strip() or None)
    trust_saml_provider(unit, connection_id, trust, given.source)
    return trust


def believe_oidc(unit: Unit, connection: Connection, given: GivenProvider, secrets: SecretBox) -> None:
    """Let a connection believe an OpenID Connect provider; the client secret is kept sealed.

    Raises:
        InvalidInputError: There is no secret, or another field is wrong.
    """
    present = oidc_provider(unit, connection.id)
    is_same = present is not None and (connection.issuer, present.client_id) == (given.issuer, given.client_id)
    sealed = present.client_secret if present is not None and is_same else None
    if given.is_public:
        sealed = None
    elif given.secret or sealed is None:
        secret = read_secret(given.secret, problem="paste the secret, or tick that the provider gives none")
        sealed = secrets.seal(secret.encode(), bound_to=secret_place(unit.org_id, connection.id))
    trust = oidc_trust_in(
        given.issuer,
        given.facts,
        client_id=given.client_id,
        sealed_secret=sealed,
        scopes=given.scopes,
        asks_userinfo=given.asks_userinfo,
    )
    trust_oidc_provider(unit, connection.id, trust)


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
