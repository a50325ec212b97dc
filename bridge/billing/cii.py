"""An e-invoice in the syntax of UN/CEFACT Cross Industry Invoice, profile EN 16931 of Factur-X and ZUGFeRD.

The order of elements is the schema's. The numbers beside them are the business terms of EN 16931-1.
"""

from typing import Final

from lxml import etree

from bridge.billing import e_invoice
from bridge.billing.documents import DocumentLine, InvoiceDocument
from bridge.domain.billing_parties import Address, BillingDetails, Seller
from bridge.domain.tax import TaxCategory

_RSM: Final = "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100"
_RAM: Final = "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100"
_UDT: Final = "urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100"
_QDT: Final = "urn:un:unece:uncefact:data:standard:QualifiedDataType:100"
_NAMESPACES: Final = {"rsm": _RSM, "ram": _RAM, "udt": _UDT, "qdt": _QDT}
#: "The format is CCYYMMDD".
_DAY_FORMAT: Final = "102"


def to_cii(document: InvoiceDocument) -> bytes:
    """Write a document as CII, in UTF-8; the same document gives the same bytes.

    Raises:
        EInvoiceIncompleteError: It lacks what EN 16931 asks for.
    """
    seller = e_invoice.seller_of(document)
    root = etree.Element(f"{{{_RSM}}}CrossIndustryInvoice", nsmap=_NAMESPACES)
    context = _add(root, "rsm:ExchangedDocumentContext")
    _add(_add(context, "ram:GuidelineSpecifiedDocumentContextParameter"), "ram:ID", e_invoice.GUIDELINE)  # BT-24
    head = _add(root, "rsm:ExchangedDocument")
    _add(head, "ram:ID", document.number)  # BT-1
    code = e_invoice.CREDIT_NOTE_CODE if document.is_credit_note else e_invoice.INVOICE_CODE
    _add(head, "ram:TypeCode", code)  # BT-3
    _day(head, "ram:IssueDateTime", e_invoice.compact_day(document.facts.issued_on))  # BT-2
    for text in e_invoice.notes(document):
        _add(_add(head, "ram:IncludedNote"), "ram:Content", text)  # BT-22
    trade = _add(root, "rsm:SupplyChainTradeTransaction")
    for line in document.lines:
        _line(trade, document, line)
    _agreement(trade, document, seller)
    delivery = _add(trade, "ram:ApplicableHeaderTradeDelivery")
    served = _add(_add(delivery, "ram:ShipToTradeParty"), "ram:PostalTradeAddress")
    _add(served, "ram:CountryID", document.facts.buyer.address.country)  # BT-80
    _settlement(trade, document, seller)
    written: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    return written


def _line(trade: etree._Element, document: InvoiceDocument, line: DocumentLine) -> None:
    item = _add(trade, "ram:IncludedSupplyChainTradeLineItem")
    about = _add(item, "ram:AssociatedDocumentLineDocument")
    _add(about, "ram:LineID", str(line.position))  # BT-126
    if line.explanation:
        _add(_add(about, "ram:IncludedNote"), "ram:Content", line.explanation)  # BT-127
    product = _add(item, "ram:SpecifiedTradeProduct")
    _add(product, "ram:Name", line.name)  # BT-153
    _add(product, "ram:Description", line.formula)  # BT-154
    price = e_invoice.price_of(document, line)
    net = _add(_add(item, "ram:SpecifiedLineTradeAgreement"), "ram:NetPriceProductTradePrice")
    _add(net, "ram:ChargeAmount", str(price.amount))  # BT-146
    if price.base != 1:
        _add(net, "ram:BasisQuantity", str(price.base), unitCode=e_invoice.UNIT_CODE)  # BT-149, BT-150
    delivery = _add(item, "ram:SpecifiedLineTradeDelivery")
    quantity = str(e_invoice.billed_quantity(line))
    _add(delivery, "ram:BilledQuantity", quantity, unitCode=e_invoice.UNIT_CODE)  # BT-129, BT-130
    settlement = _add(item, "ram:SpecifiedLineTradeSettlement")
    tax = _add(settlement, "ram:ApplicableTradeTax")
    _add(tax, "ram:TypeCode", "VAT")
    _add(tax, "ram:CategoryCode", document.facts.tax.category)  # BT-151
    if document.facts.tax.category is not TaxCategory.OUT_OF_SCOPE:
        _add(tax, "ram:RateApplicablePercent", e_invoice.percent(document))  # BT-152
    period = _add(settlement, "ram:BillingSpecifiedPeriod")
    _day(period, "ram:StartDateTime", e_invoice.compact_day(line.start))  # BT-134
    _day(period, "ram:EndDateTime", e_invoice.compact_day(line.end))  # BT-135
    sums = _add(settlement, "ram:SpecifiedTradeSettlementLineMonetarySummation")
    _add(sums, "ram:LineTotalAmount", e_invoice.amount_text(document, line.amount))  # BT-131


