"""Asking the owners for what costs: seats, rules that need seats, another fixed fee, another plan (rule Z1).

What is sent is the wish, never a price: :mod:`bridge.usecases.approvals` computes one when an owner opens it.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select

from bridge.domain.identifiers import new_id
from bridge.domain.roles import Permission
from bridge.errors import InvalidInputError
from bridge.store.models import Approval
from bridge.store.unit import Unit
from bridge.usecases.alerts import queue_delivery
from bridge.usecases.amend_contract import AmendmentDraft
from bridge.usecases.approvals import (
    ApprovalKind,
    ApprovalState,
    ApprovalView,
    checked_text,
    read_views,
    record_approval,
)
from bridge.usecases.buy_seats import possible_change
from bridge.usecases.change_plan import PlanDraft, possible_plan
from bridge.usecases.edit_mappings import refuse_bought_elsewhere
from bridge.usecases.mapping_drafts import preview_draft
from bridge.usecases.preview_mappings import usable_mappings_preview

MAX_WAITING: Final = 100


def submit_mappings(unit: Unit, preview_id: UUID, *, note: str = "") -> ApprovalView:
    """Send previewed rules under which seats are missing to the owners, who can buy them with it.

    Raises:
        ForbiddenError: The actor may not edit mappings.
        InvalidChangeError: The missing seats are ordered from another system, which rules cannot wait for.
        InvalidInputError: No seat is missing: the actor can apply the rules.
        NotFoundError, PreviewExpiredError, PreviewStaleError: As for applying the preview.
    """
    shown, document = usable_mappings_preview(unit, preview_id)
    if not shown.shortage:
        raise InvalidInputError("preview", "buys no missing seat, so it needs no owner: apply it")
    refuse_bought_elsewhere(unit, shown)
    return _submit(unit, ApprovalKind.MAPPINGS, {"document": document, "seats": dict(shown.shortage)}, note)


def submit_draft(unit: Unit, name: str, *, note: str = "") -> ApprovalView:
    """Send a draft of the rules to the owners, as it is now, with the seats that are missing under it.

    Raises:
        ForbiddenError: The actor may not edit mappings.
        InvalidInputError: It says what is in force, or no seat is missing: the actor can apply it.
        NotFoundError: There is no draft of this name.
    """
    return submit_mappings(unit, preview_draft(unit, name).id, note=note)


def submit_seats(unit: Unit, changes: Mapping[str, int], *, note: str = "") -> ApprovalView:
    """Ask the owners for more, or fewer, seats.

    Raises:
        ForbiddenError: The actor may not assign seats (rule Z2).
        InvalidChangeError, SeatsInUseError, BelowMinimumError, ReductionNotAllowedError, PlanEndedError: The change is
            not possible, whoever asks for it.
    """
    return _submit(unit, ApprovalKind.SEATS, {"changes": possible_change(unit, changes)}, note)


def submit_amendment(unit: Unit, draft: AmendmentDraft, *, note: str = "") -> ApprovalView:
    """Ask the owners for another fixed fee, tier or number of paid users.

    Whether it is possible is seen when one of them opens it: a refusal could tell the fee to who may not see it.

    Raises:
        ForbiddenError: The actor may not assign seats or roles (rule Z2).
        InvalidChangeError: The plan is of another kind.
        InvalidInputError: Nothing is asked for.
    """
    unit.require(Permission.ASSIGN_PRODUCT_ROLES)
    unit.billing.fixed_fee()
    wanted = {name: value for name, value in asdict(draft).items() if value is not None}
    if not wanted.keys() - {"ahead"}:
        raise InvalidInputError("amendment", "says nothing: name a fee, a tier or a number of paid users")
    if draft.tier is not None:
        wanted["tier"] = checked_text("tier", draft.tier)
    return _submit(unit, ApprovalKind.AMENDMENT, wanted, note)


def submit_plan(unit: Unit, draft: PlanDraft, *, note: str = "") -> ApprovalView:
    """Send the owners another plan with its prices, as agreed with the account manager, for one of them to agree to.

    For the operator, as :mod:`bridge.usecases.change_plan` is: who pays does not write the prices.

    Raises:
        ForbiddenError: The actor may not change the plan (rule Z1).
        InvalidChangeError, InvalidInputError, PlanEndedError: The change is not possible.
    """
    return _submit(unit, ApprovalKind.PLAN, possible_plan(unit, draft), note)


def _submit(unit: Unit, kind: ApprovalKind, request: Mapping[str, Any], note: str) -> ApprovalView:
    unit.lock()
    waiting = select(func.count()).where(Approval.org_id == unit.org_id, Approval.state == ApprovalState.WAITING)
    if (unit.session.scalar(waiting) or 0) >= MAX_WAITING:
        raise InvalidInputError("approval", f"{MAX_WAITING} requests wait for an owner already: withdraw one first")
    approval = Approval(
        org_id=unit.org_id,
        id=new_id(),
        kind=str(kind),
        request=dict(request),
        note=checked_text("note", note),
        submitted_at=unit.at,
        submitted_by=str(unit.actor),
        state=str(ApprovalState.WAITING),
        preview_id=None,
        decided_at=None,
        decided_by=None,
        reason="",
    )
    unit.session.add(approval)
    unit.session.flush()
    record_approval(unit, approval, "submitted")
    queue_delivery(unit, "approval_mail", key=f"approval:{approval.id}", subject_id=str(approval.id))
    return read_views(unit, [approval])[0]
