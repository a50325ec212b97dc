"""The embedded billing core: invoices and pools in the same transaction as the seats they are for."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Final, Protocol

from sqlalchemy import update

from bridge.billing.evaluation import EvaluationPlan
from bridge.billing.fixed_fee import FixedFeePlan
from bridge.billing.ledger import (
    Counts,
    balance_change,
    bill_for_callers,
    charge_once,
    issue_invoice,
    lines_for_callers,
    read_contract,
    reference_to,
    seats_in_use,
    state_of,
)
from bridge.billing.opening import credit_of, open_contract, open_pools, start_key
from bridge.billing.refusing import check_rate, check_time_zone, read_choice, read_currency, refuse
from bridge.billing.rules import charges, periods, plan_changes
from bridge.billing.rules.contracts import (
    ContractKind,
    ContractState,
    ContractStatus,
    ContractTerms,
    Reduction,
    RenewalBasis,
    Tier,
    contract_terms,
)
from bridge.billing.rules.contracts import SeatCount as RuleSeatCount
from bridge.billing.rules.licences import LicenceKind
from bridge.billing.rules.money import Currency, format_money
from bridge.billing.rules.proration import ProrationMethod
from bridge.billing.rules.refusals import RuleRefusal
from bridge.billing.rules.terms import Cycle
from bridge.billing.rules.wording import local_day
from bridge.billing.workspace_licences import WorkspaceLicences
from bridge.domain.identifiers import new_id
from bridge.domain.plan_kinds import EVALUATION, FIXED_FEE, LICENCE_NAMES, REMOTE
from bridge.errors import InvalidChangeError, InvalidInputError, PaymentFailedError, PreviewStaleError
from bridge.ports import (
    Bill,
    ContractDraft,
    InvoiceReference,
    PaymentMethod,
    PaymentOutcome,
    PlanChange,
    PlanQuote,
    Renewal,
    SeatChange,
    SeatCount,
    SeatQuote,
    Started,
    StartQuote,
    TierPrice,
)
from bridge.store.agreed import AgreedKind, AgreedState, agreed_change, plan_of, refuse_in_evaluation, settle_agreed
from bridge.store.models import Contract, Invoice, Payment, SeatPool
from bridge.store.pools import read_pools, set_allocation
from bridge.store.unit import Unit
from mappings.tiers import SeatTier, TierLadder


class OtherPlan(Protocol):
    """A plan that sells no seats: the same verbs as the core's, bound to a unit whose lock is taken."""

    def quote_start(self, contract: ContractDraft) -> StartQuote:
        """As :meth:`bridge.ports.BillingCore.quote_start`."""

    def start(self, contract: ContractDraft) -> Invoice | None:
        """As :meth:`bridge.ports.BillingCore.start`; nothing is debited at once."""

    def renew(self) -> Renewal | None:
        """As :meth:`bridge.ports.BillingCore.renew`, for a plan that is active and whose boundary is reached."""

    def next_renewal(self) -> Bill | None:
        """As :meth:`bridge.ports.BillingCore.next_renewal`, for a plan that is active."""


OTHER_PLANS: Final[Mapping[str, Callable[[Unit], OtherPlan]]] = {
    EVALUATION: EvaluationPlan,
    FIXED_FEE: FixedFeePlan,
    **{str(kind): WorkspaceLicences for kind in LicenceKind},
}
"""The kinds that sell no seats, each with the module that bills it."""


