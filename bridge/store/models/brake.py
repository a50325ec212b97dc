"""What the brake holds: mass effects of a directory that wait for an owner."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from bridge.domain.identifiers import ConnectionId, MemberId, OrgId
from bridge.store.base import Base


class Hold(Base):
    """Effects on many people that wait for an owner's decision; an organization has at most one that is open."""

    __tablename__ = "hold"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "connection_id"], ["connection.org_id", "connection.id"]),
        Index("uq_hold_open", "org_id", unique=True, postgresql_where=text("state = 'open'")),
    )

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    connection_id: Mapped[ConnectionId] = mapped_column(doc="The directory that tripped the brake.")
    at: Mapped[datetime] = mapped_column(doc="When it tripped.")
    request_id: Mapped[str] = mapped_column(doc="The request that tripped it.")
    counted: Mapped[int] = mapped_column(doc="Effects within the window when it tripped, those of this request too.")
    allowed: Mapped[int] = mapped_column(doc="How many were allowed then.")
    window_minutes: Mapped[int]
    revision: Mapped[int] = mapped_column(doc="Moves whenever somebody comes under it or leaves: what was looked at.")
    state: Mapped[str] = mapped_column(doc="open, released, dropped or dissolved.")
    reminded_at: Mapped[datetime] = mapped_column(doc="When the owners were told last.")
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None]
    reason: Mapped[str | None] = mapped_column(doc="What the owner said of why.")


class HeldPerson(Base):
    """What is held for one person."""

    __tablename__ = "held_person"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "hold_id"], ["hold.org_id", "hold.id"]),
        Index(None, "org_id", "member_id"),
        Index(None, "org_id", "request_id"),
    )

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    hold_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    member_id: Mapped[MemberId] = mapped_column(primary_key=True, doc="No foreign key: it outlives the person.")
    effect: Mapped[str] = mapped_column(doc="turn_off, remove, reseat or promote.")
    connection_id: Mapped[ConnectionId] = mapped_column(doc="Which directory said so.")
    at: Mapped[datetime]
    request_id: Mapped[str]
    outcome: Mapped[str | None] = mapped_column(doc="NULL while it is held.")
    outcome_at: Mapped[datetime | None]
