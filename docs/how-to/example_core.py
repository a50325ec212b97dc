"""An example of a billing core: the contract of docs/reference/billing-core.openapi.yaml in one file.

It needs nothing but Python 3.11. Everything it knows stands in one SQLite file, and every request is one transaction of
it. It collects no money: a subscription whose ``card`` is ``declined`` has its orders declined, any other pays. Take it
as a starting point: keep the shape of the answers, and put your own books behind it.

    python example_core.py --port 9000 --database core.sqlite3 --token "$CORE_TOKEN"

Beside the contract it has three verbs that only you would call, to play with it: ``PUT <subscription>`` opens one,
``POST <subscription>/renew`` ends its period, ``POST <subscription>/prices`` changes what seats cost from the next one.
"""

import argparse
import base64
import hashlib
import hmac
import json
import math
import re
import sqlite3
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Json = dict[str, Any]
QUOTE_LIFETIME = timedelta(minutes=15)
PAGE = 100
SCHEMA = """
CREATE TABLE IF NOT EXISTS subscription (name TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS quote (id TEXT PRIMARY KEY, name TEXT, version INTEGER, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS orders (name TEXT, key TEXT, document TEXT NOT NULL, PRIMARY KEY (name, key));
CREATE TABLE IF NOT EXISTS invoice (seq INTEGER PRIMARY KEY, name TEXT, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS event (seq INTEGER PRIMARY KEY, name TEXT, sent INTEGER DEFAULT 0, document TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS answered (name TEXT, key TEXT, asked TEXT, document TEXT, PRIMARY KEY (name, key));
CREATE TABLE IF NOT EXISTS used (name TEXT, at TEXT, units TEXT);
CREATE INDEX IF NOT EXISTS invoices_of ON invoice (name, seq);
CREATE INDEX IF NOT EXISTS events_of ON event (name, seq);
"""


