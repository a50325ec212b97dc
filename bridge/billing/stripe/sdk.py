"""Stripe's own SDK, imported here only: one version of the API, no retries, no logs, plain documents out."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from bridge.errors import BillingCoreRefusedError, BillingCoreUnreachableError, NotInstalledError

if TYPE_CHECKING:
    import stripe

Document = Mapping[str, Any]
API_VERSION: Final = "2026-10-28.endive"
"""What every request says, so that neither the account's default nor a new SDK changes what answers mean."""
API_BASE: Final = "https://api.stripe.com"
_PAGE: Final = 100
#: What Stripe answers when there is nothing to collect from: for the buyer the same as a card that says no.
_NO_PAYMENT_METHOD: Final = "resource_missing"


class PaymentDeclinedError(Exception):
    """Stripe could not collect, and changed nothing; ``reason`` is its code."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def open_client(key: str, *, api_base: str = API_BASE, timeout_seconds: float = 20.0) -> "stripe.StripeClient":
    """Return a client of the SDK.

    Retries are ours: they ask first whether the change is there already. The SDK writes what it sends to the log at
    level debug and what it asks for at info, so its logger is silenced for the whole process.

    Raises:
        NotInstalledError: The extra is not installed.
    """
    try:
        import stripe  # noqa: PLC0415 - an extra, and 150 ms that only organizations at Stripe have to spend
    except ImportError as problem:
        raise NotInstalledError("Organizations that Stripe bills", "pip install 'seatbridge[stripe]'") from problem
    logging.getLogger("stripe").setLevel(logging.CRITICAL)
    stripe.enable_telemetry = False
    return stripe.StripeClient(
        key,
        stripe_version=API_VERSION,
        base_addresses={"api": api_base},
        max_network_retries=0,
        http_client=stripe.RequestsClient(timeout=timeout_seconds),
    )


@dataclass(frozen=True, slots=True)
class StripeApi:
    """The calls that are used, each as one request (lists: as many as there are pages).

    Every call raises :class:`bridge.errors.BillingCoreUnreachableError` when no usable answer came, and
    :class:`bridge.errors.BillingCoreRefusedError` when Stripe says that the request itself cannot be.
    """

    client: "stripe.StripeClient"
    api_base: str = API_BASE

    @property
    def host(self) -> str:
        """The name that refusals and logs give Stripe."""
        return urlsplit(self.api_base).netloc

    def subscription(self, identifier: str) -> Document:
        """Read a subscription, with its customer and, of a test, its clock."""
        return self._one(
            lambda: self.client.v1.subscriptions.retrieve(identifier, {"expand": ["customer", "test_clock"]})
        )

    def preview(self, params: Document) -> Document:
        """Compute an invoice without writing it."""
        return self._one(lambda: self.client.v1.invoices.create_preview(cast("Any", params)))

    def update(self, identifier: str, params: Document, *, key: str) -> Document:
        """Change a subscription.

        Raises:
            PaymentDeclinedError: Nothing was collected, and nothing changed.
        """
        return self._one(
            lambda: self.client.v1.subscriptions.update(identifier, cast("Any", params), {"idempotency_key": key})
        )

    def invoice(self, identifier: str) -> Document:
        """Read an invoice with all of its lines."""
        return self._with_lines(self._one(lambda: self.client.v1.invoices.retrieve(identifier)))

    def invoices(self, subscription: str, *, since: int = 0) -> Sequence[Document]:
        """List the invoices of a subscription, oldest first, from those created at an instant in seconds on."""
        wanted: Any = {"subscription": subscription, "limit": _PAGE, "created": {"gte": since}}
        newest_first = self._list(lambda: self.client.v1.invoices.list(wanted).auto_paging_iter())
        return [self._with_lines(invoice) for invoice in reversed(newest_first)]

    def events(self, types: Sequence[str], after: str | None, *, since: int = 0) -> Sequence[Document]:
        """List events of the whole account, oldest first: those behind one of them, or since an instant in seconds."""
        wanted: Any = {"types": list(types), "limit": _PAGE, "created": {"gte": since}}
        if after is None:
            return self._list(lambda: self.client.v1.events.list(wanted).auto_paging_iter())[::-1]
        # The SDK walks backwards from the cursor by itself: from the oldest that is newer than it.
        behind: Any = {**wanted, "ending_before": after}
        return self._list(lambda: self.client.v1.events.list(behind).auto_paging_iter())

    def newest_event(self) -> str | None:
        """Return the id of the account's newest event; None when it has none."""
        newest = self._one(lambda: self.client.v1.events.list({"limit": 1}))
        return next((str(event["id"]) for event in newest["data"]), None)

    def portal(self, customer: str, return_url: str) -> str:
        """Open a session of Stripe's billing portal and return its address, good for minutes and one person."""
        session = self._one(
            lambda: self.client.v1.billing_portal.sessions.create({"customer": customer, "return_url": return_url})
        )
        return str(session["url"])

    def _with_lines(self, invoice: Document) -> Document:
        """Return an invoice whose lines are all there: Stripe sends the first ten along."""
        lines: Document = invoice["lines"]
        if not lines.get("has_more"):
            return invoice
        every = self._list(
            lambda: self.client.v1.invoices.line_items.list(invoice["id"], {"limit": _PAGE}).auto_paging_iter()
        )
        return {**invoice, "lines": {**lines, "data": every, "has_more": False}}

    def _one(self, ask: "Callable[[], stripe.StripeObject]") -> Document:
        with self._translated():
            return ask().to_dict()

    def _list(self, ask: "Callable[[], Iterator[stripe.StripeObject]]") -> list[Document]:
        with self._translated():
            return [thing.to_dict() for thing in ask()]

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what the SDK raises into what the port says."""
        import stripe  # noqa: PLC0415 - there is a client, so it is installed

        try:
            yield
        except stripe.CardError as problem:
            raise PaymentDeclinedError(problem.code or "card_declined") from problem
        except stripe.APIConnectionError as problem:
            raise self._unusable("connection") from problem
        except stripe.AuthenticationError as problem:
            raise self._unusable("unauthorized") from problem
        except stripe.PermissionError as problem:
            raise self._unusable("key_lacks_permission") from problem
        except stripe.IdempotencyError as problem:
            raise self._unusable("idempotency_conflict") from problem
        except stripe.InvalidRequestError as problem:
            raise self._of_request(problem) from problem
        except stripe.StripeError as problem:
            raise self._unusable(f"status_{problem.http_status or 'unknown'}") from problem
        except (ValueError, KeyError, TypeError) as problem:
            raise self._unusable("unreadable") from problem

    def _of_request(self, problem: "stripe.InvalidRequestError") -> Exception:
        if problem.http_status == HTTPStatus.PAYMENT_REQUIRED:
            return PaymentDeclinedError(problem.code or "payment_required")
        if problem.http_status == HTTPStatus.CONFLICT:
            return self._unusable("busy")
        message = str(problem.user_message or "")
        if problem.code == _NO_PAYMENT_METHOD and "payment" in message:
            return PaymentDeclinedError("no_payment_method")
        return BillingCoreRefusedError(problem.code or "invalid_request", message[:500] or "Stripe gave no reason")

    def _unusable(self, why: str) -> BillingCoreUnreachableError:
        return BillingCoreUnreachableError(self.host, why)
