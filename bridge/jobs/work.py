"""What a worker does when it is woken: renewals, deliveries, expiries."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from bridge.domain.actors import SYSTEM
from bridge.domain.identifiers import OrgId
from bridge.errors import BridgeError
from bridge.jobs.messages import compose
from bridge.ports import Message
from bridge.runtime import Runtime
from bridge.store import gate
from bridge.usecases.deliver import Claim, claim_delivery, finish_delivery, postpone_delivery
from bridge.usecases.expire import expire_what_ran_out
from bridge.usecases.renew_contract import renew_contract

log = structlog.get_logger()


def work_through_due(runtime: Runtime) -> int:
    """Pass every contract boundary that is due and bring every due delivery out; return how many of both."""
    return renew_due(runtime) + deliver_due(runtime)


def renew_due(runtime: Runtime) -> int:
    """Renew what is due, each organization in its own transaction; one that fails stops nobody else."""
    renewed = 0
    for org_id in runtime.ask_gate(lambda session: gate.due_renewals(session, runtime.clock.now())):
        with _contained("renewal.failed", org_id):
            while _renew_once(runtime, org_id):
                renewed += 1
    return renewed


def _renew_once(runtime: Runtime, org_id: OrgId) -> bool:
    with runtime.unit(org_id, SYSTEM) as unit:
        return renew_contract(unit) is not None


def deliver_due(runtime: Runtime) -> int:
    """Bring due deliveries out, one after the other; a poison one stops nobody else."""
    delivered = 0
    for org_id, delivery_id in runtime.ask_gate(lambda session: gate.due_deliveries(session, runtime.clock.now())):
        with _contained("delivery.failed", org_id):
            with runtime.unit(org_id, SYSTEM) as unit:
                claim = claim_delivery(unit, delivery_id)
                message = compose(unit, claim) if claim else None
            if claim is not None:
                _deliver(runtime, org_id, claim, message)
                delivered += 1
    return delivered


def _deliver(runtime: Runtime, org_id: OrgId, claim: Claim, message: Message | None) -> None:
    note = None
    if message is None:
        note = "nobody_to_tell"
    elif runtime.mailer is None:
        note = "no_mail_server"
    else:
        try:
            runtime.mailer.send(message)
        except OSError as error:
            log.warning("delivery.postponed", org_id=str(org_id), delivery_id=str(claim.delivery_id))
            with runtime.unit(org_id, SYSTEM) as unit:
                postpone_delivery(unit, claim, type(error).__name__)
            return
    with runtime.unit(org_id, SYSTEM) as unit:
        finish_delivery(unit, claim.delivery_id, note=note)


def expire_everywhere(runtime: Runtime) -> int:
    """Forget what has run out in every organization; return how many rows went."""
    removed = 0
    for org_id, _, _ in runtime.ask_gate(gate.list_organizations):
        with _contained("expiry.failed", org_id), runtime.unit(org_id, SYSTEM) as unit:
            removed += expire_what_ran_out(unit)
    return removed


@contextmanager
def _contained(event: str, org_id: OrgId) -> Iterator[None]:
    """Log what one organization's work died of, and go on with the next: the row stays due for the next sweep."""
    try:
        yield
    except Exception as error:
        code = error.code if isinstance(error, BridgeError) else type(error).__name__
        log.exception(event, org_id=str(org_id), error=code)


Task = Callable[[Runtime], int]
