"""The rules of the brake: what is allowed, how it is counted, what counts."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.brake import Count, Thresholds, is_loss, minute_of
from bridge.errors import InvalidInputError

AT = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("people", "limit"),
    [(0, 5), (10, 5), (25, 5), (29, 5), (30, 6), (49, 9), (100, 20), (10_000, 2_000)],
)
def test_five_or_a_fifth_rounded_down_may_go(people: int, limit: int) -> None:
    assert Thresholds().limit(people) == limit


@pytest.mark.parametrize(
    "thresholds",
    [Thresholds(minimum=0), Thresholds(share=0), Thresholds(share=101), Thresholds(window_minutes=1441)],
)
def test_thresholds_out_of_bounds_are_refused(thresholds: Thresholds) -> None:
    with pytest.raises(InvalidInputError):
        thresholds.check()


def test_the_people_are_counted_first_again_after_a_window_and_before_the_brake_trips() -> None:
    known = Count({}, limit=5, limit_at=AT)

    assert Count({}).allows(1, AT, 10) is None
    assert known.allows(5, AT + timedelta(minutes=9), 10) is True
    assert known.allows(1, AT + timedelta(minutes=10), 10) is None
    assert known.allows(6, AT, 10) is None


def test_an_effect_counts_for_as_long_as_its_minute_is_partly_in_the_window() -> None:
    count = Count(Count({}).plus(3, AT, 10))

    assert count.used(AT + timedelta(minutes=10, seconds=59), 10) == 3
    assert count.used(AT + timedelta(minutes=11), 10) == 0
    later = AT + timedelta(minutes=11)
    assert count.plus(1, later, 10) == {str(minute_of(later)): 1}


@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(1, 4)), max_size=60),
    st.integers(1, 8),
)
def test_no_true_window_ever_has_more_effects_than_were_allowed(pushes: list[tuple[int, int]], limit: int) -> None:
    """Pushes at whole seconds over some minutes, a window of 2 minutes."""
    window = 2
    count = Count({}, limit=limit, limit_at=AT)
    taken: list[tuple[datetime, int]] = []
    for second, number in sorted(pushes):
        at = AT + timedelta(seconds=second)
        allowed = count.used(at, window) + number <= limit
        count = Count(count.plus(number, at, window), limit, AT)
        if allowed:
            taken.append((at, number))

    for end, _ in taken:
        within = sum(number for at, number in taken if end - timedelta(minutes=window) <= at <= end)
        assert within <= limit


@pytest.mark.parametrize(
    ("from_tier", "to_tier"), [("premium", None), ("premium", "standard"), ("standard", "premium")]
)
def test_a_seat_lost_or_exchanged_counts(from_tier: str, to_tier: str | None) -> None:
    assert is_loss(from_tier, to_tier, less_access=False)


@pytest.mark.parametrize(("from_tier", "to_tier"), [(None, "premium"), ("premium", "premium"), (None, None)])
def test_a_seat_gained_or_kept_does_not_count_but_less_access_does(from_tier: str | None, to_tier: str | None) -> None:
    assert not is_loss(from_tier, to_tier, less_access=False)
    assert is_loss(from_tier, to_tier, less_access=True)
