"""What all previews have in common: how long they live, and how one is found again (rule Q3)."""

import uuid
from datetime import timedelta
from typing import Final

from bridge.errors import NotFoundError
from bridge.store.models import Preview
from bridge.store.unit import Unit

PREVIEW_LIFETIME: Final = timedelta(minutes=15)


def stored_preview(unit: Unit, preview_id: uuid.UUID, kind: str) -> Preview:
    """Return a preview of a kind, as the database has it now.

    Raises:
        NotFoundError: There is no such preview here.
    """
    preview = unit.session.get(Preview, (unit.org_id, preview_id), populate_existing=True)
    if preview is None or preview.kind != kind:
        raise NotFoundError("preview", str(preview_id))
    return preview
