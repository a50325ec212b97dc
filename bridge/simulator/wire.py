"""The wire between a simulated identity provider and the product: every request and answer is kept to be shown."""

import json
import ssl
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

import httpx

SCIM_MEDIA_TYPE: Final = "application/scim+json"
KEPT: Final = 1000
"""Exchanges that are kept, newest last; the counts go on."""

_TRIES = 4
_LONG_VALUE = 20
_LONGEST_PAUSE_SECONDS = 5.0
_ASKED_TO_WAIT = (429, 503)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer. ``path`` is below the base URL, its query readable rather than encoded."""

    method: str
    path: str
    request: Mapping[str, Any] | None
    status: int
    answer: Mapping[str, Any]
    seconds: float
    request_id: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the product did what was asked."""
        return httpx.codes.is_success(self.status)

    @property
    def about(self) -> str:
        """Whom or what it is about, in a word or two; empty for a look-up."""
        if not self.accepted:
            return str(self.answer.get("scimType") or self.answer.get("detail", ""))
        if self.request is None:
            return ""
        operations = self.request.get("Operations")
        if isinstance(operations, Sequence):
            return ", ".join(_said(operation) for operation in operations)
        return str(self.request.get("userName") or self.request.get("displayName", ""))

    def as_text(self) -> str:
        """Return the exchange the way it went over the wire, without headers; a password is not shown."""
        lines = [f"{self.method} {self.path}"]
        if self.request is not None:
            shown = {name: "…" if name == "password" else value for name, value in self.request.items()}
            lines.append(json.dumps(shown, indent=2, ensure_ascii=False))
        lines.append(f"→ {self.status}")
        if self.answer:
            lines.append(json.dumps(self.answer, indent=2, ensure_ascii=False))
        return "\n".join(lines)


@dataclass(slots=True)
class Wire:
    """A client of one SCIM base URL with one bearer token.

    Args:
        base_url: Such as ``https://seats.example.com/scim/v2/nordlys``.
        token: The bearer token; it never appears in what is kept.
        user_agent: What the provider calls itself; None leaves the header out.
        transport: Another way than the network, for tests.
    """

    base_url: str
    token: str = field(repr=False)
    user_agent: str | None = None
    content_type: str = SCIM_MEDIA_TYPE
    transport: httpx.BaseTransport | None = field(default=None, repr=False)
    exchanges: deque[Exchange] = field(default_factory=lambda: deque(maxlen=KEPT), init=False, repr=False)
    requests: int = field(default=0, init=False)
    _client: httpx.Client = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._client = httpx.Client(
            base_url=f"{self.base_url.rstrip('/')}/",
            headers={"Authorization": f"Bearer {self.token}", "Accept": self.content_type},
            transport=self.transport,
            verify=tls_context(self.base_url),
            timeout=30,
        )
        if self.user_agent is None:
            del self._client.headers["User-Agent"]
        else:
            self._client.headers["User-Agent"] = self.user_agent

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str | int] | None = None,
    ) -> Exchange:
        """Send one request; wait and try again when the product asks for it (``Retry-After``), as providers do.

        Raises:
            httpx.HTTPError: The product cannot be reached.
        """
        shown = "&".join(f"{name}={value}" for name, value in (query or {}).items())
        content = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": f"{self.content_type}; charset=utf-8"}
        started = time.perf_counter()
        tries = 1
        target = path.lstrip("/")
        answer = self._client.request(method, target, content=content, params=query, headers=headers)
        while answer.status_code in _ASKED_TO_WAIT and tries < _TRIES:
            time.sleep(_pause_seconds(answer))
            answer = self._client.request(method, target, content=content, params=query, headers=headers)
            tries += 1
        exchange = Exchange(
            method=method,
            path=f"{path}?{shown}" if shown else path,
            request=body,
            status=answer.status_code,
            answer=_document(answer),
            seconds=time.perf_counter() - started,
            request_id=answer.headers.get("X-Request-Id", ""),
        )
        self.requests += 1
        self.exchanges.append(exchange)
        return exchange


def tls_context(base_url: str) -> ssl.SSLContext:
    """Return what connections to an address are verified by.

    Loading the well-known authorities takes a tenth of a second, which plain http has no use for: there the context
    trusts nobody.
    """
    if base_url.startswith("http://"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx.create_ssl_context()


def _said(operation: Mapping[str, Any]) -> str:
    """Return an operation in a few words, its path without the name of a schema; a long value is left out."""
    path, value = str(operation.get("path", "attributes")), operation.get("value")
    name = path.rpartition(":")[2] if path.startswith("urn:") else path
    shown = f" {json.dumps(value)}" if isinstance(value, str) and len(value) < _LONG_VALUE else ""
    return f"{operation['op']} {name}{shown}"


def _pause_seconds(answer: httpx.Response) -> float:
    asked = answer.headers.get("Retry-After", "")
    return min(_LONGEST_PAUSE_SECONDS, float(asked)) if asked.isdigit() else 1.0


def _document(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        document = answer.json()
    except ValueError:
        return {"detail": answer.text[:200]} if answer.content else {}
    return document if isinstance(document, dict) else {"detail": str(document)[:200]}
