"""A browser without a screen: cookies, redirects one at a time, and forms filled in as they stand on the page."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Self
from urllib.parse import urljoin

import httpx
from lxml import html

from bridge.simulator.wire import tls_context

_LONGEST_CHAIN = 10


@dataclass(frozen=True, slots=True)
class Page:
    """What a browser shows: the address it ended at, the status, and the document."""

    url: str
    status: int
    text: str
    request_id: str
    document: Any = field(repr=False)

    def form(self, action: str = "") -> Any:
        """Return the first form whose action contains a text.

        Raises:
            LookupError: There is none.
        """
        for form in self.document.forms:
            if action in (form.get("action") or ""):
                return form
        raise LookupError(f"{self.url} ({self.status}) has no form for {action or 'anything'}")

    @property
    def words(self) -> str:
        """The text that people read, with single spaces."""
        return " ".join(self.document.text_content().split())


class Browser:
    """One browser with its cookies.

    Like real ones it takes loopback addresses for secure, so that cookies marked ``Secure`` come back to them.
    """

    def __init__(self, base_url: str) -> None:
        self._cookies = httpx.Cookies()
        self._cookies.jar.set_policy(DefaultCookiePolicy(secure_protocols=("https", "http")))
        # httpx copies its own jar for every request, and the policy is lost on the way.
        self._client = httpx.Client(
            base_url=base_url,
            timeout=30,
            verify=tls_context(base_url),
            headers={"Accept": "text/html"},
            event_hooks={"request": [self._send_cookies], "response": [self._cookies.extract_cookies]},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def open(self, url: str) -> Page:
        """Follow an address to its end."""
        return self._follow(self._client.get(url))

    def redirect_of(self, url: str) -> str:
        """Open an address that leads elsewhere, and return where to without going there.

        Raises:
            LookupError: It leads nowhere.
        """
        answer = self._client.get(url)
        if not answer.has_redirect_location:
            raise LookupError(f"{url} answers {answer.status_code} and leads nowhere")
        return urljoin(str(answer.url), answer.headers["Location"])

    def submit(self, page: Page, action: str = "", values: Iterable[tuple[str, str]] = ()) -> Page:
        """Send a form of a page with what stands in it, and more values after those."""
        form = page.form(action)
        given = list(values)
        names = {name for name, _ in given if not name.startswith("rule.")}
        standing = [(name, value or "") for name, value in form.form_values() if name not in names]
        return self.post(urljoin(page.url, form.get("action") or page.url), [*standing, *given])

    def post(self, url: str, values: Iterable[tuple[str, str]]) -> Page:
        """Post a form's values, in their order."""
        content = str(httpx.QueryParams(list(values))).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._follow(self._client.post(url, content=content, headers=headers))

    def _send_cookies(self, request: httpx.Request) -> None:
        request.headers.pop("Cookie", None)
        self._cookies.set_cookie_header(request)

    def _follow(self, answer: httpx.Response) -> Page:
        for _ in range(_LONGEST_CHAIN):
            if not answer.has_redirect_location:
                break
            answer = self._client.get(urljoin(str(answer.url), answer.headers["Location"]))
        text = answer.text or "<html></html>"
        return Page(
            url=str(answer.url),
            status=answer.status_code,
            text=text,
            request_id=answer.headers.get("X-Request-Id", ""),
            document=html.document_fromstring(text.encode(), parser=html.HTMLParser(encoding="utf-8")),
        )
