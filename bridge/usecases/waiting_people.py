"""People in line, as the preview of added seats takes them in."""

from sqlalchemy import func, select

from bridge.store.models import Member, effective_membership
from bridge.store.unit import Unit
from bridge.usecases.assign_seats import holding_of, person_facts
from mappings.people import Person


def waiting_people(unit: Unit) -> list[Person]:
    """Return every active member who waits for a seat and is under no hold, with the facts that rules look at."""
    unit.session.flush()
    membership = effective_membership.c
    groups = (
        select(membership.member_id, func.array_agg(membership.group_id.distinct()).label("ids"))
        .where(
            membership.org_id == unit.org_id,
            membership.member_id.in_(
                select(Member.id).where(Member.org_id == unit.org_id, Member.waiting_for.is_not(None))
            ),
        )
        .group_by(membership.member_id)
        .subquery()
    )
    rows = unit.session.execute(
        select(Member, groups.c.ids)
        .outerjoin(groups, groups.c.member_id == Member.id)
        .where(Member.org_id == unit.org_id, Member.active, Member.waiting_for.is_not(None), Member.hold_id.is_(None))
        .order_by(Member.waiting_since, Member.id)
        .execution_options(populate_existing=True)
    )
    return [
        Person(
            member_id=member.id,
            facts=person_facts(member.document, ids or (), member.connection_id),
            holding=holding_of(member),
            waiting_since=member.waiting_since,
        )
        for member, ids in rows
    ]
