"""What may be kept of a request: secrets leave its body and its query before anything is stored.

Names, addresses and groups stay: whoever runs the directory must be able to read what it really sent.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus, unquote_plus

REDACTED = "[redacted]"
#: How the note begins that stands for a body that is no JSON.
NOT_KEPT = "not kept, for it is no JSON"
#: So much of a body is kept, in bytes of UTF-8.
MAX_KEPT_BYTES = 16_384

#: A PIN stands as a word of its own: ``shipping`` and ``pinned`` are none.
_PIN = r"(?-i:(?<![A-Za-z])(?:pin|Pin|PIN)(?![a-z])|(?<=[a-z])(?:Pin|PIN)(?![a-z]))"
_SECRET_NAME = re.compile(
    r"passw|pwd|pass[-_]?phrase|pass[-_]?code|pin[-_]?code|secret|token|api[-_]?key|private[-_]?key|credential|authorization|cookie"
    rf"|{_PIN}",
    re.IGNORECASE,
)
#: Our own tokens, JSON Web Tokens, PEM private keys, bearer headers, and the prefixes secret scanners look for.
_SECRET_VALUE = re.compile(
    r"sbscim_[\w-]{8,}"
    r"|(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\bBearer\s+[\w.~+/=-]{8,}"
    r"|\b(?:gh[pousr]_|xox[abprs]-|sk_live_|AKIA)[\w-]{16,}",
    re.DOTALL | re.IGNORECASE,
)
#: A body without any of these holds nothing that the two expressions above would find.
_TRACES = tuple(
    trace.encode()
    for trace in (
        *(
            "pwd",
            "phrase",
            "passcode",
            "pass-code",
            "pass_code",
            '"pin',
            'pin"',
            "pin=",
            "pin:",
            "pin ",
            "pin[",
            "pin.",
        ),
        *("passw", "secret", "token", "apikey", "api-key", "api_key", "privatekey", "private-key", "private_key"),
        *("private key", "credential", "authorization", "cookie"),
        *("sbscim_", "eyj", "bearer", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "xox", "sk_live_", "akia"),
    )
)
#: Each trace has one of these in it: fewer to look for where there is none, as nearly always.
_HINTS = tuple(
    hint.encode()
    for hint in (
        *("pwd", "phrase", "pass", "pin", "secret", "token", "key", "credential", "authorization", "cookie", "sbscim_"),
        *("eyj", "bearer", "gh", "xox", "sk_live_", "akia"),
    )
)
#: What nearly every path is, in which nothing can hide.
_PLAIN_PATH = re.compile(r"/(?:Users|Groups)(?:/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})?")
#: A letter, a dash or an underscore in the encoding of addresses, in which a name could hide.
_ENCODED_LETTER = re.compile(r"%(?:[46][1-9a-f]|[57][0-9a]|5f|2d)", re.IGNORECASE)
#: The same in JSON's escaped form.
_ESCAPED_BYTES = re.compile(rb"\\u00[2-7]", re.IGNORECASE)
# What is sent decides how long these take, so every run is bounded and begins at the start of a word or text only.
#: The password in an address such as ``https://user:password@host``; slashes may be escaped.
_USER_INFO = re.compile(r"(:(?:\\?/){2}[^\s/\"@:\\]{0,256}:)[^\s/\"@]{1,256}@")
_USER_INFO_BYTES = re.compile(_USER_INFO.pattern.encode())
#: What names a secret in forms, in XML and in documents inside texts.
_LOOSELY_NAMED = re.compile(
    rf"((?:{_SECRET_NAME.pattern})[\w.-]{{0,64}}['\"]?\s*[=:>]\s*)"
    r"(?!\[redacted\]|%5Bredacted%5D)"
    r"('[^']*'?|\"(?:[^\"\\]|\\.)*\"?|[^\s'\"&<>,;}\]]+)",
    re.IGNORECASE,
)
#: What stands between brackets in a PATCH path or a filter.
_BRACKETED = re.compile(r'\[((?:"(?:[^"\\]|\\.)*"?|[^"\]])+)')
_LAST_NAME = re.compile(r"[\w:.-]*\Z")
_FILTERED = re.compile(
    rf"((?<![\w:.])[\w:.]{{0,128}}?(?:{_SECRET_NAME.pattern})[\w.]{{0,128}}\s+(?:eq|ne|co|sw|ew|gt|ge|lt|le)\s+)"
    r'("(?:[^"\\]|\\.)*"?|\S+)',
    re.IGNORECASE,
)
#: Names whose value says what the ``value`` beside it is.
_NAMING = frozenset({"path", "name", "key", "attribute", "type"})
#: So many bytes are read to learn whether they are JSON; of more only the beginning is looked at.
_MAX_JUDGED_BYTES = 65_536
_BEGINS_AS_JSON = re.compile(rb'\s*(?:\{\s*["}]|\[\s*[\[{"\]\d-])')
_PASSWORD = "password"  # noqa: S105 (the name of an attribute)
_SELECTING = frozenset({"attributes", "excludedattributes", "sortby", "cursor"})


@dataclass(frozen=True, slots=True)
class Kept:
    """A body as it is kept.

    Attributes:
        text: The body; a document that held a secret is written anew, in compact form. A note where it was no JSON.
        whole: Whether this is all that was sent, secrets aside: it was JSON in UTF-8, and not cut.
    """

    text: str
    whole: bool


def keep_body(body: bytes, *, is_json: bool = False) -> Kept:
    """Return a body without its secrets, cut to 16 kB.

    Values are replaced whose name speaks of a secret (``password``, ``token``, ...), also where a PATCH names it by its
    path, and texts that look like one (bearer tokens, JSON Web Tokens, private keys). What is no JSON is not kept at
    all, for nobody knows where its secrets stand: a note says how much it was.

    Args:
        body: What was sent.
        is_json: Whether the caller has read it as JSON already.
    """
    text = body.decode("utf-8", "replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")
    whole = "\N{REPLACEMENT CHARACTER}" not in text
    suspicious = _has_traces(body) or (b"\\u00" in body and _ESCAPED_BYTES.search(body) is not None)
    if suspicious or len(body) <= _MAX_JUDGED_BYTES:
        try:
            if suspicious:
                written = json.dumps(_redacted(_read(text)), ensure_ascii=False, separators=(",", ":"))
                text = storable(written)
            elif not is_json:
                _read(text)
        except (ValueError, RecursionError):
            return _not_kept(body)
    elif not _BEGINS_AS_JSON.match(body):
        return _not_kept(body)
    if not suspicious and whole and len(body) <= MAX_KEPT_BYTES:
        return Kept(text, whole=True)
    encoded = text.encode("utf-8", "replace")
    if max(len(encoded), len(body)) > MAX_KEPT_BYTES:
        return Kept(encoded[:MAX_KEPT_BYTES].decode("utf-8", "ignore"), whole=False)
    return Kept(text, whole)


def _read(text: str) -> Any:
    return json.loads(text.removeprefix("\ufeff"), strict=False)


def _not_kept(body: bytes) -> Kept:
    return Kept(f"{NOT_KEPT}: {len(body):,} bytes", whole=False)


def storable(text: str) -> str:
    """Return a text without what no database holds: half a surrogate pair becomes its JSON escape, NUL U+FFFD."""
    if "\x00" in text:
        text = text.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return text.encode("utf-8", "backslashreplace").decode()


def keep_query(query: str) -> str:
    """Return the query of an address, still encoded, without secrets: those named, those asked for by a filter."""
    if not query:
        return query
    plain = unquote_plus(query) if _ENCODED_LETTER.search(query) else query
    if not (_has_traces(plain.encode("utf-8", "replace")) or _SECRET_NAME.search(plain)):
        return query
    return "&".join(_kept_parameter(parameter) for parameter in query.split("&"))


def keep_text(text: str, limit: int) -> str:
    """Return a short text of a request (a path, a header) without secrets and NUL, at most ``limit`` characters."""
    if len(text) <= limit and (not text or _PLAIN_PATH.fullmatch(text)):
        return text
    kept = storable(text[:limit])[:limit]
    return _text_without_secrets(kept)[:limit] if _has_traces(kept.encode()) or _SECRET_NAME.search(kept) else kept


def read_kept(text: str | None) -> Any:
    """Return the JSON value of a kept body; None where there is none, or it is no JSON, or was cut."""
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None


def lacks_secrets(document: Any) -> bool:
    """Return whether something stood in a kept document that a replay needs.

    A password does not count: whatever it is, nothing is done with it.
    """
    if isinstance(document, Mapping):
        path = next((value for name, value in document.items() if name.casefold() == "path"), None)
        of_password = isinstance(path, str) and path.casefold() == _PASSWORD
        return any(
            lacks_secrets(value)
            for name, value in document.items()
            if not (
                value == REDACTED and (name.casefold() == _PASSWORD or (of_password and name.casefold() == "value"))
            )
        )
    if isinstance(document, list):
        return any(lacks_secrets(item) for item in document)
    return isinstance(document, str) and (REDACTED in document or quote_plus(REDACTED) in document)


def _has_traces(text: bytes) -> bool:
    lowered = text.lower()
    for hint in _HINTS:
        if hint in lowered:
            if any(trace in lowered for trace in _TRACES):
                return True
            break
    # A client may escape the slashes of an address.
    return (b"//" in text or b"\\/" in text) and _USER_INFO_BYTES.search(text) is not None


def _redacted(value: Any) -> Any:
    if isinstance(value, dict):
        about_secret = any(
            name.casefold() in _NAMING and isinstance(path, str) and _SECRET_NAME.search(path)
            for name, path in value.items()
        )
        return {
            _redacted(name): REDACTED
            if item is not None and (_SECRET_NAME.search(name) or (about_secret and name.casefold() == "value"))
            else _redacted(item)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_redacted(item) for item in value]
    if isinstance(value, str):
        value = value[:MAX_KEPT_BYTES]  # what stands behind is cut anyway
        if value.startswith("/") and "?" in value:  # an operation of a Bulk request
            path, _, query = value.partition("?")
            return f"{_redacted(path)}?{keep_query(query)}"
        if _has_traces(value.encode("utf-8", "replace")) or _SECRET_NAME.search(value):
            return _text_without_secrets(value)
    return value


def _text_without_secrets(text: str) -> str:
    text = _USER_INFO.sub(rf"\1{REDACTED}@", _SECRET_VALUE.sub(REDACTED, text))
    text = _FILTERED.sub(rf"\1{REDACTED}", _BRACKETED.sub(_kept_brackets, text))
    # The colons of an URN name nothing.
    return text if text[:4].casefold() == "urn:" and "=" not in text else _LOOSELY_NAMED.sub(rf"\1{REDACTED}", text)


def _kept_brackets(found: re.Match[str]) -> str:
    before = _LAST_NAME.search(found.string, max(0, found.start() - 128), found.start())
    named = before is not None and _SECRET_NAME.search(before.group())
    if found.group(1) == "redacted" or not (named or _SECRET_NAME.search(found.group(1))):
        return found.group()
    return f"[{REDACTED[1:-1]}"


def _kept_parameter(parameter: str) -> str:
    name, equals, value = parameter.partition("=")
    plain = unquote_plus(value)
    if unquote_plus(name).casefold() in _SELECTING:
        return parameter
    if _SECRET_NAME.search(unquote_plus(name)):
        return f"{name}{equals}{quote_plus(REDACTED)}"
    kept = _text_without_secrets(plain)
    return parameter if kept == plain else f"{name}{equals}{quote_plus(kept)}"
