"""What a worker does when it is woken or its time comes: renewals, deliveries, expiries, the nightly count."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import structlog

from bridge.adapters.oauth import make_key
from bridge.domain.actors import SYSTEM
from bridge.domain.identifiers import OrgId
from bridge.errors import BillingCoreAnswerError, BridgeError
from bridge.jobs import app_logouts
from bridge.jobs.containing import Stopping, contained, never, on_behalf_of
from bridge.jobs.messages import compose
from bridge.jobs.orders import SilentCores, bring_order, due_orders
from bridge.jobs.reconciliation import catch_up, reconcile_organization
from bridge.jobs.webhooks import tell_applications
from bridge.runtime import Runtime
from bridge.store import gate
from bridge.store.request_log import remove_requests_before
from bridge.usecases.buy_for_line import buy_for_line, is_worth_buying
from bridge.usecases.decide_holds import remind_of_hold
from bridge.usecases.deliver import Claim, claim_delivery, finish_delivery, postpone_delivery
from bridge.usecases.end_provisional import connections_with_unconfirmed, end_unconfirmed
from bridge.usecases.expire import expire_what_ran_out, forget_sign_ins
from bridge.usecases.mirror_core import tell_of_answer
from bridge.usecases.reconcile import reconcile_pools
from bridge.usecases.remind import queue_evaluation_mail, queue_usage_mail
from bridge.usecases.renew_contract import BOUNDARY_FAILURES, renew_contract, tell_of_failed_boundary
from bridge.usecases.signing_keys import forget_keys, is_rotation_due, rotate_keys
from bridge.usecases.watch_tiers import DEFAULT as DEFAULT_THRESHOLDS
from bridge.usecases.watch_tiers import watch_tiers

log = structlog.get_logger()

#: Entries of the provisioning log that one transaction deletes.
FORGOTTEN_AT_ONCE = 5000
Task = Callable[[Runtime, Stopping], int]


def work_through_due(runtime: Runtime, stopping: Stopping = never) -> int:
    """Pass due boundaries, buy what budgets allow again, look at thresholds, bring mails, orders and events out.

    Returns:
        How many of all of them.
    """
    tasks = (renew_due, buy_due, watch_due, deliver_due, place_orders_due, tell_applications)
    return sum(task(runtime, stopping) for task in tasks)


def place_orders_due(runtime: Runtime, stopping: Stopping = never) -> int:
    """Bring due orders to their billing cores; one that fails, or a core that is down, stops nobody else.

    Returns:
        How many were settled; not those that were postponed or claimed by another worker.
    """
    settled = 0
    silent = SilentCores()
    for org_id, order_id in due_orders(runtime):
        if stopping():
            break
        with contained("order.failed", org_id):
            settled += bring_order(runtime, org_id, order_id, silent)
    return settled


def renew_due(runtime: Runtime, stopping: Stopping = never) -> int:
    """Renew what is due, each boundary in its own transaction; an organization that fails stops nobody else."""
    renewed = 0
    for org_id in runtime.ask_gate(lambda session: gate.due_renewals(session, runtime.clock.now())):
        with contained("renewal.failed", org_id), _told_of_boundary(runtime, org_id):
            while not stopping() and _renew_once(runtime, org_id):
                renewed += 1
    return renewed


def _renew_once(runtime: Runtime, org_id: OrgId) -> bool:
    with runtime.unit(org_id, SYSTEM) as unit:
        return renew_contract(unit) is not None


def buy_due(runtime: Runtime, stopping: Stopping = never) -> int:
    """Buy seats for who waits where a budget has something left again: a new period, or a payment worth another try."""
    bought = 0
    for org_id in runtime.ask_gate(gate.budgeted_organizations):
        if stopping():
            break
        with contained("budget.failed", org_id), runtime.unit(org_id, SYSTEM) as unit:
            if is_worth_buying(unit):
                bought += len(buy_for_line(unit))
    return bought


def watch_due(runtime: Runtime, stopping: Stopping = never) -> int:
    """Tell owners of tiers that passed a threshold; return how many alerts were raised or settled."""
    changed = 0
    for org_id in runtime.ask_gate(lambda session: gate.organizations_past_threshold(session, DEFAULT_THRESHOLDS)):
        if stopping():
            break
        with contained("thresholds.failed", org_id), runtime.unit(org_id, SYSTEM) as unit:
            changed += watch_tiers(unit)
    return changed


def deliver_due(runtime: Runtime, stopping: Stopping = never) -> int:
    """Bring due deliveries out, one after the other; a poison one stops nobody else.

    Returns:
        How many were brought out; not those that were postponed or claimed by another worker.
    """
    delivered = 0
    silent: set[uuid.UUID] = set()
    for org_id, delivery_id in runtime.ask_gate(lambda session: gate.due_deliveries(session, runtime.clock.now())):
        if stopping():
            break
        with contained("delivery.failed", org_id):
            with runtime.unit(org_id, SYSTEM) as unit:
                claim = claim_delivery(unit, delivery_id)
            if claim is not None:
                with on_behalf_of(runtime, f"deliver {claim.kind}", claim.request_id):
                    delivered += _deliver(runtime, org_id, claim, silent)
    return delivered


def _deliver(runtime: Runtime, org_id: OrgId, claim: Claim, silent: set[uuid.UUID]) -> bool:
    """Bring a claimed delivery out, a mail or a message to an application, in no transaction; note what became of it.

    The claim has counted the attempt already, so what fails here, however it fails, is postponed and one day dead.
    """
    try:
        if claim.kind == app_logouts.KIND:
            note = app_logouts.tell_app_of_logout(runtime, claim, silent)
        else:
            note = _write_and_send(runtime, org_id, claim)
    except Exception as error:
        expected = isinstance(error, OSError | BridgeError)
        code = error.code if isinstance(error, BridgeError) else type(error).__name__
        log.warning(
            "delivery.postponed",
            org_id=str(org_id),
            delivery_id=str(claim.delivery_id),
            attempt=claim.attempt,
            error=code,
            exc_info=None if expected else error,
        )
        with runtime.unit(org_id, SYSTEM) as unit:
            postpone_delivery(unit, claim, code)
        return False
    with runtime.unit(org_id, SYSTEM) as unit:
        finish_delivery(unit, claim.delivery_id, note=note)
    log.info("delivery.done", org_id=str(org_id), delivery_id=str(claim.delivery_id), note=note)
    return True


def _write_and_send(runtime: Runtime, org_id: OrgId, claim: Claim) -> str | None:
    """Write and send the mail of a delivery; return why none was sent, as a code."""
    if runtime.mailer is None:
        return "no_mail_server"
    with runtime.unit(org_id, SYSTEM) as unit:
        message = compose(unit, claim)
    if message is None:
        return "nobody_to_tell"
    runtime.mailer.send(message)
    return None


def remind_everywhere(runtime: Runtime, stopping: Stopping = never) -> int:
    """Remind owners of what the brake holds, once a day, and of evaluations that end; return how many reminders."""
    reminded, days = 0, runtime.settings.jobs.evaluation_mail_days
    for org_id, _, _ in runtime.ask_gate(gate.list_organizations):
        if stopping():
            break
        with contained("reminder.failed", org_id), runtime.unit(org_id, SYSTEM) as unit:
            reminded += remind_of_hold(unit)
            reminded += bool(days) and queue_evaluation_mail(unit, timedelta(days=days))
    return reminded


def expire_everywhere(runtime: Runtime, stopping: Stopping = never) -> int:
    """Forget what has run out in every organization; return how many rows went."""
    removed = 0
    for org_id, _, _ in runtime.ask_gate(gate.list_organizations):
        if stopping():
            break
        with contained("expiry.failed", org_id), runtime.unit(org_id, SYSTEM) as unit:
            removed += expire_what_ran_out(unit)
            removed += forget_sign_ins(unit, unit.at - timedelta(days=runtime.settings.sso.log_days))
    return removed


def end_unconfirmed_everywhere(runtime: Runtime, stopping: Stopping = never) -> int:
    """End the access of people whom no directory has named in time; return how many people's."""
    ended = 0
    for org_id, _, _ in runtime.ask_gate(gate.list_organizations):
        if stopping():
            break
        with contained("provisional.not_ended", org_id):
            with runtime.unit(org_id, SYSTEM) as unit:
                connections = connections_with_unconfirmed(unit)
            for connection_id in connections:
                with runtime.unit(org_id, SYSTEM) as unit:
                    ended += end_unconfirmed(unit, connection_id)
    return ended


