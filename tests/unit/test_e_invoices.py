"""E-invoices: judged by the schema and the rules of EN 16931, and read back field by field."""

from dataclasses import replace
from typing import Any

import pytest
from lxml import etree

from bridge.billing.cii import to_cii
from bridge.billing.documents import DocumentLine
from bridge.billing.e_invoice import missing_for_e_invoice
from bridge.billing.ubl import to_ubl
from bridge.domain.billing_parties import Address, BillingDetails
from bridge.errors import EInvoiceIncompleteError
from tests.documents import BUYER, PRECEDING, SELLER, document, line
from tests.e_invoices import (
    CII_RULES,
    CII_SCHEMA,
    UBL_CREDIT_NOTE_SCHEMA,
    UBL_INVOICE_SCHEMA,
    UBL_RULES,
    broken_rules,
    fired_rules,
    schema_errors,
)

COMPONENTS = "urn:oasis:names:specification:ubl:schema:xsd:Common"
NAMES = {
    "cac": f"{COMPONENTS}AggregateComponents-2",
    "cbc": f"{COMPONENTS}BasicComponents-2",
    "qdt": "urn:un:unece:uncefact:data:standard:QualifiedDataType:100",
    "ram": "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100",
    "udt": "urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100",
}
PRORATED = line(
    1742,
    quantity=3,
    unit_price=2500,
    kind="seat_proration",
    name="Standard seat, rest of the period",
    formula="3 × €25.00 × 7/31 = €16.9354… → €16.94",
    explanation="7 of 31 days",
)
UNUSED = line(-3330, 2, quantity=2, kind="seat_credit", name="Standard seat, unused time")
FREE = line(0, 3, quantity=1, unit_price=2500)
HOME = replace(BUYER, address=replace(BUYER.address, country="SE"), vat_id="SE556000000002")
CASES: dict[str, dict[str, Any]] = {
    "standard rate": {},
    "several lines, one a credit, one of nothing": {"lines": (line(12500), UNUSED, FREE, PRORATED)},
    "credit note": {"credit_note": True},
    "credit note on two invoices": {"credit_note": True, "preceding": PRECEDING},
    "an address of three lines": {"buyer": replace(BUYER, address=replace(BUYER.address, lines=("c/o A", "B 1", "C")))},
    "credit note with a line that charges": {"lines": (line(12500), UNUSED), "credit_note": True},
    "reverse charge": {"rate": "0"},
    "zero rate": {"rate": "0", "buyer": HOME},
    "seller without VAT": {"rate": "0", "seller": replace(SELLER, vat_id="")},
    "buyer outside the Union": {"rate": "0", "buyer": BillingDetails(address=Address(country="US"))},
    "part of the credit used": {"credit": 5000},
    "all paid from credit": {"credit": 15625},
    "debited": {"debited": True},
    "a rate with decimals": {"rate": "0.055"},
    "yen": {"currency": "JPY"},
    "dinars without thousandths": {
        "rate": "0",
        "currency": "KWD",
        "lines": (line(12500), line(10, 2, quantity=1, unit_price=5)),
    },
    "nothing but what must be": {
        "seller": replace(SELLER, registration="", email="", phone="", iban="", bic="", note="", address=HOME.address),
        "buyer": BillingDetails(address=Address(country="FR")),
    },
}


def made(case: dict[str, Any]) -> bytes:
    facts = dict(case)
    return to_cii(document(*facts.pop("lines", ()), **facts))


def made_as_ubl(case: dict[str, Any]) -> bytes:
    facts = dict(case)
    return to_ubl(document(*facts.pop("lines", ()), **facts))


def text(xml: bytes, path: str) -> list[str]:
    return [one.text or "" for one in etree.fromstring(xml).iterfind(path, NAMES)]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_written_obeys_the_schema_and_every_rule_of_en_16931(case: dict[str, Any]) -> None:
    xml = made(case)

    assert schema_errors(xml, CII_SCHEMA) == []
    assert broken_rules(xml, CII_RULES) == []
    assert fired_rules(xml, CII_RULES) > 50


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_same_in_ubl_obeys_its_schema_and_every_rule_of_en_16931(case: dict[str, Any]) -> None:
    xml = made_as_ubl(case)

    assert schema_errors(xml, UBL_CREDIT_NOTE_SCHEMA if case.get("credit_note") else UBL_INVOICE_SCHEMA) == []
    assert broken_rules(xml, UBL_RULES) == []
    assert fired_rules(xml, UBL_RULES) > 40


