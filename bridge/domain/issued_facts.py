"""What an invoice says beside its amounts, kept as it was on the day it was issued (rule B1).

Billing details, names, time zone and settings may all change afterwards; an issued document never does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from bridge.domain.billing_parties import (
    BillingDetails,
    Seller,
    details_from_document,
    details_to_document,
    seller_from_document,
    seller_to_document,
)
from bridge.domain.tax import TaxTreatment


@dataclass(frozen=True, slots=True)
class PrecedingInvoice:
    """An invoice that a credit note gives something back of (EN 16931, BG-3); ``issued_on`` as it says itself."""

    number: str
    issued_on: date


@dataclass(frozen=True, slots=True)
class IssuedFacts:
    """The day, both parties, the names of tiers and the tax of one issued document.

    Attributes:
        issued_on: The day in the organization's time zone.
        due_on: The day by which it is to be paid, from the agreed terms; the day of issue where it is debited.
        debited: Whether the money is collected by itself (rule Q4), so that nobody has to transfer it.
        time_zone: IANA name; periods on the document are days of it.
        organization: What the customer was called here.
        seller: None when the installation named none.
        names: What tiers were called, by key.
        preceding: On a credit note the invoices that had charged what it credits, oldest first.
    """

    issued_on: date
    due_on: date
    debited: bool
    time_zone: str
    organization: str
    seller: Seller | None
    buyer: BillingDetails
    tax: TaxTreatment
    names: Mapping[str, str]
    preceding: tuple[PrecedingInvoice, ...] = ()

    @property
    def buyer_name(self) -> str:
        """Whom the document is made out to."""
        return self.buyer.legal_name or self.organization

    def to_document(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "issued_on": self.issued_on.isoformat(),
            "due_on": self.due_on.isoformat(),
            "debited": self.debited,
            "time_zone": self.time_zone,
            "organization": self.organization,
            "seller": seller_to_document(self.seller) if self.seller else None,
            "buyer": details_to_document(self.buyer),
            "tax": self.tax.to_document(),
            "names": dict(self.names),
            "preceding": [{"number": one.number, "issued_on": one.issued_on.isoformat()} for one in self.preceding],
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "IssuedFacts":
        """Read it back from JSON values."""
        seller = document["seller"]
        return cls(
            issued_on=date.fromisoformat(document["issued_on"]),
            due_on=date.fromisoformat(document["due_on"]),
            debited=document["debited"],
            time_zone=document["time_zone"],
            organization=document["organization"],
            seller=seller_from_document(seller) if seller else None,
            buyer=details_from_document(document["buyer"]),
            tax=TaxTreatment.from_document(document["tax"]),
            names=document["names"],
            preceding=tuple(
                PrecedingInvoice(one["number"], date.fromisoformat(one["issued_on"]))
                for one in document.get("preceding", ())
            ),
        )
