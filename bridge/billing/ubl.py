"""An e-invoice in the syntax of OASIS UBL 2.1: the other one of the two that EN 16931 binds to.

An invoice and a credit note are different documents there. The order of elements is the schema's; the numbers beside
them are the business terms of EN 16931-1, and what they hold is the same as in :mod:`bridge.billing.cii`.
"""

from datetime import date
from typing import Final

from lxml import etree

from bridge.billing import e_invoice
from bridge.billing.documents import DocumentLine, InvoiceDocument
from bridge.domain.billing_parties import Address, Seller
from bridge.domain.tax import TaxCategory

_XSD: Final = "urn:oasis:names:specification:ubl:schema:xsd:"
_CAC: Final = f"{_XSD}CommonAggregateComponents-2"
_CBC: Final = f"{_XSD}CommonBasicComponents-2"
_PREFIXES: Final = {"cac": _CAC, "cbc": _CBC}


def to_ubl(document: InvoiceDocument) -> bytes:
    """Write a document as UBL, in UTF-8; the same document gives the same bytes.

    Raises:
        EInvoiceIncompleteError: It lacks what EN 16931 asks for.
    """
    seller = e_invoice.seller_of(document)
    kind = "CreditNote" if document.is_credit_note else "Invoice"
    space = f"{_XSD}{kind}-2"
    namespaces: dict[str | None, str] = {None: space, "cac": _CAC, "cbc": _CBC}
    root = etree.Element(f"{{{space}}}{kind}", nsmap=namespaces)
    _head(root, document)
    _seller(root, document, seller)
    _buyer(root, document)
    place = _add(_add(_add(root, "cac:Delivery"), "cac:DeliveryLocation"), "cac:Address")
    _country(place, document.facts.buyer.address.country)  # BT-80
    _payment_means(root, document, seller)
    _add(_add(root, "cac:PaymentTerms"), "cbc:Note", document.terms)  # BT-20
    _tax(root, document)
    _sums(root, document)
    for line in document.lines:
        _line(root, document, line)
    written: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    return written


def _head(root: etree._Element, document: InvoiceDocument) -> None:
    facts, buyer = document.facts, document.facts.buyer
    _add(root, "cbc:CustomizationID", e_invoice.GUIDELINE)  # BT-24
    _add(root, "cbc:ID", document.number)  # BT-1
    _day(root, "cbc:IssueDate", facts.issued_on)  # BT-2
    if document.is_credit_note:
        _add(root, "cbc:CreditNoteTypeCode", e_invoice.CREDIT_NOTE_CODE)  # BT-3
    else:
        _day(root, "cbc:DueDate", facts.due_on)  # BT-9
        _add(root, "cbc:InvoiceTypeCode", e_invoice.INVOICE_CODE)  # BT-3
    for text in e_invoice.notes(document):
        _add(root, "cbc:Note", text)  # BT-22
    _add(root, "cbc:DocumentCurrencyCode", document.currency.code)  # BT-5
    if buyer.cost_reference:
        _add(root, "cbc:AccountingCost", buyer.cost_reference)  # BT-19
    if buyer.buyer_reference:
        _add(root, "cbc:BuyerReference", buyer.buyer_reference)  # BT-10
    _period(root, *document.period)  # BT-73, BT-74
    if buyer.purchase_order:
        _add(_add(root, "cac:OrderReference"), "cbc:ID", buyer.purchase_order)  # BT-13
    for preceding in facts.preceding:
        reference = _add(_add(root, "cac:BillingReference"), "cac:InvoiceDocumentReference")
        _add(reference, "cbc:ID", preceding.number)  # BT-25
        _day(reference, "cbc:IssueDate", preceding.issued_on)  # BT-26


