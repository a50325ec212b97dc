"""The parts of the demo's tour that need no service."""

from datetime import UTC, date, datetime
from fractions import Fraction
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bridge import runtime
from bridge.cli.demo import demo_folder
from bridge.cli.tour import ground
from bridge.cli.tour.arithmetic import money, rest_of_year, rounded, whole_period, with_tax
from bridge.cli.tour.cast import ATELIER, CAST, NORDLYS
from bridge.cli.tour.narration import Narrator
from bridge.cli.tour.service import listen

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("day", "share"),
    [
        (date(2026, 8, 1), Fraction(1)),  # the whole year
        (date(2026, 11, 21), (8 + Fraction(10, 30)) / 12),  # 10 of 30 November days, December to July
        (date(2027, 7, 31), Fraction(1, 31) / 12),  # the last day
        (date(2027, 2, 28), (5 + Fraction(1, 28)) / 12),
    ],
)
def test_the_rest_of_a_year_that_began_in_august(day: date, share: Fraction) -> None:
    assert rest_of_year(date(2026, 8, 1), day) == share


def test_halves_are_rounded_away_from_zero() -> None:
    assert [rounded(Fraction(amount, 2)) for amount in (1, 3, -1, -3, 4)] == [1, 2, -1, -2, 2]


def test_tax_is_on_the_total() -> None:
    # 4 × 720.00 + 12 × 300.00 = 6,480.00; a quarter of it is 1,620.00.
    net = whole_period(NORDLYS.seats, NORDLYS.prices)

    assert (net, with_tax(net, "0.25")) == (6_480_00, 8_100_00)
    assert money(8_100_00) == "€8,100.00"


def test_plans_begin_on_the_first_of_a_month_over_there() -> None:
    now = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)  # already 1 February in Stockholm and Paris

    assert NORDLYS.start(now).isoformat() == "2025-11-01T00:00:00+01:00"
    assert ATELIER.start(now).isoformat() == "2026-02-01T00:00:00+01:00"


def test_every_plan_and_three_languages_are_in_the_cast() -> None:
    assert [(role.kind, role.cycle, role.locale) for role in CAST] == [
        ("enterprise", "year", "en"),
        ("team", "month", "fr"),
        ("team", "year", "nl"),
    ]


def test_the_tour_uses_the_database_that_every_other_command_opens() -> None:
    assert (ground.DATABASE, ground.ROLE) == (runtime.EMBEDDED_DATABASE, runtime.EMBEDDED_ROLE)


def test_the_demo_keeps_its_files_in_the_checkout_only_when_run_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    monkeypatch.chdir(ROOT)
    inside = demo_folder()
    monkeypatch.chdir(tmp_path)
    outside = demo_folder()

    assert inside == ROOT / ".dev" / "demo"
    assert outside == tmp_path / "cache" / "seatbridge" / "demo"


def test_a_port_that_is_taken_is_left_alone() -> None:
    with listen(0) as first, listen(first.getsockname()[1]) as second:
        ports = {first.getsockname()[1], second.getsockname()[1]}

    assert len(ports) == 2


def test_a_check_that_fails_is_named_at_the_end() -> None:
    printed = StringIO()
    narrator = Narrator(Console(file=printed, width=100))

    narrator.check("4 of 4 are in use", {"premium": 3}, {"premium": 4})
    narrator.check("nobody [waits]", 0, 0)
    narrator.verdict()

    assert narrator.failures == ["4 of 4 are in use: expected {'premium': 4}, got {'premium': 3}"]
    assert "✓ nobody [waits]" in printed.getvalue()
    assert "1 of 2 checks failed:" in printed.getvalue()


def test_a_chapter_that_breaks_is_a_failure_with_its_place() -> None:
    narrator = Narrator(Console(file=StringIO()))
    narrator.chapter("Somebody signs in")

    with pytest.raises(LookupError) as caught:
        raise LookupError("no form for /apply")
    narrator.broke(caught.value)

    (failure,) = narrator.failures
    assert failure.startswith("chapter 1 stopped: LookupError: no form for /apply (")
    assert "test_tour.py:" in failure