class BuiltinBilling:
    """The billing core over our own tables, bound to one unit of work (:class:`bridge.ports.BillingCore`).

    Args:
        unit: Organization, transaction and instant.
        payments: Collects the money of plans that are debited at once (rule Q4).
    """

    def __init__(self, unit: Unit, payments: PaymentMethod) -> None:
        self._unit = unit
        self._payments = payments

    @property
    def sells_at_once(self) -> bool:
        """Say that what is bought is there in the same transaction; in an evaluation nothing is bought (rule B2)."""
        return read_contract(self._unit).kind != EVALUATION

    def prepare(self, change: SeatChange) -> None:
        """Ask nobody: the answer is computed inside."""

    def quote_start(self, contract: ContractDraft) -> StartQuote:
        """Compute what a plan would bill when it begins, without writing anything."""
        if contract.kind in OTHER_PLANS:
            return OTHER_PLANS[contract.kind](self._unit).quote_start(contract)
        terms = agreed_terms(contract)
        prices = {tier.key: tier.price for tier in contract.tiers}
        seats = {tier.key: tier.seats for tier in contract.tiers}
        try:
            bill = periods.start(terms, seats, prices, credit_of(self._unit))
        except RuleRefusal as refusal:
            refuse(refusal)
        first = terms.term(0)
        return StartQuote(contract, bill_for_callers(bill) if bill else None, first.start, first.end)

    def start(self, contract: ContractDraft, *, insist: bool = True) -> Started:
        """Open the contract, make the pools and issue the first period's invoice (rule P1)."""
        unit = self._unit
        unit.lock()
        if contract.kind in OTHER_PLANS:
            issued = OTHER_PLANS[contract.kind](unit).start(contract)
            return Started(reference_to(issued) if issued else None)
        terms, bill = agreed_terms(contract), self.quote_start(contract).bill
        begin = terms.term(0).start
        key = start_key(unit, begin)
        row = open_contract(unit, _contract_row(unit, terms, contract))
        open_pools(unit, contract.tiers)
        if bill is None or contract.billed_by == REMOTE:
            return Started(None)
        row.credit_balance += balance_change(bill)
        invoice = issue_invoice(unit, bill, key=key, at=begin, counts=Counts.SEATS)
        if insist:
            self._debit(terms, invoice)
            return Started(reference_to(invoice))
        outcome = self._collect(terms, invoice)
        return Started(reference_to(invoice), payment_declined=outcome is not None and not outcome.approved)

    def quote(self, change: SeatChange) -> SeatQuote:
        """Compute a change's billing effect without writing anything."""
        contract = read_contract(self._unit)
        if contract.period_end <= self._unit.at:
            self._unit.lock()  # which passes the boundary first (rule R6)
            contract = read_contract(self._unit)
        refuse_in_evaluation(contract)
        if contract.kind in OTHER_PLANS:
            raise InvalidChangeError("the plan is not sold by seats")
        state = state_of(self._unit, contract)
        used: Mapping[str, int] = seats_in_use(self._unit)
        try:
            for earlier in change.after:
                state, used = _rule_quote(state, earlier, used).next_state, _after(used, earlier)
            quote = _rule_quote(state, change, used)
            new_plan = self._agreed_plan(contract)
            before = _renewal(state, used, new_plan).bill
            after = _renewal(quote.next_state, _after(used, change), new_plan).bill
        except RuleRefusal as refusal:
            refuse(refusal)
        quoted = SeatQuote(
            change=change,
            bill=bill_for_callers(quote.bill) if quote.bill else None,
            seats=_counts(quote.next_state.seats),
            currency=state.terms.currency.code,
            digits=state.terms.currency.digits,
            renewal_at=state.term.end,
            renewal_before=before.subtotal if before else 0,
            renewal_after=after.subtotal if after else 0,
            renewal_lines=tuple(lines_for_callers(after)) if after else (),
            sentences=quote.sentences,
        )
        follows = self._successor()
        return quoted if follows is None else _followed(quoted, follows, contract.time_zone)

    def execute(self, quote: SeatQuote, *, key: str) -> InvoiceReference | None:
        """Charge what the quote shows and set the new allocation of the pools."""
        unit = self._unit

        def allocate() -> None:
            if self.quote(quote.change) != quote:
                raise PreviewStaleError
            set_allocation(unit, quote.seats)

        charged = charge_once(unit, quote.bill, key=key, counts=Counts.SEATS, write=allocate)
        if charged.invoice is None:
            return None
        if charged.is_new:
            self._debit(state_of(unit, read_contract(unit)).terms, charged.invoice)
        return reference_to(charged.invoice)

    def renew(self) -> Renewal | None:
        """Pass the period's boundary if the unit's instant has reached it; None when it is not due."""
        unit = self._unit
        unit.lock()
        contract = read_contract(unit)
        if contract.status == ContractStatus.ENDED or unit.at < contract.period_end:
            return None
        if contract.kind in OTHER_PLANS:
            return OTHER_PLANS[contract.kind](unit).renew()
        boundary = contract.period_end
        new_plan = self._agreed_plan(contract)
        renewal = _renewal(state_of(unit, contract), seats_in_use(unit), new_plan)
        state = renewal.next_state
        seats = _counts(state.seats)
        if renewal.ended:
            contract.status = str(state.status)
            unit.session.flush()
            return Renewal(at=boundary, invoice=None, seats=seats, ended=True)
        contract.period_index = state.period_index
        contract.period_start, contract.period_end = state.term.start, state.term.end
        contract.credit_balance = state.credit_balance
        applied = None if new_plan is None else self._begin_plan(contract, new_plan)
        unit.session.execute(
            update(SeatPool)
            .where(SeatPool.org_id == unit.org_id)
            .values(price=SeatPool.next_price)
            .execution_options(synchronize_session=False)
        )
        set_allocation(unit, seats)
        if renewal.bill is None:
            return Renewal(at=boundary, invoice=None, seats=seats, ended=False, applied=applied)
        bill = bill_for_callers(renewal.bill)
        by_use = state.terms.renewal_basis is RenewalBasis.IN_USE and new_plan is None
        key = f"renewal:{boundary:%Y-%m-%dT%H:%M:%SZ}"
        counts = Counts.PEOPLE if by_use else Counts.SEATS
        invoice = issue_invoice(unit, bill, key=key, at=boundary, counts=counts)
        outcome = self._collect(state.terms, invoice)
        declined = outcome is not None and not outcome.approved
        return Renewal(
            at=boundary,
            invoice=reference_to(invoice),
            seats=seats,
            ended=False,
            payment_declined=declined,
            applied=applied,
        )

    def next_renewal(self) -> Bill | None:
        """Forecast the next renewal's bill from today's seats; None when the plan ends there or nothing is billed."""
        contract = read_contract(self._unit)
        if contract.status == ContractStatus.ENDED:
            return None
        if contract.kind in OTHER_PLANS:
            return OTHER_PLANS[contract.kind](self._unit).next_renewal() or self._successor_bill()
        state = state_of(self._unit, contract)
        bill = _renewal(state, seats_in_use(self._unit), self._agreed_plan(contract)).bill
        return bill_for_callers(bill) if bill else self._successor_bill()

    def following_bill(self) -> Bill | None:
        """Forecast what the plan bills that follows licences, beside the bill of their last month."""
        contract = read_contract(self._unit)
        if contract.kind not in LICENCE_NAMES:
            return None
        return self._successor_bill() if OTHER_PLANS[contract.kind](self._unit).next_renewal() else None

    def _successor_bill(self) -> Bill | None:
        """Return what the plan bills that is agreed to follow this one; None where none is, or nothing is billed."""
        follows = self._successor()
        return None if follows is None else follows.bill

    def _successor(self) -> StartQuote | None:
        """Quote the plan that is agreed to follow this one; None where none is."""
        ahead = agreed_change(self._unit, AgreedKind.SUCCESSOR)
        return None if ahead is None else self.quote_start(plan_of(ahead.terms, ahead.effective_at))

    def quote_plan(self, change: PlanChange) -> PlanQuote:
        """Compute what another plan would bill at the next boundary, without writing anything."""
        unit = self._unit
        contract = read_contract(unit)
        refuse_in_evaluation(contract)
        if contract.kind in OTHER_PLANS or change.kind in OTHER_PLANS:
            raise InvalidChangeError("only plans sold by seats change into each other; let any other follow this one")
        state, used = state_of(unit, contract), seats_in_use(unit)
        whole = PlanChange(
            kind=change.kind,
            cycle=change.cycle,
            prices={**state.renewal_prices, **change.prices},
            seats={**{tier: count.next for tier, count in state.seats.items()}, **change.seats},
        )
        now = PlanChange(
            contract.kind,
            contract.cycle,
            dict(state.renewal_prices),
            {tier: count.next for tier, count in state.seats.items()},
        )
        if whole == now:
            raise InvalidChangeError("nothing of the plan is changed")
        try:
            after = plan_changes.change_plan(state, self._new_plan(contract, whole), used)
            before = periods.renew(state, used)
        except RuleRefusal as refusal:
            refuse(refusal)
        return PlanQuote(
            change=whole,
            effective_at=state.term.end,
            before=bill_for_callers(before.bill) if before.bill else None,
            after=bill_for_callers(after.bill) if after.bill else None,
            currency=contract.currency,
            sentences=plan_changes.sentences(state, after, used),
        )

    def _agreed_plan(self, contract: Contract) -> plan_changes.NewPlan | None:
        """Return the plan that is agreed for the next period; None where this one goes on, or ends."""
        ahead = agreed_change(self._unit, AgreedKind.PLAN)
        if ahead is None or not contract.auto_renew:
            return None
        return self._new_plan(contract, PlanChange(**ahead.terms))

    def _new_plan(self, contract: Contract, change: PlanChange) -> plan_changes.NewPlan:
        """Return a plan that begins at the period's end.

        What was agreed beside prices and seats stays; a plan of another kind has the defaults of that kind.
        """
        pools, same_kind = read_pools(self._unit), change.kind == contract.kind
        prices = {pool.tier: change.prices.get(pool.tier, pool.next_price) for pool in pools}
        draft = ContractDraft(
            kind=change.kind,
            cycle=change.cycle,
            anchor=plan_changes.counted_from(
                contract.anchor, contract.time_zone, read_choice("cycle", Cycle, change.cycle), contract.period_end
            ),
            currency=contract.currency,
            time_zone=contract.time_zone,
            tiers=tuple(
                TierPrice(pool.tier, pool.name, pool.rank, prices[pool.tier], change.seats.get(pool.tier, 0))
                for pool in pools
            ),
            tax_rate=contract.tax_rate,
            reduction=contract.reduction if same_kind else str(Reduction.AT_RENEWAL),
            minimum_seats=contract.minimum_seats if same_kind else 0,
            proration=contract.proration if same_kind else None,
            renewal_basis=contract.renewal_basis if same_kind else None,
            contract_minimum=dict(contract.contract_minimum) if same_kind else {},
        )
        return plan_changes.NewPlan(agreed_terms(draft), prices, change.seats)

    def _begin_plan(self, contract: Contract, plan: plan_changes.NewPlan) -> str | None:
        """Write the terms and prices of the plan that begins; return the id of the agreement."""
        terms = plan.terms
        contract.kind, contract.cycle, contract.anchor = str(terms.kind), str(terms.cycle), terms.anchor
        contract.proration, contract.renewal_basis = str(terms.proration), str(terms.renewal_basis)
        contract.reduction, contract.minimum_seats = str(terms.reduction), terms.minimum_seats
        contract.contract_minimum = dict(terms.contract_minimum)
        for pool in read_pools(self._unit):
            pool.next_price = plan.prices[pool.tier]
        applied = settle_agreed(self._unit, AgreedState.APPLIED)
        self._unit.session.flush()
        return applied

    def fixed_fee(self) -> FixedFeePlan:
        """Return what only contracts for a fixed fee can do."""
        if read_contract(self._unit).kind != FIXED_FEE:
            raise InvalidChangeError("the plan has no fixed fee")
        return FixedFeePlan(self._unit)

    def _debit(self, terms: ContractTerms, invoice: Invoice) -> None:
        """Collect what a plan that is debited at once owes; refuse the whole change when it is declined (rule Q4)."""
        outcome = self._collect(terms, invoice)
        if outcome is not None and not outcome.approved:
            raise PaymentFailedError(outcome.reason or "declined")

    def _collect(self, terms: ContractTerms, invoice: Invoice) -> PaymentOutcome | None:
        """Ask for the money as the last thing, when everything else is written; None when none is due at once."""
        if terms.kind is not ContractKind.TEAM or not invoice.amount_due:
            return None
        unit = self._unit
        outcome = self._payments.collect(
            unit.org_id, invoice.amount_due, invoice.currency, key=f"{unit.org_id}:{invoice.key}"
        )
        if outcome.approved:
            unit.session.add(
                Payment(
                    org_id=unit.org_id,
                    id=new_id(),
                    invoice_id=invoice.id,
                    key=invoice.key,
                    amount=invoice.amount_due,
                    currency=invoice.currency,
                    reference=outcome.reference,
                    at=unit.at,
                )
            )
            unit.session.flush()
        return outcome