def forget_requests(runtime: Runtime, stopping: Stopping = never) -> int:
    """Delete entries of the provisioning log that are older than the setting says, a batch a transaction."""
    removed = 0
    for org_id, _, _ in runtime.ask_gate(gate.list_organizations):
        with contained("request_log.not_forgotten", org_id):
            while not stopping():
                with runtime.unit(org_id, SYSTEM) as unit:
                    before = unit.at - timedelta(days=runtime.settings.scim.request_log_days)
                    gone = remove_requests_before(unit, before, limit=FORGOTTEN_AT_ONCE)
                removed += gone
                if gone < FORGOTTEN_AT_ONCE:
                    break
    return removed


def rotate_signing_keys(runtime: Runtime, stopping: Stopping = never) -> int:
    """Publish a new signing key when the present one is old enough, and forget those that nothing needs any more.

    Returns:
        How many keys were published or forgotten.
    """
    days = runtime.settings.apps.key_rotation_days
    if stopping():
        return 0
    with runtime.installation(SYSTEM) as installation:
        changed = forget_keys(installation)
        if days and is_rotation_due(installation.session, installation.at, timedelta(days=days)):
            rotate_keys(installation, make_key(runtime.secrets), reason="scheduled")
            changed += 1
    return changed


def mail_usage_everywhere(runtime: Runtime, stopping: Stopping = never) -> int:
    """Mail the owners of every organization what the renewal ahead should be decided by; return how many."""
    days = runtime.settings.jobs.usage_mail_days
    queued = 0
    for org_id, _, _ in runtime.ask_gate(gate.list_organizations):
        if stopping() or not days:
            break
        with contained("usage_mail.failed", org_id), runtime.unit(org_id, SYSTEM) as unit:
            queued += queue_usage_mail(unit, timedelta(days=days))
    return queued


