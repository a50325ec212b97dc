"""Amending a contract for a fixed fee: first shown with its cost, then confirmed, and charged as shown (rule U7)."""

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from bridge.domain.identifiers import new_id
from bridge.domain.roles import Permission
from bridge.errors import (
    AccountManagerOnlyError,
    InvalidChangeError,
    LowerFeeError,
    PreviewStaleError,
    ReductionNotAllowedError,
)
from bridge.ports import FeeChange, FeeFacts, FeeQuote, InvoiceReference
from bridge.store.agreed import agreed_change
from bridge.store.journal import record
from bridge.store.models import Contract, Preview
from bridge.store.unit import Unit
from bridge.usecases.alerts import queue_delivery
from bridge.usecases.charges import CostCheck
from bridge.usecases.idempotency import once
from bridge.usecases.previews import confirm_once, open_stored, refuse_expired, store_preview
from bridge.usecases.tier_review import settle_amended_tier, users_body

PREVIEW_KIND = "amendment"


@dataclass(frozen=True, slots=True)
class AmendmentDraft:
    """What is to change; None leaves as it is. ``annual_fee`` is minor units before the agreed discount.

    ``ahead``: it counts from the next term on, which is how a fee is lowered (rule U7), by the operator.
    """

    annual_fee: int | None = None
    tier: str | None = None
    paid_users: int | None = None
    ahead: bool = False


@dataclass(frozen=True, slots=True)
class AmendmentPreview:
    """What an amendment would do, good until ``expires_at`` (excluded) or until something changes (rule Q3)."""

    id: uuid.UUID
    at: datetime
    expires_at: datetime
    quote: FeeQuote


@dataclass(frozen=True, slots=True)
class AmendmentConfirmation:
    """What a confirmed amendment did; a repeat answers the same.

    ``invoice`` is None when nothing was charged; ``effective_at`` is when it counts from.
    """

    annual_fee: int
    tier: str
    paid_users: int
    effective_at: datetime
    invoice: InvoiceReference | None


def read_fee(unit: Unit) -> FeeFacts:
    """Return what a fixed-fee contract says, and where it stands.

    Raises:
        ForbiddenError: The actor may not see money (rule Z1).
        InvalidChangeError: The plan is of another kind.
    """
    unit.require(Permission.SEE_BILLING)
    return unit.billing.fixed_fee().facts()


def preview_amendment(unit: Unit, draft: AmendmentDraft, *, offered: bool = False) -> AmendmentPreview:
    """Show what an amendment would cost, with its formula.

    The proration instant is pinned: the confirmation charges from the same one (rule Q2).

    Args:
        unit: The unit.
        draft: What is to change.
        offered: The account manager sent it to the owners, terms and all.

    Raises:
        AccountManagerOnlyError: Another tier, or more paid users than the fee pays for, by who pays.
        ForbiddenError: The actor may not change the contract (rule Z1).
        InvalidChangeError: Nothing changes, a value is not possible, or the plan is of another kind.
        LowerFeeError: A lower fee, now or ahead, by somebody of the organization.
        ReductionNotAllowedError: A lower fee at once, during the term: agree it ahead.
        PlanEndedError: The plan has ended (rule R5).
    """
    unit.require(Permission.MANAGE_BILLING)
    unit.lock()
    if not offered:
        _refuse_own_terms(unit, draft)
    quote = _compute(unit, draft, unit.at)
    request = {"draft": asdict(draft), "offered": offered, "shown": _shown(unit, quote)}
    preview = store_preview(unit, PREVIEW_KIND, request)
    return AmendmentPreview(id=preview.id, at=preview.at, expires_at=preview.expires_at, quote=quote)


def open_amendment_preview(unit: Unit, preview_id: uuid.UUID) -> AmendmentPreview:
    """Return a preview that can still be confirmed, to show it again.

    Raises:
        ForbiddenError: The actor may not change the contract.
        NotFoundError: There is no such preview here.
        PreviewExpiredError: Its 15 minutes are over.
        PreviewStaleError: What it shows is no longer so, or it was confirmed.
    """
    preview = open_stored(unit, preview_id, PREVIEW_KIND)
    quote = _recomputed(unit, preview)
    return AmendmentPreview(id=preview.id, at=preview.at, expires_at=preview.expires_at, quote=quote)


def confirm_amendment(
    unit: Unit, preview_id: uuid.UUID, *, acknowledged: bool, key: str | None = None
) -> AmendmentConfirmation:
    """Do what a preview showed and charge exactly that.

    Args:
        unit: The unit.
        preview_id: The preview that was looked at.
        acknowledged: Whether its cost was explicitly accepted (rule Q1).
        key: The caller's key; a preview is confirmed once, with a key or without.

    Raises:
        ForbiddenError: The actor may not change the contract.
        AcknowledgementMissingError: The tick is missing.
        NotFoundError: There is no such preview here.
        PreviewExpiredError: Its 15 minutes are over.
        PreviewStaleError: The contract or the balance changed since: what it shows is no longer so.
        IdempotencyConflictError: The key was used before for something else (rule Q5).
    """

    def act(preview: Preview) -> dict[str, Any]:
        return _execute(unit, _recomputed(unit, preview), key=f"preview:{preview.id}")

    done = confirm_once(
        unit, preview_id, PREVIEW_KIND, acknowledged=acknowledged, key=key, do="confirm_amendment", act=act
    )
    return _confirmation(done)


