"""Payments for tests of the billing core."""

from dataclasses import dataclass, field, replace

from bridge.domain.identifiers import OrgId
from bridge.ports import PaymentOutcome
from tests.factories import Customer


@dataclass
class Payments:
    """A payment method that a test can have decline, and that remembers what it was asked."""

    of: Customer
    declined: bool = False
    keys: list[str] = field(default_factory=list)

    @property
    def customer(self) -> Customer:
        """The customer, paying by this method."""
        return replace(self.of, runtime=replace(self.of.runtime, payments=self))

    def collect(self, org_id: OrgId, amount: int, currency: str, *, key: str) -> PaymentOutcome:
        """Approve or decline as the test says."""
        self.keys.append(key)
        return PaymentOutcome(approved=not self.declined, reason="declined" if self.declined else None)
