"""One request as the edge got it, before anybody knows who sent it."""

from dataclasses import dataclass, field
from datetime import datetime

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

#: Query parameters that change nothing here: Entra's switch for its standards-compliant dialect.
IGNORED = frozenset({"aadOptscim062020"})


@dataclass(slots=True)
class Call:
    """A SCIM request.

    Args:
        request: What Flask received.
        slug: The organization that the path names.
        path: What follows the root, as ``Users/2819c223-7f76-453a-919d-413861904646``.
        token_hash: SHA-256 of the bearer token; None without one that could be ours.
        request_id: The request's id.
        at: The instant of everything the request writes.
        is_held: Whether the brake holds an effect of it.
    """

    request: Request
    slug: str
    path: str
    token_hash: bytes | None
    request_id: str
    at: datetime
    is_held: bool = False
    _body: bytes | None = field(default=None, repr=False)

    @property
    def method(self) -> str:
        """The HTTP method; HEAD reads as GET."""
        return "GET" if self.request.method == "HEAD" else self.request.method

    @property
    def is_conditional(self) -> bool:
        """Whether the request names a version."""
        environ = self.request.environ
        return "HTTP_IF_MATCH" in environ or "HTTP_IF_NONE_MATCH" in environ

    def query(self) -> dict[str, str]:
        """Return the query parameters that mean something, each once."""
        if not self.request.environ.get("QUERY_STRING"):
            return {}
        return {name: value for name, value in self.request.args.items() if name not in IGNORED}

    def body(self, limit: int) -> bytes:
        """Read the body, once.

        Raises:
            RequestEntityTooLarge: It is larger than so many bytes.
        """
        if self._body is None:
            # One byte more: a body in chunks is cut off at the limit without a word.
            self.request.max_content_length = limit + 1
            body = self.request.get_data(cache=False)
            if len(body) > limit:
                raise RequestEntityTooLarge
            self._body = body
        return self._body

    @property
    def body_read(self) -> bytes | None:
        """What was read of the body; None where nobody has read it."""
        return self._body

    def content(self, limit: int) -> tuple[bytes, str | None]:
        """Return the body and its media type, as the protocol reads them."""
        return self.body(limit), self.request.environ.get("CONTENT_TYPE") or None
