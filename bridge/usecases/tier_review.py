"""How many paid and free users there are, and the one alert when they outgrow the contracted tier (rules U1 and U3)."""

from dataclasses import dataclass

from sqlalchemy import distinct, func, select, update

from bridge.domain.plan_kinds import FIXED_FEE
from bridge.domain.product_roles import BUILT_IN
from bridge.store.models import Alert, Contract, FixedFee, Member, ProductRole, ProductRoleHolder
from bridge.store.unit import Unit
from bridge.usecases.alerts import raise_alert

OVER_TIER = "over_tier"


@dataclass(frozen=True, slots=True)
class UserCounts:
    """Active people with a role in the product: with a paid one, and with free ones only."""

    paid: int
    free: int


def count_users(unit: Unit) -> UserCounts:
    """Count the users; whoever has no role in the product, or is turned off, is none (rule U1)."""
    unit.session.flush()
    paid_keys = [key for key, role in BUILT_IN.items() if role.paid]
    custom = select(ProductRole.key).where(ProductRole.org_id == unit.org_id, ProductRole.paid)
    has_paid = ProductRoleHolder.role.in_(paid_keys) | ProductRoleHolder.role.in_(custom)
    users, paid = unit.session.execute(
        select(
            func.count(distinct(ProductRoleHolder.member_id)),
            func.count(distinct(ProductRoleHolder.member_id)).filter(has_paid),
        )
        .join(Member, (Member.org_id == ProductRoleHolder.org_id) & (Member.id == ProductRoleHolder.member_id))
        .where(ProductRoleHolder.org_id == unit.org_id, Member.active)
    ).one()
    return UserCounts(paid=paid, free=users - paid)


def users_body(unit: Unit) -> dict[str, dict[str, int]]:
    """Return what an audit entry about a fixed fee keeps of the users of that moment; nothing for another plan."""
    if _active_tier(unit) is None:
        return {}
    counts = count_users(unit)
    return {"users": {"paid": counts.paid, "free": counts.free}}


def review_tier(unit: Unit) -> None:
    """Raise the alert when there are more paid users than the tier is meant for; nothing is blocked or charged.

    It is raised once: while it is open, more users, and fewer again, change nothing.

    Source: rule U3.
    """
    tier = _active_tier(unit)
    if tier is None:
        return
    paid = count_users(unit).paid
    if paid <= tier.paid_users:
        return
    users = "1 person has a paid role" if paid == 1 else f"{paid:,} people have a paid role"
    raise_alert(
        unit,
        OVER_TIER,
        number=paid,
        detail=f"{users} and the tier {tier.tier} is meant for {tier.paid_users:,}: a matter for the next review",
    )


def settle_amended_tier(unit: Unit) -> None:
    """After an amendment: settle the alert where the users fit the tier now, raise it where they no longer do."""
    tier = _active_tier(unit)
    if tier is not None and count_users(unit).paid <= tier.paid_users:
        _settle(unit)
    review_tier(unit)


def settle_tier_review(unit: Unit) -> None:
    """When a new term begins: the old review is over; who is still over the tier is a matter for the next one."""
    _settle(unit)
    review_tier(unit)


def _active_tier(unit: Unit) -> FixedFee | None:
    return unit.session.scalars(
        select(FixedFee)
        .join(Contract, Contract.org_id == FixedFee.org_id)
        .where(FixedFee.org_id == unit.org_id, Contract.kind == FIXED_FEE, Contract.status == "active")
        .execution_options(populate_existing=True)
    ).one_or_none()


def _settle(unit: Unit) -> None:
    unit.session.flush()
    unit.session.execute(
        update(Alert)
        .where(Alert.org_id == unit.org_id, Alert.code == OVER_TIER, Alert.resolved_at.is_(None))
        .values(resolved_at=unit.at)
        .execution_options(synchronize_session=False)
    )