def amend_contract(
    unit: Unit, draft: AmendmentDraft, key: str | None = None, *, check: CostCheck | None = None
) -> AmendmentConfirmation:
    """Amend the contract at once, for callers that saw the cost elsewhere or accept any: the operator, and rehearsals.

    Args:
        unit: The unit.
        draft: What is to change.
        key: The caller's key: a repeat charges nothing and answers the same.
        check: Is told the bill and its currency before anything is charged, and may refuse.

    Raises:
        IdempotencyConflictError: The key was used before with another content (rule Q5).
        ForbiddenError, InvalidChangeError, ReductionNotAllowedError, PlanEndedError: As :func:`preview_amendment`.
    """
    unit.require(Permission.MANAGE_BILLING)
    unit.lock()

    def amend() -> dict[str, Any]:
        quote = _compute(unit, draft, unit.at)
        if check is not None:
            check(quote.bill, quote.currency)
        return _execute(unit, quote, key=f"amendment:{key or new_id()}")

    return _confirmation(once(unit, key, {"do": "amend_contract", **asdict(draft)}, amend))


def _compute(unit: Unit, draft: AmendmentDraft, at: datetime) -> FeeQuote:
    if draft.ahead and agreed_change(unit) is not None:
        raise InvalidChangeError("another change is agreed already: cancel it first")
    change = FeeChange(draft.annual_fee, draft.tier, draft.paid_users, at=at, ahead=draft.ahead)
    try:
        return unit.billing.fixed_fee().quote(change)
    except ReductionNotAllowedError as refusal:
        zone = ZoneInfo(unit.organization().time_zone)
        raise ReductionNotAllowedError(term_end=refusal.term_end.astimezone(zone), what=refusal.what) from refusal


def _refuse_own_terms(unit: Unit, draft: AmendmentDraft) -> None:
    """Refuse what an owner may not preview, for an own wish or for an administrator's: who pays writes no price.

    The contract's price for paid users is its fee for each of them: more cost at least that. For a tier it has none.

    Source: rule U7.
    """
    if not unit.actor.is_customer:
        return
    facts = unit.billing.fixed_fee().facts()
    fee = facts.annual_fee if draft.annual_fee is None else draft.annual_fee
    if fee < facts.annual_fee:
        raise LowerFeeError
    if draft.tier not in (None, facts.tier):
        raise AccountManagerOnlyError(f"The contract has no price for the tier {draft.tier}")
    users = facts.paid_users if draft.paid_users is None else draft.paid_users
    if users > facts.paid_users and fee * facts.paid_users < facts.annual_fee * users:
        raise AccountManagerOnlyError("More paid users cost at least the present fee for each of them")


def _recomputed(unit: Unit, preview: Preview) -> FeeQuote:
    """Compute a preview again at its pinned instant; refuse it when the answer is another one by now (rules Q2, Q3)."""
    refuse_expired(unit, preview)
    shown = preview.request["shown"]
    if _standing(unit) != shown["standing"]:
        raise PreviewStaleError
    draft = AmendmentDraft(**preview.request["draft"])
    if not preview.request.get("offered"):
        _refuse_own_terms(unit, draft)
    quote = _compute(unit, draft, preview.at)
    if _shown(unit, quote) != shown:
        raise PreviewStaleError
    return quote


def _standing(unit: Unit) -> list[Any]:
    """Return what is agreed before the amendment, and the period, in JSON values."""
    contract = unit.session.get_one(Contract, unit.org_id, populate_existing=True)
    facts = unit.billing.fixed_fee().facts()
    ahead = agreed_change(unit)
    agreed = [facts.annual_fee, facts.tier, facts.paid_users, None if ahead is None else str(ahead.id)]
    return [contract.period_start.isoformat(), contract.status, contract.auto_renew, *agreed]


def _shown(unit: Unit, quote: FeeQuote) -> dict[str, Any]:
    """Return everything that a confirmation promises to be still so, in JSON values."""
    bill = quote.bill
    return {
        "standing": _standing(unit),
        "agreed": [quote.annual_fee, quote.tier, quote.paid_users, quote.effective_at.isoformat()],
        "lines": [[line.kind, line.tier, line.quantity, line.amount] for line in bill.lines] if bill else [],
        "total": bill.total if bill else 0,
        "amount_due": bill.amount_due if bill else 0,
    }


def _execute(unit: Unit, quote: FeeQuote, *, key: str) -> dict[str, Any]:
    """Charge a quote, write the contract, settle the review of the tier, and write all of it down."""
    before = unit.billing.fixed_fee().facts()
    invoice = unit.billing.fixed_fee().execute(quote, key=key)
    ahead = quote.change.ahead
    record(
        unit,
        "contract.change_agreed" if ahead else "contract.amended",
        subject_kind="contract",
        subject_id=unit.org_id,
        reason="amendment",
        body={
            "effective_at": quote.effective_at.isoformat(),
            "from": [before.annual_fee, before.tier, before.paid_users],
            "to": [quote.annual_fee, quote.tier, quote.paid_users],
            "invoice": invoice.id if invoice else None,
            "total": invoice.total if invoice else 0,
            **users_body(unit),
        },
    )
    if invoice is not None:
        queue_delivery(unit, "invoice_mail", key=f"invoice:{invoice.id}", subject_id=invoice.id)
    if not ahead:
        settle_amended_tier(unit)
    return {
        "effective_at": quote.effective_at.isoformat(),
        "annual_fee": quote.annual_fee,
        "tier": quote.tier,
        "paid_users": quote.paid_users,
        "invoice": asdict(invoice) if invoice else None,
    }


def _confirmation(result: Mapping[str, Any]) -> AmendmentConfirmation:
    """Read an answer back, of now or of the first time."""
    invoice = result["invoice"]
    return AmendmentConfirmation(
        annual_fee=result["annual_fee"],
        tier=result["tier"],
        paid_users=result["paid_users"],
        effective_at=datetime.fromisoformat(result["effective_at"]),
        invoice=InvoiceReference(**invoice) if invoice else None,
    )
