"""Many provisioning clients at once over real HTTP."""

import http.client
import json
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import func, select

from bridge.store.models import Member, SeatPool
from tests.factories import Customer
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
def test_c1_200_parallel_creates_take_exactly_the_seats_there_are(
    make_customer: Callable[..., Customer],
) -> None:
    customer = make_customer(premium=10, standard=50)
    with live_server(customer) as url:
        client = HttpClient(url, make_token(customer))

        answers = at_once(
            lambda number: client.send("POST", "/Users", {"schemas": [USER], "userName": f"p{number}@corp.test"}),
            200,
        )

    assert Counter(status for status, _ in answers) == {201: 200}
    # 200 people less 10 premium and 50 standard seats: 140 without one.
    assert held_seats(customer) == {"premium": 10, "standard": 50, None: 140}
    assert used_seats(customer) == {"premium": 10, "standard": 50}


@pytest.mark.slow
def test_c3_the_same_user_name_20_times_at_once_makes_one_person_with_one_seat(customer: Customer) -> None:
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
def test_c4_40_people_added_to_one_group_at_once_are_all_in_it(customer: Customer) -> None:
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
