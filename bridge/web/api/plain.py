"""Facts of a use case as a document: dataclasses as objects, instants, identifiers and fractions as text."""

from typing import Any, Final

from pydantic import TypeAdapter

_ANYTHING: Final = TypeAdapter(Any)


def plain(value: object) -> dict[str, Any]:
    """Return facts in JSON values, under the names that the use case has for them."""
    told: dict[str, Any] = _ANYTHING.dump_python(value, mode="json", fallback=str)
    return told
