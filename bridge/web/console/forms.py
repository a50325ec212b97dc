"""Reading forms and addresses: text in, typed values out, refusals named by their field."""

import json
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from werkzeug.datastructures import MultiDict

from bridge.domain.documents import comparison_key
from bridge.domain.identifiers import parse_id
from bridge.errors import InvalidInputError, NotFoundError
from mappings.condition_documents import ATTRIBUTE_FIELDS, Reader
from mappings.documents import MAX_RULES, SCHEMA, WHO_FIELDS

GROUP = "group"
EXPECTED = "expected"
#: Before the id of the connection that the group is to come from.
EXPECTED_FROM = "expected@"
WHEN = "when"
_LONGEST_NUMBER = 9
_LONGEST_ADDRESS = 254
_MAIL_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")


def identifier(kind: str, text: str) -> uuid.UUID:
    """Read an identifier of an address; one that cannot be ours is as unknown as one that is not."""
    value = parse_id(text)
    if value is None:
        raise NotFoundError(kind, text)
    return value


def whole_number(text: str | None, field: str, *, default: int = 0) -> int:
    """Read a whole number of at most nine digits, signed or not; nothing is the default."""
    cleaned = (text or "").strip().replace("−", "-")
    if not cleaned:
        return default
    digits = cleaned.removeprefix("-").removeprefix("+")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _LONGEST_NUMBER):
        raise InvalidInputError(field, f"must be a whole number of at most {_LONGEST_NUMBER} digits")
    return int(cleaned)


def mail_address(text: str | None, field: str) -> str:
    """Read one mail address; only its shape is checked."""
    address = (text or "").strip()
    if not _MAIL_ADDRESS.fullmatch(address) or len(address) > _LONGEST_ADDRESS:
        raise InvalidInputError(field, "must be one address such as name@example.com")
    return address


@dataclass(frozen=True, slots=True)
class RuleForm:
    """One row of the mapping editor, as text.

    Attributes:
        about: "group", "expected" for a group to come ("expected@" with the id of its connection), the name of an
            attribute, or "when" for conditions that the editor shows and does not change.
        value: The group, the attribute's value, or the conditions in words.
        kept: The whole rule as it was, as JSON: what the row does not show, and whom it speaks of while nobody
            changes that.
    """

    key: str = ""
    about: str = GROUP
    value: str = ""
    tier: str = ""
    on_exhausted: str = ""
    role: str = ""
    teams: str = ""
    kept: str = ""

    def to_document(self, groups: Mapping[str, Mapping[str, str]] = MappingProxyType({})) -> dict[str, Any]:
        """Return the rule as the mapping document has it.

        Args:
            groups: What stands for a group that has a namesake, by what the editor calls it.
        """
        kept = _read_kept(self.kept)
        if kept and self.about in {WHEN, _about(kept)} and (self.about == WHEN or self.value == _value(kept)):
            rule = {name: value for name, value in kept.items() if name in WHO_FIELDS}
        elif self.about in {GROUP, EXPECTED}:
            rule = dict(groups.get(self.value) or {GROUP: self.value})
            if self.about == EXPECTED:
                rule["expected"] = True
        elif self.about.startswith(EXPECTED_FROM):
            rule = {GROUP: self.value, "expected": True, "connection_id": self.about.removeprefix(EXPECTED_FROM)}
        else:
            rule = {"attribute": self.about, "equals": self.value}
        if "priority" in kept:
            rule["priority"] = kept["priority"]
        for name in ("key", "tier", "on_exhausted", "role"):
            if value := getattr(self, name):
                rule[name] = value
        teams = [team.strip() for team in self.teams.split(",") if team.strip()]
        if teams:
            rule["teams"] = teams
        return rule


