"""LemonLDAP::NG, a real identity provider of another make (Lasso), started beside the tests."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import httpx

from bridge.simulator.saml import SigningKey
from tests.providers import Provider

PORTAL = Path("/usr/share/lemonldap-ng/portal")
#: The Debian package, and what it needs without saying so.
PACKAGES = (
    "lemonldap-ng liblasso-perl libxml-simple-perl libxml-libxml-perl libxml-libxslt-perl libio-string-perl "
    "libmime-tools-perl libgd-securityimage-perl libimage-magick-perl libglib-perl libstring-random-perl "
    "libemail-sender-perl libhtml-formattext-withlinks-perl libnet-ldap-perl"
)
_PROVIDER = "Lemonldap::NG::Portal::Main"


@cache
def missing() -> str | None:
    """Return why LemonLDAP::NG cannot be started here, or None."""
    if shutil.which("plackup") is None or not PORTAL.is_dir():
        return f"LemonLDAP::NG is not installed (Debian: {PACKAGES})"
    found = subprocess.run(["perl", "-MLasso", "-e", "1"], capture_output=True, check=False)
    return None if found.returncode == 0 else f"Lasso is not installed (Debian: {PACKAGES})"


class LemonLdap(Provider):
    """A running LemonLDAP::NG with its own configuration and its three demonstration users.

    ``dwho`` is in the groups ``timelords`` and ``users``, ``rtyler`` and ``msmith`` in ``earthlings`` and ``users``;
    each one's password is their name, and the NameID their address at ``badwolf.org``.

    Args:
        folder: An empty folder for configuration, sessions and the log.
        service_metadata: The metadata of the one service that people sign in to.
        host: The name in its URLs; ``localhost`` makes it another site than a service on ``127.0.0.1``.
    """

    def __init__(self, folder: Path, service_metadata: bytes, *, host: str = "127.0.0.1") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder, host)
        for name in ("conf", "sessions/lock", "psessions/lock", "cache", "notifications"):
            (folder / name).mkdir(parents=True)
        document = json.dumps(self._configuration(service_metadata.decode()), indent=1)
        (folder / "conf" / "lmConf-1.json").write_text(document)
        (folder / "lemonldap-ng.ini").write_text(self._settings())
        (folder / "portal.psgi").write_text(f"use {_PROVIDER};\n{_PROVIDER}->run({{}});\n")

    @property
    def entity_id(self) -> str:
        return f"{self.base_url}saml/metadata"

    def command(self) -> Sequence[str]:
        return ["plackup", "-E", "deployment", "-o", "127.0.0.1", "-p", str(self.port), "portal.psgi"]

    def environment(self) -> Mapping[str, str]:
        return {"LLNG_DEFAULTCONFFILE": str(self.folder / "lemonldap-ng.ini")}

    def metadata(self) -> bytes:
        """Return the identity provider's metadata, as an administrator would download it."""
        return httpx.get(self.entity_id, trust_env=False, timeout=30).raise_for_status().content

    def _settings(self) -> str:
        return (
            "[all]\nlogLevel = warn\n"
            f"[configuration]\ntype = File\ndirName = {self.folder}/conf\n"
            f"[portal]\nstaticPrefix = /static\ntemplateDir = {PORTAL}/templates\nlanguages = en\n"
        )

    def _configuration(self, service_metadata: str) -> dict[str, Any]:
        key = SigningKey.generate("LemonLDAP::NG", datetime.now(UTC))
        folder = str(self.folder)
        return {
            "cfgNum": 1,
            "cfgAuthor": "tests",
            "cfgDate": "1",
            "portal": self.base_url,
            "domain": self.host,
            "securedCookie": 0,
            "key": "only-for-tests",
            "authentication": "Demo",
            "userDB": "Same",
            "passwordDB": "Demo",
            "registerDB": "Null",
            "demoExportedVars": {"cn": "cn", "mail": "mail", "uid": "uid"},
            "whatToTrace": "uid",
            "globalStorage": "Apache::Session::File",
            "globalStorageOptions": {
                "Directory": f"{folder}/sessions",
                "LockDirectory": f"{folder}/sessions/lock",
                "generateModule": "Lemonldap::NG::Common::Apache::Session::Generate::SHA256",
            },
            "persistentStorage": "Apache::Session::File",
            "persistentStorageOptions": {
                "Directory": f"{folder}/psessions",
                "LockDirectory": f"{folder}/psessions/lock",
            },
            "localSessionStorage": "Cache::FileCache",
            "localSessionStorageOptions": {"namespace": "tests", "cache_root": f"{folder}/cache", "cache_depth": 3},
            "locationRules": {},
            "exportedHeaders": {},
            "issuerDBSAMLActivation": 1,
            "issuerDBSAMLRule": 1,
            "samlServicePrivateKeySig": key.private_key.decode(),
            "samlServicePublicKeySig": key.certificate.decode(),
            "samlServiceUseCertificateInResponse": 1,
            "samlIDPSSODescriptorWantAuthnRequestsSigned": 0,
            "samlSPMetaDataXML": {"seatbridge": {"samlSPMetaDataXML": service_metadata}},
            "samlSPMetaDataExportedAttributes": {
                "seatbridge": {"mail": "1;email", "cn": "0;displayName", "groups": "0;groups"}
            },
            "samlSPMetaDataOptions": {
                "seatbridge": {
                    "samlSPMetaDataOptionsNameIDFormat": "email",
                    "samlSPMetaDataOptionsSignSSOMessage": 1,
                    "samlSPMetaDataOptionsCheckSSOMessageSignature": 0,
                    "samlSPMetaDataOptionsCheckSLOMessageSignature": 1,
                    "samlSPMetaDataOptionsSignSLOMessage": 1,
                }
            },
        }
