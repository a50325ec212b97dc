"""Orders of seats at a billing core of the organization's own: written with the confirmation, settled by its answer."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select, update

from bridge.core import CoreOrder, OrderRequest, OrderState
from bridge.core.documents import order_document, read_order_request, read_quote
from bridge.domain.identifiers import MemberId, new_id
from bridge.domain.roles import Permission
from bridge.errors import (
    BillingCoreAnswerError,
    NotFoundError,
    OrderClosedError,
    OrderOpenError,
    PreviewStaleError,
    SeatsInUseError,
)
from bridge.ports import OrderReference, SeatQuote
from bridge.store.journal import causing_request, record
from bridge.store.models import BillingOrder, Member, SeatPool
from bridge.store.pools import read_pools
from bridge.store.queue import wake_workers
from bridge.store.unit import Unit
from bridge.usecases.alerts import raise_alert, resolve_alerts
from bridge.usecases.assign_seats import place_member, promote_waiting
from bridge.usecases.attempts import claim, postpone, revive
from bridge.usecases.core_pictures import is_news, tell_of_another_charge, tell_of_other_seats, unfit
from bridge.usecases.mirror_core import (
    ANSWER_INVALID,
    OPEN_STATES,
    mirror_invoice,
    mirror_subscription,
    open_order,
    order_id_of,
    order_key,
    write_pools,
)

ORDERS_SHOWN = 50
#: What the core was asked when it answered so, by how an order is known.
_VERBS: Final = {"order": "confirm", "cancelled": "cancel", "event": "events"}


@dataclass(frozen=True, slots=True)
class OrderClaim:
    """An order that this worker brings to the core now; ``repeated`` when it may have arrived there before.

    ``request_id`` is the request that ordered.
    """

    order_id: uuid.UUID
    attempt: int
    request: OrderRequest
    repeated: bool
    request_id: str | None


def place_order(
    unit: Unit, quote: SeatQuote, *, key: str, member_id: MemberId | None = None, tier: str | None = None
) -> OrderReference:
    """Write the order of a confirmed quote; from here on it is delivered, whatever happens to this process.

    Seats to shed cannot be assigned from now on (rule D3).

    Args:
        unit: The unit; its organization is locked here.
        quote: What was shown and confirmed, with what the core pinned.
        key: The business fact; a repeat orders nothing and answers the same.
        member_id: Whom a one-seat purchase is for: they get it before anybody in line.
        tier: The tier that this member gets.

    Raises:
        OrderOpenError: Another order of the organization is not settled yet.
        PreviewStaleError: The core's quote has expired.
        SeatsInUseError: Seats to shed are assigned.
    """
    unit.require(Permission.MANAGE_BILLING)
    unit.lock()
    known = unit.session.scalars(
        select(BillingOrder).where(BillingOrder.org_id == unit.org_id, BillingOrder.key == key)
    ).one_or_none()
    if known is not None:
        return OrderReference(str(known.id), known.state)
    refuse_second_order(unit)
    pinned = quote.pinned
    if pinned is None or unit.at >= pinned.expires_at:
        raise PreviewStaleError
    held_back = _hold_back(unit, quote.change.changes)
    order_id = new_id()
    request = OrderRequest(
        key=order_key(order_id),
        quote_id=read_quote(pinned.document).id,
        changes=quote.change.changes,
        upgrade_from=quote.change.upgrade_from,
        total=quote.bill.total if quote.bill else 0,
        currency=quote.currency,
        confirmed_at=unit.at,
    )
    unit.session.add(
        BillingOrder(
            org_id=unit.org_id,
            id=order_id,
            key=key,
            body=order_document(request),
            quote={**pinned.document, "digits": pinned.digits},
            held_back=held_back,
            member_id=member_id,
            tier=tier,
            state="pending",
            attempts=0,
            created_at=unit.at,
            created_by=str(unit.actor),
            next_attempt_at=unit.at,
            closed_at=None,
            last_error=None,
            invoice_id=None,
        )
    )
    unit.session.flush()
    _note(unit, "seats.ordered", order_id, "seat_change", changes=dict(request.changes), total=request.total)
    wake_workers(unit.session)
    return OrderReference(str(order_id), "pending")


def refuse_second_order(unit: Unit) -> None:
    """Refuse a purchase while another one is on its way: its quote would be made against seats about to change.

    Raises:
        OrderOpenError: Naming the order.
    """
    order = open_order(unit)
    if order is not None:
        raise OrderOpenError(order.id, order.state)


def refuse_seats_in_use(unit: Unit, changes: Mapping[str, int]) -> None:
    """Refuse to shed seats that are assigned.

    Raises:
        SeatsInUseError: Naming the tier and both numbers (rule D3).
    """
    for pool in read_pools(unit):
        left = pool.total + min(changes.get(pool.tier, 0), 0)
        if left < pool.total and pool.used > left:
            raise SeatsInUseError(tier=pool.tier, used=pool.used, requested=max(left, 0))


def _hold_back(unit: Unit, changes: Mapping[str, int]) -> dict[str, int]:
    """Take seats to shed out of what can be assigned; the row count decides, as for every seat."""
    refuse_seats_in_use(unit, changes)
    held = {tier: -number for tier, number in changes.items() if number < 0}
    for tier, number in held.items():
        taken = unit.session.execute(
            update(SeatPool)
            .where(SeatPool.org_id == unit.org_id, SeatPool.tier == tier, SeatPool.used <= SeatPool.total - number)
            .values(total=SeatPool.total - number)
            .returning(SeatPool.tier)
            .execution_options(synchronize_session=False)
        )
        if taken.first() is None:
            raise PreviewStaleError
    return held


def claim_order(unit: Unit, order_id: uuid.UUID) -> OrderClaim | None:
    """Claim a due order for a lease; None when another worker has it or it is settled."""
    attempt = claim(unit, BillingOrder, order_id)
    if attempt is None:
        return None
    order = unit.session.get_one(BillingOrder, (unit.org_id, order_id), populate_existing=True)
    return OrderClaim(
        order_id=order_id,
        attempt=attempt,
        request=read_order_request(order.body),
        repeated=attempt > 1 or order.last_error is not None,
        request_id=causing_request(unit, str(order_id), at=order.created_at),
    )


def postpone_order(unit: Unit, claimed: OrderClaim, error_code: str) -> None:
    """Try again later; after the last attempt the order is given up, visibly, until somebody retries or cancels it."""
    if postpone(unit, BillingOrder, claimed.order_id, claimed.attempt, error_code):
        _note(unit, "order.given_up", claimed.order_id, error_code, attempts=claimed.attempt)
        raise_alert(unit, "order_given_up")


def settle_order(unit: Unit, found: CoreOrder, *, reason: str) -> BillingOrder | None:
    """Do what the core's answer says, in one transaction and once, however often and by whom it is brought.

    Placed: the pools become the core's, its invoice is mirrored, the person whom the seat is for and who waits get
    theirs. Declined or cancelled: nothing has changed, and what was held back can be assigned again.

    Args:
        unit: The unit; its organization is locked here.
        found: The order as the core knows it.
        reason: How it is known: ``order``, ``event``, ``reconciled`` or ``cancelled``.

    Returns:
        The order; None for one that is not ours, or is still reserved.

    Raises:
        BillingCoreAnswerError: It is placed with a picture that cannot be the plan's; nothing is settled.
    """
    unit.lock()
    order = _by_core_key(unit, found.key)
    if order is None or found.state is OrderState.RESERVED:
        return None
    if order.state not in OPEN_STATES:
        return order
    if found.state is OrderState.PLACED:
        _refuse_unfit(unit, found, reason)
    order.state, order.closed_at = str(found.state), unit.at
    if found.state is OrderState.PLACED:
        _settle_placed(unit, order, found, reason)
    else:
        order.last_error = found.reason
        action = "order.declined" if found.state is OrderState.DECLINED else "order.cancelled"
        _note(unit, action, order.id, found.reason or reason)
        promote_waiting(unit, write_pools(unit))
        if found.state is OrderState.DECLINED:
            raise_alert(unit, "order_declined", detail=_declined_sentence(found.reason))
    resolve_alerts(unit, "order_given_up")
    resolve_alerts(unit, ANSWER_INVALID)
    unit.session.flush()
    return order


def _settle_placed(unit: Unit, order: BillingOrder, found: CoreOrder, reason: str) -> None:
    order.last_error = None
    if found.invoice is not None:
        mirrored = mirror_invoice(unit, found.invoice, reason=reason)
        order.invoice_id = None if mirrored is None else mirrored.id
        tell_of_another_charge(unit, order, found.invoice.bill)
    if found.subscription is not None:
        mirror_subscription(unit, found.subscription, reason=reason)
        tell_of_other_seats(unit, order)
    _note(
        unit,
        "seats.changed",
        order.id,
        "seat_change",
        changes=order.body["changes"],
        **_seats_of(found),
        invoice=str(order.invoice_id) if order.invoice_id else None,
        total=order.body["total"],
    )
    grown = write_pools(unit)
    if order.member_id is not None and order.tier is not None:
        grown += _place_buyer(unit, order.member_id, order.tier)
    promote_waiting(unit, grown)
    resolve_alerts(unit, "order_declined")


def _refuse_unfit(unit: Unit, found: CoreOrder, reason: str) -> None:
    """Refuse an answer whose picture cannot be the plan's: the order stays open, for it would bring no seats."""
    if found.subscription is None or not is_news(unit, found.subscription):
        return
    problem = unfit(unit, found.subscription)
    if problem is not None:
        raise BillingCoreAnswerError("of this organization", _VERBS.get(reason, "order_by_key"), problem)


