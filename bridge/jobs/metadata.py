"""Keeping what connections believe fresh: metadata read again every day, and warnings before certificates end."""

from datetime import timedelta
from typing import Final

import structlog

from bridge.adapters.saml import fetch_metadata, parse_idp_metadata
from bridge.adapters.saml.trust import trust_in
from bridge.domain.actors import SYSTEM, Actor
from bridge.domain.identifiers import ConnectionId, OrgId
from bridge.errors import InvalidInputError, MetadataGivenMeanwhileError
from bridge.jobs.containing import Stopping, contained, never
from bridge.runtime import Runtime
from bridge.store import gate
from bridge.store.directory import get_connection
from bridge.usecases.saml_trust import (
    MetadataSource,
    TrustChange,
    due_refreshes,
    follow_metadata,
    note_failed_refresh,
    saml_provider,
)
from bridge.usecases.watch_certificates import watch_certificates

log = structlog.get_logger()

REFRESHED_EVERY: Final = timedelta(days=1)


def keep_trust_fresh(runtime: Runtime, stopping: Stopping = never) -> int:
    """Read due metadata again and warn of what ends soon; one organization or address that fails stops nobody else.

    Returns:
        How many changes were taken over, alerts raised and alerts settled.
    """
    changed = 0
    for org_id, _, _ in runtime.ask_gate(gate.list_organizations):
        if stopping():
            break
        with contained("metadata.not_refreshed", org_id):
            with runtime.unit(org_id, SYSTEM) as unit:
                due = due_refreshes(unit, REFRESHED_EVERY)
            for connection_id in due:
                changed += _refreshed(runtime, org_id, connection_id)
        with contained("certificates.not_watched", org_id), runtime.unit(org_id, SYSTEM) as unit:
            changed += watch_certificates(unit)
    return changed


def refresh(runtime: Runtime, org_id: OrgId, connection_id: ConnectionId, actor: Actor) -> TrustChange:
    """Read a connection's metadata again, in no transaction, and take over what it says.

    Raises:
        InvalidInputError: It has no address, cannot be read, has ended, or is of another provider. What was believed
            before still is, and the reason is kept. The owners are told: of an address that does not answer only when
            it did not the time before either.
        MetadataGivenMeanwhileError: Somebody has given the connection other metadata while this was read: that stays,
            and nothing is noted.
        NotFoundError: There is no such connection.
    """
    with runtime.unit(org_id, actor) as unit:
        provider = saml_provider(unit, connection_id)
        if provider is None or provider.metadata_url is None:
            raise InvalidInputError(
                "connection", "has its metadata from a file: give it again by `seatbridge connection saml --metadata`"
            )
        issuer = get_connection(unit, connection_id).issuer
    source = MetadataSource(provider.metadata_url, provider.metadata_signed_by)
    try:
        document = fetch_metadata(source.url)
        with runtime.unit(org_id, actor) as unit:
            metadata = parse_idp_metadata(document, now=unit.at, entity_id=issuer, signed_by=source.signed_by)
            return follow_metadata(unit, connection_id, trust_in(metadata), given_at=provider.updated_at, source=source)
    except MetadataGivenMeanwhileError:
        raise
    except InvalidInputError as problem:
        is_silent = problem.field == "url" and provider.problem is None
        with runtime.unit(org_id, actor) as unit:
            note_failed_refresh(unit, connection_id, str(problem), source=source, alert=not is_silent)
        raise


def _refreshed(runtime: Runtime, org_id: OrgId, connection_id: ConnectionId) -> bool:
    try:
        return bool(refresh(runtime, org_id, connection_id, SYSTEM))
    except InvalidInputError as problem:
        log.warning("metadata.not_refreshed", org_id=str(org_id), connection_id=str(connection_id), error=problem.code)
        return False
