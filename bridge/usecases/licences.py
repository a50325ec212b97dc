"""Licences as people see them: how many are in use now, and who held one in a billed month (rules W5 and B7)."""

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from bridge.domain.roles import Permission
from bridge.domain.tables import Cell, Table
from bridge.errors import InvalidInputError
from bridge.store.models import Contract, Invoice, LicenceHolder, LicencePlan, Member, Team
from bridge.store.teams import find_licence_plan, in_active_team
from bridge.store.unit import Unit
from bridge.usecases.workspace_teams import require_licences

TEAM_LICENCE = "team_licence"
#: Columns keep their names and their order; new ones come at the end.
HOLDER_COLUMNS = ("month", "kind", "id", "name", "display name", "invoice")
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class LicencesNow:
    """Where licences stand (rule B7).

    Attributes:
        kind: ``team_licence`` or ``user_licence``.
        status: ``active`` or ``ended``.
        month: The present month, as "2026-01".
        members: People who have access.
        active_teams: Teams that are not archived.
        archived_teams: Teams that are.
        licensed: Teams or people that hold a licence at this instant; none when the plan has ended.
        counted: Teams or people that count for the present month so far, those who have left included.
    """

    kind: str
    status: str
    month: str
    members: int
    active_teams: int
    archived_teams: int
    licensed: int
    counted: int


@dataclass(frozen=True, slots=True)
class HolderView:
    """A team or a person that a month was billed for, as they were called then; ``invoice`` is its number."""

    month: str
    kind: str
    id: uuid.UUID
    name: str
    display_name: str
    invoice: str


def read_licences(unit: Unit) -> LicencesNow:
    """Count members and licence holders as of now (rule B7).

    Raises:
        ForbiddenError: The actor may not open the console.
        InvalidInputError: The plan is of another kind.
    """
    unit.require(Permission.SEE_CONSOLE)
    return _count(unit, require_licences(unit))


def licences_if_any(unit: Unit) -> LicencesNow | None:
    """Count members and licence holders for a page that is shown for plans of every kind; None for other plans."""
    plan = find_licence_plan(unit)
    return None if plan is None else _count(unit, plan)


def licensed_names(unit: Unit) -> list[str]:
    """Return who holds a licence at this instant, sorted: names of teams, or userNames (rules W1 and W3).

    Raises:
        ForbiddenError: The actor may not open the console.
        InvalidInputError: The plan is of another kind.
    """
    unit.require(Permission.SEE_CONSOLE)
    plan = require_licences(unit)
    if _contract(unit).status != "active":
        return []
    if plan.kind == TEAM_LICENCE:
        names = unit.session.scalars(select(Team.name).where(Team.org_id == unit.org_id, Team.archived_at.is_(None)))
    else:
        names = unit.session.scalars(
            select(Member.user_name).where(Member.org_id == unit.org_id, Member.active, in_active_team())
        )
    return sorted(names)


def billed_months(unit: Unit) -> list[str]:
    """Return the months that were billed, as "2026-01", the first one first.

    Raises:
        ForbiddenError: The actor may not see money (rule Z1).
    """
    unit.require(Permission.SEE_BILLING)
    statement = select(LicenceHolder.month).where(LicenceHolder.org_id == unit.org_id).distinct()
    return sorted(unit.session.scalars(statement))


def list_holders(unit: Unit, month: str) -> list[HolderView]:
    """Return the licence holders of a month that is over, in the order of their names (rule W5).

    The list is written with the month's invoice and never changes afterwards, whatever plan follows; it is empty when
    nothing was billed.

    Args:
        unit: The unit.
        month: As "2026-01", of the plan's time zone.

    Raises:
        ForbiddenError: The actor may not see money (rule Z1).
        InvalidInputError: It is no month, not one of the plan's, or not over; or the plan is of another kind.
    """
    unit.require(Permission.SEE_BILLING)
    if month not in billed_months(unit):
        require_licences(unit)
        _check_month(_contract(unit), month)
    rows = unit.session.execute(
        select(LicenceHolder, Invoice.number)
        .join(Invoice, (Invoice.org_id == LicenceHolder.org_id) & (Invoice.id == LicenceHolder.invoice_id))
        .where(LicenceHolder.org_id == unit.org_id, LicenceHolder.month == month)
        .order_by(LicenceHolder.name, LicenceHolder.unit_id)
    )
    return [
        HolderView(holder.month, holder.kind, holder.unit_id, holder.name, holder.display_name, number)
        for holder, number in rows
    ]


