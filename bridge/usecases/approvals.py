"""Changes that cost, asked for by who may not buy and decided by an owner (rule Z1).

What is sent is the wish, never a price: an owner opens it, sees a preview computed at that moment, and approves exactly
that preview or none. When anything changed in between the preview is stale and the owner looks at a new one.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import select

from bridge.domain.actors import OPERATOR
from bridge.domain.roles import Permission
from bridge.errors import ApprovalDecidedError, InvalidInputError, NotFoundError, PreviewStaleError
from bridge.store.journal import record
from bridge.store.models import Approval
from bridge.store.pools import read_pools
from bridge.store.unit import Unit
from bridge.usecases.amend_contract import (
    AmendmentConfirmation,
    AmendmentDraft,
    AmendmentPreview,
    confirm_amendment,
    preview_amendment,
)
from bridge.usecases.buy_seats import SeatsConfirmation, SeatsPreview, confirm_seats, preview_seats
from bridge.usecases.change_plan import (
    PlanConfirmation,
    PlanDraft,
    PlanPreview,
    confirm_plan_change,
    preview_plan_change,
)
from bridge.usecases.edit_mappings import MappingsApplied, apply_mappings, refuse_bought_elsewhere
from bridge.usecases.explain import name_actors
from bridge.usecases.mapping_effect import MappingsPreview
from bridge.usecases.preview_mappings import preview_stored

MAX_NOTE: Final = 500
LISTED: Final = 100

ShownPreview = MappingsPreview | SeatsPreview | AmendmentPreview | PlanPreview
Approved = MappingsApplied | SeatsConfirmation | AmendmentConfirmation | PlanConfirmation


class ApprovalKind(StrEnum):
    """What is asked for."""

    MAPPINGS = "mappings"
    """Rules under which seats are missing: to put them in force and buy those seats."""
    SEATS = "seats"
    """More or fewer seats."""
    AMENDMENT = "amendment"
    """Another fixed fee."""
    PLAN = "plan"
    """Another plan sold by seats, with its prices, from the next period on."""


class ApprovalState(StrEnum):
    """Where a request stands."""

    WAITING = "waiting"
    APPROVED = "approved"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class ApprovalView:
    """A request as people see it; the names are words, ``summary`` says in one line what is asked for."""

    id: uuid.UUID
    kind: ApprovalKind
    summary: str
    note: str
    submitted_at: datetime
    submitted_by: str
    state: ApprovalState
    decided_at: datetime | None
    decided_by: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class OpenedApproval:
    """A request and what it would do and cost now."""

    approval: ApprovalView
    preview: ShownPreview


def list_approvals(unit: Unit, *, waiting_only: bool = False) -> list[ApprovalView]:
    """Return the requests: those that wait first, oldest first, then the decided ones, newest first.

    Raises:
        ForbiddenError: The actor may not see the console.
    """
    unit.require(Permission.SEE_CONSOLE)
    mine = select(Approval).where(Approval.org_id == unit.org_id)
    waits = Approval.state == ApprovalState.WAITING
    rows = list(unit.session.scalars(mine.where(waits).order_by(Approval.submitted_at, Approval.id)))
    if not waiting_only:
        decided = mine.where(~waits).order_by(Approval.decided_at.desc(), Approval.id).limit(LISTED)
        rows += unit.session.scalars(decided)
    return read_views(unit, rows)


def waiting_approval(unit: Unit, approval_id: uuid.UUID) -> ApprovalView | None:
    """Return a request that waits, for telling the owners of it; None when it does not."""
    approval = unit.session.get(Approval, (unit.org_id, approval_id), populate_existing=True)
    if approval is None or approval.state != ApprovalState.WAITING:
        return None
    return read_views(unit, [approval])[0]


def read_approval(unit: Unit, approval_id: uuid.UUID) -> ApprovalView:
    """Return one request.

    Raises:
        ForbiddenError: The actor may not see the console.
        NotFoundError: There is no such request.
    """
    unit.require(Permission.SEE_CONSOLE)
    return read_views(unit, [_get(unit, approval_id)])[0]


def open_approval(unit: Unit, approval_id: uuid.UUID) -> OpenedApproval:
    """Compute what a request would do and cost now; only this preview can be approved, and only while it holds.

    Raises:
        ApprovalDecidedError: It was decided or withdrawn.
        ForbiddenError: The actor is no owner.
        NotFoundError: There is no such request.
        BridgeError: It is not possible any more; it can still be declined.
    """
    unit.require(Permission.MANAGE_BILLING)
    # A billing core elsewhere is asked before the organization is locked.
    preview = _preview(unit, _still_waiting(_get(unit, approval_id)))
    approval = _waiting(unit, approval_id)
    approval.preview_id = preview.id
    unit.session.flush()
    return OpenedApproval(read_views(unit, [approval])[0], preview)


def approve(
    unit: Unit,
    approval_id: uuid.UUID,
    preview_id: uuid.UUID,
    *,
    acknowledged: bool,
    roles_acknowledged: bool | None = None,
) -> Approved:
    """Do what an opened request showed, and charge exactly that.

    Args:
        unit: The unit.
        approval_id: The request.
        preview_id: What the owner was shown.
        acknowledged: Whether its cost was ticked (rule Q1).
        roles_acknowledged: Whether it was ticked that people may do more; as ``acknowledged`` by default.

    Raises:
        AcknowledgementMissingError: A tick is missing.
        ApprovalDecidedError: It was declined or withdrawn.
        AssertionFailedError: Something that a mapping document asserts would not be so.
        ForbiddenError: The actor is no owner.
        NotFoundError: There is no such request.
        PaymentFailedError: The payment was declined; the unit must roll back.
        PreviewExpiredError, PreviewStaleError: What was shown is no longer so: open the request again.
    """
    unit.require(Permission.MANAGE_BILLING)
    unit.lock()
    approval = _get(unit, approval_id)
    if approval.state == ApprovalState.APPROVED and approval.preview_id == preview_id:
        return _execute(unit, approval, preview_id, acknowledged=True, roles_acknowledged=True)
    approval = _waiting(unit, approval_id)
    if approval.preview_id != preview_id:
        raise PreviewStaleError
    done = _execute(unit, approval, preview_id, acknowledged=acknowledged, roles_acknowledged=roles_acknowledged)
    _decide(unit, approval, ApprovalState.APPROVED)
    return done


def invoices_of(approved: Approved) -> tuple[str, ...]:
    """Return the numbers of the invoices that were issued for what was approved."""
    if isinstance(approved, MappingsApplied):
        return tuple(invoice.number for invoice in approved.invoices)
    if isinstance(approved, PlanConfirmation):
        return ()
    return (approved.invoice.number,) if approved.invoice else ()


def decline(unit: Unit, approval_id: uuid.UUID, *, reason: str) -> ApprovalView:
    """Say no to a request, and why.

    Raises:
        ApprovalDecidedError: It was decided or withdrawn.
        ForbiddenError: The actor is no owner.
        InvalidInputError: The reason is missing or too long.
        NotFoundError: There is no such request.
    """
    unit.require(Permission.MANAGE_BILLING)
    approval = _waiting(unit, approval_id)
    approval.reason = checked_text("reason", reason)
    if not approval.reason:
        raise InvalidInputError("reason", "say why, for who asked")
    return _decide(unit, approval, ApprovalState.DECLINED)


def withdraw(unit: Unit, approval_id: uuid.UUID) -> ApprovalView:
    """Take a request back: who sent it, or an owner.

    Raises:
        ApprovalDecidedError: It was decided or withdrawn.
        ForbiddenError: The actor neither sent it nor is an owner.
        NotFoundError: There is no such request.
    """
    unit.require(Permission.SEE_CONSOLE)
    approval = _waiting(unit, approval_id)
    if approval.submitted_by != str(unit.actor):
        unit.require(Permission.MANAGE_BILLING)
    return _decide(unit, approval, ApprovalState.WITHDRAWN)


def _preview(unit: Unit, approval: Approval) -> ShownPreview:
    request = approval.request
    match ApprovalKind(approval.kind):
        case ApprovalKind.MAPPINGS:
            shown = preview_stored(unit, request["document"])
            refuse_bought_elsewhere(unit, shown)
            return shown
        case ApprovalKind.SEATS:
            return preview_seats(unit, request["changes"])
        case ApprovalKind.AMENDMENT:
            return preview_amendment(unit, AmendmentDraft(**request), offered=approval.submitted_by == str(OPERATOR))
        case ApprovalKind.PLAN:
            return preview_plan_change(unit, PlanDraft(**request))


def _execute(
    unit: Unit, approval: Approval, preview_id: uuid.UUID, *, acknowledged: bool, roles_acknowledged: bool | None
) -> Approved:
    match ApprovalKind(approval.kind):
        case ApprovalKind.MAPPINGS:
            return apply_mappings(
                unit, preview_id, acknowledged=acknowledged, buy=True, roles_acknowledged=roles_acknowledged
            )
        case ApprovalKind.SEATS:
            return confirm_seats(unit, preview_id, acknowledged=acknowledged)
        case ApprovalKind.AMENDMENT:
            return confirm_amendment(unit, preview_id, acknowledged=acknowledged)
        case ApprovalKind.PLAN:
            return confirm_plan_change(unit, preview_id, acknowledged=acknowledged)


def _get(unit: Unit, approval_id: uuid.UUID) -> Approval:
    approval = unit.session.get(Approval, (unit.org_id, approval_id), populate_existing=True)
    if approval is None:
        raise NotFoundError("approval", str(approval_id))
    return approval


def _waiting(unit: Unit, approval_id: uuid.UUID) -> Approval:
    unit.lock()
    return _still_waiting(_get(unit, approval_id))


def _still_waiting(approval: Approval) -> Approval:
    if approval.state != ApprovalState.WAITING:
        raise ApprovalDecidedError(approval.state)
    return approval


def _decide(unit: Unit, approval: Approval, state: ApprovalState) -> ApprovalView:
    approval.state = str(state)
    approval.decided_at, approval.decided_by = unit.at, str(unit.actor)
    unit.session.flush()
    record_approval(unit, approval, str(state))
    return read_views(unit, [approval])[0]


def record_approval(unit: Unit, approval: Approval, what: str) -> None:
    """Write into the audit chain what became of a request."""
    record(
        unit,
        f"approval.{what}",
        subject_kind="approval",
        subject_id=approval.id,
        reason=approval.kind,
        body={"preview": str(approval.preview_id) if approval.preview_id else None},
        touches_seats=False,
    )


def read_views(unit: Unit, rows: list[Approval]) -> list[ApprovalView]:
    """Return requests as people see them, in the order given."""
    actors = name_actors(unit, {actor for row in rows for actor in (row.submitted_by, row.decided_by) if actor})
    names = {pool.tier: pool.name for pool in read_pools(unit)}
    return [
        ApprovalView(
            id=row.id,
            kind=ApprovalKind(row.kind),
            summary=_summary(row, names),
            note=row.note,
            submitted_at=row.submitted_at,
            submitted_by=actors[row.submitted_by],
            state=ApprovalState(row.state),
            decided_at=row.decided_at,
            decided_by=actors[row.decided_by] if row.decided_by else None,
            reason=row.reason,
        )
        for row in rows
    ]


def _summary(row: Approval, names: Mapping[str, str]) -> str:
    """Say in one line what is asked for, as it was when it was sent."""
    match ApprovalKind(row.kind):
        case ApprovalKind.MAPPINGS:
            missing = ", ".join(f"{number} {names.get(tier, tier)}" for tier, number in row.request["seats"].items())
            return f"other group mappings, with {missing} to buy"
        case ApprovalKind.SEATS:
            changes = row.request["changes"].items()
            return "seats: " + ", ".join(f"{number:+} {names.get(tier, tier)}" for tier, number in changes)
        case ApprovalKind.AMENDMENT:
            return _amendment_summary(row.request)
        case ApprovalKind.PLAN:
            wanted = PlanDraft(**row.request)
            seats = "".join(f", {number} {names.get(tier, tier)}" for tier, number in wanted.seats.items())
            return f"another plan from the next period on: {wanted.kind}, by the {wanted.cycle}{seats}"


def _amendment_summary(request: Mapping[str, Any]) -> str:
    """Say what is to change, but no amount: administrators read it too (rule Z1)."""
    users = request.get("paid_users")
    parts = [
        "a new annual fee" if request.get("annual_fee") is not None else "",
        f"tier {request['tier']}" if request.get("tier") else "",
        f"meant for {users} paid {'user' if users == 1 else 'users'}" if users is not None else "",
        "from the next term on" if request.get("ahead") else "",
    ]
    return "a changed contract: " + ", ".join(part for part in parts if part)


def checked_text(field: str, text: str) -> str:
    """Return what somebody wrote, on one line.

    Raises:
        InvalidInputError: It is too long, or has characters that nobody sees.
    """
    text = " ".join(text.split())
    if len(text) > MAX_NOTE or not text.isprintable():
        raise InvalidInputError(field, f"must be at most {MAX_NOTE} printable characters")
    return text
