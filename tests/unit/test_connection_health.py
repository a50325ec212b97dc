"""How a connection is doing, in one word: what needs somebody soonest comes first."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.domain.connection_health import ConnectionState, Expiring, Expiry, state_of

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def ends_in(days: int) -> Expiry:
    return Expiry(Expiring.TOKEN, NOW + timedelta(days=days))


@pytest.mark.parametrize(
    ("disabled", "is_refused", "is_used", "expiry", "state"),
    [
        (True, True, True, ends_in(-1), ConnectionState.DISABLED),
        (False, True, True, ends_in(-1), ConnectionState.EXPIRED),
        (False, True, True, ends_in(10), ConnectionState.FAILING),
        (False, False, True, ends_in(29), ConnectionState.EXPIRING),
        (False, False, True, ends_in(30), ConnectionState.HEALTHY),
        (False, False, True, None, ConnectionState.HEALTHY),
        (False, False, False, None, ConnectionState.UNUSED),
    ],
)
def test_what_needs_somebody_soonest_gives_the_word(
    disabled: bool,  # noqa: FBT001 (a column of the table)
    is_refused: bool,  # noqa: FBT001 (a column of the table)
    is_used: bool,  # noqa: FBT001 (a column of the table)
    expiry: Expiry | None,
    state: ConnectionState,
) -> None:
    found = state_of(disabled=disabled, is_refused=is_refused, is_used=is_used, expiry=expiry, now=NOW)

    assert found is state