def agreed_terms(draft: ContractDraft) -> ContractTerms:
    """Read a contract's terms.

    Raises:
        InvalidInputError: Something in them is not possible; the field is named as far as it is known.
    """
    check_rate("tax_rate", draft.tax_rate)
    for tier in draft.tiers:
        if tier.price < 0 or tier.seats < 0:
            raise InvalidInputError(f"tiers.{tier.key}", "seats and prices cannot be negative")
        if tier.seats > charges.MAX_SEATS:
            raise InvalidInputError(f"tiers.{tier.key}", f"a plan has at most {charges.MAX_SEATS:,} seats of a tier")
    try:
        TierLadder(SeatTier(tier.key, tier.name, tier.rank) for tier in draft.tiers)
    except ValueError as problem:
        raise InvalidInputError("tiers", str(problem)) from problem
    for field, seats in {"minimum_seats": draft.minimum_seats, **draft.contract_minimum}.items():
        if seats > charges.MAX_SEATS:
            raise InvalidInputError(field, f"a plan has at most {charges.MAX_SEATS:,} seats of a tier")
    check_time_zone(draft.time_zone)
    kind = read_choice("kind", ContractKind, draft.kind)
    cycle = read_choice("cycle", Cycle, draft.cycle)
    proration = read_choice("proration", ProrationMethod, draft.proration) if draft.proration else None
    reduction = read_choice("reduction", Reduction, draft.reduction)
    basis = read_choice("renewal_basis", RenewalBasis, draft.renewal_basis) if draft.renewal_basis else None
    currency = read_currency(draft.currency)
    try:
        return contract_terms(
            kind,
            anchor=draft.anchor,
            currency=currency,
            cycle=cycle,
            time_zone=draft.time_zone,
            tax_rate=Fraction(draft.tax_rate),
            proration=proration,
            reduction=reduction,
            minimum_seats=draft.minimum_seats,
            auto_renew=draft.auto_renew,
            renewal_basis=basis,
            contract_minimum=draft.contract_minimum,
            tiers=tuple(Tier(tier.key, tier.name) for tier in sorted(draft.tiers, key=lambda tier: tier.rank)),
        )
    except ValueError as problem:
        raise InvalidInputError("contract", str(problem)) from problem


