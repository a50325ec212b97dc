"""What a PATCH says of a group's members, added up to one change: what is asked for last counts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scim2_models.path import CompareOperator, Comparison, FilterNode


@dataclass(slots=True)
class MembersDelta:
    """One change of a group's members.

    Attributes:
        added: Values to add, in order, each once.
        removed: Values to remove, in order, each once.
        whole: The whole new membership before the others are added and removed; None where it is none.
    """

    added: dict[str, None] = field(default_factory=dict)
    removed: dict[str, None] = field(default_factory=dict)
    whole: list[str] | None = None

    def add(self, values: Iterable[str]) -> None:
        """Let members in."""
        for value in values:
            self.removed.pop(value, None)
            self.added[value] = None

    def remove(self, values: Iterable[str]) -> None:
        """Take members out."""
        for value in values:
            self.added.pop(value, None)
            self.removed[value] = None

    def replace(self, values: list[str]) -> None:
        """Let these be all, whatever was said before."""
        self.whole, self.added, self.removed = values, {}, {}

    @property
    def pending(self) -> list[str]:
        """Whom the change lets in, or lets stay where it is the whole membership."""
        return list(self.added) if self.replacement is None else self.replacement

    @property
    def replacement(self) -> list[str] | None:
        """The whole new membership; None where others than those named stay."""
        if self.whole is None:
            return None
        return [value for value in self.whole if value not in self.removed] + list(self.added)


def named_member(val_filter: FilterNode) -> str | None:
    """Return the one member that a filter names by its value, ``value eq "..."``; None for any other filter."""
    if not isinstance(val_filter, Comparison) or val_filter.op != CompareOperator.eq:
        return None
    path = val_filter.attr_path
    plain = path.uri is None and path.sub_attr is None and path.attr.casefold() == "value"
    return val_filter.value if plain and isinstance(val_filter.value, str) else None


def members_delta(operations: Iterable[Mapping[str, Any]]) -> MembersDelta | None:
    """Add up plain operations (:func:`scim.normalize.patch`) that are about members only, without the library's models.

    Ten thousand members are ten thousand models otherwise.

    Returns:
        None where an operation is about anything else, selects members by a filter, or is not understood here: the
        models then say what it is.
    """
    delta = MembersDelta()
    for operation in operations:
        path, verb, value = operation.get("path"), operation.get("op"), operation.get("value")
        if not isinstance(path, str) or path.casefold() != "members":
            return None
        if verb == "remove" and "value" not in operation:
            delta.replace([])
            continue
        if not isinstance(value, list) or verb not in {"add", "remove", "replace"}:
            return None
        values = [entry["value"] for entry in value]
        if verb == "add":
            delta.add(values)
        elif verb == "remove":
            delta.remove(values)
        else:
            delta.replace(values)
    return delta
