"""Certificates that end: the owners are warned 30, 14 and 3 days before, once each, until there is a new one."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select

from bridge.domain.sign_in import KeyStage, SignInProtocol
from bridge.store.models import Alert, Connection
from bridge.store.unit import Unit
from bridge.usecases.alerts import raise_alert
from bridge.usecases.connections import list_connections
from bridge.usecases.saml_trust import certificates_of
from bridge.usecases.service_keys import service_keys

WARNED_DAYS: Final = (3, 14, 30)
IDP_CODE: Final = "idp_certificate_ends"
OWN_CODE: Final = "service_key_ends"


@dataclass(frozen=True, slots=True)
class _Warning:
    code: str
    days: int
    sentence: str


def watch_certificates(unit: Unit) -> int:
    """Raise an alert for whatever ends within 30, 14 or 3 days, and settle those that are true no more.

    Returns:
        How many alerts were raised or settled.
    """
    unit.lock()
    due = {
        warning.sentence: warning
        for connection in list_connections(unit)
        if connection.protocol == SignInProtocol.SAML and connection.disabled_at is None
        for warning in _warnings(unit, connection)
    }
    known = unit.session.scalars(
        select(Alert).where(
            Alert.org_id == unit.org_id, Alert.code.in_((IDP_CODE, OWN_CODE)), Alert.resolved_at.is_(None)
        )
    ).all()
    settled = [alert for alert in known if alert.detail not in due]
    for alert in settled:
        alert.resolved_at = unit.at
    unit.session.flush()
    new = [warning for sentence, warning in due.items() if sentence not in {alert.detail for alert in known}]
    for warning in new:
        raise_alert(unit, warning.code, number=warning.days, detail=warning.sentence, told_apart=True)
    unit.session.flush()
    return len(settled) + len(new)


def _warnings(unit: Unit, connection: Connection) -> Iterator[_Warning]:
    last = max((certificate.not_after for certificate in certificates_of(unit, connection.id)), default=None)
    days = _days_left(last, unit.at)
    if last is not None and days is not None:
        yield _Warning(
            IDP_CODE,
            days,
            f"The last signing certificate of the identity provider of the connection {connection.name} ends on "
            f"{last:%Y-%m-%d}, in {days} days or less: have its new metadata read before it signs with another",
        )
    for key in service_keys(unit, connection.id):
        left = _days_left(key.not_after, unit.at)
        if key.stage == KeyStage.CURRENT and left is not None:
            yield _Warning(
                OWN_CODE,
                left,
                f"Our key towards the identity provider of the connection {connection.name} ends on "
                f"{key.not_after:%Y-%m-%d}, in {left} days or less: change it by `seatbridge connection rotate-cert`",
            )


def _days_left(end: datetime | None, now: datetime) -> int | None:
    """Return the nearest of the days of warning that is not passed; None when there is time."""
    if end is None:
        return None
    return next((days for days in WARNED_DAYS if end - now <= timedelta(days=days)), None)
