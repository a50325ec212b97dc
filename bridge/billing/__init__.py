"""The billing core behind one small port."""

from bridge.billing.builtin import BuiltinBilling
from bridge.billing.payments import BuiltinPayments

__all__ = ["BuiltinBilling", "BuiltinPayments"]
