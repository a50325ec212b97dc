"""The embedded billing core: invoices and pools in the same transaction as the seats they are for."""

from bridge.ports import PaymentMethod
from bridge.store.unit import Unit


class BuiltinBilling:
    """The billing core over our own tables, bound to one unit of work.

    Args:
        unit: Organization, transaction and instant.
        payments: Collects the money of plans that are debited at once (rule Q4).
    """

    def __init__(self, unit: Unit, payments: PaymentMethod) -> None:
        self._unit = unit
        self._payments = payments
