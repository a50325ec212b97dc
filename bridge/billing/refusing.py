"""From what the pure rules refuse to the product's own refusals, and checks that every kind of plan shares."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NoReturn, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bridge.billing.rules.money import Currency
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

ChoiceT = TypeVar("ChoiceT", bound=StrEnum)
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


def read_choice(field: str, choices: type[ChoiceT], word: Any) -> ChoiceT:
    """Return the choice that a word names.

    Raises:
        InvalidInputError: Naming the field and the words it knows.
    """
    if word not in list(choices):
        raise InvalidInputError(field, f"{word!r} is not one of {', '.join(choices)}")
    return choices(word)


def read_currency(code: str) -> Currency:
    """Return a currency by its code.

    Raises:
        InvalidInputError: There is no such currency.
    """
    try:
        return Currency(code)
    except ValueError as problem:
        raise InvalidInputError("currency", str(problem)) from problem


def check_time_zone(name: Any) -> None:
    """Refuse what is no time zone.

    Raises:
        InvalidInputError: Naming the field.
    """
    try:
        ZoneInfo(name)
    except (ValueError, TypeError, OSError, ZoneInfoNotFoundError) as problem:
        raise InvalidInputError("time_zone", f"{name!r} is no time zone such as Europe/Oslo") from problem
