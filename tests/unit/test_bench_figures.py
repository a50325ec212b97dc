"""The arithmetic of the benchmark: percentiles, ratios over rounds, targets, and what a plan stands for."""

import pytest

from tests.bench.client import BenchError
from tests.bench.figures import Ratio, Reading, Round, at_least, at_most, percentile, ratio, ratio_of_rates
from tests.bench.people import DESIGN, ENGINEERING, SUPPORT, department_of
from tests.bench.plan import FULL, QUICK, chosen
from tests.bench.results import Fact, Failure, Growth, Results

SAME = Ratio(1.0, 1.0, 1.0)


def reading(*rates: float) -> Reading:
    return Reading(tuple(Round(rate, p50=1000 / rate, p95=2000 / rate) for rate in rates), client_share=0.1)


@pytest.mark.parametrize(("share", "expected"), [(0.5, 2.0), (0.51, 3.0), (0.95, 4.0), (1.0, 4.0), (0.01, 1.0)])
def test_a_percentile_is_a_value_that_was_measured(share: float, expected: float) -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], share) == expected


def test_a_ratio_is_that_of_the_medians_with_the_extremes_of_single_rounds() -> None:
    found = ratio([90.0, 100.0, 60.0], [100.0, 80.0, 120.0])

    # Medians 90 / 100; rounds 90/100 = 0.9, 100/80 = 1.25, 60/120 = 0.5.
    assert found == Ratio(0.9, 0.5, 1.25)


def test_one_round_that_the_machine_spoiled_for_one_side_does_not_move_the_ratio() -> None:
    found = ratio_of_rates(reading(80, 80, 5), reading(100, 100, 100))

    assert found.value == 0.8
    assert found.least == 0.05


def test_a_figure_of_a_side_is_the_median_of_its_rounds() -> None:
    side = reading(100, 200, 400)

    # 1000/200 = 5 ms, 2000/200 = 10 ms
    assert (side.rate, side.p50, side.p95) == (200, 5, 10)


def test_a_limit_is_kept_at_the_limit_itself() -> None:
    assert at_least(0.9).is_met(0.9)
    assert not at_least(0.9).is_met(0.89)
    assert at_most(1.2).is_met(1.2)
    assert not at_most(1.2).is_met(1.21)


def test_a_target_reads_as_people_write_it() -> None:
    assert [str(at_least(0.75)), str(at_most(110))] == ["≥ 0.75", "≤ 110"]


def test_unmet_is_what_misses_its_target_or_could_not_be_measured_and_nothing_else() -> None:
    results = Results(
        growth=[
            Growth("get", "GET", {1: 1.0, 2: 1.3}, Ratio(1.3, 1.2, 1.4), at_most(1.1)),
            Growth("put", "PUT", {1: 1.0, 2: 9.0}, Ratio(9.0, 8.0, 9.5)),
        ],
        facts=[Fact("memory", "memory", 90, "MB", at_most(110)), Fact("bulk", "bulk", 3, "s", at_most(1))],
        failures=[Failure("sync", "first sync", "ours answered 503")],
    )

    assert results.unmet() == ["GET, growth", "bulk", "first sync"]


def test_three_of_four_people_are_engineers_and_whoever_comes_after_all_is_an_outsider() -> None:
    departments = [department_of(number, people=5) for number in range(6)]

    assert departments == [ENGINEERING, ENGINEERING, ENGINEERING, DESIGN, ENGINEERING, SUPPORT]


def test_a_family_of_workloads_stands_for_each_of_them_once() -> None:
    assert chosen(["lookup", "create", "lookup-miss"]) == ("lookup-name", "lookup-miss", "lookup-external", "create")


def test_an_unknown_workload_is_refused_with_those_there_are() -> None:
    with pytest.raises(BenchError, match=r"no workload 'crate'.*create"):
        chosen(["crate"])


def test_the_ceiling_is_met_at_ten_thousand_people_and_groups_go_up_to_a_hundred_thousand() -> None:
    assert (FULL.usual, FULL.many, FULL.group_sizes) == (10_000, 100_000, (10, 1_000, 100_000))
    assert (QUICK.usual, QUICK.many, QUICK.group_sizes) == (10_000, 10_000, (10, 1_000, 10_000))
