"""Asking the gate: which organization a credential, a name or a due date belongs to.

These are the only reads that happen before an organization is known; each goes through a function of the database that
answers identifiers only (see :mod:`bridge.store.migrations.gate`).
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from bridge.domain.identifiers import ConnectionId, MemberId, OrgId
from bridge.store.lane import Lane


@dataclass(frozen=True, slots=True)
class ScimPrincipal:
    """A provisioning client, by its bearer token."""

    org_id: OrgId
    slug: str
    connection_id: ConnectionId
    token_id: uuid.UUID
    can_write: bool
    last_used_at: datetime | None
    subject_id: MemberId | None = None
    schema_version: int = 0


@dataclass(frozen=True, slots=True)
class TracedToken:
    """Whose SCIM token a hash is, however dead it or its connection may be: for the provisioning log only."""

    org_id: OrgId
    slug: str
    connection_id: ConnectionId
    token_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class SessionPrincipal:
    """A signed-in browser, by its session cookie."""

    org_id: OrgId
    session_id: uuid.UUID
    member_id: MemberId


@dataclass(frozen=True, slots=True)
class DomainOwner:
    """The organization that verified a mail domain, and the connection its people sign in through, if there is one."""

    org_id: OrgId
    slug: str
    connection_id: ConnectionId | None


def enter_scim(session: Session, token_hash: bytes, at: datetime) -> ScimPrincipal | None:
    """Find a live SCIM token of a connection that is not disabled, and bind the transaction to its organization."""
    row = session.execute(text("SELECT * FROM enter_scim(:hash, :at)"), {"hash": token_hash, "at": at}).one_or_none()
    return None if row is None else _principal(row)


def enter_scim_by_lane(lane: Lane, token_hash: bytes, at: datetime) -> ScimPrincipal | None:
    """Find the same by one statement, binding nothing; None too where the connection was lost on the way."""
    row = lane.ask("enter_scim", (token_hash, at))
    return None if row is None else _principal(row)


def _principal(row: Sequence[Any]) -> ScimPrincipal:
    org_id, slug, connection_id, token_id, can_write, last_used_at, subject_id, schema_version = row
    return ScimPrincipal(
        OrgId(org_id),
        slug,
        ConnectionId(connection_id),
        token_id,
        can_write,
        last_used_at,
        None if subject_id is None else MemberId(subject_id),
        schema_version,
    )


def trace_scim_tokens(session: Session, hashes: Sequence[bytes]) -> dict[bytes, TracedToken]:
    """Find whose SCIM tokens these are, live or not; the transaction is bound to nobody, and nothing is let in."""
    rows = session.execute(
        text("SELECT h.hash, t.* FROM unnest(CAST(:hashes AS bytea[])) h (hash), trace_scim_token(h.hash) t"),
        {"hashes": list(hashes)},
    )
    return {
        bytes(row.hash): TracedToken(OrgId(row.org_id), row.slug, ConnectionId(row.connection_id), row.token_id)
        for row in rows
    }


def find_organizations(session: Session, slugs: Sequence[str]) -> dict[str, OrgId]:
    """Find organizations by the names they have in URLs."""
    rows = session.execute(
        text("SELECT s.slug, o.org_id FROM unnest(CAST(:slugs AS text[])) s (slug), find_organization(s.slug) o"),
        {"slugs": list(slugs)},
    )
    return {row.slug: OrgId(row.org_id) for row in rows}


def enter_session(session: Session, token_hash: bytes, at: datetime) -> SessionPrincipal | None:
    """Find a live session, and bind the transaction to its organization."""
    row = session.execute(text("SELECT * FROM enter_session(:hash, :at)"), {"hash": token_hash, "at": at}).one_or_none()
    return None if row is None else SessionPrincipal(OrgId(row.org_id), row.session_id, MemberId(row.member_id))


def enter_api_key(session: Session, key_hash: bytes, at: datetime) -> tuple[OrgId, uuid.UUID] | None:
    """Find a live API key, and bind the transaction to its organization."""
    row = session.execute(text("SELECT * FROM enter_api_key(:hash, :at)"), {"hash": key_hash, "at": at}).one_or_none()
    return None if row is None else (OrgId(row.org_id), row.key_id)


def find_sign_in_link(session: Session, token_hash: bytes, at: datetime) -> tuple[OrgId, uuid.UUID] | None:
    """Find a sign-in link that is neither used nor expired."""
    row = session.execute(
        text("SELECT * FROM find_sign_in_link(:hash, :at)"), {"hash": token_hash, "at": at}
    ).one_or_none()
    return None if row is None else (OrgId(row.org_id), row.link_id)


def find_setup_link(session: Session, token_hash: bytes) -> tuple[OrgId, uuid.UUID] | None:
    """Find whose set-up link it is, live or not; nothing is let in by it."""
    row = session.execute(text("SELECT * FROM find_setup_link(:hash)"), {"hash": token_hash}).one_or_none()
    return None if row is None else (OrgId(row.org_id), row.link_id)


def find_app_grant(session: Session, token_hash: bytes) -> OrgId | None:
    """Find whose code or refresh token of an application it is, live or not; nothing is let in by it."""
    found = session.scalar(text("SELECT org_id FROM find_app_grant(:hash)"), {"hash": token_hash})
    return None if found is None else OrgId(found)


def find_scim_client(session: Session, client_id: uuid.UUID) -> OrgId | None:
    """Find whose provisioning client it is, live or not; nothing is let in by it."""
    found = session.scalar(text("SELECT org_id FROM find_scim_client(:id)"), {"id": client_id})
    return None if found is None else OrgId(found)


def find_organization(session: Session, slug: str) -> OrgId | None:
    """Find an organization by the name it has in URLs."""
    found = session.scalar(text("SELECT org_id FROM find_organization(:slug)"), {"slug": slug})
    return None if found is None else OrgId(found)


def find_domain(session: Session, name: str) -> DomainOwner | None:
    """Find who verified a mail domain (lower case)."""
    row = session.execute(text("SELECT * FROM find_domain(:name)"), {"name": name}).one_or_none()
    if row is None:
        return None
    connection = None if row.connection_id is None else ConnectionId(row.connection_id)
    return DomainOwner(OrgId(row.org_id), row.slug, connection)


def list_organizations(session: Session) -> Sequence[tuple[OrgId, str, str]]:
    """List (id, slug, name) of every organization, for the operator."""
    rows = session.execute(text("SELECT * FROM list_organizations()"))
    return [(OrgId(row.org_id), row.slug, row.name) for row in rows]


def due_renewals(session: Session, at: datetime) -> Sequence[OrgId]:
    """List organizations whose contract has reached its boundary, longest overdue first."""
    return [OrgId(row.org_id) for row in session.execute(text("SELECT * FROM due_renewals(:at)"), {"at": at})]


def budgeted_organizations(session: Session) -> Sequence[OrgId]:
    """List organizations in which seats may be bought within a budget."""
    return [OrgId(row.org_id) for row in session.execute(text("SELECT * FROM budgeted_organizations()"))]


def organizations_past_threshold(session: Session, usual: Sequence[int]) -> Sequence[OrgId]:
    """List organizations in which a tier has passed a threshold, up or down, without an alert that says so.

    Args:
        session: A session.
        usual: The thresholds of organizations that have set none, in percent.
    """
    rows = session.execute(
        text("SELECT * FROM organizations_past_threshold(cast(:usual AS jsonb))"), {"usual": str(list(usual))}
    )
    return [OrgId(row.org_id) for row in rows]


def due_deliveries(session: Session, at: datetime) -> Sequence[tuple[OrgId, uuid.UUID]]:
    """List deliveries that wait for a worker, longest overdue first, at most 1,000."""
    rows = session.execute(text("SELECT * FROM due_deliveries(:at)"), {"at": at})
    return [(OrgId(row.org_id), row.delivery_id) for row in rows]


def due_webhooks(session: Session, at: datetime) -> Sequence[tuple[OrgId, uuid.UUID, uuid.UUID]]:
    """List events that wait for a worker, with their endpoints, the oldest first, at most 100 of each."""
    rows = session.execute(text("SELECT * FROM due_webhooks(:at)"), {"at": at})
    return [(OrgId(row.org_id), row.message_id, row.endpoint_id) for row in rows]


def organizations_with_news(session: Session) -> Sequence[OrgId]:
    """List organizations in which something has happened since an endpoint was last told."""
    return [OrgId(row.org_id) for row in session.execute(text("SELECT * FROM organizations_with_news()"))]


def due_orders(session: Session, at: datetime) -> Sequence[tuple[OrgId, uuid.UUID]]:
    """List orders that wait for a worker, longest overdue first, at most 1,000."""
    rows = session.execute(text("SELECT * FROM due_orders(:at)"), {"at": at})
    return [(OrgId(row.org_id), row.order_id) for row in rows]


def remotely_billed(session: Session) -> Sequence[OrgId]:
    """List the organizations whose seats are billed by a core of their own."""
    return [OrgId(row.org_id) for row in session.execute(text("SELECT * FROM remotely_billed()"))]


@dataclass(frozen=True, slots=True)
class WaitingWork:
    """What waits for workers in all organizations together; the instants are those of the oldest."""

    orders: int
    dead_orders: int
    oldest_order: datetime | None
    deliveries: int
    oldest_mail: datetime | None


def waiting_work(session: Session) -> WaitingWork:
    """Count what waits for workers, for probes."""
    return WaitingWork(*session.execute(text("SELECT * FROM waiting_work()")).one())


def counted_work(session: Session) -> Sequence[tuple[str, str, int]]:
    """Count orders, deliveries and holds by their state, and people under an open hold, in all organizations together.

    Returns:
        What is counted, its state, and how many.
    """
    return [(row.fact, row.kind, row.number) for row in session.execute(text("SELECT * FROM counted_work()"))]
