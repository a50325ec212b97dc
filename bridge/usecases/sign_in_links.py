"""Using a link that signs one person in once."""

import uuid

from sqlalchemy import update

from bridge.domain.identifiers import MemberId
from bridge.errors import SignInRefusedError
from bridge.store.directory import get_member
from bridge.store.journal import record
from bridge.store.models import Member, SignInLink
from bridge.store.unit import Unit


def use_sign_in_link(unit: Unit, link_id: uuid.UUID) -> Member:
    """Use up a sign-in link and return whom it signs in.

    Of two who use it at the same moment one wins: the update's row count decides.

    Raises:
        SignInRefusedError: The link is used or expired, or the person's access is turned off.
    """
    unit.lock()
    member_id = unit.session.scalar(
        update(SignInLink)
        .where(
            SignInLink.org_id == unit.org_id,
            SignInLink.id == link_id,
            SignInLink.used_at.is_(None),
            SignInLink.expires_at > unit.at,
        )
        .values(used_at=unit.at)
        .returning(SignInLink.member_id)
        .execution_options(synchronize_session=False)
    )
    if member_id is None:
        raise SignInRefusedError("link_used", "The sign-in link was used before, or has expired")
    member = get_member(unit, MemberId(member_id))
    if not member.active:
        raise SignInRefusedError("deactivated", "The person's access is turned off")
    record(
        unit,
        "sign_in_link.used",
        subject_kind="member",
        subject_id=member.id,
        reason="link",
        touches_seats=False,
    )
    return member