def _contract_row(unit: Unit, terms: ContractTerms, draft: ContractDraft) -> Contract:
    first = terms.term(0)
    return Contract(
        org_id=unit.org_id,
        kind=str(terms.kind),
        cycle=str(terms.cycle),
        anchor=first.start,
        currency=terms.currency.code,
        time_zone=terms.time_zone,
        tax_rate=draft.tax_rate,
        proration=str(terms.proration),
        reduction=str(terms.reduction),
        minimum_seats=terms.minimum_seats,
        auto_renew=terms.auto_renew,
        renewal_basis=str(terms.renewal_basis),
        contract_minimum=dict(terms.contract_minimum),
        period_index=0,
        period_start=first.start,
        period_end=first.end,
        status=str(ContractStatus.ACTIVE),
        credit_balance=0,
        billed_by=draft.billed_by,
    )


def _rule_quote(state: ContractState, change: SeatChange, used: Mapping[str, int]) -> charges.SeatQuote:
    # A unit that waited for its turn while another one renewed the plan counts from the new period's start (rule R6).
    at = max(change.at, state.term.start)
    if change.upgrade_from is None:
        return charges.change_seats(state, change.changes, at, used, _after(used, change))
    wanted = {tier: number for tier, number in change.changes.items() if number}
    if list(wanted.values()) != [1]:
        raise InvalidChangeError("an upgrade is one seat of one tier")
    return charges.upgrade(state, change.upgrade_from, next(iter(wanted)), at, used)


