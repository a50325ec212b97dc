"""Contracts for a fixed annual fee over our own tables: the rules decide, the ledger writes (rules U4 to U7)."""

import re
from dataclasses import replace
from fractions import Fraction
from typing import Any

from bridge.billing.ledger import (
    Counts,
    balance_change,
    bill_for_callers,
    charge_once,
    issue_invoice,
    read_contract,
    reference_to,
)
from bridge.billing.opening import credit_of, open_contract, open_pools, start_key
from bridge.billing.refusing import check_rate, check_time_zone, read_currency, refuse
from bridge.billing.rules import amendments, fee_terms, instalments
from bridge.billing.rules.contracts import ContractStatus
from bridge.billing.rules.fee_terms import FeeDeal, FeeState, FeeTerms
from bridge.billing.rules.money import Currency
from bridge.billing.rules.proration import ProrationMethod
from bridge.billing.rules.refusals import RuleRefusal
from bridge.billing.rules.terms import Cycle
from bridge.domain.plan_kinds import BUILTIN, FIXED_FEE
from bridge.errors import InvalidInputError, PreviewStaleError
from bridge.ports import (
    Bill,
    ContractDraft,
    FeeChange,
    FeeDraft,
    FeeFacts,
    FeeQuote,
    InvoiceReference,
    Renewal,
    StartQuote,
)
from bridge.store.agreed import AgreedKind, AgreedState, agree, agreed_change, goes_on, settle_agreed
from bridge.store.models import Contract, FixedFee, Invoice
from bridge.store.unit import Unit

_SHARE = re.compile(r"[0-9]{1,9}(\.[0-9]{1,18}|/[1-9][0-9]{0,8})?", re.ASCII)


