"""Who a subject of an identity provider is, said by hand; and taken back again."""

from collections.abc import Sequence

from sqlalchemy import select

from bridge.domain.identifiers import ConnectionId, MemberId
from bridge.domain.roles import Permission
from bridge.errors import InvalidInputError, NotFoundError, UniquenessError
from bridge.store.directory import get_connection, get_member
from bridge.store.journal import record
from bridge.store.models import Identity
from bridge.store.unit import Unit
from bridge.usecases.recognise_subject import MAX_NAME_CHARACTERS
from bridge.usecases.same_person import BY_HAND
from bridge.usecases.sessions import end_sign_ins


def link_identity(unit: Unit, connection_id: ConnectionId, member_id: MemberId, *, subject: str) -> Identity:
    """Say by hand who a subject of a connection's identity provider is: the only way to an owner (T14).

    Raises:
        InvalidInputError: The connection trusts no identity provider yet, or no provider has such a subject.
        UniquenessError: The subject is somebody else already.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    connection = get_connection(unit, connection_id)
    member = get_member(unit, member_id)
    if connection.issuer is None or connection.protocol is None:
        raise InvalidInputError("connection", "trusts no identity provider yet: add its metadata first")
    if not subject.strip() or len(subject) > MAX_NAME_CHARACTERS or not subject.isprintable():
        raise InvalidInputError(
            "subject", f"give it as the provider sends it: 1 to {MAX_NAME_CHARACTERS} printable characters, not blank"
        )
    present = unit.session.get(Identity, (unit.org_id, connection.id, connection.protocol, connection.issuer, subject))
    if present is not None:
        if present.member_id != member.id:
            raise UniquenessError(attribute="subject", value=subject, taken_by=str(present.member_id))
        return present
    identity = Identity(
        org_id=unit.org_id,
        connection_id=connection.id,
        protocol=connection.protocol,
        issuer=connection.issuer,
        subject=subject,
        member_id=member.id,
        linked_at=unit.at,
        linked_by=BY_HAND,
    )
    unit.session.add(identity)
    unit.session.flush()
    record(
        unit, "identity.linked", subject_kind="member", subject_id=member.id, reason="requested", touches_seats=False
    )
    return identity


def unlink_identity(
    unit: Unit, connection_id: ConnectionId, member_id: MemberId, *, subject: str | None = None
) -> Sequence[str]:
    """Forget that a subject, or every subject of a connection, is a person, and end what the person is signed in to.

    Returns:
        The subjects that were theirs.

    Raises:
        ForbiddenError: The actor may not change connections.
        NotFoundError: The person has no such link there.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    connection = get_connection(unit, connection_id)
    member = get_member(unit, member_id)
    links = unit.session.scalars(
        select(Identity)
        .where(
            Identity.org_id == unit.org_id,
            Identity.connection_id == connection.id,
            Identity.member_id == member.id,
            *([] if subject is None else [Identity.subject == subject]),
        )
        .order_by(Identity.subject)
    ).all()
    if not links:
        raise NotFoundError("link", f"{member.user_name} in {connection.name}" if subject is None else subject)
    for link in links:
        unit.session.delete(link)
    unit.session.flush()
    record(
        unit,
        "identity.unlinked",
        subject_kind="member",
        subject_id=member.id,
        reason="requested",
        body={"connection": str(connection.id), "links": len(links)},
        touches_seats=False,
    )
    end_sign_ins(unit, [member.id], reason="unlinked")
    return [link.subject for link in links]
