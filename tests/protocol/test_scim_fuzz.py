"""A provisioning client that sends anything, step after step: no answer breaks the protocol, no request the records."""

import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from werkzeug.test import TestResponse

from bridge.domain.identifiers import MemberId
from bridge.usecases.people_by_hand import turn_off_member, turn_on_member
from tests.conftest import SettableClock
from tests.factories import Customer
from tests.protocol import scim_grammar as grammar
from tests.protocol.scim_client import USER, ScimClient, make_app, make_token
from tests.protocol.scim_invariants import (
    check_answer,
    check_books,
    check_found_again,
    digest,
    quickly,
    read_everything,
)

#: How long to look for new counterexamples, each round from another seed; without it a short run that repeats itself.
SECONDS = float(os.environ.get("SEATBRIDGE_FUZZ_SECONDS", "0"))
#: The grammar's size shows in the names hypothesis gives its strategies, which nobody reads.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")
FIRST_SEED = int(os.environ.get("SEATBRIDGE_FUZZ_SEED", "1"))
NOBODY = "00000000-0000-4000-8000-00000000ffff"

_COMMON = settings(
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    stateful_step_count=30,
)


class ProvisioningClient(RuleBasedStateMachine):
    """One organization and what a directory with a valid token does to it."""

    new_customer: Callable[[], Customer]
    clock: SettableClock

    def __init__(self) -> None:
        super().__init__()
        self.customer = type(self).new_customer()
        self.client = ScimClient(make_app(self.customer), self.customer.slug, make_token(self.customer))
        self.reader = ScimClient(
            make_app(self.customer), self.customer.slug, make_token(self.customer, can_write=False)
        )
        for name in ("u1", "u2"):
            self.client.create_user(f"{name}@corp.test", emails=[{"value": f"{name}@corp.test", "primary": True}])
        for name in ("G1", "Staff"):
            self.client.create_group(name, NOBODY)
        self.tag, self.cursor = 'W/"1"', ""
        self.seen = read_everything(self.client)
        self.state = digest(self.customer)

    # What it sends.

    @rule(body=grammar.PERSON_BODIES, query=grammar.QUERIES)
    def create_person(self, body: Any, query: Any) -> None:
        self.send("POST", "/Users", body, query=query)

    @rule(body=grammar.GROUP_BODIES)
    def create_group(self, body: Any) -> None:
        self.send("POST", "/Groups", body)

    @rule(path=grammar.RESOURCES, body=grammar.PERSON_BODIES | grammar.GROUP_BODIES, headers=grammar.CONDITIONS)
    def put(self, path: str, body: Any, headers: dict[str, str]) -> None:
        self.send("PUT", path, body, headers=headers)

    @rule(person=grammar.PEOPLE, body=grammar.PERSON_BODIES)
    def put_person(self, person: str, body: Any) -> None:
        self.send("PUT", f"/Users/{person}", body)

    @rule(group=grammar.GROUPS, body=grammar.GROUP_BODIES)
    def put_group(self, group: str, body: Any) -> None:
        self.send("PUT", f"/Groups/{group}", body)

    @rule(path=grammar.RESOURCES, body=grammar.PATCHES, query=grammar.QUERIES, headers=grammar.CONDITIONS)
    def patch(self, path: str, body: Any, query: Any, headers: dict[str, str]) -> None:
        self.send("PATCH", path, body, query=query, headers=headers)

    @rule(person=grammar.PEOPLE, body=grammar.PATCHES)
    def patch_person(self, person: str, body: Any) -> None:
        self.send("PATCH", f"/Users/{person}", body)

    @rule(group=grammar.GROUPS, body=grammar.GROUP_PATCHES)
    def patch_group(self, group: str, body: Any) -> None:
        self.send("PATCH", f"/Groups/{group}", body)

    @rule(path=grammar.RESOURCES, headers=grammar.CONDITIONS)
    def delete(self, path: str, headers: dict[str, str]) -> None:
        self.send("DELETE", path, headers=headers)

    @rule(endpoint=grammar.ENDPOINTS, query=grammar.QUERIES, headers=grammar.HEADERS)
    def search_by_query(self, endpoint: str, query: Any, headers: dict[str, str]) -> None:
        self.send("GET", endpoint, query=query, headers=headers)

    @rule(endpoint=st.sampled_from(("/Users", "/Groups", "")), body=grammar.QUERIES | grammar.ODDITIES)
    def search_by_body(self, endpoint: str, body: Any) -> None:
        self.send("POST", f"{endpoint}/.search", body)

    @rule(body=grammar.BULKS)
    def bulk(self, body: Any) -> None:
        before = self.state
        answer = self.send("POST", "/Bulk", body)
        steps = answer.get_json(force=True).get("Operations", ())
        if all(int(step["status"]) >= 400 for step in steps):
            assert self.state == before

    @rule(known=grammar.KNOWN_REQUESTS)
    def send_known_request(self, known: tuple[str, str, Any]) -> None:
        method, path, body = known
        self.send(method, path, body)

    @rule(method=grammar.METHODS, path=grammar.RESOURCES | grammar.ENDPOINTS, data=grammar.BROKEN_BODIES)
    def send_broken_body(self, method: str, path: str, data: bytes) -> None:
        self.send(method, path, data=data)

    @rule(method=grammar.METHODS, path=grammar.ENDPOINTS, headers=grammar.HEADERS, query=grammar.QUERIES)
    def send_oddly(self, method: str, path: str, headers: dict[str, str], query: Any) -> None:
        self.send(method, path, {"schemas": [USER], "userName": "odd@corp.test"}, headers=headers, query=query)

    @rule(endpoint=grammar.ENDPOINTS, query=grammar.QUERIES)
    def read_only(self, endpoint: str, query: Any) -> None:
        self.send("GET", endpoint, query=query, sender=self.reader)

    @rule(seconds=st.sampled_from((1, 59, 3_600, 90_000)))
    def wait(self, seconds: int) -> None:
        type(self).clock.at += timedelta(seconds=seconds)

    @rule(person=grammar.PEOPLE, on=st.booleans())
    def turn_by_hand(self, person: str, *, on: bool) -> None:
        member_id = MemberId(UUID(self.filled(person)))
        if str(member_id) not in self.seen["/Users"]:
            return
        with self.customer.unit(self.customer.owner) as unit:
            (turn_on_member if on else turn_off_member)(unit, member_id)
        self.state = digest(self.customer)
        self.seen = read_everything(self.client)

    @rule(person=grammar.PEOPLE, active=st.booleans(), way=st.sampled_from(("PUT", "PATCH")))
    def turn_by_push(self, person: str, way: str, *, active: bool) -> None:
        shown = self.seen["/Users"].get(self.filled(person), {"userName": "nobody"})
        change = {"op": "replace", "path": "active", "value": active}
        body = {"schemas": [USER], "userName": shown["userName"], "active": active}

        answer = self.send(way, f"/Users/{person}", body if way == "PUT" else {"Operations": [change]})

        if answer.status_code == 200:
            assert answer.get_json(force=True)["active"] is active

    # What holds after each.

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        data: bytes | None = None,
        query: Any = None,
        headers: dict[str, str] | None = None,
        sender: ScimClient | None = None,
    ) -> TestResponse:
        """Send one request and check what must hold after it."""
        if data is None and body is not None:
            data = json.dumps(self.filled(body)).encode()
        path = self.address(path, query)
        sent = {name: value.encode().decode("latin-1") for name, value in self.filled(headers or {}).items()}
        note(f"{method} {path} {sent} {data!r}")

        answer = quickly(lambda: (sender or self.client).send(method, path, data=data, headers=sent))

        note(f"{answer.status_code} {answer.text[:500]}")
        check_answer(answer, method)
        self.check_state(answer)
        return answer

    def check_state(self, answer: TestResponse) -> None:
        """Check that a refusal changed nothing (R3), and that what was stored is found again, by every way."""
        before, self.state = self.state, digest(self.customer)
        if answer.status_code >= 400:
            assert self.state == before
        if self.state == before:
            return
        check_books(self.customer)
        seen = read_everything(self.client)
        for endpoint, resources in seen.items():
            for identifier, resource in resources.items():
                if self.seen[endpoint].get(identifier) != resource:
                    check_found_again(self.client, endpoint, resource)
                    self.tag = resource["meta"]["version"]
        self.seen = seen
        first = self.client.get("/Users?cursor=&count=1").get_json(force=True)
        self.cursor = first.get("nextCursor", "")

    def teardown(self) -> None:
        """Check everything once more when the client is done."""
        check_books(self.customer)
        for endpoint, resources in read_everything(self.client).items():
            for resource in resources.values():
                check_found_again(self.client, endpoint, resource)

    def filled(self, value: Any) -> Any:
        """Put the ids of who is here into the places of the grammar."""
        text = json.dumps(value)
        for name, known in self.known():
            text = text.replace("{" + name + "}", json.dumps(known)[1:-1])
        return json.loads(text)

    def known(self) -> Iterator[tuple[str, str]]:
        """Name what the grammar speaks of."""
        people, groups = list(self.seen["/Users"]), list(self.seen["/Groups"])
        yield from ((f"u{number}", (people or [NOBODY])[number % len(people or [0])]) for number in range(1, 7))
        yield from ((f"g{number}", (groups or [NOBODY])[number % len(groups or [0])]) for number in range(1, 4))
        yield from {"owner": str(self.customer.owner_id), "etag": self.tag, "cursor": self.cursor}.items()

    def address(self, path: str, query: Any) -> str:
        """Return a path with its query; the path is sent as the grammar wrote it."""
        path = quote(self.filled(path).encode("utf-8", "surrogatepass"), safe="/%?=&;*~.:+,@!$'()")
        pairs = [
            f"{name}={quote(str(value).encode('utf-8', 'surrogatepass'), safe='')}"
            for name, value in self.filled(query or {}).items()
        ]
        return path + ("&" if "?" in path else "?") * bool(pairs) + "&".join(pairs)


