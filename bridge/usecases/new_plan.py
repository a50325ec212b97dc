"""Another plan of any kind: at once where one has ended or an evaluation is to be converted, else when this one ends.

For the operator: prices are agreed with the account manager. Owners begin the plan that was agreed for after the
evaluation, and no other.
"""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from sqlalchemy import exists, func, select

from bridge.domain.plan_kinds import BUILTIN, EVALUATION, FIXED_FEE, LICENCE_NAMES, REMOTE
from bridge.domain.roles import Permission
from bridge.errors import InvalidChangeError, InvalidInputError, PlanEndedError, PreviewStaleError
from bridge.ports import ContractDraft, InvoiceReference, StartQuote
from bridge.store.agreed import (
    AgreedKind,
    AgreedState,
    agree,
    agreed_change,
    plan_of,
    settle_agreed,
    terms_of_plan,
)
from bridge.store.journal import record
from bridge.store.models import Contract, Invoice, LicenceHolder, Preview
from bridge.store.unit import Unit
from bridge.usecases.begin_plan import begin_plan
from bridge.usecases.budgets import read_budgets
from bridge.usecases.charges import CostCheck
from bridge.usecases.idempotency import once
from bridge.usecases.organizations import check_plan
from bridge.usecases.plan_seats import SeatsUnderPlan, seats_under_plan
from bridge.usecases.previews import confirm_once, open_stored, refuse_expired, store_preview

PREVIEW_KIND = "new_plan"
_AGREED_ALREADY = "another change is agreed already: cancel it first"


@dataclass(frozen=True, slots=True)
class NewPlanPreview:
    """What another plan would do, good until ``expires_at`` (excluded) or until something changes (rule Q3).

    Attributes:
        quote: Its first invoice and period; it begins at the start of that.
        seats: Who would hold which seat, as people are now.
        ahead: It is agreed only, and begins when the present plan ends.
        budgets_dropped: Names of the budgets there are now: every budget ends with the plan that it was set for.
    """

    id: uuid.UUID
    at: datetime
    expires_at: datetime
    quote: StartQuote
    seats: SeatsUnderPlan
    ahead: bool
    budgets_dropped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NewPlanConfirmation:
    """What was begun or agreed; a repeat answers the same. ``invoice`` is None where nothing is billed at once."""

    kind: str
    effective_at: datetime
    ahead: bool
    invoice: InvoiceReference | None


def preview_new_plan(unit: Unit, draft: ContractDraft | None, *, ahead: bool = False) -> NewPlanPreview:
    """Show what another plan would bill first, and who would get which seat.

    Args:
        unit: The unit.
        draft: The plan; None for the one that is agreed to follow an evaluation.
        ahead: Let it follow when the present plan ends, or the evaluation does; otherwise it begins now.

    Raises:
        ForbiddenError: The actor may not change the plan (rule Z1).
        InvalidChangeError: The present plan goes on, another change waits, nothing is agreed, or another core bills.
        InvalidInputError: Terms that make no contract.
        PlanEndedError: It cannot follow a plan that has ended: it begins now (rule R5).
    """
    unit.require(Permission.MANAGE_BILLING)
    unit.lock()
    quote, seats = _compute(unit, draft, ahead=ahead)
    wanted = None if draft is None else terms_of_plan(draft)
    request = {"draft": wanted, "ahead": ahead, "shown": _shown(unit, quote, seats)}
    preview = store_preview(unit, PREVIEW_KIND, request)
    return _as_preview(unit, preview, quote, seats)


def open_new_plan_preview(unit: Unit, preview_id: uuid.UUID) -> NewPlanPreview:
    """Return a preview that can still be confirmed, to show it again.

    Raises:
        ForbiddenError: The actor may not change the plan.
        NotFoundError: There is no such preview here.
        PreviewExpiredError: Its 15 minutes are over.
        PreviewStaleError: What it shows is no longer so, or it was confirmed.
    """
    preview = open_stored(unit, preview_id, PREVIEW_KIND)
    return _as_preview(unit, preview, *_recomputed(unit, preview))


def confirm_new_plan(
    unit: Unit, preview_id: uuid.UUID, *, acknowledged: bool, key: str | None = None
) -> NewPlanConfirmation:
    """Begin, or agree, what a preview showed, and charge exactly that.

    Raises:
        ForbiddenError: The actor may not change the plan.
        AcknowledgementMissingError: The tick is missing.
        NotFoundError: There is no such preview here.
        PreviewExpiredError: Its 15 minutes are over.
        PreviewStaleError: What it shows is no longer so.
        PaymentFailedError: The payment was declined; the unit must roll back (rule Q4).
        IdempotencyConflictError: The key was used before for something else (rule Q5).
    """

    def act(preview: Preview) -> dict[str, Any]:
        quote, _ = _recomputed(unit, preview)
        return _do(unit, quote, ahead=preview.request["ahead"])

    done = confirm_once(
        unit, preview_id, PREVIEW_KIND, acknowledged=acknowledged, key=key, do="confirm_new_plan", act=act
    )
    return _confirmation(done)


