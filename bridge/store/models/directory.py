"""Connections to identity providers, and the people and groups they push."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Computed, ForeignKey, ForeignKeyConstraint, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from bridge.domain.identifiers import ConnectionId, GroupId, MemberId, OrgId
from bridge.store.base import Base

#: What is looked up, ranged over and sorted by code points, whatever the database's own collation.
KEY = Text(collation="C")


class Connection(Base):
    """One identity provider's set-up: its SCIM directory, and the provider whose sign-ins it believes.

    Every organization has one connection of kind ``manual`` for the people whom no directory manages.
    """

    __tablename__ = "connection"

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    id: Mapped[ConnectionId] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(
        doc="manual, idp, or departed: whom an idp connection deleted while the brake held it."
    )
    name: Mapped[str]
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    jit_enabled: Mapped[bool] = mapped_column(default=True, doc="Whether a sign-in provisions who is new.")
    idp_initiated: Mapped[bool] = mapped_column(default=False, doc="Whether a sign-in may start at the IdP.")
    confirmation: Mapped[str] = mapped_column(
        default="when_pushing", doc="Whether the directory confirms who signs in: when_pushing, always or never."
    )
    protocol: Mapped[str | None] = mapped_column(doc="How its people sign in, a SignInProtocol; NULL: not yet.")
    issuer: Mapped[str | None] = mapped_column(doc="Whose answers it believes: the IdP's entityID or issuer URL.")
    claims: Mapped[dict[str, Any] | None] = mapped_column(doc="A ClaimMap; NULL: everything under its usual name.")
    scim_last_used_at: Mapped[datetime | None]
    last_sign_in_at: Mapped[datetime | None]


class SamlProvider(Base):
    """What the metadata of a connection's SAML identity provider says besides its certificates."""

    __tablename__ = "saml_provider"
    __table_args__ = (ForeignKeyConstraint(["org_id", "connection_id"], ["connection.org_id", "connection.id"]),)

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    connection_id: Mapped[ConnectionId] = mapped_column(primary_key=True)
    sso_url: Mapped[str] = mapped_column(doc="Takes requests by HTTP-Redirect.")
    wants_signed_requests: Mapped[bool] = mapped_column(default=False)
    sign_requests: Mapped[bool | None] = mapped_column(doc="Whether we sign requests; NULL: as the metadata wants it.")
    offers_encryption: Mapped[bool] = mapped_column(default=True, doc="Whether our metadata has a key to encrypt to.")
    updated_at: Mapped[datetime]
    logout_url: Mapped[str | None] = mapped_column(doc="Takes logout requests by HTTP-Redirect; NULL: none offered.")
    logout_response_url: Mapped[str | None]
    metadata_url: Mapped[str | None] = mapped_column(doc="Where its metadata is read again; NULL: it came as a file.")
    metadata_signed_by: Mapped[str | None] = mapped_column(doc="Certificate (PEM) whose signature it must carry.")
    checked_at: Mapped[datetime | None] = mapped_column(doc="When its metadata was last asked for.")
    problem: Mapped[str | None] = mapped_column(doc="Why the newest metadata was not taken over, in words.")

    @property
    def signs_requests(self) -> bool:
        """Whether our requests to it are signed."""
        return self.wants_signed_requests if self.sign_requests is None else self.sign_requests


