"""What counts for a month, against an oracle that looks at every instant at which something changes."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bridge.billing.rules.licences import (
    LicenceKind,
    LicenceTerms,
    Spell,
    Stay,
    bill_month,
    licence_month,
    licensed_people,
    licensed_teams,
)
from bridge.billing.rules.money import Currency
from bridge.billing.rules.terms import Term

ZONES = ("UTC", "Europe/Amsterdam", "America/Havana", "America/St_Johns", "Asia/Amman", "Pacific/Apia", "Asia/Tehran")
ZERO = datetime(2026, 1, 1, tzinfo=UTC)
MONTH = Term(ZERO + timedelta(hours=20), ZERO + timedelta(hours=40))

hours = st.integers(0, 60)
instants = st.datetimes(datetime(2005, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # hypothesis takes bounds without a zone


@st.composite
def spells(draw: st.DrawFn) -> Spell:
    first = draw(hours)
    last = draw(st.none() | st.integers(first, 60))
    return Spell(ZERO + timedelta(hours=first), None if last is None else ZERO + timedelta(hours=last))


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Stay[str, str]], dict[str, list[Spell]], dict[str, list[Spell]]]:
    """Stays, when teams were not archived, and when people were in the workspace; some teams and people unknown."""
    some = st.lists(spells(), max_size=3)
    unarchived = {team: draw(some) for team in ("red", "blue")}
    present = {person: draw(some) for person in ("a", "b")}
    stays = [
        Stay(draw(st.sampled_from("abc")), draw(st.sampled_from(("red", "blue", "gone"))), draw(spells()))
        for _ in range(draw(st.integers(0, 5)))
    ]
    return stays, unarchived, present


def holds(spell: Spell, instant: datetime) -> bool:
    return spell.start <= instant and (spell.end is None or instant < spell.end)


def looked_at(every: list[Spell]) -> list[datetime]:
    """Instants of the month between which nothing changes: each change, but for the month's end."""
    changes = {MONTH.start, MONTH.end}
    changes |= {instant for spell in every for instant in (spell.start, spell.end) if instant is not None}
    return [
        earlier for earlier, _ in pairwise(sorted(change for change in changes if MONTH.start <= change <= MONTH.end))
    ]


@given(histories())
def test_who_counts_is_who_the_oracle_finds_at_some_instant(
    history: tuple[list[Stay[str, str]], dict[str, list[Spell]], dict[str, list[Spell]]],
) -> None:
    stays, unarchived, present = history
    every = [stay.spell for stay in stays] + [one for some in (*unarchived.values(), *present.values()) for one in some]
    people, teams = set(), set()
    for instant in looked_at(every):
        active = {team for team, some in unarchived.items() if any(holds(one, instant) for one in some)}
        here = {person for person, some in present.items() if any(holds(one, instant) for one in some)}
        teams |= active
        people |= {
            stay.person for stay in stays if holds(stay.spell, instant) and stay.team in active and stay.person in here
        }

    assert licensed_teams(unarchived, MONTH) == teams
    assert licensed_people(stays, unarchived, MONTH, present) == people


@given(instants, st.sampled_from(ZONES), st.integers(0, 60))
def test_months_follow_each_other_without_a_gap_and_hold_the_instants_of_their_name(
    anchor: datetime, zone: str, index: int
) -> None:
    here, following = licence_month(anchor, zone, index), licence_month(anchor, zone, index + 1)

    assert here.term.end == following.term.start
    assert here.name < following.name
    assert here.term.end - here.term.start <= timedelta(days=31, hours=25)


@given(
    st.sampled_from(LicenceKind), st.integers(1, 100_000), st.integers(0, 10_000_000), st.integers(0, 10**9), instants
)
def test_a_month_costs_units_times_price_and_the_sums_hold(
    kind: LicenceKind, units: int, price: int, balance: int, anchor: datetime
) -> None:
    plan = LicenceTerms(kind, anchor, Currency("EUR"), "Europe/Amsterdam", Fraction(21, 100), auto_renew=True)

    bill = bill_month(plan, plan.month(3), units, price, balance)

    assert bill is not None
    assert [line.amount for line in bill.lines] == [units * price]
    assert bill.subtotal == units * price
    assert bill.total == bill.subtotal + bill.tax == bill.amount_due + bill.credit_applied
    assert bill.credit_applied <= balance
