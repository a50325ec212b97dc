"""Changing the group mappings: first shown to the last person and cent, then applied exactly so or not at all."""

import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from sqlalchemy import Text, Uuid, any_, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

from bridge.domain.documents import comparison_key
from bridge.domain.identifiers import MemberId
from bridge.domain.roles import Permission, Role, may
from bridge.errors import (
    AcknowledgementMissingError,
    AssertionFailedError,
    GroupConnectionMissingError,
    IdempotencyConflictError,
    InvalidChangeError,
    InvalidInputError,
    PreviewStaleError,
)
from bridge.ports import InvoiceReference, SeatChange, SeatQuote
from bridge.store.directory import mapping_set_in_force
from bridge.store.models import Member, Preview
from bridge.store.pools import ladder_of, read_pools
from bridge.store.unit import Unit
from bridge.usecases.assign_seats import read_placement
from bridge.usecases.buy_for_line import serve_line
from bridge.usecases.charges import execute_change
from bridge.usecases.mapping_versions import VersionReason, read_directory, read_version, store_version
from bridge.usecases.people import name_people
from bridge.usecases.person_classes import person_classes
from bridge.usecases.previews import refuse_expired, store_preview, stored_preview
from bridge.usecases.purses import BudgetUse, open_purse
from bridge.usecases.settle_many import SeatPurchase, settle_many
from mappings.allocation import MemberKey, Occasion
from mappings.assertions import PersonHas, conditions_of
from mappings.checks import Effect, Finding, check
from mappings.differences import RuleChange, difference
from mappings.documents import UNSCOPED, MappingDocumentError, Problem, from_document, to_document
from mappings.naming import connection_missing, refreshed, unscoped
from mappings.people import Pool
from mappings.preview import AccessChange, Move, MovesPreview, moves_under
from mappings.reasons import because
from mappings.rules import MappingSet
from mappings.tiers import TierLadder

KIND = "mappings"


@dataclass(frozen=True, slots=True)
class RoleChange:
    """Somebody who gets another role from the rules, by name of the roles."""

    member_id: MemberId
    before: str
    after: str

    @property
    def is_gain(self) -> bool:
        """Whether the person may do more afterwards."""
        order = list(Role)
        return order.index(Role(self.after)) < order.index(Role(self.before))


@dataclass(frozen=True, slots=True)
class Outlay:
    """Everything that applying charges today, whoever pays for it, and the renewal that follows.

    Attributes:
        total: Minor units, tax included.
        amount_due: What of it is to be paid, once the account's balance is used (rule C3).
        together: All of it as one change, for its renewal: the invoices are each for itself.
    """

    total: int
    amount_due: int
    together: SeatQuote

    @property
    def cost(self) -> Decimal:
        """The total in major units."""
        return Decimal(self.total).scaleb(-self.together.digits)


@dataclass(frozen=True, slots=True)
class MappingsPreview:
    """What changed mappings would do.

    Attributes:
        id: Names the preview for :func:`apply_mappings`.
        expires_at: Until when it may be applied, unless something changes before (rule Q3).
        changes: What differs from the rules in force, in words.
        moves: What happens when no shortage is bought; what budgets pay for is in it.
        budget_uses: What is bought within budgets, at what price, and what is left of them then; the amounts are for
            who :attr:`sees_money`. Applying buys exactly that or nothing.
        budget_uses_if_bought: The same when the missing seats are bought.
        shortage: Seats missing by tier, so that nobody the change touches has to wait.
        quote: What those seats cost; None without a shortage, or for who may not see prices.
        moves_if_bought: What happens when they are bought; None without a quote.
        outlay: What is charged today when no shortage is bought: what budgets pay for; ``outlay_if_bought`` has the
            missing seats too, None without a quote. Both are for who :attr:`sees_money`.
        settled: What applying settles before it buys within budgets, and the same when the shortage is bought.
        role_changes: Everybody whose role really changes: an owner's never does (T10, T11).
        names: What pages call everybody who is named in the moves.
        findings: What the document asserts, beside what happens without buying.
        findings_if_bought: The same when the missing seats are bought; empty without a quote.
        restores: The older version that the document is, for a rollback.
    """

    id: uuid.UUID
    at: datetime
    expires_at: datetime
    ladder: TierLadder
    old: MappingSet
    new: MappingSet
    changes: tuple[RuleChange, ...]
    moves: MovesPreview
    shortage: Mapping[str, int]
    quote: SeatQuote | None
    moves_if_bought: MovesPreview | None
    role_changes: tuple[RoleChange, ...]
    names: Mapping[MemberId, str]
    settled: tuple[MovesPreview, MovesPreview | None]
    budget_uses: tuple[BudgetUse, ...] = ()
    budget_uses_if_bought: tuple[BudgetUse, ...] = ()
    outlay: Outlay | None = None
    outlay_if_bought: Outlay | None = None
    sees_money: bool = False
    findings: tuple[Finding, ...] = ()
    findings_if_bought: tuple[Finding, ...] = ()
    restores: int | None = None

    @property
    def roles(self) -> Mapping[str, int]:
        """How many people get each role."""
        return Counter(change.after for change in self.role_changes)

    @property
    def team_changes(self) -> tuple[AccessChange, ...]:
        """Everybody who joins or leaves a team."""
        return tuple(change for change in self.moves.access_changes if change.teams_gained or change.teams_lost)

    def because(self, move: Move) -> str:
        """Return why somebody moves, to stand after "because", without a full stop."""
        wanted = move.waiting_for or (None if move.rule is None else move.rule.tier)
        return because(
            move.reason, self.ladder, tier=move.to_tier, rule=move.rule, wanted=wanted, before=move.from_tier
        )

    @property
    def gives_roles(self) -> bool:
        """Whether anybody may do more afterwards, which needs a tick of its own."""
        return any(change.is_gain for change in self.role_changes)


