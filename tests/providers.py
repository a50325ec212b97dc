"""Real identity providers, started beside the tests: a server of its own, and a browser that only follows forms."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import urljoin

import httpx
from lxml import html

from tests.live import free_port

START_SECONDS = 30.0


class PostedResponse(NamedTuple):
    """What a SAML provider's page makes the browser post."""

    acs_url: str
    saml_response: str
    relay_state: str | None


class Provider:
    """A running identity provider on a free port of this machine; use it as a context manager.

    Args:
        folder: Where its log is written.
        host: The name in its URLs; ``localhost`` makes it another site than a service on ``127.0.0.1``.
    """

    def __init__(self, folder: Path, host: str) -> None:
        self.folder = folder
        self.host, self.port = host, free_port()
        self.base_url = f"http://{host}:{self.port}/"
        self._log = folder / "provider.log"
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        """Return what starts it."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """Return what it wants to find in its environment."""
        return {}

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self.command(),
                env={"PATH": os.environ["PATH"], **self.environment()},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server and its workers."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait(10)
            self._process = None

    @property
    def log(self) -> str:
        """What it has written."""
        return self._log.read_text(errors="replace")

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
            try:
                httpx.get(self.base_url, trust_env=False, timeout=10)
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return
        raise TimeoutError(f"{type(self).__name__} does not answer: {self.log}")


def sign_in_by_form(authn_url: str, form_field: str, credentials: Mapping[str, str]) -> PostedResponse:
    """Follow a SAML sign-in without a browser, up to the form that would be posted to the ACS.

    Args:
        authn_url: Where the service sends the browser.
        form_field: A field by which the provider's sign-in form is known.
        credentials: What a person enters.

    Raises:
        AssertionError: When a page is not the one expected, a wrong password included.
    """
    with httpx.Client(follow_redirects=True, trust_env=False, timeout=30) as browser:
        login = browser.get(authn_url)
        action, fields = form_with(login, form_field)
        answer = browser.post(action, data={**fields, **credentials})
        action, fields = form_with(answer, "SAMLResponse")
    return PostedResponse(action, fields["SAMLResponse"], fields.get("RelayState"))


def form_with(page: httpx.Response, field: str) -> tuple[str, dict[str, str]]:
    """Return where a page's form with this field is sent, and what it is filled with.

    Raises:
        AssertionError: There is no such form.
    """
    for form in html.fromstring(page.content).forms:
        if field in form.fields:
            return urljoin(str(page.url), form.action or ""), {
                name: str(value or "") for name, value in form.form_values()
            }
    text = " ".join(html.fromstring(page.content).text_content().split())
    raise AssertionError(f"No form with {field} at {page.url} ({page.status_code}): {text[:500]}")
