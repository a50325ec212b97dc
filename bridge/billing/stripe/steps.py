"""What a change of seats means for a subscription at Stripe, whose quantities are absolute.

An item's quantity is what the next period bills. A reduction lowers it at once without a proration (rule D2), and the
seats that are paid for until the period's end are noted in the subscription's metadata. An increase first raises it
over the seats that are bought, prorated and collected, and then without a charge over those that are taken back (rule
D4): what costs money comes first, so that a declined card leaves nothing to undo.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from bridge.billing.stripe.reading import HALFWAY, ORDERS, PAID, Picture, orders_note, paid_note
from bridge.errors import BillingCoreRefusedError
from bridge.ports import SeatCount

#: More than anybody buys, and far from what Stripe takes as a quantity.
_MAX_SEATS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Change:
    """What is wanted: seats by tier, or one seat of a tier for somebody who holds ``upgrade_from`` (rule P7)."""

    changes: Mapping[str, int]
    upgrade_from: str | None
    immediate_credit: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One call: new quantities by item id (only those that change), and whether the difference is invoiced at once."""

    quantities: Mapping[str, int]
    invoiced: bool


@dataclass(frozen=True, slots=True)
class Steps:
    """The calls that make a change, and the seats afterwards."""

    calls: tuple[Step, ...]
    seats: Mapping[str, SeatCount]


@dataclass(frozen=True, slots=True)
class _Effect:
    """What a change does to one tier: paid now, quantity after the invoiced call, quantity at the end."""

    paid: int
    invoiced: int
    following: int


def steps_for(picture: Picture, change: Change) -> Steps:
    """Work out the calls of a change.

    Raises:
        BillingCoreRefusedError: ``plan_ended``; ``invalid_change`` for an empty change, an unknown tier, or fewer seats
            than none.
    """
    if not picture.active:
        raise BillingCoreRefusedError("plan_ended", "The subscription has ended at Stripe: open a new one first")
    wanted = {tier: number for tier, number in change.changes.items() if number}
    unknown = sorted({*wanted, *([change.upgrade_from] if change.upgrade_from else [])} - {*picture.items})
    if unknown or not wanted:
        problem = f"there is no tier {', '.join(unknown)}" if unknown else "no seat is added or dropped"
        raise BillingCoreRefusedError("invalid_change", problem)
    effects = {tier: _effect(picture, tier, number, change) for tier, number in wanted.items()}
    given_up = _exchanged(picture, wanted, change.upgrade_from)
    if given_up is not None:
        paid, quantity = picture.paid[given_up], picture.items[given_up].quantity
        effects[given_up] = _Effect(paid - 1, quantity - 1, quantity - 1)
    invoiced = _differing(picture, {tier: effect.invoiced for tier, effect in effects.items()})
    after = replace_quantities(picture, invoiced)
    silent = _differing(after, {tier: effect.following for tier, effect in effects.items()})
    calls = [Step(invoiced, invoiced=True)] if invoiced else []
    if silent:
        calls.append(Step(silent, invoiced=False))
    seats = {tier: SeatCount(picture.paid[tier], item.quantity) for tier, item in picture.items.items()}
    seats |= {tier: SeatCount(effect.paid, effect.following) for tier, effect in effects.items()}
    return Steps(tuple(calls), seats)


def _effect(picture: Picture, tier: str, number: int, change: Change) -> _Effect:
    paid, quantity = picture.paid[tier], picture.items[tier].quantity
    if quantity + number < 0:
        raise BillingCoreRefusedError("invalid_change", f"{-number} {tier} seats cannot be dropped from {quantity}")
    if quantity + number > _MAX_SEATS:
        raise BillingCoreRefusedError("invalid_change", f"a plan has at most {_MAX_SEATS:,} {tier} seats")
    if number > 0:
        bought = number - min(number, paid - quantity)
        return _Effect(paid + bought, quantity + bought, quantity + number)
    if change.immediate_credit:
        return _Effect(paid + number, quantity + number, quantity + number)
    return _Effect(paid, quantity, quantity + number)


def _exchanged(picture: Picture, wanted: Mapping[str, int], upgrade_from: str | None) -> str | None:
    """Return the tier whose seat is given up for one of a higher tier (rule P7); None for a plain purchase.

    The items stand lowest tier first. A seat that is about to lapse is taken back instead (rule D4).
    """
    if upgrade_from is None:
        return None
    if list(wanted.values()) != [1]:
        raise BillingCoreRefusedError("invalid_change", "an upgrade is one seat of one tier")
    tier, order = next(iter(wanted)), list(picture.items)
    lapsing = picture.paid[tier] - picture.items[tier].quantity
    higher = order.index(upgrade_from) < order.index(tier)
    return upgrade_from if higher and picture.items[upgrade_from].quantity and not lapsing else None


def _differing(picture: Picture, targets: Mapping[str, int]) -> dict[str, int]:
    """Return the targets, by item id, that are not so already."""
    items = picture.items
    return {items[tier].id: target for tier, target in targets.items() if items[tier].quantity != target}


def replace_quantities(picture: Picture, quantities: Mapping[str, int]) -> Picture:
    """Return a picture with other quantities, by item id; the paid seats stay as they are noted."""
    items = {
        tier: replace(item, quantity=quantities.get(item.id, item.quantity)) for tier, item in picture.items.items()
    }
    return replace(picture, items=items)


def call_params(picture: Picture, steps: Steps, number: int, *, mark: str, proration_date: int) -> dict[str, Any]:
    """Write one call as Stripe takes it: exactly this is stored before it is sent, and sent again.

    Args:
        picture: The subscription as it was read before the first call.
        steps: The calls of the change.
        number: Which of them, from 0.
        mark: What the order is called at Stripe.
        proration_date: Seconds since 1970 that an invoiced step is prorated from (rule Q2).
    """
    step = steps.calls[number]
    last = number == len(steps.calls) - 1
    paid = {tier: count.paid for tier, count in steps.seats.items()}
    metadata = {PAID: paid_note(picture.term, paid), HALFWAY: "" if last else mark}
    if last:
        metadata[ORDERS] = orders_note(picture.orders, mark)
    params: dict[str, Any] = {
        "items": [{"id": item, "quantity": quantity} for item, quantity in sorted(step.quantities.items())],
        "metadata": metadata,
        "proration_behavior": "always_invoice" if step.invoiced else "none",
    }
    if step.invoiced:
        params |= {"proration_date": proration_date, "payment_behavior": "error_if_incomplete"}
    return params


def preview_params(picture: Picture, step: Step, proration_date: int) -> dict[str, Any]:
    """Write the question what an invoiced step costs."""
    items = [{"id": item, "quantity": quantity} for item, quantity in sorted(step.quantities.items())]
    return {
        "subscription": picture.id,
        "subscription_details": {
            "items": items,
            "proration_behavior": "always_invoice",
            "proration_date": proration_date,
        },
    }


def renewal_params(picture: Picture, seats: Mapping[str, SeatCount] | None = None) -> dict[str, Any]:
    """Write the question what the next renewal costs, with the quantities as they are or as they would be."""
    details: dict[str, Any] = {}
    if seats is not None:
        items = [{"id": item.id, "quantity": seats[tier].next} for tier, item in picture.items.items()]
        details = {"subscription_details": {"items": items, "proration_behavior": "none"}}
    return {"subscription": picture.id, **details}