def _seats_of(found: CoreOrder) -> dict[str, Any]:
    """Return the seats that the core says there are now, as the journal keeps them."""
    if found.subscription is None:
        return {}
    return {"seats": {key: [tier.paid, tier.next] for key, tier in found.subscription.tiers.items()}}


def _place_buyer(unit: Unit, member_id: uuid.UUID, tier: str) -> list[str]:
    """Give the new seat to whom it was bought for, if they are still here and wait for one; return tiers that grew."""
    member = unit.session.get(Member, (unit.org_id, member_id), populate_existing=True)
    free = any(pool.tier == tier and pool.used < pool.total for pool in read_pools(unit))
    if member is None or not member.active or not free:
        return []
    freed = place_member(unit, member, tier, buy_if_needed=False, key=None)
    # The seat that an exchange takes off the plan is free only now (rule P7).
    return [*write_pools(unit), *([freed] if freed else [])]


def cancel_unsent(unit: Unit, order_id: uuid.UUID) -> bool:
    """Cancel an order that no worker has ever tried to bring; return whether it was such a one."""
    unit.require(Permission.MANAGE_BILLING)
    unit.lock()
    order = read_order(unit, order_id)
    untouched = unit.session.execute(
        update(BillingOrder)
        .where(
            BillingOrder.org_id == unit.org_id,
            BillingOrder.id == order_id,
            BillingOrder.state == "pending",
            BillingOrder.attempts == 0,
            BillingOrder.last_error.is_(None),
        )
        .values(attempts=1)
        .returning(BillingOrder.id)
        .execution_options(synchronize_session=False)
    ).first()
    if untouched is None:
        return False
    settle_order(unit, CoreOrder(key=order_key(order.id), state=OrderState.CANCELLED), reason="cancelled")
    return True


