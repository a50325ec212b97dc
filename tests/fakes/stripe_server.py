"""Stripe's API as a process of its own, for tests: ``python -m tests.fakes.stripe_server``.

It prints its address, then serves until it is killed. Idempotency is Stripe's: a key keeps its first answer for 24
hours, refusals and status 500 included; other parameters under the same key are refused; a rate limit comes before all
that and is not kept. What tests do to it stands under ``/_test/``.
"""

import argparse
import hashlib
import hmac
import json
import random
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.fakes.stripe_account import Account, Document, StripeRefusalError, invalid

KEPT_SECONDS = 24 * 3600
API_VERSION = "2026-10-28.endive"
_PART = re.compile(r"\[([^\]]*)\]")


@dataclass(slots=True)
class Faults:
    """How often what goes wrong, as parts of 1, and how slow answers are.

    ``drop_answer`` does the work and hangs up; ``drop_request`` hangs up first; ``fail`` answers 500 without doing the
    work, ``fail_late`` after it; ``limit`` answers 429. Only what is posted
    to addresses that begin with ``only`` is hit.
    """

    drop_answer: float = 0.0
    drop_request: float = 0.0
    fail: float = 0.0
    fail_late: float = 0.0
    limit: float = 0.0
    latency_seconds: float = 0.0
    only: str = ""


@dataclass(slots=True)
class Kept:
    """The first answer under an idempotency key."""

    at: float
    fingerprint: str
    status: int
    body: Document


@dataclass(slots=True)
class World:
    """The account, its webhooks' secret, and what goes wrong on the way."""

    account: Account
    api_key: str = "sk_test_seatbridge"
    webhook_secret: str = "whsec_stripe_of_tests"
    faults: Faults = field(default_factory=Faults)
    chance: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - repeatable on purpose
    kept: dict[str, Kept] = field(default_factory=dict)
    requests: list[Document] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def parse_form(text: str) -> Document:
    """Read ``a[b]=c&a[0][d]=e`` as nested objects; keys that are all numbers make a list."""
    tree: Document = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        head, *rest = [name.split("[", 1)[0], *_PART.findall(name)]
        node, last = tree, head
        for part in rest:
            node, last = node.setdefault(last, {}), part
        node[last or str(len(node))] = value
    return {key: _lists(value) for key, value in tree.items()}


def _lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node and all(key.isdigit() for key in node):
        return [_lists(node[key]) for key in sorted(node, key=int)]
    return {key: _lists(value) for key, value in node.items()}


def page(things: list[Document], params: Mapping[str, Any], url: str) -> Document:
    """Return a page of a list whose newest comes first, as Stripe pages it."""
    newest = list(reversed(things))
    ids = [thing["id"] for thing in newest]
    limit = int(params.get("limit", 10))
    if "ending_before" in params:
        end = _position(ids, params["ending_before"])
        start = max(end - limit, 0)
        return {"object": "list", "data": newest[start:end], "has_more": start > 0, "url": url}
    start = _position(ids, params["starting_after"]) + 1 if "starting_after" in params else 0
    data = newest[start : start + limit]
    return {"object": "list", "data": data, "has_more": start + limit < len(newest), "url": url}


def _position(ids: list[str], identifier: str) -> int:
    if identifier not in ids:
        raise invalid(f"No such object: '{identifier}'", code="resource_missing")
    return ids.index(identifier)


def _since(things: list[Document], params: Mapping[str, Any]) -> list[Document]:
    created = params.get("created", {})
    return [thing for thing in things if thing["created"] >= int(created.get("gte", 0))]


def answer_get(account: Account, path: str, params: Mapping[str, Any]) -> Document:
    """Answer a reading request."""
    match path.strip("/").split("/"):
        case ["v1", "subscriptions", identifier]:
            return _expanded(account, account.subscription(identifier), params.get("expand", ()))
        case ["v1", "invoices", identifier]:
            return _first_lines(account.invoice(identifier))
        case ["v1", "invoices", identifier, "lines"]:
            return page(account.invoice(identifier)["lines"]["data"][::-1], params, path)
        case ["v1", "invoices"]:
            return _invoices(account, params)
        case ["v1", "events"]:
            return _events(account, params)
        case _:
            return _missing(path)


def _expanded(account: Account, subscription: Document, wanted: Any) -> Document:
    customer = account.customer(subscription["customer"])
    clock = {"id": "clock_1", "object": "test_helpers.test_clock", "frozen_time": account.now}
    expanded = {"customer": customer, "test_clock": clock if subscription["test_clock"] else None}
    return {**subscription, **{name: thing for name, thing in expanded.items() if name in wanted}}


def _events(account: Account, params: Mapping[str, Any]) -> Document:
    types = params.get("types")
    told = [event for event in account.events if types is None or event["type"] in types]
    return page(_since(told, params), params, "/v1/events")


