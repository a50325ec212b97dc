"""The orders that Stripe does not keep: reserved here, carried out one after the other, each request stored first."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError

from bridge.billing.stripe.marks import mark_of
from bridge.core import CoreOrder, OrderRequest, OrderState
from bridge.core.documents import core_order_document, order_document, read_core_order, read_order_request
from bridge.errors import BillingCoreUnreachableError
from bridge.store.models import StripeOrder, StripePicture
from bridge.store.unit import Unit

#: How long somebody waits for their turn, and how long one may take with every answer at its deadline.
_WAIT_SECONDS: Final = 10
_TURN_SECONDS: Final = 600
_TAKE_TURN: Final = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")


@dataclass(frozen=True, slots=True)
class SentCall:
    """The requests of one attempt at an order, exactly as they are sent.

    Args:
        number: Which attempt, from 1: part of the idempotency keys.
        base: The quantities, by item id, that they were worked out from.
        params: One or two requests.
        proration_date: Seconds since 1970 (rule Q2).
        sent_at: Not after the first request was sent.
        spent: Whether Stripe answered a status 500, which it would repeat under the same key.
    """

    number: int
    base: Mapping[str, int]
    params: tuple[Mapping[str, Any], ...]
    proration_date: int
    sent_at: datetime
    spent: bool

    @property
    def is_invoiced(self) -> bool:
        """Whether the first request makes an invoice."""
        return bool(self.params) and self.params[0]["proration_behavior"] == "always_invoice"

    def used_up(self) -> "SentCall":
        """Return the same with a key that is no longer of use."""
        return replace(self, spent=True)

    def to_json(self) -> dict[str, Any]:
        """Write it down."""
        return {
            "number": self.number,
            "base": dict(self.base),
            "params": [dict(params) for params in self.params],
            "proration_date": self.proration_date,
            "sent_at": self.sent_at.isoformat(),
            "spent": self.spent,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "SentCall":
        """Read it back."""
        return cls(
            number=document["number"],
            base=document["base"],
            params=tuple(document["params"]),
            proration_date=document["proration_date"],
            sent_at=datetime.fromisoformat(document["sent_at"]),
            spent=document["spent"],
        )


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """An order as it stands here."""

    key: str
    state: OrderState
    request: OrderRequest | None
    call: SentCall | None
    result: CoreOrder | None

    def for_callers(self) -> CoreOrder:
        """Return it in the words of the port."""
        return self.result or CoreOrder(self.key, self.state)


@dataclass(frozen=True, slots=True)
class Turn:
    """The turn of a subscription, while it is held."""

    unit: Unit

    def check(self) -> None:
        """Raise the database's error if the turn was lost: nothing must be sent then."""
        self.unit.session.execute(text("SELECT 1"))


