"""Comparing what is here with the billing core's books: every difference in words, with what to do."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import func, select

from bridge.core import CoreInvoice, CoreSubscription
from bridge.core.documents import read_subscription
from bridge.store.journal import record
from bridge.store.models import BillingConnection, Contract, Invoice, SeatPool
from bridge.store.pools import read_pools
from bridge.store.unit import Unit
from bridge.usecases.alerts import open_alerts, resolve_alerts
from bridge.usecases.assign_seats import promote_waiting
from bridge.usecases.core_pictures import CHARGED_OTHERWISE, INVOICE_CHANGED, PLACED_OTHERWISE, unfit
from bridge.usecases.mirror_core import (
    bears_number,
    find_connection,
    is_of_core,
    mirror_invoice,
    mirror_subscription,
    mirrored_invoices,
    open_order,
    write_pools,
)
from bridge.usecases.reconcile import reconcile_pools


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same here and at the core.

    ``code`` is stable; ``repaired`` says that it was put right on the way, which is done only where nobody's seat and
    no money can be touched by it.
    """

    code: str
    sentence: str
    repaired: bool = False


def reconcile_books(
    unit: Unit, subscription: CoreSubscription, invoices: Sequence[CoreInvoice], *, adopt: bool = False
) -> list[Difference]:
    """Compare pools, period, prices and ledger with what the core answered just now.

    Missing invoices are mirrored. Seats are left alone, unless the operator says to adopt the core's picture; even then
    nobody loses a seat.

    Args:
        unit: The unit; its organization is locked here.
        subscription: Where the core's subscription stands.
        invoices: Every invoice of the core.
        adopt: Take the core's picture over where it is newer.
    """
    unit.lock()
    connection = find_connection(unit)
    if connection is None:
        return []
    found = [_counter(one.tier, one.used, one.held) for one in reconcile_pools(unit)]
    found += _compare_invoices(unit, connection, invoices)
    found += _compare_subscription(unit, connection, subscription, adopt=adopt)
    found += _adopt_pools(unit, _compare_pools(unit)) if adopt else _compare_pools(unit)
    found += _compare_order(unit)
    found += _compare_placed(unit, adopt=adopt)
    return found


def _adopt_pools(unit: Unit, found: Sequence[Difference]) -> list[Difference]:
    """Set pools that differ to the core's picture; seats that people hold stay."""
    if any(one.code == "pool_differs" for one in found):
        record(
            unit,
            "pools.reconciled",
            subject_kind="contract",
            subject_id=unit.org_id,
            reason="reconciled",
            body={"from": {pool.tier: [pool.paid, pool.total] for pool in read_pools(unit)}},
        )
        promote_waiting(unit, write_pools(unit))
    return [replace(one, repaired=one.code == "pool_differs") for one in found]


def _counter(tier: str, counted: int, held: int) -> Difference:
    return Difference(
        "pool_counter",
        f"{tier}: the counter says {counted} seats are taken, members hold {held}. Report this with `seatbridge audit"
        " verify`: it is a mistake of the product",
    )


def _compare_invoices(unit: Unit, connection: BillingConnection, invoices: Sequence[CoreInvoice]) -> list[Difference]:
    # Of a core that was connected before, nothing can be asked any more.
    mirrored = mirrored_invoices(unit, connection.core_id)
    found = []
    for invoice in invoices:
        here = mirrored.get((invoice.id, invoice.at))
        if here is None:
            if mirror_invoice(unit, invoice, reason="reconciled") is None:
                found.append(_other_currency(unit, f"Invoice {invoice.number} of the core", invoice.bill.currency))
                continue
            found.append(Difference("invoice_missing", f"Invoice {invoice.number} was missing here", repaired=True))
        elif not bears_number(here, invoice.number) or (here.total, here.currency) != (
            invoice.bill.total,
            invoice.bill.currency,
        ):
            found.append(
                Difference(
                    "invoice_differs",
                    f"Invoice {here.number} is {here.total} {here.currency} here and {invoice.bill.total}"
                    f" {invoice.bill.currency} (number {invoice.number}) at the core, in minor units. An issued invoice"
                    " never changes: correct it there by a credit note",
                )
            )
    there = {(invoice.id, invoice.at) for invoice in invoices}
    found += [
        Difference(
            "invoice_unknown",
            f"Invoice {one.number} of {one.at:%Y-%m-%d} is here and no longer at the core. Ask who keeps its books",
        )
        for known, one in mirrored.items()
        if known not in there
    ]
    return found


def _other_currency(unit: Unit, what: str, currency: str) -> Difference:
    agreed = unit.session.get_one(Contract, unit.org_id).currency
    return Difference(
        "other_currency",
        f"{what} is in {currency}, the contract in {agreed}: it was not taken over. Ask who keeps the core's books",
    )