def _first_lines(invoice: Document) -> Document:
    """Return an invoice as Stripe sends it: with its first ten lines."""
    lines = invoice["lines"]
    return {**invoice, "lines": {**lines, "data": lines["data"][:10], "has_more": len(lines["data"]) > 10}}


def _invoices(account: Account, params: Mapping[str, Any]) -> Document:
    wanted = params.get("subscription")
    of = [
        _first_lines(invoice)
        for invoice in account.invoices.values()
        if wanted in {None, invoice["parent"]["subscription_details"]["subscription"]}
    ]
    return page(_since(of, params), params, "/v1/invoices")


def answer_post(account: Account, path: str, params: Mapping[str, Any]) -> Document:
    """Answer a writing request."""
    match path.strip("/").split("/"):
        case ["v1", "subscriptions", identifier]:
            return account.update_subscription(identifier, params)
        case ["v1", "invoices", "create_preview"]:
            return account.preview(params)
        case ["v1", "billing", "meter_events"]:
            return account.report_usage(params)
        case ["v1", "billing_portal", "sessions"]:
            account.customer(params["customer"])
            identifier = account.new_id("bps")
            return {
                "id": identifier,
                "object": "billing_portal.session",
                "customer": params["customer"],
                "return_url": params.get("return_url"),
                "url": f"https://billing.stripe.example/p/session/{identifier}",
            }
    return _missing(path)


def _missing(path: str) -> Document:
    raise StripeRefusalError(404, "invalid_request_error", f"Unrecognized request URL ({path}).")


def _set_faults(world: World, wanted: Document) -> None:
    world.faults = Faults(**wanted.get("faults", {}))
    world.chance = random.Random(wanted.get("seed", 1))  # noqa: S311 - repeatable on purpose


def _set_card(world: World, wanted: Document) -> None:
    for name, members in {"declining": world.account.declining, "cardless": world.account.cardless}.items():
        (members.add if wanted["state"] == name else members.discard)(wanted["customer"])


def _set_price(world: World, wanted: Document) -> None:
    amount = wanted["unit_amount"]
    world.account.prices[wanted["price"]].update(unit_amount=amount, unit_amount_decimal=str(amount))


def _set_quantity(world: World, wanted: Document) -> None:
    for item in world.account.subscription(wanted["subscription"])["items"]["data"]:
        if item["price"]["id"] == wanted["price"]:
            item["quantity"] = wanted["quantity"]


def _set_balance(world: World, wanted: Document) -> None:
    world.account.customer(wanted["customer"])["balance"] = wanted["balance"]


#: What tests do behind the product's back, by the name under ``/_test/``.
CONTROLS: Mapping[str, Callable[[World, Document], Document | None]] = {
    "subscription": lambda world, wanted: world.account.open_subscription(wanted),
    "clock": lambda world, wanted: world.account.advance(int(wanted["now"])),
    "faults": _set_faults,
    "card": _set_card,
    "pay": lambda world, wanted: world.account.pay(wanted["invoice"]),
    "cancel_at_period_end": lambda world, wanted: world.account.cancel_at_period_end(wanted["subscription"]),
    "price": _set_price,
    "quantity": _set_quantity,
    "balance": _set_balance,
}


class DroppedError(Exception):
    """The connection ends without an answer."""


