"""Who calls: the bearer token of a provisioning client (RFC 6750)."""

import hashlib
from datetime import datetime, timedelta

from sqlalchemy import or_, update
from sqlalchemy.orm import Session

from bridge.errors import UnauthenticatedError
from bridge.runtime import Runtime
from bridge.store.gate import ScimPrincipal, enter_scim, enter_scim_by_lane
from bridge.store.models import Connection, ScimToken

MAX_TOKEN_LENGTH = 512
LAST_USED_INTERVAL = timedelta(minutes=1)


def authenticate(runtime: Runtime, token_hash: bytes | None, slug: str) -> ScimPrincipal:
    """Find out which connection of which organization calls.

    Args:
        runtime: The product.
        token_hash: What the bearer token is known by (:func:`credential_hash`).
        slug: The organization that the path names.

    Raises:
        UnauthenticatedError: No token, an unknown, expired or revoked one, or one of another organization than the
            path names: all the same, so that nothing can be learned of other organizations.
    """
    if token_hash is None:
        raise UnauthenticatedError
    at = runtime.clock.now()
    principal = enter_scim_by_lane(runtime.lane, token_hash, at)
    if principal is None or _is_stale(principal, at):
        principal = runtime.ask_gate(lambda session: _enter(session, token_hash, at))
    if principal is None or principal.slug != slug:
        raise UnauthenticatedError
    return principal


def credential_hash(authorization: str | None) -> bytes | None:
    """Return what a bearer token is known by; None where the header holds none that could be one of ours."""
    scheme, _, token = (authorization or "").strip().partition(" ")
    token = token.strip()
    if scheme.casefold() != "bearer" or not token or len(token) > MAX_TOKEN_LENGTH:
        return None
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _enter(session: Session, token_hash: bytes, at: datetime) -> ScimPrincipal | None:
    principal = enter_scim(session, token_hash, at)
    if principal is not None and _is_stale(principal, at):
        _note_use(session, principal, at)
    return principal


def _is_stale(principal: ScimPrincipal, at: datetime) -> bool:
    """Tell whether it is time to note that a token was used."""
    return principal.last_used_at is None or principal.last_used_at <= at - LAST_USED_INTERVAL


def _note_use(session: Session, principal: ScimPrincipal, at: datetime) -> None:
    """Write that the token was used, at most once a minute however many requests arrive at once.

    That a directory may push by it is written of its connection too, which outlives every token.
    """
    noted = session.execute(
        update(ScimToken)
        .where(
            ScimToken.org_id == principal.org_id,
            ScimToken.id == principal.token_id,
            or_(ScimToken.last_used_at.is_(None), ScimToken.last_used_at <= at - LAST_USED_INTERVAL),
        )
        .values(last_used_at=at)
        .returning(ScimToken.id)
    ).first()
    if noted is not None and principal.can_write and principal.subject_id is None:
        session.execute(
            update(Connection)
            .where(Connection.org_id == principal.org_id, Connection.id == principal.connection_id)
            .values(scim_last_used_at=at)
        )