@pytest.fixture
def machine(make_customer: Callable[..., Customer], clock: SettableClock) -> type[ProvisioningClient]:
    """Give every run an organization of its own, with so few seats that people wait for one."""
    numbers = itertools.count(1)

    class Fuzzed(ProvisioningClient):
        new_customer = staticmethod(lambda: make_customer(slug=f"fuzz-{next(numbers)}", premium=1, standard=2))

    Fuzzed.clock = clock
    return Fuzzed


@pytest.mark.slow
@pytest.mark.timeout(600)  # half a minute where nothing else runs
@pytest.mark.skipif(SECONDS > 0, reason="SEATBRIDGE_FUZZ_SECONDS asks for the long run")
def test_no_sequence_of_requests_breaks_the_protocol_or_the_records(machine: type[ProvisioningClient]) -> None:
    short = settings(_COMMON, max_examples=14, derandomize=True, phases=(Phase.generate,))

    run_state_machine_as_test(machine, settings=short)


@pytest.mark.skipif(SECONDS == 0, reason="the long run is asked for by SEATBRIDGE_FUZZ_SECONDS")
@pytest.mark.timeout(SECONDS + 600)
def test_no_seed_breaks_the_protocol_or_the_records_within_the_time(machine: type[ProvisioningClient]) -> None:
    end = time.monotonic() + SECONDS
    numbers = itertools.takewhile(lambda _: time.monotonic() < end, itertools.count(FIRST_SEED))

    for number in numbers:
        print(f"SEATBRIDGE_FUZZ_SEED={number}")  # noqa: T201 (shown when it fails, to run it again)
        run_state_machine_as_test(seed(number)(machine), settings=settings(_COMMON, max_examples=10))
