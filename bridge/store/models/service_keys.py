"""What this service shares with one connection's SAML identity provider: keys of ours, and names of sessions."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from bridge.domain.identifiers import ConnectionId, OrgId
from bridge.store.base import Base


class ServiceKey(Base):
    """A key that signs our requests and opens encrypted assertions; up to three at once while it rolls over."""

    __tablename__ = "service_key"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "connection_id"], ["connection.org_id", "connection.id"]),
        UniqueConstraint("org_id", "connection_id", "stage"),
        CheckConstraint("stage IN ('next', 'current', 'old')", name="stage_known"),
    )

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    connection_id: Mapped[ConnectionId]
    stage: Mapped[str] = mapped_column(doc="A KeyStage.")
    certificate: Mapped[str] = mapped_column(doc="PEM.")
    private_key: Mapped[bytes] = mapped_column(doc="PEM, sealed for this row.")
    fingerprint: Mapped[str] = mapped_column(doc="SHA-256 of the certificate's DER form, hex with colons.")
    created_at: Mapped[datetime]
    not_after: Mapped[datetime]


class SamlSession(Base):
    """How an identity provider knows a session of ours, so that either side can end both."""

    __tablename__ = "saml_session"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "session_id"], ["web_session.org_id", "web_session.id"], ondelete="CASCADE"),
        ForeignKeyConstraint(["org_id", "connection_id"], ["connection.org_id", "connection.id"]),
        Index(None, "org_id", "connection_id", "name_id"),
    )

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    session_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    connection_id: Mapped[ConnectionId]
    name_id: Mapped[str]
    name_attributes: Mapped[dict[str, Any]] = mapped_column(doc="Format and qualifiers of the NameID.")
    session_index: Mapped[str | None]