@dataclass(frozen=True, slots=True)
class MappingsApplied:
    """What an applied preview did.

    Attributes:
        version: The version in force.
        moved: How many people's seats changed.
        invoice: For the missing seats that were bought, if any.
        roles: How many people got each role.
        teams: How many people joined or left a team.
        invoices: Every invoice that was issued by it: that one, and those for what was bought within budgets.
    """

    version: int
    moved: int
    invoice: InvoiceReference | None
    roles: Mapping[str, int] = field(default_factory=dict)
    teams: int = 0
    invoices: tuple[InvoiceReference, ...] = ()


def preview_mappings(unit: Unit, document: object) -> MappingsPreview:
    """Show what a mapping document would do to everybody, and what missing seats would cost.

    Only the preview itself is stored: who looks at it, against which state, and until when.

    Args:
        unit: The unit.
        document: As a YAML or JSON parser gives it (:mod:`mappings.documents`).

    Raises:
        ForbiddenError: The actor may not edit mappings.
        InvalidInputError: The document is not a mapping set, or is the one in force.
    """
    unit.require(Permission.EDIT_MAPPINGS)
    unit.lock()
    ladder = ladder_of(read_pools(unit))
    return _preview(unit, read_document(unit, document, ladder), ladder)


def preview_stored(unit: Unit, document: object) -> MappingsPreview:
    """Show what a document would do that was read and stored before: groups that are gone since are expected.

    Raises:
        ForbiddenError: The actor may not edit mappings.
        InvalidInputError: It cannot hold any more, or is what is in force.
    """
    unit.require(Permission.EDIT_MAPPINGS)
    unit.lock()
    ladder = ladder_of(read_pools(unit))
    try:
        stored = from_document(document, ladder)
    except MappingDocumentError as error:
        raise InvalidInputError("mappings", str(error)) from error
    return _preview(unit, _as_it_can_hold(unit, stored), ladder)


def usable_mappings_preview(unit: Unit, preview_id: uuid.UUID) -> tuple[MappingsPreview, Mapping[str, Any]]:
    """Compute a preview again that may still be applied, with the document that it is of.

    Raises:
        ForbiddenError: The actor may not edit mappings.
        NotFoundError: There is no such preview here.
        PreviewExpiredError: It is older than its 15 minutes.
        PreviewStaleError: People, seats or rules changed since it was made.
    """
    shown = open_preview(unit, preview_id)
    return shown, stored_preview(unit, preview_id, KIND).request["document"]


def preview_rollback(unit: Unit, version: int) -> MappingsPreview:
    """Show what it would do to put the rules of an older version in force again.

    Groups that are gone are expected again; those that came since, under a name that only one has, are meant.

    Raises:
        ForbiddenError: The actor may not edit mappings.
        InvalidInputError: The version cannot hold any more, or is what is in force.
        NotFoundError: There is no such version.
    """
    unit.require(Permission.EDIT_MAPPINGS)
    unit.lock()
    ladder = ladder_of(read_pools(unit))
    older = _as_it_can_hold(unit, read_version(unit, version, ladder))
    return _preview(unit, older, ladder, restores=version)


