"""What is agreed ahead: a change of the contract that waits for a boundary, at most one at a time."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import select

from bridge.domain.identifiers import new_id
from bridge.errors import InvalidChangeError
from bridge.store.models import AgreedChange
from bridge.store.unit import Unit


class AgreedKind(StrEnum):
    """What an agreed change changes."""

    FEE = "fee"
    """Fee, tier or paid users of a fixed-fee contract, from the next term on (rule U7)."""
    PLAN = "plan"
    """The plan itself, from the next period on (rule B1)."""


class AgreedState(StrEnum):
    """What became of an agreed change."""

    AGREED = "agreed"
    APPLIED = "applied"
    CANCELLED = "cancelled"
    LAPSED = "lapsed"
    """The plan ended before."""


def agreed_change(unit: Unit, kind: AgreedKind | None = None) -> AgreedChange | None:
    """Return the change that is agreed and waits, of one kind or of any."""
    waiting = select(AgreedChange).where(
        AgreedChange.org_id == unit.org_id, AgreedChange.state == str(AgreedState.AGREED)
    )
    if kind is not None:
        waiting = waiting.where(AgreedChange.kind == str(kind))
    return unit.session.scalars(waiting.execution_options(populate_existing=True)).one_or_none()


def agree(unit: Unit, kind: AgreedKind, terms: Mapping[str, Any], *, effective_at: datetime) -> AgreedChange:
    """Keep a change until its boundary.

    Raises:
        InvalidChangeError: Another one waits already.
    """
    if agreed_change(unit) is not None:
        raise InvalidChangeError("another change is agreed already: cancel it first")
    change = AgreedChange(
        org_id=unit.org_id,
        id=uuid.UUID(str(new_id())),
        kind=str(kind),
        terms=dict(terms),
        agreed_at=unit.at,
        agreed_by=str(unit.actor),
        effective_at=effective_at,
        state=str(AgreedState.AGREED),
        settled_at=None,
    )
    unit.session.add(change)
    unit.session.flush()
    return change


def settle_agreed(unit: Unit, state: AgreedState) -> str | None:
    """Say what became of the change that waits; return its id, None where none does."""
    change = agreed_change(unit)
    if change is None:
        return None
    change.state, change.settled_at = str(state), unit.at
    unit.session.flush()
    return str(change.id)
