"""Links that let somebody without an account set one connection up."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKeyConstraint
from sqlalchemy.orm import Mapped, mapped_column

from bridge.domain.identifiers import ConnectionId, OrgId
from bridge.store.base import Base


class SetupLink(Base):
    """A link to the set-up guide of one connection; only its SHA-256 is kept."""

    __tablename__ = "setup_link"
    __table_args__ = (ForeignKeyConstraint(["org_id", "connection_id"], ["connection.org_id", "connection.id"]),)

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    connection_id: Mapped[ConnectionId]
    label: Mapped[str] = mapped_column(doc="Whom it is for.")
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(doc="Who made it, as audit entries name actors.")
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    first_used_at: Mapped[datetime | None] = mapped_column(doc="When it was opened for the first time.")
