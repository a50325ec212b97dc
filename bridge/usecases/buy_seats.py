"""Buying and shedding seats: first shown with its cost, then confirmed, and charged as it was shown."""

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from bridge.core.quotes import kept, restored, seat_quote
from bridge.domain.identifiers import MemberId, new_id
from bridge.domain.roles import Permission
from bridge.errors import InvalidChangeError, PreviewStaleError, ReductionNotAllowedError
from bridge.ports import InvoiceReference, OrderReference, SeatChange, SeatQuote
from bridge.store.directory import mapping_set_in_force
from bridge.store.models import Contract, Preview, SeatPool
from bridge.store.pools import ladder_of, read_pools
from bridge.store.unit import Unit
from bridge.usecases.assign_seats import promote_waiting
from bridge.usecases.billing_orders import place_order
from bridge.usecases.charges import CostCheck, execute_change
from bridge.usecases.idempotency import is_known, once
from bridge.usecases.previews import confirm_once, open_stored, refuse_expired, store_preview, stored_preview
from bridge.usecases.waiting_people import waiting_people
from mappings.people import Pool
from mappings.preview import moves_under_pool

PREVIEW_KIND = "seats"
#: More than anybody buys at once, and far from what a column holds.
MAX_SEATS = 1_000_000


@dataclass(frozen=True, slots=True)
class Promotion:
    """Somebody in line who gets one of the new seats, or a seat that thereby becomes free."""

    member_id: MemberId
    from_tier: str | None
    to_tier: str


@dataclass(frozen=True, slots=True)
class SeatsPreview:
    """What a change of seats would do, good until ``expires_at`` (excluded) or until something changes (rule Q3).

    ``quote`` has the invoice with its formulas and the renewal before and after; ``promotions`` stand in the order of
    the line.
    """

    id: uuid.UUID
    at: datetime
    expires_at: datetime
    quote: SeatQuote
    promotions: tuple[Promotion, ...]


@dataclass(frozen=True, slots=True)
class SeatsConfirmation:
    """What a confirmed change did; a repeat answers the same.

    ``invoice`` is None when nothing was charged; ``promoted`` got a seat from the line, in its order. Where a core of
    the organization's own bills, there is an ``order`` instead: seats, invoice and promotions come when it has
    confirmed.
    """

    changes: Mapping[str, int]
    invoice: InvoiceReference | None
    promoted: tuple[MemberId, ...]
    order: OrderReference | None = None


def preview_seats(unit: Unit, changes: Mapping[str, int]) -> SeatsPreview:
    """Show what adding (plus) or shedding (minus) seats by tier would cost and whom it would serve.

    The proration instant is pinned: the confirmation charges from the same one (rule Q2).

    Raises:
        ForbiddenError: The actor may not buy seats (rule Z1).
        InvalidChangeError: Empty change, unknown tier, or below zero.
        SeatsInUseError: Seats to shed are assigned (rule D3).
        BelowMinimumError: Under the plan's minimum (rule D6).
        ReductionNotAllowedError: Enterprise, during the term (rule D7).
        PlanEndedError: The plan has ended (rule R5).
        OrderOpenError, BillingCoreUnreachableError, BillingCoreRefusedError: As
            :meth:`bridge.ports.BillingCore.prepare`.
    """
    unit.require(Permission.MANAGE_BILLING)
    unit.billing.prepare(SeatChange(_wanted(changes), at=unit.at))
    unit.lock()
    quote, promotions = _compute(unit, changes, unit.at)
    pinned = quote.pinned
    preview = store_preview(
        unit,
        PREVIEW_KIND,
        {
            "changes": dict(quote.change.changes),
            "shown": _shown(unit, quote, promotions),
            "pinned": kept(pinned),
        },
        at=quote.change.at,
        pinned=pinned,
    )
    return _as_preview(preview, quote, promotions)


def possible_change(unit: Unit, changes: Mapping[str, int]) -> dict[str, int]:
    """Return a change of seats that could be bought, for somebody who may not buy it and asks the owners.

    Raises:
        ForbiddenError: The actor may not assign seats (rule Z2).
        InvalidChangeError, SeatsInUseError, BelowMinimumError, ReductionNotAllowedError, PlanEndedError,
            OrderOpenError, BillingCoreUnreachableError, BillingCoreRefusedError: As :func:`preview_seats`.
    """
    unit.require(Permission.ASSIGN_SEATS)
    unit.billing.prepare(SeatChange(_wanted(changes), at=unit.at))
    unit.lock()
    return dict(_compute(unit, changes, unit.at)[0].change.changes)