def _as_it_can_hold(unit: Unit, stored: MappingSet) -> MappingSet:
    """Return rules that were stored before with the groups that there are now.

    Raises:
        GroupConnectionMissingError: They expect a group by a name that any connection could bring.
    """
    directory = read_directory(unit)
    now = refreshed(stored, directory)
    missing = [f"{path}: {connection_missing(leaf, directory)}" for path, leaf in unscoped(now, directory)]
    if missing:
        raise GroupConnectionMissingError("; ".join(missing))
    return now


def _preview(unit: Unit, new: MappingSet, ladder: TierLadder, *, restores: int | None = None) -> MappingsPreview:
    unit.lock()
    if not difference(mapping_set_in_force(unit, ladder), new, ladder):
        raise InvalidInputError("mappings", "these are the rules in force already; change one to see what it does")
    stored = store_preview(unit, KIND, {"document": to_document(new), "restores": restores})
    preview = _compute(unit, stored)
    stored.request = {**stored.request, "budgets": _purchases(preview)}
    return preview


def open_preview(unit: Unit, preview_id: uuid.UUID) -> MappingsPreview:
    """Compute a stored preview again, for showing it.

    Raises:
        NotFoundError: There is no such preview here.
        PreviewExpiredError: It is older than its 15 minutes.
        PreviewStaleError: People, seats or rules changed since it was made.
    """
    unit.require(Permission.EDIT_MAPPINGS)
    unit.lock()
    return _as_shown(unit, _usable(unit, preview_id))


def applied_preview(unit: Unit, preview_id: uuid.UUID) -> MappingsApplied | None:
    """Return what a preview did that was applied; None while it was not.

    Raises:
        NotFoundError: There is no such preview here.
    """
    unit.require(Permission.EDIT_MAPPINGS)
    result = stored_preview(unit, preview_id, KIND).result
    return None if result is None else _read_result(result)


def apply_mappings(
    unit: Unit,
    preview_id: uuid.UUID,
    *,
    acknowledged: bool,
    buy: bool = False,
    roles_acknowledged: bool | None = None,
    budgets_acknowledged: bool | None = None,
) -> MappingsApplied:
    """Put previewed mappings in force and move everybody they move (rule A8).

    Repeating an apply that succeeded answers the same and does nothing (rule Q5).

    Args:
        unit: The unit; the organization is locked here.
        preview_id: What the actor looked at.
        acknowledged: Whether the cost was ticked; needed only for buying (rule Q1).
        buy: Buy the missing seats at the price the preview showed; needs an owner. Otherwise people wait.
        roles_acknowledged: Whether it was ticked that people may do more; as ``acknowledged`` by default.
        budgets_acknowledged: Whether it was ticked what is bought within budgets; as ``acknowledged`` by default.

    Raises:
        AcknowledgementMissingError: Buying, also within budgets, or giving somebody a higher role, without the tick.
        AssertionFailedError: Something that the document asserts would not be so.
        ForbiddenError: The actor may not edit mappings, or not buy.
        IdempotencyConflictError: It was applied before, the missing seats bought otherwise than now (rule Q5).
        InvalidChangeError: Missing seats are to be bought, which are ordered from another system.
        NotFoundError: There is no such preview here.
        PaymentFailedError: A payment was declined, also one within a budget; the unit must roll back.
        PreviewExpiredError: It is older than its 15 minutes.
        PreviewStaleError: People, seats, rules or what budgets pay for changed since it was made.
    """
    unit.require(Permission.EDIT_MAPPINGS)
    if buy:
        unit.require(Permission.MANAGE_BILLING)
        if not acknowledged:
            raise AcknowledgementMissingError
    unit.lock()
    stored = stored_preview(unit, preview_id, KIND)
    if stored.confirmed_at is not None and stored.result is not None:
        if stored.result.get("buy", buy) != buy:
            raise IdempotencyConflictError(str(preview_id))
        return _read_result(stored.result)
    preview = _as_shown(unit, _usable(unit, preview_id), named=False)
    if buy:
        refuse_bought_elsewhere(unit, preview)
    is_bought = buy and preview.quote is not None
    uses = preview.budget_uses_if_bought if is_bought else preview.budget_uses
    _refuse_unticked(uses, acknowledged if budgets_acknowledged is None else budgets_acknowledged)
    _refuse_unticked(preview.gives_roles, acknowledged if roles_acknowledged is None else roles_acknowledged)
    _refuse_failed(preview.findings_if_bought if is_bought else preview.findings)
    invoice = None
    if buy and preview.quote is not None:
        invoice = execute_change(unit, preview.quote, key=f"mappings:{stored.id}")
    reason = VersionReason.EDITED if preview.restores is None else VersionReason.ROLLED_BACK
    paid = invoice.id if invoice else None
    version = store_version(unit, preview.new, reason, restores=preview.restores, invoice=paid)
    with_purchase = buy and preview.moves_if_bought is not None
    effect = preview.settled[with_purchase]
    assert effect is not None, "what happens with a purchase is known wherever one is possible"
    settle_many(
        unit,
        effect,
        read_placement(unit),
        Occasion.REMAPPED,
        purchases={} if invoice is None else _paid_by(invoice, preview),
    )
    # Whom the rules let buy is served at the preview's price, whether they have begun to wait now or long ago.
    served = serve_line(unit, priced_at=stored.at)
    served.refuse_partial()
    if served.uses != uses:
        raise PreviewStaleError
    unit.line_grew = False
    shown = preview.moves_if_bought if with_purchase and preview.moves_if_bought else preview.moves
    invoices = (*([invoice] if invoice else []), *served.invoices)
    applied = MappingsApplied(version, len(shown.moves), invoice, preview.roles, len(preview.team_changes), invoices)
    stored.confirmed_at = unit.at
    stored.result = _write_result(applied) | {"buy": buy}
    return applied


