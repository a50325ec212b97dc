"""Groups inside groups."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, Uuid, column, table
from sqlalchemy.orm import Mapped, mapped_column

from bridge.domain.identifiers import GroupId, OrgId
from bridge.store.base import Base


class GroupNesting(Base):
    """A group that is a member of another one of the same directory."""

    __tablename__ = "group_nesting"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "parent_id"], ["group.org_id", "group.id"], ondelete="CASCADE"),
        ForeignKeyConstraint(["org_id", "child_id"], ["group.org_id", "group.id"], ondelete="CASCADE"),
        CheckConstraint("parent_id <> child_id", name="of_another"),
        Index(None, "org_id", "child_id"),
    )

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    parent_id: Mapped[GroupId] = mapped_column(primary_key=True)
    child_id: Mapped[GroupId] = mapped_column(primary_key=True)
    added_at: Mapped[datetime]


class GroupAncestor(Base):
    """Every group above a group, at any level; :mod:`bridge.store.nesting` keeps it in step with ``group_nesting``.

    Kept and not computed when it is read: groups are nested seldom, and asked for with every push and every filter.
    """

    __tablename__ = "group_ancestor"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "group_id"], ["group.org_id", "group.id"], ondelete="CASCADE"),
        ForeignKeyConstraint(["org_id", "ancestor_id"], ["group.org_id", "group.id"], ondelete="CASCADE"),
        CheckConstraint("group_id <> ancestor_id", name="of_another"),
        Index(None, "org_id", "ancestor_id"),
    )

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    group_id: Mapped[GroupId] = mapped_column(primary_key=True)
    ancestor_id: Mapped[GroupId] = mapped_column(primary_key=True)
    distance: Mapped[int] = mapped_column(doc="Levels between the two on the longest way, from 1.")


effective_membership = table(
    "effective_membership",
    column("org_id", Uuid),
    column("member_id", Uuid),
    column("group_id", Uuid),
    column("through_id", Uuid),
)
"""A view: who is in which group, directly or through groups inside it, one row for each way.

``through_id`` is the group that the person is directly in; NULL where that is the group itself.
"""