def _seller(root: etree._Element, document: InvoiceDocument, seller: Seller) -> None:
    party = _add(_add(root, "cac:AccountingSupplierParty"), "cac:Party")
    if seller.email:
        _add(party, "cbc:EndpointID", seller.email, schemeID=e_invoice.MAIL_SCHEME)  # BT-34
    _address(party, seller.address)  # BT-35 to BT-40
    _vat_id(party, document, seller.vat_id)  # BT-31
    legal = _add(party, "cac:PartyLegalEntity")
    _add(legal, "cbc:RegistrationName", seller.name)  # BT-27
    if seller.registration:
        _add(legal, "cbc:CompanyID", seller.registration)  # BT-30
    if seller.email or seller.phone:
        contact = _add(party, "cac:Contact")
        _add(contact, "cbc:Name", seller.name)  # BT-41
        if seller.phone:
            _add(contact, "cbc:Telephone", seller.phone)  # BT-42
        if seller.email:
            _add(contact, "cbc:ElectronicMail", seller.email)  # BT-43


def _buyer(root: etree._Element, document: InvoiceDocument) -> None:
    buyer = document.facts.buyer
    party = _add(_add(root, "cac:AccountingCustomerParty"), "cac:Party")
    if buyer.mailboxes:
        _add(party, "cbc:EndpointID", buyer.mailboxes[0], schemeID=e_invoice.MAIL_SCHEME)  # BT-49
    _address(party, buyer.address)  # BT-50 to BT-55
    _vat_id(party, document, buyer.vat_id)  # BT-48
    _add(_add(party, "cac:PartyLegalEntity"), "cbc:RegistrationName", document.facts.buyer_name)  # BT-44


def _address(party: etree._Element, address: Address) -> None:
    postal = _add(party, "cac:PostalAddress")
    for name, text in zip(("cbc:StreetName", "cbc:AdditionalStreetName"), address.lines, strict=False):
        _add(postal, name, text)
    if address.city:
        _add(postal, "cbc:CityName", address.city)
    if address.postal_code:
        _add(postal, "cbc:PostalZone", address.postal_code)
    for text in address.lines[2:]:
        _add(_add(postal, "cac:AddressLine"), "cbc:Line", text)
    _country(postal, address.country)


def _country(postal: etree._Element, code: str) -> None:
    _add(_add(postal, "cac:Country"), "cbc:IdentificationCode", code)


def _vat_id(party: etree._Element, document: InvoiceDocument, vat_id: str) -> None:
    """State a VAT identifier, but for what is not subject to VAT (BR-O-2)."""
    if vat_id and document.facts.tax.category is not TaxCategory.OUT_OF_SCOPE:
        scheme = _add(party, "cac:PartyTaxScheme")
        _add(scheme, "cbc:CompanyID", vat_id)
        _vat(scheme)


def _vat(parent: etree._Element) -> None:
    _add(_add(parent, "cac:TaxScheme"), "cbc:ID", "VAT")


def _payment_means(root: etree._Element, document: InvoiceDocument, seller: Seller) -> None:
    """Say how it is paid: by a transfer where an account is named; what names the payment stands in it either way."""
    if document.is_credit_note or not e_invoice.payable(document):
        return
    by_transfer = bool(seller.iban) and not document.facts.debited
    code = e_invoice.TRANSFER_CODE if by_transfer else e_invoice.UNDEFINED_CODE
    means = _add(root, "cac:PaymentMeans")
    _add(means, "cbc:PaymentMeansCode", code)  # BT-81
    _add(means, "cbc:PaymentID", document.number)  # BT-83
    if by_transfer:
        account = _add(means, "cac:PayeeFinancialAccount")
        _add(account, "cbc:ID", seller.iban)  # BT-84
        if seller.bic:
            _add(_add(account, "cac:FinancialInstitutionBranch"), "cbc:ID", seller.bic)  # BT-86


