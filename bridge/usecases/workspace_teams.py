"""The teams of a workspace whose teams or people are licensed: made, archived, joined and left (rules W1 to W4)."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from bridge.domain.documents import comparison_key
from bridge.domain.identifiers import MemberId, new_id
from bridge.domain.roles import Permission
from bridge.errors import InvalidInputError, PlanEndedError, UniquenessError
from bridge.store.directory import get_member
from bridge.store.journal import record
from bridge.store.models import Contract, LicencePlan, Team, TeamStay
from bridge.store.teams import (
    close_spell,
    close_stays,
    find_licence_plan,
    find_team,
    get_team,
    open_spell,
    open_stays,
    read_teams,
    teams_of,
)
from bridge.store.unit import Unit

MAX_TEAM_NAME = 200


@dataclass(frozen=True, slots=True)
class TeamView:
    """A team with the number of people in it now; ``archived_at`` is None while it counts."""

    id: uuid.UUID
    name: str
    created_at: datetime
    archived_at: datetime | None
    members: int


def create_team(unit: Unit, name: str) -> Team:
    """Make a team; it counts from now on (rule W2).

    Raises:
        ForbiddenError: The actor may not manage people.
        InvalidInputError: The name is empty, too long or not printable; or the plan has no teams.
        PlanEndedError: The plan has ended.
        UniquenessError: Another team has the name, compared without case.
    """
    _begin(unit)
    _refuse_when_ended(unit)
    name = name.strip()
    if not name or len(name) > MAX_TEAM_NAME or not name.isprintable():
        raise InvalidInputError("team", f"a name is 1 to {MAX_TEAM_NAME} printable characters")
    present = find_team(unit, name)
    if present is not None:
        raise UniquenessError(attribute="team", value=name, taken_by=present.name)
    team = Team(
        org_id=unit.org_id,
        id=new_id(),
        name=name,
        name_key=comparison_key(name),
        created_at=unit.at,
        archived_at=None,
    )
    unit.session.add(team)
    unit.session.flush()
    open_spell(unit, team.id)
    _record(unit, "team.created", team)
    return team


def archive_team(unit: Unit, name: str) -> Team:
    """Archive a team: it spares its licences from the *following* month on (rules W1 and W4).

    Nobody leaves it by that. An archived team stays archived.

    Raises:
        ForbiddenError: The actor may not manage people.
        InvalidInputError: The plan has no teams.
        NotFoundError: There is no such team here.
    """
    _begin(unit)
    team = get_team(unit, name)
    if team.archived_at is None:
        team.archived_at = unit.at
        close_spell(unit, team.id)
        _record(unit, "team.archived", team)
    return team


def unarchive_team(unit: Unit, name: str) -> Team:
    """Let an archived team count again, from this month on (rule W2).

    Raises:
        ForbiddenError: The actor may not manage people.
        InvalidInputError: The plan has no teams.
        NotFoundError: There is no such team here.
        PlanEndedError: The plan has ended.
    """
    _begin(unit)
    _refuse_when_ended(unit)
    team = get_team(unit, name)
    if team.archived_at is not None:
        team.archived_at = None
        unit.session.flush()
        open_spell(unit, team.id)
        _record(unit, "team.unarchived", team)
    return team


def join_teams(unit: Unit, member_id: MemberId, names: Iterable[str]) -> list[Team]:
    """Put somebody into teams; who is in one already stays (rule W3).

    Returns:
        The teams that are new to the person.

    Raises:
        ForbiddenError: The actor may not manage people.
        InvalidInputError: The person is deactivated; or the plan has no teams.
        NotFoundError: There is no such member, or no such team, here.
        PlanEndedError: The plan has ended.
    """
    _begin(unit)
    _refuse_when_ended(unit)
    member = get_member(unit, member_id)
    if not member.active:
        raise InvalidInputError("member", "is deactivated: activate the person before they join a team")
    wanted = {team.id: team for team in (get_team(unit, name) for name in names)}
    present = {team.id for team in teams_of(unit, member.id)}
    joined = [team for team_id, team in wanted.items() if team_id not in present]
    open_stays(unit, member.id, [team.id for team in joined])
    for team in joined:
        _record(unit, "team.joined", team, member.id)
    return joined


def leave_team(unit: Unit, member_id: MemberId, name: str) -> bool:
    """Take somebody out of a team; they stay in the workspace.

    Returns:
        Whether they were in it.

    Raises:
        ForbiddenError: The actor may not manage people.
        InvalidInputError: The plan has no teams.
        NotFoundError: There is no such member, or no such team, here.
    """
    _begin(unit)
    member, team = get_member(unit, member_id), get_team(unit, name)
    if not close_stays(unit, member.id, [team.id]):
        return False
    _record(unit, "team.left", team, member.id)
    return True


def list_teams(unit: Unit) -> list[TeamView]:
    """Return every team in the order of their names, archived ones too.

    Raises:
        ForbiddenError: The actor may not open the console.
    """
    unit.require(Permission.SEE_CONSOLE)
    rows = unit.session.execute(
        select(TeamStay.team_id, func.count())
        .where(TeamStay.org_id == unit.org_id, TeamStay.until.is_(None))
        .group_by(TeamStay.team_id)
    )
    members: dict[uuid.UUID, int] = {row[0]: row[1] for row in rows}
    return [
        TeamView(team.id, team.name, team.created_at, team.archived_at, members.get(team.id, 0))
        for team in read_teams(unit)
    ]


def require_licences(unit: Unit) -> LicencePlan:
    """Return what licences cost here.

    Raises:
        InvalidInputError: The plan is of another kind.
    """
    plan = find_licence_plan(unit)
    if plan is None:
        raise InvalidInputError("plan", "is not billed by team or by person: it has no teams and no licences")
    return plan


def _begin(unit: Unit) -> None:
    unit.require(Permission.MANAGE_PEOPLE)
    unit.lock()
    require_licences(unit)


def _refuse_when_ended(unit: Unit) -> None:
    """Refuse what would be billed, when there is no plan to bill it by (rule R5)."""
    if unit.session.get_one(Contract, unit.org_id, populate_existing=True).status != "active":
        raise PlanEndedError


def _record(unit: Unit, action: str, team: Team, member_id: MemberId | None = None) -> None:
    record(
        unit,
        action,
        subject_kind="team",
        subject_id=team.id,
        reason="by_hand",
        body={"member": str(member_id)} if member_id else None,
    )
