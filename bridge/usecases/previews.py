"""What all previews have in common: how one is kept, how long it lives, and how it is found again (rule Q3)."""

import uuid
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from bridge.domain.identifiers import new_id
from bridge.domain.roles import Permission
from bridge.errors import AcknowledgementMissingError, NotFoundError, PreviewExpiredError, PreviewStaleError
from bridge.ports import PinnedQuote
from bridge.store.models import Preview
from bridge.store.unit import Unit
from bridge.usecases.idempotency import once

PREVIEW_LIFETIME: Final = timedelta(minutes=15)


def store_preview(
    unit: Unit,
    kind: str,
    request: Mapping[str, Any],
    *,
    at: datetime | None = None,
    pinned: PinnedQuote | None = None,
) -> Preview:
    """Keep what is previewed against the present state; the organization is locked here.

    Args:
        unit: The unit.
        kind: Of which use case.
        request: What is asked for and what was shown, in JSON values.
        at: The instant it counts from (rule Q2); now, when nothing says otherwise.
        pinned: What a core that keeps its own books has quoted: the preview lives no longer than that.
    """
    expires_at = unit.at + PREVIEW_LIFETIME
    preview = Preview(
        org_id=unit.org_id,
        id=new_id(),
        kind=kind,
        request=dict(request),
        seat_version=unit.lock().seat_version,
        at=at or unit.at,
        expires_at=min(expires_at, pinned.expires_at) if pinned else expires_at,
        actor=str(unit.actor),
        confirmed_at=None,
        result=None,
    )
    unit.session.add(preview)
    unit.session.flush()
    return preview


def stored_preview(unit: Unit, preview_id: uuid.UUID, kind: str) -> Preview:
    """Return a preview of a kind, as the database has it now.

    Raises:
        NotFoundError: There is no such preview here.
    """
    preview = unit.session.get(Preview, (unit.org_id, preview_id), populate_existing=True)
    if preview is None or preview.kind != kind:
        raise NotFoundError("preview", str(preview_id))
    return preview


def open_stored(unit: Unit, preview_id: uuid.UUID, kind: str) -> Preview:
    """Return a preview that was not confirmed, to show it again; the organization is locked here.

    Raises:
        ForbiddenError: The actor may not spend money (rule Z1).
        NotFoundError: There is no such preview here.
        PreviewStaleError: It was confirmed.
    """
    unit.require(Permission.MANAGE_BILLING)
    unit.lock()
    preview = stored_preview(unit, preview_id, kind)
    if preview.confirmed_at is not None:
        raise PreviewStaleError
    return preview


def confirm_once(
    unit: Unit,
    preview_id: uuid.UUID,
    kind: str,
    *,
    acknowledged: bool,
    key: str | None,
    do: str,
    act: Callable[[Preview], dict[str, Any]],
) -> dict[str, Any]:
    """Do what a preview showed, once, whoever asks again and however often.

    Args:
        unit: The unit; the organization is locked here.
        preview_id: The preview that was looked at.
        kind: Of which use case.
        acknowledged: Whether its cost was explicitly accepted (rule Q1).
        key: The caller's key; a preview is confirmed once, with a key or without.
        do: Names the action among those that keys are used for.
        act: Computes the preview again, refuses one that shows what is no longer so, does it, and returns the answer in
            JSON values.

    Returns:
        The answer, of now or of the first time.

    Raises:
        ForbiddenError: The actor may not spend money (rule Z1).
        AcknowledgementMissingError: The tick is missing.
        NotFoundError: There is no such preview here.
        PreviewExpiredError: Its time is over (rule Q3).
        IdempotencyConflictError: The key was used before for something else (rule Q5).
    """
    unit.require(Permission.MANAGE_BILLING)
    unit.lock()

    def confirm() -> dict[str, Any]:
        preview = stored_preview(unit, preview_id, kind)
        if preview.result is not None:
            return preview.result
        if not acknowledged:
            raise AcknowledgementMissingError
        refuse_expired(unit, preview)
        result = act(preview)
        preview.confirmed_at, preview.result = unit.at, result
        unit.session.flush()
        return result

    return once(unit, key, {"do": do, "preview": str(preview_id)}, confirm)


def keep_shown(unit: Unit, preview_id: uuid.UUID, facts: Mapping[str, Any]) -> None:
    """Keep what a preview showed to a program, in JSON values, to hold against what the program accepts."""
    preview = unit.session.get_one(Preview, (unit.org_id, preview_id))
    preview.request = {**preview.request, "told": dict(facts)}


def kept_shown(unit: Unit, preview_id: uuid.UUID) -> Mapping[str, Any]:
    """Return what a preview showed to a program; nothing for one that was shown to people alone, or is not there."""
    preview = unit.session.get(Preview, (unit.org_id, preview_id))
    return {} if preview is None else preview.request.get("told", {})


def refuse_expired(unit: Unit, preview: Preview) -> None:
    """Refuse a preview whose time is over.

    Raises:
        PreviewExpiredError: It is.
    """
    if unit.at >= preview.expires_at:
        raise PreviewExpiredError(preview.expires_at)