def _tax(root: etree._Element, document: InvoiceDocument) -> None:
    treatment = document.facts.tax
    total = _add(root, "cac:TaxTotal")
    _amount(total, "cbc:TaxAmount", document, document.tax)  # BT-110
    part = _add(total, "cac:TaxSubtotal")
    _amount(part, "cbc:TaxableAmount", document, document.subtotal)  # BT-116
    _amount(part, "cbc:TaxAmount", document, document.tax)  # BT-117
    category = _category(part, "cac:TaxCategory", document)  # BT-118, BT-119
    if treatment.category in e_invoice.EXEMPTIONS:
        _add(category, "cbc:TaxExemptionReasonCode", e_invoice.EXEMPTIONS[treatment.category])  # BT-121
    if treatment.reason:
        _add(category, "cbc:TaxExemptionReason", treatment.reason)  # BT-120
    _vat(category)


def _category(parent: etree._Element, name: str, document: InvoiceDocument) -> etree._Element:
    category = _add(parent, name)
    _add(category, "cbc:ID", document.facts.tax.category)
    if document.facts.tax.category is not TaxCategory.OUT_OF_SCOPE:
        _add(category, "cbc:Percent", e_invoice.percent(document))
    return category


def _sums(root: etree._Element, document: InvoiceDocument) -> None:
    sums = _add(root, "cac:LegalMonetaryTotal")
    _amount(sums, "cbc:LineExtensionAmount", document, document.subtotal)  # BT-106
    _amount(sums, "cbc:TaxExclusiveAmount", document, document.subtotal)  # BT-109
    _amount(sums, "cbc:TaxInclusiveAmount", document, document.total)  # BT-112
    if document.credit_applied:
        _amount(sums, "cbc:PrepaidAmount", document, document.credit_applied)  # BT-113
    _amount(sums, "cbc:PayableAmount", document, e_invoice.payable(document))  # BT-115


def _line(root: etree._Element, document: InvoiceDocument, line: DocumentLine) -> None:
    kind, counted = ("CreditNoteLine", "Credited") if document.is_credit_note else ("InvoiceLine", "Invoiced")
    item = _add(root, f"cac:{kind}")
    _add(item, "cbc:ID", str(line.position))  # BT-126
    if line.explanation:
        _add(item, "cbc:Note", line.explanation)  # BT-127
    quantity = str(e_invoice.billed_quantity(line))
    _add(item, f"cbc:{counted}Quantity", quantity, unitCode=e_invoice.UNIT_CODE)  # BT-129, BT-130
    _amount(item, "cbc:LineExtensionAmount", document, line.amount)  # BT-131
    _period(item, line.start, line.end)  # BT-134, BT-135
    product = _add(item, "cac:Item")
    _add(product, "cbc:Description", line.formula)  # BT-154
    _add(product, "cbc:Name", line.name)  # BT-153
    _vat(_category(product, "cac:ClassifiedTaxCategory", document))  # BT-151, BT-152
    priced = e_invoice.price_of(document, line)
    price = _add(item, "cac:Price")
    _add(price, "cbc:PriceAmount", str(priced.amount), currencyID=document.currency.code)  # BT-146
    if priced.base != 1:
        _add(price, "cbc:BaseQuantity", str(priced.base), unitCode=e_invoice.UNIT_CODE)  # BT-149, BT-150


def _period(parent: etree._Element, start: date, end: date) -> None:
    period = _add(parent, "cac:InvoicePeriod")
    _day(period, "cbc:StartDate", start)
    _day(period, "cbc:EndDate", end)


def _amount(parent: etree._Element, name: str, document: InvoiceDocument, minor: int) -> None:
    _add(parent, name, e_invoice.amount_text(document, minor), currencyID=document.currency.code)


def _day(parent: etree._Element, name: str, day: date) -> None:
    _add(parent, name, day.isoformat())


def _add(parent: etree._Element, name: str, text: str | None = None, **attributes: str) -> etree._Element:
    return e_invoice.add(parent, _PREFIXES, name, text, **attributes)
