"""The end of what people are signed in to by a connection: it is turned off, or believes another provider."""

from collections.abc import Sequence

from sqlalchemy import Uuid, any_, delete, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

from bridge.domain.identifiers import MemberId
from bridge.domain.sign_in import SignInProtocol
from bridge.store.models import Connection, Identity, SignInRequest, WebSession
from bridge.store.unit import Unit
from bridge.usecases.sessions import end_those


def believe(unit: Unit, connection: Connection, protocol: SignInProtocol, issuer: str) -> int:
    """Let a connection believe an identity provider; where that is another one, sign-ins by the former end (T14).

    Links to subjects of the former one stay: they count again if the connection goes back to it.

    Returns:
        How many sessions ended.
    """
    if (connection.protocol, connection.issuer) == (protocol, issuer):
        return 0
    ended = end_sign_ins_by(unit, connection, reason="provider_changed")
    connection.protocol, connection.issuer = protocol, issuer
    unit.session.flush()
    return ended


def end_sign_ins_by(unit: Unit, connection: Connection, *, reason: str) -> int:
    """End sign-ins under way, and the sessions that a connection's people opened by its protocol, with their grants.

    Returns:
        How many sessions ended.
    """
    unit.session.execute(
        delete(SignInRequest).where(SignInRequest.org_id == unit.org_id, SignInRequest.connection_id == connection.id)
    )
    unit.session.flush()
    linked: Sequence[MemberId] = unit.session.scalars(
        select(Identity.member_id)
        .where(Identity.org_id == unit.org_id, Identity.connection_id == connection.id)
        .distinct()
    ).all()
    if not linked or connection.protocol is None:
        return 0
    these = literal(list(linked), ARRAY(Uuid))
    unit.session.execute(select(func.end_app_grants(unit.org_id, these, unit.at, reason)))
    mine = (WebSession.member_id == any_(these)) & (WebSession.method == connection.protocol)
    return len(end_those(unit, mine, reason=reason))
