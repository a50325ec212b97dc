"""A member's own page: which seat, why, and who knows when there is none."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from bridge.domain.identifiers import MemberId
from bridge.domain.product_roles import ProductRole
from bridge.store.models import Alert
from bridge.store.unit import Unit
from bridge.usecases.explain import Explanation, explain_member
from bridge.usecases.held_roles import roles_of
from bridge.usecases.manage_access import owners_of


@dataclass(frozen=True, slots=True)
class OwnPage:
    """What a member sees of themselves; ``told_at`` is when the owners were told that the person waits.

    ``roles`` are those in the product, on plans that are not sold by seats.
    """

    explanation: Explanation
    owners: tuple[str, ...]
    told_at: datetime | None
    roles: tuple[ProductRole, ...]


def read_own_page(unit: Unit, member_id: MemberId) -> OwnPage:
    """Read what a signed-in member may know: their seat, the reason, and the names of the owners."""
    told_at = unit.session.scalar(
        select(func.max(Alert.at)).where(
            Alert.org_id == unit.org_id,
            Alert.member_id == member_id,
            Alert.code == "seats_exhausted",
            Alert.resolved_at.is_(None),
        )
    )
    return OwnPage(
        explanation=explain_member(unit, member_id),
        owners=tuple(owner.display_name for owner in owners_of(unit)),
        told_at=told_at,
        roles=roles_of(unit, member_id),
    )