def refuse_bought_elsewhere(unit: Unit, preview: MappingsPreview) -> None:
    """Refuse to buy missing seats together with rules where another system sells them, and answers later.

    Raises:
        InvalidChangeError: It does, and seats are missing.
    """
    if preview.shortage and not unit.billing.sells_at_once:
        raise InvalidChangeError(
            "the missing seats are ordered from the organization's own billing core, which answers later: order them"
            " by themselves, and apply the rules without buying; people move up when the seats come"
        )


def _refuse_unticked(what: object, ticked: bool) -> None:  # noqa: FBT001 (as it was said)
    if what and not ticked:
        raise AcknowledgementMissingError


def _refuse_failed(findings: Iterable[Finding]) -> None:
    failed = [str(finding) for finding in findings if not finding.holds]
    if failed:
        raise AssertionFailedError(failed)


def mapping_problems(unit: Unit, document: object) -> tuple[Problem, ...]:
    """Return what is wrong with a mapping document, for showing it beside its place; empty when nothing is.

    Raises:
        ForbiddenError: The actor may not edit mappings.
    """
    unit.require(Permission.EDIT_MAPPINGS)
    ladder = ladder_of(read_pools(unit))
    try:
        new = from_document(document, ladder, directory=read_directory(unit))
    except MappingDocumentError as error:
        return error.problems
    if not difference(mapping_set_in_force(unit, ladder), new, ladder):
        return (Problem("", "these are the rules in force already; change one to see what it does"),)
    return ()


def read_document(unit: Unit, document: object, ladder: TierLadder) -> MappingSet:
    """Read a mapping document somebody wrote; refuse one with mistakes, each named by its place.

    Raises:
        GroupConnectionMissingError: It expects a group by a name that any connection could bring.
        InvalidInputError: With every problem.
    """
    try:
        return from_document(document, ladder, directory=read_directory(unit))
    except MappingDocumentError as error:
        if all(problem.code == UNSCOPED for problem in error.problems):
            raise GroupConnectionMissingError(str(error)) from error
        raise InvalidInputError("mappings", str(error)) from error


