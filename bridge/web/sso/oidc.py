"""OpenID Connect sign-in for one connection: start, redirection endpoint, finish."""

from dataclasses import dataclass
from typing import Final

from flask import Blueprint, Response, request

from bridge.adapters.oidc import (
    Client,
    KeyCache,
    OidcRefusal,
    Proof,
    Wire,
    authorization_url,
    described_person,
    read_userinfo,
    redeem_code,
    verify_id_token,
)
from bridge.adapters.refusals import refused, shown
from bridge.domain.claims import ClaimMap
from bridge.domain.credentials import new_credential
from bridge.domain.sign_in import SignInProtocol
from bridge.errors import SignInRefusedError
from bridge.runtime import Runtime
from bridge.store.unit import Unit
from bridge.usecases.map_claims import claims_of
from bridge.usecases.oidc_trust import oidc_provider, secret_place
from bridge.usecases.sign_in import AssertedSubject, SignInRefusal, pending_request
from bridge.web.credentials import assertion
from bridge.web.sso.cookies import request_cookie_hashes
from bridge.web.sso.flow import Accepted, Rehearsed, arrival_page, arrive, depart
from bridge.web.sso.lane import SignInLane
from bridge.web.sso.limits import SignInLimits
from bridge.web.sso.pages import sign_in_pages
from bridge.web.sso.places import Place, find_place, identity_provider
from bridge.web.sso.refusals import refusals_noted, signing_in

_LONGEST_HINT: Final = 254
_LONGEST_STATE: Final = 100


@dataclass(frozen=True, slots=True)
class Expected:
    """What a connection knows of the answer that it waits for, before it asks the provider about it."""

    client: Client
    proof: Proof
    sends_issuer: bool
    claims: ClaimMap


def oidc_blueprint(runtime: Runtime, *, with_lanes: bool = True) -> Blueprint:
    """Build the sign-in pages over a runtime; the providers' keys are kept as long as they live.

    Args:
        runtime: The product.
        with_lanes: Whether frequent sign-ins take their short way; every answer is the same without.
    """
    cache = KeyCache()
    limits = SignInLimits(runtime.settings.sso)
    lane = SignInLane(runtime, SignInProtocol.OIDC)
    pages = sign_in_pages(runtime, SignInProtocol.OIDC, limits, _sent_to_provider)

    @pages.get("/callback")
    @assertion
    def callback(org: str, connection_id: str) -> Response:
        """Take the answer that the browser carries; the provider is asked about it while no transaction is open."""
        known = lane.known(org, connection_id)
        place = known[0] if known is not None else _place(runtime, org, connection_id)
        with refusals_noted(runtime, place, limits):
            hashes = request_cookie_hashes()
            subject = read_answer(runtime, place, cache, _expected(runtime, place, hashes))
            quick = None if known is None else lane.arrive(*known, subject, None, runtime.clock.now())
            arrived = quick or _arrived(runtime, place, subject, hashes)
        if with_lanes:
            lane.learn(place)
        return arrival_page(place, arrived)

    return pages


def _arrived(
    runtime: Runtime, place: Place, subject: AssertedSubject, cookie_hashes: tuple[bytes, ...]
) -> Accepted | Rehearsed:
    with runtime.unit(place.org_id, signing_in(place)) as unit:
        return arrive(unit, place, subject, cookie_hashes)


def read_answer(runtime: Runtime, place: Place, cache: KeyCache, expected: Expected) -> AssertedSubject:
    """Redeem the code that came back, verify the ID token, and read who it is about.

    Raises:
        SignInRefusedError: With the reason.
    """
    client, proof = expected.client, expected.proof
    _refuse_other_issuers(client, sends_issuer=expected.sends_issuer)
    error = _parameter("error")
    if error is not None:
        detail = f"The identity provider answered {shown(error)} {shown(_parameter('error_description') or '')}"
        raise refused(OidcRefusal.PROVIDER_ERROR, detail)
    wire = _wire(runtime, client.issuer)
    answer = redeem_code(wire, client, _parameter("code") or "", proof)
    id_token = verify_id_token(
        answer,
        wire,
        client,
        cache,
        proof,
        now=runtime.clock.now(),
        skew_seconds=runtime.settings.sso.clock_skew_seconds,
    )
    subject = str(id_token["sub"])
    # What is signed comes before what is only told.
    person = described_person({**read_userinfo(wire, client, answer, subject), **id_token}, expected.claims)
    claimed = person.claimed
    return AssertedSubject(
        connection_id=place.connection_id,
        protocol=SignInProtocol.OIDC,
        issuer=client.issuer,
        subject=person.subject,
        request_id=_parameter("state"),
        assertion=None,
        directory_name=person.directory_name,
        is_name_sure=person.is_name_sure,
        email=claimed.email,
        is_email_verified=person.is_email_verified,
        given_name=claimed.given_name,
        family_name=claimed.family_name,
        display_name=claimed.display_name,
        groups=claimed.groups,
        groups_overage=person.groups_overage,
        attributes=claimed.attributes,
        read_by=expected.claims,
    )


