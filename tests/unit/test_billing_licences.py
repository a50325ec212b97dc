"""Licences by team and by person: what counts for a month, and its bill (rules W1 to W7)."""

from datetime import UTC, datetime
from fractions import Fraction

import pytest

from bridge.billing.rules.bills import instant_text
from bridge.billing.rules.licences import (
    LicenceKind,
    LicenceTerms,
    Presence,
    Spell,
    Stay,
    bill_month,
    licence_month,
    licensed_people,
    licensed_teams,
    without_returns,
)
from bridge.billing.rules.money import Currency
from bridge.billing.rules.terms import Term

EUR = Currency("EUR")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def spell(start: str, end: str | None = None) -> Spell:
    return Spell(at(start), at(end) if end else None)


def terms(kind: LicenceKind = LicenceKind.USER, start: str = "2026-01-01", **facts: object) -> LicenceTerms:
    agreed = {"currency": EUR, "time_zone": "UTC", "tax_rate": Fraction(0), "auto_renew": True, **facts}
    return LicenceTerms(kind=kind, anchor=at(start), **agreed)  # type: ignore[arg-type] # the facts are of their types


JANUARY = Term(at("2026-01-01"), at("2026-02-01"))


@pytest.mark.parametrize(
    ("spells", "counts"),
    [
        ([spell("2026-01-10")], True),
        ([spell("2025-06-01", "2026-01-01T00:00:01")], True),
        ([spell("2026-01-31T23:59:59")], True),
        # Half-open: what ends at the month's start, or begins at its end, has no time in it.
        ([spell("2025-06-01", "2026-01-01")], False),
        ([spell("2026-02-01")], False),
        # Made and archived at the same instant: no time at all.
        ([spell("2026-01-10", "2026-01-10")], False),
        ([spell("2025-01-01", "2025-02-01"), spell("2026-01-20", "2026-01-21")], True),
        ([], False),
    ],
)
def test_w2_a_team_counts_for_a_month_with_any_time_above_zero(spells: list[Spell], *, counts: bool) -> None:
    assert licensed_teams({"red": spells}, JANUARY) == ({"red"} if counts else set())


def test_w1_each_team_is_one_unit() -> None:
    unarchived = {
        "red": [spell("2026-01-01")],
        "blue": [spell("2026-01-05", "2026-01-06"), spell("2026-01-07")],
        "old": [spell("2025-01-01", "2025-12-31")],
    }

    assert licensed_teams(unarchived, JANUARY) == {"red", "blue"}


def test_w3_a_person_counts_once_however_many_teams() -> None:
    unarchived = {"red": [spell("2025-01-01")], "blue": [spell("2025-01-01")]}
    stays = [
        Stay("a", "red", spell("2026-01-03")),
        Stay("a", "blue", spell("2026-01-03")),
        Stay("b", "blue", spell("2026-01-03")),
    ]

    assert licensed_people(stays, unarchived, JANUARY) == {"a", "b"}


@pytest.mark.parametrize(
    ("stay", "unarchived", "present", "counts"),
    [
        # In the team only while it was archived.
        (spell("2026-01-10", "2026-01-12"), [spell("2026-01-01", "2026-01-10"), spell("2026-01-12")], None, False),
        (spell("2026-01-10", "2026-01-12"), [spell("2026-01-01", "2026-01-10"), spell("2026-01-11")], None, True),
        # In the workspace only before joining, or only while the team was archived.
        (spell("2026-01-10"), [spell("2026-01-01")], [spell("2026-01-01", "2026-01-10")], False),
        (spell("2026-01-05"), [spell("2026-01-05", "2026-01-08")], [spell("2026-01-08")], False),
        (spell("2026-01-05"), [spell("2026-01-05", "2026-01-08")], [spell("2026-01-07")], True),
        # Each two of the three meet within the month, but never all three at once.
        (
            spell("2026-01-02", "2026-01-20"),
            [spell("2026-01-02", "2026-01-05"), spell("2026-01-18")],
            [spell("2026-01-05", "2026-01-18")],
            False,
        ),
        # All three at once, but before the month.
        (spell("2025-12-01", "2026-01-01"), [spell("2025-12-01")], None, False),
    ],
)
def test_w3_only_in_the_workspace_and_in_an_unarchived_team_at_the_same_time(
    stay: Spell, unarchived: list[Spell], present: list[Spell] | None, *, counts: bool
) -> None:
    here = None if present is None else {"a": present}

    people = licensed_people([Stay("a", "red", stay)], {"red": unarchived}, JANUARY, here)

    assert people == ({"a"} if counts else set())