def open_seats_preview(unit: Unit, preview_id: uuid.UUID) -> SeatsPreview:
    """Return a preview that can still be confirmed, to show it again.

    Raises:
        ForbiddenError: The actor may not buy seats.
        NotFoundError: There is no such preview of seats here.
        PreviewExpiredError: Its 15 minutes are over.
        PreviewStaleError: What it shows is no longer so, or it was confirmed.
    """
    preview = open_stored(unit, preview_id, PREVIEW_KIND)
    quote, promotions = _recomputed(unit, preview)
    return _as_preview(preview, quote, promotions)


def confirmed_seats(unit: Unit, preview_id: uuid.UUID) -> SeatsConfirmation | None:
    """Return what a preview did that was confirmed; None while it was not.

    Raises:
        ForbiddenError: The actor may not buy seats.
        NotFoundError: There is no such preview of seats here.
    """
    unit.require(Permission.MANAGE_BILLING)
    result = stored_preview(unit, preview_id, PREVIEW_KIND).result
    return None if result is None else _confirmation(result)


def confirm_seats(
    unit: Unit, preview_id: uuid.UUID, *, acknowledged: bool, key: str | None = None
) -> SeatsConfirmation:
    """Do what a preview showed and charge exactly that; then serve who waits.

    Args:
        unit: The unit.
        preview_id: The preview that was looked at.
        acknowledged: Whether its cost was explicitly accepted (rule Q1).
        key: The caller's key; a preview is confirmed once, with a key or without.

    Raises:
        ForbiddenError: The actor may not buy seats.
        AcknowledgementMissingError: The tick is missing.
        NotFoundError: There is no such preview of seats here.
        PreviewExpiredError: Its 15 minutes are over.
        PreviewStaleError: Seats, people in line, prices or the balance changed since: what it shows is no longer so.
        PaymentFailedError: The payment was declined; the unit must roll back (rule Q4).
        IdempotencyConflictError: The key was used before for something else (rule Q5).
    """

    def act(preview: Preview) -> dict[str, Any]:
        quote, _ = _recomputed(unit, preview)
        return _execute(unit, quote, key=f"preview:{preview.id}")

    done = confirm_once(unit, preview_id, PREVIEW_KIND, acknowledged=acknowledged, key=key, do="confirm_seats", act=act)
    return _confirmation(done)


def change_seats(
    unit: Unit, changes: Mapping[str, int], key: str | None = None, *, check: CostCheck | None = None
) -> SeatsConfirmation:
    """Change the seats at once, for callers that saw the cost elsewhere or accept any.

    Args:
        unit: The unit.
        changes: Plus or minus seats by tier.
        key: The caller's key: a repeat charges nothing and answers the same.
        check: Is told the bill and its currency before anything is charged, and may refuse.

    Raises:
        IdempotencyConflictError: The key was used before with another content (rule Q5).
        PaymentFailedError: The payment was declined; the unit must roll back (rule Q4).
        ForbiddenError, InvalidChangeError, SeatsInUseError, BelowMinimumError, ReductionNotAllowedError,
            PlanEndedError: As :func:`preview_seats`.
    """
    unit.require(Permission.MANAGE_BILLING)
    wanted = _wanted(changes)
    if not is_known(unit, key):
        unit.billing.prepare(SeatChange(wanted, at=unit.at))
    unit.lock()

    def change() -> dict[str, Any]:
        quote, _ = _compute(unit, wanted, unit.at)
        if check is not None:
            check(quote.bill, quote.currency)
        return _execute(unit, quote, key=f"change:{key or new_id()}")

    return _confirmation(once(unit, key, {"do": "change_seats", "changes": wanted}, change))


def _compute(unit: Unit, changes: Mapping[str, int], at: datetime) -> tuple[SeatQuote, tuple[Promotion, ...]]:
    """Quote a change as of an instant of the present period, with what it does for people in line."""
    change, promotions = _change_now(unit, changes, at)
    try:
        return unit.billing.quote(change), promotions
    except ReductionNotAllowedError as refusal:
        zone = ZoneInfo(unit.organization().time_zone)
        raise ReductionNotAllowedError(term_end=refusal.term_end.astimezone(zone)) from refusal


def _wanted(changes: Mapping[str, int]) -> dict[str, int]:
    wanted = {tier: number for tier, number in sorted(changes.items()) if number}
    if any(abs(number) > MAX_SEATS for number in wanted.values()):
        raise InvalidChangeError(f"at most {MAX_SEATS:,} seats change at once")
    return wanted


