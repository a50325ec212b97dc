"""SimpleSAMLphp, a real identity provider, started beside the tests (Debian: simplesamlphp, php-cli)."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx

from bridge.simulator.saml import EMAIL_FORMAT, SigningKey
from tests.providers import PostedResponse, Provider, sign_in_by_form

WEB_ROOT = Path("/usr/share/simplesamlphp/www")


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


class SimpleSamlPhp(Provider):
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
        super().__init__(folder, host)
        self._write(service_providers, users, sign_response=sign_response)

    @property
    def entity_id(self) -> str:
        return urljoin(self.base_url, "saml2/idp/metadata.php")

    def command(self) -> Sequence[str]:
        return ["php", "-S", f"127.0.0.1:{self.port}", "-t", str(WEB_ROOT)]

    def environment(self) -> Mapping[str, str]:
        return {"SIMPLESAMLPHP_CONFIG_DIR": str(self.folder), "PHP_CLI_SERVER_WORKERS": "3"}

    def metadata(self) -> bytes:
        """Return the identity provider's metadata, as an administrator would download it."""
        return httpx.get(self.entity_id, trust_env=False).raise_for_status().content

    def sign_in(self, authn_url: str, user: str, password: str) -> PostedResponse:
        """Follow a sign-in without a browser, up to the form that would be posted to the ACS.

        Raises:
            AssertionError: When a page is not the one expected, a wrong password included.
        """
        return sign_in_by_form(authn_url, "AuthState", {"username": user, "password": password})

    def _write(self, service_providers: Mapping[str, str], users: Sequence[PhpUser], *, sign_response: bool) -> None:
        for name in ("metadata", "certs", "sessions", "data", "tmp", "log"):
            (self.folder / name).mkdir(parents=True)
        key = SigningKey.generate("SimpleSAMLphp", datetime.now(UTC))
        (self.folder / "certs" / "idp.pem").write_bytes(key.private_key)
        (self.folder / "certs" / "idp.crt").write_bytes(key.certificate)
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
        (self.folder / name).write_text(f"<?php\n${variable} = {decoded};\n")

    def _config(self) -> dict[str, Any]:
        folder = str(self.folder) + "/"
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