def _compute(unit: Unit, stored: Preview, *, named: bool = True) -> MappingsPreview:
    pools = read_pools(unit)
    ladder = ladder_of(pools)
    old = mapping_set_in_force(unit, ladder)
    new = from_document(stored.request["document"], ladder, version=old.version + 1)
    people = person_classes(unit, (old, new), conditions_of(new.assertions))
    persons = _named_persons(unit, new)
    counts = {pool.tier: Pool(pool.total, pool.used) for pool in pools}
    look = partial(moves_under, people, old, new, ladder)
    purse = open_purse(unit, priced_at=stored.at)
    settled = look(counts)
    moves = look(counts, purse=purse) if purse.budgets else settled
    touched = {move.member_id for move in moves.moves} | {change.member_id for change in moves.line_changes}
    shortage = _shortage(moves)
    then, outlay_if_bought = None, None
    findings_if_bought: tuple[Finding, ...] = ()
    if shortage and unit.actor.role.is_owner and unit.billing.sells_at_once:
        then = _if_bought(unit, stored.at, look, counts, shortage)
        if _shortage(then.moves):
            # Who would have been paid for by a budget stands before others, and takes what is bought for those.
            shortage = _shortage(settled)
            then = _if_bought(unit, stored.at, look, counts, shortage)
        touched |= {move.member_id for move in then.moves.moves}
        touched |= {change.member_id for change in then.moves.line_changes}
        outlay_if_bought = _outlay(unit, stored.at, then.moves, then.uses, then.quote)
        findings_if_bought = check(new.assertions, Effect(people, then.moves, _cost(outlay_if_bought), persons), ladder)
    touched |= {change.member_id for change in moves.access_changes}
    uses = purse.uses()
    outlay = _outlay(unit, stored.at, moves, uses)
    return MappingsPreview(
        id=stored.id,
        at=stored.at,
        expires_at=stored.expires_at,
        ladder=ladder,
        old=old,
        new=new,
        changes=tuple(difference(old, new, ladder)),
        moves=moves,
        shortage=shortage,
        quote=then.quote if then else None,
        moves_if_bought=then.moves if then else None,
        role_changes=_role_changes(unit, moves.access_changes),
        names=name_people(unit, {MemberId(uuid.UUID(str(member_id))) for member_id in touched}) if named else {},
        settled=(settled, then.settled if then else None),
        budget_uses=uses,
        budget_uses_if_bought=then.uses if then else (),
        outlay=outlay,
        outlay_if_bought=outlay_if_bought,
        sees_money=may(unit.actor.role, Permission.SEE_BILLING),
        findings=check(new.assertions, Effect(people, moves, _cost(outlay), persons), ladder),
        findings_if_bought=findings_if_bought,
        restores=stored.request.get("restores"),
    )


@dataclass(frozen=True, slots=True)
class _IfBought:
    """What comes of it when missing seats are bought: with what budgets pay for then, and before that."""

    moves: MovesPreview
    settled: MovesPreview
    uses: tuple[BudgetUse, ...]
    quote: SeatQuote


def _if_bought(
    unit: Unit,
    at: datetime,
    look: Callable[..., MovesPreview],
    counts: Mapping[str, Pool],
    shortage: Mapping[str, int],
) -> _IfBought:
    grown = {tier: Pool(pool.seats + shortage.get(tier, 0), pool.used) for tier, pool in counts.items()}
    settled = moves = look(grown)
    change = SeatChange(shortage, at=at, placed=_placed(settled))
    purse = open_purse(unit, priced_at=at, bought_before=(change,))
    if purse.budgets:
        moves = look(grown, purse=purse)
    return _IfBought(moves, settled, purse.uses(), unit.billing.quote(change))


def _as_shown(unit: Unit, stored: Preview, *, named: bool = True) -> MappingsPreview:
    """Compute a preview again; refuse it when budgets would now pay for anything else than it showed."""
    preview = _compute(unit, stored, named=named)
    if stored.request.get("budgets") != _purchases(preview):
        raise PreviewStaleError
    return preview


def _purchases(preview: MappingsPreview) -> dict[str, Any]:
    """Return what is bought within budgets as a stored preview keeps it."""
    return {
        "uses": [use.facts for use in preview.budget_uses],
        "uses_if_bought": [use.facts for use in preview.budget_uses_if_bought],
    }


def _paid_by(invoice: InvoiceReference, preview: MappingsPreview) -> dict[MemberId, SeatPurchase]:
    """Say whose seats the missing ones are that were bought: who gets one only because of it."""
    without, with_purchase = preview.settled
    assert with_purchase is not None, "there is an invoice only where seats were bought"
    anyway = {move.member_id: move.to_tier for move in without.moves}
    left = dict(preview.shortage)
    paid: dict[MemberId, SeatPurchase] = {}
    for move in with_purchase.moves:
        tier = move.to_tier
        if tier is not None and left.get(tier) and anyway.get(move.member_id, move.from_tier) != tier:
            left[tier] -= 1
            paid[MemberId(uuid.UUID(str(move.member_id)))] = SeatPurchase(uuid.UUID(invoice.id), None)
    return paid


