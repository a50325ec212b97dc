"""What a change costs, said to a program and repeated by it: another sum is refused, and nothing is done (rule Q1)."""

import uuid
from typing import Annotated

from pydantic import Field

from bridge.billing.rules.money import Currency, format_money
from bridge.errors import CostDiffersError
from bridge.store.unit import Unit
from bridge.usecases.previews import keep_shown, kept_shown
from bridge.web.api.shapes import Body

AcceptedTotal = Annotated[
    int | None,
    Field(
        description="The preview's `total_today`, repeated: what it costs today in minor units, tax included. Another "
        "sum is refused (`cost_differs`), and none where something costs (`acknowledgement_missing`)."
    ),
]


class Accept(Body):
    """What is accepted with a preview."""

    accepted_total: AcceptedTotal = None


def shown(unit: Unit, preview_id: uuid.UUID, total: int, currency: str, *, buy: bool = False) -> int:
    """Keep what a preview tells a program, and return the sum; ``buy`` is whether it was of buying what is missing."""
    keep_shown(unit, preview_id, {"total": total, "currency": currency, "buy": buy})
    return total


def accepts(unit: Unit, preview_id: uuid.UUID, accepted_total: int | None) -> bool:
    """Tell whether a program accepted what a preview costs.

    Raises:
        CostDiffersError: It accepted another sum than the preview showed.
    """
    if accepted_total is None:
        return False
    told = kept_shown(unit, preview_id)
    if told and told["total"] != accepted_total:
        currency = Currency(told["currency"])
        raise CostDiffersError(
            costs=format_money(told["total"], currency), accepted=format_money(accepted_total, currency)
        )
    return True


def bought_as_shown(unit: Unit, preview_id: uuid.UUID) -> bool:
    """Tell whether a preview was of buying what is missing."""
    return bool(kept_shown(unit, preview_id).get("buy"))
