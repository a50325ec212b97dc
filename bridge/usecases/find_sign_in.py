"""Where the people of a mail domain sign in (home-realm discovery): by the domain alone, never by the person."""

from collections.abc import Sequence

from sqlalchemy import select

from bridge.store.models import Connection, Domain
from bridge.store.unit import Unit


def sign_ins_of(unit: Unit, domain_name: str) -> Sequence[Connection]:
    """Return the connections through which the people of a verified domain may sign in, oldest first.

    A domain of one connection has that one; a domain of nobody in particular has every connection of the organization.
    What is disabled, or trusts no identity provider yet, is none.
    """
    domain = unit.session.get(Domain, (unit.org_id, domain_name))
    if domain is None or domain.verified_at is None:
        return ()
    return [one for one in usable_connections(unit) if domain.connection_id in {None, one.id}]


def usable_connections(unit: Unit) -> Sequence[Connection]:
    """Return the connections that sign people in now, oldest first."""
    return unit.session.scalars(
        select(Connection)
        .where(
            Connection.org_id == unit.org_id,
            Connection.kind == "idp",
            Connection.disabled_at.is_(None),
            Connection.protocol.is_not(None),
        )
        .order_by(Connection.created_at, Connection.name)
    ).all()
