"""Queries about people, groups and memberships. ``org_id`` comes first in each of them."""

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, and_, any_, func, or_, select

from bridge.domain.identifiers import ConnectionId, GroupId, MemberId
from bridge.errors import NotFoundError
from bridge.store.models import (
    Connection,
    Domain,
    Group,
    GroupMember,
    MappingVersion,
    Member,
    effective_membership,
)
from bridge.store.unit import Unit
from mappings.documents import from_stored
from mappings.rules import MappingSet
from mappings.tiers import TierLadder


def get_member(unit: Unit, member_id: MemberId, connection_id: ConnectionId | None = None) -> Member:
    """Return a member.

    Args:
        unit: The unit.
        member_id: Which one.
        connection_id: Only if the person belongs to this directory.

    Raises:
        NotFoundError: No such member here; another organization's member is just as unknown.
    """
    statement = select(Member).where(Member.org_id == unit.org_id, Member.id == member_id)
    if connection_id is not None:
        statement = statement.where(Member.connection_id == connection_id)
    member = unit.session.scalars(statement.execution_options(populate_existing=True)).one_or_none()
    if member is None:
        raise NotFoundError("member", str(member_id))
    return member


def find_member_by_user_name(unit: Unit, connection_id: ConnectionId, user_name_key: str) -> Member | None:
    """Return the member of a directory with this userName, compared without case."""
    return unit.session.scalars(
        select(Member).where(
            Member.org_id == unit.org_id,
            Member.connection_id == connection_id,
            Member.user_name_key == user_name_key,
        )
    ).one_or_none()


def find_member_by_external_id(unit: Unit, connection_id: ConnectionId, external_id: str) -> Member | None:
    """Return the member of a directory with this externalId."""
    return unit.session.scalars(
        select(Member).where(
            Member.org_id == unit.org_id,
            Member.connection_id == connection_id,
            Member.external_id == external_id,
        )
    ).one_or_none()


def get_group(unit: Unit, group_id: GroupId, connection_id: ConnectionId | None = None) -> Group:
    """Return a group; raises NotFoundError when it is not one of this organization (and directory)."""
    statement = select(Group).where(Group.org_id == unit.org_id, Group.id == group_id)
    if connection_id is not None:
        statement = statement.where(Group.connection_id == connection_id)
    group = unit.session.scalars(statement.execution_options(populate_existing=True)).one_or_none()
    if group is None:
        raise NotFoundError("group", str(group_id))
    return group


def get_connection(unit: Unit, connection_id: ConnectionId, *, fresh: bool = False) -> Connection:
    """Return a connection; raises NotFoundError when it is not one of this organization.

    ``fresh`` reads it anew, where this unit has seen it before it took the lock.
    """
    connection = unit.session.get(Connection, (unit.org_id, connection_id), populate_existing=fresh)
    if connection is None:
        raise NotFoundError("connection", str(connection_id))
    return connection


def is_known_as(unit: Unit, keys: Collection[str]) -> ColumnElement[bool]:
    """Return the condition that a member of the organization has one of these userNames or addresses, by their keys.

    A userName is looked up under each connection, since its index has the connection in front.
    """
    connections = select(Connection.id).where(Connection.org_id == unit.org_id).scalar_subquery()
    named = and_(Member.connection_id == any_(func.array(connections)), Member.user_name_key.in_(keys))
    return and_(Member.org_id == unit.org_id, or_(named, Member.email_key.in_(keys)))


def manual_connection(unit: Unit) -> Connection:
    """Return the connection of the people whom no directory manages."""
    return unit.session.scalars(
        select(Connection).where(Connection.org_id == unit.org_id, Connection.kind == "manual")
    ).one()


def groups_of(unit: Unit, member_id: MemberId) -> Sequence[Group]:
    """Return the groups a member is in, directly or through groups inside them, each once, by name."""
    mine = select(effective_membership.c.group_id).where(
        effective_membership.c.org_id == unit.org_id, effective_membership.c.member_id == member_id
    )
    return unit.session.scalars(
        select(Group).where(Group.org_id == unit.org_id, Group.id.in_(mine)).order_by(Group.display_name_key)
    ).all()


def direct_groups_of(unit: Unit, member_id: MemberId) -> Sequence[Group]:
    """Return the groups a member is directly in, by name."""
    return unit.session.scalars(
        select(Group)
        .join(GroupMember, (GroupMember.org_id == Group.org_id) & (GroupMember.group_id == Group.id))
        .where(GroupMember.org_id == unit.org_id, GroupMember.member_id == member_id)
        .order_by(Group.display_name_key)
    ).all()


def members_of(unit: Unit, group_id: GroupId) -> Sequence[MemberId]:
    """Return the ids of the people directly in a group, in order of their ids."""
    return unit.session.scalars(
        select(GroupMember.member_id)
        .where(GroupMember.org_id == unit.org_id, GroupMember.group_id == group_id)
        .order_by(GroupMember.member_id)
    ).all()


def owns_domain(unit: Unit, email_key: str | None, connection_id: ConnectionId) -> bool:
    """Tell whether an address is in a verified domain that a connection speaks for: its own, or nobody's in particular.

    Source: T12.
    """
    if email_key is None or "@" not in email_key:
        return False
    return (
        unit.session.scalar(
            select(func.count())
            .select_from(Domain)
            .where(
                Domain.org_id == unit.org_id,
                Domain.name == email_key.rpartition("@")[2],
                Domain.verified_at.is_not(None),
                or_(Domain.connection_id.is_(None), Domain.connection_id == connection_id),
            )
        )
        or 0
    ) > 0


def mapping_set_in_force(unit: Unit, ladder: TierLadder) -> MappingSet:
    """Return the newest version of the group mappings; without any, the empty set of version 0."""
    version = unit.state().mapping_version
    if version == 0:
        return MappingSet(version=0, rules=())
    stored = unit.session.get_one(MappingVersion, (unit.org_id, version))
    return from_stored(stored.document, ladder, version=version)
