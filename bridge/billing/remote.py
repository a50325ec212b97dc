"""Seats that are ordered from a core that keeps its own books: asked before the lock, ordered by a row."""

from collections.abc import Callable
from uuid import uuid4

from bridge.billing.builtin import BuiltinBilling
from bridge.billing.ledger import read_contract, seats_in_use
from bridge.billing.payments import BuiltinPayments
from bridge.billing.rules.money import Currency
from bridge.core import BillingService, SeatQuestion
from bridge.core.quotes import pin, seat_quote
from bridge.errors import (
    BillingCoreAnswerError,
    BillingCoreRefusedError,
    BillingCoreUnreachableError,
    InvalidChangeError,
    PaymentFailedError,
    PlanEndedError,
)
from bridge.ports import (
    Bill,
    ContractDraft,
    FixedFee,
    InvoiceReference,
    PinnedQuote,
    PlanChange,
    PlanQuote,
    Renewal,
    SeatChange,
    SeatQuote,
    Started,
    StartQuote,
)
from bridge.store.pools import read_pools
from bridge.store.unit import Unit
from bridge.usecases.billing_orders import refuse_seats_in_use, refuse_second_order

_ORDERED = "seats of this plan are ordered from its billing core: buy them first, then assign them"
_DECIDED_THERE = "the billing core of the organization decides which plan it has: begin it there"
_Asked = tuple[tuple[tuple[str, int], ...], str | None]


class RemoteBilling:
    """A plan that another core bills, bound to one unit of work (:class:`bridge.ports.BillingCore`).

    Args:
        unit: Organization, transaction and instant.
        service: Opens the way to the core; None where none is connected yet.
    """

    def __init__(self, unit: Unit, service: Callable[[Unit], BillingService | None]) -> None:
        self._unit = unit
        self._service = service
        self._answers: dict[_Asked, PinnedQuote] = {}

    @property
    def sells_at_once(self) -> bool:
        """Say that seats are ordered, and come when the core has confirmed."""
        return False

    def prepare(self, change: SeatChange) -> None:
        """Ask the core what a change costs, while nobody waits for the organization's lock."""
        unit = self._unit
        if unit.is_locked:
            raise RuntimeError("a remote core is never asked while the organization is locked")
        refuse_second_order(unit)
        refuse_seats_in_use(unit, change.changes)
        service = self._service(unit)
        if service is None:
            raise BillingCoreUnreachableError("of this organization", "not_connected")
        question = SeatQuestion(change.changes, change.upgrade_from, seats_in_use(unit))
        try:
            quote = service.quote(question, key=f"quote-{uuid4()}")
        except BillingCoreRefusedError as refusal:
            raise _known(refusal) from refusal
        if quote.currency != read_contract(unit).currency:
            raise BillingCoreUnreachableError("of this organization", "other_currency")
        missing = [pool.tier for pool in read_pools(unit) if pool.tier not in quote.seats]
        if missing:
            problem = f"seats must have {', '.join(missing)}, under the same names as here"
            raise BillingCoreAnswerError("of this organization", "quote", problem)
        self._answers[_asked(change)] = pin(quote, digits=Currency(quote.currency).digits)

    def start(self, contract: ContractDraft, *, insist: bool = True) -> Started:
        """Refuse: a plan begins with the embedded core's rows and is connected afterwards."""
        del contract, insist
        raise InvalidChangeError(_DECIDED_THERE)

    def quote_start(self, contract: ContractDraft) -> StartQuote:
        """Refuse: the plan is agreed in the customer's own core."""
        del contract
        raise InvalidChangeError(_DECIDED_THERE)

    def quote(self, change: SeatChange) -> SeatQuote:
        """Return what :meth:`prepare` was told."""
        pinned = self._answers.get(_asked(change))
        if pinned is None:
            raise InvalidChangeError(
                "seats of this plan are ordered from its billing core: buy them first, then assign"
            )
        return seat_quote(change, pinned)

    def execute(self, quote: SeatQuote, *, key: str) -> InvoiceReference | None:
        """Refuse: nothing is charged inside a transaction here; an order is written instead."""
        del quote, key
        raise InvalidChangeError(_ORDERED)

    def renew(self) -> Renewal | None:
        """Do nothing: renewals come from the core, as events."""
        return None

    def next_renewal(self) -> Bill | None:
        """Forecast the next renewal from the mirrored seats and prices; what the core bills is what counts."""
        return BuiltinBilling(self._unit, BuiltinPayments()).next_renewal()

    def following_bill(self) -> Bill | None:
        """Forecast nothing: which plan follows is agreed in the customer's own core."""
        return None

    def quote_plan(self, change: PlanChange) -> PlanQuote:
        """Refuse: the plan is agreed in the customer's own core."""
        raise InvalidChangeError(f"the billing core of the organization decides about the plan, {change.kind} included")

    def fixed_fee(self) -> FixedFee:
        """Refuse: seats are sold."""
        raise InvalidChangeError("the plan has no fixed fee")


def _asked(change: SeatChange) -> _Asked:
    return tuple(sorted((tier, number) for tier, number in change.changes.items() if number)), change.upgrade_from


def _known(
    refusal: BillingCoreRefusedError,
) -> BillingCoreRefusedError | InvalidChangeError | PaymentFailedError | PlanEndedError:
    """Return the product's own refusal of the same meaning, or the core's as it is."""
    match refusal.core_code:
        case "invalid_change":
            return InvalidChangeError(refusal.detail)
        case "payment_failed":
            return PaymentFailedError(refusal.detail)
        case "plan_ended":
            return PlanEndedError()
    return refusal
