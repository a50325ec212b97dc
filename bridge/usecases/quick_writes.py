"""What the statements of all lanes have in common: who asks, the rules that were decided by, what the audit seals."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from bridge.domain.documents import MAPPABLE, mappable_value
from bridge.domain.identifiers import ConnectionId, OrgId
from bridge.store.directory import mapping_set_in_force
from bridge.store.journal import Entry
from bridge.store.pools import ladder_of, read_pools
from bridge.store.seals import frame
from bridge.store.unit import Unit
from bridge.usecases.alerts import SENTENCES
from bridge.usecases.assign_seats import Placement, rule_record
from mappings.allocation import SeatDecision
from mappings.resolution import Entitlement, resolve
from mappings.rules import PersonFacts
from mappings.rules import comparison_key as rule_key

if TYPE_CHECKING:
    from bridge.usecases.quick_cases import Case

#: What was decided for so many kinds of people is remembered, and of so many things that may be asked of them.
_MAX_KINDS = 1000
#: Each statement is sent what was decided for so many kinds of people, those seen last.
_MAX_CASES = 3

Said = tuple[str | tuple[str, ...] | None, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a process remembers of the organization behind a credential; each statement checks that it still holds.

    Attributes:
        groups: Ids of the groups that some rule asks for.
        attributes: Comparison keys of the attributes that some rule asks for.
        asked: Names of those of them that a document can have, in the order of
            :data:`~bridge.domain.documents.MAPPABLE`.
        groups_array: The groups as a parameter of type ``uuid[]``.
        tiers_array: The tiers, the best first, as a parameter of type ``text[]``.
        asked_array: Where a document has the attributes, as a parameter of type ``text[]``.
        cases: What was decided for the kinds of people seen last, each kind by its facts; by what was asked.
    """

    org_id: OrgId
    connection_id: ConnectionId
    placement: Placement
    schema_version: int
    groups: frozenset[str] = field(init=False)
    attributes: frozenset[str] = field(init=False)
    asked: tuple[str, ...] = field(init=False)
    groups_array: str = field(init=False, repr=False)
    tiers_array: str = field(init=False, repr=False)
    asked_array: str = field(init=False, repr=False)
    cases: dict[tuple[Any, ...], tuple[tuple[str, "Case"], ...]] = field(init=False, repr=False, compare=False)
    _entitlements: dict[tuple[frozenset[str], Said], Entitlement] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        mapping_set = self.placement.mapping_set
        object.__setattr__(self, "groups", mapping_set.groups)
        object.__setattr__(self, "attributes", mapping_set.attributes)
        object.__setattr__(self, "asked", tuple(name for name in MAPPABLE if rule_key(name) in self.attributes))
        paths = (_as_array(MAPPABLE[name]) for name in self.asked)
        object.__setattr__(self, "groups_array", _as_array(sorted(self.groups)))
        object.__setattr__(self, "tiers_array", _as_array(self.placement.ladder.keys))
        object.__setattr__(self, "asked_array", _as_array(paths))
        object.__setattr__(self, "cases", {})
        object.__setattr__(self, "_entitlements", {})

    @property
    def mapping_version(self) -> int:
        """The version of the mapping set."""
        return self.placement.mapping_set.version

    @property
    def versions(self) -> tuple[Any, ...]:
        """What each writing statement compares: by which mappings, schemas (and mode) and tiers was decided."""
        return self.mapping_version, self.schema_version, self.tiers_array

    def remember(self, asking: tuple[Any, ...], facts: str, case: "Case") -> None:
        """Remember what was decided for people with these facts, the newest first."""
        if len(self.cases) >= _MAX_KINDS:
            self.cases.clear()
        others = (other for other in self.cases.get(asking, ()) if other[0] != facts)
        self.cases[asking] = ((facts, case), *others)[:_MAX_CASES]

    def said(self, document: Mapping[str, Any]) -> Said:
        """Return what a document says of the attributes that some rule asks for."""
        return self.understood(_value_at(document, MAPPABLE[name]) for name in self.asked)

    def understood(self, values: Iterable[Any]) -> Said:
        """Return the same from the values as the document has them."""
        return tuple(
            None if value is None else mappable_value(name, value)
            for name, value in zip(self.asked, values, strict=True)
        )

    def entitlement(self, groups: Iterable[uuid.UUID], said: Said) -> Entitlement:
        """Ask the rules about a person of the directory, once for all whom no rule tells apart."""
        kind = self.groups.intersection(map(str, groups)), said
        known = self._entitlements.get(kind)
        if known is None:
            attributes = {name: value for name, value in zip(self.asked, said, strict=True) if value is not None}
            facts = PersonFacts(kind[0], attributes, str(self.connection_id))
            known = resolve(facts, self.placement.mapping_set, self.placement.ladder)
            if len(self._entitlements) >= _MAX_KINDS:
                self._entitlements.clear()
            self._entitlements[kind] = known
        return known


