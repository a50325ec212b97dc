"""What the use cases need from elsewhere, in our words and as small as the need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from bridge.domain.identifiers import OrgId
from bridge.domain.plan_kinds import LICENCE_NAMES


class Clock(Protocol):
    """The current instant, aware, in UTC."""

    def now(self) -> datetime:
        """Return the current instant."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current instant."""
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class SeatCount:
    """Seats of one tier: ``paid`` in this period, ``next`` period's allocation. Assignable are min(paid, next)."""

    paid: int
    next: int


@dataclass(frozen=True, slots=True)
class TierPrice:
    """One tier of a contract; prices are minor units for one seat and one period."""

    key: str
    name: str
    rank: int
    price: int
    seats: int


@dataclass(frozen=True, slots=True)
class FeeDraft:
    """A fixed annual fee, as an organization starts with it.

    Args (the names are those of the billing reference):
        annual_fee: Minor units for a contract year, before the discount.
        tier: Name of the contracted tier.
        paid_users: So many paid users it is meant for; more are let in (rule U3).
        schedule: ``annual``, ``quarterly``, ``monthly``, or (month of the contract year, share as text) pairs: "1/3".
        discount: A decimal string, "0.1" for 10 % (rule U6).
    """

    annual_fee: int
    tier: str
    paid_users: int
    schedule: str | tuple[tuple[int, str], ...] = "annual"
    term_years: int = 1
    discount: str = "0"


@dataclass(frozen=True, slots=True)
class ContractDraft:
    """The commercial terms of a plan that begins.

    Args (the names are those of the billing reference):
        kind: ``team``, ``enterprise``, ``contract``, ``team_licence`` or ``user_licence``; or ``evaluation``.
        billed_by: ``builtin``, or ``remote`` for a core that keeps its own books: no invoice is issued here.
        cycle: ``month`` or ``year``; licences are billed by the month.
        anchor: Start of the first period; the boundaries are computed from it (rule R2).
        tiers: Tiers of seats; for licences one, whose key is the kind: the price of a licence, and no seats; none for a
            contract. In an evaluation they cost nothing.
        tax_rate: A decimal string, "0.25" for 25 %.
        proration: ``second``, ``day``, ``month_day`` or ``month``; None for the kind's default.
        reduction: ``at_renewal`` or ``immediate_credit``.
        renewal_basis: ``in_use`` or ``allocated``; None for the kind's default.
        fee: The fixed fee of a ``contract``; None for every other kind.
        until: When an evaluation ends (rule B2); None for every other kind.
    """

    kind: str
    cycle: str
    anchor: datetime
    currency: str
    time_zone: str
    tiers: tuple[TierPrice, ...]
    tax_rate: str = "0"
    proration: str | None = None
    reduction: str = "at_renewal"
    minimum_seats: int = 0
    auto_renew: bool = True
    renewal_basis: str | None = None
    contract_minimum: Mapping[str, int] = field(default_factory=dict)
    fee: FeeDraft | None = None
    billed_by: str = "builtin"
    until: datetime | None = None

    @property
    def pools(self) -> tuple[TierPrice, ...]:
        """The tiers whose seats are counted; none where licences are."""
        return tuple(tier for tier in self.tiers if tier.key not in LICENCE_NAMES)


@dataclass(frozen=True, slots=True)
class SeatChange:
    """A wished change of the allocation.

    ``changes`` maps a tier to plus or minus seats. ``upgrade_from`` marks the one-seat upgrade of a member who holds
    a seat of that tier (rules P7 and P9); the billing core decides whether it is an exchange or a whole seat.
    ``at`` is the instant the proration counts from (rule Q2). ``placed`` says how many more people will hold a seat of
    each tier right after the change, for the forecast of a renewal that bills the seats in use (rule R7).
    ``after`` are the changes that come before it at the same instant, in their order, and are still to be made: it is
    quoted as if they were made, and is quoted again, without them, to be executed.
    """

    changes: Mapping[str, int]
    at: datetime
    upgrade_from: str | None = None
    placed: Mapping[str, int] = field(default_factory=dict)
    after: tuple["SeatChange", ...] = ()


