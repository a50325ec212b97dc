"""What the statements of all lanes have in common: who asks, the rules that were decided by, what the audit seals."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from bridge.domain.identifiers import ConnectionId, OrgId, new_id
from bridge.store.directory import mapping_set_in_force
from bridge.store.journal import Entry
from bridge.store.pools import ladder_of, read_pools
from bridge.store.seals import frame
from bridge.store.unit import Unit
from bridge.usecases.alerts import SENTENCES
from bridge.usecases.assign_seats import Placement, person_facts, rule_record
from mappings.allocation import SeatDecision
from mappings.resolution import Entitlement, resolve


@dataclass(frozen=True, slots=True)
class Rules:
    """What a process remembers of the organization behind a credential; each statement checks that it still holds."""

    org_id: OrgId
    connection_id: ConnectionId
    placement: Placement
    schema_version: int

    @property
    def mapping_version(self) -> int:
        """The version of the mapping set."""
        return self.placement.mapping_set.version


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks in one request, and what seals the audit entries it causes.

    Args:
        token_hash: SHA-256 of the bearer token.
        slug: The organization that the path names.
        actor: The directory, as the audit writes it.
        pads: Inner and outer block of the audit key (:func:`~bridge.store.seals.hmac_pads`).
    """

    token_hash: bytes
    slug: str
    at: datetime
    actor: str
    request_id: str
    pads: tuple[bytes, bytes]


def read_rules(unit: Unit, connection_id: ConnectionId, schema_version: int) -> Rules:
    """Read what a process remembers of an organization."""
    ladder = ladder_of(read_pools(unit))
    placement = Placement(ladder=ladder, mapping_set=mapping_set_in_force(unit, ladder))
    return Rules(unit.org_id, connection_id, placement, schema_version)


def entitlement_of(rules: Rules, document: dict[str, Any], groups: Iterable[uuid.UUID]) -> Entitlement:
    """Ask the rules about a person of the directory: the document, and the groups around it."""
    facts = person_facts(document, groups, rules.connection_id)
    return resolve(facts, rules.placement.mapping_set, rules.placement.ladder)


def known_state(caller: Caller, rules: Rules) -> tuple[Any, ...]:
    """Return what each writing statement begins with: who asks, and what was decided from."""
    return (
        caller.token_hash,
        caller.at,
        caller.slug,
        rules.org_id,
        rules.connection_id,
        rules.mapping_version,
        rules.schema_version,
        list(rules.placement.ladder.keys),
    )


def decision_record(
    rules: Rules,
    entitlement: Entitlement | None,
    occasion: str,
    *,
    groups: Sequence[str],
    from_tier: str | None = None,
) -> dict[str, Any]:
    """Return what the records of all outcomes have in common, but for their identifier."""
    rule = entitlement.winning if entitlement else None
    return {
        "occasion": str(occasion),
        "from_tier": from_tier,
        "groups": list(groups),
        "rule": rule_record(rule),
        "losing_rules": [losing.key for losing in entitlement.losing] if entitlement else [],
        "mapping_version": rules.mapping_version,
        "alert_id": str(new_id()),
        "alert_detail": SENTENCES["seats_exhausted"],
    }


def grant_of(decision: SeatDecision) -> str | None:
    """Return what is said to have given a seat; nothing without one."""
    return str(decision.granted_by) if decision.granted_by and decision.tier else None


def sealed(caller: Caller, rules: Rules, entry: Entry) -> dict[str, Any]:
    """Return an audit entry with the text that its digest is computed over, around its number."""
    body = dict(entry.body)
    framed = frame(
        org_id=rules.org_id,
        at=caller.at,
        actor=caller.actor,
        action=entry.action,
        subject_kind=entry.subject_kind,
        subject_id=str(entry.subject_id),
        reason=entry.reason,
        request_id=caller.request_id,
        body=body,
    )
    return {
        "action": entry.action,
        "reason": entry.reason,
        "body": body,
        "before": framed.before,
        "behind": framed.behind,
    }


def as_json(value: Any) -> str:
    """Write a parameter of type jsonb."""
    return orjson.dumps(value).decode()
