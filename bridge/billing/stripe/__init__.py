"""Seats that Stripe bills: the port of a billing core over one subscription there (extra ``seatbridge[stripe]``)."""

from bridge.billing.stripe.service import StripeBillingService

__all__ = ["StripeBillingService"]
