"""The master keys: their text form, their file, and where they come from."""

import base64
import binascii
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.errors import ConfigurationError

if TYPE_CHECKING:
    from bridge.config.settings import Settings

KEY_BYTES = 32
KEYS_FILE_NAME = "seatbridge.keys"
HOW_TO_CREATE = (
    "create one with `(umask 077; seatbridge secrets generate > seatbridge.keys)` "
    "and set SEATBRIDGE__SECRETS__KEYS_FILE=seatbridge.keys"
)
_HEADER = "# Seatbridge keys: the first encrypts, all decrypt. Stored credentials are lost without this file.\n"
_HEXADECIMAL = re.compile(r"([0-9a-fA-F]{2})+")


def generate_key() -> str:
    """Return a new random key of 32 bytes, as base64 text that is safe in a shell and a URL."""
    return base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).rstrip(b"=").decode()


def decode_key(text: str) -> bytes:
    """Return the bytes of a key written in hexadecimal or base64 (either alphabet, with or without padding).

    Raises:
        ValueError: When it is neither, or shorter than 32 bytes. The message does not contain the key.
    """
    text = text.strip()
    if _HEXADECIMAL.fullmatch(text):
        key = bytes.fromhex(text)
    else:
        plain = text.rstrip("=").replace("-", "+").replace("_", "/")
        try:
            key = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("is neither base64 nor hexadecimal") from None
    if len(key) < KEY_BYTES:
        raise ValueError(f"has {len(key)} bytes; at least {KEY_BYTES} are needed")
    return key


def read_keys_file(path: Path) -> tuple[bytes, ...]:
    """Return the keys of a file, one a line; the first encrypts.

    Raises:
        ConfigurationError: When the file cannot be read, holds no key, or a line is not a key (named by its
        number).
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise ConfigurationError([f"{path}: cannot be read ({reason}): {HOW_TO_CREATE}"]) from None
    keys: list[bytes] = []
    problems: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            keys.append(decode_key(line))
        except ValueError as error:
            problems.append(f"{path}:{number}: the key {error}")
    if not keys and not problems:
        problems.append(f"{path}: contains no key: {HOW_TO_CREATE}")
    if problems:
        raise ConfigurationError(problems)
    return tuple(keys)


def ensure_keys_file(path: Path) -> bool:
    """Create a key file with one new key, readable by its owner only, unless there is one.

    Safe when two processes start at once: the file appears complete or not at all, and the first one stays.

    Returns:
        Whether the file was created.

    Raises:
        ConfigurationError: When the folder cannot be written to.
    """
    if path.exists():
        return False
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(f"{_HEADER}{generate_key()}\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
            return True
    except OSError as error:
        problem = f"{path}: cannot be created ({error.strerror}): make the folder writable or {HOW_TO_CREATE}"
        raise ConfigurationError([problem]) from None
    finally:
        draft.unlink(missing_ok=True)
    return False


def resolve_keys(settings: "Settings") -> tuple[bytes, ...]:
    """Return the master keys of a service, creating a key file beside the embedded data when nothing is set.

    Raises:
        ConfigurationError: When an external database is used without keys, or the keys cannot be read. The
        message
            says which command creates one.
    """
    if settings.secrets.keys:
        return tuple(decode_key(key.get_secret_value()) for key in settings.secrets.keys)
    if settings.secrets.keys_file is not None:
        return read_keys_file(settings.secrets.keys_file)
    if settings.database.url is not None:
        raise ConfigurationError([f"secrets: no key is set, and an external database needs one: {HOW_TO_CREATE}"])
    path = settings.database.embedded_path / KEYS_FILE_NAME
    ensure_keys_file(path)
    return read_keys_file(path)
