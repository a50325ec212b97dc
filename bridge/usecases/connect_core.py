"""Handing the billing of an organization's seats to a core that keeps its own books."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bridge.core import CoreInvoice, CoreSubscription
from bridge.core.documents import subscription_document
from bridge.domain.identifiers import new_id
from bridge.domain.plan_kinds import REMOTE, SOLD_BY_SEATS
from bridge.domain.roles import Permission
from bridge.errors import InvalidChangeError, InvalidInputError
from bridge.store.agreed import agreed_change
from bridge.store.journal import record
from bridge.store.models import BillingConnection, Contract
from bridge.store.pools import read_pools
from bridge.store.unit import Unit
from bridge.usecases.assign_seats import promote_waiting
from bridge.usecases.billing_orders import refuse_second_order
from bridge.usecases.mirror_core import (
    find_connection,
    find_core,
    mirror_subscription,
    mirrored_invoices,
    write_pools,
)


@dataclass(frozen=True, slots=True)
class CoreAddress:
    """How a core is reached; the two secrets are sealed already. ``prices`` are those of the tiers at Stripe."""

    url: str
    token: bytes
    webhook_secret: bytes
    prices: Mapping[str, str] | None = None


def connect_core(
    unit: Unit, address: CoreAddress, subscription: CoreSubscription, invoices: Sequence[CoreInvoice]
) -> None:
    """Bill the organization's seats at a core from now on; the seats become those of its subscription.

    Connecting again changes address and secrets, takes the core's picture whatever its version is, and asks for its
    events from the first one on: a core that was restored from a back-up goes on so. Invoices that the embedded core or
    another core issued before stay as they are. A core is recognised by its invoices, under another address too.

    Args:
        unit: The unit.
        address: Where the core is.
        subscription: What the core answered just now.
        invoices: Every invoice of the core, as it answered just now.

    Raises:
        ForbiddenError: The actor may not change the plan.
        InvalidChangeError: The plan is not sold by seats, or has ended, here or there.
        InvalidInputError: The core's tiers or currency are others than those here, or people hold more seats.
        OrderOpenError: An order is on its way to the core that is connected now.
    """
    unit.require(Permission.MANAGE_BILLING)
    unit.lock()
    contract = unit.session.get_one(Contract, unit.org_id, populate_existing=True)
    _check(unit, contract, subscription)
    refuse_second_order(unit)
    if agreed_change(unit) is not None:
        raise InvalidChangeError("a change of the contract is agreed ahead: cancel it first")
    connection = find_connection(unit)
    core_id = _core_id(unit, connection, address, invoices)
    if connection is None:
        connection = BillingConnection(org_id=unit.org_id, heard_at=unit.at)
        unit.session.add(connection)
    moved = connection.core_id != core_id
    connection.generation = new_id()
    if moved:
        connection.core_id, connection.connected_at = core_id, unit.at
    if moved or address.prices is None:
        # A core may have been restored: its events are asked for anew. Stripe is not, and tells again of new ones only.
        connection.cursor = None
    connection.url, connection.token, connection.webhook_secret = address.url, address.token, address.webhook_secret
    connection.prices = None if address.prices is None else dict(address.prices)
    connection.version, connection.subscription = -1, subscription_document(subscription)
    contract.billed_by = REMOTE
    unit.session.flush()
    mirror_subscription(unit, subscription, reason="connected")
    record(
        unit,
        "billing_core.connected",
        subject_kind="contract",
        subject_id=unit.org_id,
        reason="operator",
        body={
            "url": address.url,
            "core": str(core_id),
            "version": subscription.version,
            "seats": {key: tier.paid for key, tier in subscription.tiers.items()},
        },
    )
    promote_waiting(unit, write_pools(unit))


def _core_id(
    unit: Unit, connection: BillingConnection | None, address: CoreAddress, invoices: Sequence[CoreInvoice]
) -> uuid.UUID:
    """Return which core this is: one that was connected before, or a new one.

    Two cores may give the same ids to different invoices and events: taken for one, an invoice would be lost. One core
    taken for two would have all its invoices written and mailed again.
    """
    known = find_core(unit, invoices, first=None if connection is None else connection.core_id)
    if known is not None:
        return known
    if connection is None or connection.url != address.url:
        return new_id()
    begun_anew = address.prices is None and mirrored_invoices(unit, connection.core_id)
    return new_id() if begun_anew else connection.core_id


def _check(unit: Unit, contract: Contract, subscription: CoreSubscription) -> None:
    if contract.kind not in SOLD_BY_SEATS:
        raise InvalidChangeError(f"a core of its own bills {' and '.join(SOLD_BY_SEATS)} plans only")
    if contract.status != "active" or not subscription.active:
        raise InvalidChangeError("the plan has ended, here or at the core")
    if subscription.currency != contract.currency:
        raise InvalidInputError("url", f"the core bills in {subscription.currency}, the plan is in {contract.currency}")
    pools = read_pools(unit)
    if set(subscription.tiers) != {pool.tier for pool in pools}:
        here, there = ", ".join(pool.tier for pool in pools), ", ".join(subscription.tiers)
        raise InvalidInputError(
            "url", f"the core has the tiers {there}; here they are {here}: give them the same names"
        )
    for pool in pools:
        tier = subscription.tiers[pool.tier]
        if min(tier.paid, tier.next) < pool.used:
            problem = f"people hold {pool.used} {pool.tier} seats and the core has {min(tier.paid, tier.next)}"
            raise InvalidInputError("url", f"{problem}: add seats there, or free some here, first")
