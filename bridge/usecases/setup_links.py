"""Set-up links: they let somebody without an account follow the guide of one connection, for some days."""

import hmac
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import select

from bridge.domain.actors import Actor, ActorKind
from bridge.domain.credentials import SETUP_LINK_PREFIX, Credential, new_credential
from bridge.domain.identifiers import ConnectionId, new_id
from bridge.domain.roles import Permission, Role
from bridge.errors import InvalidInputError, NotFoundError, SetupLinkGoneError
from bridge.store.directory import get_connection
from bridge.store.journal import record
from bridge.store.models import Connection, SetupLink
from bridge.store.unit import Unit

LINK_DAYS: Final = 30
MAX_LINK_DAYS: Final = 90
_LONGEST_LABEL = 100


@dataclass(frozen=True, slots=True)
class OpenedLink:
    """A set-up link that is good now, and the only connection that it is about."""

    link: SetupLink
    connection: Connection


def create_setup_link(
    unit: Unit, connection_id: ConnectionId, *, label: str = "", days: int = LINK_DAYS
) -> tuple[SetupLink, Credential]:
    """Make a link to the guide of one connection; its text exists only in the answer.

    Whoever has it sees the connection's addresses and checks, may issue a SCIM token, and may say whom the connection
    believes as long as it believes nobody.

    Args:
        unit: The unit.
        connection_id: Which connection.
        label: Whom it is for.
        days: How long it is good.

    Raises:
        ForbiddenError: The actor may not change connections.
        InvalidInputError: The label is too long, or the days are too few or too many.
        NotFoundError: There is no such connection.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    connection = get_connection(unit, connection_id)
    label = label.strip() or f"{connection.name} {unit.at:%Y-%m-%d}"
    if len(label) > _LONGEST_LABEL:
        raise InvalidInputError("label", f"must not be longer than {_LONGEST_LABEL} characters")
    if not 1 <= days <= MAX_LINK_DAYS:
        raise InvalidInputError("days", f"must be 1 to {MAX_LINK_DAYS}")
    credential = new_credential(SETUP_LINK_PREFIX)
    link = SetupLink(
        org_id=unit.org_id,
        id=new_id(),
        connection_id=connection.id,
        label=label,
        token_hash=credential.hash,
        created_at=unit.at,
        created_by=str(unit.actor),
        expires_at=unit.at + timedelta(days=days),
        revoked_at=None,
        first_used_at=None,
    )
    unit.session.add(link)
    unit.session.flush()
    _record(unit, "setup_link.created", link, expires_at=link.expires_at.isoformat())
    return link, credential


def list_setup_links(unit: Unit, connection_id: ConnectionId | None = None) -> Sequence[SetupLink]:
    """Return the links that are good now, of one connection or of all, oldest first.

    Raises:
        ForbiddenError: The actor may not change connections.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    of_one = [] if connection_id is None else [SetupLink.connection_id == connection_id]
    return unit.session.scalars(
        select(SetupLink)
        .where(
            SetupLink.org_id == unit.org_id,
            SetupLink.revoked_at.is_(None),
            SetupLink.expires_at > unit.at,
            *of_one,
        )
        .order_by(SetupLink.created_at, SetupLink.label, SetupLink.id)
    ).all()


def revoke_setup_link(unit: Unit, link_id: uuid.UUID) -> SetupLink:
    """Revoke a link: whoever opens it next is told that it is no longer good.

    Raises:
        ForbiddenError: The actor may not change connections.
        NotFoundError: There is none.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    link = unit.session.get(SetupLink, (unit.org_id, link_id))
    if link is None:
        raise NotFoundError("set-up link", str(link_id))
    if link.revoked_at is None:
        link.revoked_at = unit.at
        _record(unit, "setup_link.revoked", link)
    return link


def open_setup_link(unit: Unit, link_id: uuid.UUID, token_hash: bytes) -> OpenedLink:
    """Open a link: from here on its holder acts, and may change this connection only.

    The first time stands in the audit chain; what is done by it always does.

    Raises:
        SetupLinkGoneError: It is unknown, has expired or was revoked.
    """
    link = live_setup_link(unit, link_id)
    if link is None or not hmac.compare_digest(link.token_hash, token_hash):
        raise SetupLinkGoneError
    unit.actor = Actor(ActorKind.SETUP_LINK, link.id, Role.ADMIN)
    if link.first_used_at is None:
        unit.lock()
        link.first_used_at = unit.at
        _record(unit, "setup_link.opened", link, reason="opened")
    return OpenedLink(link, get_connection(unit, link.connection_id))


def live_setup_link(unit: Unit, link_id: uuid.UUID) -> SetupLink | None:
    """Return a link that is neither revoked nor expired; None for any other."""
    link = unit.session.get(SetupLink, (unit.org_id, link_id), populate_existing=True)
    return None if link is None or link.revoked_at is not None or link.expires_at <= unit.at else link


def _record(unit: Unit, action: str, link: SetupLink, *, reason: str = "requested", **facts: object) -> None:
    record(
        unit,
        action,
        subject_kind="setup_link",
        subject_id=link.id,
        reason=reason,
        body={"connection": str(link.connection_id), **facts},
        touches_seats=False,
    )
