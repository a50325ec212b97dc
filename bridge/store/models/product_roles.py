"""Roles in the product that people hold where the plan is a fixed fee (rules U1 and B5)."""

from datetime import datetime

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from bridge.domain.identifiers import MemberId, OrgId
from bridge.store.base import Base


class ProductRole(Base):
    """A custom role of an organization; the built-in ones are in the code (rule B5)."""

    __tablename__ = "product_role"

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    permissions: Mapped[list[str]]
    paid: Mapped[bool] = mapped_column(doc="Whether its holder counts as a paid user (rule U1).")
    created_at: Mapped[datetime]


class ProductRoleHolder(Base):
    """Somebody's role in the product, built in or custom; it goes with the person."""

    __tablename__ = "product_role_holder"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "member_id"], ["member.org_id", "member.id"], ondelete="CASCADE"),
        Index(None, "org_id", "role"),
    )

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    member_id: Mapped[MemberId] = mapped_column(primary_key=True)
    role: Mapped[str] = mapped_column(primary_key=True)
