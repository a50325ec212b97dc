"""People of whom a directory's groups spoke before anybody was here whom they could mean."""

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert

from bridge.store.journal import record
from bridge.store.models import Group, GroupMember, Member, ParkedMember
from bridge.store.unit import Unit


def adopt_parked(unit: Unit, member: Member) -> None:
    """Put a person into the groups of their own directory that named them before they arrived, or had that name.

    The directory's own name for the person (externalId) counts in that directory's groups only: it is nobody's key
    anywhere else (T5).
    """
    values = [str(member.id)] + ([member.external_id] if member.external_id else [])
    own = select(Group.id).where(Group.org_id == unit.org_id, Group.connection_id == member.connection_id)
    groups = set(
        unit.session.scalars(
            delete(ParkedMember)
            .where(ParkedMember.org_id == unit.org_id, ParkedMember.value.in_(values), ParkedMember.group_id.in_(own))
            .returning(ParkedMember.group_id)
        )
    )
    for group_id in sorted(groups):
        unit.session.execute(
            insert(GroupMember)
            .values(org_id=unit.org_id, group_id=group_id, member_id=member.id, added_at=unit.at)
            .on_conflict_do_nothing()
        )
        record(
            unit,
            "group.members_changed",
            subject_kind="group",
            subject_id=group_id,
            reason="arrived",
            body={"added": [str(member.id)], "removed": []},
        )
    if groups:
        unit.session.execute(
            update(Group)
            .where(Group.org_id == unit.org_id, Group.id.in_(groups))
            .values(version=Group.version + 1, modified_at=unit.at)
        )
        unit.session.flush()
