"""Whether a person whom a directory names is one who is here already: what counts as proof, and what does not."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Uuid, any_, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

from bridge.domain.documents import comparison_key
from bridge.domain.identifiers import ConnectionId, MemberId
from bridge.store.directory import owns_domain
from bridge.store.models import Connection, Identity, Member
from bridge.store.unit import Unit

BY_HAND: Final = "operator"
"""How a subject came to be a member where somebody here said so."""


class Link(NamedTuple):
    """A subject by which a person signs in, and who said that it is theirs."""

    subject: str
    linked_by: str


def believed_links(unit: Unit, member_ids: Collection[MemberId]) -> Mapping[MemberId, Sequence[Link]]:
    """Return people's links of their own connection, to the identity provider that it believes now."""
    links: dict[MemberId, list[Link]] = {}
    for member_id, subject, linked_by in unit.session.execute(
        select(Identity.member_id, Identity.subject, Identity.linked_by)
        .join(Connection, (Connection.org_id == Identity.org_id) & (Connection.id == Identity.connection_id))
        .join(Member, (Member.org_id == Identity.org_id) & (Member.id == Identity.member_id))
        .where(
            Identity.org_id == unit.org_id,
            Identity.member_id == any_(literal(list(member_ids), ARRAY(Uuid))),
            Identity.connection_id == Member.connection_id,
            Identity.protocol == Connection.protocol,
            Identity.issuer == Connection.issuer,
        )
    ):
        links.setdefault(member_id, []).append(Link(subject, linked_by))
    return links


def links_prove(member: Member, links: Collection[Link], external_id: str | None, *, owns_domain: bool) -> bool:
    """Tell whether links prove that a person is whom their own directory means by their userName.

    A link proves it

    - whose subject is the userName: the provider itself named the person so, or
    - whose subject is the externalId that the directory gives the person, or
    - that somebody here made or confirmed, or
    - where the provider vouches that the userName is the person's address, in a verified domain that it may speak for.

    Any other name may be one that the person chose (T14). Without a link nothing tells who chose it.

    Args:
        member: The person.
        links: The believed ones (:func:`believed_links`).
        external_id: What the directory calls whom it pushes; None where it only names an id of ours.
        owns_domain: Whether the connection speaks for the domain of the userName.
    """
    return any(
        link.linked_by == BY_HAND
        or link.subject == external_id
        or comparison_key(link.subject) == member.user_name_key
        or (owns_domain and member.email_key == member.user_name_key)
        for link in links
    )


def proven_among(unit: Unit, members: Collection[Member], *, external_id: str | None = None) -> set[MemberId]:
    """Return of whom, among people that sign-ins made, it is proven that their directory means them."""
    links = believed_links(unit, [one.id for one in members]) if members else {}
    owned: dict[tuple[str, ConnectionId], bool] = {}
    proven: set[MemberId] = set()
    for one in members:
        if one.id not in links:
            continue
        connection_id = ConnectionId(one.connection_id)
        place = one.user_name_key.rpartition("@")[2], connection_id
        if place not in owned:
            owned[place] = owns_domain(unit, one.user_name_key, connection_id)
        if links_prove(one, links[one.id], external_id, owns_domain=owned[place]):
            proven.add(one.id)
    return proven


def is_proven_alike(
    unit: Unit, member: Member, connection_id: ConnectionId, user_name_key: str, external_id: str | None
) -> bool:
    """Tell whether a pushed person is one whom a sign-in by the same connection made, by proof (:func:`links_prove`).

    Their sign-ins then stay theirs.
    """
    return (
        member.connection_id == connection_id
        and member.user_name_key == user_name_key
        and bool(proven_among(unit, [member], external_id=external_id))
    )


def is_addressed_alike(unit: Unit, member: Member, connection_id: ConnectionId, user_name_key: str) -> bool:
    """Tell whether the pushed userName is the person's address, in a verified domain that this connection speaks for.

    Only the userName counts, which the directory keeps unique, and never the mail attribute: people can often change
    that themselves (T12, T14). Of who signed in, only the name they were given here counts, not an address they claim.
    It says whose the record is, not who signed in as them.
    """
    return addresses_prove(member, user_name_key, owns_domain=owns_domain(unit, user_name_key, connection_id))


def addresses_prove(member: Member, user_name_key: str, *, owns_domain: bool) -> bool:
    """Decide :func:`is_addressed_alike` by whether the connection speaks for the domain of the userName."""
    known = {member.user_name_key} | ({member.email_key} if member.source == "manual" else set())
    return owns_domain and user_name_key in known


def forget_links(unit: Unit, member: Member, *, named: str | None = None) -> None:
    """Forget which sign-ins are this person; whoever is really meant is recognised by the pushed userName.

    Args:
        unit: The unit.
        member: Whose links.
        named: Only those whose subject is this name (a comparison key); None for all.
    """
    links = unit.session.scalars(
        select(Identity).where(Identity.org_id == unit.org_id, Identity.member_id == member.id)
    ).all()
    for link in links:
        if named is None or comparison_key(link.subject) == named:
            unit.session.delete(link)
    unit.session.flush()