@dataclass(frozen=True, slots=True)
class MappingForm:
    """The whole mapping editor: what it holds is the draft, nothing of it is stored."""

    rules: tuple[RuleForm, ...]
    on_exhausted: str
    default: str

    def to_document(self, groups: Mapping[str, Mapping[str, str]] = MappingProxyType({})) -> dict[str, Any]:
        """Return the draft as a mapping document; ``groups`` as for :meth:`RuleForm.to_document`."""
        return {
            "schema": SCHEMA,
            "on_exhausted": self.on_exhausted,
            "default": self.default,
            "rules": [rule.to_document(groups) for rule in self.rules],
        }

    def after(self, act: str) -> "MappingForm":
        """Return the draft after a button: ``add``, ``add:<group>``, ``remove:<n>``, ``up:<n>`` or ``down:<n>``."""
        verb, _, rest = act.partition(":")
        rules = list(self.rules)
        if verb == "add" and len(rules) < MAX_RULES:
            rules.append(RuleForm(value=rest))
        place = int(rest) if rest.isascii() and rest.isdigit() else -1
        if 0 <= place < len(rules):
            if verb == "remove":
                del rules[place]
            elif verb in {"up", "down"}:
                target = min(max(place + (1 if verb == "down" else -1), 0), len(rules) - 1)
                rules.insert(target, rules.pop(place))
        return replace(self, rules=tuple(rules))


@dataclass(frozen=True, slots=True)
class SavedAs:
    """The draft that the editor was opened with, and the name that it is to be saved under; empty for none."""

    name: str = ""
    opened: str = ""
    version: int = 0

    @property
    def expected(self) -> int:
        """The version that a draft of this name must have, so that nobody's work is lost; 0 for a new one."""
        return self.version if self.name and comparison_key(self.name) == comparison_key(self.opened) else 0


def parse_saved_as(form: Mapping[str, str]) -> SavedAs:
    """Read what the editor says of the draft."""
    version = whole_number(form.get("draft.version"), "draft")
    return SavedAs(form.get("draft.name", "").strip(), form.get("draft.opened", ""), version)


def _about(rule: Mapping[str, Any]) -> str:
    if "connection_id" in rule and GROUP not in rule:
        return WHEN
    if GROUP in rule:
        if not rule.get("expected"):
            return GROUP
        return f"{EXPECTED_FROM}{rule['connection_id']}" if "connection_id" in rule else EXPECTED
    return str(rule["attribute"]) if "equals" in rule else WHEN


def _value(rule: Mapping[str, Any]) -> str:
    if _about(rule) != WHEN:
        return str(rule.get("equals", rule.get(GROUP, "")))
    reader = Reader(None)
    said = rule.get("when", {name: value for name, value in rule.items() if name in ATTRIBUTE_FIELDS})
    words = str(reader.condition("when", said))
    return f"{words} in {rule['connection']}" if "connection" in rule else words


def _read_kept(text: str) -> dict[str, Any]:
    if not text:
        return {}
    try:
        kept = json.loads(text)
    except ValueError:
        kept = None
    if not isinstance(kept, dict):
        raise InvalidInputError("rules", "a row cannot be read: open the page again")
    return kept


def parse_mapping_form(form: MultiDict[str, str]) -> MappingForm:
    """Read the editor; every row sends every field, so that the n-th of each belong together."""
    names = ("key", "about", "value", "tier", "on_exhausted", "role", "teams", "kept")
    columns = [form.getlist(f"rule.{name}")[:MAX_RULES] for name in names]
    if len({len(column) for column in columns}) > 1:
        raise InvalidInputError("rules", "some rows are incomplete: open the page again")
    rows: Iterable[tuple[str, ...]] = zip(*columns, strict=True)
    return MappingForm(
        rules=tuple(RuleForm(*(value.strip() for value in row)) for row in rows),
        on_exhausted=form.get("on_exhausted", ""),
        default=form.get("default", ""),
    )


def mapping_form_of(document: dict[str, Any]) -> MappingForm:
    """Fill the editor with the rules in force."""
    return MappingForm(
        rules=tuple(
            RuleForm(
                key=rule.get("key", ""),
                about=_about(rule),
                value=_value(rule),
                tier=rule.get("tier", ""),
                on_exhausted=rule.get("on_exhausted", ""),
                role=rule.get("role", ""),
                teams=", ".join(rule.get("teams", ())),
                kept=json.dumps(rule, ensure_ascii=False, separators=(",", ":")),
            )
            for rule in document["rules"]
        ),
        on_exhausted=document["on_exhausted"],
        default=document["default"],
    )
