"""Which VAT category an invoice states (EN 16931, BT-151 and BT-118): one for the whole document.

The rate is what the contract agrees. The category only says *why* it is what it is, from who sells to whom.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any, Final

from bridge.domain.billing_parties import BillingDetails, Seller
from bridge.domain.countries import EUROPEAN_UNION


class TaxCategory(StrEnum):
    """Codes of UNCL5305, those that services sold by subscription need."""

    STANDARD = "S"
    ZERO = "Z"
    REVERSE_CHARGE = "AE"
    OUT_OF_SCOPE = "O"


_NOT_REGISTERED: Final = "Not subject to VAT: the seller is not registered for VAT"
_OUTSIDE_THE_UNION: Final = "Not subject to VAT: the service is supplied outside the European Union"
_REVERSE_CHARGE: Final = "Reverse charge: the buyer accounts for the VAT"


@dataclass(frozen=True, slots=True)
class TaxTreatment:
    """How an invoice is taxed.

    Attributes:
        rate: Part of the subtotal, as decimal text: "0.25" for 25 %.
        reason: Why no tax is charged, as it must stand on the invoice; empty where there is nothing to explain.
    """

    category: TaxCategory
    rate: str
    reason: str = ""

    @property
    def fraction(self) -> Fraction:
        """The rate, exactly."""
        return Fraction(self.rate)

    def to_document(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "TaxTreatment":
        """Read it back from JSON values."""
        return cls(TaxCategory(document["category"]), document["rate"], document["reason"])


def treat_tax(rate: str, seller: Seller | None, buyer: BillingDetails) -> TaxTreatment:
    """Say which category a rate is charged by.

    A rate above nothing is the standard category, whoever buys. A rate of nothing is, in this order: out of scope where
    the seller has no VAT identifier; a reverse charge where both have one and are in different countries; out of scope
    where a seller in the European Union serves a buyer outside who has none; the zero rate otherwise.

    Args:
        rate: The contract's, as decimal text.
        seller: None when the installation names none.
        buyer: What is known of the buyer.
    """
    if Fraction(rate):
        return TaxTreatment(TaxCategory.STANDARD, rate)
    if seller is None or not seller.vat_id:
        return TaxTreatment(TaxCategory.OUT_OF_SCOPE, rate, _NOT_REGISTERED)
    here, there = seller.address.country, buyer.address.country
    if buyer.vat_id and there and here != there:
        return TaxTreatment(TaxCategory.REVERSE_CHARGE, rate, _REVERSE_CHARGE)
    if here in EUROPEAN_UNION and there and there not in EUROPEAN_UNION:
        return TaxTreatment(TaxCategory.OUT_OF_SCOPE, rate, _OUTSIDE_THE_UNION)
    return TaxTreatment(TaxCategory.ZERO, rate)
