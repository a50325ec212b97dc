"""Reading what a provisioning client sent: strict JSON within limits, so that no body can hurt or be read two ways."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from scim2_models import InvalidFilterException, InvalidSyntaxException, InvalidValueException

MAX_DEPTH = 32
MAX_TEXT = 1024
MAX_USER_NAME = 255
MAX_CERTIFICATE = 16_384
#: What is kept of one person or group, members apart.
MAX_DOCUMENT_BYTES = 262_144
MAX_VALUES = 1000
MAX_MEMBERS = 10_000
MAX_FILTER_BYTES = 8192
MAX_FILTER_TERMS = 300
MAX_FILTER_DEPTH = 40

_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_STRUCTURE = re.compile(r'[\[\]{}]|"(?:[^"\\]|\\.)*"')
_LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"')
_NO_VALUE = "The filter contains a character that no value can have (NUL, or half a character)"
_MAX_DIGITS = 100
_TERM_OPERATORS = frozenset({"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "pr"})


def parse_json(body: bytes) -> Any:
    """Read a JSON body (RFC 8259) and refuse what could be read in two ways.

    Args:
        body: UTF-8.

    Raises:
        InvalidSyntaxException: Not JSON, not UTF-8, nested deeper than 32, NaN or infinite numbers, or one name twice
            in an object (names are compared without case, RFC 7643 §2.1).
        InvalidValueException: A text with NUL or half a character, or one that is too long; a list that is too long.
        InvalidFilterException: A filter with NUL or half a character.
    """
    try:
        text = body.decode("utf-8-sig")
        _check_depth(text)
        value = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite, parse_int=_integer
        )
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise InvalidSyntaxException(detail="The body is not a JSON document in UTF-8") from None
    _check(value, "")
    return value


def checked_text(text: str, limit: int = MAX_TEXT, *, name: str = "value") -> str:
    """Return a text that the database can hold and a page can show; refuse any other."""
    if "\x00" in text:
        raise InvalidValueException(detail=f"{name}: a text must not contain the NUL character")
    if _HALF_CHARACTER.search(text):
        raise InvalidValueException(detail=f"{name}: a text contains half a character (a lone surrogate)")
    if len(text) > limit:
        raise InvalidValueException(detail=f"{name}: a text is longer than {limit} characters")
    return text


def check_filter(text: str) -> None:
    """Refuse a filter that costs more to read than any honest one (8 kB, 300 terms).

    Raises:
        InvalidFilterException: The filter is too long, has too many terms or is nested too deeply.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_FILTER_BYTES:
        raise InvalidFilterException(detail=f"The filter is longer than {MAX_FILTER_BYTES} bytes")
    check_filter_value(text)
    _check_literals(text)
    bare = _LITERAL.sub('""', text)
    words = bare.lower().replace("(", " ( ").replace(")", " ) ").split()
    if sum(word in _TERM_OPERATORS for word in words) > MAX_FILTER_TERMS:
        raise InvalidFilterException(detail=f"The filter has more than {MAX_FILTER_TERMS} terms")
    depth = deepest = 0
    for character in bare:
        depth += (character in "([") - (character in ")]")
        deepest = max(deepest, depth)
    if deepest > MAX_FILTER_DEPTH:
        raise InvalidFilterException(detail=f"The filter is nested deeper than {MAX_FILTER_DEPTH}")


def _check_literals(text: str) -> None:
    """Refuse characters that only show once a quoted value is read: its escapes are those of JSON."""
    for literal in _LITERAL.findall(text):
        try:
            value = json.loads(literal)
        except ValueError:
            continue  # No value: the grammar refuses it.
        check_filter_value(value)


def check_filter_value(value: str) -> None:
    """Refuse a value of a filter that no text in the database can equal."""
    if "\x00" in value or _HALF_CHARACTER.search(value):
        raise InvalidFilterException(detail=_NO_VALUE)


def _check_depth(text: str) -> None:
    """Count brackets outside strings: the reader would use a stack frame for each."""
    depth = 0
    for token in _STRUCTURE.finditer(text):
        first = text[token.start()]
        if first in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise InvalidSyntaxException(detail=f"The body is nested deeper than {MAX_DEPTH}")
        elif first in "]}":
            depth -= 1


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(pairs) > 1 and len({name.casefold() for name in found}) != len(pairs):
        raise InvalidSyntaxException(detail="An object of the body has the same name twice")
    return found


def _no_constant(_name: str) -> NoReturn:
    raise InvalidSyntaxException(detail="NaN and Infinity are not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise InvalidSyntaxException(detail="A number of the body is out of range")
    return number


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise InvalidSyntaxException(detail="A number of the body is out of range")
    return int(text)


def _check(value: Any, name: str) -> None:
    if isinstance(value, str):
        certificate = name.casefold() == "x509certificates"
        filtering = name.casefold() in {"filter", "cursor"}
        limit = MAX_CERTIFICATE if certificate else MAX_FILTER_BYTES if filtering else MAX_TEXT
        if name.casefold() == "filter":
            check_filter_value(value)
        checked_text(value, limit, name=name or "body")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            checked_text(key, name="name of an attribute")
            _check(item, name if name.casefold() == "x509certificates" else key)
    elif isinstance(value, list):
        if len(value) > MAX_MEMBERS:
            raise InvalidValueException(detail=f"{name}: a list has more than {MAX_MEMBERS} entries")
        for item in value:
            _check(item, name)
