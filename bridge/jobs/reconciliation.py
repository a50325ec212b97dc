"""Keeping up with a billing core: events that no webhook brought, seats in use for its bills, the books compared."""

import uuid
from dataclasses import dataclass

from bridge.billing.ledger import seats_in_use
from bridge.core import BillingService, CoreOrder, OrderState
from bridge.domain.actors import SYSTEM, Actor
from bridge.domain.identifiers import OrgId
from bridge.domain.roles import Permission
from bridge.errors import InvalidChangeError
from bridge.runtime import Runtime
from bridge.store.pools import read_pools
from bridge.usecases.alerts import resolve_alerts
from bridge.usecases.billing_orders import settle_order
from bridge.usecases.core_events import apply_events, note_heard
from bridge.usecases.core_pictures import unfit
from bridge.usecases.mirror_core import (
    ANSWER_INVALID,
    find_connection,
    open_order,
    order_key,
    refuse_former_connection,
    tell_of_picture,
)
from bridge.usecases.reconcile_core import Difference, reconcile_books


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What a comparison came to: events that were missing, and the differences in the order they were found."""

    events: int
    differences: tuple[Difference, ...]

    @property
    def is_clean(self) -> bool:
        """Whether nothing is left for somebody to do."""
        return all(difference.repaired for difference in self.differences)


def catch_up(runtime: Runtime, org_id: OrgId) -> int:
    """Ask a core for the events behind the last one that was asked for, and apply them; return how many were new."""
    service, generation, cursor = _service(runtime, org_id)
    events, after = service.events(cursor)
    with runtime.unit(org_id, SYSTEM) as unit:
        refuse_former_connection(unit, generation)
        return apply_events(unit, events, after)


def reconcile_organization(runtime: Runtime, org_id: OrgId, actor: Actor, *, adopt: bool = False) -> Reconciliation:
    """Catch up, tell the core what is in use, settle an order that it knows more of, and compare the books.

    Args:
        runtime: The product; the core is asked in no transaction.
        org_id: Which organization.
        actor: Who compares.
        adopt: Take the core's newer picture over; nobody loses a seat by it.

    Raises:
        BillingCoreUnreachableError: The core gave no usable answer; nothing was compared.
        ForbiddenError: The actor may not see the books.
        InvalidChangeError: The organization is not billed by a core of its own.
    """
    with runtime.unit(org_id, actor) as unit:
        unit.require(Permission.MANAGE_BILLING)
    service, generation, _ = _service(runtime, org_id)
    events = catch_up(runtime, org_id)
    _report_units(runtime, org_id, service)
    _settle_known(runtime, org_id, service)
    subscription, invoices = service.subscription(), service.invoices()
    with runtime.unit(org_id, actor) as unit:
        refuse_former_connection(unit, generation)
        note_heard(unit)
        problem = unfit(unit, subscription)
        if problem is None:
            resolve_alerts(unit, ANSWER_INVALID)
        else:
            tell_of_picture(unit, problem)
        found = reconcile_books(unit, subscription, invoices, adopt=adopt)
    return Reconciliation(events, tuple(found))


def _service(runtime: Runtime, org_id: OrgId) -> tuple[BillingService, uuid.UUID, str | None]:
    with runtime.unit(org_id, SYSTEM) as unit:
        connection, service = find_connection(unit), runtime.billing_service(unit)
        if connection is None or service is None:
            raise InvalidChangeError("the organization is billed by the embedded core: there is nothing to compare")
        return service, connection.generation, connection.cursor


def _report_units(runtime: Runtime, org_id: OrgId, service: BillingService) -> None:
    """Tell how many seats are in use, once a day: a plan may renew with those (rule R7)."""
    with runtime.unit(org_id, SYSTEM) as unit:
        used = seats_in_use(unit)
        units = {pool.tier: used.get(pool.tier, 0) for pool in read_pools(unit)}
        at = unit.at
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    service.report_units(units, day, key=f"units-{day:%Y-%m-%d}-{_counts(units)}")


def _counts(units: dict[str, int]) -> str:
    return "-".join(str(units[tier]) for tier in sorted(units))


def _settle_known(runtime: Runtime, org_id: OrgId, service: BillingService) -> None:
    """Settle an open order that the core has an answer for, however it came to be open here."""
    with runtime.unit(org_id, SYSTEM) as unit:
        order = open_order(unit)
    if order is None:
        return
    found: CoreOrder | None = service.order_by_key(order_key(order.id))
    if found is not None and found.state is not OrderState.RESERVED:
        with runtime.unit(org_id, SYSTEM) as unit:
            settle_order(unit, found, reason="reconciled")
