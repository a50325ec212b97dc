"""Addresses of applications, and which key signs when: rules without a database."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.domain.app_addresses import checked_address
from bridge.errors import InvalidInputError
from bridge.usecases.signing_keys import StoredKey, ring_of

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    "address",
    [
        "https://app.example.com/callback",
        "https://app.example.com:8443/callback?from=seatbridge",
        "http://127.0.0.1:5000/callback",
        "http://[::1]:5000/callback",
        "http://localhost/callback",
    ],
)
def test_an_address_is_kept_byte_for_byte(address: str) -> None:
    assert checked_address("redirect_uri", address) == address


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://app.example.com/callback", "must begin with https"),
        ("http://127.0.0.1.evil.test/", "must begin with https"),
        ("ftp://127.0.0.1/", "must begin with https"),
        ("javascript:alert(1)", "needs a host name"),
        ("//app.example.com/", "must begin with https"),
        ("https://*.example.com/", "has a star"),
        ("https://app.example.com/#", "has a fragment"),
        ("https://user@app.example.com/", "no user name"),
        ("https://app.example.com:x/", "is not an address"),
        ("https://app.example.com/a b", "escape what is not plain"),
        ("https://app.exämple.com/", "escape what is not plain"),
        ("https:///callback", "needs a host name"),
        ("", "at most 2000"),
        (f"https://app.example.com/{'a' * 2000}", "at most 2000"),
    ],
)
def test_what_is_no_safe_address_is_refused_with_the_reason(address: str, why: str) -> None:
    with pytest.raises(InvalidInputError, match=why):
        checked_address("redirect_uri", address)


def key(name: str, signs_from: datetime, revoked_at: datetime | None = None) -> StoredKey:
    return StoredKey(name, b"", {}, signs_from, revoked_at)


def test_a_new_key_is_published_a_day_before_it_signs_and_the_old_one_a_day_longer() -> None:
    keys = [key("old", AT - 90 * DAY), key("new", AT + DAY)]

    moments = [ring_of(keys, AT + days * DAY) for days in (0, 0.9, 1, 1.9, 2)]

    assert [ring.signing and ring.signing.id for ring in moments] == ["old", "old", "new", "new", "new"]
    assert [[one.id for one in ring.published] for ring in moments] == [
        ["old", "new"],
        ["old", "new"],
        ["old", "new"],
        ["old", "new"],
        ["new"],
    ]


def test_a_revoked_key_neither_signs_nor_is_published() -> None:
    ring = ring_of([key("known", AT - DAY, revoked_at=AT), key("fresh", AT)], AT)

    assert ring.signing is not None
    assert (ring.signing.id, [one.id for one in ring.published]) == ("fresh", ["fresh"])


def test_before_the_first_application_there_is_no_key() -> None:
    ring = ring_of([], AT)

    assert (ring.signing, ring.published) == (None, ())