def test_w4_archiving_spares_from_the_following_month_on() -> None:
    plan, stays = terms(), [Stay("b", "blue", spell("2026-01-03"))]
    unarchived = {"blue": [spell("2026-01-02", "2026-02-14")]}

    counted = [bool(licensed_people(stays, unarchived, plan.month(index).term)) for index in range(3)]

    assert counted == [True, True, False]


def test_w7_a_month_is_units_times_price_never_prorated() -> None:
    plan = terms(start="2026-01-20T12:00:00", tax_rate=Fraction(1, 4))

    bill = bill_month(plan, plan.month(0), units=3, price=555, credit_balance=500)

    assert bill is not None
    line = bill.lines[0]
    # 3 × 5.55 = 16.65, tax 25 % = 4.1625, rounded 4.16: 20.81 − 5.00 of credit = 15.81 (rules X1 and C3)
    assert line.formula == "3 user licences × €5.55 = €16.65"
    assert line.share.sentence == "3 people who were in a team that was not archived at some time in January 2026"
    assert (bill.subtotal, bill.tax, bill.total, bill.credit_applied, bill.amount_due) == (1665, 416, 2081, 500, 1581)
    assert bill.to_json(at("2026-02-01"))["lines"] == [
        {
            "kind": "user_licence",
            "tier": "user_licence",
            "quantity": 3,
            "from": "2026-01-20T12:00:00Z",
            "to": "2026-02-01T00:00:00Z",
            "amount": 1665,
        }
    ]


def test_w1_one_team_reads_as_one() -> None:
    plan = terms(LicenceKind.TEAM)

    bill = bill_month(plan, plan.month(1), units=1, price=4900, credit_balance=0)

    assert bill is not None
    assert bill.reason == "month"
    assert bill.lines[0].kind == bill.lines[0].tier == "team_licence"
    assert bill.lines[0].formula == "1 team licence × €49.00 = €49.00"
    assert bill.lines[0].share.sentence == "1 team that was not archived at some time in February 2026"


def test_w7_nothing_is_billed_for_a_month_without_units() -> None:
    plan = terms()

    assert bill_month(plan, plan.month(0), units=0, price=555, credit_balance=0) is None


