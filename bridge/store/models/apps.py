"""Applications behind the bridge: who they are, the keys that sign for them, and who signed in to which."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from bridge.domain.identifiers import MemberId, OrgId
from bridge.store.base import Base


class App(Base):
    """An application that people sign in to through this service; it belongs to the installation."""

    __tablename__ = "app"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, doc="Its client_id.")
    name: Mapped[str]
    name_key: Mapped[str] = mapped_column(unique=True)
    only_org_id: Mapped[OrgId | None] = mapped_column(
        ForeignKey("organization.id"), doc="The one organization whose people may sign in; NULL: those of all."
    )
    is_public: Mapped[bool] = mapped_column(doc="It runs where it can keep no secret.")
    redirect_uris: Mapped[list[str]]
    post_logout_redirect_uris: Mapped[list[str]]
    backchannel_logout_uri: Mapped[str | None]
    offline_access: Mapped[bool] = mapped_column(doc="Whether its refresh tokens may outlive the session.")
    created_at: Mapped[datetime]


class AppSecret(Base):
    """A secret of an application; only its SHA-256 is kept."""

    __tablename__ = "app_secret"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    app_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("app.id", ondelete="CASCADE"), index=True)
    prefix: Mapped[str] = mapped_column(doc="The first characters, to recognise it by.")
    secret_hash: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class SigningKey(Base):
    """A key that signs tokens: published some time before it signs, and some time after another one does."""

    __tablename__ = "signing_key"

    id: Mapped[str] = mapped_column(primary_key=True, doc="Its kid: the thumbprint of RFC 7638.")
    private_key: Mapped[bytes] = mapped_column(doc="PEM, sealed.")
    public_key: Mapped[dict[str, Any]] = mapped_column(doc="As a JWK (RFC 7517).")
    published_at: Mapped[datetime]
    signs_from: Mapped[datetime]
    revoked_at: Mapped[datetime | None] = mapped_column(doc="From here on nothing that it signed is believed.")


class InstallationEvent(Base):
    """What was done to applications and signing keys, which belong to no organization; append-only."""

    __tablename__ = "installation_event"

    seq: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[str]
    action: Mapped[str]
    subject_kind: Mapped[str]
    subject_id: Mapped[str]
    reason: Mapped[str]
    request_id: Mapped[str]
    body: Mapped[dict[str, Any]]


class AppGrant(Base):
    """A person signed in to an application: the code it was told by, and what all its tokens hang on."""

    __tablename__ = "app_grant"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "member_id"], ["member.org_id", "member.id"], ondelete="CASCADE"),
        Index(None, "org_id", "member_id"),
        Index("ix_app_grant_session", "org_id", "session_id"),
    )

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    app_id: Mapped[uuid.UUID] = mapped_column(doc="Without a foreign key: a removed application's grants are dead.")
    member_id: Mapped[MemberId]
    session_id: Mapped[uuid.UUID] = mapped_column(doc="The session it was given in.")
    scope: Mapped[str]
    redirect_uri: Mapped[str]
    nonce: Mapped[str | None]
    code_hash: Mapped[bytes] = mapped_column(unique=True)
    code_challenge: Mapped[str] = mapped_column(doc="By S256, RFC 7636.")
    code_expires_at: Mapped[datetime]
    code_used_at: Mapped[datetime | None]
    auth_time: Mapped[datetime] = mapped_column(doc="When the person signed in.")
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(doc="No token lives longer, however often it is renewed.")
    is_offline: Mapped[bool] = mapped_column(doc="Whether it outlives its session.")
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str | None]


class AppRefreshToken(Base):
    """A refresh token: used once, for the next one; used twice, it ends its grant."""

    __tablename__ = "app_refresh_token"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "grant_id"], ["app_grant.org_id", "app_grant.id"], ondelete="CASCADE"),
        Index(None, "org_id", "grant_id"),
    )

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    grant_id: Mapped[uuid.UUID]
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    issued_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
