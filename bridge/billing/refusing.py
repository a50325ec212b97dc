"""From what the pure rules refuse to the product's own refusals, and checks that every kind of plan shares."""

import re
from collections.abc import Mapping
from typing import NoReturn

from bridge.billing.rules.refusals import RefusalCode, RuleRefusal
from bridge.errors import (
    BelowMinimumError,
    BridgeError,
    InvalidChangeError,
    InvalidInputError,
    PlanEndedError,
    ReductionNotAllowedError,
    SeatsInUseError,
)

_RATE = re.compile(r"[0-9]{1,3}(\.[0-9]{1,6})?", re.ASCII)
_REFUSALS: Mapping[RefusalCode, type[BridgeError]] = {
    RefusalCode.SEATS_IN_USE: SeatsInUseError,
    RefusalCode.INVALID_CHANGE: InvalidChangeError,
    RefusalCode.BELOW_MINIMUM: BelowMinimumError,
    RefusalCode.REDUCTION_NOT_ALLOWED: ReductionNotAllowedError,
    RefusalCode.PLAN_ENDED: PlanEndedError,
}


def refuse(refusal: RuleRefusal) -> NoReturn:
    """Answer with the refusal of the same code."""
    raise _REFUSALS[refusal.code](**refusal.fields) from refusal


def check_rate(field: str, text: str) -> None:
    """Refuse a rate that is no plain decimal number.

    Raises:
        InvalidInputError: Naming the field.
    """
    if not _RATE.fullmatch(text):
        raise InvalidInputError(field, f"{text!r} is no decimal number such as 0.25")
