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
#: So much of a body is kept, in bytes of UTF-8.
MAX_KEPT_BYTES = 16_384

_SECRET_NAME = re.compile(
    r"passw|secret|token|api[-_]?key|private[-_]?key|credential|authorization|cookie", re.IGNORECASE
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
        *("passw", "secret", "token", "apikey", "api-key", "api_key", "privatekey", "private-key", "private_key"),
        *("private key", "credential", "authorization", "cookie"),
        *("sbscim_", "eyj", "bearer", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "xox", "sk_live_", "akia"),
    )
)
#: A plain letter or digit in JSON's escaped form, in which a name could hide.
_ESCAPED = re.compile(r"\\u00(3[0-9]|[46][1-9a-f]|[57][0-9a]|5f|2d|20)", re.IGNORECASE)
#: The same in the encoding of addresses: a letter, a dash or an underscore.
_ENCODED_LETTER = re.compile(r"%(?:[46][1-9a-f]|[57][0-9a]|5f|2d)", re.IGNORECASE)
_ESCAPED_BYTES = re.compile(rb"\\u00[2-7]", re.IGNORECASE)
# What is sent decides how long these take, so every run is bounded and begins at the start of a word or text only.
_NAMED = re.compile(
    rf'("[^"]{{0,256}}(?:{_SECRET_NAME.pattern})[^"]{{0,256}}"\s*:\s*)("(?:[^"\\]|\\.)*"?|[^,}}\]\s]+)', re.IGNORECASE
)
_PATH = re.compile(rf'"(?:path|name|key|attribute)"\s*:\s*"[^"]{{0,256}}(?:{_SECRET_NAME.pattern})', re.IGNORECASE)
#: What names a secret in forms, in XML and between single quotes.
_LOOSELY_NAMED = re.compile(
    rf"((?:{_SECRET_NAME.pattern})[\w.-]{{0,64}}['\"]?\s*[=:>]\s*)('[^']*'?|[^\s'\"&<>,;}}\]]+)", re.IGNORECASE
)
_OPERATION_VALUE = re.compile(r'("value"\s*:\s*)("(?:[^"\\]|\\.)*"?|[^,}\]\s]+)', re.IGNORECASE)
_FILTERED = re.compile(
    rf"((?<![\w:.])[\w:.]{{0,128}}?(?:{_SECRET_NAME.pattern})[\w.]{{0,128}}\s+(?:eq|ne|co|sw|ew|gt|ge|lt|le)\s+)"
    r'("(?:[^"\\]|\\.)*"?|\S+)',
    re.IGNORECASE,
)
#: Names whose value says what the ``value`` beside it is.
_NAMING = frozenset({"path", "name", "key", "attribute"})
_SELECTING = frozenset({"attributes", "excludedattributes", "sortby", "cursor"})


@dataclass(frozen=True, slots=True)
class Kept:
    """A body as it is kept.

    Attributes:
        text: The body; a document that held a secret is written anew, in compact form.
        whole: Whether this is all that was sent, secrets aside: it was neither cut nor unreadable as UTF-8.
    """

    text: str
    whole: bool


def keep_body(body: bytes) -> Kept:
    """Return a body without its secrets, cut to 16 kB.

    Values are replaced whose name speaks of a secret (``password``, ``token``, ...), also where a PATCH names it by its
    path, and texts that look like one (bearer tokens, JSON Web Tokens, private keys).
    """
    text = body.decode("utf-8", "replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")
    whole = "\N{REPLACEMENT CHARACTER}" not in text
    if _has_traces(body) or (b"\\u00" in body and _ESCAPED_BYTES.search(body) is not None):
        text = _without_secrets(text)
    elif whole and len(body) <= MAX_KEPT_BYTES:
        return Kept(text, whole=True)
    encoded = text.encode("utf-8", "replace")
    if max(len(encoded), len(body)) > MAX_KEPT_BYTES:
        return Kept(encoded[:MAX_KEPT_BYTES].decode("utf-8", "ignore"), whole=False)
    return Kept(text, whole)


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
    if not _has_traces(plain.encode("utf-8", "replace")):
        return query
    return "&".join(_kept_parameter(parameter) for parameter in query.split("&"))


def keep_text(text: str, limit: int) -> str:
    """Return a short text of a request (a path, a header) without secrets and NUL, at most ``limit`` characters."""
    kept = storable(text[:limit])[:limit]
    return _SECRET_VALUE.sub(REDACTED, kept) if _has_traces(kept.encode()) else kept


def read_kept(text: str | None) -> Any:
    """Return the JSON value of a kept body; None where there is none, or it is no JSON, or was cut."""
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None


def without_redacted(document: Any) -> Any:
    """Return a kept document without the places where a secret stood: members, entries and operations go whole."""
    if isinstance(document, Mapping):
        return {name: without_redacted(value) for name, value in document.items() if value != REDACTED}
    if isinstance(document, list):
        return [without_redacted(item) for item in document if item != REDACTED and not _was_secret(item)]
    return document


def _was_secret(item: Any) -> bool:
    return isinstance(item, Mapping) and any(
        name.casefold() == "value" and value == REDACTED for name, value in item.items()
    )


def _has_traces(text: bytes) -> bool:
    lowered = text.lower()
    for trace in _TRACES:  # noqa: SIM110 (asked of every request: a generator would take three times as long)
        if trace in lowered:
            return True
    return False


def _without_secrets(text: str) -> str:
    try:
        written = json.dumps(_redacted(json.loads(text)), ensure_ascii=False, separators=(",", ":"))
    except (ValueError, RecursionError):
        return _without_secrets_unread(text)
    return storable(written)


def _redacted(value: Any) -> Any:
    if isinstance(value, dict):
        about_secret = any(
            name.casefold() in _NAMING and isinstance(path, str) and _SECRET_NAME.search(path)
            for name, path in value.items()
        )
        return {
            name: REDACTED
            if item is not None and (_SECRET_NAME.search(name) or (about_secret and name.casefold() == "value"))
            else _redacted(item)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_redacted(item) for item in value]
    if isinstance(value, str):
        value = value[:MAX_KEPT_BYTES]  # what stands behind is cut anyway
        if _has_traces(value.encode("utf-8", "replace")):
            return _FILTERED.sub(rf"\1{REDACTED}", _SECRET_VALUE.sub(REDACTED, value))
    return value


def _without_secrets_unread(text: str) -> str:
    """Redact what is no JSON document by its text: rather too much than too little."""
    text = _ESCAPED.sub(lambda found: chr(int(found.group(1), 16)), text)
    about_secret = _PATH.search(text) is not None
    # One more than is kept, so that it shows that something was cut.
    text = _NAMED.sub(rf'\1"{REDACTED}"', text[: MAX_KEPT_BYTES + 1])
    if about_secret:
        text = _OPERATION_VALUE.sub(rf'\1"{REDACTED}"', text)
    text = _LOOSELY_NAMED.sub(rf"\1{REDACTED}", text)
    return _SECRET_VALUE.sub(REDACTED, text)


def _kept_parameter(parameter: str) -> str:
    name, equals, value = parameter.partition("=")
    plain = unquote_plus(value)
    if unquote_plus(name).casefold() in _SELECTING:
        return parameter
    if _SECRET_NAME.search(unquote_plus(name)):
        return f"{name}{equals}{quote_plus(REDACTED)}"
    kept = _FILTERED.sub(rf"\1{REDACTED}", _SECRET_VALUE.sub(REDACTED, plain))
    return parameter if kept == plain else f"{name}{equals}{quote_plus(kept)}"