class OidcProvider(Base):
    """A connection's OpenID Connect provider, as its discovery document describes it, and us as its client."""

    __tablename__ = "oidc_provider"
    __table_args__ = (ForeignKeyConstraint(["org_id", "connection_id"], ["connection.org_id", "connection.id"]),)

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    connection_id: Mapped[ConnectionId] = mapped_column(primary_key=True)
    client_id: Mapped[str]
    client_secret: Mapped[bytes | None] = mapped_column(doc="Sealed; NULL: PKCE alone protects the code.")
    auth_method: Mapped[str] = mapped_column(doc="client_secret_basic, client_secret_post or none.")
    scopes: Mapped[list[str]]
    authorization_endpoint: Mapped[str]
    token_endpoint: Mapped[str]
    jwks_uri: Mapped[str] = mapped_column(doc="Where its keys are; every process keeps them for an hour.")
    userinfo_endpoint: Mapped[str | None]
    algorithms: Mapped[list[str]] = mapped_column(doc="What its ID tokens may be signed by.")
    sends_issuer: Mapped[bool] = mapped_column(doc="Every answer names its issuer (RFC 9207).")
    asks_userinfo: Mapped[bool] = mapped_column(doc="Userinfo is asked for what the ID token leaves out.")
    fetched_at: Mapped[datetime] = mapped_column(doc="When the discovery document was read.")


class IdpCertificate(Base):
    """A signing certificate of a connection's IdP; several at once while it rolls over."""

    __tablename__ = "idp_certificate"
    __table_args__ = (ForeignKeyConstraint(["org_id", "connection_id"], ["connection.org_id", "connection.id"]),)

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    connection_id: Mapped[ConnectionId] = mapped_column(primary_key=True)
    fingerprint: Mapped[str] = mapped_column(primary_key=True, doc="SHA-256 of the DER form, hex.")
    pem: Mapped[str]
    not_before: Mapped[datetime]
    not_after: Mapped[datetime]


class ScimToken(Base):
    """A bearer token of a provisioning client, or of one person; only its SHA-256 is kept."""

    __tablename__ = "scim_token"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "connection_id"], ["connection.org_id", "connection.id"]),
        ForeignKeyConstraint(
            ["org_id", "member_id"],
            ["member.org_id", "member.id"],
            name="fk_scim_token_org_id_member",
            ondelete="CASCADE",
        ),
        ForeignKeyConstraint(
            ["org_id", "client_id"], ["scim_client.org_id", "scim_client.id"], name="fk_scim_token_org_id_client"
        ),
        Index("ix_scim_token_member_id", "org_id", "member_id"),
        Index(
            "ix_scim_token_client_id",
            "org_id",
            "client_id",
            "created_at",
            postgresql_where=text("client_id IS NOT NULL"),
        ),
    )

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    connection_id: Mapped[ConnectionId]
    label: Mapped[str]
    prefix: Mapped[str] = mapped_column(doc="The first characters, to recognise it by.")
    token_hash: Mapped[bytes] = mapped_column(unique=True)
    can_write: Mapped[bool] = mapped_column(default=True)
    member_id: Mapped[MemberId | None] = mapped_column(doc="Whose it is, when it opens /Me alone; NULL for a client's.")
    client_id: Mapped[uuid.UUID | None] = mapped_column(doc="The client that fetched it; NULL if it was handed out.")
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None] = mapped_column(doc="Written at most once a minute.")


class ScimClient(Base):
    """A provisioning client that fetches its tokens itself; its id is its client_id."""

    __tablename__ = "scim_client"
    __table_args__ = (ForeignKeyConstraint(["org_id", "connection_id"], ["connection.org_id", "connection.id"]),)

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, unique=True)
    connection_id: Mapped[ConnectionId]
    label: Mapped[str]
    can_write: Mapped[bool]
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class ScimClientSecret(Base):
    """A secret of a provisioning client; only its SHA-256 is kept."""

    __tablename__ = "scim_client_secret"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "client_id"], ["scim_client.org_id", "scim_client.id"]),
        Index(None, "org_id", "client_id"),
    )

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    client_id: Mapped[uuid.UUID]
    prefix: Mapped[str] = mapped_column(doc="The first characters, to recognise it by.")
    secret_hash: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class Domain(Base):
    """A mail domain of the organization; only a verified one links people or finds the sign-in."""

    __tablename__ = "domain"
    __table_args__ = (
        Index("uq_domain_verified_name", "name", unique=True, postgresql_where=text("verified_at IS NOT NULL")),
    )

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True, doc="Lower case, IDNA.")
    challenge: Mapped[str] = mapped_column(doc="The TXT record that proves the domain.")
    connection_id: Mapped[ConnectionId | None] = mapped_column(doc="Where its people sign in.")
    created_at: Mapped[datetime]
    verified_at: Mapped[datetime | None]
    verified_by: Mapped[str | None] = mapped_column(doc="dns, or the operator who vouched for it.")


