import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import ConfigurationError
from bridge.store.secrets import SecretBox

OLD, NEW = b"\x01" * 32, b"\x02" * 32


@given(plaintext=st.binary(max_size=300), bound_to=st.text(max_size=40))
def test_what_is_sealed_opens_for_the_same_place_only(plaintext: bytes, bound_to: str) -> None:
    box = SecretBox([NEW])
    sealed = box.seal(plaintext, bound_to=bound_to)

    assert box.open(sealed, bound_to=bound_to) == plaintext
    with pytest.raises(ValueError, match="belongs to another place"):
        box.open(sealed, bound_to=bound_to + "x")


def test_the_same_secret_is_sealed_differently_each_time() -> None:
    box = SecretBox([NEW])

    assert box.seal(b"secret", bound_to="a") != box.seal(b"secret", bound_to="a")


@given(position=st.integers(min_value=0, max_value=38), bit=st.integers(min_value=0, max_value=7))
def test_a_single_changed_bit_is_noticed(position: int, bit: int) -> None:
    box = SecretBox([NEW])
    sealed = bytearray(box.seal(b"secret", bound_to="a"))  # 1 + 4 + 12 + 6 + 16 = 39 bytes
    sealed[position] ^= 1 << bit

    with pytest.raises((ValueError, ConfigurationError)):
        box.open(bytes(sealed), bound_to="a")


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x02" * 60, b"\x01" * 17])
def test_a_damaged_value_is_refused(sealed: bytes) -> None:
    with pytest.raises(ValueError, match="damaged"):
        SecretBox([NEW]).open(sealed, bound_to="a")


def test_after_a_rotation_old_values_still_open_and_say_that_they_are_old() -> None:
    sealed = SecretBox([OLD]).seal(b"secret", bound_to="a")
    rotated = SecretBox([NEW, OLD])

    resealed = rotated.seal(rotated.open(sealed, bound_to="a"), bound_to="a")

    assert rotated.needs_rotation(sealed)
    assert not rotated.needs_rotation(resealed)
    assert SecretBox([NEW]).open(resealed, bound_to="a") == b"secret"


def test_a_value_of_a_key_that_was_removed_names_the_missing_key() -> None:
    sealed = SecretBox([OLD]).seal(b"secret", bound_to="connection:7")

    with pytest.raises(ConfigurationError, match=SecretBox([OLD]).key_ids()[0]):
        SecretBox([NEW]).open(sealed, bound_to="connection:7")


def test_each_purpose_has_its_own_key() -> None:
    box = SecretBox([NEW])

    derived = {box.derive(purpose) for purpose in ("session", "audit", "csrf")}

    assert len(derived) == 3
    assert {len(key) for key in derived} == {32}
    assert box.derive("session") == SecretBox([NEW]).derive("session")


def test_a_signature_made_before_a_rotation_still_verifies() -> None:
    signed = hmac.digest(SecretBox([OLD]).derive("audit"), b"entry", "sha256")
    rotated = SecretBox([NEW, OLD])

    assert rotated.verify("audit", b"entry", signed)
    assert not rotated.verify("audit", b"other entry", signed)
    assert not rotated.verify("session", b"entry", signed)


@pytest.mark.parametrize("keys", [[], [b"short"], [NEW, b"short"]])
def test_a_box_without_a_proper_key_is_refused(keys: list[bytes]) -> None:
    with pytest.raises(ConfigurationError, match="at least one key of 32 bytes"):
        SecretBox(keys)
