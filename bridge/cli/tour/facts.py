"""What the tour reads of a customer to show it and to check it: people, seats, invoices, the sign-in log."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from bridge.cli.tour.stage import Customer, Stage
from bridge.store import journal
from bridge.store.models import Member, SignInEvent
from bridge.usecases.list_people import PeopleFilter, list_people
from bridge.usecases.reconcile import reconcile_pools
from bridge.usecases.seats import InvoiceView, PoolView, list_invoices, read_seats


@dataclass(frozen=True, slots=True)
class PersonSeat:
    """One person: the seat they hold (None for none), what they wait for (None for nothing), and why."""

    name: str
    tier: str | None
    waiting_for: str | None
    because: str

    @property
    def seat(self) -> str:
        """The seat in two words."""
        held = "No seat" if self.tier is None else self.tier.title()
        return held if self.waiting_for is None else f"{held}, waits"


@dataclass(frozen=True, slots=True)
class Ledger:
    """The state of one customer's books, as they are and as they are counted again.

    Attributes:
        pools: By tier.
        held: People who hold a seat, by tier, counted one by one.
        waiting: How many people are in line.
        miscounted: Pools whose counter is not the number of holders.
        invoices: Oldest first.
    """

    pools: Mapping[str, PoolView]
    held: Mapping[str, int]
    waiting: int
    miscounted: int
    invoices: Sequence[InvoiceView]

    @property
    def used(self) -> dict[str, int]:
        """Seats in use by tier, as the pools say."""
        return {tier: pool.used for tier, pool in self.pools.items()}


def read_people(stage: Stage, customer: Customer) -> list[PersonSeat]:
    """Return everybody whom the directory or a sign-in brought: who waits first, in the order of the line."""
    with stage.unit(customer) as unit:
        return [
            PersonSeat(row.member.display_name, row.member.tier, row.member.waiting_for, row.because)
            for row in list_people(unit, PeopleFilter()).rows
            if row.member.connection_id == customer.connection_id
        ]


def read_audit(stage: Stage, customer: Customer) -> tuple[int, int | None]:
    """Verify the audit chain: how many entries it has, and the first that does not fit (None when all do)."""
    with stage.unit(customer) as unit:
        return unit.state().audit_seq, journal.verify(unit)


def read_ledger(stage: Stage, customer: Customer) -> Ledger:
    """Read the books of a customer, and count again what they say."""
    with stage.unit(customer) as unit:
        members = unit.session.execute(
            select(Member.tier, Member.waiting_for).where(Member.org_id == unit.org_id)
        ).all()
        return Ledger(
            pools={pool.tier: pool for pool in read_seats(unit).pools},
            held=dict(Counter(row.tier for row in members if row.tier is not None)),
            waiting=sum(row.waiting_for is not None for row in members),
            miscounted=len(reconcile_pools(unit)),
            invoices=list_invoices(unit)[::-1],
        )


def read_refusal(stage: Stage, customer: Customer, request_id: str) -> tuple[str, str] | None:
    """Return the reason and the words of a refused sign-in from the connection's log, by its request id."""
    with stage.unit(customer) as unit:
        event = unit.session.scalars(
            select(SignInEvent).where(
                SignInEvent.org_id == unit.org_id,
                SignInEvent.outcome == "refused",
                SignInEvent.request_id == request_id,
            )
        ).one_or_none()
        return None if event is None else (event.reason, event.detail)