def refuse_settled(order: BillingOrder) -> None:
    """Refuse to touch an order that is settled.

    Raises:
        OrderClosedError: It is.
    """
    if order.state not in OPEN_STATES:
        raise OrderClosedError(order.id, order.state)


def retry_order(unit: Unit, order_id: uuid.UUID) -> BillingOrder:
    """Put an order that was given up back in line; one that waits for its next attempt comes at once.

    Raises:
        ForbiddenError: The actor may not buy.
        NotFoundError: There is no such order here.
        OrderClosedError: It is settled.
    """
    unit.require(Permission.MANAGE_BILLING)
    unit.lock()
    order = read_order(unit, order_id)
    refuse_settled(order)
    if not revive(unit, BillingOrder, order_id):
        # Left alone while a first attempt may still be under way: its lease tells nothing apart from a pause.
        if order.last_error is not None:
            order.next_attempt_at = unit.at
        wake_workers(unit.session)
    _note(unit, "order.retried", order_id, "operator")
    unit.session.flush()
    return read_order(unit, order_id)


def read_order(unit: Unit, order_id: uuid.UUID) -> BillingOrder:
    """Return an order.

    Raises:
        NotFoundError: There is no such order here.
    """
    order = unit.session.get(BillingOrder, (unit.org_id, order_id), populate_existing=True)
    if order is None:
        raise NotFoundError("order", str(order_id))
    return order


def list_orders(unit: Unit, *, only_open: bool = False, limit: int = ORDERS_SHOWN) -> Sequence[BillingOrder]:
    """Return the newest orders, newest first.

    Raises:
        ForbiddenError: The actor may not see money (rule Z1).
    """
    unit.require(Permission.SEE_BILLING)
    statement = select(BillingOrder).where(BillingOrder.org_id == unit.org_id)
    if only_open:
        statement = statement.where(BillingOrder.state.in_(OPEN_STATES))
    return unit.session.scalars(statement.order_by(BillingOrder.created_at.desc(), BillingOrder.id).limit(limit)).all()


def ordered_for(unit: Unit, member_id: MemberId) -> bool:
    """Tell whether a seat for somebody is on its way."""
    order = open_order(unit)
    return order is not None and order.member_id == member_id


def _by_core_key(unit: Unit, key: str) -> BillingOrder | None:
    order_id = order_id_of(key)
    if order_id is None:
        return None
    return unit.session.get(BillingOrder, (unit.org_id, order_id), populate_existing=True)


def _declined_sentence(reason: str | None) -> str:
    return f"The billing core declined an order of seats ({reason or 'no reason given'}): nothing was changed"


def _note(unit: Unit, action: str, order_id: uuid.UUID, reason: str, **body: Any) -> None:
    record(unit, action, subject_kind="order", subject_id=order_id, reason=reason, body=body)
