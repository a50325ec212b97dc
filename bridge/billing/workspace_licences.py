"""The billing core of licences by team or by person: what was in use is counted and billed at each month's end."""

import uuid
from collections.abc import Container, Sequence
from dataclasses import dataclass
from fractions import Fraction

from sqlalchemy import exists, insert, select

from bridge.billing.ledger import Counts, bill_for_callers, issue_invoice, read_contract, reference_to
from bridge.billing.opening import open_contract, open_pools
from bridge.billing.refusing import check_rate, check_time_zone, read_currency
from bridge.billing.rules import bills
from bridge.billing.rules.contracts import ContractStatus
from bridge.billing.rules.licences import (
    LicenceKind,
    LicenceMonth,
    LicenceTerms,
    Presence,
    Spell,
    Stay,
    bill_month,
    licensed_people,
    licensed_teams,
    without_returns,
)
from bridge.billing.rules.money import Currency
from bridge.billing.rules.terms import Term
from bridge.domain.documents import comparison_key
from bridge.domain.identifiers import MemberId
from bridge.domain.plan_kinds import BUILTIN
from bridge.errors import InvalidInputError
from bridge.ports import Bill, ContractDraft, Renewal, StartQuote, TierPrice
from bridge.store.agreed import goes_on
from bridge.store.models import Contract, Invoice, LicenceHolder, LicencePlan
from bridge.store.teams import (
    StayRow,
    find_licence_plan,
    forget_names,
    read_teams,
    spells_within,
    stayers_within,
    stays_within,
)
from bridge.store.unit import Unit

#: What a contract has no choice about when nothing is bought in advance.
_NOTHING = "none"


@dataclass(frozen=True, slots=True)
class _Holder:
    """A team or a person that counts for a month."""

    id: uuid.UUID
    name: str
    display_name: str


class WorkspaceLicences:
    """The plan of an organization whose teams or people are licensed (:class:`bridge.billing.builtin.OtherPlan`).

    Args:
        unit: Organization, transaction and instant.
    """

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def quote_start(self, contract: ContractDraft) -> StartQuote:
        """Check the terms; nothing is billed before the first month's end (rule W7)."""
        first = agreed_licence_terms(contract).month(0).term
        return StartQuote(contract, None, first.start, first.end)

    def start(self, contract: ContractDraft) -> Invoice | None:
        """Open the contract; nothing is billed before the first month's end (rule W7)."""
        unit = self._unit
        unit.lock()
        terms = agreed_licence_terms(contract)
        first = terms.month(0).term
        open_contract(
            unit,
            Contract(
                org_id=unit.org_id,
                kind=str(terms.kind),
                cycle="month",
                anchor=first.start,
                currency=terms.currency.code,
                time_zone=terms.time_zone,
                tax_rate=contract.tax_rate,
                proration=_NOTHING,
                reduction=_NOTHING,
                minimum_seats=0,
                auto_renew=terms.auto_renew,
                renewal_basis="in_use",
                contract_minimum={},
                period_index=0,
                period_start=first.start,
                period_end=first.end,
                status=str(ContractStatus.ACTIVE),
                credit_balance=0,
                billed_by=BUILTIN,
            ),
        )
        open_pools(unit, ())
        open_licences(unit, contract.tiers[0])
        return None

    def renew(self) -> Renewal | None:
        """Bill the month whose end the unit's instant has reached; None when it is not over.

        Without auto-renewal the plan ends there; its last month is billed all the same.
        """
        unit = self._unit
        unit.lock()
        contract = read_contract(unit)
        if contract.status == ContractStatus.ENDED or unit.at < contract.period_end:
            return None
        boundary, terms = contract.period_end, _terms_of(contract)
        month = terms.month(contract.period_index)
        plan = self._plan()
        holders = self._holders(terms, month.term)
        bill = self._bill(terms, month, len(holders), plan.price)
        ended = not goes_on(unit, contract)
        if ended:
            contract.status = str(ContractStatus.ENDED)
        else:
            following = terms.month(contract.period_index + 1).term
            contract.period_index += 1
            contract.period_start, contract.period_end = following.start, following.end
            plan.price = plan.next_price
        invoice = None
        if bill is not None:
            contract.credit_balance += bill.balance_change
            counts = Counts.TEAMS if terms.kind is LicenceKind.TEAM else Counts.PEOPLE
            key = f"month:{month.name}"
            invoice = issue_invoice(unit, bill_for_callers(bill), key=key, at=boundary, counts=counts)
            unit.session.execute(
                insert(LicenceHolder),
                [
                    {
                        "org_id": unit.org_id,
                        "month": month.name,
                        "unit_id": holder.id,
                        "kind": str(terms.kind),
                        "name": holder.name,
                        "display_name": holder.display_name,
                        "invoice_id": invoice.id,
                    }
                    for holder in holders
                ],
            )
        forget_names(unit, boundary)
        unit.session.flush()
        return Renewal(at=boundary, invoice=reference_to(invoice) if invoice else None, seats={}, ended=ended)

    def next_renewal(self) -> Bill | None:
        """Forecast the present month's bill from what counts already; None when nothing does."""
        contract = read_contract(self._unit)
        if contract.status == ContractStatus.ENDED:
            return None
        terms = _terms_of(contract)
        month = terms.month(contract.period_index)
        # What is open goes on until the month's end, and so counts, as soon as it has begun.
        holders = self._holders(terms, month.term)
        bill = self._bill(terms, month, len(holders), self._plan().price)
        return bill_for_callers(bill) if bill else None

    def _bill(self, terms: LicenceTerms, month: LicenceMonth, units: int, price: int) -> bills.Bill | None:
        """Compute a month's bill; None when nothing counts, or the month was billed before (rules W2 and W4).

        A plan that begins in such a month is refused; one that was agreed all the same passes its boundary.
        """
        unit = self._unit
        billed = exists().where(LicenceHolder.org_id == unit.org_id, LicenceHolder.month == month.name)
        if unit.session.scalar(select(billed)):
            return None
        return bill_month(terms, month, units, price, read_contract(unit).credit_balance)

    def _plan(self) -> LicencePlan:
        plan = find_licence_plan(self._unit)
        if plan is None:
            raise RuntimeError("a contract for licences has no price")
        return plan

    def _holders(self, terms: LicenceTerms, term: Term) -> list[_Holder]:
        """Return what counts for a month, in the order of names (rules W1 to W4)."""
        unit = self._unit
        unarchived: dict[uuid.UUID, list[Spell]] = {}
        for spell in spells_within(unit, term.start, term.end):
            unarchived.setdefault(spell.team_id, []).append(Spell(spell.since, spell.until))
        if terms.kind is LicenceKind.TEAM:
            counted = licensed_teams(unarchived, term)
            return [_Holder(team.id, team.name, team.name) for team in read_teams(unit) if team.id in counted]
        rows = stays_within(unit, term.start, term.end)
        stays = [Stay(row.member_id, row.team_id, Spell(row.since, row.until)) for row in rows]
        people = licensed_people(stays, unarchived, term)
        here = stayers_within(unit, term.start, term.end)
        # Who has left no name is listed by id: a bill never waits for one.
        names: dict[uuid.UUID, tuple[str, str]] = {person: (str(person), "") for person in people}
        names |= {row.member_id: (row.user_name, row.display_name or "") for row in rows if row.user_name}
        names |= {member_id: (one.user_name, one.display_name) for member_id, one in here.items()}
        times = _removed_times(rows, here) | {member_id: Spell(one.created_at) for member_id, one in here.items()}
        # Who was removed and came back is another member with the same userName.
        counted = without_returns(
            Presence(person, comparison_key(names[person][0]), times[person]) for person in people
        )
        return sorted(
            (_Holder(person, *names[person]) for person in counted), key=lambda holder: (holder.name, holder.id)
        )


