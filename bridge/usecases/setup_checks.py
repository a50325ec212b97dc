"""Has it worked? What of a connection's set-up is seen by now, and why what was tried last was refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from sqlalchemy import or_, select

from bridge.domain.identifiers import ConnectionId
from bridge.domain.request_log import first_id_of
from bridge.domain.roles import Permission
from bridge.domain.sign_in import SignInProtocol
from bridge.store.directory import get_connection
from bridge.store.models import Connection, Group, LoggedRequest, Member, RemovedPerson, ScimToken, SignInEvent
from bridge.store.unit import Unit
from bridge.usecases.oidc_trust import oidc_provider
from bridge.usecases.read_connections import LATELY
from bridge.usecases.read_requests import RequestLine, lines_of
from bridge.usecases.saml_trust import saml_provider

LATEST: Final = 4

_WELL = ("signed_in", "provisioned")
_ENDED = ("refused", "rehearsed", *_WELL)


class CheckCode(StrEnum):
    """A step of the set-up that leaves a trace here."""

    TOKEN_ISSUED = "token_issued"  # noqa: S105 (a code, not a token)
    TOKEN_USED = "token_used"  # noqa: S105 (as above)
    PERSON_CREATED = "person_created"
    GROUP_PUSHED = "group_pushed"
    PERSON_TURNED_OFF = "person_turned_off"
    PROVIDER_TRUSTED = "provider_trusted"
    SIGNED_IN = "signed_in"


class CheckState(StrEnum):
    """Whether it was seen; the first of those that were not is what is waited for."""

    SEEN = "seen"
    WAITING = "waiting"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Check:
    """One step, and when its trace was left; None where the instant is not known, or there is none yet."""

    code: CheckCode
    state: CheckState
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SetupChecks:
    """How far the set-up of a connection is.

    Attributes:
        provisioning: The steps of SCIM, in their order.
        sign_in: The steps of single sign-on, in their order.
        latest: The newest requests, also those whose token is nobody's: they may be meant for this connection.
        refused: The newest request, where it was refused.
        refused_sign_in: The newest sign-in, where it was refused.
    """

    provisioning: tuple[Check, ...]
    sign_in: tuple[Check, ...]
    latest: Sequence[RequestLine]
    refused: RequestLine | None
    refused_sign_in: SignInEvent | None

    @property
    def steps(self) -> tuple[Check, ...]:
        """All steps."""
        return (*self.provisioning, *self.sign_in)

    @property
    def seen(self) -> int:
        """How many steps were seen."""
        return sum(check.state is CheckState.SEEN for check in self.steps)

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to wait for."""
        return self.seen == len(self.steps)


