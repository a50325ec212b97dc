"""How an adapter of a sign-in protocol refuses what a stranger sent."""

from enum import StrEnum
from typing import Final

from bridge.errors import SignInRefusedError

_SHOWN_CHARACTERS: Final = 120


def refused(reason: StrEnum, detail: str) -> SignInRefusedError:
    """Return the refusal to raise; ``detail`` is a sentence for whoever reads the sign-in log."""
    return SignInRefusedError(reason.value, detail)


def shown(value: object) -> str:
    """Return a stranger's value fit for one line of a log: quoted, escaped and cut to 120 characters."""
    text = str(value)
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…")