def test_bt_83_names_the_payment_in_either_syntax_without_an_account_too() -> None:
    case = CASES["nothing but what must be"]
    cii, ubl = made(case), made_as_ubl(case)

    assert text(cii, ".//ram:PaymentReference") == text(ubl, ".//cbc:PaymentID") == text(ubl, "cbc:ID")
    means = "ram:SpecifiedTradeSettlementPaymentMeans/ram:TypeCode"
    assert text(cii, f".//{means}") == text(ubl, ".//cbc:PaymentMeansCode") == ["1"]


def test_the_rules_find_a_wrong_sum_in_either_syntax() -> None:
    in_cii = made({}).replace(b"<ram:GrandTotalAmount>156.25<", b"<ram:GrandTotalAmount>156.24<")
    in_ubl = made_as_ubl({}).replace(
        b'InclusiveAmount currencyID="EUR">156.25<', b'InclusiveAmount currencyID="EUR">1<'
    )

    # 125.00 + 31.25 = 156.25
    assert [rule.partition(":")[0] for rule in broken_rules(in_cii, CII_RULES)] == ["BR-CO-15", "BR-CO-16"]
    assert [rule.partition(":")[0] for rule in broken_rules(in_ubl, UBL_RULES)] == ["BR-CO-15", "BR-CO-16"]


def test_the_schema_finds_an_element_out_of_place_in_either_syntax() -> None:
    in_cii = made({}).replace(b"ram:TypeCode", b"ram:KindCode")
    in_ubl = made_as_ubl({}).replace(b"cbc:InvoiceTypeCode", b"cbc:InvoiceKindCode")

    assert schema_errors(in_cii, CII_SCHEMA)
    assert schema_errors(in_ubl, UBL_INVOICE_SCHEMA)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_both_syntaxes_say_the_same(case: dict[str, Any]) -> None:
    cii, ubl = made(case), made_as_ubl(case)

    for in_cii, in_ubl in (
        (".//ram:LineTotalAmount", ".//cbc:LineExtensionAmount"),
        (".//ram:GrandTotalAmount", ".//cac:LegalMonetaryTotal/cbc:TaxInclusiveAmount"),
        (".//ram:DuePayableAmount", ".//cac:LegalMonetaryTotal/cbc:PayableAmount"),
        (".//ram:TotalPrepaidAmount", ".//cbc:PrepaidAmount"),
        (".//ram:ChargeAmount", ".//cbc:PriceAmount"),
        (".//ram:BasisQuantity", ".//cbc:BaseQuantity"),
        (".//ram:ExemptionReason", ".//cbc:TaxExemptionReason"),
        (".//ram:SpecifiedTaxRegistration/ram:ID", ".//cac:PartyTaxScheme/cbc:CompanyID"),
        (".//ram:InvoiceReferencedDocument/ram:IssuerAssignedID", ".//cac:InvoiceDocumentReference/cbc:ID"),
        (".//ram:IBANID", ".//cac:PayeeFinancialAccount/cbc:ID"),
        (".//ram:SpecifiedTradePaymentTerms/ram:Description", ".//cac:PaymentTerms/cbc:Note"),
    ):
        assert sorted(text(cii, in_cii)) == sorted(text(ubl, in_ubl)), in_cii


def test_d5_a_credit_note_names_the_invoices_that_it_gives_back_of() -> None:
    cii = made({"credit_note": True, "preceding": PRECEDING})
    ubl = made_as_ubl({"credit_note": True, "preceding": PRECEDING})

    assert text(cii, ".//ram:InvoiceReferencedDocument/ram:IssuerAssignedID") == ["NORDLYS-000001", "NORDLYS-000004"]
    assert text(cii, ".//ram:InvoiceReferencedDocument/*/qdt:DateTimeString") == ["20260201", "20260215"]
    assert text(ubl, ".//cac:InvoiceDocumentReference/cbc:ID") == ["NORDLYS-000001", "NORDLYS-000004"]
    assert text(ubl, ".//cac:InvoiceDocumentReference/cbc:IssueDate") == ["2026-02-01", "2026-02-15"]