class Member(Base):
    """A person an identity provider pushed or signed in, or whom an admin added, in one organization."""

    __tablename__ = "member"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "connection_id"], ["connection.org_id", "connection.id"]),
        ForeignKeyConstraint(["org_id", "tier"], ["seat_pool.org_id", "seat_pool.tier"]),
        ForeignKeyConstraint(["org_id", "hold_id"], ["hold.org_id", "hold.id"]),
        UniqueConstraint("org_id", "connection_id", "user_name_key"),
        Index(
            "uq_member_org_id_connection_id_external_id",
            "org_id",
            "connection_id",
            "external_id",
            unique=True,
            postgresql_where=text("external_id IS NOT NULL"),
        ),
        Index(None, "org_id", "connection_id", "position"),
        Index(None, "org_id", "connection_id", "modified_at", "position"),
        Index(None, "org_id", "connection_id", "created_at", "position"),
        Index(None, "org_id", "email_key"),
        Index(
            "ix_member_waiting",
            "org_id",
            "waiting_since",
            "id",
            postgresql_where=text("waiting_for IS NOT NULL"),
        ),
        Index("ix_member_held", "org_id", "hold_id", postgresql_where=text("hold_id IS NOT NULL")),
        # Lists of people are read and counted from this index alone; the table itself is wide.
        Index(
            "ix_member_listed",
            "org_id",
            "active",
            "tier",
            "list_key",
            "id",
            postgresql_include=["waiting_for", "source", "created_at", "search_key"],
        ),
        Index("ix_member_pinned", "org_id", "list_key", "id", postgresql_where=text("pinned")),
        Index("ix_member_role", "org_id", "role", postgresql_where=text("role <> 'member'")),
        Index(
            "ix_member_provisional",
            "org_id",
            "provisional_until",
            postgresql_where=text("provisional_until IS NOT NULL"),
        ),
    )

    @property
    def is_on(self) -> bool:
        """Whether the person is active as the directory reads it: what it said and the brake holds is as it said."""
        return self.active and not self.said_off

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    id: Mapped[MemberId] = mapped_column(primary_key=True)
    connection_id: Mapped[ConnectionId] = mapped_column(doc="The directory the person belongs to.")
    source: Mapped[str] = mapped_column(doc="scim, jit or manual.")
    position: Mapped[int] = mapped_column(doc="Order of arrival in the organization.")
    user_name: Mapped[str] = mapped_column(doc="As the IdP sent it (RFC 7643 §4.1.1).")
    user_name_key: Mapped[str] = mapped_column(KEY, doc="Comparison key: userName is caseExact=false.")
    external_id: Mapped[str | None] = mapped_column(KEY, doc="The IdP's own name for it; never one of ours.")
    display_name: Mapped[str] = mapped_column(doc="What pages call the person.")
    email: Mapped[str | None] = mapped_column(doc="The primary or first mail address.")
    email_key: Mapped[str | None] = mapped_column(KEY)
    list_key: Mapped[str] = mapped_column(
        KEY,
        Computed("left(lower(display_name), 60)", persisted=True),
        deferred=True,
        doc="What lists are in order of; cut, or a long name would not fit into the index.",
    )
    search_key: Mapped[str] = mapped_column(
        KEY,
        Computed(
            "left(lower(display_name), 100) || chr(10) || left(user_name_key, 150) || chr(10)"
            " || left(coalesce(email_key, ''), 150) || chr(10) || left(coalesce(external_id, ''), 100)",
            persisted=True,
        ),
        deferred=True,
        doc="What a search looks through; cut as list_key is.",
    )
    active: Mapped[bool]
    role: Mapped[str] = mapped_column(doc="member, admin, owner or primary_owner.")
    role_from_mapping: Mapped[bool] = mapped_column(default=False)
    teams: Mapped[list[str]] = mapped_column(default=list, doc="Teams the mappings give.")
    document: Mapped[dict[str, Any]] = mapped_column(doc="The SCIM attributes as stored, without id, meta and groups.")
    comparison: Mapped[dict[str, Any]] = mapped_column(doc="The same with comparison values, for filters.")
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]
    modified_at: Mapped[datetime]
    tier: Mapped[str | None] = mapped_column(doc="The seat tier held; NULL is unassigned (rule G2).")
    granted_by: Mapped[str | None] = mapped_column(doc="mapping, highest, default or manual; NULL without a seat.")
    pinned: Mapped[bool] = mapped_column(default=False, doc="Placed by hand: groups do not move the person (rule A6).")
    waiting_for: Mapped[str | None] = mapped_column(doc="The tier waited for, or any.")
    waiting_since: Mapped[datetime | None] = mapped_column(
        doc="Gives the order of the line: when the wait began, or the turn somebody moved the person to."
    )
    waited_from: Mapped[datetime | None] = mapped_column(
        doc="When the wait began, of somebody who was moved within the line; NULL otherwise."
    )
    decision_id: Mapped[uuid.UUID | None] = mapped_column(doc="The newest decision about the seat.")
    hold_id: Mapped[uuid.UUID | None] = mapped_column(doc="What of the directory waits for an owner to decide.")
    said_off: Mapped[bool] = mapped_column(
        default=False, doc="The directory turned the person off and the brake kept that from taking effect."
    )
    provisional_until: Mapped[datetime | None] = mapped_column(
        doc="When access ends unless the directory names the person; of somebody whose access is off, that it ended so."
    )


