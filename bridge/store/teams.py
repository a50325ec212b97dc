"""Teams, when they were not archived, and who was in them when; ``org_id`` comes first in each query."""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, ScalarSelect, Uuid, any_, exists, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from bridge.domain.documents import comparison_key
from bridge.domain.identifiers import MemberId, new_id
from bridge.errors import NotFoundError
from bridge.store.journal import Entry, record_many
from bridge.store.models import Contract, LicencePlan, Member, Team, TeamSpell, TeamStay
from bridge.store.unit import Unit


class StayRow(NamedTuple):
    """Somebody's time [since, until) in a team; the names are those of who was removed since."""

    member_id: MemberId
    team_id: uuid.UUID
    since: datetime
    until: datetime | None
    user_name: str | None
    display_name: str | None


class Stayer(NamedTuple):
    """A member who was in a team at some time; ``created_at`` is since when they are here."""

    user_name: str
    display_name: str
    created_at: datetime


def find_licence_plan(unit: Unit) -> LicencePlan | None:
    """Return what a licence costs; None for a plan of another kind."""
    return unit.session.get(LicencePlan, unit.org_id, populate_existing=True)


def read_teams(unit: Unit) -> list[Team]:
    """Return every team, in the order of their names."""
    statement = (
        select(Team).where(Team.org_id == unit.org_id).order_by(Team.name_key).execution_options(populate_existing=True)
    )
    return list(unit.session.scalars(statement))


def find_team(unit: Unit, name: str) -> Team | None:
    """Return the team of this name, compared without case."""
    return unit.session.scalars(
        select(Team)
        .where(Team.org_id == unit.org_id, Team.name_key == comparison_key(name))
        .execution_options(populate_existing=True)
    ).one_or_none()


def get_team(unit: Unit, name: str) -> Team:
    """Return the team of this name, compared without case.

    Raises:
        NotFoundError: There is none here.
    """
    team = find_team(unit, name)
    if team is None:
        raise NotFoundError("team", name)
    return team


def counting_from(unit: Unit) -> datetime:
    """Return the instant from which a change of this unit counts, once the organization is locked.

    A unit that waited for its turn while another one passed a month's end counts from the new month's start: what is
    billed stays billed (rules R6 and W5).
    """
    start = unit.session.scalars(select(Contract.period_start).where(Contract.org_id == unit.org_id)).one()
    return max(unit.at, start)


def open_spell(unit: Unit, team_id: uuid.UUID) -> None:
    """Let a team count from now on."""
    unit.session.add(TeamSpell(org_id=unit.org_id, id=new_id(), team_id=team_id, since=counting_from(unit), until=None))
    unit.session.flush()


def close_spell(unit: Unit, team_id: uuid.UUID) -> None:
    """Let a team count no more from now on."""
    unit.session.execute(
        update(TeamSpell)
        .where(TeamSpell.org_id == unit.org_id, TeamSpell.team_id == team_id, TeamSpell.until.is_(None))
        .values(until=func.greatest(TeamSpell.since, counting_from(unit)))
        .execution_options(synchronize_session=False)
    )


def open_stays(unit: Unit, member_id: MemberId, team_ids: Collection[uuid.UUID]) -> None:
    """Put somebody into teams that they are not in."""
    since = counting_from(unit)
    unit.session.add_all(
        TeamStay(
            org_id=unit.org_id,
            id=new_id(),
            team_id=team_id,
            member_id=member_id,
            since=since,
            until=None,
            user_name=None,
            display_name=None,
        )
        for team_id in team_ids
    )
    unit.session.flush()


def close_stays(unit: Unit, member_id: MemberId, team_ids: Collection[uuid.UUID] | None = None) -> list[uuid.UUID]:
    """Take somebody out of teams, all of them by default; return which they were in."""
    return _close_stays(unit, [member_id], team_ids).get(member_id, [])


def _close_stays(
    unit: Unit, member_ids: Collection[MemberId], team_ids: Collection[uuid.UUID] | None = None
) -> dict[MemberId, list[uuid.UUID]]:
    statement = update(TeamStay).where(
        TeamStay.org_id == unit.org_id,
        TeamStay.member_id == any_(literal(list(member_ids), ARRAY(Uuid))),
        TeamStay.until.is_(None),
    )
    if team_ids is not None:
        statement = statement.where(TeamStay.team_id.in_(team_ids))
    ended: dict[MemberId, list[uuid.UUID]] = {}
    for member_id, team_id in unit.session.execute(
        # Bounded below by the period's start: what is billed stays billed.
        statement.values(until=func.greatest(TeamStay.since, unit.at, _period_start(unit)))
        .returning(TeamStay.member_id, TeamStay.team_id)
        .execution_options(synchronize_session=False)
    ):
        ended.setdefault(member_id, []).append(team_id)
    return {member_id: sorted(team_ids) for member_id, team_ids in ended.items()}


