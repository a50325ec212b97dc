"""Group mappings: the rules in force, their versions, previews, drafts; and the groups they speak of."""

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from bridge.domain.scopes import Scope
from bridge.store.pools import ladder_of, read_pools
from bridge.store.unit import Unit
from bridge.usecases.ask_owners import submit_draft, submit_mappings
from bridge.usecases.edit_mappings import apply_mappings
from bridge.usecases.mapping_documents import preview_document
from bridge.usecases.mapping_drafts import discard_draft, list_drafts, preview_draft, read_draft, save_draft
from bridge.usecases.mapping_effect import MappingsPreview
from bridge.usecases.mapping_versions import list_versions, read_version
from bridge.usecases.preview_mappings import mapping_problems, preview_mappings, preview_rollback
from bridge.usecases.purses import BudgetUse
from bridge.usecases.read_mappings import count_groups, read_mappings
from bridge.usecases.seats import read_contract
from bridge.web.api.accepting import AcceptedTotal, accepts, bought_as_shown, shown
from bridge.web.api.approvals import ApprovalShape, NoteBody
from bridge.web.api.calls import Call
from bridge.web.api.money import BillShape, BudgetUseShape, InvoiceReferenceShape
from bridge.web.api.operations import Resource
from bridge.web.api.shapes import Answer, Body, Document, Page, Query
from mappings.documents import to_document

mappings = Resource("Mappings", "Which group entitles to which seat, role and team.", "/mappings")
groups = Resource("Groups", "The groups that directories push.", "/groups")


class GroupShape(Answer):
    """A group and how many active people are in it, directly or through groups inside it."""

    id: str
    name: str
    people: int
    connection: str


class GroupsPage(Page):
    """Every group, the largest first."""

    items: list[GroupShape]


class MappingsShape(Answer):
    """The rules in force as a document, and how many people each decides for, by the rule's key."""

    version: int
    applied_at: datetime | None
    applied_by: str | None
    document: Document
    decides_for: dict[str, int]
    decided_by_none: int
    placed_by_hand: int
    people: int


class MappingBody(Body):
    """Rules to look at, as a mapping document; with `buy`, as if the missing seats were bought."""

    document: Document
    buy: bool = False


class Choice(Body):
    """With `buy`, as if the missing seats were bought."""

    buy: bool = False


class MoveShape(Answer):
    """Somebody who gets another seat."""

    person_id: uuid.UUID = Field(validation_alias="member_id")
    name: str | None
    from_tier: str | None = Field(validation_alias="from")
    to_tier: str | None = Field(validation_alias="to")
    waiting_for: str | None
    because: str


class LineChangeShape(Answer):
    """Somebody who joins, leaves or changes the line."""

    person_id: uuid.UUID = Field(validation_alias="member_id")
    name: str | None
    tier: str | None
    before: str | None
    after: str | None


class RoleChangeShape(Answer):
    """Somebody who gets another role."""

    person_id: uuid.UUID = Field(validation_alias="member_id")
    before: str
    after: str


class TierCountShape(Answer):
    """Seats of a tier, now and after; `tier` null: people without a seat."""

    tier: str | None
    seats: int | None
    now: int
    after: int
    short: int


class FindingShape(Answer):
    """What the document asserts, and what became of it."""

    asserted: str
    found: str
    holds: bool


class RenewalShape(Answer):
    """The next renewal without and with the change, minor units before tax."""

    at: datetime
    before: int
    after: int


class MappingPreviewShape(Answer):
    """What other rules would do: people with reasons, seats, and what it costs.

    `total_today` is null for keys that may not see money.
    """

    id: uuid.UUID = Field(validation_alias="preview")
    expires_at: datetime
    changes: list[str]
    moves: list[MoveShape]
    waiting: list[LineChangeShape]
    roles: list[RoleChangeShape]
    gives_roles: bool
    seats: list[TierCountShape]
    bought_within_budgets: list[BudgetUseShape]
    bought_within_budgets_if_bought: list[BudgetUseShape]
    shortage: dict[str, int]
    bill: BillShape | None
    total_today: int | None
    renewal: RenewalShape | None
    assertions: list[FindingShape]


