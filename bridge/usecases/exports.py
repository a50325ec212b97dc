"""What leaves the product as a file is written down: who took what, in which form, how much of it."""

from bridge.store.journal import record
from bridge.store.unit import Unit


def record_export(unit: Unit, what: str, *, form: str, rows: int, subject_id: object | None = None) -> None:
    """Write an export into the audit chain. Do it last: it locks the organization.

    Args:
        unit: The unit of who exports.
        what: What kind of thing was exported: invoice, invoices, licence_holders, access_review or audit.
        form: pdf, xml, ubl, csv or xlsx.
        rows: How many of them.
        subject_id: The one thing that was exported; the organization's whole by default.
    """
    record(
        unit,
        "export.made",
        subject_kind=what,
        subject_id=subject_id or unit.org_id,
        reason="export",
        body={"form": form, "rows": rows},
        touches_seats=False,
    )
