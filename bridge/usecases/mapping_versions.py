"""Versions of the group mappings: each change of the rules is a new one, whoever or whatever changed them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import select

from bridge.domain.documents import MAPPABLE
from bridge.domain.roles import Permission
from bridge.errors import InvalidInputError, NotFoundError
from bridge.store.directory import mapping_set_in_force
from bridge.store.journal import record
from bridge.store.models import Connection, Group, MappingVersion
from bridge.store.pools import ladder_of, read_pools
from bridge.store.unit import Unit
from bridge.usecases.actors import name_actors
from bridge.usecases.alerts import raise_alert, resolve_alerts
from mappings.differences import difference
from mappings.documents import UNSCOPED, MappingDocumentError, from_document, to_document
from mappings.naming import Directory, KnownGroup, bound, released
from mappings.rules import MappingSet
from mappings.tiers import TierLadder

VERSIONS_SHOWN: Final = 50


class VersionReason(StrEnum):
    """Why there is a version."""

    EDITED = "edited"
    """Somebody changed the rules."""
    ROLLED_BACK = "rolled_back"
    """Somebody put the rules of an older version in force again."""
    GROUP_ARRIVED = "group_arrived"
    """A group that a rule expected came, and the rule speaks of it from then on."""
    GROUP_REMOVED = "group_removed"
    """A group of which a rule spoke is gone, and the rule expects one like it."""
    UPGRADED = "upgraded"
    """Rules that went by names were bound to the groups they named, by an upgrade of the product."""


def store_version(
    unit: Unit, mapping_set: MappingSet, reason: VersionReason, *, restores: int | None = None, **body: Any
) -> int:
    """Put rules in force as the next version; what follows for people is the caller's.

    Args:
        unit: The unit.
        mapping_set: The rules.
        reason: Why.
        restores: The older version that they are, for a rollback.
        body: Facts for the audit entry.
    """
    state = unit.lock()
    state.mapping_version += 1
    unit.session.add(
        MappingVersion(
            org_id=unit.org_id,
            version=state.mapping_version,
            document=to_document(mapping_set),
            at=unit.at,
            actor=str(unit.actor),
            reason=str(reason),
            restores=restores,
        )
    )
    unit.session.flush()
    if not any(leaf.connection is None for leaf in mapping_set.expected):
        resolve_alerts(unit, UNSCOPED)
    record(
        unit,
        "mapping.applied",
        subject_kind="mapping_version",
        subject_id=state.mapping_version,
        reason=str(reason),
        body={"rules": len(mapping_set.rules), **({} if restores is None else {"restores": restores}), **body},
    )
    return state.mapping_version


def read_version(unit: Unit, version: int, ladder: TierLadder) -> MappingSet:
    """Read the rules of a version, as they were written.

    Raises:
        InvalidInputError: They name a tier that is no more.
        NotFoundError: There is no such version.
    """
    stored = unit.session.get(MappingVersion, (unit.org_id, version)) if version > 0 else None
    if stored is None:
        raise NotFoundError("mapping version", str(version))
    try:
        return from_document(stored.document, ladder, version=version)
    except MappingDocumentError as error:
        raise InvalidInputError("version", f"{version} cannot hold any more: {error}") from error


@dataclass(frozen=True, slots=True)
class VersionView:
    """One version of the rules: who made it, when and why, and what it changed, in sentences."""

    version: int
    at: datetime
    by: str
    reason: VersionReason
    restores: int | None
    changes: tuple[str, ...]


def list_versions(unit: Unit, limit: int = VERSIONS_SHOWN) -> list[VersionView]:
    """Return the newest versions, the newest first, each with what it changed against the one before it.

    Raises:
        ForbiddenError: The actor may not edit mappings.
    """
    unit.require(Permission.EDIT_MAPPINGS)
    ladder = ladder_of(read_pools(unit))
    stored = unit.session.scalars(
        select(MappingVersion)
        .where(MappingVersion.org_id == unit.org_id)
        .order_by(MappingVersion.version.desc())
        .limit(limit + 1)
    ).all()
    sets = [_as_it_was(row.document, ladder) for row in stored]
    actors = name_actors(unit, {row.actor for row in stored})
    views: list[VersionView] = []
    for place, row in enumerate(stored[:limit]):
        before = sets[place + 1] if place + 1 < len(sets) else MappingSet()
        now = sets[place]
        changes = difference(before, now, ladder) if before is not None and now is not None else ()
        views.append(
            VersionView(
                version=row.version,
                at=row.at,
                by=actors[row.actor],
                reason=VersionReason(row.reason),
                restores=row.restores,
                changes=tuple(change.sentence for change in changes),
            )
        )
    return views


def _as_it_was(document: dict[str, Any], ladder: TierLadder) -> MappingSet | None:
    """Read a stored document; None for one that names a tier that is no more."""
    try:
        return from_document(document, ladder)
    except MappingDocumentError:
        return None


def read_directory(unit: Unit) -> Directory:
    """Read what rules may name: groups and connections as they are called now, and attributes."""
    connections = unit.session.execute(
        select(Connection.id, Connection.name, Connection.kind)
        .where(Connection.org_id == unit.org_id)
        .order_by(Connection.created_at, Connection.name)
    ).all()
    groups = unit.session.execute(
        select(Group.id, Group.display_name, Group.connection_id)
        .where(Group.org_id == unit.org_id)
        .order_by(Group.position)
    )
    return Directory(
        groups=tuple(KnownGroup(str(row[0]), row[1], str(row[2])) for row in groups),
        connections={str(row[0]): row[1] for row in connections},
        attributes=tuple(MAPPABLE),
        by_hand=frozenset(str(row[0]) for row in connections if row[2] != "idp"),
    )


def bind_group(unit: Unit, group: Group) -> bool:
    """Let the rules that expect a group of this name speak of it; tell whether any did.

    What follows for people who are in it is the caller's.
    """
    in_force = _in_force(unit)
    if in_force is None or not in_force.expected:
        return False
    alone, connection = not read_directory(unit).several, _connection_name(unit, group)
    new = bound(in_force, _known(group), connection, alone=alone)
    if new is None:
        if any(leaf.awaits(group.display_name, "", alone=True) for leaf in in_force.expected):
            sentence = (
                f"A group called {group.display_name} came by {connection}: rules that expect one by its name alone do"
                " not speak of it, for there are several connections. Say in the rules which one is meant"
            )
            raise_alert(unit, UNSCOPED, detail=sentence, told_apart=True)
        return False
    store_version(unit, new, VersionReason.GROUP_ARRIVED, group=str(group.id))
    return True


def release_group(unit: Unit, group: Group) -> None:
    """Let the rules that speak of a group that was removed expect another of its name."""
    in_force = _in_force(unit)
    new = None if in_force is None else released(in_force, _known(group), _connection_name(unit, group))
    if new is not None:
        store_version(unit, new, VersionReason.GROUP_REMOVED, group=str(group.id))


def _in_force(unit: Unit) -> MappingSet | None:
    if unit.lock().mapping_version == 0:
        return None
    return mapping_set_in_force(unit, ladder_of(read_pools(unit)))


def _known(group: Group) -> KnownGroup:
    return KnownGroup(str(group.id), group.display_name, str(group.connection_id))


def _connection_name(unit: Unit, group: Group) -> str:
    return unit.session.get_one(Connection, (unit.org_id, group.connection_id)).name