class Group(Base):
    """A group of a directory."""

    __tablename__ = "group"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "connection_id"], ["connection.org_id", "connection.id"]),
        UniqueConstraint("org_id", "connection_id", "display_name_key"),
        Index(
            "uq_group_org_id_connection_id_external_id",
            "org_id",
            "connection_id",
            "external_id",
            unique=True,
            postgresql_where=text("external_id IS NOT NULL"),
        ),
        Index(None, "org_id", "connection_id", "position"),
    )

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    id: Mapped[GroupId] = mapped_column(primary_key=True)
    connection_id: Mapped[ConnectionId]
    source: Mapped[str] = mapped_column(doc="scim, jit or manual.")
    position: Mapped[int]
    display_name: Mapped[str]
    display_name_key: Mapped[str] = mapped_column(KEY)
    external_id: Mapped[str | None] = mapped_column(KEY)
    document: Mapped[dict[str, Any]] = mapped_column(doc="The SCIM attributes as stored, without id, meta and members.")
    comparison: Mapped[dict[str, Any]]
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]
    modified_at: Mapped[datetime]


class GroupMember(Base):
    """Membership of a person in a group: one row, whatever the group's size."""

    __tablename__ = "group_member"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "group_id"], ["group.org_id", "group.id"], ondelete="CASCADE"),
        ForeignKeyConstraint(["org_id", "member_id"], ["member.org_id", "member.id"], ondelete="CASCADE"),
        Index(None, "org_id", "member_id"),
    )

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    group_id: Mapped[GroupId] = mapped_column(primary_key=True)
    member_id: Mapped[MemberId] = mapped_column(primary_key=True)
    added_at: Mapped[datetime]


class ParkedMember(Base):
    """A member a group named before the person arrived; adopted when a person with that id or externalId comes."""

    __tablename__ = "parked_member"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "group_id"], ["group.org_id", "group.id"], ondelete="CASCADE"),
        Index(None, "org_id", "value"),
    )

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    group_id: Mapped[GroupId] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(primary_key=True)
    parked_at: Mapped[datetime]
