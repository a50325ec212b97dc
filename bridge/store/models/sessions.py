"""Signing in: requests under way, assertions seen, identities, sessions."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index
from sqlalchemy import Identity as Numbered
from sqlalchemy.orm import Mapped, mapped_column

from bridge.domain.identifiers import ConnectionId, MemberId, OrgId
from bridge.store.base import Base


class SignInRequest(Base):
    """A sign-in that this browser started; popped by the answer."""

    __tablename__ = "sign_in_request"
    __table_args__ = (ForeignKeyConstraint(["org_id", "connection_id"], ["connection.org_id", "connection.id"]),)

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True, doc="The AuthnRequest's ID (SAML), the state (OpenID Connect).")
    connection_id: Mapped[ConnectionId]
    cookie_hash: Mapped[bytes] = mapped_column(doc="SHA-256 of the request's own cookie.")
    former_session: Mapped[bytes | None] = mapped_column(
        doc="SHA-256 of the session that the browser had: it ends with the sign-in. Answers come from another site."
    )
    return_path: Mapped[str] = mapped_column(doc="Same-origin path to go to afterwards.")
    nonce: Mapped[str | None] = mapped_column(doc="OpenID Connect: what the ID token must repeat.")
    code_verifier: Mapped[str | None] = mapped_column(doc="OpenID Connect: what the code is redeemed with (PKCE).")
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class SamlReplay(Base):
    """An assertion or a logout request that was used; nobody uses it again."""

    __tablename__ = "saml_replay"

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    connection_id: Mapped[ConnectionId] = mapped_column(primary_key=True)
    issuer: Mapped[str] = mapped_column(primary_key=True)
    assertion_id: Mapped[str] = mapped_column(primary_key=True)
    expires_at: Mapped[datetime]


class Identity(Base):
    """Who a subject of an identity provider is: (connection, protocol, issuer, subject) → member."""

    __tablename__ = "identity"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "member_id"], ["member.org_id", "member.id"], ondelete="CASCADE"),
        Index(None, "org_id", "member_id"),
    )

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    connection_id: Mapped[ConnectionId] = mapped_column(primary_key=True)
    protocol: Mapped[str] = mapped_column(primary_key=True, doc="A SignInProtocol: what asserted the subject.")
    issuer: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True, doc="NameID or sub, byte for byte.")
    member_id: Mapped[MemberId]
    linked_at: Mapped[datetime]
    linked_by: Mapped[str] = mapped_column(doc="How: jit, directory, domain or operator.")


class RemovedPerson(Base):
    """A name, or a subject, of somebody whom a connection's directory has removed: it can be recognised, not read."""

    __tablename__ = "removed_person"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "connection_id"], ["connection.org_id", "connection.id"]),
        Index("ix_removed_person_org_id_connection_id", "org_id", "connection_id", "member_id"),
    )

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    connection_id: Mapped[ConnectionId] = mapped_column(primary_key=True)
    digest: Mapped[bytes] = mapped_column(primary_key=True, doc="HMAC-SHA-256 under a key of the service.")
    member_id: Mapped[MemberId] = mapped_column(doc="Whose it was: all of somebody's names are forgotten together.")
    removed_at: Mapped[datetime]


class WebSession(Base):
    """A signed-in browser; ends by its time, by its owner, or with the member's access."""

    __tablename__ = "web_session"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "member_id"], ["member.org_id", "member.id"], ondelete="CASCADE"),
        Index(None, "org_id", "member_id"),
    )

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    member_id: Mapped[MemberId]
    method: Mapped[str] = mapped_column(doc="A SignInProtocol, link or break_glass.")
    device: Mapped[str] = mapped_column(default="", doc="The browser and its system in words of ours; empty: unknown.")
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime] = mapped_column(doc="Written at most once a minute.")
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str | None]


class SignInLink(Base):
    """A link that signs one person in once: an owner's first visit and the way back in."""

    __tablename__ = "sign_in_link"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "member_id"], ["member.org_id", "member.id"], ondelete="CASCADE"),
    )

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    member_id: Mapped[MemberId]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    break_glass: Mapped[bool] = mapped_column(
        default=False, doc="Made by the operator to let an owner back in: it works where single sign-on is enforced."
    )


class SignInEvent(Base):
    """A sign-in that came to an end, well or not, in words; never changed, and forgotten after a while."""

    __tablename__ = "sign_in_event"
    __table_args__ = (Index(None, "org_id", "at"), Index(None, "org_id", "member_id", "seq"))

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(Numbered(always=True), doc="Tells apart what came at one instant.")
    at: Mapped[datetime]
    connection_id: Mapped[ConnectionId | None]
    member_id: Mapped[MemberId | None]
    outcome: Mapped[str] = mapped_column(doc="signed_in, provisioned, refused or signed_out.")
    reason: Mapped[str] = mapped_column(doc="A stable code.")
    detail: Mapped[str]
    request_id: Mapped[str]