@dataclass(frozen=True, slots=True)
class OrderBook:
    """The orders of one organization; every verb is a transaction of its own.

    Args:
        open_unit: Opens a unit of work of the organization.
        subscription: Stripe's id of its subscription.
    """

    open_unit: Callable[[], AbstractContextManager[Unit]]
    subscription: str

    @contextmanager
    def turn(self, host: str) -> Iterator[Turn]:
        """Take the subscription's turn: nobody else, in any process, changes it until the block ends.

        It is a lock of a transaction that is open for the whole of it: a worker that dies gives it back at once, and
        one that is slow keeps it. A lease that runs out would let a second order compute its quantities while the
        first is still about to send its own.

        Raises:
            BillingCoreUnreachableError: Somebody else has it for longer than one waits.
        """
        with self.open_unit() as unit:
            _allow(unit, lock_timeout=_WAIT_SECONDS, idle_in_transaction_session_timeout=_TURN_SECONDS)
            try:
                unit.session.execute(_TAKE_TURN, {"name": f"seatbridge stripe {self.subscription}"})
            except OperationalError as problem:
                raise BillingCoreUnreachableError(host, "busy", _WAIT_SECONDS) from problem
            yield Turn(unit)

    def find(self, key: str) -> StoredOrder | None:
        """Return the order of a key; None for one that never came."""
        with self.open_unit() as unit:
            return _read(unit, key)

    def begun(self) -> list[StoredOrder]:
        """Return the orders of which something was sent, or was about to be, and that are not settled; oldest first."""
        with self.open_unit() as unit:
            keys = unit.session.scalars(
                select(StripeOrder.key)
                .where(
                    StripeOrder.org_id == unit.org_id, StripeOrder.state == "reserved", StripeOrder.call.is_not(None)
                )
                .order_by(StripeOrder.at, StripeOrder.key)
            ).all()
            return [_known(unit, key) for key in keys]

    def find_by_mark(self, mark: str) -> StoredOrder | None:
        """Return the order that is called so at Stripe; None if it is none of ours."""
        with self.open_unit() as unit:
            key = unit.session.scalar(
                select(StripeOrder.key).where(StripeOrder.org_id == unit.org_id, StripeOrder.mark == mark)
            )
            return None if key is None else _read(unit, key)

    def version_of(self, fingerprint: str, read_at: int) -> int:
        """Number a picture of the subscription: the same one keeps its number, a newer one has a greater.

        A picture that was asked for before the newest was first seen, and is another one, is older: it gets a number
        below and is not kept.

        Args:
            fingerprint: Of everything that callers see.
            read_at: When it was asked for, in milliseconds since 1970.
        """
        with self.open_unit() as unit:
            newest = _newest_picture(unit)
            if newest is None or newest[0] != fingerprint:
                unit.session.execute(
                    insert(StripePicture)
                    .values(org_id=unit.org_id, fingerprint=fingerprint, version=read_at)
                    .on_conflict_do_update(
                        index_elements=[StripePicture.org_id],
                        set_={"fingerprint": fingerprint, "version": read_at},
                        where=(StripePicture.fingerprint != fingerprint) & (StripePicture.version < read_at),
                    )
                )
                newest = _newest_picture(unit)
            return newest[1] if newest is not None and newest[0] == fingerprint else read_at

    def reserve(self, order: OrderRequest) -> StoredOrder:
        """Write an order down, unless its key is known, and return what stands there."""
        return self._write(order.key, OrderState.RESERVED, order_document(order), None)

    def remember_cancelled(self, key: str) -> StoredOrder:
        """Write down that an order must never come, unless it came already."""
        cancelled = CoreOrder(key, OrderState.CANCELLED)
        return self._write(key, OrderState.CANCELLED, None, core_order_document(cancelled))

    def keep_call(self, key: str, call: SentCall) -> None:
        """Store what is about to be sent."""
        with self.open_unit() as unit:
            _change(unit, key, call=call.to_json())

    def settle(self, key: str, result: CoreOrder) -> StoredOrder:
        """Write down what an order came to."""
        with self.open_unit() as unit:
            _change(unit, key, state=str(result.state), result=core_order_document(result))
            return _known(unit, key)

    def _write(
        self, key: str, state: OrderState, request: dict[str, Any] | None, result: dict[str, Any] | None
    ) -> StoredOrder:
        with self.open_unit() as unit:
            given = {"request": request, "result": result}
            unit.session.execute(
                insert(StripeOrder)
                .values(
                    org_id=unit.org_id,
                    key=key,
                    mark=mark_of(self.subscription, key),
                    state=str(state),
                    at=unit.at,
                    **{name: value for name, value in given.items() if value is not None},
                )
                .on_conflict_do_nothing()
            )
            return _known(unit, key)


def _newest_picture(unit: Unit) -> tuple[str, int] | None:
    row = unit.session.execute(
        select(StripePicture.fingerprint, StripePicture.version).where(StripePicture.org_id == unit.org_id)
    ).one_or_none()
    return None if row is None else (row.fingerprint, row.version)


def _allow(unit: Unit, **seconds: int) -> None:
    """Set timeouts for the rest of a transaction."""
    for name, value in seconds.items():
        unit.session.execute(text("SELECT set_config(:name, :value, true)"), {"name": name, "value": str(value * 1000)})


def _change(unit: Unit, key: str, **values: Any) -> None:
    """Change an order that is still reserved: what is settled stays."""
    unit.session.execute(
        update(StripeOrder)
        .where(StripeOrder.org_id == unit.org_id, StripeOrder.key == key, StripeOrder.state == "reserved")
        .values(**values)
        .execution_options(synchronize_session=False)
    )


def _read(unit: Unit, key: str) -> StoredOrder | None:
    row = unit.session.scalars(
        select(StripeOrder)
        .where(StripeOrder.org_id == unit.org_id, StripeOrder.key == key)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if row is None:
        return None
    return StoredOrder(
        key=key,
        state=OrderState(row.state),
        request=read_order_request(row.request) if row.request else None,
        call=SentCall.from_json(row.call) if row.call else None,
        result=read_core_order(row.result) if row.result else None,
    )


def _known(unit: Unit, key: str) -> StoredOrder:
    stored = _read(unit, key)
    if stored is None:
        raise RuntimeError("an order that was just written is not there")
    return stored
