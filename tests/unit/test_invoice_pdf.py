"""Invoices as PDF: what stands on them, what is inside, and that nothing is fetched."""

import io
from dataclasses import replace
from typing import Any

import pytest
from pypdf import PdfReader

from bridge.billing import pdf
from bridge.billing.cii import to_cii
from bridge.domain.billing_parties import BillingDetails
from bridge.errors import NotInstalledError
from tests.documents import BUYER, SELLER, document, line

pytestmark = pytest.mark.external

try:
    pdf.check_pdf()
except NotInstalledError as absent:
    pytest.skip(str(absent), allow_module_level=True)


def read(content: bytes) -> PdfReader:
    return PdfReader(io.BytesIO(content))


def catalog(content: bytes) -> Any:
    """The root of a PDF, as pypdf's dictionary."""
    return read(content).trailer["/Root"]


def words(content: bytes) -> str:
    return " ".join(" ".join(page.extract_text() for page in read(content).pages).split())


def test_the_page_says_who_what_how_much_and_until_when() -> None:
    shown = words(pdf.to_pdf(document()))

    for text in (
        "Seats AB",
        "Nordlys <AS> & søn",
        "NORDLYS-000007",
        "5 × €25.00 = €125.00",
        "25 % of €125.00 = €31.25",
        "€156.25",
        "To be paid by 31 March 2026, 30 days from the invoice's date.",
        "SE45 5000 0000 0583 9825 7466",
        "PO-4711",
    ):
        assert text in shown


def test_the_e_invoice_is_inside_under_the_name_and_relationship_of_factur_x() -> None:
    made = document()

    content = pdf.to_pdf(made)

    assert read(content).attachments["factur-x.xml"] == [to_cii(made)]
    files = [one.get_object() for one in catalog(content)["/AF"]]
    assert [(one["/UF"], one["/AFRelationship"]) for one in files] == [("factur-x.xml", "/Alternative")]
    assert files[0]["/EF"]["/F"]["/Subtype"] == "/text/xml"


def test_it_says_that_it_is_pdf_a_3b_and_factur_x_in_its_one_rdf() -> None:
    root = catalog(pdf.to_pdf(document()))

    metadata = root["/Metadata"].get_data().decode()
    assert 'pdfaid:part="3"' in metadata
    assert 'pdfaid:conformance="B"' in metadata
    assert "<fx:ConformanceLevel>EN 16931</fx:ConformanceLevel>" in metadata
    assert "<fx:DocumentFileName>factur-x.xml</fx:DocumentFileName>" in metadata
    assert "pdfaExtension:schemas" in metadata
    assert metadata.count("<rdf:RDF") == metadata.count("</rdf:RDF>") == 1
    intent = root["/OutputIntents"][0].get_object()
    assert intent["/S"] == "/GTS_PDFA1"


def test_every_font_is_embedded() -> None:
    pages: list[Any] = list(read(pdf.to_pdf(document())).pages)

    fonts = [font.get_object() for page in pages for font in page["/Resources"]["/Font"].values()]

    assert fonts
    for font in fonts:
        descriptor = font["/DescendantFonts"][0].get_object()["/FontDescriptor"]
        assert "/FontFile2" in descriptor or "/FontFile3" in descriptor


def test_the_same_document_gives_the_same_bytes() -> None:
    assert pdf.to_pdf(document()) == pdf.to_pdf(document())


def test_what_cannot_be_an_e_invoice_is_a_pdf_without_one() -> None:
    made = pdf.to_pdf(document(buyer=BillingDetails()))

    assert not read(made).attachments
    assert "Billed to Nordlys" in words(made)
    assert "fx:ConformanceLevel" not in catalog(made)["/Metadata"].get_data().decode()


def test_a_reverse_charge_and_a_collected_amount_say_so() -> None:
    shown = words(pdf.to_pdf(document(rate="0", debited=True)))

    assert "Reverse charge: the buyer accounts for the VAT." in shown
    assert "Collected by itself from the agreed means of payment; nothing has to be transferred." in shown
    assert "SE45 5000" not in shown


def test_a_credit_note_asks_for_nothing() -> None:
    shown = words(pdf.to_pdf(document(credit_note=True)))

    assert "Credit note" in shown
    assert "Added to the account's balance" in shown
    assert "Amount due" not in shown


def test_many_lines_go_on_over_pages_that_are_counted() -> None:
    lines = [line(12500, position) for position in range(1, 61)]

    reader = read(pdf.to_pdf(document(*lines)))

    assert len(reader.pages) > 1
    assert f"2 / {len(reader.pages)}" in reader.pages[1].extract_text()


def test_long_names_and_numbers_are_broken_and_stay_apart() -> None:
    address = replace(
        BUYER.address, lines=("Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft",)
    )
    buyer = replace(BUYER, legal_name="Nordlys " * 12, address=address, purchase_order="PO-" + "4711" * 12)
    starts: dict[str, float] = {}

    def note(text: str, _page: Any, matrix: Any, _font: Any, _size: float) -> None:
        starts.setdefault(text.strip(), matrix[4])

    page = read(pdf.to_pdf(document(buyer=buyer))).pages[0]

    page.extract_text(visitor_text=note)

    # The table of facts stays in its own half, however long a value is. Positions are CSS pixels, 96 for 72 points.
    assert starts["Order number"] > float(page.mediabox.width) / 72 * 96 / 2


def test_what_people_write_is_text_and_fetches_nothing() -> None:
    buyer = replace(BUYER, legal_name='<img src="file:///etc/passwd"><script>x</script>')

    shown = words(
        pdf.to_pdf(document(buyer=buyer, seller=replace(SELLER, note="<link rel=attachment href=file:///a>")))
    )

    assert '<img src="file:///etc/passwd"><script>x</script>' in shown


def test_nothing_outside_the_page_can_be_asked_for() -> None:
    fetcher = pdf._refuser(pdf._load())

    for address in ("file:///etc/passwd", "http://127.0.0.1/", "data:text/plain,x"):
        with pytest.raises(ValueError, match="asks for nothing outside itself"):
            fetcher.fetch(address)


def test_without_the_optional_part_the_refusal_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "weasyprint", None)

    with pytest.raises(NotInstalledError, match=r"pip install 'seatbridge\[documents\]'") as refused:
        pdf.to_pdf(document())

    assert refused.value.code == "not_installed"