def check_everywhere(runtime: Runtime, stopping: Stopping = never) -> int:
    """Count the held seats of every organization again; log and return how many pools differ (there should be none)."""
    different = 0
    for org_id, _, _ in runtime.ask_gate(gate.list_organizations):
        if stopping():
            break
        with contained("check.failed", org_id), runtime.unit(org_id, SYSTEM) as unit:
            for difference in reconcile_pools(unit):
                different += 1
                log.error(
                    "pool.differs",
                    org_id=str(org_id),
                    tier=difference.tier,
                    counted=difference.used,
                    held=difference.held,
                )
    return different


def catch_up_everywhere(runtime: Runtime, stopping: Stopping = never) -> int:
    """Ask every billing core for events that no webhook brought; return how many were new."""
    new = 0
    for org_id in runtime.ask_gate(gate.remotely_billed):
        if stopping():
            break
        with contained("events.not_caught_up", org_id), _told_of_answers(runtime, org_id):
            new += catch_up(runtime, org_id)
    return new


def reconcile_everywhere(runtime: Runtime, stopping: Stopping = never) -> int:
    """Compare with every billing core's books; log and return how many differences are left for somebody to see."""
    different = 0
    for org_id in runtime.ask_gate(gate.remotely_billed):
        if stopping():
            break
        with contained("reconciliation.failed", org_id), _told_of_answers(runtime, org_id):
            for difference in reconcile_organization(runtime, org_id, SYSTEM).differences:
                different += not difference.repaired
                log.warning(
                    "books.differ", org_id=str(org_id), difference=difference.code, repaired=difference.repaired
                )
    return different


@contextmanager
def _told_of_answers(runtime: Runtime, org_id: OrgId) -> Iterator[None]:
    """Have the owners know when their core answers what its contract does not allow."""
    try:
        yield
    except BillingCoreAnswerError as error:
        with runtime.unit(org_id, SYSTEM) as unit:
            tell_of_answer(unit, error)
        raise


@contextmanager
def _told_of_boundary(runtime: Runtime, org_id: OrgId) -> Iterator[None]:
    """Have the owners know when their plan's boundary cannot be passed: nothing can be written until it is."""
    try:
        yield
    except BOUNDARY_FAILURES:
        with runtime.unit(org_id, SYSTEM) as unit:
            tell_of_failed_boundary(unit)
        raise