def test_both_parties_are_stated_by_their_business_terms() -> None:
    xml = made({})

    assert text(xml, ".//ram:SellerTradeParty/ram:Name") == ["Seats AB"]
    assert text(xml, ".//ram:SellerTradeParty/ram:SpecifiedTaxRegistration/ram:ID") == ["SE556000000001"]
    assert text(xml, ".//ram:BuyerTradeParty/ram:Name") == ["Nordlys <AS> & søn"]
    assert text(xml, ".//ram:BuyerOrderReferencedDocument/ram:IssuerAssignedID") == ["PO-4711"]
    assert text(xml, ".//ram:BuyerReference") == ["04011000-12345-34"]
    assert text(xml, ".//ram:SpecifiedTradePaymentTerms/ram:DueDateDateTime/udt:DateTimeString") == ["20260331"]


@pytest.mark.parametrize(
    ("priced", "price", "base"),
    [
        (line(12500), "25.00", []),  # 5 × 25.00 = 125.00
        (PRORATED, "17.42", ["3"]),  # 17.42 for 3: nothing is divided, so nothing is rounded twice
        (line(0, quantity=1), "0.00", []),
    ],
)
def test_quantity_times_price_is_the_amount_of_the_line(priced: DocumentLine, price: str, base: list[str]) -> None:
    xml = to_cii(document(priced))

    assert text(xml, ".//ram:NetPriceProductTradePrice/ram:ChargeAmount") == [price]
    assert text(xml, ".//ram:NetPriceProductTradePrice/ram:BasisQuantity") == base


def test_time_that_is_credited_on_an_invoice_has_a_negative_quantity_and_a_price_above_nothing() -> None:
    xml = to_cii(document(line(12500), UNUSED))

    assert text(xml, ".//ram:BilledQuantity") == ["5", "-2"]
    assert text(xml, ".//ram:ChargeAmount") == ["25.00", "33.30"]
    assert text(xml, ".//ram:LineTotalAmount")[:2] == ["125.00", "-33.30"]


def test_a_credit_note_says_that_it_is_one_and_states_what_is_credited() -> None:
    xml = made({"credit_note": True})

    assert text(xml, ".//ram:TypeCode")[0] == "381"
    assert text(xml, ".//ram:DuePayableAmount") == ["156.25"]
    assert text(xml, ".//ram:DueDateDateTime") == []


@pytest.mark.parametrize(
    ("currency", "amount", "written"), [("EUR", 1250, "12.50"), ("JPY", 1250, "1250"), ("KWD", 1250, "1.25")]
)
def test_amounts_are_exact_in_every_currency(currency: str, amount: int, written: str) -> None:
    xml = to_cii(document(line(amount, quantity=1, unit_price=amount), rate="0", currency=currency))

    assert text(xml, ".//ram:GrandTotalAmount") == [written]


def test_x1_tax_is_of_the_whole_document_and_rounded_once() -> None:
    lines = [line(333, n, quantity=1, unit_price=333) for n in range(1, 4)]

    xml = to_cii(document(*lines, rate="0.25"))

    # 3 × 3.33 = 9.99; 25 % of it is 2.4975 → 2.50, where three lines by themselves would make 3 × 0.83 = 2.49
    assert text(xml, ".//ram:CalculatedAmount") == ["2.50"]


@pytest.mark.parametrize(
    ("case", "missing"),
    [
        ({"seller": None, "rate": "0"}, "the seller (settings seller.*)"),
        ({"seller": replace(SELLER, address=Address())}, "the seller's country (seller.country)"),
        ({"seller": replace(SELLER, vat_id="")}, "the seller's VAT identifier (seller.vat_id)"),
        ({"seller": replace(SELLER, vat_id="", registration=""), "rate": "0"}, "the seller's registration"),
        ({"buyer": BillingDetails()}, "the buyer's country (billing details)"),
        ({"currency": "KWD", "lines": (line(12505),)}, "amounts in KWD with 2 decimals"),
    ],
)
def test_what_is_missing_is_named_and_no_half_e_invoice_is_made(case: dict[str, Any], missing: str) -> None:
    with pytest.raises(EInvoiceIncompleteError) as refused:
        made(case)

    assert refused.value.code == "e_invoice_incomplete"
    assert missing in str(refused.value)
    with pytest.raises(EInvoiceIncompleteError):
        made_as_ubl(case)


def test_the_same_document_gives_the_same_bytes() -> None:
    assert missing_for_e_invoice(document()) == ()
    assert made({}) == made({})
    assert made_as_ubl({}) == made_as_ubl({})
