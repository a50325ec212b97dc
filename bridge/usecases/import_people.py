"""Taking people in from a file: shown first by doing it and taking it back, so that the effect is what was shown."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from sqlalchemy import Uuid, any_, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

from bridge.domain.identifiers import ConnectionId
from bridge.domain.people_files import PeopleFile, PersonRow, RowProblem
from bridge.domain.roles import Permission
from bridge.errors import PreviewStaleError
from bridge.store.directory import get_connection, manual_connection
from bridge.store.journal import record
from bridge.store.models import Member
from bridge.store.pools import ladder_of, read_pools
from bridge.store.unit import Unit
from bridge.usecases.buy_for_line import expected_purchases, serve_line
from bridge.usecases.import_effect import AddedPerson, ChangedPerson, ImportEffect, Importer
from bridge.usecases.purses import BudgetUse
from bridge.usecases.rehearsals import attempt
from mappings.allocation import MemberKey, SeatDecision
from mappings.tiers import ANY

__all__ = ["AddedPerson", "ChangedPerson", "ImportReport", "TierEffect", "import_people", "preview_import"]

_FINGERPRINT_LETTERS = 16


@dataclass(frozen=True, slots=True)
class TierEffect:
    """One line of the table "seats before and after".

    Attributes:
        tier: Its key; None for people without a seat.
        name: What pages call it.
        seats: Seats that may be assigned; None for people without a seat.
        held_before: People who hold one.
        waiting_before: People who wait for this one; for None, those who would take any.
    """

    tier: str | None
    name: str
    seats: int | None
    held_before: int
    held_after: int
    waiting_before: int
    waiting_after: int


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What a file does, or did.

    Attributes:
        fingerprint: Names this effect on this state; another one means that file, people, seats or rules changed.
        applied: Whether it is done; a preview, and a file with problems, did nothing.
        connection: The directory's name; None for people whom no directory manages.
        rows: People the file names, those with problems included.
        effect: Who comes, changes and stays the same.
        problems: What is wrong, by row: with the file, or with what is here already.
        tiers: Best first, "no seat" last.
        budget_uses: What is bought within budgets for who comes or waits, at what price, and what is left then.
    """

    fingerprint: str
    applied: bool
    connection: str | None
    rows: int
    effect: ImportEffect
    problems: tuple[RowProblem, ...]
    tiers: tuple[TierEffect, ...] = ()
    budget_uses: tuple[BudgetUse, ...] = ()

    @property
    def bad_rows(self) -> frozenset[int]:
        """The rows that are left out."""
        return frozenset(problem.row for problem in self.problems)

    @property
    def missing(self) -> dict[str, int]:
        """So many seats of each tier an owner would have to buy for who waits more; any tier means the lowest."""
        lowest = next((one.tier for one in reversed(self.tiers) if one.tier is not None), None)
        more: Counter[str] = Counter()
        for one in self.tiers:
            tier = one.tier or lowest
            if tier is not None:
                more[tier] += max(one.waiting_after - one.waiting_before, 0)
        return dict(+more)

    @property
    def changes_something(self) -> bool:
        """Whether anything would be, or is, other than before."""
        return self.effect.changes_something


@dataclass(frozen=True, slots=True)
class _Run:
    """One way through: what came of it, and the problems that only what is here already shows."""

    effect: ImportEffect
    found: tuple[RowProblem, ...] = ()
    tiers: tuple[TierEffect, ...] = field(default=())
    budget_uses: tuple[BudgetUse, ...] = field(default=())


def preview_import(
    unit: Unit,
    file: PeopleFile,
    connection_id: ConnectionId | None = None,
    *,
    progress: Callable[[int], None] | None = None,
) -> ImportReport:
    """Show what a file would do to everybody and every seat; nothing of it stays.

    It is the import itself, taken back. Rows with problems are left out of what is shown.

    Args:
        unit: The unit.
        file: What was read.
        connection_id: The directory the file stands for; None for people whom no directory manages.
        progress: Is told how many people have been looked at.

    Raises:
        ForbiddenError: The actor may not manage people, or the file places people and the actor may not.
        NotFoundError: There is no such connection.
    """
    return _import(unit, file, connection_id, progress=progress, keep=lambda _: False)


