"""Keys of the programming interface."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from bridge.domain.identifiers import MemberId, OrgId
from bridge.store.base import Base


class ApiKey(Base):
    """A key that programs of an organization act with: never more than its role, never beyond its scopes."""

    __tablename__ = "api_key"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "member_id"], ["member.org_id", "member.id"], ondelete="CASCADE"),
        UniqueConstraint("key_hash"),
        Index(None, "org_id", "member_id"),
    )

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    label: Mapped[str]
    prefix: Mapped[str] = mapped_column(doc="What it begins with, to recognise it by.")
    key_hash: Mapped[bytes] = mapped_column(doc="SHA-256 of the whole.")
    role: Mapped[str] = mapped_column(doc="owner or admin: what it may do at most.")
    scopes: Mapped[list[str]] = mapped_column(doc="Which Scopes it has.")
    made_by: Mapped[str] = mapped_column(doc="Who made it, as audit entries say it.")
    member_id: Mapped[MemberId | None] = mapped_column(doc="Whose it is: it ends with their access. NULL: nobody's.")
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
