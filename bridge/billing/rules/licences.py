"""Licences of a workspace: what counts for a calendar month, and the bill at its end (rules W1 to W7)."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import StrEnum
from fractions import Fraction
from typing import Generic, TypeVar
from zoneinfo import ZoneInfo

from bridge.billing.rules.bills import Bill, BillReason, Line, LineKind, make_bill
from bridge.billing.rules.money import Currency, format_money
from bridge.billing.rules.proration import Share
from bridge.billing.rules.terms import MONTHS_PER_YEAR, Term, month_number, whole_second_utc
from bridge.billing.rules.wording import counted, month_name

TeamT = TypeVar("TeamT", bound=Hashable)
PersonT = TypeVar("PersonT", bound=Hashable)


class LicenceKind(StrEnum):
    """The plans that count what was in use instead of selling seats (rule G1); also the tier of their one line."""

    TEAM = "team_licence"
    USER = "user_licence"


@dataclass(frozen=True, slots=True)
class Spell:
    """Time ``[start, end)`` in which something held, aware instants; ``end`` is None while it goes on.

    Raises:
        ValueError: An instant is naive, or the end lies before the start.
    """

    start: datetime
    end: datetime | None = None

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or (self.end is not None and self.end.tzinfo is None):
            raise ValueError("A spell is given by aware instants")
        if self.end is not None and self.end < self.start:
            raise ValueError(f"A spell cannot end at {self.end} when it starts at {self.start}")


@dataclass(frozen=True, slots=True)
class Stay(Generic[PersonT, TeamT]):
    """Somebody in a team for some time."""

    person: PersonT
    team: TeamT
    spell: Spell


@dataclass(frozen=True, slots=True)
class Presence(Generic[PersonT]):
    """Somebody in the workspace under a name, for some time; it goes on while they have not been removed."""

    person: PersonT
    name: str
    spell: Spell


@dataclass(frozen=True, slots=True)
class LicenceMonth:
    """A calendar month of the workspace's time zone: ``name`` as "2026-01", and the part of it that the plan covers."""

    name: str
    term: Term

    @property
    def words(self) -> str:
        """The month as people read it: "January 2026"."""
        first = date.fromisoformat(f"{self.name}-01")
        return f"{month_name(first)} {first.year}"


@dataclass(frozen=True, slots=True)
class LicenceTerms:
    """What was agreed for licences.

    Attributes:
        kind: What one unit is: a team (rule W1) or a person (rule W3).
        anchor: Start of the plan, aware; the first month begins there.
        currency: All amounts of the plan are minor units of it.
        time_zone: IANA name; months are its calendar months (rule W7).
        tax_rate: Part of the net amount, ``Fraction(1, 4)`` for 25 %.
        auto_renew: Without it the plan ends at the next month's end (rule R5).

    Raises:
        ValueError: A naive anchor or a negative rate.
        zoneinfo.ZoneInfoNotFoundError: The zone is unknown.
    """

    kind: LicenceKind
    anchor: datetime
    currency: Currency
    time_zone: str
    tax_rate: Fraction
    auto_renew: bool

    def __post_init__(self) -> None:
        if self.anchor.tzinfo is None:
            raise ValueError("the plan's start has no time zone")
        if self.tax_rate < 0:
            raise ValueError("a tax rate cannot be negative")
        ZoneInfo(self.time_zone)

    def month(self, index: int) -> LicenceMonth:
        """Return month number ``index`` of the plan, from 0."""
        return licence_month(self.anchor, self.time_zone, index)


def licence_month(anchor: datetime, time_zone: str, index: int) -> LicenceMonth:
    """Return a plan's month by its number; number 0 is what is left of the month in which the plan started.

    Months begin at midnight of the zone. A midnight that does not exist moves forward by the gap, one that comes twice
    means the first of the two. Parts of a second of the anchor are dropped.

    Args:
        anchor: Aware instant at which the plan started.
        time_zone: IANA name of the workspace's zone.
        index: 0 or more.

    Raises:
        ValueError: The anchor is naive, or the index is negative.
        zoneinfo.ZoneInfoNotFoundError: The zone is unknown.

    Source: rule W7.
    """
    if index < 0:
        raise ValueError(f"Months are numbered from 0, not {index}")
    start, zone = whole_second_utc(anchor), ZoneInfo(time_zone)
    first = month_number(start.astimezone(zone).date())
    # Clocks that go back over a month's first midnight show the old month once more: the new one has begun already.
    while _midnight(first + 1, zone) <= start:
        first += 1
    number = first + index
    begin = start if index == 0 else _midnight(number, zone)
    return LicenceMonth(f"{_first_day(number):%Y-%m}", Term(begin, _midnight(number + 1, zone)))


