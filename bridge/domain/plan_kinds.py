"""The kinds of plans by the code that a contract carries (rule G1)."""

from collections.abc import Mapping
from typing import Final

FIXED_FEE: Final = "contract"
"""A fixed annual fee, with users by role (rules U1 to U7)."""
EVALUATION: Final = "evaluation"
"""Full function until a date and no invoice, for seats or for licences (rule B2)."""
LICENCE_NAMES: Final[Mapping[str, str]] = {"team_licence": "Team licence", "user_licence": "User licence"}
"""The kinds that are licensed (rules W1 and W3), with what people read for one licence of each."""
BUILTIN: Final = "builtin"
"""Billed by the embedded core, in the transaction of the change."""
REMOTE: Final = "remote"
"""Billed by a core that keeps its own books: seats are ordered there, and come when it has confirmed."""
SOLD_BY_SEATS: Final = ("team", "enterprise")
"""The kinds whose seats are bought ahead."""


def plan_word(kind: str) -> str:
    """Name what a plan's own page in the console is about: seats, licences, or the contract where there are neither."""
    return "Contract" if kind == FIXED_FEE else "Licences" if kind in LICENCE_NAMES else "Seats"