def import_people(
    unit: Unit,
    file: PeopleFile,
    connection_id: ConnectionId | None = None,
    *,
    skip_bad_rows: bool = False,
    expect: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> ImportReport:
    """Take the people of a file in: all of them, or none when anything is wrong.

    Who is here already is changed to what the file says; a cell left empty changes nothing, and nobody is removed or
    turned off for being missing. Seats go first to who is here, then to newcomers in the order of the file, and are
    bought within a budget at most (rule A3). The same file once more changes nothing.

    Args:
        unit: The unit.
        file: What was read.
        connection_id: The directory the file stands for: as if it pushed these people, conflicts included. None for
            people whom no directory manages; a later push adopts them as it adopts who was added by hand.
        skip_bad_rows: Take in the others when rows have problems.
        expect: The fingerprint of the preview that was looked at.
        progress: Is told how many people have been looked at.

    Raises:
        ForbiddenError: The actor may not manage people, or the file places people and the actor may not.
        NotFoundError: There is no such connection.
        PaymentFailedError: The payment of what is bought within budgets was declined; the unit must roll back.
        PreviewStaleError: It would not do what the preview with this fingerprint showed; nothing is done.
    """

    def keep(report: ImportReport) -> bool:
        if expect is not None and expect != report.fingerprint:
            raise PreviewStaleError
        return not report.problems or (skip_bad_rows and all(problem.row for problem in report.problems))

    report = _import(unit, file, connection_id, progress=progress, keep=keep)
    if report.applied and report.budget_uses:
        serve_line(unit).refuse_partial()
        unit.line_grew = False
    if report.applied and report.changes_something:
        _record(unit, file, report)
    return report


def _import(
    unit: Unit,
    file: PeopleFile,
    connection_id: ConnectionId | None,
    *,
    progress: Callable[[int], None] | None,
    keep: Callable[[ImportReport], bool],
) -> ImportReport:
    unit.require(Permission.MANAGE_PEOPLE)
    if any(person.tier for person in file.people):
        unit.require(Permission.ASSIGN_SEATS)
    version = unit.lock().seat_version
    connection = manual_connection(unit) if connection_id is None else get_connection(unit, connection_id)
    blank = ImportReport(
        fingerprint="",
        applied=False,
        connection=None if connection.kind == "manual" else connection.name,
        rows=len(file.cells),
        effect=ImportEffect(),
        problems=file.problems,
    )
    report = replace(blank, fingerprint=_fingerprint(file, connection.id, version, blank))
    if any(not problem.row for problem in file.problems) or not file.header:
        return report
    people = list(file.people)
    while True:
        shown = report

        def decide(run: _Run, shown: ImportReport = shown) -> bool:
            return not run.found and keep(_completed(shown, run, file, connection.id, version))

        run, kept = attempt(unit, partial(_run, unit, file, connection.id, people, progress), decide)
        if not run.found:
            return replace(_completed(report, run, file, connection.id, version), applied=kept)
        # Who is in conflict may have left traces behind: once more without them.
        problems = sorted((*report.problems, *run.found), key=lambda problem: problem.row)
        report = replace(report, problems=tuple(problems))
        people = [person for person in people if person.row not in report.bad_rows]


def _completed(
    report: ImportReport, run: _Run, file: PeopleFile, connection_id: ConnectionId, version: int
) -> ImportReport:
    filled = replace(report, effect=run.effect, tiers=run.tiers, budget_uses=run.budget_uses)
    return replace(filled, fingerprint=_fingerprint(file, connection_id, version, filled))


def _run(
    unit: Unit,
    file: PeopleFile,
    connection_id: ConnectionId,
    people: Collection[PersonRow],
    progress: Callable[[int], None] | None,
) -> _Run:
    before = _counts(unit)
    importer = Importer(unit, file, connection_id, people, progress)
    effect = importer.run()
    if importer.problems:
        return _Run(effect, tuple(importer.problems))
    after = _counts(unit)
    if not unit.line_grew:
        return _Run(effect, (), _tiers(unit, before, after))
    return _with_purchases(unit, effect, before, after)


def _with_purchases(
    unit: Unit,
    effect: ImportEffect,
    before: dict[tuple[str, str | None], int],
    after: dict[tuple[str, str | None], int],
) -> _Run:
    """Put what is bought within budgets at the end into the picture; nothing is bought while an import may fail yet."""
    expected, uses = expected_purchases(unit)
    counts = Counter(after)
    moved: dict[MemberKey, tuple[SeatDecision, str]] = {}
    ladder = ladder_of(read_pools(unit))
    for settlement in expected.settlements:
        decision, number = settlement.decision, settlement.count
        counts["held", decision.tier] += number
        counts["held", decision.from_tier] -= number
        waited, waits = settlement.holding.waiting_for, decision.waiting_for
        counts["waiting", None if waited == ANY else waited] -= number
        if waits is not None:
            counts["waiting", None if waits == ANY else waits] += number
        moved |= dict.fromkeys(settlement.member_ids, (decision, decision.because(ladder, settlement.rule)))
    rows = unit.session.execute(
        select(Member.user_name, Member.id).where(
            Member.org_id == unit.org_id, Member.id == any_(literal(list(moved), ARRAY(Uuid)))
        )
    )
    by_name = {user_name: moved[member_id] for user_name, member_id in rows}
    added = [
        replace(
            one,
            tier=by_name[one.user_name][0].tier,
            waiting_for=by_name[one.user_name][0].waiting_for,
            reason=str(by_name[one.user_name][0].reason),
            because=by_name[one.user_name][1],
        )
        if one.user_name in by_name
        else one
        for one in effect.added
    ]
    return _Run(replace(effect, added=tuple(added)), (), _tiers(unit, before, counts, uses), uses)


def _counts(unit: Unit) -> dict[tuple[str, str | None], int]:
    """Count holders by tier, and people in line by what they wait for."""
    unit.session.flush()
    counts: dict[tuple[str, str | None], int] = {}
    rows = unit.session.execute(
        select(Member.tier, Member.waiting_for, func.count())
        .where(Member.org_id == unit.org_id, Member.active)
        .group_by(Member.tier, Member.waiting_for)
    )
    for tier, waiting_for, number in rows:
        counts["held", tier] = counts.get(("held", tier), 0) + number
        if waiting_for is not None:
            wanted = None if waiting_for == ANY else waiting_for
            counts["waiting", wanted] = counts.get(("waiting", wanted), 0) + number
    return counts


def _tiers(
    unit: Unit,
    before: dict[tuple[str, str | None], int],
    after: Mapping[tuple[str, str | None], int],
    uses: Collection[BudgetUse] = (),
) -> tuple[TierEffect, ...]:
    lines: list[tuple[str | None, str, int | None]] = [
        (pool.tier, pool.name, pool.total + sum(use.seats for use in uses if use.tier == pool.tier))
        for pool in read_pools(unit)
    ]
    lines.append((None, "no seat", None))
    return tuple(
        TierEffect(
            tier,
            name,
            seats,
            held_before=before.get(("held", tier), 0),
            held_after=after.get(("held", tier), 0),
            waiting_before=before.get(("waiting", tier), 0),
            waiting_after=after.get(("waiting", tier), 0),
        )
        for tier, name, seats in lines
    )


def _fingerprint(file: PeopleFile, connection_id: ConnectionId, version: int, report: ImportReport) -> str:
    """Digest the file, the state it meets, and what comes of it, without anything random."""
    facts = [
        file.sha256,
        str(connection_id),
        version,
        [[one.row, one.tier, one.waiting_for, one.reason] for one in report.effect.added],
        [[one.row, *one.attributes] for one in report.effect.changed],
        [str(problem) for problem in report.problems],
        [[one.tier, one.held_after, one.waiting_after] for one in report.tiers],
        [[one.tier, one.cost_centre, one.seats] for one in report.budget_uses],
    ]
    digest = hashlib.sha256(json.dumps(facts, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()
    return digest[:_FINGERPRINT_LETTERS]


def _record(unit: Unit, file: PeopleFile, report: ImportReport) -> None:
    effect = report.effect
    record(
        unit,
        "import.applied",
        subject_kind="file",
        subject_id=file.sha256,
        reason="requested",
        body={
            "sha256": file.sha256,
            "rows": report.rows,
            "added": len(effect.added),
            "changed": len(effect.changed),
            "unchanged": effect.unchanged,
            "left_out": len(report.bad_rows),
            "groups_created": len(effect.groups_created),
        },
    )