class ApplyMappings(Body):
    """What is accepted with the rules."""

    accepted_total: AcceptedTotal = None
    accept_budgets: Annotated[
        bool, Field(description="That seats are bought within budgets, for keys that are told no sum.")
    ] = False
    accept_roles: Annotated[bool, Field(description="That people may do more then.")] = False


class MappingsAppliedShape(Answer):
    """What applied rules did."""

    version: int
    moved: int
    roles: dict[str, int]
    teams: int
    invoices: list[InvoiceReferenceShape]


class ProblemShape(Answer):
    """What is wrong with a document, by its path."""

    path: str
    problem: str


class ProblemsShape(Answer):
    """Everything that is wrong with a document; nothing when it could be previewed."""

    problems: list[ProblemShape]


class DocumentBody(Body):
    """A mapping document."""

    document: Document


class VersionShape(Answer):
    """One version of the rules, and what it changed."""

    version: int
    at: datetime
    by: str
    reason: str
    restores: int | None
    changes: list[str]


class VersionsPage(Page):
    """Versions, newest first."""

    items: list[VersionShape]


class VersionsQuery(Query):
    """How many versions."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 20


class VersionDocument(Answer):
    """An older version, as it was written."""

    version: int
    document: Document


class DraftShape(Answer):
    """Rules that are worked on and decide about nobody. Who saves them says which `version` they saw."""

    id: uuid.UUID
    name: str
    version: int
    based_on: int
    document: Document
    changes: list[str]
    overtaken: bool
    created_at: datetime
    created_by: str
    modified_at: datetime
    modified_by: str


class DraftsPage(Page):
    """Every draft."""

    items: list[DraftShape]


class DraftBody(Body):
    """A draft to be made or changed; `expected` is the version that was seen, 0 for a new one."""

    document: Document
    expected: Annotated[int | None, Field(ge=0)] = None


@groups.get(scope=Scope.PEOPLE_READ, answer=GroupsPage)
def list_groups(call: Call) -> object:
    """List every group with its active people."""
    return {"items": count_groups(call.unit)}


@mappings.get(scope=Scope.MAPPINGS_READ, answer=MappingsShape)
def get_mappings(call: Call) -> object:
    """Read the rules in force, and how many people each decides for."""
    view = read_mappings(call.unit)
    return {
        "version": view.mapping_set.version,
        "applied_at": view.applied_at,
        "applied_by": view.applied_by,
        "document": view.document,
        "decides_for": {rule.rule.key: rule.decides_for for rule in view.rules},
        "decided_by_none": view.decided_by_none,
        "placed_by_hand": view.pinned,
        "people": view.people,
    }


@mappings.preview("/problems", scope=Scope.MAPPINGS_WRITE, answer=ProblemsShape)
def check_mappings(call: Call, body: DocumentBody) -> object:
    """Say everything that is wrong with a document, by its path."""
    found = mapping_problems(call.unit, body.document)
    return {"problems": [{"path": str(one.path), "problem": one.message} for one in found]}


@mappings.preview("/previews", scope=Scope.MAPPINGS_WRITE, answer=MappingPreviewShape)
def preview_mapping_change(call: Call, body: MappingBody) -> object:
    """Show who would gain, lose, move or wait under other rules, why, and what it costs."""
    return _shown(call.unit, preview_mappings(call.unit, body.document), buy=body.buy)


@mappings.post("/previews/<uuid:preview_id>/apply", scope=Scope.MAPPINGS_WRITE, answer=MappingsAppliedShape)
def apply_mapping_change(call: Call, preview_id: uuid.UUID, body: ApplyMappings) -> object:
    """Put previewed rules in force and move everybody they move; what the document asserts must be so.

    The missing seats are bought where the preview was asked with `buy`, which needs `billing:write`.
    """
    accepted = accepts(call.unit, preview_id, body.accepted_total)
    return apply_mappings(
        call.unit,
        preview_id,
        acknowledged=accepted,
        buy=bought_as_shown(call.unit, preview_id),
        roles_acknowledged=body.accept_roles,
        budgets_acknowledged=accepted or body.accept_budgets,
    )


@mappings.post("/previews/<uuid:preview_id>/submit", scope=Scope.MAPPINGS_WRITE, answer=ApprovalShape, status=201)
def submit_mapping_change(call: Call, preview_id: uuid.UUID, body: NoteBody) -> object:
    """Ask the owners to put previewed rules in force, and to buy what is missing then."""
    return submit_mappings(call.unit, preview_id, note=body.note)


@mappings.get("/versions", scope=Scope.MAPPINGS_READ, answer=VersionsPage)
def list_mapping_versions(call: Call, query: VersionsQuery) -> object:
    """List the versions of the rules, newest first: who, when, why, and what changed."""
    return {"items": list_versions(call.unit, query.limit)}


@mappings.get("/versions/<int:version>", scope=Scope.MAPPINGS_READ, answer=VersionDocument)
def get_mapping_version(call: Call, version: int) -> object:
    """Read an older version as it was written."""
    found = read_version(call.unit, version, ladder_of(read_pools(call.unit)))
    return {"version": version, "document": to_document(found)}


@mappings.preview("/versions/<int:version>/rollback-previews", scope=Scope.MAPPINGS_WRITE, answer=MappingPreviewShape)
def preview_mapping_rollback(call: Call, version: int, body: Choice) -> object:
    """Show what putting the rules of an older version in force again would do; applied like any other preview."""
    return _shown(call.unit, preview_rollback(call.unit, version), buy=body.buy)


@mappings.get("/drafts", scope=Scope.MAPPINGS_READ, answer=DraftsPage)
def list_mapping_drafts(call: Call) -> object:
    """List the drafts."""
    return {"items": list_drafts(call.unit)}


@mappings.get("/drafts/<name>", scope=Scope.MAPPINGS_READ, answer=DraftShape)
def get_mapping_draft(call: Call, name: str) -> object:
    """Read a draft."""
    return read_draft(call.unit, name)


@mappings.put("/drafts/<name>", scope=Scope.MAPPINGS_WRITE, answer=DraftShape)
def put_mapping_draft(call: Call, name: str, body: DraftBody) -> object:
    """Make a draft, or change the one of this name (`version_mismatch` when somebody else changed it meanwhile)."""
    return save_draft(call.unit, name, body.document, expected=body.expected)


@mappings.delete("/drafts/<name>", scope=Scope.MAPPINGS_WRITE, reads=get_mapping_draft)
def discard_mapping_draft(call: Call, name: str) -> None:
    """Remove a draft."""
    discard_draft(call.unit, name)


@mappings.preview("/drafts/<name>/previews", scope=Scope.MAPPINGS_WRITE, answer=MappingPreviewShape)
def preview_mapping_draft(call: Call, name: str, body: Choice) -> object:
    """Show what a draft would do now; applied like any other preview."""
    return _shown(call.unit, preview_draft(call.unit, name), buy=body.buy)


@mappings.post("/drafts/<name>/submit", scope=Scope.MAPPINGS_WRITE, answer=ApprovalShape, status=201)
def submit_mapping_draft(call: Call, name: str, body: NoteBody) -> object:
    """Ask the owners to put a draft in force, and to buy what is missing then."""
    return submit_draft(call.unit, name, note=body.note)


def _shown(unit: Unit, preview: MappingsPreview, *, buy: bool) -> dict[str, Any]:
    """Write a preview, what it costs only for who may see money."""
    told = preview_document(preview, buy=buy)
    if preview.sees_money:
        total = shown(unit, preview.id, told["total_today"], read_contract(unit).currency, buy=buy)
        uses = {name: told[name] for name in _USES}
    else:
        total, uses = None, {name: _without_amounts(told[name]) for name in _USES}
    return told | uses | {"total_today": total, "gives_roles": preview.gives_roles}


_USES = ("bought_within_budgets", "bought_within_budgets_if_bought")


def _without_amounts(uses: Iterable[BudgetUse]) -> list[dict[str, Any]]:
    told = ("tier", "cost_centre", "until", "seats", "seats_left")
    return [{name: getattr(use, name) for name in told} for use in uses]
