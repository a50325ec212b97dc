"""Named drafts of the group mappings that several admins see, change, preview and discard; they decide about nobody."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, select

from bridge.domain.documents import comparison_key
from bridge.domain.identifiers import new_id
from bridge.domain.roles import Permission
from bridge.errors import InvalidInputError, NotFoundError, VersionMismatchError
from bridge.store.directory import mapping_set_in_force
from bridge.store.journal import record
from bridge.store.models import MappingDraft
from bridge.store.pools import ladder_of, read_pools
from bridge.store.unit import Unit
from bridge.usecases.explain import name_actors
from bridge.usecases.mapping_effect import MappingsPreview
from bridge.usecases.mapping_versions import read_directory
from bridge.usecases.preview_mappings import preview_stored, read_document
from mappings.differences import difference
from mappings.documents import from_document, to_document
from mappings.naming import relabelled

MAX_DRAFTS: Final = 100
MAX_NAME: Final = 100


@dataclass(frozen=True, slots=True)
class DraftView:
    """A draft as people see it.

    Attributes:
        version: Of the draft; who changes it says which one they saw.
        based_on: The version of the rules in force when it was last changed.
        changes: What differs from the rules in force, in sentences.
        overtaken: Whether other rules came in force since.
    """

    id: uuid.UUID
    name: str
    version: int
    based_on: int
    document: Mapping[str, Any]
    changes: tuple[str, ...]
    overtaken: bool
    created_at: datetime
    created_by: str
    modified_at: datetime
    modified_by: str


def save_draft(unit: Unit, name: str, document: object, *, expected: int | None = None) -> DraftView:
    """Make a draft, or change the one of this name.

    Args:
        unit: The unit.
        name: What people call it; case makes no difference.
        document: As a YAML or JSON parser gives it.
        expected: The version of the draft that the actor saw; 0 for a new one, None where any will do.

    Raises:
        ForbiddenError: The actor may not edit mappings, or asserts a cost and may see no prices.
        InvalidInputError: The name or the document cannot be.
        VersionMismatchError: Somebody else changed the draft meanwhile.
    """
    unit.require(Permission.EDIT_MAPPINGS)
    state = unit.lock()
    name = name.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise InvalidInputError("name", f"must be 1 to {MAX_NAME} printable characters")
    ladder, draft = ladder_of(read_pools(unit)), _find(unit, name)
    kept = () if draft is None else from_document(draft.document, ladder).assertions
    wanted = to_document(read_document(unit, document, ladder, kept=kept))
    if expected is not None and expected != (draft.version if draft else 0):
        raise VersionMismatchError("draft", repr(name))
    if draft is None:
        if _count(unit) >= MAX_DRAFTS:
            raise InvalidInputError("name", f"there are {MAX_DRAFTS} drafts already: discard one first")
        draft = MappingDraft(
            org_id=unit.org_id,
            id=new_id(),
            name=name,
            name_key=comparison_key(name),
            document=wanted,
            version=0,
            based_on=state.mapping_version,
            created_at=unit.at,
            created_by=str(unit.actor),
            modified_at=unit.at,
            modified_by=str(unit.actor),
        )
        unit.session.add(draft)
    elif draft.document == wanted:
        return _view(unit, draft)
    draft.document, draft.version, draft.based_on = wanted, draft.version + 1, state.mapping_version
    draft.modified_at, draft.modified_by = unit.at, str(unit.actor)
    unit.session.flush()
    reason = "created" if draft.version == 1 else "edited"
    _record(unit, "mapping.draft_saved", draft, reason)
    return _view(unit, draft)


def list_drafts(unit: Unit) -> list[DraftView]:
    """Return all drafts, by name.

    Raises:
        ForbiddenError: The actor may not edit mappings.
    """
    unit.require(Permission.EDIT_MAPPINGS)
    drafts = unit.session.scalars(
        select(MappingDraft).where(MappingDraft.org_id == unit.org_id).order_by(MappingDraft.name_key)
    ).all()
    return [_view(unit, draft) for draft in drafts]


def read_draft(unit: Unit, name: str) -> DraftView:
    """Return one draft.

    Raises:
        ForbiddenError: The actor may not edit mappings.
        NotFoundError: There is none of this name.
    """
    unit.require(Permission.EDIT_MAPPINGS)
    return _view(unit, _get(unit, name))


def find_draft(unit: Unit, draft_id: uuid.UUID) -> DraftView:
    """Return one draft by its id, groups in it by the names they have now.

    Raises:
        ForbiddenError: The actor may not edit mappings.
        NotFoundError: There is none.
    """
    unit.require(Permission.EDIT_MAPPINGS)
    draft = unit.session.get(MappingDraft, (unit.org_id, draft_id), populate_existing=True)
    if draft is None:
        raise NotFoundError("draft", str(draft_id))
    stored = from_document(draft.document, ladder_of(read_pools(unit)))
    return replace(_view(unit, draft), document=to_document(relabelled(stored, read_directory(unit))))


def preview_draft(unit: Unit, name: str) -> MappingsPreview:
    """Show what a draft would do now; applied by :func:`~bridge.usecases.edit_mappings.apply_mappings` like any other.

    Raises:
        ForbiddenError: The actor may not edit mappings.
        InvalidInputError: It says what is in force.
        NotFoundError: There is none of this name.
    """
    unit.require(Permission.EDIT_MAPPINGS)
    unit.lock()
    return preview_stored(unit, _get(unit, name).document)


def discard_draft(unit: Unit, name: str) -> None:
    """Remove a draft.

    Raises:
        ForbiddenError: The actor may not edit mappings.
        NotFoundError: There is none of this name.
    """
    unit.require(Permission.EDIT_MAPPINGS)
    unit.lock()
    draft = _get(unit, name)
    _record(unit, "mapping.draft_discarded", draft, "discarded")
    unit.session.delete(draft)
    unit.session.flush()


def _find(unit: Unit, name: str) -> MappingDraft | None:
    return unit.session.scalars(
        select(MappingDraft)
        .where(MappingDraft.org_id == unit.org_id, MappingDraft.name_key == comparison_key(name.strip()))
        .execution_options(populate_existing=True)
    ).one_or_none()


def _get(unit: Unit, name: str) -> MappingDraft:
    draft = _find(unit, name)
    if draft is None:
        raise NotFoundError("draft", name)
    return draft


def _count(unit: Unit) -> int:
    drafts = select(func.count()).select_from(MappingDraft).where(MappingDraft.org_id == unit.org_id)
    return unit.session.scalar(drafts) or 0


def _record(unit: Unit, action: str, draft: MappingDraft, reason: str) -> None:
    record(
        unit,
        action,
        subject_kind="mapping_draft",
        subject_id=draft.id,
        reason=reason,
        body={"version": draft.version},
        touches_seats=False,
    )


def _view(unit: Unit, draft: MappingDraft) -> DraftView:
    ladder = ladder_of(read_pools(unit))
    in_force = mapping_set_in_force(unit, ladder)
    actors = name_actors(unit, {draft.created_by, draft.modified_by})
    changes = difference(in_force, from_document(draft.document, ladder), ladder)
    return DraftView(
        id=draft.id,
        name=draft.name,
        version=draft.version,
        based_on=draft.based_on,
        document=draft.document,
        changes=tuple(change.sentence for change in changes),
        overtaken=draft.based_on != in_force.version,
        created_at=draft.created_at,
        created_by=actors[draft.created_by],
        modified_at=draft.modified_at,
        modified_by=actors[draft.modified_by],
    )