def holders_table(unit: Unit, month: str | None = None) -> Table:
    """Return licence holders as a table: of one month, or of every billed one, the first month first (rule W5).

    Raises:
        ForbiddenError: The actor may not see money (rule Z1).
        InvalidInputError: As :func:`list_holders`.
    """
    unit.require(Permission.SEE_BILLING)
    billed = billed_months(unit)
    if month not in billed and (month is not None or not billed):
        require_licences(unit)
        if month is not None:
            _check_month(_contract(unit), month)
    return Table("licence holders", HOLDER_COLUMNS, _holder_rows(unit, month))


def _holder_rows(unit: Unit, month: str | None) -> Iterator[tuple[Cell, ...]]:
    statement = (
        select(
            LicenceHolder.month,
            LicenceHolder.kind,
            LicenceHolder.unit_id,
            LicenceHolder.name,
            LicenceHolder.display_name,
            Invoice.number,
        )
        .join(Invoice, (Invoice.org_id == LicenceHolder.org_id) & (Invoice.id == LicenceHolder.invoice_id))
        .where(LicenceHolder.org_id == unit.org_id)
        .order_by(LicenceHolder.month, LicenceHolder.name, LicenceHolder.unit_id)
        .execution_options(yield_per=1000)
    )
    if month is not None:
        statement = statement.where(LicenceHolder.month == month)
    for holder in unit.session.execute(statement):
        yield holder.month, holder.kind, str(holder.unit_id), holder.name, holder.display_name, holder.number


def _count(unit: Unit, plan: LicencePlan) -> LicencesNow:
    contract = _contract(unit)
    people = (Member.org_id == unit.org_id, Member.active)
    members = unit.session.scalar(select(func.count()).select_from(Member).where(*people)) or 0
    teams, active_teams = unit.session.execute(
        select(func.count(), func.count().filter(Team.archived_at.is_(None))).where(Team.org_id == unit.org_id)
    ).one()
    licensed, counted = 0, 0
    if contract.status == "active":
        licensed = active_teams
        if plan.kind != TEAM_LICENCE:
            holders = select(func.count()).select_from(Member).where(*people, in_active_team())
            licensed = unit.session.scalars(holders).one()
        bill = unit.billing.next_renewal()
        # The forecast may be of a plan that follows: its lines are of something else.
        counted = sum(line.quantity for line in bill.lines if line.tier == plan.kind) if bill else 0
    return LicencesNow(
        kind=plan.kind,
        status=contract.status,
        month=_month_of(contract),
        members=members,
        active_teams=active_teams,
        archived_teams=teams - active_teams,
        licensed=licensed,
        counted=counted,
    )


def _contract(unit: Unit) -> Contract:
    return unit.session.get_one(Contract, unit.org_id, populate_existing=True)


def _check_month(contract: Contract, month: str) -> None:
    if not _MONTH.fullmatch(month):
        raise InvalidInputError("month", f"{month!r} is no month such as 2026-01")
    present, first = _month_of(contract), _local_month(contract, contract.anchor)
    if month < first:
        raise InvalidInputError("month", f"{month} is before the plan, which began in {first}")
    if month > present or (month == present and contract.status == "active"):
        raise InvalidInputError("month", f"{month} is not over: who held a licence is listed when it is billed")


def _month_of(contract: Contract) -> str:
    """Return the present month, which the end of the period closes; for a plan that has ended the last one."""
    return _local_month(contract, contract.period_end - _INSTANT)


def _local_month(contract: Contract, instant: datetime) -> str:
    return f"{instant.astimezone(ZoneInfo(contract.time_zone)):%Y-%m}"
