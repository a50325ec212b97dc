"""Bringing orders to billing cores that keep their own books: asked back before a retry, settled by their answer."""

import uuid
from collections import Counter

import structlog

from bridge.core import BillingService, CoreOrder, OrderState
from bridge.domain.actors import SYSTEM, Actor
from bridge.domain.identifiers import OrgId
from bridge.domain.roles import Permission
from bridge.errors import (
    BillingCoreAnswerError,
    BillingCoreRefusedError,
    BillingCoreUnreachableError,
    OrderClosedError,
)
from bridge.jobs.containing import on_behalf_of
from bridge.runtime import Runtime
from bridge.store import gate
from bridge.usecases.billing_orders import (
    OrderClaim,
    cancel_unsent,
    claim_order,
    postpone_order,
    read_order,
    refuse_settled,
    settle_order,
)
from bridge.usecases.mirror_core import find_connection, order_key, tell_of_answer

log = structlog.get_logger()

_OFTEN_ENOUGH = 3


class SilentCores:
    """The cores that gave no answer three times during one look for work: their other orders wait for the next one.

    Otherwise a core that is down would hold everybody's orders up for a time-out each.
    """

    def __init__(self) -> None:
        self._times: Counter[str] = Counter()

    def note(self, url: str) -> None:
        """Remember that a core was silent."""
        self._times[_host(url)] += 1

    def __contains__(self, url: str) -> bool:
        return self._times[_host(url)] >= _OFTEN_ENOUGH


def _host(url: str) -> str:
    return "/".join(url.split("/")[:3])


def due_orders(runtime: Runtime) -> list[tuple[OrgId, uuid.UUID]]:
    """List the orders that wait for a worker, longest overdue first."""
    return list(runtime.ask_gate(lambda session: gate.due_orders(session, runtime.clock.now())))


def bring_order(runtime: Runtime, org_id: OrgId, order_id: uuid.UUID, silent: SilentCores) -> bool:
    """Bring one order to its core and settle it by the answer; return whether it is settled.

    The claim commits first, the core is asked in no transaction, the answer is settled in one. A process that dies in
    between leaves the order pending: when the lease is over it is asked back by its key, so nothing happens twice.
    """
    with runtime.unit(org_id, SYSTEM) as unit:
        connection = find_connection(unit)
        service = runtime.billing_service(unit)
        if connection is None or service is None or connection.url in silent:
            return False
        url = connection.url
        claimed = claim_order(unit, order_id)
    if claimed is None:
        return False
    with on_behalf_of(runtime, "place order", claimed.request_id):
        try:
            found = _ask(service, claimed)
            with runtime.unit(org_id, SYSTEM) as unit:
                settle_order(unit, found, reason="order")
        except Exception as error:  # noqa: BLE001 (logged and postponed: a poison order stops nobody else)
            if isinstance(error, BillingCoreUnreachableError):
                silent.note(url)
            _postpone(runtime, org_id, claimed, error)
            return False
        log.info("order.settled", org_id=str(org_id), order_id=str(order_id), state=str(found.state))
        return True


def _ask(service: BillingService, claimed: OrderClaim) -> CoreOrder:
    """Have the core place an order, or find out that it did before.

    Raises:
        BillingCoreUnreachableError: What became of it is unknown.
    """
    request = claimed.request
    try:
        found = service.order_by_key(request.key) if claimed.repeated else None
        if found is None:
            found = service.reserve(request)
        if found.state is OrderState.RESERVED:
            found = service.confirm(request.key)
    except BillingCoreRefusedError as refusal:
        # What it refuses now it may have carried out, or be about to, for a request whose answer was lost: give the
        # order up there too, and take what the core says of it.
        found = service.cancel(request.key)
        if found.state is OrderState.CANCELLED:
            return CoreOrder(key=request.key, state=OrderState.DECLINED, reason=refusal.core_code)
    if found.key != request.key:
        raise BillingCoreAnswerError("of this organization", "confirm", "key must be that of the order")
    if found.state is OrderState.RESERVED:
        raise BillingCoreAnswerError("of this organization", "confirm", "state must be placed, declined or cancelled")
    return found


def _postpone(runtime: Runtime, org_id: OrgId, claimed: OrderClaim, error: Exception) -> None:
    expected = isinstance(error, BillingCoreUnreachableError)
    code = error.why if isinstance(error, BillingCoreUnreachableError) else type(error).__name__
    log.warning(
        "order.postponed",
        org_id=str(org_id),
        order_id=str(claimed.order_id),
        attempt=claimed.attempt,
        error=code,
        exc_info=None if expected else error,
    )
    with runtime.unit(org_id, SYSTEM) as unit:
        postpone_order(unit, claimed, code)
        if isinstance(error, BillingCoreAnswerError):
            tell_of_answer(unit, error)


def cancel_order(runtime: Runtime, org_id: OrgId, order_id: uuid.UUID, actor: Actor) -> str:
    """Give an order up, here and at the core; one that the core has placed already is settled as placed.

    Returns:
        The state it has now: ``cancelled``, ``placed`` or ``declined``.

    Raises:
        BillingCoreUnreachableError: It may have arrived there, and the core does not say.
        ForbiddenError: The actor may not buy.
        NotFoundError: There is no such order here.
        OrderClosedError: It is settled.
    """
    with runtime.unit(org_id, actor) as unit:
        unit.require(Permission.MANAGE_BILLING)
        refuse_settled(read_order(unit, order_id))
        if cancel_unsent(unit, order_id):
            return "cancelled"
        service = runtime.billing_service(unit)
    if service is None:
        raise BillingCoreUnreachableError("of this organization", "not_connected")
    # Whoever comes first at the core, this or a worker that is confirming, the core's answer is what holds.
    found = service.cancel(order_key(order_id))
    with runtime.unit(org_id, actor) as unit:
        settled = settle_order(unit, found, reason="cancelled")
        if settled is None:
            raise OrderClosedError(order_id, "pending")
        return settled.state
