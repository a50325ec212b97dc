"""oidc-provider, a certified OpenID provider (npm), started beside the tests.

Its version and those of everything it needs are pinned by checksum in ``tests/node``; npm installs them at first use
into ``.dev``, which git ignores.
"""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from bridge.store.embedded_files import exclusively
from tests.op import CLIENT_ID, CLIENT_SECRET
from tests.providers import Provider, form_with

SOURCE = Path(__file__).parent / "node"
INSTALLED = Path(__file__).resolve().parents[1] / ".dev" / "oidc-provider"
INSTALL_SECONDS = 100
#: Claims by login; the login is the ``sub``, and any password will do.
PEOPLE: Mapping[str, Mapping[str, Any]] = {
    "00u1ada": {
        "email": "ada@acme.example",
        "email_verified": True,
        "preferred_username": "ada@acme.example",
        "given_name": "Ada",
        "family_name": "Lovelace",
        "name": "Ada Lovelace",
        "groups": ["Engineering", "Everyone"],
    },
}


@cache
def missing() -> str | None:
    """Return why oidc-provider cannot be started here, or None; it is installed now unless it was before."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "node or npm is not installed (Debian: nodejs npm, of version 20 or newer)"
    try:
        _installed()
    except (subprocess.SubprocessError, OSError) as error:
        return f"npm could not install oidc-provider into .dev: {error}"
    return None


def _installed() -> Path:
    """Return the folder in which it runs; the first worker installs it."""
    sources = [SOURCE / name for name in ("package.json", "package-lock.json", "server.mjs")]
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
    folder = INSTALLED / digest[:16]
    INSTALLED.mkdir(parents=True, exist_ok=True)
    with exclusively(INSTALLED / "install.lock"):
        if not (folder / "installed").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for source in sources:
                shutil.copy(source, folder)
            install = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
            subprocess.run(install, cwd=folder, check=True, capture_output=True, timeout=INSTALL_SECONDS)
            (folder / "installed").touch()
    return folder


class OidcProvider(Provider):
    """A running oidc-provider with one client, which must use PKCE; use it as a context manager.

    Args:
        folder: An empty folder for its log.
        redirect_uris: Where the client may have people sent back to.
        people: Claims by login.
        claims_in_id_token: Whether the ID token holds all claims, or only userinfo does.
        host: The name in its URLs; ``localhost`` makes it another site than a service on ``127.0.0.1``.
        client: More of the client's metadata (OpenID Connect Registration).
    """

    def __init__(
        self,
        folder: Path,
        redirect_uris: Sequence[str],
        *,
        people: Mapping[str, Mapping[str, Any]] = PEOPLE,
        claims_in_id_token: bool = True,
        host: str = "127.0.0.1",
        client: Mapping[str, Any] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder, host)
        self.issuer = self.base_url.rstrip("/")
        self._configuration = {
            "issuer": self.issuer,
            "port": self.port,
            "people": people,
            "claims_in_id_token": claims_in_id_token,
            "clients": [
                {
                    "client_id": CLIENT_ID,
                    "client_secret": CLIENT_SECRET,
                    "redirect_uris": list(redirect_uris),
                    **(client or {}),
                }
            ],
        }

    client_secret = CLIENT_SECRET

    def description(self) -> dict[str, Any]:
        """Return the discovery document."""
        answer = httpx.get(f"{self.issuer}/.well-known/openid-configuration", trust_env=False, timeout=30)
        found: dict[str, Any] = answer.raise_for_status().json()
        return found

    def command(self) -> Sequence[str]:
        return ["node", str(_installed() / "server.mjs")]

    def environment(self) -> Mapping[str, str]:
        return {"OP_CONFIGURATION": json.dumps(self._configuration)}

    def sign_in(self, authorization_url: str, login: str) -> str:
        """Follow a sign-in without a browser, and return the address that the browser is sent back to.

        Raises:
            AssertionError: When a page is not the one expected.
        """
        with httpx.Client(trust_env=False, timeout=30) as browser:
            page = browser.get(authorization_url, follow_redirects=True)
            action, fields = form_with(page, "login")
            answer = browser.post(action, data={**fields, "login": login, "password": "any"})
            while answer.next_request is not None and answer.next_request.url.port == self.port:
                answer = browser.send(answer.next_request)
        assert answer.next_request is not None, answer.text
        return str(answer.next_request.url)
