"""Reminders that owners get by mail before something happens by itself."""

from datetime import timedelta

from sqlalchemy import exists, select

from bridge.domain.plan_kinds import EVALUATION
from bridge.store.models import Contract, Delivery
from bridge.store.unit import Unit
from bridge.usecases.alerts import queue_delivery

USAGE_MAIL = "usage_mail"
EVALUATION_MAIL = "evaluation_mail"
#: Once more, so long before an evaluation ends.
_AT_LAST = timedelta(days=2)


def queue_usage_mail(unit: Unit, ahead: timedelta) -> bool:
    """Queue the mail that sums up the usage before a yearly renewal, once for each boundary (rule B6).

    Args:
        unit: The unit.
        ahead: How long before the boundary.

    Returns:
        Whether one was queued now.
    """
    unit.lock()
    contract = unit.session.get_one(Contract, unit.org_id, populate_existing=True)
    near = contract.period_end - ahead <= unit.at
    if contract.status != "active" or contract.cycle != "year" or not near:
        return False
    key = f"usage:{contract.period_end.isoformat()}"
    if _is_queued(unit, key):
        return False
    queue_delivery(unit, USAGE_MAIL, key=key, subject_id=contract.period_end.isoformat())
    return True


def queue_evaluation_mail(unit: Unit, ahead: timedelta) -> bool:
    """Queue the mail that an evaluation ends, once so long before and once two days before it (rule B2).

    An evaluation that was given another end is reminded of anew.

    Args:
        unit: The unit.
        ahead: How long before its end the first one goes.

    Returns:
        Whether one was queued now.
    """
    contract = unit.session.get_one(Contract, unit.org_id)
    left = contract.period_end - unit.at
    if contract.kind != EVALUATION or contract.status != "active" or left > max(ahead, _AT_LAST):
        return False
    unit.lock()
    # By now the boundary is passed if it was due, or the end is another one.
    left = contract.period_end - unit.at
    if contract.kind != EVALUATION or contract.status != "active" or left > max(ahead, _AT_LAST):
        return False
    turn = "last" if left <= _AT_LAST else "first"
    key = f"evaluation:{contract.period_end.isoformat()}:{turn}"
    if _is_queued(unit, key):
        return False
    queue_delivery(unit, EVALUATION_MAIL, key=key, subject_id=contract.period_end.isoformat())
    return True


def _is_queued(unit: Unit, key: str) -> bool:
    known = exists().where(Delivery.org_id == unit.org_id, Delivery.key == key)
    return bool(unit.session.scalar(select(known)))
