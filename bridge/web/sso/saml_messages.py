"""What one connection's SAML messages are written and read with: our names and keys, and whom it believes."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from bridge.adapters.saml import (
    IdpTrust,
    PublishedKeys,
    SpKey,
    SpSettings,
    VerifiedAssertion,
    asserted_person,
    sp_metadata,
    verify_response,
)
from bridge.domain.claims import ClaimMap
from bridge.domain.identifiers import ConnectionId
from bridge.domain.sign_in import KeyStage, SignInProtocol
from bridge.errors import SignInRefusedError
from bridge.runtime import Runtime
from bridge.store.models import Connection
from bridge.store.unit import Unit
from bridge.usecases.saml_trust import certificates_of, saml_provider
from bridge.usecases.service_keys import ensure_service_key, service_keys
from bridge.usecases.sign_in import AssertedSubject, Assertion, SignInRefusal
from bridge.usecases.single_logout import NamedSession
from bridge.web.sso.places import Place, identity_provider


def service_provider(place: Place, key: SpKey | None = None) -> SpSettings:
    """Describe this service as the connection's identity provider knows it; with a key, requests are signed.

    The entityID is the address of our metadata, so that an identity provider can fetch it by its name.
    """
    return SpSettings(f"{place.public_url}{place.path}/metadata", place.answer_url, key, place.logout_url)


def our_metadata(runtime: Runtime, unit: Unit, place: Place) -> bytes:
    """Write our metadata for a connection; its first key is made when it is first asked for.

    Raises:
        NotFoundError: There is no such connection.
    """
    identity_provider(unit, place)
    provider = saml_provider(unit, place.connection_id)
    keys = ensure_service_key(unit, place.connection_id, runtime.make_service_key)
    offers = provider is None or provider.offers_encryption
    published = PublishedKeys(
        signing=tuple(key.certificate for key in keys if key.stage != KeyStage.OLD),
        encryption=tuple(key.certificate for key in keys if offers and key.stage == KeyStage.CURRENT),
    )
    signs = provider is not None and provider.signs_requests
    return sp_metadata(service_provider(place), published, signs_requests=signs)


def verify_answer(
    runtime: Runtime,
    place: Place,
    trust: IdpTrust,
    raw: str,
    *,
    now: datetime,
    our_keys: Callable[[], Sequence[SpKey]] = tuple,
) -> VerifiedAssertion:
    """Verify a response with what the place's connection trusts.

    Without keys of ours no assertion is opened that is encrypted.

    Raises:
        SignInRefusedError: With the reason.
    """
    return verify_response(
        raw,
        sp=service_provider(place),
        idp=trust,
        expected_request=None,
        now=now,
        skew_seconds=runtime.settings.sso.clock_skew_seconds,
        our_keys=our_keys,
    )


def read_answer(runtime: Runtime, place: Place, mapped: ClaimMap, verified: VerifiedAssertion) -> AssertedSubject:
    """Read who a verified assertion is about, by the connection's own names.

    Raises:
        SignInRefusedError: With the reason.
    """
    skew = runtime.settings.sso.clock_skew_seconds
    person = asserted_person(verified, mapped)
    claimed = person.claimed
    return AssertedSubject(
        connection_id=place.connection_id,
        protocol=SignInProtocol.SAML,
        issuer=verified.issuer,
        subject=person.subject,
        request_id=verified.in_response_to,
        assertion=Assertion(verified.assertion_id, verified.not_on_or_after + timedelta(seconds=skew)),
        directory_name=person.directory_name,
        is_name_sure=True,
        email=claimed.email,
        is_email_verified=True,
        given_name=claimed.given_name,
        family_name=claimed.family_name,
        display_name=claimed.display_name,
        groups=claimed.groups,
        groups_overage=person.groups_overage,
        attributes=claimed.attributes,
        read_by=mapped,
    )


def named_session(verified: VerifiedAssertion) -> NamedSession:
    """Return how the identity provider knows the session that an assertion opens."""
    return NamedSession(verified.name_id, verified.name_attributes, verified.session_index)


def opening_keys(runtime: Runtime, unit: Unit, place: Place) -> list[SpKey]:
    """Return every key that something may still be encrypted to; during a change that is more than one."""
    return [SpKey(key.certificate, runtime.private_key_of(key)) for key in service_keys(unit, place.connection_id)]


def signing_key(runtime: Runtime, unit: Unit, connection_id: ConnectionId) -> SpKey:
    """Return the key that signs what we send to a connection's identity provider."""
    keys = ensure_service_key(unit, connection_id, runtime.make_service_key)
    current = next(key for key in keys if key.stage == KeyStage.CURRENT)
    return SpKey(current.certificate, runtime.private_key_of(current))


def trust_of(unit: Unit, connection: Connection) -> IdpTrust:
    """Return whom a connection believes.

    Raises:
        SignInRefusedError: It believes nobody yet.
    """
    if connection.issuer is None:
        raise SignInRefusedError(SignInRefusal.CONNECTION_DISABLED, "The connection has no SAML metadata yet")
    certificates = certificates_of(unit, connection.id)
    return IdpTrust(connection.issuer, tuple(certificate.pem for certificate in certificates))