def _sent_to_provider(runtime: Runtime, unit: Unit, place: Place, return_path: str) -> Response:
    client, _ = _client(runtime, unit, place)
    asked_by = request.args.get("iss")
    if asked_by is not None and asked_by != client.issuer:
        raise refused(OidcRefusal.MIX_UP, f"The sign-in was asked for by {shown(asked_by)}, which is another provider")
    state = new_credential().text
    proof = Proof(nonce=new_credential().text, code_verifier=new_credential().text)
    url = authorization_url(client, state=state, proof=proof, login_hint=_login_hint())
    return depart(unit, place, url, state, return_path, nonce=proof.nonce, code_verifier=proof.code_verifier)


def _expected(runtime: Runtime, place: Place, cookie_hashes: tuple[bytes, ...]) -> Expected:
    """Read what the answer must match, and whether this browser asked for it, before anybody else is asked.

    Raises:
        SignInRefusedError: It did not, or the connection signs nobody in.
    """
    with runtime.unit(place.org_id, signing_in(place)) as unit:
        client, sends_issuer = _client(runtime, unit, place)
        state = _parameter("state") or ""
        if len(state) > _LONGEST_STATE or not state.isprintable():
            raise refused(OidcRefusal.CODE, "The answer's state is none of ours")
        pending = pending_request(unit, place.connection_id, state, cookie_hashes)
        if pending.nonce is None or pending.code_verifier is None:
            raise SignInRefusedError(SignInRefusal.UNKNOWN_REQUEST, "It answers a request of another protocol")
        proof = Proof(pending.nonce, pending.code_verifier)
        return Expected(client, proof, sends_issuer, claims_of(unit, place.connection_id))


def _client(runtime: Runtime, unit: Unit, place: Place) -> tuple[Client, bool]:
    connection = identity_provider(unit, place)
    provider = oidc_provider(unit, place.connection_id)
    if provider is None or connection.issuer is None:
        raise SignInRefusedError(SignInRefusal.CONNECTION_DISABLED, "The connection has no OpenID Connect provider yet")
    secret = None
    if provider.client_secret is not None:
        bound_to = secret_place(unit.org_id, place.connection_id)
        secret = runtime.secrets.open(provider.client_secret, bound_to=bound_to).decode()
    client = Client(
        issuer=connection.issuer,
        client_id=provider.client_id,
        client_secret=secret,
        auth_method=provider.auth_method,
        redirect_uri=place.answer_url,
        scopes=tuple(provider.scopes),
        authorization_endpoint=provider.authorization_endpoint,
        token_endpoint=provider.token_endpoint,
        jwks_uri=provider.jwks_uri,
        userinfo_endpoint=provider.userinfo_endpoint if provider.asks_userinfo else None,
        algorithms=tuple(provider.algorithms),
    )
    return client, provider.sends_issuer


def _refuse_other_issuers(client: Client, *, sends_issuer: bool) -> None:
    """Refuse an answer that another provider gave (RFC 9207): its code must not reach this one's token endpoint."""
    named = _parameter("iss")
    if named is None and sends_issuer:
        raise refused(OidcRefusal.MIX_UP, "The answer does not name its issuer, as this provider's answers always do")
    if named is not None and named != client.issuer:
        raise refused(OidcRefusal.MIX_UP, f"The answer is of the issuer {shown(named)}, which is another provider")


def _parameter(name: str) -> str | None:
    """Return a parameter of the answer, which may come once only (RFC 6749 §3.1)."""
    values = request.args.getlist(name)
    if len(values) > 1:
        raise refused(OidcRefusal.CODE, f"The answer carries {name} more than once")
    return values[0] if values else None


def _login_hint() -> str | None:
    """Return the address that the person typed before, so that the provider need not ask again."""
    hint = request.args.get("login_hint", "").strip()
    return hint if hint and len(hint) <= _LONGEST_HINT and hint.isprintable() else None


def _place(runtime: Runtime, org: str, connection_id: str) -> Place:
    return find_place(runtime, SignInProtocol.OIDC, org, connection_id)


def _wire(runtime: Runtime, issuer: str) -> Wire:
    return Wire(issuer, runtime.settings.sso.internal_hosts)
