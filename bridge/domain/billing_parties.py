"""Who sells and who buys: what an invoice says of both, checked as e-invoices ask (EN 16931, BG-4 and BG-7)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

from bridge.domain.countries import COUNTRIES
from bridge.errors import InvalidInputError

MAX_TERMS_DAYS: Final = 365
MAX_MAILBOXES: Final = 5
MAX_LINES: Final = 3
_MAX_TEXT: Final = 200
_MAX_ADDRESS: Final = 254
#: Prefixes of VAT identifiers that are no country code: Greece, and Northern Ireland for goods (BR-CO-09).
_FURTHER_PREFIXES: Final = frozenset({"EL", "XI"})
_VAT_ID: Final = re.compile(r"[A-Z]{2}[A-Z0-9+*]{2,18}")
_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{10,30}")
_BIC: Final = re.compile(r"[A-Z]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?")
_MAIL: Final = re.compile(r"[^@\s,;<>\"]{1,64}@[^@\s.,;<>\"]+(\.[^@\s.,;<>\"]+)+")


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address; an empty part is one that is not known."""

    lines: tuple[str, ...] = ()
    postal_code: str = ""
    city: str = ""
    country: str = ""
    """ISO 3166-1, two letters."""

    def in_lines(self) -> tuple[str, ...]:
        """Write the address as it stands on a letter; the country by its code."""
        town = " ".join(part for part in (self.postal_code, self.city) if part)
        return tuple(part for part in (*self.lines, town, self.country) if part)


@dataclass(frozen=True, slots=True)
class Seller:
    """Who issues the invoices of this installation, as its configuration says.

    Attributes:
        vat_id: Without spaces, its country in front; empty for who is not registered for VAT.
        registration: Number in the register of companies, or the like.
        iban: Account that transfers go to; empty where none is asked for.
        note: A text at the end of every invoice.
    """

    name: str
    address: Address = Address()
    vat_id: str = ""
    registration: str = ""
    email: str = ""
    phone: str = ""
    iban: str = ""
    bic: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class BillingDetails:
    """What an organization's owners say of whom invoices are made out and sent to (rule B1); empty is not known.

    Attributes:
        legal_name: As the commercial register has it; the organization's own name where it is empty.
        purchase_order: The buyer's order number (BT-13).
        buyer_reference: What the buyer routes the invoice by (BT-10), a Leitweg-ID for example.
        cost_reference: The account that the buyer books it on (BT-19).
        mailboxes: Where invoices go as PDF (rule W8); with none they are downloaded.
        payment_terms_days: Days from the invoice's date to the day it is due; None for the seller's usual ones.
    """

    legal_name: str = ""
    address: Address = Address()
    vat_id: str = ""
    purchase_order: str = ""
    buyer_reference: str = ""
    cost_reference: str = ""
    mailboxes: tuple[str, ...] = ()
    payment_terms_days: int | None = None


_ADDRESS_FIELDS: Final = tuple(field.name for field in fields(Address))
#: What can be set of billing details, by name; the parts of the address among the others.
FIELDS: Final = (
    "legal_name",
    *_ADDRESS_FIELDS,
    *(field.name for field in fields(BillingDetails) if field.name not in {"legal_name", "address"}),
)


def flat(details: BillingDetails) -> dict[str, Any]:
    """Return billing details field by field, as :func:`changed` takes them."""
    document = asdict(details)
    document |= document.pop("address")
    return {name: list(document[name]) if isinstance(document[name], tuple) else document[name] for name in FIELDS}


def changed(details: BillingDetails, changes: Mapping[str, object]) -> BillingDetails:
    """Return billing details with some fields set anew; an empty value or None clears one.

    Raises:
        InvalidInputError: A field is not known or its value is not possible; the field is named.
    """
    for name in changes:
        if name not in FIELDS:
            raise InvalidInputError(str(name), f"is not known; billing details have {', '.join(FIELDS)}")
    values: dict[str, Any] = {name: _checked(name, value) for name, value in changes.items()}
    address = {name: values.pop(name) for name in _ADDRESS_FIELDS if name in values}
    return replace(details, address=replace(details.address, **address), **values)


