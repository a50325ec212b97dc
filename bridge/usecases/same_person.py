"""Whether a person whom a directory pushes is one who is here already: what counts as proof, and what does not."""

from collections.abc import Collection

from sqlalchemy import select

from bridge.domain.documents import comparison_key
from bridge.domain.identifiers import ConnectionId
from bridge.store.directory import owns_domain
from bridge.store.models import Identity, Member
from bridge.store.unit import Unit


def is_named_alike(unit: Unit, member: Member, connection_id: ConnectionId, user_name_key: str) -> bool:
    """Tell whether the identity provider itself named the person so: by the NameID that signed them in here."""
    subjects = unit.session.scalars(
        select(Identity.subject).where(
            Identity.org_id == unit.org_id, Identity.connection_id == connection_id, Identity.member_id == member.id
        )
    ).all()
    return names_prove(member, connection_id, user_name_key, subjects)


def is_addressed_alike(unit: Unit, member: Member, connection_id: ConnectionId, user_name_key: str) -> bool:
    """Tell whether the pushed userName is the person's address, in a verified domain that this connection speaks for.

    Only the userName counts, which the directory keeps unique, and never the mail attribute: people can often change
    that themselves (T12, T14). Of who signed in, only the name they were given here counts, not an address they claim.
    """
    return addresses_prove(member, user_name_key, owns_domain=owns_domain(unit, user_name_key, connection_id))


def names_prove(member: Member, connection_id: ConnectionId, user_name_key: str, subjects: Collection[str]) -> bool:
    """Decide :func:`is_named_alike` by the subjects of the connection that the person is linked to."""
    if member.connection_id != connection_id or member.user_name_key != user_name_key:
        return False
    # Without any link nothing tells who chose the name: the links may have been forgotten.
    return any(comparison_key(subject) == member.user_name_key for subject in subjects)


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
