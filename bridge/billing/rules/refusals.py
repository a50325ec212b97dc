"""What the billing rules say no to: a plain exception that the caller turns into its own refusal."""

from enum import StrEnum


class RefusalCode(StrEnum):
    """Why a purchase or a reduction is not possible; the fields of each code are named beside it."""

    SEATS_IN_USE = "seats_in_use"
    """Rule D3; ``tier``, ``used``, ``requested``."""
    INVALID_CHANGE = "invalid_change"
    """Rule D3; ``problem``, a clause without a full stop."""
    BELOW_MINIMUM = "below_minimum"
    """Rule D6; ``minimum``, ``requested``."""
    REDUCTION_NOT_ALLOWED = "reduction_not_allowed"
    """Rules D7 and U7; ``term_end``, an aware UTC instant, and maybe ``what``, the sentence up to "before"."""
    PLAN_ENDED = "plan_ended"
    """Rule R5; no field."""


class RuleRefusal(Exception):  # noqa: N818  # a refusal is an answer of the rules, not an error in them
    """A change that the plan's rules refuse; nothing has changed.

    Attributes:
        code: The stable code.
        fields: The facts of the refusal, by name, as :class:`RefusalCode` lists them.
    """

    def __init__(self, code: RefusalCode, **fields: object) -> None:
        self.code, self.fields = code, fields
        facts = ", ".join(f"{name}={value}" for name, value in fields.items())
        super().__init__(f"{code}: {facts}" if facts else str(code))