def check_seller(seller: Seller) -> Seller:
    """Refuse a seller that no invoice could name.

    Raises:
        InvalidInputError: The field is named, as the configuration calls it.
    """
    _text("name", seller.name)
    iban, bic = _squeezed(seller.iban), _squeezed(seller.bic)
    if iban and not is_iban(iban):
        raise InvalidInputError("iban", f"{seller.iban!r} is no IBAN: its check digits do not fit")
    if bic and not _BIC.fullmatch(bic):
        raise InvalidInputError("bic", f"{seller.bic!r} is no BIC of 8 or 11 characters")
    if seller.email:
        _mail("email", seller.email)
    address = replace(
        seller.address,
        lines=_lines("street", seller.address.lines),
        country=_country("country", seller.address.country),
    )
    return replace(seller, address=address, vat_id=_vat_id("vat_id", seller.vat_id), iban=iban, bic=bic)


def is_iban(text: str) -> bool:
    """Tell whether a text is an IBAN, by its check digits (ISO 13616: 97 leaves 1)."""
    if not _IBAN.fullmatch(text):
        return False
    return int("".join(str(int(letter, 36)) for letter in text[4:] + text[:4])) % 97 == 1


def seller_to_document(seller: Seller) -> dict[str, Any]:
    """Return a seller as JSON values."""
    return asdict(seller)


def seller_from_document(document: Mapping[str, Any]) -> Seller:
    """Read a seller back from JSON values."""
    return Seller(**{**document, "address": _address(document["address"])})


def details_to_document(details: BillingDetails) -> dict[str, Any]:
    """Return billing details as JSON values."""
    return asdict(details)


def details_from_document(document: Mapping[str, Any]) -> BillingDetails:
    """Read billing details back from JSON values."""
    values = {**document, "address": _address(document["address"]), "mailboxes": tuple(document["mailboxes"])}
    return BillingDetails(**values)


def _address(document: Mapping[str, Any]) -> Address:
    return Address(**{**document, "lines": tuple(document["lines"])})


def _checked(name: str, value: object) -> object:
    if name == "payment_terms_days":
        return _days(name, value)
    if name in {"lines", "mailboxes"}:
        if value is None or value == "":
            return ()
        if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
            raise InvalidInputError(name, "must be a list of texts")
        return _lines(name, value) if name == "lines" else _mailboxes(name, value)
    if value is not None and not isinstance(value, str):
        raise InvalidInputError(name, "must be a text")
    text = _text(name, value or "")
    return {"country": _country, "vat_id": _vat_id}.get(name, _text)(name, text)


def _text(name: str, value: str) -> str:
    text = value.strip()
    if len(text) > _MAX_TEXT or not text.isprintable():
        raise InvalidInputError(name, f"must be at most {_MAX_TEXT} printable characters on one line")
    return text


def _lines(name: str, values: Sequence[str]) -> tuple[str, ...]:
    lines = tuple(line for value in values if (line := _text(name, value)))
    if len(lines) > MAX_LINES:
        raise InvalidInputError(name, f"has {len(lines)} lines; an address has at most {MAX_LINES} before the town")
    return lines


def _mailboxes(name: str, values: Sequence[str]) -> tuple[str, ...]:
    boxes = tuple(dict.fromkeys(_mail(name, value.strip()) for value in values))
    if len(boxes) > MAX_MAILBOXES:
        raise InvalidInputError(name, f"{len(boxes)} mailboxes; at most {MAX_MAILBOXES} are possible")
    return boxes


def _mail(name: str, value: str) -> str:
    if len(value) > _MAX_ADDRESS or not _MAIL.fullmatch(value) or not value.isprintable() or not value.isascii():
        raise InvalidInputError(name, f"{value!r} is no mail address such as invoices@example.com")
    return value


def _country(name: str, value: str) -> str:
    code = value.strip().upper()
    if code and code not in COUNTRIES:
        hint = {"UK": ": the United Kingdom is GB", "EL": ": Greece is GR"}.get(code, " such as SE")
        raise InvalidInputError(name, f"{value!r} is no ISO 3166-1 country code of two letters{hint}")
    return code


def _vat_id(name: str, value: str) -> str:
    text = re.sub(r"[\s.\-]", "", value).upper()
    if text and (not _VAT_ID.fullmatch(text) or text[:2] not in COUNTRIES | _FURTHER_PREFIXES):
        raise InvalidInputError(
            name, f"{value!r} is no VAT identifier with its country in front, such as SE556000000001"
        )
    return text


def _days(name: str, value: object) -> int | None:
    if value is None or value == "":
        return None
    days = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
    if not isinstance(days, int) or isinstance(days, bool) or not 0 <= days <= MAX_TERMS_DAYS:
        raise InvalidInputError(name, f"must be a whole number of days from 0 to {MAX_TERMS_DAYS}")
    return days


def _squeezed(text: str) -> str:
    return re.sub(r"\s", "", text).upper()
