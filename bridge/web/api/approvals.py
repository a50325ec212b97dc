"""Requests to the owners for what costs: asked, looked at, approved, declined, withdrawn."""

import uuid
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from bridge.domain.scopes import Scope
from bridge.usecases.amend_contract import AmendmentDraft
from bridge.usecases.approvals import (
    ShownPreview,
    approve,
    decline,
    invoices_of,
    list_approvals,
    open_approval,
    read_approval,
    withdraw,
)
from bridge.usecases.ask_owners import submit_amendment, submit_seats
from bridge.usecases.change_plan import PlanPreview
from bridge.usecases.mapping_documents import preview_document
from bridge.usecases.mapping_effect import MappingsPreview
from bridge.usecases.seats import read_contract
from bridge.web.api.accepting import AcceptedTotal, accepts, shown
from bridge.web.api.calls import Call
from bridge.web.api.money import bill_total
from bridge.web.api.operations import Resource
from bridge.web.api.plain import plain
from bridge.web.api.shapes import Answer, Body, Document, Page, Query

approvals = Resource("Approvals", "Requests to the owners for what costs.", "/approvals")


class NoteBody(Body):
    """What to say to the owners."""

    note: Annotated[str, Field(max_length=500)] = ""


class AskSeats(NoteBody):
    """More or fewer seats by tier, asked of the owners."""

    changes: Annotated[dict[str, int], Field(min_length=1, max_length=100)]


class AskAmendment(NoteBody):
    """Another fixed fee, asked of the owners; the fee in minor units of a contract year, before the discount."""

    annual_fee: Annotated[int | None, Field(ge=0, le=10**12)] = None
    tier: str | None = None
    paid_users: Annotated[int | None, Field(ge=0)] = None
    ahead: Annotated[bool, Field(description="From the next term on.")] = False


class ApprovalShape(Answer):
    """A request; `state` is waiting, approved, declined or withdrawn."""

    id: uuid.UUID
    kind: str
    summary: str
    note: str
    submitted_at: datetime
    submitted_by: str
    state: str
    decided_at: datetime | None
    decided_by: str | None
    reason: str


class ApprovalsPage(Page):
    """Those that wait first, oldest first; then the decided ones, newest first."""

    items: list[ApprovalShape]


class ApprovalsQuery(Query):
    """Which requests."""

    waiting_only: bool = False


class OpenedShape(Answer):
    """A request, and what it would do and cost now. Only this preview can be approved."""

    approval: ApprovalShape
    preview_id: uuid.UUID
    expires_at: datetime
    effect: Document
    total_today: int


class ApproveBody(Body):
    """What is accepted with a request."""

    preview_id: uuid.UUID
    accepted_total: AcceptedTotal = None
    accept_roles: bool = False


class ApprovedShape(Answer):
    """A request that was approved, and what it was invoiced by."""

    approval: ApprovalShape
    invoices: list[str]


class ReasonBody(Body):
    """Why, for who asked."""

    reason: Annotated[str, Field(min_length=1, max_length=500)]


@approvals.get(scope=Scope.SEATS_READ, answer=ApprovalsPage)
def list_requests_to_owners(call: Call, query: ApprovalsQuery) -> object:
    """List requests to the owners."""
    return {"items": list_approvals(call.unit, waiting_only=query.waiting_only)}


@approvals.get("/<uuid:approval_id>", scope=Scope.SEATS_READ, answer=ApprovalShape)
def get_request_to_owners(call: Call, approval_id: uuid.UUID) -> object:
    """Read one request."""
    return read_approval(call.unit, approval_id)


@approvals.post("/seats", scope=Scope.SEATS_WRITE, answer=ApprovalShape, status=201)
def ask_for_seats(call: Call, body: AskSeats) -> object:
    """Ask the owners for more or fewer seats."""
    return submit_seats(call.unit, body.changes, note=body.note)


@approvals.post("/amendment", scope=Scope.SEATS_WRITE, answer=ApprovalShape, status=201)
def ask_for_amendment(call: Call, body: AskAmendment) -> object:
    """Ask the owners for another annual fee, tier or number of paid users of a fixed-fee contract."""
    draft = AmendmentDraft(**body.model_dump(exclude={"note"}))
    return submit_amendment(call.unit, draft, note=body.note)


@approvals.preview("/<uuid:approval_id>/previews", scope=Scope.BILLING_WRITE, answer=OpenedShape)
def preview_request_to_owners(call: Call, approval_id: uuid.UUID) -> object:
    """Compute what a request would do and cost now."""
    opened = open_approval(call.unit, approval_id)
    effect, total = _effect_of(opened.preview)
    currency = read_contract(call.unit).currency
    buy = isinstance(opened.preview, MappingsPreview)
    return {
        "approval": opened.approval,
        "preview_id": opened.preview.id,
        "expires_at": opened.preview.expires_at,
        "effect": effect,
        "total_today": shown(call.unit, opened.preview.id, total, currency, buy=buy),
    }


@approvals.post("/<uuid:approval_id>/approve", scope=Scope.BILLING_WRITE, answer=ApprovedShape)
def approve_request_to_owners(call: Call, approval_id: uuid.UUID, body: ApproveBody) -> object:
    """Do what the preview of a request showed, and charge exactly that."""
    approved = approve(
        call.unit,
        approval_id,
        body.preview_id,
        acknowledged=accepts(call.unit, body.preview_id, body.accepted_total),
        roles_acknowledged=body.accept_roles,
    )
    return {"approval": read_approval(call.unit, approval_id), "invoices": invoices_of(approved)}


@approvals.post("/<uuid:approval_id>/decline", scope=Scope.BILLING_WRITE, answer=ApprovalShape)
def decline_request_to_owners(call: Call, approval_id: uuid.UUID, body: ReasonBody) -> object:
    """Decline a request; who asked is told why."""
    return decline(call.unit, approval_id, reason=body.reason)


@approvals.post("/<uuid:approval_id>/withdraw", scope=Scope.SEATS_WRITE, answer=ApprovalShape)
def withdraw_request_to_owners(call: Call, approval_id: uuid.UUID) -> object:
    """Take a request back that waits."""
    return withdraw(call.unit, approval_id)


def _effect_of(preview: ShownPreview) -> tuple[dict[str, Any], int]:
    """Write what was asked for as its own preview is written, and what it charges today."""
    if isinstance(preview, MappingsPreview):
        told = preview_document(preview, buy=True)
        return plain(told), told["total_today"]
    return plain(preview), 0 if isinstance(preview, PlanPreview) else bill_total(preview.quote.bill)
