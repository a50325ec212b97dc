"""Reminders that owners get by mail before something happens by itself."""

from datetime import timedelta

from sqlalchemy import exists, select

from bridge.store.models import Contract, Delivery
from bridge.store.unit import Unit
from bridge.usecases.alerts import queue_delivery

USAGE_MAIL = "usage_mail"


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
    known = exists().where(Delivery.org_id == unit.org_id, Delivery.key == key)
    if unit.session.scalar(select(known)):
        return False
    queue_delivery(unit, USAGE_MAIL, key=key, subject_id=contract.period_end.isoformat())
    return True
