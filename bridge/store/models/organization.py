"""The organization (tenant) and the one row that serialises its writers."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from bridge.domain.identifiers import OrgId
from bridge.store.base import Base


class Organization(Base):
    """A customer: one company with its people, connections, seats and contract."""

    __tablename__ = "organization"

    id: Mapped[OrgId] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(unique=True, doc="The name in URLs, as in /scim/v2/<slug>.")
    name: Mapped[str]
    locale: Mapped[str] = mapped_column(doc="Language of the pages: en, fr, nl or sv.")
    time_zone: Mapped[str] = mapped_column(doc="IANA name; periods keep its wall clock (rule R3).")
    created_at: Mapped[datetime]


class OrganizationState(Base):
    """Counters of one organization; every writing unit locks this row first.

    That one lock makes writers of an organization queue, so nothing can deadlock and the audit chain is linear.
    """

    __tablename__ = "organization_state"

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    audit_seq: Mapped[int] = mapped_column(default=0, doc="Number of the newest audit entry.")
    audit_head: Mapped[bytes] = mapped_column(default=b"", doc="Digest of the newest audit entry.")
    member_position: Mapped[int] = mapped_column(default=0, doc="Position of the newest member.")
    group_position: Mapped[int] = mapped_column(default=0, doc="Position of the newest group.")
    invoice_number: Mapped[int] = mapped_column(default=0, doc="Number of the newest invoice; no gaps.")
    mapping_version: Mapped[int] = mapped_column(default=0, doc="The mapping set in force.")
    seat_version: Mapped[int] = mapped_column(
        default=0,
        doc="Moves with every change of members, groups, seats or pools; previews are made against it.",
    )
    schema_version: Mapped[int] = mapped_column(
        default=0,
        doc="Moves with every change of what requests are read by: the organization's extension schemas, and its mode.",
    )
    provisioning_mode: Mapped[str] = mapped_column(default="jit_and_scim", doc="Who creates and changes people (A9).")
    brake_minimum: Mapped[int] = mapped_column(default=5, doc="So many effects of a directory are always allowed.")
    brake_share: Mapped[int] = mapped_column(default=20, doc="So many of a hundred active people are allowed.")
    brake_window: Mapped[int] = mapped_column(default=10, doc="Within so many minutes.")
    brake_counts: Mapped[dict[str, Any]] = mapped_column(default=dict, doc="Effects by minute since 1970.")
    brake_limit: Mapped[int | None] = mapped_column(doc="How many are allowed; NULL: count the people first.")
    brake_limit_at: Mapped[datetime | None] = mapped_column(doc="When the people were counted for it.")
    sso_enforced_at: Mapped[datetime | None] = mapped_column(
        doc="Since when people sign in through an identity provider only; NULL: a sign-in link works too."
    )
    has_departed: Mapped[bool] = mapped_column(
        default=False, doc="Whether people are here whom a directory deleted and an owner has not let go."
    )