@pytest.mark.parametrize(
    ("anchor", "zone", "index", "name", "start", "end"),
    [
        # The first month begins with the plan, the others at midnight of the zone.
        ("2026-01-31T09:30:00", "UTC", 0, "2026-01", "2026-01-31T09:30:00Z", "2026-02-01T00:00:00Z"),
        ("2026-01-31T09:30:00", "UTC", 1, "2026-02", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
        # 29 February belongs to its month.
        ("2028-02-29T00:00:00", "UTC", 0, "2028-02", "2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"),
        ("2027-12-05T00:00:00", "UTC", 2, "2028-02", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
        # March in Amsterdam begins in winter time and ends in summer time: one hour shorter.
        ("2026-01-01T00:00:00", "Europe/Amsterdam", 2, "2026-03", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"),
        # Already the next month in the zone, while it is still the old one in UTC.
        ("2026-01-31T23:30:00", "Europe/Amsterdam", 0, "2026-02", "2026-01-31T23:30:00Z", "2026-02-28T23:00:00Z"),
        # Samoa had no 30 December 2011: the month is a day shorter, and January begins at UTC+14.
        ("2011-12-01T10:00:00", "Pacific/Apia", 0, "2011-12", "2011-12-01T10:00:00Z", "2011-12-31T10:00:00Z"),
        ("2011-12-01T10:00:00", "Pacific/Apia", 1, "2012-01", "2011-12-31T10:00:00Z", "2012-01-31T10:00:00Z"),
        # Havana, 1 November 2020: 00:00 comes twice, and the first of the two counts.
        ("2020-10-10T00:00:00", "America/Havana", 1, "2020-11", "2020-11-01T04:00:00Z", "2020-12-01T05:00:00Z"),
        # St. John's, 1 November 2009: a minute after midnight the clocks show 31 October again, 23:01. By then
        # November has begun, and a plan that starts then starts in November.
        ("2009-11-01T03:00:00", "America/St_Johns", 0, "2009-11", "2009-11-01T03:00:00Z", "2009-12-01T03:30:00Z"),
        # Amman, 1 April 2011: no midnight, the clocks go from 00:00 to 01:00.
        ("2011-03-10T00:00:00", "Asia/Amman", 1, "2011-04", "2011-03-31T22:00:00Z", "2011-04-30T21:00:00Z"),
    ],
)
def test_w7_months_are_those_of_the_workspaces_time_zone(
    anchor: str, zone: str, index: int, *, name: str, start: str, end: str
) -> None:
    month = licence_month(at(anchor), zone, index)

    assert (month.name, instant_text(month.term.start), instant_text(month.term.end)) == (name, start, end)


@pytest.mark.parametrize(
    ("spells", "standing"),
    [
        # Two directories have an "ann" each: two people, even when one of them is removed.
        ([spell("2026-01-01"), spell("2026-01-05")], {0, 1}),
        ([spell("2026-01-01"), spell("2026-01-05", "2026-01-20")], {0, 1}),
        # Removed and back, at that instant or later, and once more.
        ([spell("2026-01-01", "2026-01-05"), spell("2026-01-05")], {1}),
        ([spell("2026-01-01", "2026-01-05"), spell("2026-01-06", "2026-01-07"), spell("2026-01-09")], {2}),
        # One of two came back: the other one is there all the time.
        ([spell("2026-01-01"), spell("2026-01-02", "2026-01-05"), spell("2026-01-06")], {0, 2}),
        # Two were removed, and one came back.
        ([spell("2026-01-01", "2026-01-05"), spell("2026-01-02", "2026-01-06"), spell("2026-01-08")], {1, 2}),
    ],
)
def test_w3_who_came_back_stands_for_who_was_removed_and_for_nobody_else(
    spells: list[Spell], standing: set[int]
) -> None:
    people = [Presence(number, "ann", spell) for number, spell in enumerate(spells)]

    assert without_returns([*people, Presence(9, "bob", spell("2026-01-30"))]) == standing | {9}


def test_parts_of_a_second_of_the_plans_start_are_dropped() -> None:
    assert licence_month(at("2026-01-05T10:00:00.75"), "UTC", 0).term.start == at("2026-01-05T10:00:00")


def test_what_makes_no_terms_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        terms(tax_rate=Fraction(-1, 4))
    with pytest.raises(ValueError, match="time zone"):
        LicenceTerms(LicenceKind.TEAM, datetime(2026, 1, 1), EUR, "UTC", Fraction(0), auto_renew=True)  # noqa: DTZ001  # what is refused
    with pytest.raises(ValueError, match="from 0"):
        terms().month(-1)
    with pytest.raises(ValueError, match="cannot end"):
        spell("2026-01-02", "2026-01-01")
    with pytest.raises(ValueError, match="aware"):
        Spell(datetime(2026, 1, 1))  # noqa: DTZ001  # what is refused
