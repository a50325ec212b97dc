"""Fields of a document that somebody else wrote: each is checked, and a refusal names it by its path."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

ValueT = TypeVar("ValueT")
ChoiceT = TypeVar("ChoiceT", bound=StrEnum)
#: More than any amount or count that means something, and what a column holds.
MOST = 10**15
#: Of one tier; nobody sells more.
MOST_SEATS = 10**6
#: Years that an instant may lie in: further out, time zones and the length of a month cannot be computed any more.
FIRST_YEAR, LAST_YEAR = 1970, 2999
LONGEST = 2000
LONGEST_ID = 200
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
#: Line ends, tabs, and the spaces that amounts are written with in many languages.
_SPACES = re.compile(r"[\n\t\u00A0\u2000-\u200A\u202F\u205F\u3000]")
_NAME = re.compile(r"[\w .-]{1,60}", re.ASCII)


class FieldError(ValueError):
    """A field that is not as it should be.

    Attributes:
        path: Its names from the outside in; the place in a list is a number, counted from 0.
        problem: What it must be, to stand behind its name.
    """

    def __init__(self, path: tuple[str, ...], problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(f"{'.'.join(path) or 'the document'} {problem}")


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Put a name before that of every field which is refused within the block."""
    try:
        yield
    except FieldError as error:
        # The names of an object's own keys are the writer's: what reads like no name is not repeated.
        told = name if _NAME.fullmatch(name) else "?"
        raise FieldError((told, *error.path), error.problem) from None


def as_object(value: object) -> Mapping[str, Any]:
    """Return the fields of an object."""
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return value
    raise FieldError((), "must be an object")


def an_object(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return an object that stands in a field."""
    return within(fields, name, as_object)


def within(fields: Mapping[str, Any], name: str, read: Callable[[Any], ValueT]) -> ValueT:
    """Read what stands in a field."""
    with inside(name):
        return read(fields.get(name))


def each(fields: Mapping[str, Any], name: str, read: Callable[[Any], ValueT]) -> dict[str, ValueT]:
    """Read every value of an object that stands in a field."""
    found = {}
    with inside(name):
        for key, value in as_object(fields.get(name)).items():
            with inside(key):
                found[key] = read(value)
    return found


def listed(fields: Mapping[str, Any], name: str, read: Callable[[Any], ValueT]) -> tuple[ValueT, ...]:
    """Read every item of a list that stands in a field."""
    values = fields.get(name)
    if not isinstance(values, list):
        raise FieldError((name,), "must be a list")
    found = []
    for place, value in enumerate(values):
        with inside(name), inside(str(place)):
            found.append(read(value))
    return tuple(found)


def null_or(fields: Mapping[str, Any], name: str, read: Callable[[Any], ValueT]) -> ValueT | None:
    """Read what stands in a field that may be null and must be there: left out, it would be taken for nothing."""
    if name not in fields:
        raise FieldError((name,), "must be there, and null where there is none")
    return None if fields[name] is None else within(fields, name, read)


def maybe(fields: Mapping[str, Any], name: str, read: Callable[[Mapping[str, Any], str], ValueT]) -> ValueT | None:
    """Read a field that may be missing or null."""
    return None if fields.get(name) is None else read(fields, name)


def as_text(value: object) -> str:
    """Return a text that people read: of some length, and of characters that print, line ends and tabs."""
    if isinstance(value, str) and 0 < len(value) <= LONGEST and _SPACES.sub("", value).isprintable():
        return value
    raise FieldError((), f"must be a text of 1 to {LONGEST} characters")


def text(fields: Mapping[str, Any], name: str) -> str:
    """Return a text."""
    return within(fields, name, as_text)


def identifier(fields: Mapping[str, Any], name: str) -> str:
    """Return a text that is kept as a name of something, and stands in one line."""
    value = text(fields, name)
    if len(value) > LONGEST_ID:
        raise FieldError((name,), f"must have at most {LONGEST_ID} characters")
    if "\n" in value or "\t" in value:
        raise FieldError((name,), "must be one line without tabs")
    return value


def text_or_nothing(fields: Mapping[str, Any], name: str) -> str:
    """Return a text; an empty one for a field that is missing, null or empty."""
    return "" if fields.get(name) in (None, "") else text(fields, name)


def choice(fields: Mapping[str, Any], name: str, choices: type[ChoiceT]) -> ChoiceT:
    """Return one of a set of words."""
    value = fields.get(name)
    if isinstance(value, str) and value in set(choices):
        return choices(value)
    raise FieldError((name,), f"must be {', '.join(choices)}")


def as_number(value: object) -> int:
    """Return a whole number."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MOST:
        return value
    raise FieldError((), "must be a whole number")


def number(fields: Mapping[str, Any], name: str) -> int:
    """Return a whole number."""
    return within(fields, name, as_number)


def as_count(value: object) -> int:
    """Return a whole number from 0 on."""
    if as_number(value) < 0:
        raise FieldError((), "must not be negative")
    return as_number(value)


def count(fields: Mapping[str, Any], name: str) -> int:
    """Return a whole number from 0 on."""
    return within(fields, name, as_count)


def seats(fields: Mapping[str, Any], name: str) -> int:
    """Return a number of seats."""
    value = count(fields, name)
    if value > MOST_SEATS:
        raise FieldError((name,), f"must be at most {MOST_SEATS:,}")
    return value


def flag(fields: Mapping[str, Any], name: str) -> bool:
    """Return true or false."""
    value = fields.get(name)
    if isinstance(value, bool):
        return value
    raise FieldError((name,), "must be true or false")


def currency(fields: Mapping[str, Any]) -> str:
    """Return the field ``currency``."""
    code = text(fields, "currency")
    if _CURRENCY.fullmatch(code):
        return code
    raise FieldError(("currency",), "must be a code of ISO 4217")


def instant(fields: Mapping[str, Any], name: str) -> datetime:
    """Return an instant (RFC 3339), in UTC."""
    value = fields.get(name)
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) and _INSTANT.fullmatch(value) else None
    except ValueError:
        found = None
    if found is None:
        raise FieldError((name,), "must be an instant with its offset, as 2026-03-02T09:00:00Z")
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise FieldError((name,), f"must be in the years {FIRST_YEAR} to {LAST_YEAR}")
    return found.astimezone(UTC)


def instant_text(value: datetime) -> str:
    """Write an instant."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
