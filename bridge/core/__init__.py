"""A billing core outside of the product: what it is asked, what it answers, and how both are written as JSON."""

from bridge.core.port import (
    BillingService,
    CoreEvent,
    CoreInvoice,
    CoreOrder,
    CoreQuote,
    CoreSubscription,
    CoreTier,
    EventKind,
    OrderRequest,
    OrderState,
    SeatQuestion,
)

__all__ = [
    "BillingService",
    "CoreEvent",
    "CoreInvoice",
    "CoreOrder",
    "CoreQuote",
    "CoreSubscription",
    "CoreTier",
    "EventKind",
    "OrderRequest",
    "OrderState",
    "SeatQuestion",
]
