"""Facts of a use case as a document: dataclasses as objects, instants, identifiers and fractions as text."""

from typing import Any

from pydantic_core import to_jsonable_python


def plain(value: object) -> dict[str, Any]:
    """Return facts in JSON values, under the names that the use case has for them."""
    told: dict[str, Any] = to_jsonable_python(value, fallback=str)
    return told
