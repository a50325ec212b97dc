"""Files to take away: invoices as PDF and e-invoice."""

from flask import Blueprint, Response, make_response

from bridge.billing.cii import to_cii
from bridge.billing.documents import read_document
from bridge.billing.pdf import to_pdf
from bridge.domain.roles import Permission
from bridge.usecases.exports import record_export
from bridge.web.console.forms import identifier
from bridge.web.credentials import signed_in
from bridge.web.session import Visit

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


def download(content: bytes, name: str, media_type: str) -> Response:
    """Answer with a file that the browser saves under a name of ours."""
    response = make_response(content)
    response.headers["Content-Type"] = media_type
    response.headers.set("Content-Disposition", "attachment", filename=name)
    return response