def licensed_teams(unarchived: Mapping[TeamT, Iterable[Spell]], term: Term) -> frozenset[TeamT]:
    """Return the teams that count for a month: unarchived for any length of time above zero.

    Args:
        unarchived: When each team was not archived.
        term: The month.

    Source: rules W1 and W2.
    """
    month = Spell(term.start, term.end)
    return frozenset(team for team, spells in unarchived.items() if any(_overlap(month, spell) for spell in spells))


def licensed_people(
    stays: Iterable[Stay[PersonT, TeamT]],
    unarchived: Mapping[TeamT, Sequence[Spell]],
    term: Term,
    present: Mapping[PersonT, Sequence[Spell]] | None = None,
) -> frozenset[PersonT]:
    """Return the people who count for a month, each once, however many teams they were in.

    Somebody counts who was, for any length of time above zero, in the workspace and in a team and that team
    unarchived, all at the same time.

    Args:
        stays: When people were in teams.
        unarchived: When each team was not archived; a missing team never was there.
        term: The month.
        present: When people were in the workspace; a missing person never was. None when a stay ends with the
            person's access, so that it says both.

    Source: rules W3 and W4.
    """
    month = Spell(term.start, term.end)
    return frozenset(
        stay.person
        for stay in stays
        if any(
            _overlap(month, stay.spell, active, here)
            for active in unarchived.get(stay.team, ())
            for here in (present.get(stay.person, ()) if present is not None else (stay.spell,))
        )
    )


def without_returns(people: Iterable[Presence[PersonT]]) -> frozenset[PersonT]:
    """Return the people without those who were removed and came back: whoever came back stands for them.

    Only who arrived under the same name after the removal came back. People who were there at the same time are
    several, whatever they are called: two directories may each have an "alex".

    Source: rule W3.
    """
    standing: set[PersonT] = set()
    removed: dict[str, list[tuple[datetime, PersonT]]] = {}
    for one in sorted(people, key=lambda one: one.spell.start):
        gone = removed.setdefault(one.name, [])
        came_back = next((other for other in gone if other[0] <= one.spell.start), None)
        if came_back is not None:
            gone.remove(came_back)
            standing.remove(came_back[1])
        standing.add(one.person)
        if one.spell.end is not None:
            gone.append((one.spell.end, one.person))
    return frozenset(standing)


def bill_month(terms: LicenceTerms, month: LicenceMonth, units: int, price: int, credit_balance: int) -> Bill | None:
    """Bill a month that has ended: units × price, never prorated; None for a month without units.

    Args:
        terms: What was agreed.
        month: One of the plan's.
        units: How many teams or people counted.
        price: Minor units for one of them and a month, as it was when the month began (rule R4).
        credit_balance: Used before money (rule C3).

    Source: rules W1 to W4, W7 and P6.
    """
    if not units:
        return None
    return make_bill(
        BillReason.MONTH,
        [_line(terms, month, units, price)],
        currency=terms.currency,
        tax_rate=terms.tax_rate,
        credit_balance=credit_balance,
    )


def _line(terms: LicenceTerms, month: LicenceMonth, units: int, price: int) -> Line:
    teams = terms.kind is LicenceKind.TEAM
    amount = units * price
    text = format_money(amount, terms.currency)
    if teams:
        sentence = f"{counted(units, 'team')} that {_were(units)} not archived at some time in {month.words}"
    else:
        people = "1 person" if units == 1 else f"{units:,} people"
        sentence = f"{people} who {_were(units)} in a team that was not archived at some time in {month.words}"
    return Line(
        kind=LineKind.TEAM_LICENCE if teams else LineKind.USER_LICENCE,
        tier=terms.kind.value,
        quantity=units,
        start=month.term.start,
        end=month.term.end,
        unit_price=price,
        share=Share(fraction=Fraction(1), sentence=sentence, formula="1"),
        exact=Fraction(amount),
        amount=amount,
        exact_text=text,
        formula=f"{counted(units, 'team licence' if teams else 'user licence')} × "
        f"{format_money(price, terms.currency)} = {text}",
    )


def _were(units: int) -> str:
    return "was" if units == 1 else "were"


def _overlap(*spells: Spell) -> bool:
    """Tell whether spells have any length of time above zero in common, all of them at once."""
    start = max(spell.start for spell in spells)
    return all(spell.end is None or start < spell.end for spell in spells)


def _first_day(number: int) -> date:
    year, month0 = divmod(number, MONTHS_PER_YEAR)
    return date(year, month0 + 1, 1)


def _midnight(number: int, zone: ZoneInfo) -> datetime:
    return datetime.combine(_first_day(number), time(), zone).astimezone(UTC)
