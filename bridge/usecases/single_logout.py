"""Single logout: a session ends at the identity provider too, and one that ended there ends here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Text, insert, literal, select
from sqlalchemy.dialects.postgresql import JSONB

from bridge.domain.identifiers import ConnectionId
from bridge.store.directory import get_connection
from bridge.store.models import SamlSession, WebSession
from bridge.store.unit import Unit
from bridge.usecases.saml_trust import saml_provider
from bridge.usecases.sessions import end_those
from bridge.usecases.sign_in import note_sign_in, remember_once

ENDED_BY = "identity_provider"


@dataclass(frozen=True, slots=True)
class ProviderSession:
    """How an identity provider knows a session of ours, and where it is asked to end it."""

    connection_id: ConnectionId
    logout_url: str
    name_id: str
    name_attributes: Mapping[str, str]
    index: str | None


@dataclass(frozen=True, slots=True)
class NamedSession:
    """How an identity provider names a session and whose it is, as its assertion has it."""

    name_id: str
    name_attributes: Mapping[str, str]
    index: str | None


def keep_provider_session(unit: Unit, token_hash: bytes, connection_id: ConnectionId, named: NamedSession) -> None:
    """Remember how the identity provider knows the session that was just opened."""
    unit.session.flush()
    attributes = literal(dict(named.name_attributes), JSONB)
    facts = (literal(connection_id), literal(named.name_id), attributes, literal(named.index, Text))
    opened = select(WebSession.org_id, WebSession.id, *facts).where(
        WebSession.org_id == unit.org_id, WebSession.token_hash == token_hash
    )
    columns = ("org_id", "session_id", "connection_id", "name_id", "name_attributes", "session_index")
    unit.session.execute(insert(SamlSession).from_select(columns, opened))


def session_at_provider(unit: Unit, session_id: object) -> ProviderSession | None:
    """Return where a session is to be ended too; None where its identity provider offers no single logout."""
    known = unit.session.get(SamlSession, (unit.org_id, session_id))
    if known is None or get_connection(unit, known.connection_id).disabled_at is not None:
        return None
    provider = saml_provider(unit, known.connection_id)
    if provider is None or provider.logout_url is None:
        return None
    return ProviderSession(
        known.connection_id, provider.logout_url, known.name_id, known.name_attributes, known.session_index
    )


def end_at_providers_word(
    unit: Unit,
    connection_id: ConnectionId,
    *,
    issuer: str,
    message_id: str,
    expires_at: datetime,
    name_id: str,
    indexes: Sequence[str],
) -> int:
    """End the sessions that a verified logout request names; with no index all of the person's by this connection.

    Args:
        unit: The unit, with the connection as its actor.
        connection_id: Whose identity provider asks.
        issuer: Its entityID.
        message_id: The request's own id: it works once.
        expires_at: Until when it could be played back.
        name_id: Of whom.
        indexes: Which sessions, in the identity provider's words.

    Returns:
        How many were ended now.

    Raises:
        SignInRefusedError: The request was used before; the unit must roll back.
    """
    unit.lock()
    remember_once(unit, connection_id, issuer, message_id, expires_at)
    theirs = select(SamlSession.session_id).where(
        SamlSession.org_id == unit.org_id,
        SamlSession.connection_id == connection_id,
        SamlSession.name_id == name_id,
    )
    if indexes:
        theirs = theirs.where(SamlSession.session_index.in_(indexes))
    ended = end_those(unit, WebSession.id.in_(theirs), reason=ENDED_BY)
    note_sign_in(
        unit,
        connection_id=connection_id,
        outcome="signed_out",
        reason="ok",
        detail=f"The identity provider ended {len(ended)} of the person's sessions here.",
    )
    return len(ended)
