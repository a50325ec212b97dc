"""What a subscription at Stripe must be like before it bills seats here."""

from collections.abc import Mapping
from typing import Final

from bridge.billing.stripe.reading import Picture, read_picture
from bridge.billing.stripe.sdk import Document
from bridge.errors import InvalidInputError

#: An invoiced change has two lines for each tier, and a preview at Stripe shows ten.
MAX_TIERS: Final = 5
#: Where Stripe's smallest unit is not that of ISO 4217, or amounts must be whole tens of it.
_OTHER_UNITS: Final = frozenset({"BHD", "IQD", "ISK", "JOD", "KWD", "LYD", "OMR", "TND", "UGX"})


def check_subscription(document: Document, prices: Mapping[str, str], *, cycle: str) -> Picture:
    """Refuse a subscription that cannot be billed as the plan here says; return its picture.

    Args:
        document: The subscription, with customer and test clock expanded.
        prices: Stripe's id of each tier's price.
        cycle: Of the plan here: month or year.

    Raises:
        InvalidInputError: Of the field ``stripe`` or ``price``, with what to change.
    """
    if len(prices) > MAX_TIERS:
        raise InvalidInputError("price", f"at Stripe a plan has at most {MAX_TIERS} tiers")
    try:
        picture = read_picture(document, prices)
    except ValueError as problem:
        raise InvalidInputError("price", str(problem)) from problem
    except (KeyError, TypeError) as problem:
        raise InvalidInputError("stripe", "this is no subscription that can be read") from problem
    if document.get("collection_method") != "charge_automatically":
        raise InvalidInputError(
            "stripe", "a team plan is debited at once: set the subscription to charge automatically"
        )
    if picture.currency.code in _OTHER_UNITS:
        raise InvalidInputError(
            "stripe", f"{picture.currency.code} is counted in other units at Stripe than in ISO 4217"
        )
    if document.get("schedule"):
        raise InvalidInputError("stripe", "a subscription schedule would undo what is ordered: release it first")
    intervals = {
        (item["price"]["recurring"]["interval"], item["price"]["recurring"]["interval_count"])
        for item in document["items"]["data"]
        if item["price"]["id"] in prices.values()
    }
    if intervals != {(cycle, 1)}:
        raise InvalidInputError("price", f"the prices must recur every {cycle}, as the plan here does")
    return picture
