"""Under which names a connection's identity provider says who somebody is, and what rules may look at."""

from collections.abc import Mapping

from sqlalchemy import delete, select

from bridge.domain.claims import ClaimMap
from bridge.domain.identifiers import ConnectionId
from bridge.domain.roles import Permission
from bridge.errors import InvalidInputError
from bridge.store.directory import get_connection
from bridge.store.journal import record
from bridge.store.models import Identity
from bridge.store.unit import Unit
from bridge.usecases.sessions import end_sign_ins

_NOTHING: Mapping[str, str] = {}


def claims_of(unit: Unit, connection_id: ConnectionId) -> ClaimMap:
    """Return the map of a connection.

    Raises:
        NotFoundError: There is no such connection.
    """
    return ClaimMap.read(get_connection(unit, connection_id).claims)


def map_claims(
    unit: Unit,
    connection_id: ConnectionId,
    *,
    facts: Mapping[str, str] = _NOTHING,
    attributes: Mapping[str, str] = _NOTHING,
    reset: bool = False,
    forget_links: bool = False,
) -> ClaimMap:
    """Change a connection's map; what is not named stays, and an empty name takes the usual one again.

    Args:
        unit: The unit.
        connection_id: Whose.
        facts: Names by fact (:data:`bridge.domain.claims.FACTS`).
        attributes: Names by attribute of a directory.
        reset: Forget everything the map said before.
        forget_links: Forget who was known by another subject, and end their sessions; without it, such a change is
            refused.

    Raises:
        ForbiddenError: The actor may not change connections.
        NotFoundError: There is no such connection.
        InvalidInputError: A name is not possible; or another claim would tell who somebody is while people are known by
            the present one, whose values could be somebody else's.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    unit.lock()
    connection = get_connection(unit, connection_id)
    before = ClaimMap.read(connection.claims)
    after = (ClaimMap() if reset else before).changed(facts, attributes)
    if after == before:
        return after
    forgotten = _forget_links(unit, connection_id, allowed=forget_links) if after.subject != before.subject else 0
    connection.claims = after.stored() or None
    unit.session.flush()
    record(
        unit,
        "connection.claims_mapped",
        subject_kind="connection",
        subject_id=connection_id,
        reason="requested",
        body={"from": before.stored(), "to": after.stored(), "links_forgotten": forgotten},
        touches_seats=False,
    )
    return after


def _forget_links(unit: Unit, connection_id: ConnectionId, *, allowed: bool) -> int:
    theirs = (Identity.org_id == unit.org_id, Identity.connection_id == connection_id)
    people = unit.session.scalars(select(Identity.member_id).where(*theirs).distinct()).all()
    known = len(people)
    if known and not allowed:
        raise InvalidInputError(
            "subject",
            f"{known} people are known by the present one, and a value of another could be somebody else's: allow that "
            "these links are forgotten (--forget-links); people whom a directory pushes are recognised again by their "
            "userName, others are linked again by hand",
        )
    unit.session.execute(delete(Identity).where(*theirs))
    end_sign_ins(unit, people, reason="links_forgotten")
    return known
