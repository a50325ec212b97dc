"""What a process remembers is bounded, and what was used last stays longest."""

from concurrent.futures import ThreadPoolExecutor

from bridge.domain.recent import Recent


def test_what_was_used_longest_ago_is_forgotten_first() -> None:
    recent: Recent[str, int] = Recent(2)
    recent.keep("a", 1)
    recent.keep("b", 2)
    recent.get("a")
    recent.keep("c", 3)

    assert [recent.get(key) for key in "abc"] == [1, None, 3]
    assert len(recent) == 2


def test_what_is_forgotten_is_gone_and_forgetting_twice_is_nothing() -> None:
    recent: Recent[str, int] = Recent(2)
    recent.keep("a", 1)
    recent.forget("a")
    recent.forget("a")

    assert "a" not in recent


def test_many_threads_never_exceed_the_bound() -> None:
    recent: Recent[int, int] = Recent(10)

    def use(number: int) -> None:
        recent.keep(number % 37, number)
        recent.get(number % 11)
        recent.forget(number % 5)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(use, range(5000)))
    assert len(recent) <= 10