class RefusedError(Exception):
    """An answer that says no: status, stable code, and a sentence (RFC 9457)."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        self.status, self.code, self.detail = status, code, detail
        super().__init__(detail)


class Books:
    """Everything the core knows of one subscription, within one transaction."""

    def __init__(self, database: sqlite3.Connection, name: str) -> None:
        self.database, self.name = database, name

    def find(self) -> Json:
        row = self.database.execute("SELECT document FROM subscription WHERE name = ?", [self.name]).fetchone()
        if row is None:
            raise RefusedError(404, "subscription_unknown", f"There is no subscription {self.name!r}")
        return read(row[0])

    def keep(self, subscription: Json) -> Json:
        """Store a subscription that has changed: its version grows by every change."""
        subscription["version"] += 1
        self.database.execute(
            "INSERT INTO subscription VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET document = excluded.document",
            [self.name, json.dumps(subscription)],
        )
        return subscription

    def once(self, key: str | None, asked: Json, act: Callable[[], Json]) -> Json:
        """Act once for each Idempotency-Key: its repeat is answered as the first time."""
        if not key:
            raise RefusedError(400, "idempotency_key_missing", "Send an Idempotency-Key with every POST")
        wanted = json.dumps(asked, sort_keys=True)
        row = self.database.execute(
            "SELECT asked, document FROM answered WHERE name = ? AND key = ?", [self.name, key]
        ).fetchone()
        if row is not None:
            if row[0] != wanted:
                raise RefusedError(409, "idempotency_conflict", f"The key {key!r} was used before for something else")
            return read(row[1])
        document = act()
        self.database.execute(
            "INSERT INTO answered VALUES (?, ?, ?, ?)", [self.name, key, wanted, json.dumps(document)]
        )
        return document

    def tell(self, kind: str, **data: Json) -> None:
        """Write an event: whoever polls sees it, and a webhook brings it."""
        event = {"id": f"evt_{uuid.uuid4().hex}", "type": kind, "at": now_text(), "data": data}
        self.database.execute("INSERT INTO event (name, document) VALUES (?, ?)", [self.name, json.dumps(event)])

    def issue(self, bill: Json, currency: str) -> Json:
        """Give a bill the next number."""
        count = self.database.execute("SELECT count(*) FROM invoice WHERE name = ?", [self.name]).fetchone()[0] + 1
        invoice = {
            "id": f"inv_{uuid.uuid4().hex}",
            "number": f"C-{self.name.upper()}-{count:05}",
            "at": now_text(),
            "currency": currency,
            "paid": True,
            **bill,
        }
        self.database.execute("INSERT INTO invoice (name, document) VALUES (?, ?)", [self.name, json.dumps(invoice)])
        return invoice

    def order(self, key: str) -> Json | None:
        row = self.database.execute(
            "SELECT document FROM orders WHERE name = ? AND key = ?", [self.name, key]
        ).fetchone()
        return None if row is None else read(row[0])

    def keep_order(self, order: Json) -> Json:
        self.database.execute(
            "INSERT INTO orders VALUES (?, ?, ?) ON CONFLICT (name, key) DO UPDATE SET document = excluded.document",
            [self.name, order["key"], json.dumps(order)],
        )
        return order

    def listed(self, table: str, name: str, after: str | None) -> Json:
        """Answer a page of a table; the cursor is the number of the last row."""
        rows = self.database.execute(
            f"SELECT seq, document FROM {table} WHERE name = ? AND seq > ? ORDER BY seq LIMIT ?",  # noqa: S608 (ours)
            [self.name, int(after or 0), PAGE + 1],
        ).fetchall()
        page = rows[:PAGE]
        cursor = str(page[-1][0]) if page else after
        return {name: [read(row[1]) for row in page], "next": cursor, "more": len(rows) > PAGE}


def open_subscription(books: Books, wanted: Json) -> Json:
    """Open a subscription and bill its first period in advance, or say where the one stands that is open."""
    try:
        return public(books.find())
    except RefusedError:
        start = now()
        subscription = {
            "version": 0,
            "status": "active",
            "currency": wanted.get("currency", "EUR"),
            "card": wanted.get("card", "ok"),
            "days": wanted.get("days", 30),
            "webhook_url": wanted.get("webhook_url"),
            "webhook_secret": wanted.get("webhook_secret"),
            "period": {"start": text_of(start), "end": text_of(start + timedelta(days=wanted.get("days", 30)))},
            "tiers": {
                tier: {"paid": one["seats"], "next": one["seats"], "price": one["price"], "next_price": one["price"]}
                for tier, one in wanted["tiers"].items()
            },
            "credit_balance": 0,
        }
    books.keep(subscription)
    lines = period_lines(subscription)
    if lines:
        books.issue(bill_of("start", lines), subscription["currency"])
    return public(subscription)


def quote(books: Books, asked: Json) -> Json:
    """Compute what a change would cost from this second on, and remember it."""
    subscription = books.find()
    if subscription["status"] != "active":
        raise RefusedError(422, "plan_ended", "The subscription has ended: open a new one first")
    changes = {tier: number for tier, number in asked["changes"].items() if number}
    if not changes or not set(changes) <= set(subscription["tiers"]):
        raise RefusedError(422, "invalid_change", f"Name tiers out of {', '.join(subscription['tiers'])}, with numbers")
    at = now().replace(microsecond=0)
    after, lines = changed(subscription, changes, asked.get("upgrade_from"), at)
    answer = {
        "id": f"quote_{uuid.uuid4().hex}",
        "at": text_of(at),
        "expires_at": text_of(at + QUOTE_LIFETIME),
        "currency": subscription["currency"],
        "bill": bill_of("seat_change", lines) if lines else None,
        "seats": {tier: {"paid": one["paid"], "next": one["next"]} for tier, one in after["tiers"].items()},
        "renewal": {
            "at": subscription["period"]["end"],
            "before": sum(one["next"] * one["next_price"] for one in subscription["tiers"].values()),
            "after": sum(one["next"] * one["next_price"] for one in after["tiers"].values()),
            "lines": [],
        },
        "sentences": [] if lines else ["Nothing is charged today; the change counts from the next renewal."],
    }
    remembered = {"quote": answer, "asked": {"changes": asked["changes"], "upgrade_from": asked.get("upgrade_from")}}
    books.database.execute(
        "INSERT INTO quote VALUES (?, ?, ?, ?)",
        [answer["id"], books.name, subscription["version"], json.dumps(remembered)],
    )
    return answer


def reserve(books: Books, asked: Json) -> Json:
    """Take an order in. Nothing is charged before it is confirmed."""
    known = books.order(asked["key"])
    if known is not None:
        return answered(known)
    row = books.database.execute(
        "SELECT version, document FROM quote WHERE id = ? AND name = ?", [asked["quote"], books.name]
    ).fetchone()
    if row is None:
        raise RefusedError(409, "quote_unknown", "There is no such quote: ask for a new one")
    kept = read(row[1])
    said = kept["quote"]
    same = kept["asked"] == {"changes": asked["changes"], "upgrade_from": asked["upgrade_from"]}
    if not same or asked["total"] != (said["bill"]["total"] if said["bill"] else 0):
        raise RefusedError(409, "quote_differs", "The order is not what was quoted: ask for a new quote")
    if instant(asked["confirmed_at"]) >= instant(said["expires_at"]):
        raise RefusedError(409, "quote_expired", "The quote had expired when it was confirmed: ask for a new one")
    if row[0] != books.find()["version"]:
        raise RefusedError(409, "quote_stale", "The subscription has changed since the quote: ask for a new one")
    return answered(books.keep_order({"key": asked["key"], "state": "reserved", "quote": said, "asked": asked}))


def confirm(books: Books, key: str) -> Json:
    """Charge a reserved order and change the subscription, once."""
    order = books.order(key)
    if order is None:
        raise RefusedError(404, "order_unknown", "There is no such order: reserve it first")
    if order["state"] != "reserved":
        return answered(order)
    subscription, said = books.find(), order["quote"]
    version = books.database.execute("SELECT version FROM quote WHERE id = ?", [said["id"]]).fetchone()[0]
    if version != subscription["version"]:
        return declined(books, order, "quote_stale")
    if subscription["card"] == "declined" and said["bill"] and said["bill"]["amount_due"]:
        return declined(books, order, "payment_failed")
    for tier, count in said["seats"].items():
        subscription["tiers"][tier].update(count)
    books.keep(subscription)
    order["state"] = "placed"
    order["invoice"] = books.issue(said["bill"], said["currency"]) if said["bill"] else None
    order["subscription"] = public(subscription)
    books.keep_order(order)
    books.tell("order.placed", order=answered(order))
    return answered(order)


def declined(books: Books, order: Json, reason: str) -> Json:
    """Say no to a reserved order; nothing changes."""
    order["state"], order["reason"] = "declined", reason
    books.keep_order(order)
    books.tell("order.declined", order=answered(order))
    return answered(order)


def cancel(books: Books, key: str) -> Json:
    """Give an order up; one that never arrived is remembered, so that it can't be reserved later."""
    order = books.order(key) or {"key": key, "state": "reserved"}
    if order["state"] == "reserved":
        order["state"] = "cancelled"
        books.keep_order(order)
    return answered(order)


