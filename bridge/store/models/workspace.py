"""The teams of a workspace that is licensed by team or by person, when they counted, and who was billed."""

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from bridge.domain.identifiers import MemberId, OrgId
from bridge.store.base import Base
from bridge.store.models.directory import KEY

_NOT_BACKWARDS = "until >= since"
_GOES_ON = text("until IS NULL")


class LicencePlan(Base):
    """What one licence costs; an organization with a row here has no pools of seats."""

    __tablename__ = "licence_plan"
    __table_args__ = (CheckConstraint("price >= 0 AND next_price >= 0", name="price_not_negative"),)

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("contract.org_id"), primary_key=True)
    kind: Mapped[str] = mapped_column(doc="team_licence or user_licence: what one unit is (rules W1 and W3).")
    price: Mapped[int] = mapped_column(doc="Minor units for one unit and this month.")
    next_price: Mapped[int] = mapped_column(doc="The price from the next month on (rule R4).")


class Team(Base):
    """A team of the workspace."""

    __tablename__ = "team"
    __table_args__ = (UniqueConstraint("org_id", "name_key"),)

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    name_key: Mapped[str] = mapped_column(KEY, doc="The name for comparing, without case.")
    created_at: Mapped[datetime]
    archived_at: Mapped[datetime | None]


class TeamSpell(Base):
    """Time [since, until) in which a team was not archived; NULL while it goes on."""

    __tablename__ = "team_spell"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "team_id"], ["team.org_id", "team.id"]),
        CheckConstraint(_NOT_BACKWARDS, name="not_backwards"),
        Index("uq_team_spell_open", "org_id", "team_id", unique=True, postgresql_where=_GOES_ON),
        Index(None, "org_id", "team_id", "since"),
    )

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    team_id: Mapped[uuid.UUID]
    since: Mapped[datetime]
    until: Mapped[datetime | None]


class TeamStay(Base):
    """Time [since, until) that somebody was in a team; NULL while it goes on.

    It outlasts the person: the month's bill must still count who has left. Only then it holds their names, and only
    until the month is billed.
    """

    __tablename__ = "team_stay"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "team_id"], ["team.org_id", "team.id"]),
        CheckConstraint(_NOT_BACKWARDS, name="not_backwards"),
        Index("uq_team_stay_open", "org_id", "member_id", "team_id", unique=True, postgresql_where=_GOES_ON),
        Index(None, "org_id", "team_id"),
        Index(None, "org_id", "until"),
    )

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    team_id: Mapped[uuid.UUID]
    member_id: Mapped[MemberId]
    since: Mapped[datetime]
    until: Mapped[datetime | None]
    user_name: Mapped[str | None] = mapped_column(doc="Of somebody who was removed, until the month is billed.")
    display_name: Mapped[str | None] = mapped_column(doc="The same.")


class LicenceHolder(Base):
    """A team or a person that a month was billed for, as they were called at its end (rule W5); append-only."""

    __tablename__ = "licence_holder"
    __table_args__ = (ForeignKeyConstraint(["org_id", "invoice_id"], ["invoice.org_id", "invoice.id"]),)

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    month: Mapped[str] = mapped_column(KEY, primary_key=True, doc='As "2026-01", of the plan\'s time zone.')
    unit_id: Mapped[uuid.UUID] = mapped_column(primary_key=True, doc="The team's or the person's id.")
    kind: Mapped[str] = mapped_column(doc="team_licence or user_licence.")
    name: Mapped[str] = mapped_column(KEY, doc="The team's name, or the person's userName.")
    display_name: Mapped[str]
    invoice_id: Mapped[uuid.UUID]
