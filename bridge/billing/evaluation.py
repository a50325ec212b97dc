"""Evaluations: full function until a date, and no invoice (rule B2)."""

from bridge.billing.ledger import read_contract
from bridge.billing.opening import open_contract, open_pools
from bridge.billing.refusing import check_time_zone, read_currency
from bridge.billing.rules.contracts import ContractStatus
from bridge.billing.rules.terms import whole_second_utc
from bridge.billing.workspace_licences import open_licences
from bridge.domain.plan_kinds import BUILTIN, EVALUATION, LICENCE_NAMES
from bridge.errors import InvalidInputError
from bridge.ports import Bill, ContractDraft, Renewal, SeatCount, StartQuote
from bridge.store.models import Contract, Invoice
from bridge.store.pools import read_pools
from bridge.store.unit import Unit

#: What a contract has no choice about when nothing is charged.
_NOTHING = "none"


class EvaluationPlan:
    """One organization's evaluation, bound to a unit of work (:class:`bridge.billing.builtin.OtherPlan`).

    Seats are in pools, counted as exactly as any; licences are counted as ever. Only nothing costs anything.
    """

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def quote_start(self, contract: ContractDraft) -> StartQuote:
        """Check the terms; an evaluation bills nothing."""
        if contract.until is None or contract.until <= contract.anchor:
            raise InvalidInputError("until", "is missing or past: an evaluation ends at a date to come")
        if any(tier.price for tier in contract.tiers):
            raise InvalidInputError("tiers", "an evaluation costs nothing: its seats and licences have no price")
        read_currency(contract.currency)
        check_time_zone(contract.time_zone)
        return StartQuote(contract, None, whole_second_utc(contract.anchor), whole_second_utc(contract.until))

    def start(self, contract: ContractDraft) -> Invoice | None:
        """Open the evaluation with its seats, or with licences to try."""
        unit, quote = self._unit, self.quote_start(contract)
        open_contract(
            unit,
            Contract(
                org_id=unit.org_id,
                kind=EVALUATION,
                cycle=_NOTHING,
                anchor=quote.start,
                currency=contract.currency,
                time_zone=contract.time_zone,
                tax_rate=contract.tax_rate,
                proration=_NOTHING,
                reduction=_NOTHING,
                minimum_seats=0,
                auto_renew=False,
                renewal_basis=_NOTHING,
                contract_minimum={},
                period_index=0,
                period_start=quote.start,
                period_end=quote.end,
                status=str(ContractStatus.ACTIVE),
                credit_balance=0,
                billed_by=BUILTIN,
            ),
        )
        open_pools(unit, contract.pools)
        for licence in contract.tiers:
            if licence.key in LICENCE_NAMES:
                open_licences(unit, licence)
        return None

    def renew(self) -> Renewal | None:
        """End the evaluation at its date; what follows, if a plan is agreed, is the caller's."""
        unit, contract = self._unit, read_contract(self._unit)
        contract.status = str(ContractStatus.ENDED)
        unit.session.flush()
        none = {pool.tier: SeatCount(paid=0, next=0) for pool in read_pools(unit)}
        return Renewal(at=contract.period_end, invoice=None, seats=none, ended=True)

    def next_renewal(self) -> Bill | None:
        """Say that nothing is billed."""
        return None