def take_new_plan(
    unit: Unit,
    draft: ContractDraft | None,
    *,
    ahead: bool = False,
    key: str | None = None,
    check: CostCheck | None = None,
) -> NewPlanConfirmation:
    """Begin or agree it straight away, for callers that saw the cost elsewhere or accept any.

    Args:
        unit: The unit.
        draft: As for :func:`preview_new_plan`.
        ahead: The same.
        key: The caller's key: a repeat begins nothing and answers the same.
        check: Is told what is charged now and its currency before anything is done, and may refuse.

    Raises:
        IdempotencyConflictError: The key was used before with another content (rule Q5).
        PaymentFailedError: The payment was declined; the unit must roll back (rule Q4).
        ForbiddenError, InvalidChangeError, InvalidInputError, PlanEndedError: As :func:`preview_new_plan`.
    """
    unit.require(Permission.MANAGE_BILLING)
    unit.lock()
    wanted = None if draft is None else terms_of_plan(draft)

    def act() -> dict[str, Any]:
        quote = _quote(unit, draft, ahead=ahead)
        if check is not None:
            check(None if ahead else quote.bill, quote.contract.currency)
        return _do(unit, quote, ahead=ahead)

    return _confirmation(once(unit, key, {"do": "new_plan", "draft": wanted, "ahead": ahead}, act))


def _compute(unit: Unit, draft: ContractDraft | None, *, ahead: bool) -> tuple[StartQuote, SeatsUnderPlan]:
    quote = _quote(unit, draft, ahead=ahead)
    return quote, seats_under_plan(unit, quote.contract.pools)


def _quote(unit: Unit, draft: ContractDraft | None, *, ahead: bool) -> StartQuote:
    contract = unit.session.get_one(Contract, unit.org_id, populate_existing=True)
    if contract.billed_by == REMOTE:
        raise InvalidChangeError("the billing core of the organization decides which plan it has: begin it there")
    at = _follows_at(unit, contract) if ahead else unit.at
    if ahead and agreed_change(unit) is not None:
        raise InvalidChangeError(_AGREED_ALREADY)
    if not ahead:
        _refuse_while_it_goes_on(unit, contract, draft)
    plan = replace(draft, anchor=at) if draft is not None else _agreed_plan(unit, at)
    check_plan(plan)
    if plan.kind == EVALUATION or plan.billed_by != BUILTIN:
        raise InvalidInputError("kind", "another plan is a team, an enterprise, a contract, or licences, billed here")
    if plan.currency != contract.currency:
        _refuse_currency(unit, contract, plan.currency, ahead=ahead)
    quote = unit.billing.quote_start(plan)
    if plan.kind in LICENCE_NAMES:
        _refuse_month_twice(unit, contract, quote)
    return quote


def _follows_at(unit: Unit, contract: Contract) -> datetime:
    """Return when the present plan ends if another one is agreed to follow: its period's end, or the whole term's."""
    if contract.status != "active":
        raise PlanEndedError
    if contract.kind == FIXED_FEE:
        return unit.billing.fixed_fee().facts().term_end
    return contract.period_end


def _refuse_while_it_goes_on(unit: Unit, contract: Contract, draft: ContractDraft | None) -> None:
    if contract.status == "active" and contract.kind != EVALUATION:
        if draft is None:
            raise InvalidChangeError(
                f"the organization is in no evaluation: it has a {contract.kind.replace('_', ' ')} plan"
            )
        raise InvalidChangeError("the present plan goes on: let the new one follow when it ends")
    if draft is not None and agreed_change(unit) is not None:
        raise InvalidChangeError("a plan is agreed to follow the evaluation: convert to that one, or cancel it first")


def _refuse_currency(unit: Unit, contract: Contract, currency: str, *, ahead: bool) -> None:
    """Refuse a plan in another currency where invoices or a credit are, or may come until it begins."""
    if _has_books(unit, contract):
        problem = f"the books are kept in {contract.currency}: invoices and credit cannot change over"
        raise InvalidInputError("currency", problem)
    if ahead:
        kept = f"the present plan may bill and be given credit in {contract.currency} until it ends"
        raise InvalidInputError("currency", f"{kept}: begin a plan in {currency} when nothing is left of it")


