"""What provisioning clients sent and were answered, and what tells whose client they are."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Double, ForeignKeyConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from bridge.domain.identifiers import ConnectionId, OrgId
from bridge.store.base import Base


class LoggedRequest(Base):
    """One entry of the provisioning log: a SCIM request with its answer, without secrets; deleted after its days.

    It has no foreign keys: entries are written in batches, and outlive what they name.
    """

    __tablename__ = "scim_request"
    __table_args__ = (
        Index(None, "org_id", "request_id"),
        Index("ix_scim_request_failed", "org_id", "id", postgresql_where=text("status >= 400")),
        Index("ix_scim_request_unattributed", "org_id", "at", postgresql_where=text("connection_id IS NULL")),
    )

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, doc="UUIDv7 (RFC 9562): in the order of arrival.")
    at: Mapped[datetime] = mapped_column(doc="When the request arrived.")
    connection_id: Mapped[ConnectionId | None] = mapped_column(doc="NULL: the token is nobody's, or there was none.")
    token_id: Mapped[uuid.UUID | None]
    method: Mapped[str]
    path: Mapped[str] = mapped_column(doc="Below the organization's SCIM root.")
    query: Mapped[str] = mapped_column(doc="As sent, encoded; without secrets.")
    status: Mapped[int]
    scim_type: Mapped[str | None]
    mark: Mapped[str | None] = mapped_column(
        doc="What is special about it: a token's state, an unknown shape, a limit."
    )
    latency_ms: Mapped[float] = mapped_column(Double)
    request_id: Mapped[str]
    address: Mapped[str | None] = mapped_column(doc="The client's, kept where the credential was refused only.")
    user_agent: Mapped[str | None] = mapped_column(doc="NULL without the header.")
    content_type: Mapped[str | None]
    bytes_in: Mapped[int]
    bytes_out: Mapped[int | None] = mapped_column(doc="NULL for an answer that was streamed.")
    dialect: Mapped[str | None] = mapped_column(doc="Whom this request alone speaks for; NULL for a generic one.")
    request_body: Mapped[str | None]
    request_whole: Mapped[bool] = mapped_column(doc="Whether the body is all that was sent, secrets aside.")
    response_body: Mapped[str | None] = mapped_column(doc="Of refusals and of writes.")
    response_whole: Mapped[bool]
    operations: Mapped[dict[str, Any] | None] = mapped_column(doc="Of a Bulk request: how each operation ended.")


class DialectSign(Base):
    """Something a connection's requests showed that tells whose client it is."""

    __tablename__ = "dialect_sign"
    __table_args__ = (ForeignKeyConstraint(["org_id", "connection_id"], ["connection.org_id", "connection.id"]),)

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    connection_id: Mapped[ConnectionId] = mapped_column(primary_key=True)
    sign: Mapped[str] = mapped_column(primary_key=True)
    seen: Mapped[int] = mapped_column(doc="How many requests showed it.")
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