@dataclass(frozen=True, slots=True)
class BillLine:
    """One line of an invoice or preview; ``amount`` and ``unit_price`` are minor units, the period is [start, end).

    ``share`` is the part of the whole period that is charged, as an exact fraction: "17/31"; None where no core tells.
    """

    kind: str
    tier: str
    quantity: int
    start: datetime
    end: datetime
    unit_price: int
    amount: int
    formula: str
    exact: str
    explanation: str
    share: str | None


@dataclass(frozen=True, slots=True)
class Bill:
    """What a change or a renewal costs, in minor units, before it is an invoice."""

    type: str
    reason: str
    currency: str
    lines: tuple[BillLine, ...]
    subtotal: int
    tax: int
    total: int
    credit_applied: int
    amount_due: int


@dataclass(frozen=True, slots=True)
class PinnedQuote:
    """What a core that keeps its own books said, word for word, until ``expires_at`` (excluded).

    ``digits`` are the decimals of its currency's minor unit.
    """

    document: Mapping[str, Any]
    expires_at: datetime
    digits: int


@dataclass(frozen=True, slots=True)
class SeatQuote:
    """A seat change with its billing effect: what a preview shows and a confirmation charges (rules Q1, Q2).

    ``bill`` is None when nothing is charged; ``digits`` are the decimals of the currency's minor unit.
    ``renewal_before`` and ``renewal_after`` are subtotals of the next renewal in minor units, without and with the
    change; where another plan is agreed to follow, of the kind ``followed_by``, both are what that bills first.
    ``pinned`` is there where the change is ordered from a core that keeps its own books.
    """

    change: SeatChange
    bill: Bill | None
    seats: Mapping[str, SeatCount]
    currency: str
    digits: int
    renewal_at: datetime
    renewal_before: int
    renewal_after: int
    renewal_lines: tuple[BillLine, ...]
    sentences: tuple[str, ...]
    pinned: PinnedQuote | None = None
    followed_by: str | None = None


@dataclass(frozen=True, slots=True)
class StartQuote:
    """What a plan bills when it begins: its first period [start, end), and the bill, None where nothing is billed."""

    contract: ContractDraft
    bill: Bill | None
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class PlanChange:
    """Another plan sold by seats, from the next period on (rule B1).

    ``prices`` are minor units for one seat and period, ``seats`` what it begins with; a tier that is missing keeps what
    it has.
    """

    kind: str
    cycle: str
    prices: Mapping[str, int]
    seats: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PlanQuote:
    """A change of the plan: the next renewal without it and with it, from ``effective_at`` on.

    ``change`` names price and seats of every tier. A bill is None where nothing would be billed.
    """

    change: PlanChange
    effective_at: datetime
    before: Bill | None
    after: Bill | None
    currency: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FeeChange:
    """A wished amendment of a fixed-fee contract; None leaves as it is.

    ``annual_fee`` is minor units before the discount; ``at`` is the instant the proration counts from (rule Q2).
    ``ahead``: it counts from the next term on, and nothing is charged for it before.
    """

    annual_fee: int | None
    tier: str | None
    paid_users: int | None
    at: datetime
    ahead: bool = False


@dataclass(frozen=True, slots=True)
class FeeQuote:
    """An amendment with its billing effect: what a preview shows and a confirmation charges (rules Q1, Q2, U7).

    ``bill`` is None when nothing is charged. ``fee_before`` and ``fee_after`` are minor units of a contract year with
    the discount, without and with the amendment; ``annual_fee``, ``tier`` and ``paid_users`` are what is agreed then,
    from ``effective_at`` on.
    """

    change: FeeChange
    bill: Bill | None
    annual_fee: int
    tier: str
    paid_users: int
    currency: str
    effective_at: datetime
    fee_before: int
    fee_after: int
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InvoiceReference:
    """An issued invoice, as the rest of the product refers to it."""

    id: str
    number: str
    total: int
    amount_due: int
    currency: str


