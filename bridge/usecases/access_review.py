"""The access review: everybody with their access, and why, as of now (rules B4 and S5 of reliability)."""

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Row, func, literal, select
from sqlalchemy.orm import aliased

from bridge.domain.roles import Permission
from bridge.domain.tables import Cell, Table
from bridge.store.models import Connection, Decision, Group, Member, SignInEvent, WebSession, effective_membership
from bridge.store.pools import ladder_of, read_pools
from bridge.store.unit import Unit
from bridge.usecases.explain import seat_sentence
from mappings.reasons import SeatReason
from mappings.tiers import TierLadder

#: Columns keep their names and their order; new ones come at the end.
COLUMNS: Final = (
    "user_name",
    "display_name",
    "email",
    "active",
    "role",
    "role_from_mapping",
    "tier",
    "waiting_for",
    "placed_by_hand",
    "source",
    "connection",
    "external_id",
    "groups",
    "last_sign_in",
    "member_since",
    "seat_since",
    "decision",
    "member_id",
)
_AT_ONCE: Final = 1000
_GROUPS_APART: Final = "; "


def review_access(unit: Unit) -> Table:
    """Return everybody who is or was let in, in the order of userNames, read piece by piece by one statement.

    Raises:
        ForbiddenError: The actor may not review access.
    """
    unit.require(Permission.REVIEW_ACCESS)
    return Table("access review", COLUMNS, _rows(unit, ladder_of(read_pools(unit))))


def _rows(unit: Unit, ladder: TierLadder) -> Iterator[tuple[Cell, ...]]:
    ways = effective_membership.c
    groups = (
        select(func.string_agg(Group.display_name.distinct(), literal(_GROUPS_APART)))
        .select_from(effective_membership)
        .join(Group, (Group.org_id == ways.org_id) & (Group.id == ways.group_id))
        .where(ways.org_id == Member.org_id, ways.member_id == Member.id)
        .scalar_subquery()
    )
    decided = (
        select(Decision)
        .where(
            Decision.org_id == Member.org_id,
            Decision.member_id == Member.id,
            Decision.reason != str(SeatReason.KEPT),
        )
        .order_by(Decision.seq.desc())
        .limit(1)
    )
    moved = (
        select(Decision.at)
        .where(
            Decision.org_id == Member.org_id,
            Decision.member_id == Member.id,
            Decision.from_tier.is_distinct_from(Decision.to_tier),
        )
        .order_by(Decision.seq.desc())
        .limit(1)
        .scalar_subquery()
    )
    signed_in = (
        select(SignInEvent.member_id, func.max(SignInEvent.at).label("at"))
        .where(SignInEvent.org_id == unit.org_id, SignInEvent.outcome != "refused")
        .group_by(SignInEvent.member_id)
        .subquery()
    )
    sessions = (
        select(WebSession.member_id, func.max(WebSession.created_at).label("at"))
        .where(WebSession.org_id == unit.org_id)
        .group_by(WebSession.member_id)
        .subquery()
    )
    newest = aliased(Decision, decided.lateral())
    statement = (
        select(
            Member.user_name,
            Member.display_name,
            Member.email,
            Member.active,
            Member.role,
            Member.role_from_mapping,
            Member.tier,
            Member.waiting_for,
            Member.pinned,
            Member.source,
            Connection.name.label("connection"),
            Member.external_id,
            groups.label("groups"),
            func.greatest(signed_in.c.at, sessions.c.at).label("last_sign_in"),
            Member.created_at,
            moved.label("moved_at"),
            Member.id,
            newest,
        )
        .join(Connection, (Connection.org_id == Member.org_id) & (Connection.id == Member.connection_id))
        .outerjoin(signed_in, signed_in.c.member_id == Member.id)
        .outerjoin(sessions, sessions.c.member_id == Member.id)
        .outerjoin(newest, literal(value=True))
        .where(Member.org_id == unit.org_id)
        .order_by(Member.user_name_key, Member.id)
        .execution_options(yield_per=_AT_ONCE)
    )
    for one in unit.session.execute(statement):
        yield _row(one, ladder)


def _row(one: Row[*tuple[Any, ...]], ladder: TierLadder) -> tuple[Cell, ...]:
    return (
        one.user_name,
        one.display_name,
        one.email,
        _yes(value=one.active),
        one.role,
        _yes(value=one.role_from_mapping),
        ladder.name_of(one.tier) if one.tier else None,
        one.waiting_for,
        _yes(value=one.pinned),
        one.source,
        one.connection,
        one.external_id,
        one.groups,
        one.last_sign_in,
        one.created_at,
        one.moved_at if one.tier else None,
        seat_sentence(one.display_name, one.tier, one[-1], ladder, active=one.active),
        str(one.id),
    )


def _yes(*, value: bool) -> str:
    return "yes" if value else "no"