class Handler(BaseHTTPRequestHandler):
    """One connection to the API."""

    protocol_version = "HTTP/1.1"
    world: World

    def do_GET(self) -> None:
        """Answer a GET."""
        address = urlsplit(self.path)
        if address.path.startswith("/invoice/"):
            self.send_response(302)
            self.send_header("Location", f"/file{address.path}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if address.path.startswith("/file/invoice/"):
            self._send(200, b"%PDF-1.4 " + address.path.encode(), "application/pdf")
            return
        params = parse_form(address.query)
        if address.path == "/_test/state":
            self._send_json(200, self._state())
            return
        self._serve("GET", address.path, params, lambda: answer_get(self.world.account, address.path, params))

    def do_POST(self) -> None:
        """Answer a POST."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = urlsplit(self.path).path
        if path.startswith("/_test/"):
            self._send_json(200, self._control(path.removeprefix("/_test/"), json.loads(body or b"{}")))
            return
        params = parse_form(body.decode())
        self._serve("POST", path, params, lambda: answer_post(self.world.account, path, params))

    def handle_one_request(self) -> None:
        """Serve one request; a client that was killed is no error."""
        with suppress(ConnectionError):
            super().handle_one_request()
            return
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Stay silent."""

    def _serve(self, method: str, path: str, params: Document, act: Callable[[], Document]) -> None:
        world, faults = self.world, self.world.faults
        hit = method == "POST" and path.startswith(faults.only)
        with world.lock:
            dice = [world.chance.random() for _ in range(5)]
            world.requests.append({"method": method, "path": path, "key": self.headers.get("Idempotency-Key")})
        if faults.latency_seconds:
            time.sleep(faults.latency_seconds)
        try:
            self._admit(dice, hit=hit)
            status, answer = self._once(method, path, params, act, dice, hit=hit)
            self._let_out(dice, hit=hit)
        except StripeRefusalError as refusal:
            status, answer = refusal.status, refusal.body
        except DroppedError:
            self.close_connection = True
            self.connection.close()
            return
        self._send_json(status, answer)

    def _admit(self, dice: list[float], *, hit: bool) -> None:
        """Refuse what comes before idempotency: a lost request, a wrong key, another version, too many requests."""
        world, faults = self.world, self.world.faults
        if hit and dice[0] < faults.drop_request:
            raise DroppedError
        if self.headers.get("Authorization") != f"Bearer {world.api_key}":
            raise StripeRefusalError(401, "invalid_request_error", "Invalid API Key provided: sk_test_*****")
        if self.headers.get("Stripe-Version") != API_VERSION:
            raise invalid(f"this server speaks {API_VERSION}")
        if hit and dice[1] < faults.limit:
            raise StripeRefusalError(429, "invalid_request_error", "Too many requests", code="rate_limit")

    def _let_out(self, dice: list[float], *, hit: bool) -> None:
        if hit and dice[4] < self.world.faults.drop_answer:
            raise DroppedError

    def _once(
        self, method: str, path: str, params: Document, act: Callable[[], Document], dice: list[float], *, hit: bool
    ) -> tuple[int, Document]:
        """Act once for each idempotency key, and keep what was answered, whatever it was."""
        world = self.world
        key = self.headers.get("Idempotency-Key") if method == "POST" else None
        fingerprint = hashlib.sha256(json.dumps([path, params], sort_keys=True).encode()).hexdigest()
        with world.lock:
            kept = world.kept.get(key) if key else None
            if kept is not None and kept.at + KEPT_SECONDS > world.account.now:
                if kept.fingerprint != fingerprint:
                    raise StripeRefusalError(
                        400,
                        "idempotency_error",
                        "Keys for idempotent requests can only be used with the same parameters they were first used"
                        f" with. Try using a key other than '{key}' if you meant to execute a different request.",
                    )
                return kept.status, kept.body
            answer = self._executed(act, dice, hit=hit)
            if key:
                world.kept[key] = Kept(world.account.now, fingerprint, *answer)
            return answer

    def _executed(self, act: Callable[[], Document], dice: list[float], *, hit: bool) -> tuple[int, Document]:
        faults = self.world.faults
        broken = {"error": {"type": "api_error", "message": "Something went wrong on Stripe's end."}}
        if hit and dice[2] < faults.fail:
            return 500, broken
        try:
            answer = json.loads(json.dumps(act()))
        except StripeRefusalError as refusal:
            return refusal.status, refusal.body
        return (500, broken) if hit and dice[3] < faults.fail_late else (200, answer)

    def _control(self, verb: str, wanted: Document) -> Document:
        """Do what a test asks for."""
        world = self.world
        if verb == "webhooks":
            with world.lock:
                events = list(world.account.events)
            return {"answers": [deliver(world, event, wanted["url"]) for event in events]}
        with world.lock:
            return CONTROLS[verb](world, wanted) or {}

    def _state(self) -> Document:
        world = self.world
        with world.lock:
            account = world.account
            return {
                "now": account.now,
                "charges": account.charges,
                "invoices": list(account.invoices.values()),
                "subscriptions": account.subscriptions,
                "events": account.events,
                "meter_events": account.meter_events,
                "requests": world.requests,
                "faults": asdict(world.faults),
            }

    def _send_json(self, status: int, document: Document) -> None:
        self._send(status, json.dumps(document).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Request-Id", "req_test")
        self.end_headers()
        self.wfile.write(body)


def sign(secret: str, body: bytes, at: int) -> str:
    """Return the header that Stripe signs an event with."""
    signature = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={signature}"


def deliver(world: World, event: Document, url: str) -> int:
    """Send an event to a webhook endpoint and return the status that it answered."""
    body = json.dumps(event, indent=2).encode()
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Stripe-Signature": sign(world.webhook_secret, body, world.account.now),
    }
    request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310 - a loopback address of a test
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - as above
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return int(refused.code)


class Server(ThreadingHTTPServer):
    """The server; connections do not keep the process alive."""

    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--now", type=int, required=True, help="Seconds since 1970.")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    handler = type("BoundHandler", (Handler,), {"world": World(Account(now=options.now))})
    server = Server(("127.0.0.1", options.port), handler)
    handler.world.account.address = f"http://127.0.0.1:{server.server_address[1]}"  # type: ignore[attr-defined]
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)  # noqa: T201 - the address, for who started it
    server.serve_forever()


if __name__ == "__main__":
    main()
