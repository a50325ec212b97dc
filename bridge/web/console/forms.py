"""Reading forms and addresses: text in, typed values out, refusals named by their field."""

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from werkzeug.datastructures import MultiDict

from bridge.domain.identifiers import parse_id
from bridge.errors import InvalidInputError, NotFoundError
from mappings.documents import MAX_RULES, SCHEMA

GROUP = "group"
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
    """One row of the mapping editor, as text; ``about`` is "group" or the name of an attribute."""

    key: str = ""
    about: str = GROUP
    value: str = ""
    tier: str = ""
    on_exhausted: str = ""
    role: str = ""
    teams: str = ""

    def to_document(self) -> dict[str, Any]:
        """Return the rule as the mapping document has it."""
        rule: dict[str, Any] = (
            {GROUP: self.value} if self.about == GROUP else {"attribute": self.about, "equals": self.value}
        )
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

    def to_document(self) -> dict[str, Any]:
        """Return the draft as a mapping document."""
        return {
            "schema": SCHEMA,
            "on_exhausted": self.on_exhausted,
            "default": self.default,
            "rules": [rule.to_document() for rule in self.rules],
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


def parse_mapping_form(form: MultiDict[str, str]) -> MappingForm:
    """Read the editor; every row sends every field, so that the n-th of each belong together."""
    names = ("key", "about", "value", "tier", "on_exhausted", "role", "teams")
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
                about=rule.get("attribute", GROUP),
                value=rule.get("equals", rule.get("group", "")),
                tier=rule.get("tier", ""),
                on_exhausted=rule.get("on_exhausted", ""),
                role=rule.get("role", ""),
                teams=", ".join(rule.get("teams", ())),
            )
            for rule in document["rules"]
        ),
        on_exhausted=document["on_exhausted"],
        default=document["default"],
    )