class FixedFeePlan:
    """One organization's contract, bound to a unit of work (:class:`bridge.ports.FixedFee`)."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def quote_start(self, contract: ContractDraft) -> StartQuote:
        """Compute the first instalment, if one is due at once."""
        terms, deal, _ = _agreed(contract)
        bill, first = instalments.start(terms, deal, credit_of(self._unit)).bill, terms.period(0)
        return StartQuote(contract, bill_for_callers(bill) if bill else None, first.start, first.end)

    def start(self, contract: ContractDraft) -> Invoice | None:
        """Open the contract and bill the first instalment, if one is due at once."""
        unit = self._unit
        terms, deal, fee = _agreed(contract)
        bill, key = self.quote_start(contract).bill, start_key(unit, terms.period(0).start)
        row = open_contract(unit, _contract_row(unit, terms, contract.tax_rate))
        open_pools(unit, ())
        unit.session.add(
            FixedFee(
                org_id=unit.org_id,
                annual_fee=deal.annual_fee,
                tier=deal.tier,
                paid_users=deal.paid_users,
                year_annual_fee=deal.annual_fee,
                year_tier=deal.tier,
                year_paid_users=deal.paid_users,
                discount=fee.discount,
                term_years=terms.term_years,
                schedule=[{"month": one.month, "share": str(one.share)} for one in terms.schedule],
            )
        )
        unit.session.flush()
        if bill is None:
            return None
        row.credit_balance += balance_change(bill)
        return issue_invoice(unit, bill, key=key, at=terms.period(0).start, counts=Counts.FEE)

    def renew(self) -> Renewal | None:
        """Pass one boundary: an instalment, a contract year, a term, or the contract's end."""
        unit = self._unit
        contract, row = self._rows()
        boundary = contract.period_end
        step = instalments.renew(self._state(contract, row))
        state = step.next_state
        if step.ended:
            contract.status = str(state.status)
            unit.session.flush()
            return Renewal(at=boundary, invoice=None, seats={}, ended=True)
        contract.period_index = state.index
        contract.period_start, contract.period_end = state.period.start, state.period.end
        contract.credit_balance = state.credit_balance
        applied = settle_agreed(unit, AgreedState.APPLIED) if step.new_term else None
        row.annual_fee, row.tier, row.paid_users = state.deal.annual_fee, state.deal.tier, state.deal.paid_users
        deal = state.year_deal
        row.year_annual_fee, row.year_tier, row.year_paid_users = deal.annual_fee, deal.tier, deal.paid_users
        unit.session.flush()
        invoice = None
        if step.bill is not None:
            key = f"renewal:{boundary:%Y-%m-%dT%H:%M:%SZ}"
            invoice = reference_to(
                issue_invoice(unit, bill_for_callers(step.bill), key=key, at=boundary, counts=Counts.FEE)
            )
        return Renewal(
            at=boundary,
            invoice=invoice,
            seats={},
            ended=False,
            reason="instalment",
            new_term=step.new_term,
            applied=applied,
        )

    def next_renewal(self) -> Bill | None:
        """Forecast the next instalment; None when no other follows."""
        step = instalments.forecast(self._state(*self._rows()))
        return bill_for_callers(step.bill) if step is not None and step.bill is not None else None

    def facts(self) -> FeeFacts:
        """Say what is agreed and where the contract stands."""
        contract, row = self._rows()
        state = self._state(contract, row)
        terms = state.terms
        term, year = terms.whole_term(state.index), terms.year(terms.year_of(state.index))
        step = instalments.forecast(state)
        return FeeFacts(
            annual_fee=row.annual_fee,
            fee=state.deal.fee(terms),
            year_fee=state.year_deal.fee(terms),
            currency=contract.currency,
            tier=row.tier,
            paid_users=row.paid_users,
            discount=row.discount,
            schedule=tuple((one.month, str(one.share)) for one in terms.schedule),
            term_years=terms.term_years,
            term_start=term.start,
            term_end=term.end,
            year_start=year.start,
            year_end=year.end,
            next_at=None if step is None else step.next_state.period.start,
        )

    def quote(self, change: FeeChange) -> FeeQuote:
        """Compute an amendment's billing effect without writing anything."""
        contract, row = self._rows()
        if contract.period_end <= self._unit.at and contract.status != ContractStatus.ENDED:
            self._unit.lock()  # which passes the boundary first (rule R6)
            contract, row = self._rows()
        state = self._state(contract, row)
        # A unit that waited for its turn while another one passed the boundary counts from there (rule R6).
        at = max(change.at, state.period.start)
        wanted = amendments.Amendment(annual_fee=change.annual_fee, tier=change.tier, paid_users=change.paid_users)
        try:
            quote = (amendments.agree_ahead if change.ahead else amendments.amend)(state, wanted, at)
        except RuleRefusal as refusal:
            refuse(refusal)
        deal = (quote.next_state.next_deal if change.ahead else None) or quote.next_state.deal
        return FeeQuote(
            change=change,
            bill=bill_for_callers(quote.bill) if quote.bill else None,
            annual_fee=deal.annual_fee,
            tier=deal.tier,
            paid_users=deal.paid_users,
            currency=contract.currency,
            effective_at=quote.effective,
            fee_before=quote.fee_before,
            fee_after=quote.fee_after,
            sentences=quote.sentences,
        )

    def execute(self, quote: FeeQuote, *, key: str) -> InvoiceReference | None:
        """Charge what the quote shows and write the contract as amended."""
        unit = self._unit

        def write() -> None:
            if self.quote(quote.change) != quote:
                raise PreviewStaleError
            if quote.change.ahead:
                self._agree(quote)
                return
            row = self._rows()[1]
            row.annual_fee, row.tier, row.paid_users = quote.annual_fee, quote.tier, quote.paid_users
            unit.session.flush()

        invoice = charge_once(unit, quote.bill, key=key, counts=Counts.FEE, write=write).invoice
        return reference_to(invoice) if invoice else None

    def _agree(self, quote: FeeQuote) -> None:
        """Keep what counts from the next term on; only what was named: the rest is as it stands when that begins."""
        change = quote.change
        named = {"annual_fee": change.annual_fee, "tier": change.tier, "paid_users": change.paid_users}
        terms = {name: value for name, value in named.items() if value is not None}
        agree(self._unit, AgreedKind.FEE, terms, effective_at=quote.effective_at)

    def _rows(self) -> tuple[Contract, FixedFee]:
        unit = self._unit
        return read_contract(unit), unit.session.get_one(FixedFee, unit.org_id, populate_existing=True)

    def _state(self, contract: Contract, row: FixedFee) -> FeeState:
        """Return where the contract stands, as the rules take it."""
        ahead = agreed_change(self._unit, AgreedKind.FEE)
        terms = FeeTerms(
            anchor=contract.anchor,
            currency=Currency(contract.currency),
            time_zone=contract.time_zone,
            tax_rate=Fraction(contract.tax_rate),
            schedule=fee_terms.custom_schedule((one["month"], Fraction(one["share"])) for one in row.schedule),
            term_years=row.term_years,
            auto_renew=goes_on(self._unit, contract),
            discount=Fraction(row.discount),
        )
        deal = FeeDeal(row.annual_fee, row.tier, row.paid_users)
        return FeeState(
            terms=terms,
            index=contract.period_index,
            status=ContractStatus(contract.status),
            deal=deal,
            year_deal=FeeDeal(row.year_annual_fee, row.year_tier, row.year_paid_users),
            credit_balance=contract.credit_balance,
            next_deal=None if ahead is None else replace(deal, **ahead.terms),
        )