def _named_persons(unit: Unit, mapping_set: MappingSet) -> dict[str, MemberKey]:
    """Find the active people whom assertions name, by userName or else by mail address; of several, none is meant."""
    wanted = {one.person: comparison_key(one.person) for one in mapping_set.assertions if isinstance(one, PersonHas)}
    if not wanted:
        return {}
    keys = any_(literal(list(wanted.values()), ARRAY(Text)))
    rows = unit.session.execute(
        select(Member.id, Member.user_name_key, Member.email_key).where(
            Member.org_id == unit.org_id, Member.active, (Member.user_name_key == keys) | (Member.email_key == keys)
        )
    ).all()
    found: dict[str, MemberKey] = {}
    for person, key in wanted.items():
        named = [row.id for row in rows if row.user_name_key == key] or [row.id for row in rows if row.email_key == key]
        if len(named) == 1:
            found[person] = named[0]
    return found


def _outlay(
    unit: Unit, at: datetime, moves: MovesPreview, uses: Sequence[BudgetUse], quote: SeatQuote | None = None
) -> Outlay | None:
    """Sum up what is bought; None where nothing is."""
    seats = Counter(quote.change.changes) if quote else Counter[str]()
    for use in uses:
        seats[use.tier] += use.seats
    if not seats:
        return None
    bill = quote.bill if quote else None
    return Outlay(
        total=sum((use.total for use in uses), bill.total if bill else 0),
        amount_due=sum((use.amount_due for use in uses), bill.amount_due if bill else 0),
        together=unit.billing.quote(SeatChange(dict(seats), at=at, placed=_placed(moves))),
    )


def _cost(outlay: Outlay | None) -> Decimal:
    return outlay.cost if outlay else Decimal(0)


def _role_changes(unit: Unit, changes: Iterable[AccessChange]) -> tuple[RoleChange, ...]:
    """Compare the role people have with the one they get, as :func:`apply_access` gives it."""
    given = {MemberId(uuid.UUID(str(change.member_id))): change.role_after for change in changes}
    rows = unit.session.execute(
        select(Member.id, Member.role, Member.role_from_mapping)
        .where(
            Member.org_id == unit.org_id,
            Member.id == any_(literal(list(given), ARRAY(Uuid))),
            Member.role.not_in([Role.OWNER, Role.PRIMARY_OWNER]),
        )
        .order_by(Member.id)
    )
    found: list[RoleChange] = []
    for member_id, role, from_mapping in rows:
        after = given[member_id] or (str(Role.MEMBER) if from_mapping else role)
        if after != role:
            found.append(RoleChange(member_id, role, after))
    return tuple(found)


def _shortage(moves: MovesPreview) -> dict[str, int]:
    """Count the seats that would empty each line into which the change sends somebody."""
    joined = {change.after for change in moves.line_changes} | {move.waiting_for for move in moves.moves}
    return {tier: short for tier, short in moves.short_by.items() if tier is not None and tier in joined}


def _placed(moves: MovesPreview) -> dict[str, int]:
    """Count how many more or fewer people hold each tier afterwards."""
    return {count.tier: count.after - count.now for count in moves.seats if count.tier and count.after != count.now}


def _usable(unit: Unit, preview_id: uuid.UUID) -> Preview:
    stored = stored_preview(unit, preview_id, KIND)
    if stored.seat_version != unit.state().seat_version or stored.confirmed_at is not None:
        raise PreviewStaleError
    refuse_expired(unit, stored)
    return stored


def _write_result(applied: MappingsApplied) -> dict[str, Any]:
    invoice = applied.invoice
    return {
        "version": applied.version,
        "moved": applied.moved,
        "roles": dict(applied.roles),
        "teams": applied.teams,
        "invoice": None if invoice is None else asdict(invoice),
        "invoices": [asdict(each) for each in applied.invoices],
    }


def _read_result(result: Mapping[str, Any]) -> MappingsApplied:
    invoice = result["invoice"]
    return MappingsApplied(
        version=result["version"],
        moved=result["moved"],
        invoice=InvoiceReference(**invoice) if invoice else None,
        roles=result.get("roles", {}),
        teams=result.get("teams", 0),
        invoices=tuple(InvoiceReference(**each) for each in result.get("invoices", [])),
    )