def _change_now(unit: Unit, changes: Mapping[str, int], at: datetime) -> tuple[SeatChange, tuple[Promotion, ...]]:
    """Return a change with what it does for people in line."""
    wanted = _wanted(changes)
    promotions = _promotions(unit, wanted, read_pools(unit))
    placed: dict[str, int] = {}
    for promotion in promotions:
        placed[promotion.to_tier] = placed.get(promotion.to_tier, 0) + 1
        if promotion.from_tier is not None:
            placed[promotion.from_tier] = placed.get(promotion.from_tier, 0) - 1
    return SeatChange(wanted, at=at, placed=placed), promotions


def _promotions(unit: Unit, wanted: Mapping[str, int], pools: list[SeatPool]) -> tuple[Promotion, ...]:
    """Return who in line would get a seat; every added seat is assignable at once, bought or taken back (rule D4)."""
    ladder = ladder_of(pools)
    added = {tier: number for tier, number in wanted.items() if number > 0 and tier in ladder}
    people = waiting_people(unit) if added else []
    if not people:
        return ()
    moves = moves_under_pool(
        people,
        mapping_set_in_force(unit, ladder),
        ladder,
        {pool.tier: Pool(seats=pool.total, used=pool.used) for pool in pools},
        added,
    ).moves
    return tuple(
        Promotion(member_id=MemberId(uuid.UUID(str(move.member_id))), from_tier=move.from_tier, to_tier=move.to_tier)
        for move in moves
        if move.to_tier is not None
    )


def _recomputed(unit: Unit, preview: Preview) -> tuple[SeatQuote, tuple[Promotion, ...]]:
    """Compute a preview again at its pinned instant; refuse it when the answer is another one by now (rules Q2, Q3).

    What another core quoted is taken as it was pinned: that core decides whether it still holds.
    """
    refuse_expired(unit, preview)
    contract = unit.session.get_one(Contract, unit.org_id, populate_existing=True)
    if contract.period_start.isoformat() != preview.request["shown"]["period"]:
        raise PreviewStaleError
    document = preview.request["pinned"]
    if document is None:
        quote, promotions = _compute(unit, preview.request["changes"], preview.at)
    else:
        change, promotions = _change_now(unit, preview.request["changes"], preview.at)
        quote = seat_quote(change, restored(document))
    if _shown(unit, quote, promotions) != preview.request["shown"]:
        raise PreviewStaleError
    return quote, promotions


def _shown(unit: Unit, quote: SeatQuote, promotions: tuple[Promotion, ...]) -> dict[str, Any]:
    """Return everything that a confirmation promises to be still so, in JSON values."""
    bill = quote.bill
    contract = unit.session.get_one(Contract, unit.org_id)
    return {
        "period": contract.period_start.isoformat(),
        "pools": {pool.tier: [pool.paid, pool.total, pool.used] for pool in read_pools(unit)},
        "seats": {tier: [count.paid, count.next] for tier, count in quote.seats.items()},
        "lines": [[line.kind, line.tier, line.quantity, line.amount] for line in bill.lines] if bill else [],
        "total": bill.total if bill else 0,
        "amount_due": bill.amount_due if bill else 0,
        "renewal": [quote.renewal_before, quote.renewal_after],
        "promotions": [[str(one.member_id), one.from_tier, one.to_tier] for one in promotions],
    }


def _execute(unit: Unit, quote: SeatQuote, *, key: str) -> dict[str, Any]:
    if quote.pinned is not None:
        order = place_order(unit, quote, key=key)
        return {"changes": dict(quote.change.changes), "invoice": None, "promoted": [], "order": asdict(order)}
    invoice = execute_change(unit, quote, key=key)
    promoted = promote_waiting(unit, [tier for tier, number in quote.change.changes.items() if number > 0])
    return {
        "changes": dict(quote.change.changes),
        "invoice": asdict(invoice) if invoice else None,
        "promoted": [str(member_id) for member_id in promoted],
    }


def _as_preview(preview: Preview, quote: SeatQuote, promotions: tuple[Promotion, ...]) -> SeatsPreview:
    return SeatsPreview(id=preview.id, at=preview.at, expires_at=preview.expires_at, quote=quote, promotions=promotions)


def _confirmation(result: Mapping[str, Any]) -> SeatsConfirmation:
    """Read an answer back, of now or of the first time."""
    invoice = result["invoice"]
    return SeatsConfirmation(
        changes=result["changes"],
        invoice=InvoiceReference(**invoice) if invoice else None,
        promoted=tuple(MemberId(uuid.UUID(member_id)) for member_id in result["promoted"]),
        order=OrderReference(**result["order"]) if result.get("order") else None,
    )
