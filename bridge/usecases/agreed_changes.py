"""What is agreed ahead for the contract: shown with what it will cost, and cancelled until it takes effect."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import exists, select

from bridge.domain.actors import OPERATOR, ActorKind
from bridge.domain.roles import Permission
from bridge.errors import AccountManagerOnlyError, NotFoundError
from bridge.store.agreed import AgreedState, agreed_change, settle_agreed
from bridge.store.journal import record
from bridge.store.models import AgreedChange, Approval
from bridge.store.unit import Unit
from bridge.usecases.explain import name_actors


@dataclass(frozen=True, slots=True)
class AgreedView:
    """A change that waits; ``terms`` is what counts from ``effective_at`` on, ``agreed_by`` is in words.

    ``cancellable``: whether who asks may cancel it; what the account manager agreed, only they do (rule U7).
    """

    id: uuid.UUID
    kind: str
    terms: Mapping[str, Any]
    agreed_at: datetime
    agreed_by: str
    effective_at: datetime
    cancellable: bool


def read_agreed_change(unit: Unit) -> AgreedView | None:
    """Return the change that is agreed and waits; None where none does.

    Raises:
        ForbiddenError: The actor may not see money (rule Z1).
    """
    unit.require(Permission.SEE_BILLING)
    change = agreed_change(unit)
    if change is None:
        return None
    by = name_actors(unit, [change.agreed_by])[change.agreed_by]
    cancellable = not unit.actor.is_customer or not _is_of_account_manager(unit, change)
    return AgreedView(change.id, change.kind, change.terms, change.agreed_at, by, change.effective_at, cancellable)


def _is_of_account_manager(unit: Unit, change: AgreedChange) -> bool:
    """Tell whether the account manager agreed a change, or sent it to the owner who agreed to it."""
    if not change.agreed_by.startswith((ActorKind.MEMBER, ActorKind.API_KEY)):
        return True
    sent = exists().where(
        Approval.org_id == unit.org_id,
        Approval.submitted_by == str(OPERATOR),
        Approval.state == "approved",
        Approval.decided_at == change.agreed_at,
    )
    return unit.session.scalar(select(sent)) or False


def cancel_agreed_change(unit: Unit) -> AgreedView:
    """Cancel the change that waits: the contract goes on as it is.

    Raises:
        AccountManagerOnlyError: The account manager agreed it, and the actor is of the organization (rule U7).
        ForbiddenError: The actor may not change the contract (rule Z1).
        NotFoundError: None waits; it was cancelled or has taken effect.
    """
    unit.require(Permission.MANAGE_BILLING)
    unit.lock()
    waiting = read_agreed_change(unit)
    if waiting is None:
        sentence = "Nothing is agreed ahead for the contract: the change was cancelled or has taken effect"
        raise NotFoundError("agreed change", "of the contract", sentence)
    if not waiting.cancellable:
        raise AccountManagerOnlyError("What was agreed with your account manager is not cancelled from here")
    settle_agreed(unit, AgreedState.CANCELLED)
    record(
        unit,
        "contract.change_cancelled",
        subject_kind="contract",
        subject_id=unit.org_id,
        reason="cancelled",
        body={"change": str(waiting.id), "kind": waiting.kind},
    )
    return waiting
