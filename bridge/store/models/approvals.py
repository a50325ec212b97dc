"""Drafts of the group mappings, and changes that were sent to the owners."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from bridge.domain.identifiers import OrgId
from bridge.store.base import Base


class MappingDraft(Base):
    """A mapping document that is worked on and decides about nobody."""

    __tablename__ = "mapping_draft"
    __table_args__ = (UniqueConstraint("org_id", "name_key"),)

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    name_key: Mapped[str]
    document: Mapped[dict[str, Any]]
    version: Mapped[int] = mapped_column(doc="Grows with every change: who changes it says which one they saw.")
    based_on: Mapped[int] = mapped_column(doc="The version of the rules in force when it was last changed.")
    created_at: Mapped[datetime]
    created_by: Mapped[str]
    modified_at: Mapped[datetime]
    modified_by: Mapped[str]


class Approval(Base):
    """A change that costs, sent to the owners by somebody who may not buy (rule Z1)."""

    __tablename__ = "approval"
    __table_args__ = (
        Index("ix_approval_waiting", "org_id", "submitted_at", postgresql_where=text("state = 'waiting'")),
    )

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(doc="mappings, seats or amendment.")
    request: Mapped[dict[str, Any]]
    note: Mapped[str] = mapped_column(doc="What the submitter says to the owners.")
    submitted_at: Mapped[datetime]
    submitted_by: Mapped[str]
    state: Mapped[str] = mapped_column(doc="waiting, approved, declined or withdrawn.")
    preview_id: Mapped[uuid.UUID | None] = mapped_column(doc="What an owner was shown last, computed afresh.")
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None]
    reason: Mapped[str] = mapped_column(default="", doc="Why it was declined.")