def end_stays(unit: Unit, members: Sequence[Member], *, reason: str, removed: bool = False) -> None:
    """Take people who lose access out of every team, in this very transaction (rule W3).

    Args:
        unit: The unit, which has the organization's lock.
        members: Whom.
        reason: What the audit says of why.
        removed: They go for good: what they were in this month keeps their names until it is billed;
            of a plan that has ended nothing is billed any more.
    """
    ids = [member.id for member in members]
    left = _close_stays(unit, ids)
    if removed:
        unit.session.execute(
            update(TeamStay)
            .where(
                TeamStay.org_id == unit.org_id,
                TeamStay.member_id == any_(literal(ids, ARRAY(Uuid))),
                TeamStay.until > _period_start(unit, Contract.status == "active"),
                Member.org_id == TeamStay.org_id,
                Member.id == TeamStay.member_id,
            )
            .values(user_name=Member.user_name, display_name=Member.display_name)
            .execution_options(synchronize_session=False)
        )
    record_many(
        unit,
        [
            Entry(
                "member.left_teams",
                "member",
                member_id,
                reason,
                {"teams": [str(team_id) for team_id in left[member_id]]},
            )
            for member_id in ids
            if member_id in left
        ],
    )


def forget_names(unit: Unit, billed_until: datetime) -> None:
    """Forget what removed people were called whose time in teams is billed."""
    unit.session.execute(
        update(TeamStay)
        .where(TeamStay.org_id == unit.org_id, TeamStay.until <= billed_until, TeamStay.user_name.is_not(None))
        .values(user_name=None, display_name=None)
        .execution_options(synchronize_session=False)
    )


def teams_of(unit: Unit, member_id: MemberId) -> list[Team]:
    """Return the teams that somebody is in now, archived ones too, in the order of their names."""
    return list(
        unit.session.scalars(
            select(Team)
            .join(TeamStay, (TeamStay.org_id == Team.org_id) & (TeamStay.team_id == Team.id))
            .where(Team.org_id == unit.org_id, TeamStay.member_id == member_id, TeamStay.until.is_(None))
            .order_by(Team.name_key)
        )
    )


def in_active_team() -> ColumnElement[bool]:
    """Say of a member in a query that they are in a team that is not archived."""
    return exists(
        select(TeamStay.id)
        .join(Team, (Team.org_id == TeamStay.org_id) & (Team.id == TeamStay.team_id))
        .where(
            TeamStay.org_id == Member.org_id,
            TeamStay.member_id == Member.id,
            TeamStay.until.is_(None),
            Team.archived_at.is_(None),
        )
        .correlate(Member)
    )


def spells_within(unit: Unit, start: datetime, end: datetime) -> list[TeamSpell]:
    """Return the times of teams that have something in common with ``[start, end)``."""
    return list(
        unit.session.scalars(
            select(TeamSpell)
            .where(
                TeamSpell.org_id == unit.org_id,
                TeamSpell.since < end,
                or_(TeamSpell.until.is_(None), TeamSpell.until > start),
            )
            .execution_options(populate_existing=True)
        )
    )


def stays_within(unit: Unit, start: datetime, end: datetime, member_id: MemberId | None = None) -> Sequence[StayRow]:
    """Return people's times in teams, or one person's, that have something in common with ``[start, end)``."""
    whose = () if member_id is None else (TeamStay.member_id == member_id,)
    rows = unit.session.execute(
        select(
            TeamStay.member_id,
            TeamStay.team_id,
            TeamStay.since,
            TeamStay.until,
            TeamStay.user_name,
            TeamStay.display_name,
        ).where(*_stayed(unit, start, end), *whose)
    )
    return [StayRow(*row) for row in rows]


def stayers_within(unit: Unit, start: datetime, end: datetime) -> dict[MemberId, Stayer]:
    """Return the members, of those who are here still, who were in a team at some time of ``[start, end)``."""
    rows = unit.session.execute(
        select(Member.id, Member.user_name, Member.display_name, Member.created_at).where(
            Member.org_id == unit.org_id,
            Member.id.in_(select(TeamStay.member_id).where(*_stayed(unit, start, end))),
        )
    )
    return {member_id: Stayer(user_name, display_name, since) for member_id, user_name, display_name, since in rows}


def _stayed(unit: Unit, start: datetime, end: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        TeamStay.org_id == unit.org_id,
        TeamStay.since < end,
        or_(TeamStay.until.is_(None), TeamStay.until > start),
    )


def _period_start(unit: Unit, *only: ColumnElement[bool]) -> ScalarSelect[datetime]:
    return select(Contract.period_start).where(Contract.org_id == unit.org_id, *only).scalar_subquery()
