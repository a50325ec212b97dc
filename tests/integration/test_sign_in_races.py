"""C5: two sign-ins of one new person at once, and a sign-in racing the directory's push."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from bridge.errors import SignInRefusedError
from bridge.store.models import Decision
from bridge.store.pools import read_pools
from tests.factories import Customer
from tests.sign_ins import asserted, complete, count, members, start, trust

ROUNDS = 8


@pytest.fixture
def acme(customer: Customer) -> Customer:
    trust(customer)
    return customer


def at_once(actions: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run every action at the same moment and return what each of them answered."""
    barrier = Barrier(len(actions))

    def run(action: Callable[[], Any]) -> Any:
        barrier.wait(10)
        return action()

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(run, actions))


def seats_in_use(customer: Customer) -> int:
    with customer.unit() as unit:
        return sum(pool.used for pool in read_pools(unit))


def test_case_c5_two_first_sign_ins_of_one_person_at_once_make_one_member_and_serve_both(acme: Customer) -> None:
    for number in range(ROUNDS):
        name = f"new{number}@acme.test"
        assertions = [asserted(acme, name, start(acme)) for _ in range(2)]

        one, two = at_once([lambda a=assertion: complete(acme, a) for assertion in assertions])  # type: ignore[misc] # bound now

        assert one.member.id == two.member.id
        assert sorted([one.provisioned, two.provisioned]) == [False, True]

    # 8 people; 2 Premium and 5 Standard seats, one waits.
    assert (len(members(acme)), seats_in_use(acme), count(acme, Decision)) == (8, 7, 8)


def test_case_c5_a_first_sign_in_racing_the_push_makes_one_member_and_serves_both(acme: Customer) -> None:
    for number in range(ROUNDS):
        name = f"new{number}@acme.test"
        assertion = asserted(acme, name, start(acme))

        signed_in, pushed = at_once(
            [
                lambda a=assertion: complete(acme, a),  # type: ignore[misc] # bound now
                lambda n=name: acme.push(n, external_id=f"id-{n}"),  # type: ignore[misc] # bound now
            ]
        )

        assert signed_in.member.id == pushed.id

    found = members(acme)
    assert [(member.source, member.external_id) for member in found] == [
        ("scim", f"id-new{number}@acme.test") for number in range(ROUNDS)
    ]
    assert seats_in_use(acme) == 7


def test_one_assertion_brought_back_twice_at_once_signs_in_once(acme: Customer) -> None:
    assertion = asserted(acme, "ada@acme.test", start(acme))

    def attempt() -> str:
        try:
            complete(acme, assertion)
        except SignInRefusedError as refusal:
            return refusal.reason
        return "signed in"

    assert sorted(at_once([attempt] * 4)) == ["signed in"] + ["unknown_request"] * 3