@dataclass(frozen=True, slots=True)
class Started:
    """A plan that has begun: its first invoice, if any, and whether the payment of that was declined."""

    invoice: InvoiceReference | None
    payment_declined: bool = False


@dataclass(frozen=True, slots=True)
class OrderReference:
    """An order of seats on its way to a core that keeps its own books."""

    id: str
    state: str


@dataclass(frozen=True, slots=True)
class Renewal:
    """What happened at a period's boundary ``at``: the invoice, if any, the new allocation, and whether the plan ended.

    A plan that bills what was in use has a last invoice when it ends.

    ``payment_declined`` says that the invoice of a plan that is debited at once is still to be paid. ``reason`` is that
    of the invoice; ``new_term`` says that an agreed term began anew, not just a period within one. ``applied`` is the
    id of the agreed change that took effect.
    """

    at: datetime
    invoice: InvoiceReference | None
    seats: Mapping[str, SeatCount]
    ended: bool
    payment_declined: bool = False
    reason: str = "renewal"
    new_term: bool = False
    applied: str | None = None


@dataclass(frozen=True, slots=True)
class FeeFacts:
    """Where a fixed-fee contract stands.

    Args:
        annual_fee: Minor units for a contract year, before the discount.
        fee: The same with the discount (rule U6).
        year_fee: That of the present contract year's instalments, agreed when the year began (rule U7).
        tier: Name of the contracted tier.
        paid_users: So many it is meant for.
        discount: A decimal string, "0.1" for 10 %.
        schedule: (month of the contract year, share as text) of each instalment.
        term_start: Start of the agreed term of ``term_years``, [term_start, term_end).
        year_start: Start of the present contract year, [year_start, year_end).
        next_at: When the next instalment is due; None when no other follows.
    """

    annual_fee: int
    fee: int
    year_fee: int
    currency: str
    tier: str
    paid_users: int
    discount: str
    schedule: tuple[tuple[int, str], ...]
    term_years: int
    term_start: datetime
    term_end: datetime
    year_start: datetime
    year_end: datetime
    next_at: datetime | None


class FixedFee(Protocol):
    """What only contracts for a fixed fee can do (rules U6 and U7)."""

    def facts(self) -> FeeFacts:
        """Say what is agreed and where the contract stands."""

    def quote(self, change: FeeChange) -> FeeQuote:
        """Compute an amendment's billing effect without writing anything.

        Raises:
            InvalidChangeError: Nothing changes, or a value is not possible.
            ReductionNotAllowedError: A lower fee, during the term.
            PlanEndedError: The plan has ended (rule R5).
        """

    def execute(self, quote: FeeQuote, *, key: str) -> InvoiceReference | None:
        """Charge what the quote shows and write the contract as amended.

        Raises:
            PreviewStaleError: The same amendment has another effect by now.
        """


