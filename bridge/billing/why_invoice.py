"""Why an invoice says what it says: for each line the event, the people, the arithmetic, and what is new in it.

What caused an invoice, and who held a seat then, is read from the journal at the place where it stood when the invoice
was written; who held a licence was written with it. Both are append-only, so the answer never changes.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import select

from bridge.billing.documents import document_of
from bridge.billing.ledger import Counts
from bridge.billing.rules.arithmetic import arithmetic_steps
from bridge.billing.rules.money import Currency, format_money
from bridge.billing.rules.wording import counted, day_text, local_day
from bridge.domain.identifiers import MemberId
from bridge.store.models import AuditEntry, Contract, Decision, Invoice, InvoiceLine, LicenceHolder
from bridge.store.pools import ladder_of, read_pools
from bridge.store.teams import read_teams, spells_within, stays_within
from bridge.store.unit import Unit
from bridge.usecases.explain import name_actors, stored_because
from bridge.usecases.journal_facts import (
    decisions_between,
    entries_between,
    entry_naming_invoice,
    holders_at,
)
from bridge.usecases.mirror_core import is_mirrored
from bridge.usecases.people import name_people
from bridge.usecases.seats import InvoiceView, read_invoice
from mappings.tiers import TierLadder

GONE = "somebody who has left"
_FAMILIES = ({"start", "renewal"}, {"month"}, {"instalment"})
_ACTIONS = {
    "organization.created": "the plan began",
    "contract.renewed": "a period ended and the next one began",
    "plan.ended": "the plan ended",
    "plan.began": "another plan began",
    "seats.changed": "seats were changed",
    "contract.amended": "the contract was amended",
    "invoice.mirrored": "the billing core issued it",
}


@dataclass(frozen=True, slots=True)
class Cause:
    """The entry of the audit chain that an invoice belongs to; ``text`` says what happened, without a full stop."""

    seq: int
    at: datetime
    action: str
    actor: str
    request_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Counted:
    """Somebody, or a team, behind a line; ``detail`` says why they are."""

    id: uuid.UUID
    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class WhyLine:
    """One line explained; every sentence ends with a full stop.

    Attributes:
        line: The line as it was written.
        name: What it charges for, as people read it.
        sentence: The whole answer.
        steps: The arithmetic.
        people: Who stands behind it: whom it counts where ``counts`` is people or teams, else who held the seats.
        counts: What the quantity counts: one of :class:`bridge.billing.ledger.Counts`.
        unheld: Part of the quantity that nobody stands behind: free seats, or a contract's minimum.
        changes: What is different from the line of the period before; empty when there was none.
    """

    line: InvoiceLine
    name: str
    sentence: str
    steps: tuple[str, ...]
    people: tuple[Counted, ...]
    counts: str
    unheld: int
    changes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WhyInvoice:
    """An invoice explained; ``before`` is the number of the one it is compared with."""

    view: InvoiceView
    cause: Cause
    lines: tuple[WhyLine, ...]
    before: str | None


def why_invoice(unit: Unit, invoice_id: uuid.UUID) -> WhyInvoice:
    """Explain every line of an invoice.

    Raises:
        ForbiddenError: The actor may not see money (rule Z1).
        NotFoundError: There is no such invoice here.
    """
    view = read_invoice(unit, invoice_id)
    return _Explainer(unit, view).explain()


class _Explainer:
    """What the explanations of one invoice's lines have in common."""

    def __init__(self, unit: Unit, view: InvoiceView) -> None:
        self._unit = unit
        self._view = view
        self._invoice = view.invoice
        self._currency = Currency(view.invoice.currency)
        contract = unit.session.get_one(Contract, unit.org_id)
        self._zone = contract.time_zone
        self._ladder: TierLadder = ladder_of(read_pools(unit))

    def explain(self) -> WhyInvoice:
        entry = entry_naming_invoice(self._unit, self._invoice.id, self._invoice.journal_seq)
        if entry is None:
            raise RuntimeError(f"no entry of the journal names invoice {self._invoice.number}")
        before = self._before()
        cause = self._cause(entry)
        people = self._people(entry)
        changes = self._changes(before, people)
        names = {line.position: line.name for line in document_of(self._unit, self._view).lines}
        lines = []
        for line in self._view.lines:
            behind = people.get(line.tier, ())
            unheld = max(line.quantity - len(behind), 0) if self._invoice.counts != Counts.FEE else 0
            lines.append(
                WhyLine(
                    line=line,
                    name=names[line.position],
                    sentence=self._sentence(line, cause, entry, len(behind), unheld),
                    steps=arithmetic_steps(line, self._currency),
                    people=behind,
                    counts=self._invoice.counts,
                    unheld=unheld,
                    changes=changes.get(line.position, ()),
                )
            )
        return WhyInvoice(self._view, cause, tuple(lines), before.invoice.number if before else None)

    def _cause(self, entry: AuditEntry) -> Cause:
        actor = name_actors(self._unit, [entry.actor])[entry.actor]
        text = _ACTIONS.get(entry.action, entry.action.replace(".", " ").replace("_", " "))
        changes: Mapping[str, int] = entry.body.get("changes") or {}
        if changes:
            told = ", ".join(f"{number:+d} {self._ladder.name_of(tier)}" for tier, number in sorted(changes.items()))
            text = f"{text} ({told})"
        return Cause(entry.seq, entry.at, entry.action, actor, entry.request_id, text)

    def _people(self, entry: AuditEntry) -> dict[str, tuple[Counted, ...]]:
        """Return who stands behind the lines of each tier."""
        invoice = self._invoice
        if invoice.reason == "month":
            return {self._view.lines[0].tier: self._holders(invoice)} if self._view.lines else {}
        if invoice.counts == Counts.FEE:
            return {}
        if invoice.reason == "seat_change":
            served: dict[str, list[Decision]] = {}
            for decision in decisions_between(self._unit, entry.seq, self._last_of_the_unit(entry)):
                if decision.to_tier is not None and decision.to_tier != decision.from_tier:
                    served.setdefault(decision.to_tier, []).append(decision)
            return self._counted(served)
        return self._counted(holders_at(self._unit, invoice.journal_seq))

    def _last_of_the_unit(self, entry: AuditEntry) -> int:
        """Return the newest entry that was written in the same transaction as this one."""
        return self._unit.session.scalars(
            select(AuditEntry.seq)
            .where(
                AuditEntry.org_id == self._unit.org_id,
                AuditEntry.seq >= entry.seq,
                AuditEntry.at == entry.at,
                AuditEntry.request_id == entry.request_id,
            )
            .order_by(AuditEntry.seq.desc())
            .limit(1)
        ).one()

    def _counted(self, decisions: Mapping[str, Sequence[Decision]]) -> dict[str, tuple[Counted, ...]]:
        names = name_people(self._unit, {one.member_id for some in decisions.values() for one in some})
        return {
            tier: tuple(
                sorted(
                    (
                        Counted(one.member_id, names.get(one.member_id, GONE), stored_because(one, self._ladder))
                        for one in some
                    ),
                    key=lambda one: (one.name.casefold(), one.id),
                )
            )
            for tier, some in decisions.items()
        }

    def _holders(self, invoice: Invoice) -> tuple[Counted, ...]:
        """Return whom a month was billed for, and in which teams they were or when the team was not archived."""
        rows = self._unit.session.scalars(
            select(LicenceHolder)
            .where(LicenceHolder.org_id == self._unit.org_id, LicenceHolder.invoice_id == invoice.id)
            .order_by(LicenceHolder.name, LicenceHolder.unit_id)
        ).all()
        line = self._month_line(invoice)
        if line is None or not rows:
            return ()
        start, end = line.start, line.end
        spells: dict[uuid.UUID, list[tuple[datetime, datetime]]] = {}
        for spell in spells_within(self._unit, start, end):
            spells.setdefault(spell.team_id, []).append((max(spell.since, start), min(spell.until or end, end)))
        if line.kind == "team_licence":
            return tuple(
                Counted(row.unit_id, row.name, f"not archived {self._days(spells.get(row.unit_id, ()))}")
                for row in rows
            )
        names = {team.id: team.name for team in read_teams(self._unit)}
        teams: dict[uuid.UUID, set[str]] = {}
        for stay in stays_within(self._unit, start, end):
            until = min(stay.until or end, end)
            if any(max(stay.since, since) < min(until, last) for since, last in spells.get(stay.team_id, ())):
                teams.setdefault(stay.member_id, set()).add(names.get(stay.team_id, "a team that is gone"))
        people = name_people(self._unit, [MemberId(row.unit_id) for row in rows])
        return tuple(
            Counted(
                row.unit_id,
                people.get(MemberId(row.unit_id), row.display_name or row.name),
                f"in {', '.join(sorted(teams.get(row.unit_id, ())))}",
            )
            for row in rows
        )

    def _month_line(self, invoice: Invoice) -> InvoiceLine | None:
        return self._unit.session.scalars(
            select(InvoiceLine)
            .where(InvoiceLine.org_id == self._unit.org_id, InvoiceLine.invoice_id == invoice.id)
            .limit(1)
        ).one_or_none()

    def _days(self, times: Sequence[tuple[datetime, datetime]]) -> str:
        zone = ZoneInfo(self._zone)
        spans = []
        for since, until in sorted(times):
            first, last = since.astimezone(zone).date(), until.astimezone(zone).date()
            spans.append(f"from {day_text(first)} until {day_text(last)}")
        return " and ".join(spans)

    def _before(self) -> InvoiceView | None:
        """Return the invoice of the period before, which this one is compared with."""
        family = next((reasons for reasons in _FAMILIES if self._invoice.reason in reasons), None)
        if family is None:
            return None
        # Invoices of a core of the customer's own may come here in any order: what counts is when they were issued.
        order = Invoice.at if is_mirrored(self._invoice) else Invoice.journal_seq
        own = self._invoice.at if is_mirrored(self._invoice) else self._invoice.journal_seq
        found = self._unit.session.scalars(
            select(Invoice)
            .where(Invoice.org_id == self._unit.org_id, Invoice.reason.in_(family), order < own)
            .order_by(order.desc(), Invoice.number.desc())
            .limit(1)
        ).one_or_none()
        return None if found is None else read_invoice(self._unit, found.id)

    def _changes(
        self, before: InvoiceView | None, people: Mapping[str, tuple[Counted, ...]]
    ) -> dict[int, tuple[str, ...]]:
        """Say line by line what is different from the period before, and by whom it was made so."""
        if before is None:
            return {}
        old = {line.tier: line for line in before.lines}
        since = local_day(before.invoice.at, self._zone)
        found = {}
        held_before = self._held_before(before)
        for line in self._view.lines:
            was = old.get(line.tier)
            told = self._difference(line, was, since)
            if self._invoice.counts in {Counts.PEOPLE, Counts.TEAMS}:
                told += self._come_and_gone(held_before.get(line.tier, {}), people.get(line.tier, ()))
            told += self._events(line.tier, before.invoice)
            found[line.position] = tuple(told) or (f"As on {since}.",)
        return found

    def _difference(self, line: InvoiceLine, was: InvoiceLine | None, since: str) -> list[str]:
        if was is None:
            return [f"There was no such line on {since}."]
        told = []
        if line.quantity != was.quantity:
            told.append(f"{was.quantity:,} on {since}, {line.quantity:,} now.")
        if line.unit_price != was.unit_price:
            price, now = (format_money(one.unit_price, self._currency) for one in (was, line))
            told.append(f"The price was {price} and is {now}.")
        if line.kind == "contract_instalment" and line.amount != was.amount:
            amount, now = (format_money(one.amount, self._currency) for one in (was, line))
            told.append(f"The instalment was {amount} and is {now}.")
        return told

    def _held_before(self, before: InvoiceView) -> dict[str, dict[uuid.UUID, str]]:
        if self._invoice.reason == "month":
            return {line.tier: {one.id: one.name for one in self._holders(before.invoice)} for line in before.lines}
        held = self._counted(holders_at(self._unit, before.invoice.journal_seq))
        return {tier: {one.id: one.name for one in some} for tier, some in held.items()}

    def _come_and_gone(self, before: Mapping[uuid.UUID, str], now: Sequence[Counted]) -> list[str]:
        ids = {one.id for one in now}
        new = [one.name for one in now if one.id not in before]
        gone = sorted(name for one, name in before.items() if one not in ids)
        return [f"{what}: {', '.join(names)}." for what, names in (("New", new), ("No longer counted", gone)) if names]

    def _events(self, tier: str, before: Invoice) -> list[str]:
        """Return the orders and price changes of a tier between the two invoices."""
        actions = ("seats.changed", "contract.price_changed", "contract.amended", "contract.plan_changed")
        entries = entries_between(self._unit, before.journal_seq, self._invoice.journal_seq, actions)
        actors = name_actors(self._unit, {entry.actor for entry in entries})
        told = []
        for entry in entries:
            by = f"on {local_day(entry.at, self._zone)} by {actors[entry.actor]}"
            number = (entry.body.get("changes") or {}).get(tier)
            if entry.action == "seats.changed" and number:
                noun = counted(abs(number), f"{self._ladder.name_of(tier)} seat")
                told.append(f"{noun} {'added' if number > 0 else 'given up'} {by}.")
            elif entry.action == "contract.price_changed" and entry.body.get("tier") == tier:
                told.append(f"A price of {format_money(entry.body['to'], self._currency)} was agreed {by}.")
            elif entry.action == "contract.amended":
                told.append(f"The contract was amended {by}.")
            elif entry.action == "contract.plan_changed":
                told.append(f"The plan was changed {by}.")
        return told

    def _sentence(self, line: InvoiceLine, cause: Cause, entry: AuditEntry, people: int, unheld: int) -> str:
        day = local_day(entry.at if self._invoice.reason == "seat_change" else self._invoice.at, self._zone)
        users = _users(entry)
        who = "1 person" if line.quantity == 1 else f"{line.quantity:,} people"
        teams = counted(line.quantity, "team")
        not_by_seats = {
            "contract_instalment": f"An instalment of the annual fee for tier {line.tier}, due on {day}{users}.",
            "contract_amendment": f"The fee was raised on {day} by {cause.actor}{users}.",
            "team_licence": f"{teams} counted for the month: not archived at some time of it.",
            "user_licence": f"{who} counted for the month: in a team that was not archived, at some time of it.",
        }
        return not_by_seats.get(line.kind) or self._seat_sentence(line, cause, day, people, unheld)

    def _seat_sentence(self, line: InvoiceLine, cause: Cause, day: str, people: int, unheld: int) -> str:
        name = self._ladder.name_of(line.tier)
        seats = counted(line.quantity, f"{name} seat")
        if line.kind == "seat_credit":
            return f"{seats} went back on {day} when {cause.text}, by {cause.actor}."
        if self._invoice.reason == "seat_change":
            served = "" if not people else f"; {people:,} {'person' if people == 1 else 'people'} got one at once"
            return f"{seats} more since {day}: {cause.text}, by {cause.actor}{served}."
        if self._invoice.counts == Counts.PEOPLE:
            least = f"; {counted(unheld, 'more seat')} for the contract's minimum" if unheld else ""
            return f"{counted(people, f'{name} seat')} in use when the period began on {day}{least}."
        free = f", {unheld:,} of them free" if unheld else ""
        return f"{seats} on the plan when the period began on {day}{free}."


def _users(entry: AuditEntry) -> str:
    users = entry.body.get("users")
    if not users:
        return ""
    return f"; {counted(users['paid'], 'paid user')} and {users['free']:,} free then, which the fee does not depend on"
