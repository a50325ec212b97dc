"""The character encodings that spreadsheets save text in, told apart by their bytes."""

import codecs
from dataclasses import dataclass

_MARKS = (
    (codecs.BOM_UTF8, "utf-8", "UTF-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16"),
)
_SAMPLE_BYTES = 400


@dataclass(frozen=True, slots=True)
class DecodedText:
    """A file's text.

    Attributes:
        encoding: As people call it.
        guessed: Nothing in the file says so: other encodings would have read it too, as other letters.
    """

    text: str
    encoding: str
    guessed: bool = False


def decode(raw: bytes) -> DecodedText | None:
    """Read a file's bytes as UTF-8, UTF-16 or else Windows-1252; None when it is none of them.

    A mark at the beginning decides; then the zero bytes of UTF-16; then whether it is possible UTF-8, which other text
    hardly ever is.
    """
    for mark, codec, name in _MARKS:
        if raw.startswith(mark):
            return _read(raw[len(mark) :], codec, name)
    sample = raw[:_SAMPLE_BYTES]
    if b"\x00" in sample:
        even, odd = sample[0::2].count(0), sample[1::2].count(0)
        if max(even, odd) <= len(sample) // 8:  # a stray NUL: in UTF-16 every other byte of a header is zero
            return None
        return _read(raw, "utf-16-le" if odd > even else "utf-16-be", "UTF-16")
    return _read(raw, "utf-8", "UTF-8") or _read(raw, "cp1252", "Windows-1252", guessed=True)


def _read(raw: bytes, codec: str, name: str, *, guessed: bool = False) -> DecodedText | None:
    try:
        return DecodedText(raw.decode(codec), name, guessed)
    except UnicodeDecodeError:
        return None