def read_checks(unit: Unit, connection_id: ConnectionId, *, expects_groups: bool = True) -> SetupChecks:
    """Tell what of a connection's set-up was seen.

    Args:
        unit: The unit.
        connection_id: Which connection.
        expects_groups: Whether its directory pushes groups at all.

    Raises:
        ForbiddenError: The actor may not change connections.
        NotFoundError: There is no such connection.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    connection = get_connection(unit, connection_id)
    latest = _latest(unit, connection_id)
    ended = unit.session.scalars(
        select(SignInEvent)
        .where(
            SignInEvent.org_id == unit.org_id,
            SignInEvent.connection_id == connection_id,
            SignInEvent.outcome.in_(_ENDED),
        )
        .order_by(SignInEvent.at.desc(), SignInEvent.seq.desc())
        .limit(1)
    ).first()
    newest = latest[0] if latest else None
    return SetupChecks(
        provisioning=_in_order(
            (CheckCode.TOKEN_ISSUED, _token_issued(unit, connection_id)),
            (CheckCode.TOKEN_USED, connection.scim_last_used_at),
            (CheckCode.PERSON_CREATED, _newest_person(unit, connection_id)),
            *(((CheckCode.GROUP_PUSHED, _newest_group(unit, connection_id)),) if expects_groups else ()),
            (CheckCode.PERSON_TURNED_OFF, _turned_off(unit, connection_id)),
        ),
        sign_in=_in_order(
            (CheckCode.PROVIDER_TRUSTED, _trusted(unit, connection)),
            (CheckCode.SIGNED_IN, connection.last_sign_in_at),
        ),
        latest=latest,
        refused=newest if newest is not None and newest.status >= HTTPStatus.BAD_REQUEST else None,
        refused_sign_in=ended if ended is not None and ended.outcome == "refused" else None,
    )


def _in_order(*traces: tuple[CheckCode, datetime | None]) -> tuple[Check, ...]:
    checks, is_first = [], True
    for code, at in traces:
        if at is not None:
            checks.append(Check(code, CheckState.SEEN, at))
        else:
            checks.append(Check(code, CheckState.WAITING if is_first else CheckState.LATER))
            is_first = False
    return tuple(checks)


def _latest(unit: Unit, connection_id: ConnectionId) -> Sequence[RequestLine]:
    entries = unit.session.scalars(
        select(LoggedRequest)
        .where(
            LoggedRequest.org_id == unit.org_id,
            LoggedRequest.id >= first_id_of(unit.at - LATELY),
            or_(LoggedRequest.connection_id == connection_id, LoggedRequest.connection_id.is_(None)),
        )
        .order_by(LoggedRequest.id.desc())
        .limit(LATEST)
    ).all()
    return lines_of(unit, entries)


def _token_issued(unit: Unit, connection_id: ConnectionId) -> datetime | None:
    return unit.session.scalars(
        select(ScimToken.created_at)
        .where(
            ScimToken.org_id == unit.org_id,
            ScimToken.connection_id == connection_id,
            ScimToken.member_id.is_(None),
            ScimToken.can_write,
            ScimToken.revoked_at.is_(None),
            ScimToken.expires_at > unit.at,
        )
        .order_by(ScimToken.created_at.desc())
        .limit(1)
    ).first()


def _newest_person(unit: Unit, connection_id: ConnectionId) -> datetime | None:
    return unit.session.scalars(
        select(Member.created_at)
        .where(Member.org_id == unit.org_id, Member.connection_id == connection_id, Member.source == "scim")
        .order_by(Member.position.desc())
        .limit(1)
    ).first()


def _newest_group(unit: Unit, connection_id: ConnectionId) -> datetime | None:
    return unit.session.scalars(
        select(Group.created_at)
        .where(Group.org_id == unit.org_id, Group.connection_id == connection_id, Group.source == "scim")
        .order_by(Group.position.desc())
        .limit(1)
    ).first()


def _turned_off(unit: Unit, connection_id: ConnectionId) -> datetime | None:
    off = unit.session.scalars(
        select(Member.modified_at)
        .where(
            Member.org_id == unit.org_id,
            Member.connection_id == connection_id,
            Member.source == "scim",
            Member.active.is_(False),
        )
        .order_by(Member.modified_at.desc())
        .limit(1)
    ).first()
    if off is not None:
        return off
    return unit.session.scalars(
        select(RemovedPerson.removed_at)
        .where(RemovedPerson.org_id == unit.org_id, RemovedPerson.connection_id == connection_id)
        .order_by(RemovedPerson.removed_at.desc())
        .limit(1)
    ).first()


def _trusted(unit: Unit, connection: Connection) -> datetime | None:
    """Return when the connection was given what it believes; who believes nobody has no protocol."""
    if connection.protocol is None:
        return None
    saml = saml_provider(unit, connection.id) if connection.protocol == SignInProtocol.SAML else None
    oidc = oidc_provider(unit, connection.id) if connection.protocol == SignInProtocol.OIDC else None
    given = saml.updated_at if saml else oidc.fetched_at if oidc else None
    return given or connection.created_at