def _removed_times(rows: Sequence[StayRow], here: Container[MemberId]) -> dict[MemberId, Spell]:
    """Return from when to when people were in teams who have been removed since."""
    times: dict[MemberId, Spell] = {}
    for row in rows:
        if row.member_id not in here:
            known = times.get(row.member_id, Spell(row.since, row.until))
            ended = None if row.until is None or known.end is None else max(row.until, known.end)
            times[row.member_id] = Spell(min(row.since, known.start), ended)
    return times


def open_licences(unit: Unit, licence: TierPrice) -> None:
    """Write what a licence costs."""
    price = licence.price
    unit.session.add(LicencePlan(org_id=unit.org_id, kind=licence.key, price=price, next_price=price))
    unit.session.flush()


def agreed_licence_terms(draft: ContractDraft) -> LicenceTerms:
    """Read the terms of a plan of licences.

    Raises:
        InvalidInputError: Something in them is not possible; the field is named as far as it is known.
    """
    check_rate("tax_rate", draft.tax_rate)
    if [tier.key for tier in draft.tiers] != [draft.kind]:
        raise InvalidInputError("tiers", f"a {draft.kind} plan has one price, that of a {draft.kind}")
    licence = draft.tiers[0]
    if licence.price < 0:
        raise InvalidInputError(f"tiers.{licence.key}", "a price cannot be negative")
    if licence.seats:
        raise InvalidInputError(f"tiers.{licence.key}", "licences are counted as they are used: none is bought ahead")
    if draft.cycle != "month":
        raise InvalidInputError("cycle", "licences are billed by the calendar month")
    chosen = {
        "proration": draft.proration is not None,
        "reduction": draft.reduction != "at_renewal",
        "minimum_seats": bool(draft.minimum_seats),
        "renewal_basis": draft.renewal_basis is not None,
        "contract_minimum": bool(draft.contract_minimum),
    }
    for field, is_chosen in chosen.items():
        if is_chosen:
            raise InvalidInputError(field, "is for plans sold by seats: licences are counted, whole, for each month")
    check_time_zone(draft.time_zone)
    currency = read_currency(draft.currency)
    try:
        return LicenceTerms(
            kind=LicenceKind(draft.kind),
            anchor=draft.anchor,
            currency=currency,
            time_zone=draft.time_zone,
            tax_rate=Fraction(draft.tax_rate),
            auto_renew=draft.auto_renew,
        )
    except ValueError as problem:
        raise InvalidInputError("contract", str(problem)) from problem


def _terms_of(contract: Contract) -> LicenceTerms:
    return LicenceTerms(
        kind=LicenceKind(contract.kind),
        anchor=contract.anchor,
        currency=Currency(contract.currency),
        time_zone=contract.time_zone,
        tax_rate=Fraction(contract.tax_rate),
        auto_renew=contract.auto_renew,
    )
