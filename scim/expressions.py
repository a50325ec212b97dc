"""Filters and paths as identity providers write them, brought into the one grammar of the standard."""

import json
import re
from collections.abc import Callable, Iterator

from bridge.domain.documents import ENTERPRISE
from scim.limits import check_filter

ENTERPRISE_NAMES = {
    name.casefold(): name
    for name in ("employeeNumber", "costCenter", "organization", "division", "department", "manager")
}
#: The enterprise URN, also as Microsoft's documentation misspells it, without its last colon.
ENTERPRISE_SPELLINGS = (ENTERPRISE.casefold(), ENTERPRISE.replace("2.0:User", "2.0User").casefold())
_OPERATORS = frozenset({"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"})
_LITERALS = frozenset({"true", "false", "null"})
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[()\[\]]|[^\s()\[\]"]+|\s+|"')


def filter_text(text: str, *, of_people: bool) -> str:
    """Bring a filter into the standard's form: values quoted, enterprise attributes by their full name.

    Raises:
        InvalidFilterException: It is longer or deeper than any honest filter.
    """
    check_filter(text)
    return "".join(_filter_tokens(_TOKEN.findall(text), of_people=of_people))


def path_text(text: str, *, of_people: bool) -> str:
    """Bring the path of an operation into the standard's form."""
    check_filter(text)
    text = text.strip().lstrip("/")
    if not of_people:
        return filter_text(text, of_people=False)
    for spelling in ENTERPRISE_SPELLINGS:
        if text.casefold().startswith(spelling):
            text = ENTERPRISE + text[len(spelling) :]
    head = re.match(r"[^.\[]*", text)
    name = head.group(0).casefold() if head else ""
    if name in ENTERPRISE_NAMES:
        text = f"{ENTERPRISE}:{ENTERPRISE_NAMES[name]}{text[len(name) :]}"
    selected = re.fullmatch(rf"({re.escape(ENTERPRISE)}:manager)\[.*\](\.\w+)?", text, re.IGNORECASE)
    if selected:
        return selected.group(1)
    return "".join(_quoted(_TOKEN.findall(text)))


def _filter_tokens(tokens: list[str], *, of_people: bool) -> Iterator[str]:
    """Rewrite the tokens of a filter; ``manager[...]`` becomes a group of comparisons, for a person has one."""
    rename: Callable[[str], str] = _long_name if of_people else str
    closing: list[str] = []
    prefix = ""
    for token in _quoted(tokens):
        if token == "[":  # noqa: S105 (a bracket, no secret)
            closing.append(")" if prefix else "]")
            yield "(" if prefix else token
        elif token == "]" and closing:  # noqa: S105 (a bracket, no secret)
            yield closing.pop()
            prefix = ""
        elif _is_name(token) and prefix and closing:
            yield f"{prefix}.{token}"
        elif _is_name(token) and not closing:
            renamed = rename(token)
            if renamed == f"{ENTERPRISE}:manager":
                prefix = renamed
                continue
            yield renamed
        else:
            if prefix and not closing and not token.isspace():
                # Compared or asked for as a whole: the id stands for it.
                yield f"{prefix} {token}" if token.casefold() == "pr" else f"{prefix}.value {token}"
                prefix = ""
                continue
            yield token


def _quoted(tokens: list[str]) -> Iterator[str]:
    """Put quotes around bare values; every value that is no truth is a text here."""
    expecting = False
    for token in tokens:
        if token.isspace():
            yield token
        elif expecting and not token.startswith('"') and not _is_bracket(token):
            expecting = False
            yield token if token.casefold() in _LITERALS else json.dumps(token)
        else:
            expecting = token.casefold() in _OPERATORS
            yield token


def _is_bracket(token: str) -> bool:
    return token in {"(", ")", "[", "]"}


def _is_name(token: str) -> bool:
    words = {"and", "or", "not", "pr"} | _OPERATORS | _LITERALS
    return token[:1].isalpha() and token.casefold() not in words


def _long_name(token: str) -> str:
    """Return the full name of an enterprise attribute, whatever short or misspelt name was used."""
    folded = token.casefold()
    for spelling in ENTERPRISE_SPELLINGS:
        if folded.startswith(f"{spelling}:"):
            folded, token = folded[len(spelling) + 1 :], token[len(spelling) + 1 :]
            name, dot, part = token.partition(".")
            return f"{ENTERPRISE}:{ENTERPRISE_NAMES.get(name.casefold(), name)}{dot}{part}"
    name, dot, part = token.partition(".")
    if name.casefold() in ENTERPRISE_NAMES:
        return f"{ENTERPRISE}:{ENTERPRISE_NAMES[name.casefold()]}{dot}{part}"
    return token
