"""Showing what other group mappings would do, to the last person and cent; nothing but the preview is stored."""

import uuid
from collections.abc import Collection, Mapping
from typing import Any

from bridge.domain.roles import Permission
from bridge.errors import (
    GroupConnectionMissingError,
    InvalidInputError,
    PreviewStaleError,
)
from bridge.store.directory import mapping_set_in_force
from bridge.store.models import Preview
from bridge.store.pools import ladder_of, read_pools
from bridge.store.unit import Unit
from bridge.usecases.mapping_effect import MappingsPreview, kept_purchases, mapping_effect
from bridge.usecases.mapping_versions import read_directory, read_version
from bridge.usecases.previews import refuse_expired, store_preview, stored_preview
from mappings.assertions import Assertion, CostAtMost
from mappings.differences import difference
from mappings.documents import UNSCOPED, MappingDocumentError, Problem, from_document, to_document
from mappings.naming import connection_missing, refreshed, unscoped
from mappings.rules import MappingSet
from mappings.tiers import TierLadder

KIND = "mappings"


def preview_mappings(unit: Unit, document: object) -> MappingsPreview:
    """Show what a mapping document would do to everybody, and what missing seats would cost.

    Only the preview itself is stored: who looks at it, against which state, and until when.

    Args:
        unit: The unit.
        document: As a YAML or JSON parser gives it (:mod:`mappings.documents`).

    Raises:
        ForbiddenError: The actor may not edit mappings, or asserts a cost and may see no prices.
        InvalidInputError: The document is not a mapping set, or is the one in force.
    """
    unit.require(Permission.EDIT_MAPPINGS)
    unit.lock()
    ladder = ladder_of(read_pools(unit))
    return _preview(unit, read_document(unit, document, ladder), ladder)


def preview_stored(unit: Unit, document: object) -> MappingsPreview:
    """Show what a document would do that was read and stored before: groups that are gone since are expected.

    Raises:
        ForbiddenError: The actor may not edit mappings.
        InvalidInputError: It cannot hold any more, or is what is in force.
    """
    unit.require(Permission.EDIT_MAPPINGS)
    unit.lock()
    ladder = ladder_of(read_pools(unit))
    try:
        stored = from_document(document, ladder)
    except MappingDocumentError as error:
        raise InvalidInputError("mappings", str(error)) from error
    return _preview(unit, _as_it_can_hold(unit, stored), ladder)


def preview_rollback(unit: Unit, version: int) -> MappingsPreview:
    """Show what it would do to put the rules of an older version in force again.

    Groups that are gone are expected again; those that came since, under a name that only one has, are meant.

    Raises:
        ForbiddenError: The actor may not edit mappings.
        InvalidInputError: The version cannot hold any more, or is what is in force.
        NotFoundError: There is no such version.
    """
    unit.require(Permission.EDIT_MAPPINGS)
    unit.lock()
    ladder = ladder_of(read_pools(unit))
    older = _as_it_can_hold(unit, read_version(unit, version, ladder))
    return _preview(unit, older, ladder, restores=version)


def usable_mappings_preview(unit: Unit, preview_id: uuid.UUID) -> tuple[MappingsPreview, Mapping[str, Any]]:
    """Compute a preview again that may still be applied, with the document that it is of.

    Raises:
        ForbiddenError: The actor may not edit mappings.
        NotFoundError: There is no such preview here.
        PreviewExpiredError: It is older than its 15 minutes.
        PreviewStaleError: People, seats or rules changed since it was made.
    """
    shown = open_preview(unit, preview_id)
    return shown, stored_preview(unit, preview_id, KIND).request["document"]


def open_preview(unit: Unit, preview_id: uuid.UUID) -> MappingsPreview:
    """Compute a stored preview again, for showing it.

    Raises:
        NotFoundError: There is no such preview here.
        PreviewExpiredError: It is older than its 15 minutes.
        PreviewStaleError: People, seats or rules changed since it was made.
    """
    unit.require(Permission.EDIT_MAPPINGS)
    unit.lock()
    return as_shown(unit, usable_preview(unit, preview_id))