class BillingCore(Protocol):
    """The billing core, bound to one organization and one unit of work.

    Reads and writes happen in the unit's transaction or as a row that a worker delivers; no verb calls out while a
    seat is held. A verb that writes is exactly once in effect for its business key.
    """

    @property
    def sells_at_once(self) -> bool:
        """Whether :meth:`execute` charges and allocates in the unit's own transaction.

        Where it is an order that another system answers later, provisioning never buys: it would make the directory
        wait for that system. In an evaluation nothing is bought at all.
        """

    def prepare(self, change: SeatChange) -> None:
        """Ask what must be asked outside, before the organization is locked, so that ``quote`` has its answer.

        Nothing where the core answers inside the transaction.

        Raises:
            BillingCoreUnreachableError: No usable answer came.
            BillingCoreRefusedError: The core refused the change for good.
            OrderOpenError: Another order is on its way.
            SeatsInUseError: Seats to shed are assigned (rule D3).
        """

    def start(self, contract: ContractDraft, *, insist: bool = True) -> Started:
        """Open the contract, make the pools and issue the first period's invoice (rule P1).

        It is the organization's first plan, or takes the place of one that has ended: a credit stays, and so do the
        pools of tiers that it has too, with the seats that are taken of them; no seat of any other tier may be.

        Args:
            contract: The terms.
            insist: Whether a declined payment refuses the whole; at a boundary it holds nothing up (rule R1).

        Raises:
            InvalidInputError: Terms that make no contract.
            PaymentFailedError: The payment was declined; the unit must roll back.
        """

    def quote_start(self, contract: ContractDraft) -> StartQuote:
        """Compute what a plan would bill when it begins, with the credit there is, without writing anything.

        Raises:
            InvalidInputError: Terms that make no contract.
            InvalidChangeError: A billing core of its own decides it.
        """

    def quote(self, change: SeatChange) -> SeatQuote:
        """Compute a change's billing effect without writing anything.

        Raises:
            InvalidChangeError: Empty change, unknown tier, or below zero.
            SeatsInUseError: Seats to shed are assigned (rule D3).
            BelowMinimumError: Under the plan's minimum (rule D6).
            ReductionNotAllowedError: Enterprise, during the term (rule D7).
            PlanEndedError: The plan has ended (rule R5).
        """

    def execute(self, quote: SeatQuote, *, key: str) -> InvoiceReference | None:
        """Charge what the quote shows and set the new allocation of the pools.

        A repeated key answers with the invoice it made before and does nothing.

        Raises:
            PaymentFailedError: The payment was declined; the unit must roll back (rule Q4).
            PreviewStaleError: The same change has another effect by now.
            IdempotencyConflictError: The key billed something else before (rule Q5).
        """

    def renew(self) -> Renewal | None:
        """Pass the period's boundary if the unit's instant has reached it; None when it is not due (rules R1 to R7).

        One boundary at a time. A declined payment does not hold the renewal up: the invoice stays to be paid. When the
        plan ends, the caller takes the seats from their holders first and then writes the allocation.
        """

    def next_renewal(self) -> Bill | None:
        """Forecast the next bill from today's seats, or from what counted so far.

        Where the plan bills nothing more it is that of the plan that is agreed to follow; None where nothing is billed.
        """

    def following_bill(self) -> Bill | None:
        """Forecast what the plan bills that follows, at the same instant as the next bill; None where it does not."""

    def quote_plan(self, change: PlanChange) -> PlanQuote:
        """Compute what another plan would bill at the next boundary, without writing anything.

        Raises:
            InvalidChangeError: Nothing changes, the plan is not sold by seats, or no period follows.
            InvalidInputError: Terms that make no contract.
            PlanEndedError: The plan has ended (rule R5).
        """

    def fixed_fee(self) -> FixedFee:
        """Return what only contracts for a fixed fee can do.

        Raises:
            InvalidChangeError: The plan is of another kind.
        """


@dataclass(frozen=True, slots=True)
class PaymentOutcome:
    """Whether a payment was approved; ``reference`` is the provider's, ``reason`` says why it was declined."""

    approved: bool
    reference: str | None = None
    reason: str | None = None


class PaymentMethod(Protocol):
    """How money of a plan that is debited at once is collected (rule Q4)."""

    def collect(self, org_id: OrgId, amount: int, currency: str, *, key: str) -> PaymentOutcome:
        """Collect an amount in minor units, once for each key; a declined key may be tried again."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a mail; ``media_type`` as in ``application/pdf``."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """A mail to people of an organization: plain text, and files beside it.

    The same ``key`` is the same mail, whenever it is sent.
    """

    to: Sequence[str]
    subject: str
    text: str
    key: str
    attachments: Sequence[Attachment] = ()


class Mailer(Protocol):
    """Hands a message to the mail system; raises OSError when it cannot be reached."""

    def send(self, message: Message) -> None:
        """Send one message; sending the same key twice is allowed to reach the reader twice."""
