"""Why somebody has what they have: one sentence, the steps to it, what would change it, and what it was charged for.

The console, the command line and programs show the same sentences, which are made here.
"""

import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select

from bridge.billing.ledger import Counts
from bridge.billing.rules.wording import counted, local_day
from bridge.domain.identifiers import MemberId
from bridge.domain.plan_kinds import EVALUATION, FIXED_FEE, LICENCE_NAMES
from bridge.domain.product_roles import ProductRole
from bridge.domain.roles import Permission
from bridge.store.directory import mapping_set_in_force
from bridge.store.models import (
    Contract,
    Decision,
    Group,
    Invoice,
    InvoiceLine,
    LicenceHolder,
    LoggedRequest,
    Member,
    TeamSpell,
)
from bridge.store.pools import read_pools
from bridge.store.teams import spells_within, stays_within
from bridge.store.unit import Unit
from bridge.usecases.assign_seats import holding_of, person_facts
from bridge.usecases.explain import ExplainedDecision, Explanation, explain_member
from bridge.usecases.held_roles import known_roles, roles_of
from bridge.usecases.purses import open_purse
from bridge.usecases.waiting_people import waiting_people
from mappings.people import Person, Pool
from mappings.what_if import alternatives

_OCCASIONS = {
    "arrived": "Arrived",
    "regrouped": "Groups or attributes changed",
    "remapped": "The rules changed",
    "promotion": "A seat became free",
    "assigned": "Placed by hand",
    "deactivated": "Access turned off",
    "plan_ended": "The plan ended",
    "plan_began": "A plan began",
}
_CHARGES_SHOWN = 36
_TRIED = "It is a seat of the evaluation, which costs nothing"
_NOTHING_COSTS = "The organization is in evaluation, which costs nothing"
_BY_HAND = {"manual", "purchased"}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a decision, without a full stop.

    Attributes:
        text: What was so.
        detail: More about it.
        decides: Whether the outcome follows from it.
        invoice_id: The invoice it speaks of.
    """

    text: str
    detail: str = ""
    decides: bool = False
    invoice_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class PersonCharge:
    """A line of an invoice that this person stands behind.

    Attributes:
        reason: ``bought`` for this person; ``counted``: the quantity counts people, this one among them; ``held``: the
            person held one of the seats that the line paid for.
        amount: Minor units before tax that are due to this person: where it was bought, one seat's share of the line,
            so that the shares of everybody it was bought for sum up to it; else the price of one.
        text: What it is, without a full stop.
    """

    at: datetime
    invoice_id: uuid.UUID
    invoice_number: str
    position: int
    reason: str
    tier: str
    amount: int
    currency: str
    formula: str
    text: str


@dataclass(frozen=True, slots=True)
class WhyPerson:
    """One person explained.

    Attributes:
        explanation: The stored facts.
        sentence: The whole answer, ending with a full stop.
        steps: How it came to it, in order; empty where nothing was decided.
        would_change: What would change it, one sentence for each, ending with a full stop.
        history: Every decision, newest first.
        logged: Request ids of the history that the provisioning log still holds.
        charges: Newest first; empty for who may not see money (rule Z1).
    """

    explanation: Explanation
    sentence: str
    steps: tuple[Step, ...]
    would_change: tuple[str, ...]
    history: tuple[ExplainedDecision, ...]
    logged: frozenset[str]
    charges: tuple[PersonCharge, ...]


def why_person(unit: Unit, member_id: MemberId) -> WhyPerson:
    """Explain what somebody has.

    Raises:
        ForbiddenError: Neither an admin nor the person asks.
        NotFoundError: There is no such member here.
    """
    found = explain_member(unit, member_id)
    contract = unit.session.get_one(Contract, unit.org_id)
    if contract.kind == FIXED_FEE:
        sentence, would_change = _by_roles(unit, found.member)
    elif contract.kind in LICENCE_NAMES:
        sentence, would_change = _by_licence(unit, found, contract)
    else:
        sentence, would_change = found.sentence, _by_seat(unit, found)
        if contract.kind == EVALUATION and contract.status == "active":
            until = local_day(contract.period_end, contract.time_zone)
            sentence += f" {_TRIED if found.member.tier else _NOTHING_COSTS} until {until}."
    sees_money = unit.actor.may(Permission.SEE_BILLING)
    return WhyPerson(
        explanation=found,
        sentence=sentence,
        steps=tuple(_steps(found)) if len(found.ladder) else (),
        would_change=would_change,
        history=found.decisions,
        logged=_logged(unit, [decision.request_id for decision in found.decisions]),
        charges=tuple(_charges(unit, member_id, found)[:_CHARGES_SHOWN]) if sees_money else (),
    )


def _steps(found: Explanation) -> Iterator[Step]:
    now = found.current
    if now is None:
        return
    yield Step(
        f"{_OCCASIONS.get(now.occasion, now.occasion.replace('_', ' ').capitalize())}, by {now.actor}",
        f"Request {now.request_id}",
        decides=True,
    )
    seen = f"Groups seen: {', '.join(now.groups)}" if now.groups else "No groups were seen"
    yield Step(seen, decides=bool(now.groups))
    version = f"Version {now.mapping_version} of the mappings"
    if now.rule:
        number = f"Rule {now.rule_number}" if now.rule_number else "A rule"
        yield Step(f"{number} decided: {now.rule}", version, decides=True)
    elif now.reason in _BY_HAND:
        yield Step("No rule was asked: the choice was made by hand")
    else:
        yield Step("No rule spoke of the seat", version)
    for losing in now.losing:
        yield Step(f"{losing[:1].upper()}{losing[1:]} matched too, and gives less")
    for name, (used, total) in now.pools.items():
        free = total - used
        yield Step(f"{name}: {used:,} of {total:,} in use right after, {free:,} free")
    outcome = f"{now.from_name} → {now.to_name}" if now.moves else f"Stays on {now.to_name}"
    if now.waiting_for:
        outcome += f", in line for {_wanted(found, now.waiting_for)}"
    yield Step(outcome, f"{now.because[:1].upper()}{now.because[1:]}", decides=True)
    if now.invoice_id:
        yield Step(f"Paid by invoice {now.invoice_number}", invoice_id=now.invoice_id)
    elif now.was_paid_for:
        yield Step("A seat was bought for it")
    else:
        yield Step("No charge")


def _wanted(found: Explanation, tier: str) -> str:
    return "any tier" if tier == "any" else found.ladder.name_of(tier)


def _by_seat(unit: Unit, found: Explanation) -> tuple[str, ...]:
    member = found.member
    person = Person(
        member_id=member.id,
        facts=person_facts(member.document, (group.id for group in found.groups), member.connection_id),
        holding=holding_of(member),
        waiting_since=member.waiting_since,
    )
    options = alternatives(
        person,
        mapping_set_in_force(unit, found.ladder),
        found.ladder,
        {pool.tier: Pool(seats=pool.total, used=pool.used) for pool in read_pools(unit)},
        waiting_people(unit),
        active=member.active,
        joinable=_own_groups(unit, member),
        purse=open_purse(unit),
    )
    place = () if found.place is None else (_place(found),)
    return (*place, *(option.sentence(member.display_name, found.ladder) for option in options))


def _own_groups(unit: Unit, member: Member) -> frozenset[str]:
    """Return the groups of the person's own connection: no other's take them in."""
    own = select(Group.id).where(Group.org_id == unit.org_id, Group.connection_id == member.connection_id)
    return frozenset(str(group_id) for group_id in unit.session.scalars(own))


def _place(found: Explanation) -> str:
    place = found.place
    if place is None:
        return ""
    name = found.member.display_name
    return f"{name} is number {place.place:,} of {place.length:,} in line for {_wanted(found, place.waiting_for)}."


def _by_roles(unit: Unit, member: Member) -> tuple[str, tuple[str, ...]]:
    """Explain a user by role: one paid role makes the user paid (rules U1 and U2)."""
    roles, name = roles_of(unit, member.id), member.display_name
    if not member.active:
        return f"{name} is no user: access is turned off.", (f"Turning access on would make {name} a user again.",)
    if not roles:
        known = known_roles(unit).values()
        paid, free = (_listed([role for role in known if role.paid is is_paid]) for is_paid in (True, False))
        made = (f"Any of {paid} would make {name} a paid user.", f"Any of {free} would make {name} a free one.")
        return f"{name} has no role in the product yet, and so is no user.", made
    paid_roles = [role for role in roles if role.paid]
    listed = _listed(roles)
    if not paid_roles:
        return (
            f"{name} is a free user because every role held is free: {listed}.",
            (f"Any paid role would make {name} a paid user, which costs nothing.",),
        )
    left = [role for role in roles if not role.paid]
    then = f"a free user, by {_listed(left)}" if left else "no user"
    word = "Without the role" if len(paid_roles) == 1 else "Without the roles"
    return (
        f"{name} is a paid user because of {_listed(paid_roles)}; held: {listed}.",
        (f"{word} {_listed(paid_roles)} {name} would be {then}.",),
    )


def _listed(roles: Sequence[ProductRole]) -> str:
    return ", ".join(role.name for role in roles)


def _by_licence(unit: Unit, found: Explanation, contract: Contract) -> tuple[str, tuple[str, ...]]:
    """Explain whether somebody counts for the present month (rules W1 to W4)."""
    name, teams = found.member.display_name, ", ".join(found.teams)
    if contract.kind == "team_licence":
        where = f"is in {teams}" if teams else "is in no team"
        return f"Teams are counted, not people: {name} {where}.", ()
    start, end = contract.period_start, contract.period_end
    following = local_day(end, contract.time_zone)
    spells = spells_within(unit, start, end)
    counting = [
        stay
        for stay in stays_within(unit, start, end, found.member.id)
        if any(
            spell.team_id == stay.team_id
            and max(stay.since, spell.since, start) < min(stay.until or end, spell.until or end, end)
            for spell in spells
        )
    ]
    if contract.status != "active":
        return f"{name} does not count: the plan has ended.", ()
    if not counting:
        return (
            f"{name} does not count for this month: in no team so far that was not archived.",
            (f"Joining a team that is not archived would count {name} from this month on.",),
        )
    goes_on = [stay for stay in counting if stay.until is None and _is_open(stay.team_id, spells)]
    if goes_on:
        change = f"Leaving or archiving {teams} would spare {name} from {following} on; this month counts all the same."
    else:
        change = f"Nothing counts {name} any more from {following} on, unless they join a team again."
    number = len({stay.team_id for stay in counting})
    was = f"{counted(number, 'team')} that {'was' if number == 1 else 'were'} not archived"
    return f"{name} counts for this month, once: in {was} at some time of it.", (change,)


def _is_open(team_id: uuid.UUID, spells: Sequence[TeamSpell]) -> bool:
    return any(spell.team_id == team_id and spell.until is None for spell in spells)


def _logged(unit: Unit, request_ids: Sequence[str]) -> frozenset[str]:
    """Return which of these requests the provisioning log still holds."""
    if not request_ids:
        return frozenset()
    held = select(LoggedRequest.request_id).where(
        LoggedRequest.org_id == unit.org_id, LoggedRequest.request_id.in_(set(request_ids))
    )
    return frozenset(unit.session.scalars(held))


def _charges(unit: Unit, member_id: MemberId, found: Explanation) -> list[PersonCharge]:
    """Return the lines that a person stands behind, newest first."""
    decisions = unit.session.scalars(
        select(Decision)
        .where(Decision.org_id == unit.org_id, Decision.member_id == member_id)
        .order_by(Decision.seq.desc())
    ).all()
    bought = _bought_for(unit, {decision.invoice_id for decision in decisions if decision.invoice_id is not None})
    months = set(
        unit.session.scalars(
            select(LicenceHolder.invoice_id).where(
                LicenceHolder.org_id == unit.org_id, LicenceHolder.unit_id == member_id
            )
        )
    )
    rows = unit.session.execute(
        select(Invoice, InvoiceLine)
        .join(InvoiceLine, (InvoiceLine.org_id == Invoice.org_id) & (InvoiceLine.invoice_id == Invoice.id))
        .where(Invoice.org_id == unit.org_id)
        .order_by(Invoice.at.desc(), Invoice.number.desc(), InvoiceLine.position)
    )
    charges = []
    for invoice, line in rows:
        if invoice.id in bought:
            behind = bought[invoice.id].get((line.kind == "seat_credit", line.tier), [])
            if member_id in behind:
                charges.append(_share(invoice, line, behind.index(member_id), len(behind)))
        elif invoice.id in months:
            text = "One of the people that the month counts"
            charges.append(_charge(invoice, line, "counted", line.unit_price, text))
        elif invoice.reason in {"start", "renewal"}:
            held = next((one.to_tier for one in decisions if one.seq <= invoice.journal_seq), None)
            if held is not None and held == line.tier:
                name = found.ladder.name_of(line.tier)
                by_use = invoice.counts == Counts.PEOPLE
                text = f"Held a {name} seat when the period began"
                charges.append(_charge(invoice, line, "counted" if by_use else "held", line.unit_price, text))
    return charges


def _bought_for(
    unit: Unit, invoice_ids: Collection[uuid.UUID]
) -> dict[uuid.UUID, dict[tuple[bool, str], list[MemberId]]]:
    """Return for whom invoices were issued, by tier, in order; with True, those who gave up a seat of the tier."""
    if not invoice_ids:
        return {}
    found: dict[uuid.UUID, dict[tuple[bool, str], list[MemberId]]] = {}
    rows = unit.session.scalars(
        select(Decision)
        .where(Decision.org_id == unit.org_id, Decision.invoice_id.in_(invoice_ids))
        .order_by(Decision.seq)
    )
    for decision in rows:
        if decision.invoice_id is None:
            continue
        by_tier = found.setdefault(decision.invoice_id, {})
        for given_up, tier in ((False, decision.to_tier), (True, decision.from_tier)):
            people = [] if tier is None else by_tier.setdefault((given_up, tier), [])
            if decision.member_id not in people:
                people.append(decision.member_id)
    return found


def _share(invoice: Invoice, line: InvoiceLine, place: int, people: int) -> PersonCharge:
    """Charge one of the seats that were bought together; whole minor units that sum up to the line."""
    seats = max(abs(line.quantity), people)
    amount = line.amount * (place + 1) // seats - line.amount * place // seats
    if seats == 1:
        return _charge(invoice, line, "bought", amount, "Bought for this person")
    charge = _charge(invoice, line, "bought", amount, f"One of {seats:,} seats bought together")
    return replace(charge, formula=f"{line.formula}, of that 1/{seats}")


def _charge(invoice: Invoice, line: InvoiceLine, reason: str, amount: int, text: str) -> PersonCharge:
    return PersonCharge(
        at=invoice.at,
        invoice_id=invoice.id,
        invoice_number=invoice.number,
        position=line.position,
        reason=reason,
        tier=line.tier,
        amount=amount,
        currency=invoice.currency,
        formula=line.formula,
        text=text,
    )
