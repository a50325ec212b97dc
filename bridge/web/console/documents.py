"""Files to take away: invoices as PDF and e-invoice; invoices, licence holders and the access review as tables."""

import tempfile
from collections.abc import Sequence

from flask import Blueprint, Response, make_response, request, send_file

from bridge.adapters.spreadsheets import TableFormat, write_tables
from bridge.billing.cii import to_cii
from bridge.billing.documents import read_document
from bridge.billing.pdf import to_pdf
from bridge.billing.tables import invoice_table, line_table
from bridge.billing.ubl import to_ubl
from bridge.domain.roles import Permission
from bridge.domain.tables import Table
from bridge.usecases.access_review import review_access
from bridge.usecases.exports import record_export
from bridge.usecases.licences import holders_table
from bridge.web.console.forms import identifier
from bridge.web.credentials import signed_in
from bridge.web.session import Visit

#: A table above this size waits on disk until it is sent, not in memory.
_IN_MEMORY = 1_048_576

pages = Blueprint("documents", __name__, url_prefix="/console")


@pages.get("/seats/invoices/<invoice_id>/pdf")
@signed_in(Permission.SEE_BILLING)
def pdf(visit: Visit, invoice_id: str) -> Response:
    """Give an invoice as PDF."""
    document = read_document(visit.unit, identifier("invoice", invoice_id))
    content = to_pdf(document)
    record_export(visit.unit, "invoice", form="pdf", rows=1, subject_id=document.id)
    return download(content, f"{document.file_name}.pdf", "application/pdf")


@pages.get("/seats/invoices/<invoice_id>/xml")
@signed_in(Permission.SEE_BILLING)
def xml(visit: Visit, invoice_id: str) -> Response:
    """Give an invoice as e-invoice."""
    document = read_document(visit.unit, identifier("invoice", invoice_id))
    content = to_cii(document)
    record_export(visit.unit, "invoice", form="xml", rows=1, subject_id=document.id)
    return download(content, f"{document.file_name}.xml", "application/xml")


@pages.get("/seats/invoices/<invoice_id>/ubl")
@signed_in(Permission.SEE_BILLING)
def ubl(visit: Visit, invoice_id: str) -> Response:
    """Give an invoice as e-invoice in the other syntax of EN 16931."""
    document = read_document(visit.unit, identifier("invoice", invoice_id))
    content = to_ubl(document)
    record_export(visit.unit, "invoice", form="ubl", rows=1, subject_id=document.id)
    return download(content, f"{document.file_name}-ubl.xml", "application/xml")


@pages.get("/seats/invoices.<any(csv, xlsx):form>")
@signed_in(Permission.SEE_BILLING)
def invoices(visit: Visit, form: str) -> Response:
    """Give every invoice as a table; an XLSX file has their lines too."""
    tables = [invoice_table(visit.unit)]
    if form == TableFormat.XLSX:
        tables.append(line_table(visit.unit))
    return _table(visit, "invoices", tables, form)


@pages.get("/seats/invoice-lines.csv")
@signed_in(Permission.SEE_BILLING)
def invoice_lines(visit: Visit) -> Response:
    """Give every line of every invoice as a table."""
    return _table(visit, "invoices", [line_table(visit.unit)], TableFormat.CSV, name="invoice-lines")


@pages.get("/seats/licence-holders.<any(csv, xlsx):form>")
@signed_in(Permission.SEE_BILLING)
def licence_holders(visit: Visit, form: str) -> Response:
    """Give the licence holders of the billed months, or of the one that the query names (rule W5)."""
    return _table(visit, "licence_holders", [holders_table(visit.unit, request.args.get("month"))], form)


@pages.get("/people/access-review.<any(csv, xlsx):form>")
@signed_in(Permission.REVIEW_ACCESS)
def access_review(visit: Visit, form: str) -> Response:
    """Give the access review, as of now (rule B4)."""
    return _table(visit, "access_review", [review_access(visit.unit)], form)


def _table(visit: Visit, what: str, tables: Sequence[Table], form: str, *, name: str | None = None) -> Response:
    """Write tables whole before the first byte leaves: what breaks off is an error page, never half a file."""
    kind = TableFormat(form)
    file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 (the answer closes it)
    try:
        rows = write_tables(file, tables, kind)
    except BaseException:
        file.close()
        raise
    record_export(visit.unit, what, form=form, rows=rows)
    size, saved_as = file.tell(), f"{name or what.replace('_', '-')}-{visit.organization.slug}.{form}"
    file.seek(0)
    if size <= _IN_MEMORY:
        with file:
            return download(file.read(), saved_as, kind.media_type)
    answer = send_file(file, mimetype=kind.media_type, as_attachment=True, download_name=saved_as)
    answer.content_length = size
    return answer


def download(content: bytes, name: str, media_type: str) -> Response:
    """Answer with a file that the browser saves under a name of ours."""
    response = make_response(content)
    response.headers["Content-Type"] = media_type
    response.headers.set("Content-Disposition", "attachment", filename=name)
    return response