def _as_array(texts: Iterable[str]) -> str:
    """Write an array as the database reads one."""
    quoted = (text.replace("\\", r"\\").replace('"', r"\"") for text in texts)
    return "{" + ",".join(f'"{text}"' for text in quoted) + "}"


def _value_at(document: Any, path: Sequence[str]) -> Any:
    for step in path:
        document = document.get(step) if isinstance(document, Mapping) else None
    return document


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes in one request, as its audit entries have it, and what seals them.

    Args:
        slug: The organization that the path names.
        at: The instant of everything the request writes.
        actor: The connection, as the audit writes it.
        pads: Inner and outer block of the audit key (:func:`~bridge.store.seals.hmac_pads`).
    """

    slug: str
    at: datetime
    actor: str
    request_id: str
    pads: tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Caller(Author):
    """A provisioning client that asks.

    Args:
        token_hash: SHA-256 of the bearer token.
    """

    token_hash: bytes


def read_rules(unit: Unit, connection_id: ConnectionId, schema_version: int) -> Rules:
    """Read what a process remembers of an organization."""
    ladder = ladder_of(read_pools(unit))
    placement = Placement(ladder=ladder, mapping_set=mapping_set_in_force(unit, ladder))
    return Rules(unit.org_id, connection_id, placement, schema_version)


def entitlement_of(rules: Rules, document: Mapping[str, Any], groups: Iterable[uuid.UUID]) -> Entitlement:
    """Ask the rules about a person of the directory: the document, and the groups around it."""
    return rules.entitlement(groups, rules.said(document))


def known_state(caller: Caller, rules: Rules) -> tuple[Any, ...]:
    """Return what each writing statement begins with: who asks, and what was decided from."""
    return (
        caller.token_hash,
        caller.at,
        caller.slug,
        rules.org_id,
        rules.connection_id,
        *rules.versions,
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
        "alert_detail": SENTENCES["seats_exhausted"],
    }


def grant_of(decision: SeatDecision) -> str | None:
    """Return what is said to have given a seat; nothing without one."""
    return str(decision.granted_by) if decision.granted_by and decision.tier else None


def sealed(author: Author, rules: Rules, entry: Entry) -> dict[str, Any]:
    """Return an audit entry with the text that its digest is computed over, around its number."""
    body = dict(entry.body)
    framed = frame(
        org_id=rules.org_id,
        at=author.at,
        actor=author.actor,
        action=entry.action,
        subject_kind=entry.subject_kind,
        subject_id=str(entry.subject_id),
        reason=entry.reason,
        request_id=author.request_id,
        body=body,
    )
    return {
        "action": entry.action,
        "kind": entry.subject_kind,
        "subject": str(entry.subject_id),
        "reason": entry.reason,
        "body": body,
        "before": framed.before,
        "behind": framed.behind,
    }


def as_json(value: Any) -> str:
    """Write a parameter of type jsonb."""
    return orjson.dumps(value).decode()
