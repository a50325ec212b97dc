"""Reading XML that a stranger sent: no entities, no network, nothing deep, nothing large."""

import re
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

from lxml import etree

SAML: Final = "urn:oasis:names:tc:SAML:2.0:assertion"
SAMLP: Final = "urn:oasis:names:tc:SAML:2.0:protocol"
METADATA: Final = "urn:oasis:names:tc:SAML:2.0:metadata"
DS: Final = "http://www.w3.org/2000/09/xmldsig#"
XENC: Final = "http://www.w3.org/2001/04/xmlenc#"
XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"

_ENCODING = re.compile(rb"""^<\?xml[^>]{0,100}?\sencoding\s*=\s*["']([^"']{1,40})["']""")
_ENCODINGS = {b"utf-8", b"us-ascii", b"ascii"}
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FIRST_YEAR, _LAST_YEAR = 1970, 9998
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,12})?(Z|[+-]\d\d:\d\d)?", re.ASCII)


class UnsafeXml(Enum):
    """What is wrong with a document that is not read at all."""

    TOO_LARGE = "too large"
    DOCTYPE = "a DOCTYPE"
    MALFORMED = "malformed"


class UnsafeXmlError(ValueError):
    """A document that is refused before anybody looks at its content."""

    def __init__(self, kind: UnsafeXml, sentence: str) -> None:
        self.kind = kind
        super().__init__(sentence)


def read_xml(data: bytes, *, max_bytes: int) -> Any:
    """Parse a document and return its root element (lxml).

    Only UTF-8 (or ASCII), so that what is scanned here is what the parser sees. The parser's own limits hold:
    256 levels of nesting, no entity is expanded, nothing is loaded.

    Raises:
        UnsafeXmlError: When the document is too large, has a DOCTYPE, or is not well-formed UTF-8 XML.
    """
    if len(data) > max_bytes:
        raise UnsafeXmlError(UnsafeXml.TOO_LARGE, f"The document has {len(data)} bytes; {max_bytes} are allowed")
    declared = _ENCODING.match(data.removeprefix(_BYTE_ORDER_MARK))
    if declared and declared[1].lower() not in _ENCODINGS:
        raise UnsafeXmlError(UnsafeXml.MALFORMED, "The document is not encoded in UTF-8")
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise UnsafeXmlError(UnsafeXml.DOCTYPE, "The document has a DOCTYPE; SAML messages never need one")
    try:
        data.decode()
        root = etree.fromstring(data, _parser())
    except (ValueError, etree.XMLSyntaxError) as problem:
        raise UnsafeXmlError(UnsafeXml.MALFORMED, f"The document is not well-formed XML: {problem}"[:300]) from problem
    if root.getroottree().docinfo.doctype:
        raise UnsafeXmlError(UnsafeXml.DOCTYPE, "The document has a DOCTYPE; SAML messages never need one")
    return root


def _parser() -> Any:
    return etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        no_network=True,
        huge_tree=False,
        recover=False,
        remove_comments=False,
        remove_pis=False,
    )


def parse_instant(text: str) -> datetime:
    """Return an ``xs:dateTime`` as an aware UTC instant; one without a zone is UTC (SAML core §1.3.3).

    Raises:
        ValueError: When it is not a date and time.
    """
    if not _INSTANT.fullmatch(text.strip()):
        raise ValueError(f"{text!r} is not a date and time")
    instant = datetime.fromisoformat(text.strip())
    # Both ends of the calendar are left free, so that a zone or a clock difference can always be added.
    if not _FIRST_YEAR <= instant.year <= _LAST_YEAR:
        raise ValueError(f"{text!r} is not a date and time of our age")
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def text_of(element: Any) -> str:
    """Return the element's text without surrounding white space of XML; "" when empty or with child elements.

    Other white space, such as one that does not break, stays: a name with it is another name.
    """
    if element is None or len(element):
        return ""
    return (element.text or "").strip(" \t\r\n")
