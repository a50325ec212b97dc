"""SimpleSAMLphp, a real identity provider, started beside the tests (Debian: simplesamlphp, php-cli)."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urljoin

import httpx
from lxml import html

from bridge.simulator.saml import EMAIL_FORMAT, SigningKey

WEB_ROOT = Path("/usr/share/simplesamlphp/www")
START_SECONDS = 20.0


def missing() -> str | None:
    """Return why SimpleSAMLphp cannot be started here, or None."""
    if shutil.which("php") is None:
        return "php is not installed (Debian: php-cli php-xml php-mbstring php-curl php-sqlite3)"
    if not WEB_ROOT.is_dir():
        return "SimpleSAMLphp is not installed (Debian: simplesamlphp)"
    return None


@dataclass(frozen=True, slots=True)
class PhpUser:
    """A person who can sign in; an empty ``groups`` leaves the attribute out."""

    uid: str
    password: str
    mail: str
    given_name: str
    family_name: str
    groups: tuple[str, ...] = ()


USERS = (
    PhpUser("ada", "adapass", "ada@acme.example", "Ada", "Lovelace", ("Engineering", "Everyone")),
    PhpUser("grace", "gracepass", "grace@acme.example", "Grace", "Hopper"),
)


class PostedResponse(NamedTuple):
    """What the identity provider's page makes the browser post."""

    acs_url: str
    saml_response: str
    relay_state: str | None


class SimpleSamlPhp:
    """A running SimpleSAMLphp with its own configuration; use it as a context manager.

    Args:
        folder: An empty folder for configuration, keys, sessions and the log.
        service_providers: Entity ID to ACS URL.
        users: Who can sign in.
        host: The name in its URLs; ``localhost`` makes it another site than a service on ``127.0.0.1``.
        sign_response: Sign the response as well as the assertion.
    """

    def __init__(
        self,
        folder: Path,
        service_providers: Mapping[str, str],
        *,
        users: Sequence[PhpUser] = USERS,
        host: str = "127.0.0.1",
        sign_response: bool = True,
    ) -> None:
        self._folder = folder
        self._port = _free_port()
        self.base_url = f"http://{host}:{self._port}/"
        self._log = folder / "php.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._write(service_providers, users, sign_response=sign_response)

    @property
    def entity_id(self) -> str:
        return urljoin(self.base_url, "saml2/idp/metadata.php")

    def __enter__(self) -> Self:
        environment = {
            "PATH": os.environ["PATH"],
            "SIMPLESAMLPHP_CONFIG_DIR": str(self._folder),
            "PHP_CLI_SERVER_WORKERS": "3",
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["php", "-S", f"127.0.0.1:{self._port}", "-t", str(WEB_ROOT)],
                env=environment,
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

    def metadata(self) -> bytes:
        """Return the identity provider's metadata, as an administrator would download it."""
        return httpx.get(self.entity_id, trust_env=False).raise_for_status().content

    def sign_in(self, authn_url: str, user: str, password: str) -> PostedResponse:
        """Follow a sign-in without a browser, up to the form that would be posted to the ACS.

        Raises:
            AssertionError: When a page is not the one expected, a wrong password included.
        """
        with httpx.Client(follow_redirects=True, trust_env=False, timeout=10) as browser:
            login = browser.get(authn_url)
            _, fields = _form(login, "AuthState")
            answer = browser.post(str(login.url), data={**fields, "username": user, "password": password})
            action, fields = _form(answer, "SAMLResponse")
        return PostedResponse(action, fields["SAMLResponse"], fields.get("RelayState"))

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                httpx.get(self.base_url, trust_env=False, timeout=5)
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return
        raise TimeoutError(f"SimpleSAMLphp does not answer: {self._log.read_text()}")

    def _write(self, service_providers: Mapping[str, str], users: Sequence[PhpUser], *, sign_response: bool) -> None:
        for name in ("metadata", "certs", "sessions", "data", "tmp", "log"):
            (self._folder / name).mkdir(parents=True)
        key = SigningKey.generate("SimpleSAMLphp", datetime.now(UTC))
        (self._folder / "certs" / "idp.pem").write_bytes(key.private_key)
        (self._folder / "certs" / "idp.crt").write_bytes(key.certificate)
        self._php("config.php", "config", self._config())
        self._php("authsources.php", "config", {"users": _auth_source(users)})
        idp = _idp(sign_response=sign_response)
        self._php("metadata/saml20-idp-hosted.php", "metadata", {"__DYNAMIC:1__": idp})
        self._php(
            "metadata/saml20-sp-remote.php",
            "metadata",
            {entity_id: {"AssertionConsumerService": acs} for entity_id, acs in service_providers.items()},
        )

    def _php(self, name: str, variable: str, value: object) -> None:
        """Write a PHP file that assigns ``value``, carried as JSON."""
        document = f"<<<'JSON'\n{json.dumps(value, indent=1)}\nJSON\n"
        decoded = f"json_decode({document}, true, 512, JSON_THROW_ON_ERROR)"
        (self._folder / name).write_text(f"<?php\n${variable} = {decoded};\n")

    def _config(self) -> dict[str, Any]:
        folder = str(self._folder) + "/"
        return {
            "baseurlpath": self.base_url,
            "certdir": folder + "certs/",
            "loggingdir": folder + "log/",
            "datadir": folder + "data/",
            "tempdir": folder + "tmp",
            "metadatadir": folder + "metadata/",
            "attributenamemapdir": "/usr/share/simplesamlphp/config/attributemap/",
            "technicalcontact_name": "Tests",
            "technicalcontact_email": "tests@acme.example",
            "timezone": "UTC",
            "secretsalt": "only-for-tests-" + "0" * 20,
            "auth.adminpassword": "only-for-tests",
            "logging.level": 5,
            "logging.handler": "file",
            "enable.saml20-idp": True,
            "module.enable": {"exampleauth": True, "core": True, "saml": True},
            "session.cookie.secure": False,
            "session.phpsession.savepath": folder + "sessions",
            "language.default": "en",
            "language.cookie.secure": False,
            "production": True,
            "store.type": "phpsession",
            "metadata.sources": [{"type": "flatfile"}],
            "trusted.url.domains": None,
        }


def _auth_source(users: Sequence[PhpUser]) -> dict[str | int, Any]:
    source: dict[str | int, Any] = {0: "exampleauth:UserPass"}
    for user in users:
        attributes = {
            "uid": [user.uid],
            "mail": [user.mail],
            "givenName": [user.given_name],
            "sn": [user.family_name],
        }
        if user.groups:
            attributes["groups"] = list(user.groups)
        source[f"{user.uid}:{user.password}"] = attributes
    return source


def _idp(*, sign_response: bool) -> dict[str, Any]:
    return {
        "host": "__DEFAULT__",
        "privatekey": "idp.pem",
        "certificate": "idp.crt",
        "auth": "users",
        "saml20.sign.response": sign_response,
        "saml20.sign.assertion": True,
        "authproc": {"20": {"class": "saml:AttributeNameID", "attribute": "mail", "Format": EMAIL_FORMAT}},
        "NameIDFormat": EMAIL_FORMAT,
    }


def _form(page: httpx.Response, expected_field: str) -> tuple[str, dict[str, str]]:
    for form in html.fromstring(page.content).forms:
        fields = {name: str(value or "") for name, value in form.form_values()}
        if expected_field in form.fields:
            return urljoin(str(page.url), form.action or ""), fields
    text = " ".join(html.fromstring(page.content).text_content().split())
    raise AssertionError(f"No form with {expected_field} at {page.url} ({page.status_code}): {text[:500]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
