"""An invoice as whoever issued it prints it: here, or the organization's own billing core."""

from bridge.billing.documents import find_by_number, read_document
from bridge.billing.pdf import to_pdf
from bridge.domain.actors import Actor
from bridge.domain.identifiers import OrgId
from bridge.errors import NotFoundError
from bridge.runtime import Runtime
from bridge.usecases.exports import record_export
from bridge.usecases.mirror_core import core_invoice_id


def print_invoice(runtime: Runtime, org_id: OrgId, number: str, actor: Actor) -> bytes:
    """Return an invoice as PDF; a core is asked in no transaction.

    Args:
        runtime: The product.
        org_id: Which organization.
        number: Of the invoice, as it is listed, whatever its case.
        actor: Who takes it away.

    Raises:
        ForbiddenError: The actor may not see money (rule Z1).
        NotFoundError: There is no such invoice, or the core that issued it is not connected any more.
        BillingCoreUnreachableError: The core gave no usable answer.
        BillingCoreRefusedError: It does not know the invoice any more.
    """
    with runtime.unit(org_id, actor) as unit:
        invoice_id = find_by_number(unit, number)
        core_id = core_invoice_id(unit, invoice_id)
        if core_id is None:
            document = read_document(unit, invoice_id)
            record_export(unit, "invoice", form="pdf", rows=1, subject_id=document.id)
            return to_pdf(document)
        service = runtime.billing_service(unit)
    if service is None:
        raise NotFoundError("invoice of the connected core", number)
    return service.document(core_id)
