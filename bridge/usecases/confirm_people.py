"""Saying by hand who somebody is whom only a sign-in made, and that they stay."""

from sqlalchemy import select, update

from bridge.domain.roles import Permission
from bridge.errors import InvalidInputError
from bridge.store.journal import record
from bridge.store.models import Connection, Identity, Member
from bridge.store.unit import Unit
from bridge.usecases.parked_people import adopt_parked
from bridge.usecases.provisional import is_unconfirmed, keep_member, resolve_unproven
from bridge.usecases.reevaluate import reevaluate
from bridge.usecases.same_person import BY_HAND, proven_among


def confirm_member(unit: Unit, member: Member) -> Member:
    """Let a person stay whom only a sign-in made, and say that they are who their userName says.

    What their directory has said of them without proof takes effect, and a later push takes them over with their
    sign-ins.

    Raises:
        ForbiddenError: The actor may not manage people.
        InvalidInputError: Nothing of the person waits for a word, or their time is over.
    """
    unit.require(Permission.MANAGE_PEOPLE)
    unit.lock()
    if is_unconfirmed(member):
        raise InvalidInputError("person", "access has ended, because no directory confirmed them: turn it on again")
    is_unproven = member.source == "jit" and not proven_among(unit, [member])
    is_kept = keep_member(unit, member, reason="by_hand")
    if not is_kept and not is_unproven:
        raise InvalidInputError("person", "is not provisional: nothing ends by itself")
    _vouch(unit, member)
    if not is_kept:
        record(unit, "member.confirmed", subject_kind="member", subject_id=member.id, reason="by_hand")
    resolve_unproven(unit, [member.id])
    adopt_parked(unit, member)
    unit.session.flush()
    reevaluate(unit, [member.id])
    return member


def _vouch(unit: Unit, member: Member) -> None:
    """Let the subjects that the person has signed in by be theirs by the word of somebody here."""
    believed = select(Connection.id).where(
        Connection.org_id == Identity.org_id,
        Connection.id == Identity.connection_id,
        Connection.protocol == Identity.protocol,
        Connection.issuer == Identity.issuer,
    )
    unit.session.execute(
        update(Identity)
        .where(Identity.org_id == unit.org_id, Identity.member_id == member.id, believed.exists())
        .values(linked_by=BY_HAND)
        .execution_options(synchronize_session="fetch")
    )