def renew(books: Books) -> Json:
    """End the period: the next one is billed in full, at the price that counts from now."""
    subscription = books.find()
    start = instant(subscription["period"]["end"])
    subscription["period"] = {
        "start": text_of(start),
        "end": text_of(start + timedelta(days=subscription["days"])),
    }
    for tier in subscription["tiers"].values():
        tier.update(paid=tier["next"], price=tier["next_price"])
    books.keep(subscription)
    lines = period_lines(subscription)
    invoice = books.issue(bill_of("renewal", lines), subscription["currency"]) if lines else None
    told = {"subscription": public(subscription)} | ({"invoice": invoice} if invoice else {})
    books.tell("subscription.renewed", **told)
    return public(subscription)


def set_prices(books: Books, prices: Json) -> Json:
    """Change what a seat costs from the next period on."""
    subscription = books.find()
    for tier, price in prices.items():
        subscription["tiers"][tier]["next_price"] = price
    books.keep(subscription)
    books.tell("subscription.price_changed", subscription=public(subscription))
    return public(subscription)


def changed(subscription: Json, changes: Json, upgrade_from: str | None, at: datetime) -> tuple[Json, list[Json]]:
    """Return the subscription after a change, and the lines that are charged for the rest of the period."""
    after: Json = json.loads(json.dumps(subscription))
    start, end = instant(subscription["period"]["start"]), instant(subscription["period"]["end"])
    share = Fraction(max(int((end - at).total_seconds()), 0), int((end - start).total_seconds()))
    lines = []
    if upgrade_from and after["tiers"][upgrade_from]["paid"]:
        lines.append(line(after, upgrade_from, -1, share, (at, end)))
        after["tiers"][upgrade_from]["paid"] -= 1
        after["tiers"][upgrade_from]["next"] -= 1
    for key, number in changes.items():
        tier = after["tiers"][key]
        tier["next"] += number
        if tier["next"] < 0:
            raise RefusedError(422, "invalid_change", f"{key} has fewer seats than that")
        charged = max(tier["next"] - tier["paid"], 0)  # seats that were to lapse are taken back free of charge
        if charged:
            tier["paid"] += charged
            lines.append(line(after, key, charged, share, (at, end)))
    return after, lines