def _refuse_month_twice(unit: Unit, contract: Contract, quote: StartQuote) -> None:
    """Refuse licences whose first month is one that is billed already, or will be by the present plan (rule W2).

    It takes two time zones: where it is March still when March has ended elsewhere.
    """
    billed = unit.session.scalar(select(func.max(LicenceHolder.month)).where(LicenceHolder.org_id == unit.org_id))
    if contract.kind in LICENCE_NAMES and contract.status == "active":
        billed = max(billed or "", _month_before(contract.period_end, contract.time_zone))
    zone = quote.contract.time_zone
    if billed is None or _month_before(quote.end, zone) > billed:
        return
    first = quote.end.astimezone(ZoneInfo(zone))
    words = f"licences of {_month_before(quote.end, zone)} are billed before, in another time zone"
    begin = f"in {zone} a plan of licences can begin from {first.day} {first:%b %Y, %H:%M} on"
    raise InvalidInputError("time_zone", f"{words}: {begin}; or keep {contract.time_zone}")


def _month_before(end: datetime, time_zone: str) -> str:
    """Name the calendar month of a zone that an instant ends, as "2026-03"."""
    return f"{(end - timedelta(seconds=1)).astimezone(ZoneInfo(time_zone)):%Y-%m}"


def _agreed_plan(unit: Unit, at: datetime) -> ContractDraft:
    agreed = agreed_change(unit, AgreedKind.SUCCESSOR)
    if agreed is None:
        raise InvalidChangeError("no plan is agreed to follow the evaluation: name one")
    return plan_of(agreed.terms, at)


def _has_books(unit: Unit, contract: Contract) -> bool:
    issued = unit.session.scalar(select(exists().where(Invoice.org_id == unit.org_id)))
    return bool(issued or contract.credit_balance)


def _recomputed(unit: Unit, preview: Preview) -> tuple[StartQuote, SeatsUnderPlan]:
    refuse_expired(unit, preview)
    terms, ahead = preview.request["draft"], preview.request["ahead"]
    try:
        quote, seats = _compute(unit, None if terms is None else plan_of(terms, unit.at), ahead=ahead)
    except (InvalidChangeError, PlanEndedError) as refusal:
        raise PreviewStaleError from refusal
    if _shown(unit, quote, seats) != preview.request["shown"]:
        raise PreviewStaleError
    return quote, seats


def _shown(unit: Unit, quote: StartQuote, seats: SeatsUnderPlan) -> dict[str, Any]:
    """Return everything that a confirmation promises to be still so, in JSON values; the moves as a digest."""
    bill, contract = quote.bill, unit.session.get_one(Contract, unit.org_id)
    moves = orjson.dumps([[str(one.member_id), one.from_tier, one.to_tier, one.waiting_for] for one in seats.moves])
    return {
        "plan": [contract.kind, contract.status, contract.period_end.isoformat()],
        "lines": [[line.tier, line.quantity, line.amount] for line in bill.lines] if bill else [],
        "total": bill.total if bill else 0,
        "amount_due": bill.amount_due if bill else 0,
        "moves": hashlib.sha256(moves).hexdigest(),
        "budgets": list(_budgets(unit)),
    }


def _do(unit: Unit, quote: StartQuote, *, ahead: bool) -> dict[str, Any]:
    """Begin the plan or agree it, and write it down."""
    plan = quote.contract
    if not ahead:
        waiting = agreed_change(unit)
        if waiting is not None:
            settle_agreed(unit, AgreedState.APPLIED)
        was = unit.session.get_one(Contract, unit.org_id)
        reason = "converted" if was.kind == EVALUATION and was.status == "active" else "begun"
        started = begin_plan(unit, plan, reason=reason, change=None if waiting is None else str(waiting.id))
        invoice = asdict(started.invoice) if started.invoice else None
        return {"kind": plan.kind, "effective_at": quote.start.isoformat(), "ahead": False, "invoice": invoice}
    terms = terms_of_plan(plan)
    change = agree(unit, AgreedKind.SUCCESSOR, terms, effective_at=plan.anchor)
    record(
        unit,
        "contract.change_agreed",
        subject_kind="contract",
        subject_id=unit.org_id,
        reason="successor",
        body={"change": str(change.id), "effective_at": plan.anchor.isoformat(), **terms},
    )
    return {"kind": plan.kind, "effective_at": plan.anchor.isoformat(), "ahead": True, "invoice": None}


def _as_preview(unit: Unit, preview: Preview, quote: StartQuote, seats: SeatsUnderPlan) -> NewPlanPreview:
    return NewPlanPreview(
        id=preview.id,
        at=preview.at,
        expires_at=preview.expires_at,
        quote=quote,
        seats=seats,
        ahead=preview.request["ahead"],
        budgets_dropped=_budgets(unit),
    )


def _budgets(unit: Unit) -> tuple[str, ...]:
    return tuple(budget.name for budget in read_budgets(unit))


def _confirmation(result: Mapping[str, Any]) -> NewPlanConfirmation:
    """Read an answer back, of now or of the first time."""
    invoice = result["invoice"]
    return NewPlanConfirmation(
        kind=result["kind"],
        effective_at=datetime.fromisoformat(result["effective_at"]),
        ahead=result["ahead"],
        invoice=InvoiceReference(**invoice) if invoice else None,
    )
