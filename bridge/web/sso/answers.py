"""From the form that an identity provider's page posted to a session."""

from dataclasses import dataclass
from datetime import timedelta

from bridge.adapters.saml import IdpTrust, asserted_person, verify_response
from bridge.errors import SignInRefusedError
from bridge.runtime import Runtime
from bridge.store.models import Connection
from bridge.store.unit import Unit
from bridge.usecases.connections import certificates_of
from bridge.usecases.rehearse_sign_in import Rehearsal, rehearse_sign_in
from bridge.usecases.sign_in import AssertedSubject, SignInRefusal, complete_sign_in, wanted_path
from bridge.web.session import open_session
from bridge.web.sso.places import Place, identity_provider
from bridge.web.sso.refusals import signing_in


@dataclass(frozen=True, slots=True)
class Accepted:
    """A sign-in that worked: the new session's token, where to go, and the request that was answered."""

    token: str
    return_path: str
    request_id: str | None


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A test sign-in: what it would have done, and the request that was answered."""

    rehearsal: Rehearsal
    request_id: str | None


def accept_answer(runtime: Runtime, place: Place, raw: str, cookie_hashes: tuple[bytes, ...]) -> Accepted | Rehearsed:
    """Verify what was posted, sign the person in and open their session, in one transaction.

    What answers a test sign-in changes nothing and opens no session.

    Raises:
        NotFoundError: There is no such connection.
        SignInRefusedError: With the reason; nothing was changed.
    """
    with runtime.unit(place.org_id, signing_in(place)) as unit:
        subject = read_answer(runtime, unit, place, raw)
        if wanted_path(unit, place.connection_id, subject.in_response_to) == place.test_path:
            return Rehearsed(rehearse_sign_in(unit, subject, cookie_hashes=cookie_hashes), subject.in_response_to)
        signed_in = complete_sign_in(unit, subject, cookie_hashes=cookie_hashes)
        token = open_session(unit, signed_in.member, "saml")
    return Accepted(token, signed_in.return_path, subject.in_response_to)


def read_answer(runtime: Runtime, unit: Unit, place: Place, raw: str) -> AssertedSubject:
    """Verify a response with what the connection trusts now, and read who it is about."""
    sso = runtime.settings.sso
    verified = verify_response(
        raw,
        sp=place.service_provider,
        idp=_trust(unit, identity_provider(unit, place)),
        expected_request=None,
        now=unit.at,
        skew_seconds=sso.clock_skew_seconds,
    )
    person = asserted_person(verified)
    return AssertedSubject(
        connection_id=place.connection_id,
        issuer=verified.issuer,
        subject=verified.name_id,
        assertion_id=verified.assertion_id,
        in_response_to=verified.in_response_to,
        expires_at=verified.not_on_or_after + timedelta(seconds=sso.clock_skew_seconds),
        email=person.email,
        given_name=person.given_name,
        family_name=person.family_name,
        display_name=person.display_name,
        groups=person.groups,
        groups_overage=person.groups_overage,
    )


def _trust(unit: Unit, connection: Connection) -> IdpTrust:
    if connection.saml_entity_id is None:
        raise SignInRefusedError(SignInRefusal.CONNECTION_DISABLED, "The connection has no SAML metadata yet")
    certificates = certificates_of(unit, connection.id)
    return IdpTrust(connection.saml_entity_id, tuple(certificate.pem for certificate in certificates))