def line(subscription: Json, tier: str, quantity: int, share: Fraction, period: tuple[datetime, datetime]) -> Json:
    """Write one line: quantity x price x share, rounded once, ties away from zero."""
    price = subscription["tiers"][tier]["price"]
    exact = quantity * price * share
    amount = int(math.copysign(math.floor(abs(exact) + Fraction(1, 2)), exact))
    whole = share == 1
    return {
        "kind": "seat" if whole else "seat_proration" if quantity > 0 else "seat_credit",
        "tier": tier,
        "quantity": quantity,
        "from": text_of(period[0]),
        "to": text_of(period[1]),
        "unit_price": price,
        "amount": amount,
        "formula": f"{quantity} × {price / 100:.2f}" + ("" if whole else f" × {share}") + f" = {amount / 100:.2f}",
        "exact": str(exact),
        "explanation": "the whole period" if whole else "the seconds that are left of the period",
    }


def period_lines(subscription: Json) -> list[Json]:
    """Bill a whole period in advance."""
    period = (instant(subscription["period"]["start"]), instant(subscription["period"]["end"]))
    return [
        line(subscription, tier, one["paid"], Fraction(1), period)
        for tier, one in subscription["tiers"].items()
        if one["paid"]
    ]


def bill_of(reason: str, lines: list[Json]) -> Json:
    """Add lines up; this example knows no tax and no credit."""
    total = sum(one["amount"] for one in lines)
    return {
        "type": "invoice",
        "reason": reason,
        "lines": lines,
        "subtotal": total,
        "tax": 0,
        "total": total,
        "credit_applied": 0,
        "amount_due": total,
    }


def public(subscription: Json) -> Json:
    """Leave out what is nobody's business."""
    return {name: subscription[name] for name in ("version", "status", "currency", "period", "tiers", "credit_balance")}


def answered(order: Json) -> Json:
    """Return an order as it is answered."""
    return {name: order.get(name) for name in ("key", "state", "invoice", "subscription", "reason")}


