"""The service itself on a port of this machine, for what speaks real HTTP to it: other processes, and a browser."""

import http.cookiejar
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from html import unescape
from typing import Any
from urllib.parse import urljoin

import httpx
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - werkzeug's own name
        """Say nothing."""


@contextmanager
def served(app: Flask, port: int) -> Iterator[str]:
    """Serve an app until the block ends."""
    server = make_server("127.0.0.1", port, app, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Surfer:
    """A browser as far as redirects, cookies and pages that go on by themselves are concerned."""

    def __init__(self) -> None:
        # Browsers take this machine for as safe as https, and keep and send cookies that are marked Secure.
        policy = http.cookiejar.DefaultCookiePolicy(secure_protocols=("https", "wss", "http"))
        self.cookies = httpx.Cookies()
        self.cookies.jar.set_policy(policy)
        hooks: dict[str, list[Any]] = {"request": [self._send_cookies], "response": [self.cookies.extract_cookies]}
        self.client = httpx.Client(follow_redirects=True, timeout=20, event_hooks=hooks)

    def open(self, address: str) -> httpx.Response:
        """Open an address, and follow wherever it leads."""
        return self._on(self.client.get(address))

    def post(self, address: str, form: dict[str, str]) -> httpx.Response:
        """Send a form, and follow wherever it leads."""
        return self._on(self.client.post(address, data=form))

    def stops_at(self, address: str, before: str) -> str:
        """Follow redirects until one leads to an address that begins so; return it."""
        for _ in range(20):
            answer = self.client.get(address, follow_redirects=False)
            assert answer.is_redirect, f"{answer.status_code} {answer.url}: {answer.text[:300]}"
            address = urljoin(str(answer.url), answer.headers["Location"])
            if address.startswith(before):
                return address
        raise AssertionError("redirects go round in a circle")

    def _send_cookies(self, request: httpx.Request) -> None:
        request.headers.pop("Cookie", None)
        self.cookies.set_cookie_header(request)

    def _on(self, answer: httpx.Response) -> httpx.Response:
        found = re.fullmatch(r"0; url=(.*)", answer.headers.get("Refresh", ""))
        return answer if found is None else self.open(unescape(found[1]))

    def close(self) -> None:
        """Give the connections back."""
        with suppress(RuntimeError):
            self.client.close()