def _after(used: Mapping[str, int], change: SeatChange) -> dict[str, int]:
    """Return the seats in use once the change has placed people."""
    placed = change.placed
    if change.upgrade_from is not None:
        placed = {change.upgrade_from: -1, **{tier: 1 for tier, number in change.changes.items() if number}}
    return {tier: max(used.get(tier, 0) + placed.get(tier, 0), 0) for tier in dict.fromkeys([*used, *placed])}


def _renewal(state: ContractState, used: Mapping[str, int], new_plan: plan_changes.NewPlan | None) -> periods.Renewal:
    """Return what happens at the end of the present period: the plan goes on, ends, or another one begins."""
    if new_plan is None:
        return periods.renew(state, used)
    return plan_changes.change_plan(state, new_plan, used)


def _followed(quote: SeatQuote, follows: StartQuote, time_zone: str) -> SeatQuote:
    """Tell what the plan bills that follows, in the place of a renewal, and that what is bought now ends before it."""
    plan, bill = follows.contract, follows.bill
    subtotal, lines = (bill.subtotal, bill.lines) if bill else (0, ())
    billed = format_money(subtotal, Currency(plan.currency)) + " before tax" if bill else "nothing"
    seats = ", ".join(f"{tier.seats:,} {tier.name}" for tier in plan.pools) or "none"
    told = (
        f"The plan ends on {local_day(quote.renewal_at, time_zone)}, and so do its seats. The "
        f"{plan.kind.replace('_', ' ')} plan that follows bills {billed} when it begins. Its seats: {seats}."
    )
    return replace(
        quote,
        renewal_before=subtotal,
        renewal_after=subtotal,
        renewal_lines=lines,
        sentences=(*quote.sentences[:-1], told),
        followed_by=plan.kind,
    )


def _counts(seats: Mapping[str, RuleSeatCount]) -> dict[str, SeatCount]:
    return {tier: SeatCount(paid=count.paid, next=count.next) for tier, count in seats.items()}
