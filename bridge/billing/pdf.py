"""Invoices as PDF/A-3b with the e-invoice inside (Factur-X), made by WeasyPrint, which is an optional part.

Nothing is fetched: not a font, not an image. The same document gives the same bytes on the same machine.
"""

from collections.abc import Callable
from datetime import UTC, datetime, time
from functools import cache
from typing import Any, Final

import jinja2
from markupsafe import Markup

from bridge.billing import e_invoice
from bridge.billing.cii import to_cii
from bridge.billing.documents import InvoiceDocument
from bridge.billing.rules.wording import day_text
from bridge.errors import NotInstalledError

#: The name that Factur-X gives the embedded e-invoice.
XML_NAME: Final = "factur-x.xml"
_VARIANT: Final = "pdf/a-3b"
_FX: Final = "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#"
_PROPERTIES: Final = (
    ("DocumentFileName", "name of the embedded XML invoice file", XML_NAME),
    ("DocumentType", "type of the document", "INVOICE"),
    ("Version", "version of the Factur-X standard", "1.0"),
    ("ConformanceLevel", "conformance level of the embedded XML", "EN 16931"),
)


def to_pdf(document: InvoiceDocument) -> bytes:
    """Draw a document as PDF/A-3b; the e-invoice is inside where one can be made of it.

    Raises:
        NotInstalledError: WeasyPrint, or a library of the system that it needs, is missing.
    """
    weasyprint = _load()
    issued = datetime.combine(document.facts.issued_on, time(), UTC)
    html = weasyprint.HTML(string=to_html(document), url_fetcher=_refuser(weasyprint))
    attachments = []
    if not e_invoice.missing_for_e_invoice(document):
        attachments.append(
            weasyprint.Attachment(
                string=to_cii(document).decode(),
                name=XML_NAME,
                description="Invoice as data (EN 16931)",
                relationship="Alternative",
                created=issued,
                modified=issued,
            )
        )
    rendered = html.render(pdf_variant=_VARIANT)
    if attachments:
        _state_factur_x(rendered.metadata)
    pdf: bytes = rendered.write_pdf(
        finisher=_name_files_once,
        pdf_variant=_VARIANT,
        attachments=attachments,
        pdf_identifier=document.id.hex.encode(),
    )
    return pdf


def to_html(document: InvoiceDocument) -> str:
    """Write a document as the page that the PDF is drawn from; every value is escaped."""
    return (
        _templates()
        .get_template("invoice.html")
        .render(
            document=document,
            facts=document.facts,
            issued_at=f"{document.facts.issued_on:%Y-%m-%d}T00:00:00Z",
            style=Markup(_templates().get_template("invoice.css").render()),  # noqa: S704 (our own stylesheet)
        )
    )


def check_pdf() -> None:
    """Draw an empty page, to see whether PDFs can be made here.

    Raises:
        NotInstalledError: They cannot; it says what to install.
    """
    weasyprint = _load()
    weasyprint.HTML(string="<p>€", url_fetcher=_refuser(weasyprint)).write_pdf(pdf_variant=_VARIANT)


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bridge.billing"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(day=day_text)
    return environment


def _load() -> Any:
    try:
        import weasyprint  # noqa: PLC0415 (an optional part, and slow to import)
    except ImportError:
        raise NotInstalledError("PDF documents", "pip install 'seatbridge[documents]'") from None
    except OSError:
        how = "apt install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 (Debian), or Pango by other means"
        raise NotInstalledError("PDF documents", how) from None
    return weasyprint


def _refuser(weasyprint: Any) -> Any:
    """Return what WeasyPrint asks for anything outside the page, and never gets."""

    class Refuser(weasyprint.urls.URLFetcher):  # type: ignore[misc] # an optional part without types
        """Fetches nothing."""

        def fetch(self, url: str, headers: object = None) -> Any:
            del headers
            raise ValueError(f"a document asks for nothing outside itself, and so not for {url[:80]}")

    return Refuser()


def _name_files_once(_document: object, pdf: Any) -> None:
    """Let the catalog name each associated file once; WeasyPrint names it twice."""
    if "AF" in pdf.catalog:
        pdf.catalog["AF"][:] = dict.fromkeys(pdf.catalog["AF"])


def _state_factur_x(metadata: Any) -> None:
    """Say in the PDF's metadata that an e-invoice is inside: within its one RDF, as PDF/A asks for."""
    plain: Callable[..., bytes] = metadata.generate_rdf_metadata

    def with_factur_x(*arguments: object) -> bytes:
        head, end, tail = plain(*arguments).rpartition(b"</rdf:RDF>")
        return head + _factur_x_descriptions().encode() + end + tail

    metadata.generate_rdf_metadata = with_factur_x


def _factur_x_descriptions() -> str:
    """Write the properties, and the extension schema that makes them known to PDF/A."""
    values = "".join(f"<fx:{name}>{value}</fx:{name}>" for name, _, value in _PROPERTIES)
    declared = "".join(
        f'<rdf:li rdf:parseType="Resource"><pdfaProperty:name>{name}</pdfaProperty:name>'
        "<pdfaProperty:valueType>Text</pdfaProperty:valueType><pdfaProperty:category>external</pdfaProperty:category>"
        f"<pdfaProperty:description>{about}</pdfaProperty:description></rdf:li>"
        for name, about, _ in _PROPERTIES
    )
    return (
        f'<rdf:Description rdf:about="" xmlns:fx="{_FX}">{values}</rdf:Description>'
        '<rdf:Description rdf:about="" xmlns:pdfaExtension="http://www.aiim.org/pdfa/ns/extension/"'
        ' xmlns:pdfaSchema="http://www.aiim.org/pdfa/ns/schema#"'
        ' xmlns:pdfaProperty="http://www.aiim.org/pdfa/ns/property#"><pdfaExtension:schemas><rdf:Bag>'
        '<rdf:li rdf:parseType="Resource"><pdfaSchema:schema>Factur-X PDFA Extension Schema</pdfaSchema:schema>'
        f"<pdfaSchema:namespaceURI>{_FX}</pdfaSchema:namespaceURI><pdfaSchema:prefix>fx</pdfaSchema:prefix>"
        f"<pdfaSchema:property><rdf:Seq>{declared}</rdf:Seq></pdfaSchema:property></rdf:li></rdf:Bag>"
        "</pdfaExtension:schemas></rdf:Description>"
    )