def page_of(invoice: Json) -> bytes:
    """Print an invoice as the smallest PDF that readers open."""
    rows = [f"Invoice {invoice['number']}", *(one["formula"].replace("×", "x") for one in invoice["lines"])]
    drawn = "BT /F1 12 Tf 60 780 Td 16 TL " + " ".join(f"({row}) Tj T*" for row in rows) + " ET"
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        f"<</Length {len(drawn)}>>stream\n{drawn}\nendstream",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    text, places = "%PDF-1.4\n", []
    for number, one in enumerate(objects, 1):
        places.append(len(text))
        text += f"{number} 0 obj{one}endobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    text += f"xref\n0 6\n0000000000 65535 f \n{table}trailer<</Size 6/Root 1 0 R>>\nstartxref\n{len(text)}\n%%EOF"
    return text.encode("latin-1", "replace")


def sign(secret: str, event: Json, body: bytes) -> dict[str, str]:
    """Sign a body as Standard Webhooks say: HMAC-SHA256 over id, time and body."""
    seconds = str(int(time.time()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = hmac.digest(key, f"{event['id']}.{seconds}.".encode() + body, hashlib.sha256)
    signature = f"v1,{base64.b64encode(signed).decode()}"
    return {"webhook-id": event["id"], "webhook-timestamp": seconds, "webhook-signature": signature}


class Core(ThreadingHTTPServer):
    """The server: one thread for each request, one transaction for each of them, and one that brings events out."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, database: str, token: str) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.file, self.token = database, token
        self.turn = threading.Lock()
        with self.books("") as books:
            books.database.executescript(f"PRAGMA journal_mode = WAL; {SCHEMA}")

    def books(self, name: str) -> "Transaction":
        return Transaction(self, name)

    def bring_events_out(self) -> None:
        """Post events that nobody has acknowledged yet, oldest first, again and again."""
        while True:
            time.sleep(0.5)
            with self.books("") as books:
                rows = books.database.execute(
                    "SELECT e.seq, e.document, s.document FROM event e JOIN subscription s ON s.name = e.name"
                    " WHERE NOT e.sent ORDER BY e.seq LIMIT 50"
                ).fetchall()
            for number, event, subscription in rows:
                if self._posted(read(event), read(subscription)):
                    with self.books("") as books:
                        books.database.execute("UPDATE event SET sent = 1 WHERE seq = ?", [number])

    def _posted(self, event: Json, subscription: Json) -> bool:
        url, secret = subscription["webhook_url"], subscription["webhook_secret"]
        if not url:
            return True
        body = json.dumps(event).encode()
        headers = {"Content-Type": "application/json", **sign(secret, event, body)}
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=5) as answer:  # noqa: S310
                return bool(answer.status < 300)  # noqa: PLR2004 (accepted)
        except (OSError, urllib.error.URLError):
            return False


class Transaction:
    """A transaction of the books: kept whole, or not at all."""

    def __init__(self, core: Core, name: str) -> None:
        self.core, self.name = core, name

    def __enter__(self) -> Books:
        self.core.turn.acquire()
        self.database = sqlite3.connect(self.core.file, isolation_level=None)
        self.database.execute("BEGIN IMMEDIATE") if self.name else None
        return Books(self.database, self.name)

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if self.database.in_transaction:
                self.database.execute("ROLLBACK" if kind else "COMMIT")
        finally:
            self.database.close()
            self.core.turn.release()


class Handler(BaseHTTPRequestHandler):
    """Reads a request, finds what answers it, and writes JSON."""

    server: Core
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 (the library's name)
        """Say nothing: a request is in the books or it is not."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            if not hmac.compare_digest(self.headers.get("Authorization", ""), f"Bearer {self.server.token}"):
                raise RefusedError(401, "unauthorized", "The bearer token is not the one this core was started with")
            parts = urlsplit(self.path)
            found = re.fullmatch(r"/v1/subscriptions/([a-z0-9-]+)(/.*)?", parts.path)
            if found is None:
                raise RefusedError(404, "path_unknown", "Every path begins with /v1/subscriptions/NAME")
            after = parse_qs(parts.query).get("after", [None])[0]
            with self.server.books(found[1]) as books:
                document = self._do(books, found[2] or "", json.loads(body or b"{}"), after)
        except RefusedError as refusal:
            problem = {"type": "about:blank", "status": refusal.status, "code": refusal.code, "detail": refusal.detail}
            self._send(refusal.status, json.dumps(problem).encode(), "application/problem+json")
        except (ValueError, KeyError, TypeError) as error:
            problem = {"type": "about:blank", "status": 400, "code": "invalid_request", "detail": str(error)}
            self._send(400, json.dumps(problem).encode(), "application/problem+json")
        else:
            raw = isinstance(document, bytes)
            content = document if isinstance(document, bytes) else json.dumps(document).encode()
            self._send(200, content, "application/pdf" if raw else "application/json")

    def _do(self, books: Books, path: str, body: Json, after: str | None) -> Json | bytes:
        key = self.headers.get("Idempotency-Key")
        order = re.fullmatch(r"/orders/([^/]+)(/confirm|/cancel)?", path)
        printed = re.fullmatch(r"/invoices/([^/]+)/document", path)
        match self.command, path:
            case "PUT", "":
                return open_subscription(books, body)
            case "GET", "/subscription":
                return public(books.find())
            case "GET", "/invoices":
                return books.listed("invoice", "invoices", after)
            case "GET", "/events":
                return books.listed("event", "events", after)
            case "POST", "/quotes":
                return books.once(key, body, lambda: quote(books, body))
            case "POST", "/orders":
                # The order's own key is the Idempotency-Key: a repeat is answered with the order as it stands now.
                books.once(key, body, lambda: reserve(books, body))
                return reserve(books, body)
            case "POST", "/usage":
                return books.once(key, body, lambda: used(books, body))
            case "POST", "/renew":
                return renew(books)
            case "POST", "/prices":
                return set_prices(books, body)
            case "POST", _ if order and order[2] == "/confirm":
                return confirm(books, unquote(order[1]))
            case "POST", _ if order and order[2] == "/cancel":
                return cancel(books, unquote(order[1]))
            case "GET", _ if order and not order[2]:
                known = books.order(unquote(order[1]))
                if known is None:
                    raise RefusedError(404, "order_unknown", "There is no such order")
                return answered(known)
            case "GET", _ if printed:
                rows = books.database.execute("SELECT document FROM invoice WHERE name = ?", [books.name])
                for (document,) in rows:
                    if read(document)["id"] == unquote(printed[1]):
                        return page_of(read(document))
                raise RefusedError(404, "invoice_unknown", "There is no such invoice")
        raise RefusedError(404, "path_unknown", "There is nothing at this path")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def used(books: Books, body: Json) -> Json:
    """Remember how many seats were in use: a yearly contract renews with those."""
    books.database.execute("INSERT INTO used VALUES (?, ?, ?)", [books.name, body["at"], json.dumps(body["units"])])
    return {}


def read(text: str) -> Json:
    """Read a document of ours."""
    document: Json = json.loads(text)
    return document


def now() -> datetime:
    """Return the present instant."""
    return datetime.now(UTC)


def now_text() -> str:
    """Return the present instant as it is written."""
    return text_of(now())


def text_of(at: datetime) -> str:
    """Write an instant."""
    return at.isoformat().replace("+00:00", "Z")


def instant(text: str) -> datetime:
    """Read an instant."""
    return datetime.fromisoformat(text)


def main() -> None:
    """Serve until it is stopped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=9000, help="0 takes a free one; it is printed")
    parser.add_argument("--database", default="core.sqlite3", help="the file that holds everything")
    parser.add_argument("--token", required=True, help="the bearer token that Seatbridge presents")
    options = parser.parse_args()
    core = Core(options.port, options.database, options.token)
    threading.Thread(target=core.bring_events_out, daemon=True).start()
    print(f"listening on http://127.0.0.1:{core.server_address[1]}/v1/subscriptions/NAME", flush=True)
    core.serve_forever()


if __name__ == "__main__":
    main()