def _agreement(trade: etree._Element, document: InvoiceDocument, seller: Seller) -> None:
    buyer = document.facts.buyer
    agreement = _add(trade, "ram:ApplicableHeaderTradeAgreement")
    if buyer.buyer_reference:
        _add(agreement, "ram:BuyerReference", buyer.buyer_reference)  # BT-10
    _seller(agreement, document, seller)
    _buyer(agreement, document, buyer)
    if buyer.purchase_order:
        _add(_add(agreement, "ram:BuyerOrderReferencedDocument"), "ram:IssuerAssignedID", buyer.purchase_order)  # BT-13


def _seller(agreement: etree._Element, document: InvoiceDocument, seller: Seller) -> None:
    party = _add(agreement, "ram:SellerTradeParty")
    _add(party, "ram:Name", seller.name)  # BT-27
    if seller.registration:
        _add(_add(party, "ram:SpecifiedLegalOrganization"), "ram:ID", seller.registration)  # BT-30
    if seller.email or seller.phone:
        contact = _add(party, "ram:DefinedTradeContact")
        _add(contact, "ram:PersonName", seller.name)  # BT-41
        if seller.phone:
            _add(_add(contact, "ram:TelephoneUniversalCommunication"), "ram:CompleteNumber", seller.phone)  # BT-42
        if seller.email:
            _add(_add(contact, "ram:EmailURIUniversalCommunication"), "ram:URIID", seller.email)  # BT-43
    _address(party, seller.address)  # BT-35 to BT-40
    if seller.email:
        _mail(party, seller.email)  # BT-34
    _vat_id(party, document, seller.vat_id)  # BT-31


def _buyer(agreement: etree._Element, document: InvoiceDocument, buyer: BillingDetails) -> None:
    party = _add(agreement, "ram:BuyerTradeParty")
    _add(party, "ram:Name", document.facts.buyer_name)  # BT-44
    _address(party, buyer.address)  # BT-50 to BT-55
    if buyer.mailboxes:
        _mail(party, buyer.mailboxes[0])  # BT-49
    _vat_id(party, document, buyer.vat_id)  # BT-48


def _address(party: etree._Element, address: Address) -> None:
    postal = _add(party, "ram:PostalTradeAddress")
    if address.postal_code:
        _add(postal, "ram:PostcodeCode", address.postal_code)
    for name, text in zip(("ram:LineOne", "ram:LineTwo", "ram:LineThree"), address.lines, strict=False):
        _add(postal, name, text)
    if address.city:
        _add(postal, "ram:CityName", address.city)
    _add(postal, "ram:CountryID", address.country)


def _mail(party: etree._Element, address: str) -> None:
    _add(_add(party, "ram:URIUniversalCommunication"), "ram:URIID", address, schemeID=e_invoice.MAIL_SCHEME)


def _vat_id(party: etree._Element, document: InvoiceDocument, vat_id: str) -> None:
    """State a VAT identifier, but for what is not subject to VAT (BR-O-2)."""
    if vat_id and document.facts.tax.category is not TaxCategory.OUT_OF_SCOPE:
        _add(_add(party, "ram:SpecifiedTaxRegistration"), "ram:ID", vat_id, schemeID="VA")


