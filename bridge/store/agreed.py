"""What is agreed ahead: a change of the contract that waits for a boundary, at most one at a time."""

import uuid
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select

from bridge.domain.identifiers import new_id
from bridge.domain.plan_kinds import EVALUATION
from bridge.errors import InEvaluationError, InvalidChangeError, PlanEndedError
from bridge.ports import ContractDraft, FeeDraft, TierPrice
from bridge.store.models import AgreedChange, Contract
from bridge.store.unit import Unit


class AgreedKind(StrEnum):
    """What an agreed change changes."""

    FEE = "fee"
    """Fee, tier or paid users of a fixed-fee contract, from the next term on (rule U7)."""
    PLAN = "plan"
    """The plan itself, from the next period on (rule B1)."""
    SUCCESSOR = "successor"
    """A plan of any kind that begins when the present one ends, an evaluation included (rules B1 and B2)."""


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


def terms_of_plan(draft: ContractDraft) -> dict[str, Any]:
    """Return what a plan that is to follow says, in JSON values; when it begins is the agreement's own business."""
    return {name: value for name, value in asdict(draft).items() if name not in {"anchor", "until"}}


def plan_of(terms: Mapping[str, Any], anchor: datetime) -> ContractDraft:
    """Read the terms of :func:`terms_of_plan` back, as those of a plan that begins at an instant."""
    fee = terms["fee"]
    if fee is not None and not isinstance(fee["schedule"], str):
        fee = {**fee, "schedule": tuple((month, share) for month, share in fee["schedule"])}
    return ContractDraft(
        **{
            **terms,
            "anchor": anchor,
            "tiers": tuple(TierPrice(**tier) for tier in terms["tiers"]),
            "fee": None if fee is None else FeeDraft(**fee),
        }
    )


def is_followed(unit: Unit) -> bool:
    """Tell whether another plan is agreed to follow when the present one ends."""
    return agreed_change(unit, AgreedKind.SUCCESSOR) is not None


def goes_on(unit: Unit, contract: Contract) -> bool:
    """Tell whether a plan renews by itself: not when another one is agreed to follow it."""
    return contract.auto_renew and not is_followed(unit)


def refuse_in_evaluation(contract: Contract) -> None:
    """Refuse to buy, reduce or price anything in an evaluation (rule B2).

    Raises:
        InEvaluationError: It is one.
        PlanEndedError: It was one, and has ended without a plan (rule R5).
    """
    if contract.kind != EVALUATION:
        return
    if contract.status != "active":
        raise PlanEndedError
    raise InEvaluationError(contract.period_end.astimezone(ZoneInfo(contract.time_zone)))


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
