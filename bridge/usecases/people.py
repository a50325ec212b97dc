"""People in numbers, and by name."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Uuid, any_, func, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY

from bridge.domain.documents import comparison_key
from bridge.domain.identifiers import MemberId, parse_id
from bridge.errors import InvalidInputError, NotFoundError
from bridge.store.models import Member
from bridge.store.unit import Unit


@dataclass(frozen=True, slots=True)
class HeadCounts:
    """How many people there are: active ones in all and by tier (None: no seat), and the other states."""

    active: int
    by_tier: dict[str | None, int]
    waiting: int
    pinned: int
    provisional: int
    deactivated: int

    @property
    def seated(self) -> int:
        """Active people who have a seat."""
        return self.active - self.by_tier.get(None, 0)


def count_people(unit: Unit) -> HeadCounts:
    """Count people by state and tier: everybody from one index, the states that few are in each from its own."""
    here = Member.org_id == unit.org_id
    rows = unit.session.execute(
        select(Member.active, Member.tier, func.count()).where(here).group_by(Member.active, Member.tier)
    ).all()
    few = (
        (Member.waiting_for.is_not(None),),
        (Member.active, Member.pinned),
        (Member.active, Member.provisional_until.is_not(None)),
    )
    waiting, pinned, provisional = unit.session.execute(
        select(
            *(select(func.count()).select_from(Member).where(here, *condition).scalar_subquery() for condition in few)
        )
    ).one()
    by_tier = {tier: count for active, tier, count in rows if active}
    return HeadCounts(
        active=sum(by_tier.values()),
        by_tier=by_tier,
        waiting=waiting,
        pinned=pinned,
        provisional=provisional,
        deactivated=sum(count for active, _, count in rows if not active),
    )


def name_people(unit: Unit, ids: Collection[MemberId]) -> dict[MemberId, str]:
    """Return what pages call these people; who has left is missing."""
    if not ids:
        return {}
    rows = unit.session.execute(
        select(Member.id, Member.display_name).where(
            Member.org_id == unit.org_id, Member.id == any_(literal(list(ids), ARRAY(Uuid)))
        )
    )
    return {row[0]: row[1] for row in rows}


def find_person(unit: Unit, wanted: str) -> Member:
    """Return the one person with this userName, mail address (both without case) or id.

    Raises:
        NotFoundError: There is none.
        InvalidInputError: There are several: name the one by id.
    """
    key = comparison_key(wanted)
    found = unit.session.scalars(
        select(Member)
        .where(
            Member.org_id == unit.org_id,
            or_(Member.user_name_key == key, Member.email_key == key, Member.id == parse_id(wanted)),
        )
        .order_by(Member.position)
    ).all()
    if not found:
        raise NotFoundError("person", wanted)
    if len(found) > 1:
        ids = ", ".join(str(member.id) for member in found)
        raise InvalidInputError("person", f"{len(found)} people are called {wanted!r}: name one by id ({ids})")
    return found[0]
