"""Changing the plan: shown with what it will cost, agreed, and in force from the next period on (rule B1).

For the operator: prices are agreed with the account manager, so no page and no API of a customer offers it.
"""

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from bridge.domain.roles import Permission
from bridge.errors import InvalidChangeError, InvalidInputError, PreviewStaleError
from bridge.ports import PlanChange, PlanQuote
from bridge.store.agreed import AgreedKind, agree, agreed_change
from bridge.store.journal import record
from bridge.store.models import Preview
from bridge.store.unit import Unit
from bridge.usecases.budgets import read_budgets
from bridge.usecases.idempotency import once
from bridge.usecases.organizations import MAX_PRICE
from bridge.usecases.previews import confirm_once, store_preview

PREVIEW_KIND = "plan"


@dataclass(frozen=True, slots=True)
class PlanDraft:
    """The plan that is to count from the next period on.

    Attributes:
        kind: ``team`` or ``enterprise``.
        cycle: ``month`` or ``year``; an enterprise contract is annual.
        prices: Minor units for one seat and period of the new plan; a tier that is missing keeps its next price.
        seats: Seats it begins with; a tier that is missing keeps what this period leaves.
    """

    kind: str
    cycle: str
    prices: Mapping[str, int] = field(default_factory=dict)
    seats: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlanPreview:
    """What a change of the plan would do, good until ``expires_at`` (excluded) or until something changes (rule Q3).

    ``budgets_dropped`` names the budgets there are now: every budget ends with the plan that it was set for.
    """

    id: uuid.UUID
    at: datetime
    expires_at: datetime
    quote: PlanQuote
    budgets_dropped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlanConfirmation:
    """What was agreed; a repeat answers the same."""

    change_id: uuid.UUID
    kind: str
    cycle: str
    effective_at: datetime


def preview_plan_change(unit: Unit, draft: PlanDraft) -> PlanPreview:
    """Show what another plan would cost at the renewal, beside what the present one would.

    Raises:
        ForbiddenError: The actor may not change the plan (rule Z1).
        InvalidChangeError: Nothing changes, the plan is not sold by seats, it does not go on, or another change waits.
        InvalidInputError: Terms that make no contract.
        PlanEndedError: The plan has ended (rule R5).
    """
    unit.require(Permission.MANAGE_BILLING)
    unit.lock()
    quote = _compute(unit, draft)
    preview = store_preview(unit, PREVIEW_KIND, {"draft": asdict(draft), "shown": _shown(unit, quote)})
    return PlanPreview(preview.id, preview.at, preview.expires_at, quote, _budgets(unit))


def possible_plan(unit: Unit, draft: PlanDraft) -> dict[str, Any]:
    """Return a change of the plan that could be agreed, in JSON values, for asking the owners to agree to it.

    Raises:
        ForbiddenError: The actor may not change the plan (rule Z1).
        InvalidChangeError, InvalidInputError, PlanEndedError: As :func:`preview_plan_change`.
    """
    unit.require(Permission.MANAGE_BILLING)
    unit.lock()
    _compute(unit, draft)
    return asdict(draft)


def confirm_plan_change(
    unit: Unit, preview_id: uuid.UUID, *, acknowledged: bool, key: str | None = None
) -> PlanConfirmation:
    """Agree what a preview showed; nothing is charged before the next period.

    Raises:
        ForbiddenError: The actor may not change the plan.
        AcknowledgementMissingError: The tick is missing.
        NotFoundError: There is no such preview here.
        PreviewExpiredError: Its 15 minutes are over.
        PreviewStaleError: What it shows is no longer so.
        IdempotencyConflictError: The key was used before for something else (rule Q5).
    """

    def act(preview: Preview) -> dict[str, Any]:
        if agreed_change(unit) is not None:
            raise PreviewStaleError
        draft = PlanDraft(**preview.request["draft"])
        quote = _compute(unit, draft)
        if _shown(unit, quote) != preview.request["shown"]:
            raise PreviewStaleError
        return _agree(unit, quote, draft)

    done = confirm_once(
        unit, preview_id, PREVIEW_KIND, acknowledged=acknowledged, key=key, do="confirm_plan_change", act=act
    )
    return _confirmation(done)


def agree_plan_change(unit: Unit, draft: PlanDraft, key: str | None = None) -> PlanConfirmation:
    """Agree at once, for callers that saw the cost elsewhere or accept any.

    Raises:
        IdempotencyConflictError: The key was used before with another content (rule Q5).
        ForbiddenError, InvalidChangeError, InvalidInputError, PlanEndedError: As :func:`preview_plan_change`.
    """
    unit.require(Permission.MANAGE_BILLING)
    unit.lock()

    def act() -> dict[str, Any]:
        return _agree(unit, _compute(unit, draft), draft)

    return _confirmation(once(unit, key, {"do": "change_plan", **asdict(draft)}, act))


def _compute(unit: Unit, draft: PlanDraft) -> PlanQuote:
    if agreed_change(unit) is not None:
        raise InvalidChangeError("another change is agreed already: cancel it first")
    for tier, price in draft.prices.items():
        if price > MAX_PRICE:
            raise InvalidInputError(f"prices.{tier}", f"a price above {MAX_PRICE:,} minor units is a slip")
    return unit.billing.quote_plan(PlanChange(draft.kind, draft.cycle, dict(draft.prices), dict(draft.seats)))


def _shown(unit: Unit, quote: PlanQuote) -> dict[str, Any]:
    """Return everything that a confirmation promises to be still so, in JSON values."""

    def bill(of: Any) -> list[Any] | None:
        return None if of is None else [[line.tier, line.quantity, line.amount] for line in of.lines] + [of.total]

    return {
        "effective_at": quote.effective_at.isoformat(),
        "terms": [quote.change.kind, quote.change.cycle, dict(quote.change.prices), dict(quote.change.seats)],
        "before": bill(quote.before),
        "after": bill(quote.after),
        "budgets": list(_budgets(unit)),
    }


def _budgets(unit: Unit) -> tuple[str, ...]:
    return tuple(budget.name for budget in read_budgets(unit))


def _agree(unit: Unit, quote: PlanQuote, draft: PlanDraft) -> dict[str, Any]:
    # Only what was named: every other tier keeps the price and the seats that this period leaves.
    terms = asdict(draft)
    change = agree(unit, AgreedKind.PLAN, terms, effective_at=quote.effective_at)
    record(
        unit,
        "contract.change_agreed",
        subject_kind="contract",
        subject_id=unit.org_id,
        reason="plan_change",
        body={"change": str(change.id), "effective_at": quote.effective_at.isoformat(), **terms},
    )
    return {
        "change_id": str(change.id),
        "kind": quote.change.kind,
        "cycle": quote.change.cycle,
        "effective_at": quote.effective_at.isoformat(),
    }


def _confirmation(result: Mapping[str, Any]) -> PlanConfirmation:
    """Read an answer back, of now or of the first time."""
    return PlanConfirmation(
        change_id=uuid.UUID(result["change_id"]),
        kind=result["kind"],
        cycle=result["cycle"],
        effective_at=datetime.fromisoformat(result["effective_at"]),
    )
