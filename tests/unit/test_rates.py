"""Token buckets and slots, by a clock the test moves."""

import threading
import time

import pytest

from bridge.config.settings import ScimSettings, ServerSettings
from bridge.domain.buckets import Buckets, network_of
from bridge.errors import TooManyRequestsError
from scim.rates import Rates, Slots


class Watch:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_a_bucket_gives_its_burst_at_once_and_then_what_flows_back(watch: Watch) -> None:
    buckets: Buckets[str] = Buckets(3, 2.0, clock=watch)

    burst = [buckets.take("a") for _ in range(4)]
    watch.seconds += 0.5
    after_half_a_second = [buckets.take("a") for _ in range(2)]

    assert burst == [0.0, 0.0, 0.0, 0.5]  # 2 a second: the next one is there in 1/2 s
    assert after_half_a_second == [0.0, 0.5]  # 0.5 s * 2 = 1


def test_a_bucket_never_holds_more_than_its_burst(watch: Watch) -> None:
    buckets: Buckets[str] = Buckets(2, 1.0, clock=watch)
    buckets.take("a")

    watch.seconds += 3600

    assert [buckets.take("a") for _ in range(3)] == [0.0, 0.0, 1.0]


def test_looking_takes_nothing(watch: Watch) -> None:
    buckets: Buckets[str] = Buckets(1, 1.0, clock=watch)

    assert [buckets.wait("a"), buckets.wait("a"), buckets.take("a"), buckets.wait("a")] == [0.0, 0.0, 0.0, 1.0]


def test_one_key_s_bucket_is_not_another_s(watch: Watch) -> None:
    buckets: Buckets[str] = Buckets(1, 1.0, clock=watch)

    assert [buckets.take("a"), buckets.take("b"), buckets.take("a")] == [0.0, 0.0, 1.0]


def test_memory_is_bounded_and_forgets_the_longest_known(watch: Watch) -> None:
    buckets: Buckets[int] = Buckets(1, 0.001, clock=watch, max_keys=2)
    for key in (1, 2, 3):
        buckets.take(key)

    assert len(buckets) == 2
    assert buckets.wait(1) == 0.0  # forgotten: full again
    assert buckets.wait(3) > 0.0


def test_a_first_synchronisation_at_full_speed_fits() -> None:
    watch = Watch()
    rates = Rates(ScimSettings(), ServerSettings(), clock=watch)

    # 10,000 people looked up and pushed, 200 groups looked up and pushed, 3 memberships each: 50,400 at 1,000 a second.
    for _ in range(10_000 * 2 + 200 * 2 + 10_000 * 3):
        rates.spend("connection")
        watch.seconds += 0.001


def test_entra_s_25_requests_a_second_fit_for_good() -> None:
    watch = Watch()
    rates = Rates(ScimSettings(rate_burst=25), ServerSettings(), clock=watch)

    for _ in range(100_000):
        rates.spend("connection")
        watch.seconds += 0.04


def test_a_flood_is_told_when_to_come_again(watch: Watch) -> None:
    rates = Rates(ScimSettings(rate_burst=5, rate_per_second=0.25), ServerSettings(), clock=watch)
    for _ in range(5):
        rates.spend("connection")

    with pytest.raises(TooManyRequestsError) as refused:
        rates.spend("connection")

    assert refused.value.retry_after_seconds == 4  # one in 1 / 0.25 s
    rates.spend("another connection")


def test_refused_credentials_of_an_address_end_at_thirty_a_minute(watch: Watch) -> None:
    rates = Rates(ScimSettings(), ServerSettings(), clock=watch)
    for _ in range(30):
        rates.check_stranger("192.0.2.1", "nordlys")
        rates.note_refused("192.0.2.1", "nordlys")

    with pytest.raises(TooManyRequestsError) as refused:
        rates.check_stranger("192.0.2.1", "nordlys")

    assert refused.value.retry_after_seconds == 2  # 30 a minute: one in 2 s
    rates.check_stranger("192.0.2.2", "nordlys")
    rates.check_stranger("192.0.2.1", "another")


def test_naming_ever_other_organizations_ends_at_three_hundred_a_minute(watch: Watch) -> None:
    rates = Rates(ScimSettings(), ServerSettings(), clock=watch)
    for number in range(300):
        rates.check_stranger("192.0.2.1", f"guess-{number}")
        rates.note_refused("192.0.2.1", f"guess-{number}")

    with pytest.raises(TooManyRequestsError):
        rates.check_stranger("192.0.2.1", "another-guess")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::"),
        ("", ""),
        ("no:address", "no:address"),
    ],
)
def test_ipv6_clients_are_counted_by_the_network_they_choose_addresses_from(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize(("wished", "threads", "slots"), [(6, 8, 6), (6, 4, 3), (6, 1, 1), (2, 64, 2)])
def test_one_organization_never_has_every_thread(wished: int, threads: int, slots: int) -> None:
    rates = Rates(ScimSettings(concurrent_requests=wished), ServerSettings(threads=threads))

    assert rates.slots.limit == slots


def test_a_slot_that_becomes_free_is_waited_for() -> None:
    slots: Slots[str] = Slots(1, patience=5)
    slots.enter("a")
    timer = threading.Timer(0.05, slots.leave, ["a"])
    timer.start()

    entered = slots.enter("a")
    timer.join()

    assert entered


def test_waiting_in_vain_happens_once_and_then_others_are_turned_away_at_once() -> None:
    slots: Slots[str] = Slots(1, patience=0.2)
    slots.enter("a")

    began = time.monotonic()
    first, second = slots.enter("a"), slots.enter("a")
    took = time.monotonic() - began

    assert (first, second) == (False, False)
    assert 0.2 <= took < 0.4  # one wait, not two
    assert slots.enter("b")


def test_a_slot_given_back_ends_the_turning_away() -> None:
    slots: Slots[str] = Slots(1, patience=0.05)
    slots.enter("a")
    slots.enter("a")

    slots.leave("a")

    assert slots.enter("a")


def test_no_slot_is_lost_or_doubled_by_many_threads() -> None:
    slots: Slots[str] = Slots(3, patience=30)
    inside, most, lock = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal inside, most
        for _ in range(50):
            assert slots.enter("a")
            with lock:
                inside += 1
                most = max(most, inside)
            time.sleep(0)
            with lock:
                inside -= 1
            slots.leave("a")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert inside == 0
    assert most <= 3
