"""Showing a part of a resource straight from its document, where names of whole attributes say which part."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from scim2_models import Resource, ResponseParameters

#: What every representation has (RFC 7643 §3 and §3.1).
_ALWAYS = frozenset({"schemas", "id"})


@dataclass(frozen=True, slots=True)
class Part:
    """Which attributes of a document show: only these, or all but these; names are folded."""

    names: frozenset[str]
    excluded: bool

    def of(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return the part of a whole representation; ``schemas`` names the extensions that are in it."""
        if not self.names:
            return document
        part = {
            name: value
            for name, value in document.items()
            if name in _ALWAYS or (name.casefold() in self.names) is not self.excluded
        }
        part["schemas"] = [urn for urn in document["schemas"] if urn in part or urn not in document]
        return part


def part_of(parameters: ResponseParameters[Any] | None, model: type[Resource[Any]]) -> Part | None:
    """Return the part that ``attributes`` or ``excludedAttributes`` choose (RFC 7644 §3.9).

    None when a sub-attribute, an extension or something unknown is named: those are chosen through the model. A name
    of an attribute does not ask for its parts that show on request only, so nothing is missing here.
    """
    if parameters is None or not (parameters.attributes or parameters.excluded_attributes):
        return Part(frozenset(), excluded=True)
    names = {str(path).casefold() for path in parameters.attributes or parameters.excluded_attributes or ()}
    if not names <= _whole_attributes(model):
        return None
    return Part(frozenset(names), excluded=not parameters.attributes)


@cache
def _whole_attributes(model: type[Resource[Any]]) -> frozenset[str]:
    """Name the attributes of a model's own schema, folded."""
    names = (field.serialization_alias or name for name, field in model.model_fields.items())
    return frozenset(name.casefold() for name in names if ":" not in name)
