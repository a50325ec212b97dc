"""The contract: what it says, an amendment previewed and confirmed, what is agreed ahead, the evaluation."""

import uuid
from datetime import datetime
from typing import Annotated

from pydantic import Field

from bridge.domain.plan_kinds import FIXED_FEE
from bridge.domain.scopes import Scope
from bridge.errors import NotFoundError
from bridge.store.agreed import is_followed
from bridge.usecases.agreed_changes import cancel_agreed_change, read_agreed_change
from bridge.usecases.amend_contract import AmendmentDraft, confirm_amendment, preview_amendment, read_fee
from bridge.usecases.evaluations import read_evaluation
from bridge.usecases.seats import contract_sentences, read_contract
from bridge.usecases.tier_review import count_users
from bridge.web.api.accepting import Accept, accepts, shown
from bridge.web.api.calls import Call
from bridge.web.api.money import BillShape, InvoiceReferenceShape, bill_total
from bridge.web.api.operations import Resource
from bridge.web.api.plain import plain
from bridge.web.api.shapes import Answer, Body, Document

contract = Resource("Contract", "What is agreed: plan, fee, and what follows.", "/contract")


class UsersShape(Answer):
    """Users by role: paid and free."""

    paid: int
    free: int


class ContractShape(Answer):
    """The contract. `fee` and `users` are there where it is for a fixed fee; `next_bill` where one is to come."""

    kind: str
    cycle: str
    status: str
    currency: str
    period_start: datetime
    period_end: datetime
    auto_renew: bool
    sentences: list[str]
    fee: Document | None
    users: UsersShape | None
    next_bill: BillShape | None


class AmendmentBody(Body):
    """What is to change of a fixed fee; minor units of a contract year, before the discount."""

    annual_fee: Annotated[int | None, Field(ge=0, le=10**12)] = None
    tier: str | None = None
    paid_users: Annotated[int | None, Field(ge=0)] = None
    ahead: Annotated[bool, Field(description="From the next term on.")] = False


class AmendmentPreviewShape(Answer):
    """What an amendment would do and cost."""

    id: uuid.UUID
    expires_at: datetime
    bill: BillShape | None
    sentences: list[str]
    total_today: int


class AmendedShape(Answer):
    """What a confirmed amendment did."""

    annual_fee: int
    tier: str
    paid_users: int
    effective_at: datetime
    invoice: InvoiceReferenceShape | None


class AgreedShape(Answer):
    """A change that is agreed and waits."""

    id: uuid.UUID
    kind: str
    terms: Document
    agreed_at: datetime
    agreed_by: str
    effective_at: datetime
    cancellable: bool


class EvaluationShape(Answer):
    """An evaluation: until when, and what follows. `first_bill` is null for keys that may not see money."""

    until: datetime
    days_left: int
    tries: str
    follows: str | None
    first_bill: BillShape | None
    sentence: str


@contract.get(scope=Scope.BILLING_READ, answer=ContractShape)
def get_contract(call: Call) -> object:
    """Read what the contract says, and the next bill."""
    found = read_contract(call.unit)
    is_fee = found.kind == FIXED_FEE
    fields = ("kind", "cycle", "status", "currency", "period_start", "period_end", "auto_renew")
    return {
        **{name: getattr(found, name) for name in fields},
        "sentences": contract_sentences(found, followed=is_followed(call.unit)),
        "fee": plain(read_fee(call.unit)) if is_fee else None,
        "users": count_users(call.unit) if is_fee else None,
        "next_bill": call.unit.billing.next_renewal() if found.status == "active" else None,
    }


@contract.preview("/amendment-previews", scope=Scope.BILLING_WRITE, answer=AmendmentPreviewShape)
def preview_contract_amendment(call: Call, body: AmendmentBody) -> object:
    """Show what another fee would cost for the rest of the contract year, with its formula."""
    preview = preview_amendment(call.unit, AmendmentDraft(**body.model_dump()))
    quote = preview.quote
    return {
        "id": preview.id,
        "expires_at": preview.expires_at,
        "bill": quote.bill,
        "sentences": quote.sentences,
        "total_today": shown(call.unit, preview.id, bill_total(quote.bill), quote.currency),
    }


@contract.post("/amendment-previews/<uuid:preview_id>/apply", scope=Scope.BILLING_WRITE, answer=AmendedShape)
def apply_contract_amendment(call: Call, preview_id: uuid.UUID, body: Accept) -> object:
    """Amend as previewed, and charge exactly that."""
    return confirm_amendment(call.unit, preview_id, acknowledged=accepts(call.unit, preview_id, body.accepted_total))


@contract.get("/agreed-change", scope=Scope.BILLING_READ, answer=AgreedShape)
def get_agreed_change(call: Call) -> object:
    """Read what is agreed ahead and waits; 404 where nothing does."""
    found = read_agreed_change(call.unit)
    if found is None:
        raise NotFoundError("agreed change", "of the contract", "Nothing is agreed ahead for the contract")
    return found


@contract.post("/agreed-change/cancel", scope=Scope.BILLING_WRITE, answer=AgreedShape, reads=get_agreed_change)
def cancel_contract_change(call: Call) -> object:
    """Cancel what is agreed ahead: the contract goes on as it is."""
    return cancel_agreed_change(call.unit)


@contract.get("/evaluation", scope=Scope.SEATS_READ, answer=EvaluationShape)
def get_evaluation(call: Call) -> object:
    """Read until when an evaluation goes on, and what follows; 404 in none."""
    found = read_evaluation(call.unit)
    if found is None:
        raise NotFoundError("evaluation", "of the organization", "The organization is in no evaluation")
    return found
