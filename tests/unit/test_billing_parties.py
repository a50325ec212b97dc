"""Who sells and who buys: what is taken, what is refused, and which VAT category follows."""

import pytest

from bridge.domain.billing_parties import (
    Address,
    BillingDetails,
    Seller,
    changed,
    check_seller,
    details_from_document,
    details_to_document,
    flat,
)
from bridge.domain.tax import TaxCategory, treat_tax
from bridge.errors import InvalidInputError

FRENCH = BillingDetails(address=Address(country="FR"), vat_id="FR12345678901")
SWISS = BillingDetails(address=Address(country="CH"), vat_id="CHE123456789")
SELLER = Seller("Seats AB", Address(("Storgatan 1",), "111 22", "Stockholm", "SE"), vat_id="SE556000000001")


def test_what_is_set_is_trimmed_and_written_the_usual_way() -> None:
    details = changed(
        BillingDetails(),
        {
            "legal_name": " Nordlys AS ",
            "country": "no",
            "vat_id": "no 999.888.777 mva",
            "lines": ["", "Havn 1"],
        },
    )

    assert details.legal_name == "Nordlys AS"
    assert details.address == Address(lines=("Havn 1",), country="NO")
    assert details.vat_id == "NO999888777MVA"


def test_what_is_not_named_stays_and_an_empty_value_clears() -> None:
    before = BillingDetails(legal_name="Nordlys AS", purchase_order="PO 1", mailboxes=("a@nordlys.test",))

    after = changed(before, {"purchase_order": "", "mailboxes": None})

    assert after == BillingDetails(legal_name="Nordlys AS")


def test_details_come_back_from_their_document_as_they_went_in() -> None:
    details = BillingDetails("Nordlys AS", Address(("a", "b"), "1", "Oslo", "NO"), mailboxes=("a@b.test",))

    assert details_from_document(details_to_document(details)) == details
    assert changed(BillingDetails(), flat(details)) == details


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"vat": "SE1"}, "vat: is not known; billing details have legal_name"),
        ({"country": "UK"}, "the United Kingdom is GB"),
        ({"country": "Sweden"}, "no ISO 3166-1 country code"),
        ({"vat_id": "556000000001"}, "no VAT identifier with its country in front"),
        ({"mailboxes": ["not an address"]}, "mailboxes: 'not an address' is no mail address"),
        ({"mailboxes": ["a@b.test, c@d.test"]}, "is no mail address"),
        ({"mailboxes": [f"a{n}@b.test" for n in range(6)]}, "6 mailboxes; at most 5"),
        ({"mailboxes": "a@b.test"}, "mailboxes: must be a list of texts"),
        ({"payment_terms_days": 366}, "whole number of days from 0 to 365"),
        ({"payment_terms_days": True}, "whole number of days"),
        ({"legal_name": "a\nb"}, "printable characters on one line"),
        ({"legal_name": 7}, "legal_name: must be a text"),
        ({"lines": ["a", "b", "c", "d"]}, "lines: has 4 lines"),
    ],
)
def test_what_no_invoice_could_say_is_refused_by_its_field(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        changed(BillingDetails(), changes)

    assert problem in str(refused.value)


def test_an_iban_is_checked_by_its_digits_and_kept_without_spaces() -> None:
    taken = check_seller(Seller("Seats AB", iban="SE45 5000 0000 0583 9825 7466"))

    assert taken.iban == "SE4550000000058398257466"
    with pytest.raises(InvalidInputError, match="its check digits do not fit"):
        check_seller(Seller("Seats AB", iban="SE46 5000 0000 0583 9825 7466"))


@pytest.mark.parametrize(
    ("rate", "seller", "buyer", "category"),
    [
        # A rate is charged by the standard category, wherever the buyer is.
        ("0.25", SELLER, BillingDetails(), TaxCategory.STANDARD),
        ("0.25", SELLER, FRENCH, TaxCategory.STANDARD),
        # Without a VAT identifier nothing the seller does is subject to VAT.
        ("0", None, BillingDetails(), TaxCategory.OUT_OF_SCOPE),
        ("0", Seller("Seats AB"), BillingDetails(), TaxCategory.OUT_OF_SCOPE),
        # Both registered, in different countries: the buyer accounts for it.
        (
            "0",
            SELLER,
            BillingDetails(address=Address(country="FR"), vat_id="FR12345678901"),
            TaxCategory.REVERSE_CHARGE,
        ),
        ("0", SELLER, SWISS, TaxCategory.REVERSE_CHARGE),
        # A buyer outside the Union without an identifier.
        ("0", SELLER, BillingDetails(address=Address(country="US")), TaxCategory.OUT_OF_SCOPE),
        # At home, or not known where: a rate of nothing.
        ("0.00", SELLER, BillingDetails(address=Address(country="SE"), vat_id="SE556000000002"), TaxCategory.ZERO),
        ("0", SELLER, BillingDetails(), TaxCategory.ZERO),
    ],
)
def test_the_vat_category_follows_from_rate_seller_and_buyer(
    rate: str, seller: Seller | None, buyer: BillingDetails, category: TaxCategory
) -> None:
    assert treat_tax(rate, seller, buyer).category is category


def test_a_reverse_charge_says_so() -> None:
    assert treat_tax("0", SELLER, FRENCH).reason == "Reverse charge: the buyer accounts for the VAT"
