"""What a billing core says of a subscription, held against the plan and against what was confirmed."""

from collections.abc import Mapping
from decimal import Decimal

from bridge.core import CoreSubscription
from bridge.core.documents import read_quote, read_subscription
from bridge.ports import Bill
from bridge.store.models import BillingConnection, BillingOrder, Contract
from bridge.store.pools import read_pools
from bridge.store.unit import Unit
from bridge.usecases.alerts import raise_alert

#: The alerts of orders that a core carried out in another way than was confirmed, until the operator accepts it.
CHARGED_OTHERWISE, PLACED_OTHERWISE = "order_charged_otherwise", "order_placed_otherwise"
#: The alert of an invoice that the core says another sum of than it said before, until the operator accepts it.
INVOICE_CHANGED = "core_invoice_changed"


def is_news(unit: Unit, subscription: CoreSubscription) -> bool:
    """Tell whether a picture is newer than what was told before."""
    connection = unit.session.get_one(BillingConnection, unit.org_id, populate_existing=True)
    return subscription.version > connection.version


def unfit(unit: Unit, subscription: CoreSubscription) -> str | None:
    """Say why a picture cannot be that of the plan here: the field, and what it must be; None for one that can.

    One that has ended needs no tiers.
    """
    contract = unit.session.get_one(Contract, unit.org_id, populate_existing=True)
    if subscription.currency != contract.currency:
        return f"subscription.currency must be {contract.currency}, as the contract's"
    missing = [pool.tier for pool in read_pools(unit) if pool.tier not in subscription.tiers]
    if missing and subscription.active:
        return f"subscription.tiers must have {', '.join(missing)}, under the same names as here"
    return None


def tell_of_another_charge(unit: Unit, order: BillingOrder, bill: Bill) -> None:
    """Tell the owners where the core charged something else than was confirmed (rule Q2)."""
    quoted = read_quote(order.quote).bill
    currency = order.body["currency"]
    digits = {currency: order.quote.get("digits")}
    confirmed = _sum(quoted.type if quoted else "invoice", order.body["total"], currency, digits)
    charged = _sum(bill.type, bill.total, bill.currency, digits)
    if charged != confirmed:
        sentence = (
            f"Order {order.id} was confirmed for {confirmed}, and the billing core charged {charged}: ask who keeps its"
            " books for a correction"
        )
        raise_alert(unit, CHARGED_OTHERWISE, detail=sentence, told_apart=True)


def tell_of_other_seats(unit: Unit, order: BillingOrder) -> None:
    """Tell the owners where a placed order has not led to the seats that were confirmed (rule Q2).

    What counts is the newest picture here, whichever it is: it is the one that people get seats of.
    """
    connection = unit.session.get_one(BillingConnection, unit.org_id, populate_existing=True)
    newest = read_subscription(connection.subscription)
    confirmed = read_quote(order.quote).seats
    for pool in read_pools(unit):
        wanted, there = confirmed.get(pool.tier), newest.tiers.get(pool.tier)
        if not order.body["changes"].get(pool.tier) or wanted is None or there is None or not newest.active:
            continue
        agreed, found = min(wanted.paid, wanted.next), min(there.paid, there.next)
        if agreed != found:
            sentence = (
                f"Order {order.id} was confirmed to make it {agreed} {pool.name} seats, and the billing core has"
                f" {found} after it: ask who keeps its books"
            )
            raise_alert(unit, PLACED_OTHERWISE, tier=pool.tier, detail=sentence, told_apart=True)


def _sum(kind: str, total: int, currency: str, digits: Mapping[str, int | None]) -> str:
    """Write a sum in major units; in minor ones where it is not known how many decimals the currency has."""
    decimals = digits.get(currency)
    amount = f"{total} minor units of" if decimals is None else f"{Decimal(total).scaleb(-decimals):,}"
    return f"{'a credit note of ' if kind == 'credit_note' else ''}{amount} {currency}"