def _settlement(trade: etree._Element, document: InvoiceDocument, seller: Seller) -> None:
    facts, code = document.facts, document.currency.code
    settlement = _add(trade, "ram:ApplicableHeaderTradeSettlement")
    if not document.is_credit_note and e_invoice.payable(document):
        _add(settlement, "ram:PaymentReference", document.number)  # BT-83
    _add(settlement, "ram:InvoiceCurrencyCode", code)  # BT-5
    _payment_means(settlement, document, seller)
    _tax(settlement, document)
    start, end = document.period
    period = _add(settlement, "ram:BillingSpecifiedPeriod")
    _day(period, "ram:StartDateTime", e_invoice.compact_day(start))  # BT-73
    _day(period, "ram:EndDateTime", e_invoice.compact_day(end))  # BT-74
    terms = _add(settlement, "ram:SpecifiedTradePaymentTerms")
    _add(terms, "ram:Description", document.terms)  # BT-20
    if not document.is_credit_note:
        _day(terms, "ram:DueDateDateTime", e_invoice.compact_day(facts.due_on))  # BT-9
    sums = _add(settlement, "ram:SpecifiedTradeSettlementHeaderMonetarySummation")
    _add(sums, "ram:LineTotalAmount", e_invoice.amount_text(document, document.subtotal))  # BT-106
    _add(sums, "ram:TaxBasisTotalAmount", e_invoice.amount_text(document, document.subtotal))  # BT-109
    _add(sums, "ram:TaxTotalAmount", e_invoice.amount_text(document, document.tax), currencyID=code)  # BT-110
    _add(sums, "ram:GrandTotalAmount", e_invoice.amount_text(document, document.total))  # BT-112
    if document.credit_applied:
        _add(sums, "ram:TotalPrepaidAmount", e_invoice.amount_text(document, document.credit_applied))  # BT-113
    _add(sums, "ram:DuePayableAmount", e_invoice.amount_text(document, e_invoice.payable(document)))  # BT-115
    for preceding in facts.preceding:
        reference = _add(settlement, "ram:InvoiceReferencedDocument")
        _add(reference, "ram:IssuerAssignedID", preceding.number)  # BT-25
        day = _add(reference, "ram:FormattedIssueDateTime")
        issued = e_invoice.compact_day(preceding.issued_on)
        _add(day, "qdt:DateTimeString", issued, format=_DAY_FORMAT)  # BT-26
    if facts.buyer.cost_reference:
        account = _add(settlement, "ram:ReceivableSpecifiedTradeAccountingAccount")
        _add(account, "ram:ID", facts.buyer.cost_reference)  # BT-19


def _payment_means(settlement: etree._Element, document: InvoiceDocument, seller: Seller) -> None:
    """Say how it is paid: by a transfer where an account is named."""
    if document.is_credit_note or not e_invoice.payable(document):
        return
    by_transfer = bool(seller.iban) and not document.facts.debited
    means = _add(settlement, "ram:SpecifiedTradeSettlementPaymentMeans")
    _add(means, "ram:TypeCode", e_invoice.TRANSFER_CODE if by_transfer else e_invoice.UNDEFINED_CODE)  # BT-81
    if by_transfer:
        _add(_add(means, "ram:PayeePartyCreditorFinancialAccount"), "ram:IBANID", seller.iban)  # BT-84
        if seller.bic:
            _add(_add(means, "ram:PayeeSpecifiedCreditorFinancialInstitution"), "ram:BICID", seller.bic)  # BT-86


def _tax(settlement: etree._Element, document: InvoiceDocument) -> None:
    treatment = document.facts.tax
    tax = _add(settlement, "ram:ApplicableTradeTax")
    _add(tax, "ram:CalculatedAmount", e_invoice.amount_text(document, document.tax))  # BT-117
    _add(tax, "ram:TypeCode", "VAT")
    if treatment.reason:
        _add(tax, "ram:ExemptionReason", treatment.reason)  # BT-120
    _add(tax, "ram:BasisAmount", e_invoice.amount_text(document, document.subtotal))  # BT-116
    _add(tax, "ram:CategoryCode", treatment.category)  # BT-118
    if treatment.category in e_invoice.EXEMPTIONS:
        _add(tax, "ram:ExemptionReasonCode", e_invoice.EXEMPTIONS[treatment.category])  # BT-121
    if treatment.category is not TaxCategory.OUT_OF_SCOPE:
        _add(tax, "ram:RateApplicablePercent", e_invoice.percent(document))  # BT-119


def _day(parent: etree._Element, name: str, day: str) -> None:
    _add(_add(parent, name), "udt:DateTimeString", day, format=_DAY_FORMAT)


def _add(parent: etree._Element, name: str, text: str | None = None, **attributes: str) -> etree._Element:
    return e_invoice.add(parent, _NAMESPACES, name, text, **attributes)
