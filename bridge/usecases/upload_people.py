"""Taking people in from an uploaded file in two steps: what it would do is shown, and exactly that is done."""

import base64
import uuid
from dataclasses import dataclass
from datetime import datetime

from bridge.domain.identifiers import ConnectionId
from bridge.domain.people_files import read_people
from bridge.domain.roles import Permission
from bridge.errors import InvalidInputError, PreviewStaleError
from bridge.store.models import Preview
from bridge.store.unit import Unit
from bridge.usecases.import_people import ImportReport, import_people, preview_import
from bridge.usecases.previews import refuse_expired, store_preview, stored_preview

KIND = "import"
#: More people take longer than a browser should wait.
MOST_PEOPLE = 5_000
#: Where the file is kept until it is applied, or its preview runs out.
FILE = "file"


@dataclass(frozen=True, slots=True)
class UploadPreview:
    """What an uploaded file would do, good until ``expires_at`` or until people, seats or rules change (rule Q3)."""

    id: uuid.UUID
    at: datetime
    expires_at: datetime
    name: str
    report: ImportReport
    warnings: tuple[str, ...]


def preview_upload(unit: Unit, content: bytes, name: str, connection_id: ConnectionId | None = None) -> UploadPreview:
    """Show what a file would do, and keep it for :func:`apply_upload`.

    Args:
        unit: The unit.
        content: The file.
        name: What it is called, to show.
        connection_id: The directory it stands for; None for people whom no directory manages.

    Raises:
        ForbiddenError: As for :func:`preview_import`.
        InvalidInputError: It names more people than the console takes.
    """
    file = read_people(content)
    if len(file.cells) > MOST_PEOPLE:
        raise InvalidInputError(
            "file", f"names more than {MOST_PEOPLE:,} people: part it, or have the operator run `seatbridge import`"
        )
    report = preview_import(unit, file, connection_id)
    request = {
        FILE: base64.b64encode(content).decode(),
        "connection": None if connection_id is None else str(connection_id),
        "fingerprint": report.fingerprint,
    }
    stored = store_preview(unit, KIND, request)
    return UploadPreview(stored.id, stored.at, stored.expires_at, name, report, tuple(file.warnings))


def apply_upload(unit: Unit, preview_id: uuid.UUID, *, skip_bad_rows: bool) -> ImportReport | None:
    """Take the people of a previewed file in; None when that was done before.

    Raises:
        ForbiddenError: As for :func:`import_people`.
        NotFoundError: There is no such preview here.
        PaymentFailedError: As for :func:`import_people`.
        PreviewExpiredError: It is older than its 15 minutes.
        PreviewStaleError: It would not do what was shown any more; nothing is done.
    """
    unit.require(Permission.MANAGE_PEOPLE)
    unit.lock()
    stored = stored_preview(unit, preview_id, KIND)
    if stored.confirmed_at is not None:
        return None
    refuse_expired(unit, stored)
    asked = stored.request
    connection = None if asked["connection"] is None else ConnectionId(uuid.UUID(asked["connection"]))
    file = read_people(base64.b64decode(asked[FILE]))
    report = import_people(unit, file, connection, skip_bad_rows=skip_bad_rows, expect=asked["fingerprint"])
    if not report.applied:
        raise PreviewStaleError
    stored.confirmed_at = unit.at
    forget_file(stored)
    return report


def forget_file(stored: Preview) -> None:
    """Keep nothing of the people in a file that was applied."""
    stored.request = {name: value for name, value in stored.request.items() if name != FILE}
