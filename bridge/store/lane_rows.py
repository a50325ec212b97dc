"""Rows as plain values, for the frequent requests that need no unit of work."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bridge.domain.identifiers import ConnectionId, MemberId, OrgId


@dataclass(slots=True)
class PersonRow:
    """A member as one statement read it, named as :class:`~bridge.store.models.Member` names it."""

    org_id: OrgId
    connection_id: ConnectionId
    id: MemberId
    source: str
    role: str
    role_from_mapping: bool
    teams: list[str]
    user_name: str
    user_name_key: str
    external_id: str | None
    active: bool
    document: dict[str, Any]
    version: int
    created_at: datetime
    modified_at: datetime
    tier: str | None
    granted_by: str | None
    pinned: bool
    waiting_for: str | None
    decision_id: uuid.UUID | None

    @property
    def is_on(self) -> bool:
        """Whether the directory reads the person as active: lanes know nobody whom the brake keeps active."""
        return self.active
