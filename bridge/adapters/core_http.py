"""A billing core over HTTP: the contract of ``docs/reference/billing-core.openapi.yaml``."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import quote as quoted
from urllib.parse import urlencode, urlsplit

import structlog

from bridge.adapters.fetch import Answer, ExchangeError, Request, exchange
from bridge.adapters.webhooks import check_signature
from bridge.core import (
    CoreEvent,
    CoreInvoice,
    CoreOrder,
    CoreQuote,
    CoreSubscription,
    OrderRequest,
    SeatQuestion,
)
from bridge.core.documents import (
    order_document,
    question_document,
    read_core_order,
    read_invoice,
    read_known_event,
    read_page,
    read_quote,
    read_subscription,
)
from bridge.core.fields import FieldError, identifier, text
from bridge.errors import (
    BillingCoreAnswerError,
    BillingCoreRefusedError,
    BillingCoreUnreachableError,
    BridgeError,
    InvalidInputError,
    WebhookRefusedError,
)

log = structlog.get_logger(__name__)

ValueT = TypeVar("ValueT")

_MAX_BYTES: Final = 8 * 1024 * 1024
_MAX_PAGES: Final = 1000
_LONGEST_SENTENCE: Final = 500
_PDF: Final = b"%PDF-"
#: Readers look for the mark of a PDF in as many bytes.
_PDF_BEGINS_WITHIN: Final = 1024
#: What a core refuses for good. Every other status says that no answer came which could be relied on.
_FINAL: Final = frozenset({HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY})


@dataclass(frozen=True, slots=True)
class HttpBillingService:
    """One organization's subscription in a core that is reached over HTTP (:class:`bridge.core.BillingService`).

    Args:
        url: The subscription's address, without a slash at the end; every verb is a path below it.
        token: The bearer token that the core knows us by.
        webhook_secret: What the core signs its events with.
        timeout_seconds: For each exchange as a whole.
        internal_hosts: Hosts that may lead to private addresses or this machine, by plain http too.
    """

    url: str
    token: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    timeout_seconds: float = 10.0
    internal_hosts: tuple[str, ...] = ()

    @property
    def host(self) -> str:
        """The name that refusals and logs give the core."""
        return urlsplit(self.url).netloc

    def quote(self, question: SeatQuestion, *, key: str) -> CoreQuote:
        """Compute a change's billing effect and pin it; nothing changes."""
        return self._read("quote", self._post("/quotes", question_document(question), key=key), read_quote)

    def reserve(self, order: OrderRequest) -> CoreOrder:
        """Take an order in without charging it; the same key answers the same order."""
        return self._read("reserve", self._post("/orders", order_document(order), key=order.key), read_core_order)

    def confirm(self, key: str) -> CoreOrder:
        """Charge a reserved order and change the subscription, once: placed or declined."""
        answer = self._post(f"/orders/{_segment(key)}/confirm", {}, key=f"{key}:confirm")
        return self._read("confirm", answer, read_core_order)

    def cancel(self, key: str) -> CoreOrder:
        """Give up an order that is not placed, however little the core knows of it."""
        answer = self._post(f"/orders/{_segment(key)}/cancel", {}, key=f"{key}:cancel")
        return self._read("cancel", answer, read_core_order)

    def order_by_key(self, key: str) -> CoreOrder | None:
        """Return the order of a key; None when it never arrived."""
        answer = self._send(Request(f"{self.url}/orders/{_segment(key)}"))
        if answer.status == HTTPStatus.NOT_FOUND and _problem(answer).get("code") == "order_unknown":
            return None
        return self._read("order_by_key", self._accepted(answer), read_core_order)

    def subscription(self) -> CoreSubscription:
        """Return where the subscription stands."""
        return self._read("subscription", self._get("/subscription"), read_subscription)

    def invoices(self) -> Sequence[CoreInvoice]:
        """Return every invoice and credit note of the subscription, oldest first."""
        found, _ = self._pages("/invoices", "invoices", None, read_invoice)
        return found

    def document(self, invoice_id: str) -> bytes:
        """Return an invoice as the core prints it (PDF)."""
        printed = self._get(f"/invoices/{_segment(invoice_id)}/document").body
        if _PDF not in printed[:_PDF_BEGINS_WITHIN]:
            raise BillingCoreAnswerError(self.host, "document", "the body must be a PDF")
        return printed

    def report_units(self, units: Mapping[str, int], at: datetime, *, key: str) -> None:
        """Tell how many seats of each tier are in use; once for each key."""
        self._post("/usage", {"at": at.isoformat(), "units": dict(units)}, key=key)

    def events(self, after: str | None) -> tuple[Sequence[CoreEvent], str | None]:
        """Return the events behind a cursor, oldest first, and the cursor behind the last of them."""
        found, cursor = self._pages("/events", "events", after, read_known_event)
        known = [event for event in found if event is not None]
        if len(known) < len(found):
            log.warning("core.unknown_events", host=self.host, number=len(found) - len(known))
        return known, cursor

    def verify(self, headers: Mapping[str, str], body: bytes, at: datetime) -> CoreEvent | None:
        """Check the signature of an event that came in, and read it; None for a type that says nothing to us."""
        event_id = check_signature(self.webhook_secret, headers, body, at)
        try:
            event = read_known_event(json.loads(body))
        except (ValueError, RecursionError) as problem:
            raise WebhookRefusedError(f"its body cannot be read: {problem}") from problem
        if event is not None and event.id != event_id:
            raise WebhookRefusedError("its webhook-id is not the id in its body")
        return event

    def _pages(
        self, path: str, name: str, after: str | None, read: Callable[[object], ValueT]
    ) -> tuple[list[ValueT], str | None]:
        """Walk a list to its end; the cursor is the core's own and only handed back."""
        found: list[ValueT] = []
        for _ in range(_MAX_PAGES):
            answer = self._get(f"{path}?{urlencode({'after': after})}" if after else path)
            page = self._read(name, answer, partial(read_page, name=name, read_item=read))
            found += page.items
            after = page.next or after
            if not page.more:
                return found, after
        raise self._unusable("endless_list")

    def _get(self, path: str) -> Answer:
        return self._accepted(self._send(Request(f"{self.url}{path}")))

    def _post(self, path: str, document: Mapping[str, Any], *, key: str) -> Answer:
        body = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        return self._accepted(self._send(Request(f"{self.url}{path}", "POST", headers, body)))

    def _send(self, request: Request) -> Answer:
        headers = {**request.headers, "Authorization": f"Bearer {self.token}", "User-Agent": "seatbridge"}
        try:
            return exchange(
                Request(request.url, request.method, headers, request.body),
                max_bytes=_MAX_BYTES,
                timeout_seconds=self.timeout_seconds,
                internal=urlsplit(self.url).hostname in self.internal_hosts,
            )
        except ExchangeError as problem:
            raise self._unusable("timeout" if problem.timed_out else "connection") from problem
        except InvalidInputError as problem:
            raise self._unusable("address_not_allowed") from problem

    def _accepted(self, answer: Answer) -> Answer:
        """Return an answer that did what was asked.

        Raises:
            BillingCoreRefusedError: The core refused for good, with a code of its own.
            BillingCoreUnreachableError: Anything else.
        """
        if answer.status in {HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT}:
            return answer
        problem = _problem(answer)
        code = problem.get("code")
        if answer.status in _FINAL and isinstance(code, str) and code != "idempotency_conflict":
            raise self._refusal(problem)
        if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise self._unusable("unauthorized")
        raise self._unusable("idempotency_conflict" if code == "idempotency_conflict" else f"status_{answer.status}")

    def _refusal(self, problem: Mapping[str, Any]) -> BridgeError:
        """Return what a refusal is here: its code is read by the published contract, its sentence if it can be shown.

        A code that breaks the contract is no answer that could be relied on.
        """
        try:
            code = identifier(problem, "code")
        except FieldError as error:
            return BillingCoreAnswerError(self.host, "a request", str(error))
        for name in ("detail", "title"):
            with suppress(FieldError):
                return BillingCoreRefusedError(code, text(problem, name)[:_LONGEST_SENTENCE])
        return BillingCoreRefusedError(code, code)

    def _read(self, verb: str, answer: Answer, read: Callable[[object], ValueT]) -> ValueT:
        """Read an answer by the published contract.

        Raises:
            BillingCoreAnswerError: It does not keep the contract; the field is named.
        """
        try:
            document = json.loads(answer.body)
        except (ValueError, RecursionError) as problem:
            raise BillingCoreAnswerError(self.host, verb, "the body must be JSON") from problem
        try:
            return read(document)
        except FieldError as problem:
            raise BillingCoreAnswerError(self.host, verb, str(problem)) from problem

    def _unusable(self, why: str) -> BillingCoreUnreachableError:
        return BillingCoreUnreachableError(self.host, why)


def _problem(answer: Answer) -> Mapping[str, Any]:
    """Return the fields of a problem document (RFC 9457); none for a body that is something else."""
    if not answer.headers.get("content-type", "").startswith("application/problem+json"):
        return {}
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _segment(text: str) -> str:
    """Write a key or an id as one segment of a path."""
    return quoted(text, safe="")