def _agreed(draft: ContractDraft) -> tuple[FeeTerms, FeeDeal, FeeDraft]:
    """Read what is agreed.

    Raises:
        InvalidInputError: Something in it is not possible; the field is named as far as it is known.
    """
    fee = draft.fee
    if fee is None:
        raise InvalidInputError("contract.fee", "a contract for a fixed fee names the fee, the tier and its paid users")
    check_rate("tax_rate", draft.tax_rate)
    check_rate("discount", fee.discount)
    try:
        schedule = _schedule(fee.schedule)
    except ValueError as problem:
        raise InvalidInputError("schedule", str(problem)) from problem
    check_time_zone(draft.time_zone)
    currency = read_currency(draft.currency)
    try:
        terms = FeeTerms(
            anchor=draft.anchor,
            currency=currency,
            time_zone=draft.time_zone,
            tax_rate=Fraction(draft.tax_rate),
            schedule=schedule,
            term_years=fee.term_years,
            auto_renew=draft.auto_renew,
            discount=Fraction(fee.discount),
        )
        deal = FeeDeal(fee.annual_fee, fee.tier, fee.paid_users)
    except ValueError as problem:
        raise InvalidInputError("contract", str(problem)) from problem
    return terms, deal, fee


def _schedule(wanted: str | tuple[tuple[int, str], ...]) -> tuple[fee_terms.Instalment, ...]:
    if not isinstance(wanted, str):
        return fee_terms.custom_schedule((month, _fraction(part)) for month, part in wanted)
    if wanted not in fee_terms.SCHEDULES:
        raise ValueError(
            f"{wanted!r} is not one of {', '.join(fee_terms.SCHEDULES)}, and no list of months with shares"
        )
    return fee_terms.SCHEDULES[wanted]


def _fraction(text: str) -> Fraction:
    if not _SHARE.fullmatch(text):
        raise ValueError(f"{text!r} is no share such as 0.25 or 1/3")
    return Fraction(text)


def _contract_row(unit: Unit, terms: FeeTerms, tax_rate: str) -> Contract:
    first = terms.period(0)
    seatless: dict[str, Any] = {"reduction": "at_renewal", "renewal_basis": "allocated", "minimum_seats": 0}
    return Contract(
        org_id=unit.org_id,
        kind=FIXED_FEE,
        cycle=str(Cycle.YEAR),
        anchor=first.start,
        currency=terms.currency.code,
        time_zone=terms.time_zone,
        tax_rate=tax_rate,
        proration=str(ProrationMethod.MONTH_DAY),
        auto_renew=terms.auto_renew,
        contract_minimum={},
        period_index=0,
        period_start=first.start,
        period_end=first.end,
        status=str(ContractStatus.ACTIVE),
        credit_balance=0,
        billed_by=BUILTIN,
        **seatless,
    )
