"""The kinds of plans by the code that a contract carries (rule G1)."""

from typing import Final

FIXED_FEE: Final = "contract"
"""A fixed annual fee, with users by role (rules U1 to U7)."""