def mapping_problems(unit: Unit, document: object) -> tuple[Problem, ...]:
    """Return what is wrong with a mapping document, for showing it beside its place; empty when nothing is.

    Raises:
        ForbiddenError: The actor may not edit mappings.
    """
    unit.require(Permission.EDIT_MAPPINGS)
    ladder = ladder_of(read_pools(unit))
    try:
        new = from_document(document, ladder, directory=read_directory(unit))
    except MappingDocumentError as error:
        return error.problems
    if not difference(mapping_set_in_force(unit, ladder), new, ladder):
        return (Problem("", "these are the rules in force already; change one to see what it does"),)
    return ()


def read_document(unit: Unit, document: object, ladder: TierLadder, *, kept: Collection[Assertion] = ()) -> MappingSet:
    """Read a mapping document somebody wrote; refuse one with mistakes, each named by its place.

    Who may see no prices writes no assertion of a cost, which tells them by holding or not (rule Z1), and keeps those
    that there are.

    Args:
        unit: The unit.
        document: What was written.
        ladder: The plan's tiers.
        kept: What was asserted before where it was written, beside what the rules in force assert.

    Raises:
        ForbiddenError: The actor asserts a cost, and may see no prices.
        GroupConnectionMissingError: It expects a group by a name that any connection could bring.
        InvalidInputError: With every problem.
    """
    try:
        read = from_document(document, ladder, directory=read_directory(unit))
    except MappingDocumentError as error:
        if all(problem.code == UNSCOPED for problem in error.problems):
            raise GroupConnectionMissingError(str(error)) from error
        raise InvalidInputError("mappings", str(error)) from error
    costs = {one for one in read.assertions if isinstance(one, CostAtMost)}
    if costs and not costs.issubset({*mapping_set_in_force(unit, ladder).assertions, *kept}):
        unit.require(Permission.SEE_BILLING)
    return read


def _preview(unit: Unit, new: MappingSet, ladder: TierLadder, *, restores: int | None = None) -> MappingsPreview:
    unit.lock()
    if not difference(mapping_set_in_force(unit, ladder), new, ladder):
        raise InvalidInputError("mappings", "these are the rules in force already; change one to see what it does")
    stored = store_preview(unit, KIND, {"document": to_document(new), "restores": restores})
    preview = mapping_effect(unit, stored)
    stored.request = {**stored.request, "budgets": kept_purchases(preview)}
    return preview


def _as_it_can_hold(unit: Unit, stored: MappingSet) -> MappingSet:
    """Return rules that were stored before with the groups that there are now.

    Raises:
        GroupConnectionMissingError: They expect a group by a name that any connection could bring.
    """
    directory = read_directory(unit)
    now = refreshed(stored, directory)
    missing = [f"{path}: {connection_missing(leaf, directory)}" for path, leaf in unscoped(now, directory)]
    if missing:
        raise GroupConnectionMissingError("; ".join(missing))
    return now


def usable_preview(unit: Unit, preview_id: uuid.UUID) -> Preview:
    """Return a stored preview that may still be applied.

    Raises:
        NotFoundError: There is no such preview here.
        PreviewExpiredError: It is older than its 15 minutes.
        PreviewStaleError: It was applied, or people, seats or rules changed since it was made.
    """
    stored = stored_preview(unit, preview_id, KIND)
    if stored.seat_version != unit.state().seat_version or stored.confirmed_at is not None:
        raise PreviewStaleError
    refuse_expired(unit, stored)
    return stored


def as_shown(unit: Unit, stored: Preview, *, named: bool = True) -> MappingsPreview:
    """Compute a preview again; refuse it when budgets would now pay for anything else than it showed."""
    preview = mapping_effect(unit, stored, named=named)
    if stored.request.get("budgets") != kept_purchases(preview):
        raise PreviewStaleError
    return preview
