"""Whom a directory's people would be here: said before it pushes them, by the rules of the push, changing nothing."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from urllib.parse import parse_qsl

from sqlalchemy import Text, any_, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY

from bridge.domain.documents import comparison_key
from bridge.domain.identifiers import ConnectionId, MemberId
from bridge.domain.mail_domains import normal_form
from bridge.domain.people_files import Column, PersonRow
from bridge.domain.roles import Permission
from bridge.errors import InvalidInputError
from bridge.store.departed import departed_from
from bridge.store.directory import manual_connection
from bridge.store.models import Domain, LoggedRequest, Member
from bridge.store.unit import Unit
from bridge.usecases.provision_member import Source, checked_user_name
from bridge.usecases.read_connections import identity_connection
from bridge.usecases.same_person import Link, addresses_prove, believed_links, links_prove

MAX_PEOPLE: Final = 20_000
#: Requests that are looked through for look-ups.
_LOOKED_THROUGH: Final = 20_000
_LOOK_UP = re.compile(r'^\s*userName\s+eq\s+"((?:[^"\\]|\\.)+)"\s*$', re.IGNORECASE)


class Verdict(StrEnum):
    """What a push of somebody would come to."""

    LINKED = "linked"
    CREATED = "created"
    CONFLICT = "conflict"


class MatchReason(StrEnum):
    """Why."""

    PUSHED_BEFORE = "pushed_before"
    DELETED_BEFORE = "deleted_before"
    SIGNED_IN_BEFORE = "signed_in_before"
    VERIFIED_ADDRESS = "verified_address"
    NEW = "new"
    NEW_BESIDE = "new_beside"
    UNPROVED = "unproved"
    EXTERNAL_ID_TAKEN = "external_id_taken"
    LISTED_TWICE = "listed_twice"
    NOT_A_NAME = "not_a_name"


@dataclass(frozen=True, slots=True)
class ListedPerson:
    """Somebody as a directory would push them."""

    user_name: str
    external_id: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """One person of the directory, and who that would be here.

    Attributes:
        member: Who is linked, in the way, or has the same name under another connection; None where nobody is.
        stays_off: The access of who is linked is off here, and stays so.
    """

    person: ListedPerson
    verdict: Verdict
    reason: MatchReason
    member: Member | None = None
    stays_off: bool = False


@dataclass(frozen=True, slots=True)
class MatchPreview:
    """Everybody who was listed, conflicts first.

    Attributes:
        unlisted: How many active people are not in the list, of this connection and of those whom nobody manages. A
            push leaves them as they are.
    """

    matches: tuple[Match, ...]
    unlisted: int

    def count(self, verdict: str) -> int:
        """Count the people of one verdict."""
        return sum(match.verdict == verdict for match in self.matches)


def preview_matches(unit: Unit, connection_id: ConnectionId, people: Sequence[ListedPerson]) -> MatchPreview:
    """Say of each person of a directory whether a push would link, create or refuse them.

    Raises:
        ForbiddenError: The actor may not change connections.
        InvalidInputError: Nobody is listed, or more than :data:`MAX_PEOPLE`.
        NotFoundError: There is no such connection.
    """
    unit.require(Permission.MANAGE_CONNECTIONS)
    identity_connection(unit, connection_id)
    if not people or len(people) > MAX_PEOPLE:
        raise InvalidInputError("people", f"list 1 to {MAX_PEOPLE:,} people")
    known = _Known.read(unit, connection_id, people)
    seen = Counter(comparison_key(person.user_name) for person in people)
    order = {Verdict.CONFLICT: 0, Verdict.LINKED: 1, Verdict.CREATED: 2}
    matches = sorted((known.match(person, seen) for person in people), key=lambda match: order[match.verdict])
    met = {match.member.id for match in matches if match.member is not None}
    return MatchPreview(tuple(matches), len(known.reachable - met))


def listed_in_file(rows: Iterable[PersonRow]) -> list[ListedPerson]:
    """Return the people of a file that was read."""
    return [ListedPerson(row.user_name, row.external_id, row.values.get(Column.EMAIL)) for row in rows]


def listed_in_text(text: str) -> list[ListedPerson]:
    """Return the people of a list of userNames, one in each line."""
    return [ListedPerson(line.strip()) for line in text.splitlines() if line.strip()]


def looked_up(unit: Unit, connection_id: ConnectionId) -> list[ListedPerson]:
    """Return whom a connection's client has looked for by userName, each once, the newest first.

    Identity providers ask for everybody before they create anybody.

    Raises:
        ForbiddenError: The actor may not open the console.
    """
    unit.require(Permission.SEE_CONSOLE)
    newest = (
        select(LoggedRequest.query, LoggedRequest.connection_id, LoggedRequest.path)
        .where(LoggedRequest.org_id == unit.org_id)
        .order_by(LoggedRequest.id.desc())
        .limit(_LOOKED_THROUGH)
        .subquery()
    )
    queries = unit.session.scalars(
        select(newest.c.query).where(newest.c.connection_id == connection_id, newest.c.path == "/Users")
    )
    names: dict[str, ListedPerson] = {}
    for query in queries:
        asked = dict(parse_qsl(query))
        found = _LOOK_UP.match(asked.get("filter", ""))
        if found is not None:
            name = re.sub(r"\\(.)", r"\1", found.group(1))
            names.setdefault(comparison_key(name), ListedPerson(name))
    return list(names.values())[:MAX_PEOPLE]


@dataclass(frozen=True, slots=True)
class _Known:
    """What is here of everybody who might be meant, read by a handful of statements."""

    connection_id: ConnectionId
    own: dict[str, Member]
    departed: dict[str, Member]
    by_external_id: dict[str, Member]
    unmanaged: dict[str, list[Member]]
    elsewhere: dict[str, Member]
    links: Mapping[MemberId, Sequence[Link]]
    domains: frozenset[str]
    reachable: frozenset[MemberId]

    @classmethod
    def read(cls, unit: Unit, connection_id: ConnectionId, people: Sequence[ListedPerson]) -> "_Known":
        manual, aside = manual_connection(unit).id, departed_from(connection_id)
        keys = {comparison_key(name) for one in people for name in (one.user_name, one.email) if name}
        ids = {one.external_id for one in people if one.external_id}
        members = unit.session.scalars(
            select(Member)
            .where(
                Member.org_id == unit.org_id,
                Member.connection_id.in_((connection_id, manual, aside)),
                or_(
                    Member.user_name_key == _any(keys), Member.email_key == _any(keys), Member.external_id == _any(ids)
                ),
            )
            .order_by(Member.position)
        ).all()
        unmanaged: dict[str, list[Member]] = {}
        free = [one for one in members if one.connection_id == manual or _signed_in_by(one, connection_id)]
        for one in free:
            for key in {one.user_name_key, one.email_key} - {None}:
                unmanaged.setdefault(str(key), []).append(one)
        return cls(
            connection_id=connection_id,
            own={one.user_name_key: one for one in members if one.connection_id == connection_id},
            departed={one.user_name_key: one for one in members if one.connection_id == aside},
            by_external_id={
                one.external_id: one for one in members if one.connection_id == connection_id and one.external_id
            },
            unmanaged=unmanaged,
            elsewhere=_elsewhere(unit, {connection_id, manual, aside}, keys),
            links=believed_links(unit, [one.id for one in free]),
            domains=_domains(unit, connection_id),
            reachable=_reachable(unit, connection_id, manual),
        )

    def match(self, person: ListedPerson, seen: Counter[str]) -> Match:
        """Say who one person would be, by the order in which a push looks."""
        try:
            key = checked_user_name(person.user_name)
        except InvalidInputError:
            return Match(person, Verdict.CONFLICT, MatchReason.NOT_A_NAME)
        if seen[key] > 1:
            return Match(person, Verdict.CONFLICT, MatchReason.LISTED_TWICE)
        own, departed = self.own.get(key), self.departed.get(key)
        if own is not None and own.source == Source.SCIM:
            return self._linked(person, own, MatchReason.PUSHED_BEFORE)
        if own is None and departed is not None:
            return self._linked(person, departed, MatchReason.DELETED_BEFORE)
        namesake = own or self._namesake(key, person.email)
        if namesake is not None:
            return self._taken_over(person, namesake, key)
        beside = self.elsewhere.get(key)
        reason = MatchReason.NEW if beside is None else MatchReason.NEW_BESIDE
        return self._taken(person, None) or Match(person, Verdict.CREATED, reason, beside)

    def _namesake(self, key: str, email: str | None) -> Member | None:
        keys = {key} | ({comparison_key(email)} if email else set())
        found = [one for wanted in keys for one in self.unmanaged.get(wanted, ())]
        return min(found, key=lambda one: one.position, default=None)

    def _taken_over(self, person: ListedPerson, member: Member, key: str) -> Match:
        owns_domain = "@" in key and normal_form(key.rpartition("@")[2]) in self.domains
        is_same = member.connection_id == self.connection_id and member.user_name_key == key
        links = self.links.get(member.id, ())
        if is_same and links_prove(member, links, person.external_id, owns_domain=owns_domain):
            return self._linked(person, member, MatchReason.SIGNED_IN_BEFORE)
        if addresses_prove(member, key, owns_domain=owns_domain):
            return self._linked(person, member, MatchReason.VERIFIED_ADDRESS)
        return Match(person, Verdict.CONFLICT, MatchReason.UNPROVED, member)

    def _linked(self, person: ListedPerson, member: Member, reason: MatchReason) -> Match:
        return self._taken(person, member) or Match(
            person, Verdict.LINKED, reason, member, stays_off=not member.active and member.source != Source.SCIM
        )

    def _taken(self, person: ListedPerson, member: Member | None) -> Match | None:
        other = self.by_external_id.get(person.external_id or "")
        if other is None or (member is not None and other.id == member.id):
            return None
        return Match(person, Verdict.CONFLICT, MatchReason.EXTERNAL_ID_TAKEN, other)


def _any(values: Iterable[str]) -> Any:
    return any_(literal(sorted(values), ARRAY(Text)))


def _signed_in_by(member: Member, connection_id: ConnectionId) -> bool:
    return member.connection_id == connection_id and member.source == Source.JIT


def _elsewhere(unit: Unit, but: Collection[ConnectionId], keys: Iterable[str]) -> dict[str, Member]:
    """Return who has one of these userNames under another connection: a push makes a second person of them."""
    members = unit.session.scalars(
        select(Member)
        .where(Member.org_id == unit.org_id, Member.user_name_key == _any(keys), Member.connection_id.not_in(but))
        .order_by(Member.position.desc())
    )
    return {one.user_name_key: one for one in members}


def _domains(unit: Unit, connection_id: ConnectionId) -> frozenset[str]:
    return frozenset(
        unit.session.scalars(
            select(Domain.name).where(
                Domain.org_id == unit.org_id,
                Domain.verified_at.is_not(None),
                or_(Domain.connection_id.is_(None), Domain.connection_id == connection_id),
            )
        )
    )


def _reachable(unit: Unit, connection_id: ConnectionId, manual: ConnectionId) -> frozenset[MemberId]:
    return frozenset(
        unit.session.scalars(
            select(Member.id).where(
                Member.org_id == unit.org_id,
                Member.active,
                or_(Member.connection_id == manual, Member.connection_id == connection_id),
            )
        )
    )
