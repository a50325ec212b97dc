"""Many provisioning clients at once over real HTTP."""

import http.client
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from sqlalchemy import func, select

from bridge.domain.identifiers import MemberId
from bridge.errors import InvalidInputError, MemberInactiveError, PreviewStaleError, SameTierError, SeatsInUseError
from bridge.store.directory import get_member
from bridge.store.journal import verify
from bridge.store.models import Alert, AuditEntry, BudgetPurchase, Decision, Delivery, Invoice, Member, SeatPool
from bridge.usecases.assign_seats import assign_tier
from bridge.usecases.buy_seats import change_seats
from bridge.usecases.edit_mappings import apply_mappings
from bridge.usecases.preview_mappings import preview_mappings
from bridge.usecases.reconcile import reconcile_pools
from bridge.usecases.swap_seats import confirm_swap, preview_swap
from tests.factories import Customer, loosen_brake, set_budget
from tests.protocol.scim_client import GROUP, USER, make_token
from tests.protocol.scim_live import live_server

WORKERS = 16

Answer = tuple[int, dict[str, Any]]


class HttpClient:
    """One request a connection, as identity providers send them."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self.token = urlsplit(url), token

    def send(self, method: str, path: str, body: Any = None) -> Answer:
        connection = http.client.HTTPConnection(self.url.netloc, timeout=60)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/scim+json"}
        connection.request(method, f"{self.url.path}{path}", json.dumps(body).encode() if body else None, headers)
        response = connection.getresponse()
        text = response.read()
        connection.close()
        return response.status, json.loads(text) if text else {}


def at_once(call: Callable[[int], Answer], times: int) -> Sequence[Answer]:
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(call, range(times)))


def map_groups(customer: Customer, **tiers: str) -> None:
    """Put mappings in force: ``map_groups(customer, Engineering="premium")``."""
    rules = [{"group": group, "expected": True, "tier": tier} for group, tier in tiers.items()]
    with customer.unit(customer.owner) as unit:
        preview = preview_mappings(unit, {"schema": 1, "rules": rules})
        apply_mappings(unit, preview.id, acknowledged=True)


@dataclass(frozen=True)
class Sample:
    """What one statement saw: tier by tier, seats there are, seats counted as used, and people who hold one."""

    tiers: tuple[tuple[str, int, int, int], ...]

    @property
    def is_exact(self) -> bool:
        return all(used == held <= total for _, total, used, held in self.tiers)


@contextmanager
def sampled(customer: Customer) -> Iterator[list[Sample]]:
    """Look at pools and people again and again while something happens, each time by one statement."""
    samples: list[Sample] = []
    over = Event()
    held = select(func.count()).where(Member.org_id == SeatPool.org_id, Member.tier == SeatPool.tier).scalar_subquery()

    def look() -> None:
        while not over.is_set():
            with customer.unit() as unit:
                rows = unit.session.execute(select(SeatPool.tier, SeatPool.total, SeatPool.used, held))
                samples.append(Sample(tuple((row[0], row[1], row[2], row[3]) for row in rows)))
            over.wait(0.02)

    with ThreadPoolExecutor(1) as looking:
        looked = looking.submit(look)
        try:
            yield samples
        finally:
            over.set()
            looked.result()


def check_books(customer: Customer) -> None:
    """Every pool counts whom it serves, and the audit chain is whole."""
    with customer.unit() as unit:
        assert reconcile_pools(unit) == []
        assert verify(unit) is None


def used_seats(customer: Customer) -> dict[str, int]:
    with customer.unit() as unit:
        return {pool.tier: pool.used for pool in unit.session.scalars(select(SeatPool))}


def held_seats(customer: Customer) -> dict[str | None, int]:
    with customer.unit() as unit:
        held = (
            select(Member.tier, func.count())
            .where(Member.connection_id == customer.connection_id)
            .group_by(Member.tier)
        )
        return {row[0]: row[1] for row in unit.session.execute(held)}


@pytest.mark.slow
def test_case_c1_200_parallel_creates_take_exactly_the_seats_there_are(
    make_customer: Callable[..., Customer],
) -> None:
    customer = make_customer(premium=10, standard=50)
    with live_server(customer) as url, sampled(customer) as samples:
        client = HttpClient(url, make_token(customer))

        answers = at_once(
            lambda number: client.send("POST", "/Users", {"schemas": [USER], "userName": f"p{number}@corp.test"}),
            200,
        )

    assert Counter(status for status, _ in answers) == {201: 200}
    assert len(samples) > 3
    assert [sample for sample in samples if not sample.is_exact] == []
    # 200 people less 10 premium and 50 standard seats: 140 without one.
    assert held_seats(customer) == {"premium": 10, "standard": 50, None: 140}
    assert used_seats(customer) == {"premium": 10, "standard": 50}


@pytest.mark.slow
def test_case_c1_200_parallel_creates_buy_exactly_what_the_budget_allows_each_seat_charged_once(
    make_customer: Callable[..., Customer],
) -> None:
    customer = make_customer(premium=10, standard=50)
    with customer.unit(customer.owner) as unit:
        document = {"schema": 1, "on_exhausted": "buy_up_to", "default": "premium", "rules": []}
        apply_mappings(unit, preview_mappings(unit, document).id, acknowledged=True)
        set_budget(unit, "premium", seats=15)
    with live_server(customer) as url, sampled(customer) as samples:
        client = HttpClient(url, make_token(customer))

        answers = at_once(
            lambda number: client.send("POST", "/Users", {"schemas": [USER], "userName": f"p{number}@corp.test"}),
            200,
        )

    assert Counter(status for status, _ in answers) == {201: 200}
    assert [sample for sample in samples if not sample.is_exact] == []
    # 10 seats were there and 15 were bought; 175 wait.
    assert held_seats(customer) == {"premium": 25, None: 175}
    with customer.unit() as unit:
        bought = unit.session.scalars(select(BudgetPurchase).order_by(BudgetPurchase.number)).all()
        charged = unit.session.scalars(select(Invoice.key).where(Invoice.reason == "seat_change")).all()
        paid = unit.session.scalars(
            select(Decision.invoice_id).where(Decision.reason == "bought", Decision.to_tier == "premium")
        ).all()
        mails = unit.session.scalar(
            select(func.count()).select_from(Delivery).where(Delivery.kind == "invoice_mail", Delivery.state != "dead")
        )
        told = unit.session.scalars(select(Alert.code).where(Alert.resolved_at.is_(None))).all()
    assert [one.seats for one in bought] == [1] * 15
    assert sorted(charged) == sorted(f"budget:{number}" for number in range(1, 16))
    assert sorted(map(str, paid)) == sorted(str(one.invoice_id) for one in bought)
    # The first invoice is that of the start.
    assert (mails, told) == (16, ["budget_used_up"])
    check_books(customer)


def test_case_c2_people_who_come_one_after_the_other_take_the_best_tier_first(
    make_customer: Callable[..., Customer],
) -> None:
    customer = make_customer(premium=2, standard=1)
    with live_server(customer) as url:
        client = HttpClient(url, make_token(customer))
        for number in range(4):
            client.send("POST", "/Users", {"schemas": [USER], "userName": f"p{number}@corp.test"})

    with customer.unit() as unit:
        tiers = unit.session.scalars(
            select(Member.tier).where(Member.connection_id == customer.connection_id).order_by(Member.position)
        ).all()
    assert tiers == ["premium", "premium", "standard", None]


@pytest.mark.slow
def test_case_c3_the_same_user_name_20_times_at_once_makes_one_person_with_one_seat(customer: Customer) -> None:
    before = used_seats(customer)
    with live_server(customer) as url:
        client = HttpClient(url, make_token(customer))
        names = ["Ann@Corp.test", "ann@corp.test", "ANN@CORP.TEST", "aNN@corp.TEST"]

        answers = at_once(
            lambda number: client.send("POST", "/Users", {"schemas": [USER], "userName": names[number % 4]}), 20
        )

    assert Counter(status for status, _ in answers) == {201: 1, 409: 19}
    assert {answer["scimType"] for status, answer in answers if status == 409} == {"uniqueness"}
    assert sum(used_seats(customer).values()) == sum(before.values()) + 1


@pytest.mark.slow
def test_case_c4_40_people_added_to_one_group_at_once_are_all_in_it(customer: Customer) -> None:
    with live_server(customer) as url:
        client = HttpClient(url, make_token(customer))
        people = [
            answer["id"]
            for _, answer in at_once(
                lambda number: client.send("POST", "/Users", {"schemas": [USER], "userName": f"m{number}@corp.test"}),
                40,
            )
        ]
        _, group = client.send("POST", "/Groups", {"schemas": [GROUP], "displayName": "All"})

        answers = at_once(
            lambda number: client.send(
                "PATCH",
                f"/Groups/{group['id']}",
                {"Operations": [{"op": "add", "path": "members", "value": [{"value": people[number]}]}]},
            ),
            40,
        )
        _, after = client.send("GET", f"/Groups/{group['id']}")

    assert Counter(status for status, _ in answers) == {200: 40}
    assert {entry["value"] for entry in after["members"]} == set(people)


@pytest.mark.slow
def test_case_c6_a_storm_of_deletes_and_of_switching_on_and_off_gives_each_seat_back_once(
    make_customer: Callable[..., Customer],
) -> None:
    customer = make_customer(premium=5, standard=5)
    loosen_brake(customer)
    before = used_seats(customer)
    with live_server(customer) as url:
        client = HttpClient(url, make_token(customer))
        leaver, switched = (
            client.send("POST", "/Users", {"schemas": [USER], "userName": f"{name}@corp.test"})[1]["id"]
            for name in ("leaver", "switched")
        )
        switch = [{"op": "replace", "path": "active", "value": value} for value in (False, True)]

        answers = at_once(
            lambda number: (
                client.send("DELETE", f"/Users/{leaver}")
                if number % 3 == 0
                else client.send("PATCH", f"/Users/{switched}", {"Operations": [switch[number % 2]]})
            ),
            48,
        )
        client.send("PATCH", f"/Users/{switched}", {"Operations": [switch[0]]})

    # 16 of the 48 delete: one finds the person, 15 nobody; the other 32 are switches.
    assert Counter(status for status, _ in answers) == {204: 1, 404: 15, 200: 32}
    assert used_seats(customer) == before
    check_books(customer)


@pytest.mark.slow
def test_case_c7_whoever_is_synced_while_the_rules_change_ends_on_the_newest_rules_tier(
    make_customer: Callable[..., Customer],
) -> None:
    customer = make_customer(premium=20, standard=20)
    loosen_brake(customer)
    with live_server(customer) as url:
        client = HttpClient(url, make_token(customer))
        _, group = client.send("POST", "/Groups", {"schemas": [GROUP], "displayName": "Engineering"})
        people = [
            client.send("POST", "/Users", {"schemas": [USER], "userName": f"p{number}@corp.test"})[1]["id"]
            for number in range(16)
        ]

        def sync_or_edit(number: int) -> Answer:
            if number % 8 == 7:
                return edit_rules(customer, "standard" if number % 16 == 15 else "premium")
            change = {"op": "add", "path": "members", "value": [{"value": people[number % 16]}]}
            return client.send("PATCH", f"/Groups/{group['id']}", {"Operations": [change]})

        answers = at_once(sync_or_edit, 32)
        everybody = [{"value": person} for person in people]
        client.send(
            "PATCH", f"/Groups/{group['id']}", {"Operations": [{"op": "add", "path": "members", "value": everybody}]}
        )
        edit_rules(customer, "standard")

    assert {status for status, _ in answers} <= {200, 204}
    assert held_seats(customer) == {"standard": 16}
    check_books(customer)
    with customer.unit() as unit:
        moves = unit.session.execute(
            select(Decision.member_id, Decision.seq).where(Decision.from_tier.is_distinct_from(Decision.to_tier))
        ).all()
        entries = unit.session.scalars(
            select(AuditEntry.seq).where(AuditEntry.action.in_(["seat.assigned", "seat.released"]))
        ).all()
    # One audit entry for each change of a seat, and no other.
    assert sorted(row[1] for row in moves) == sorted(entries)


def edit_rules(customer: Customer, tier: str) -> Answer:
    """Map Engineering to a tier, looking again as often as somebody changed something meanwhile."""
    while True:
        try:
            with customer.unit(customer.owner) as unit:
                document = {"schema": 1, "rules": [{"group": "Engineering", "tier": tier}]}
                preview = preview_mappings(unit, document)
            with customer.unit(customer.owner) as unit:
                apply_mappings(unit, preview.id, acknowledged=True)
        except PreviewStaleError:
            continue
        except InvalidInputError:  # in force already
            return 200, {}
        return 200, {}


def test_case_c9_fewer_seats_than_are_used_are_refused_with_the_count(make_customer: Callable[..., Customer]) -> None:
    customer = make_customer(premium=5, standard=0)
    for number in range(4):
        customer.push(f"p{number}@corp.test")

    with (
        pytest.raises(SeatsInUseError, match="4 premium seats are assigned") as refused,
        customer.unit(customer.owner) as unit,
    ):
        change_seats(unit, {"premium": -2})

    assert (refused.value.used, refused.value.requested) == (4, 3)
    assert used_seats(customer)["premium"] == 4


@pytest.mark.slow
def test_case_c10_a_seat_given_by_hand_and_pushes_at_once_leave_the_seats_right_and_both_in_the_audit(
    make_customer: Callable[..., Customer],
) -> None:
    customer = make_customer(premium=3, standard=20)
    map_groups(customer, Engineering="premium", Sales="standard")
    with live_server(customer) as url:
        client = HttpClient(url, make_token(customer))
        people = [
            client.send("POST", "/Users", {"schemas": [USER], "userName": f"p{number}@corp.test"})[1]["id"]
            for number in range(6)
        ]
        groups = [
            client.send("POST", "/Groups", {"schemas": [GROUP], "displayName": name})[1]["id"]
            for name in ("Engineering", "Sales")
        ]

        def move(number: int) -> Answer:
            person = people[number % 6]
            if number % 4 == 0:
                with customer.unit(customer.owner) as unit:
                    assign_tier(unit, MemberId(UUID(person)), "standard")
                return 200, {}
            op = "add" if number % 4 < 3 else "remove"
            change = {"op": op, "path": "members", "value": [{"value": person}]}
            return client.send("PATCH", f"/Groups/{groups[number % 2]}", {"Operations": [change]})

        answers = at_once(move, 48)

    assert Counter(status for status, _ in answers) == {200: 48}
    check_books(customer)
    with customer.unit() as unit:
        actors = {actor.partition(":")[0] for actor in unit.session.scalars(select(AuditEntry.actor))}
        placed = [get_member(unit, MemberId(UUID(person))) for person in people[0::2]]
    # Every even number below 48 that is a multiple of 4 goes to persons 0, 2 and 4: placed by hand, they keep the tier.
    assert {member.tier for member in placed if member.pinned} <= {"standard"}
    assert {"member", "directory"} <= actors


@pytest.mark.slow
def test_case_c10_swaps_and_pushes_at_once_leave_the_seats_right(make_customer: Callable[..., Customer]) -> None:
    customer = make_customer(premium=3, standard=3)
    with live_server(customer) as url, sampled(customer) as samples:
        client = HttpClient(url, make_token(customer))
        people = [
            client.send("POST", "/Users", {"schemas": [USER], "userName": f"p{number}@corp.test"})[1]["id"]
            for number in range(8)
        ]

        def move(number: int) -> Answer:
            if number % 2 == 0:
                return client.send(
                    "PATCH",
                    f"/Users/{people[number % 8]}",
                    {"Operations": [{"op": "replace", "path": "active", "value": number % 3 > 0}]},
                )
            first, second = (MemberId(UUID(people[place % 8])) for place in (number, number + 3))
            try:
                with customer.unit(customer.owner) as unit:
                    preview = preview_swap(unit, first, second)
                with customer.unit(customer.owner) as unit:
                    confirm_swap(unit, preview.id)
            except (MemberInactiveError, PreviewStaleError, SameTierError) as refusal:
                return 409, {"code": refusal.code}
            return 200, {}

        answers = at_once(move, 64)

    assert {status for status, _ in answers} <= {200, 409}
    assert all(status == 200 for status, _ in answers[::2])
    assert [sample for sample in samples if not sample.is_exact] == []
    check_books(customer)


@pytest.mark.slow
def test_case_c11_whoever_leaves_one_of_two_mapped_groups_at_once_with_others_has_the_highest_of_the_rest(
    make_customer: Callable[..., Customer],
) -> None:
    customer = make_customer(premium=10, standard=10)
    loosen_brake(customer)
    map_groups(customer, Engineering="premium", Sales="standard")
    with live_server(customer) as url:
        client = HttpClient(url, make_token(customer))
        people = [
            client.send("POST", "/Users", {"schemas": [USER], "userName": f"p{number}@corp.test"})[1]["id"]
            for number in range(8)
        ]
        everybody = [{"value": person} for person in people]
        engineering, _ = (
            client.send("POST", "/Groups", {"schemas": [GROUP], "displayName": name, "members": everybody})[1]["id"]
            for name in ("Engineering", "Sales")
        )
        first = held_seats(customer)

        answers = at_once(
            lambda number: client.send(
                "PATCH",
                f"/Groups/{engineering}",
                {"Operations": [{"op": "remove", "path": f'members[value eq "{people[number % 8]}"]'}]},
            ),
            16,
        )

    assert Counter(status for status, _ in answers) == {200: 16}
    assert (first, held_seats(customer)) == ({"premium": 8}, {"standard": 8})
    check_books(customer)
