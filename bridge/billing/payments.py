"""Payments of an installation that keeps the ledger and lets its own finance department collect."""

from bridge.domain.identifiers import OrgId
from bridge.ports import PaymentOutcome


class BuiltinPayments:
    """Approves every payment: the embedded core keeps the ledger and moves no money.

    The payment rows say what was due at once and when; who brings in the money reads them there. An installation that
    debits cards puts its provider behind :class:`bridge.ports.PaymentMethod` instead.
    """

    def collect(self, org_id: OrgId, amount: int, currency: str, *, key: str) -> PaymentOutcome:
        """Approve an amount; the reference is the business key, so that both ledgers can be compared."""
        del org_id, amount, currency
        return PaymentOutcome(approved=True, reference=f"ledger:{key}")