def _compare_subscription(
    unit: Unit, connection: BillingConnection, subscription: CoreSubscription, *, adopt: bool
) -> list[Difference]:
    """Say where the core stands elsewhere than its newest picture here."""
    if subscription == read_subscription(connection.subscription):
        return []
    if subscription.currency != unit.session.get_one(Contract, unit.org_id).currency:
        return [_other_currency(unit, "The core's subscription", subscription.currency)]
    problem = unfit(unit, subscription)
    if problem is not None:
        sentence = f"The core's subscription was not taken over: {problem}. Ask whoever runs the core"
        return [Difference("subscription_unfit", sentence)]
    if subscription.version <= connection.version:
        sentence = (
            f"The core answers version {subscription.version} of the subscription; version {connection.version} was"
            " told before. Was it restored from a back-up? Connect it anew: `seatbridge billing connect`"
        )
        return [Difference("version_went_back", sentence)]
    words = "; ".join(_in_words(unit, subscription)) or "nothing that people see"
    if adopt:
        mirror_subscription(unit, subscription, reason="reconciled")
        promote_waiting(unit, write_pools(unit))
        return [Difference("subscription_differs", f"Taken over from the core: {words}", repaired=True)]
    return [
        Difference(
            "subscription_differs",
            f"The core has changed without an event: {words}. Have it send the event again, or take this over:"
            " `seatbridge billing reconcile ORG --adopt`",
        )
    ]


def _in_words(unit: Unit, subscription: CoreSubscription) -> list[str]:
    contract = unit.session.get_one(Contract, unit.org_id)
    words = []
    for pool in read_pools(unit):
        tier = subscription.tiers.get(pool.tier)
        if tier is None:
            continue
        if tier.paid != pool.paid:
            words.append(f"{tier.paid} {pool.tier} seats are paid, {pool.paid} here")
        if (tier.price, tier.next_price) != (pool.price, pool.next_price):
            words.append(f"a {pool.tier} seat costs {tier.price}, then {tier.next_price}, in minor units")
    if subscription.period_end != contract.period_end:
        words.append(f"the period ends {subscription.period_end:%Y-%m-%d}, here {contract.period_end:%Y-%m-%d}")
    if not subscription.active:
        words.append("it has ended")
    return words


def _compare_pools(unit: Unit) -> list[Difference]:
    """Compare the pools with the newest picture here, less what an open order holds back."""
    connection = unit.session.get_one(BillingConnection, unit.org_id, populate_existing=True)
    subscription = read_subscription(connection.subscription)
    if not subscription.active:
        return []
    order = open_order(unit)
    held = order.held_back if order is not None else {}
    return [
        difference
        for pool in read_pools(unit)
        if pool.tier in subscription.tiers
        and (difference := _pool_difference(pool, subscription, held.get(pool.tier, 0))) is not None
    ]


def _pool_difference(pool: SeatPool, subscription: CoreSubscription, held_back: int) -> Difference | None:
    tier = subscription.tiers[pool.tier]
    paid, agreed = tier.paid, max(min(tier.paid, tier.next) - held_back, 0)
    if pool.used > agreed:
        sentence = (
            f"{pool.name}: people hold {pool.used} seats, the core has {agreed}. Nobody loses a seat by itself: buy"
            f" {pool.used - agreed}, or unassign some"
        )
        return Difference("seats_over_core", sentence)
    if (pool.paid, pool.total) != (paid, agreed):
        sentence = (
            f"{pool.name}: {pool.total} of {pool.paid} seats can be assigned here, {agreed} of {paid} by the core's"
            " picture. Run `seatbridge billing reconcile ORG --adopt`"
        )
        return Difference("pool_differs", sentence)
    return None


def _compare_order(unit: Unit) -> list[Difference]:
    order = open_order(unit)
    if order is None or order.state != "dead":
        return []
    sentence = (
        f"Order {order.id} of {order.created_at:%Y-%m-%d} was given up ({order.last_error}). Retry it: `seatbridge"
        " billing retry`, or cancel it: `seatbridge billing cancel`"
    )
    return [Difference("order_given_up", sentence)]


def _compare_placed(unit: Unit, *, adopt: bool) -> list[Difference]:
    """Name what the core charged or placed otherwise than was confirmed or said before, until that is accepted."""
    codes = (CHARGED_OTHERWISE, INVOICE_CHANGED, PLACED_OTHERWISE)
    alerts = [alert for alert in open_alerts(unit) if alert.code in codes]
    if adopt:
        for code in codes:
            resolve_alerts(unit, code)
    advice = "Once it is settled, accept it: `seatbridge billing reconcile ORG --adopt`"
    return [Difference(alert.code, f"{alert.detail}. {advice}", repaired=adopt) for alert in alerts]


def count_mirrored(unit: Unit, core_id: uuid.UUID) -> int:
    """Count the invoices that were mirrored from a core."""
    found = select(func.count()).select_from(Invoice).where(Invoice.org_id == unit.org_id, is_of_core(core_id))
    return unit.session.scalar(found) or 0
