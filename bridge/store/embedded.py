"""A real PostgreSQL of our own, for people who bring none: started, watched and stopped with the service.

The programs come from a wheel. Nobody connects over the network: the server listens on a socket in a folder
that is closed to other users. The wheel's own manager is not used: it takes a killed server that nobody has
reaped yet for a running one. Here a server runs when it answers, and is gone when the kernel has freed its
lock.
"""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psutil
import psycopg
import structlog
from psycopg import sql

from bridge.errors import ConfigurationError
from bridge.store import embedded_guard
from bridge.store.embedded_files import (
    MAJOR_VERSION,
    SystemUser,
    exclusively,
    make_folder,
    open_programs,
    open_the_way,
    programs,
    refuse_a_file,
    socket_folder,
    system_user,
    try_lock,
)

log = structlog.get_logger(__name__)

SUPERUSER = "postgres"
_INITDB = (
    f"--username={SUPERUSER}",
    "--auth=trust",  # the socket's folder is the credential
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",  # the same order and case rules on every machine
    "--data-checksums",
    "--no-instructions",
)
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "256MB",
    "max_parallel_workers_per_gather": "0",  # small tables; and /dev/shm is tiny in containers
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # What people are called appears in statements and details: neither is written to the log.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "logging_collector": "off",
}
_WITHOUT_DURABILITY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}

_PROBE_SECONDS = 3
_SILENCE_SECONDS = 60.0
_POLL_SECONDS = 0.02
_WATCH_SECONDS = 0.2
_WATCH_OTHERS_SECONDS = 2.0
_LONGEST_BACKOFF_SECONDS = 10.0
_STEADY_SECONDS = 30.0
_STOP_SECONDS = 100.0
_LARGEST_LOG_BYTES = 10_000_000
_LOG_LINES = 12


class _Answer(Enum):
    READY = "ready"
    NOT_YET = "starting up or shutting down"
    NOBODY = "nobody"


class EmbeddedPostgres:
    """One PostgreSQL server and its data, in one folder.

    Any number of processes may hold an object for the same folder: the first to :meth:`start` owns the
    server, the others use it. It ends with its owner, even when that is killed; then :meth:`supervise` in
    one of the others starts it again. As root the server runs as the owner of the data, or as the system
    user ``pgserver``.

    Args:
        path: Folder of the data (``data``), the socket, the locks and ``postgres.log``. Created when missing.
        durable: False trades the survival of a power cut, and tidying up in the background, for speed. For tests only.
    """

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        self.path = Path(os.path.realpath(path.expanduser()))
        self.durable = durable
        self._data = self.path / "data"
        self._log_file = self.path / "postgres.log"
        self._socket_folder: Path | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._owner_pid = 0
        self._stopping = threading.Event()
        self._changing = threading.RLock()
        self._watcher: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def owned(self) -> bool:
        """Whether this object started the running server, in this process."""
        return self._guard is not None and self._owner_pid == os.getpid()

    def start(self) -> None:
        """Use the server that answers, else start one, and return when it accepts connections.

        Survives whatever a kill left behind: process id and socket files, an unfinished initialisation, a
        server that is still on its way down. Recovery after a crash may take as long as it needs.

        Raises:
            ConfigurationError: When the folder, the platform, the data's version or another server stands in
            the way.
                The message says what to do, with the end of the server's log where that is the reason.
        """
        with self._changing:
            self._stopping.clear()
            user = self._prepare_folders()
            if self._probe() is _Answer.READY:
                return
            with exclusively(self.path / "start.lock"):
                lock = self._wait_for_the_old_server()
                if lock is None:
                    return
                try:
                    self._remove_leftovers()
                    self._initialise(user)
                    self._launch(user, lock)
                finally:
                    os.close(lock)
                self._wait_until_ready()

    def stop(self) -> None:
        """Shut the server down if this object started it: transactions are rolled back, data is written."""
        self._stopping.set()
        watcher, self._watcher = self._watcher, None
        if watcher is not None and watcher is not threading.current_thread():
            watcher.join()
        with self._changing:
            if not self.owned:
                return
            guard, self._guard = self._guard, None
            assert guard is not None
            assert guard.stdin is not None
            # A byte, not only the end of the pipe: forked workers may still hold the pipe open.
            with guard.stdin as pipe, suppress(BrokenPipeError):
                pipe.write(b"x")
            guard.wait(_STOP_SECONDS)

    def supervise(self) -> None:
        """Watch the server in a thread and start it again whenever it ends, until :meth:`stop`.

        Repeated crashes are retried after 0.2, 0.4, 0.8 ... at most 10 seconds.
        """
        if self._watcher is None or not self._watcher.is_alive():
            self._watcher = threading.Thread(target=self._watch, name="embedded-postgres", daemon=True)
            self._watcher.start()

    @contextmanager
    def service_lock(self, *, wait_seconds: float = 3.0) -> Iterator[None]:
        """Hold the folder for one service, forked workers included.

        Args:
            wait_seconds: How long to wait for workers of a killed service to end.

        Raises:
            ConfigurationError: When another service holds it; the message names its process.
        """
        self._prepare_folders()
        file = self.path / "service.lock"
        descriptor = try_lock(file, wait_seconds=wait_seconds)
        if descriptor is None:
            holder = file.read_text().strip() or "unknown"
            problem = (
                f"database.embedded_path: another Seatbridge (process {holder}) uses {self.path}: stop it, "
                "or give this one its own folder by SEATBRIDGE__DATABASE__EMBEDDED_PATH"
            )
            raise ConfigurationError([problem])
        try:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
            yield
        finally:
            os.close(descriptor)

    def dsn(self, dbname: str = SUPERUSER, user: str = SUPERUSER) -> str:
        """Return a connection URI for libpq and psycopg. The role needs no password."""
        host = quote(str(self._sockets()), safe="")
        return f"postgresql://{quote(user, safe='')}@/{quote(dbname, safe='')}?host={host}"

    def url(self, dbname: str = SUPERUSER, user: str = SUPERUSER) -> str:
        """Return the same address as a SQLAlchemy URL that names the psycopg driver."""
        return self.dsn(dbname, user).replace("postgresql://", "postgresql+psycopg://", 1)

    def ensure_database(self, name: str, *, owner: str | None = None) -> bool:
        """Create a database unless it exists, owned by an existing role (default: the superuser).

        Returns:
            Whether it was created.
        """
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
                return False
            statement = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(
                sql.Identifier(name), sql.Identifier(owner or SUPERUSER)
            )
            try:
                connection.execute(statement)
            except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                return False  # another process was quicker
        return True

    def log_tail(self) -> str:
        """Return the last lines of the server's log."""
        try:
            with self._log_file.open("rb") as file:
                file.seek(max(0, self._log_file.stat().st_size - 4096))
                return "\n".join(file.read().decode(errors="replace").splitlines()[-_LOG_LINES:])
        except OSError:
            return ""

    def _prepare_folders(self) -> SystemUser:
        us = SystemUser(os.geteuid(), os.getegid())
        refuse_a_file(self.path)
        if not self.path.exists():
            make_folder(self.path, owner=us, mode=0o700 if us.uid else 0o711)
        if not os.access(self.path, os.W_OK):
            make_folder(self.path / "data", owner=us, mode=0o700)  # refuses, with the reason
        user = system_user(self._data)
        open_the_way(self._data, user)
        self._socket_folder = socket_folder(self.path, user)
        return user

    def _sockets(self) -> Path:
        if self._socket_folder is None:
            self._prepare_folders()
        assert self._socket_folder is not None
        return self._socket_folder

    def _probe(self) -> _Answer:
        """Ask by connecting: a process id proves nothing."""
        if not (self._sockets() / ".s.PGSQL.5432").exists():
            return _Answer.NOBODY
        try:
            psycopg.connect(self.dsn(), connect_timeout=_PROBE_SECONDS).close()
        except psycopg.OperationalError as error:
            if "the database system is" in str(error):
                return _Answer.NOT_YET
            # "Too many clients" and the like are the answer of a server at work.
            return _Answer.READY if "FATAL" in str(error) else _Answer.NOBODY
        return _Answer.READY

    def _wait_for_the_old_server(self) -> int | None:
        """Return the server's lock once nothing of an older one is left; None when one is ready after all.

        PostgreSQL's processes inherit the lock, so a free lock means that the last of them has ended.
        """
        deadline = time.monotonic() + _SILENCE_SECONDS
        while True:
            answer = self._probe()
            if answer is _Answer.READY:
                return None
            lock = try_lock(self.path / "server.lock")
            if lock is not None:
                return lock
            if answer is _Answer.NOT_YET:
                deadline = time.monotonic() + _SILENCE_SECONDS
            elif time.monotonic() > deadline:
                raise ConfigurationError([self._silent_server()])
            time.sleep(_POLL_SECONDS)

    def _silent_server(self) -> str:
        pid = self._postmaster_pid() or "unknown"
        return (
            f"database.embedded_path: the PostgreSQL of {self.path} (process {pid}) is running but does not "
            f"answer: end it (kill -QUIT {pid}), then start again; its log is {self._log_file}"
        )

    def _postmaster_pid(self) -> int | None:
        try:
            return int((self._data / "postmaster.pid").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None

    def _remove_leftovers(self) -> None:
        """Remove what a killed server left, unless somebody runs a server by hand on the same data."""
        pid = self._postmaster_pid()
        if pid is not None and pid != os.getpid():
            with suppress(psutil.Error):
                process = psutil.Process(pid)
                if process.status() != psutil.STATUS_ZOMBIE and str(self._data) in process.cmdline():
                    raise ConfigurationError([self._silent_server()])
        for leftover in (
            self._data / "postmaster.pid",
            self._sockets() / ".s.PGSQL.5432",
            self._sockets() / ".s.PGSQL.5432.lock",
        ):
            leftover.unlink(missing_ok=True)

    def _initialise(self, user: SystemUser) -> None:
        """Create the data once; it appears under its name when it is complete."""
        open_programs(programs(), user)
        version = self._data / "PG_VERSION"
        if version.exists():
            self._check_version(version.read_text().strip())
            return
        draft = self.path / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        make_folder(draft, owner=user, mode=0o700)
        done = subprocess.run(  # noqa: S603 (a program of the wheel, our own arguments)
            [programs() / "initdb", "-D", draft, *_INITDB, *([] if self.durable else ["--no-sync"])],
            check=False,
            capture_output=True,
            text=True,
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            cwd="/",
            user=None if user.is_ours else user.uid,
            group=None if user.is_ours else user.gid,
            extra_groups=None if user.is_ours else [],
        )
        if done.returncode != 0:
            shutil.rmtree(draft, ignore_errors=True)
            reason = (done.stderr or done.stdout).strip()
            raise ConfigurationError([f"database.embedded_path: {self.path} cannot be initialised:\n{reason}"])
        draft.rename(self._data)

    def _check_version(self, found: str) -> None:
        if found != MAJOR_VERSION:
            problem = (
                f"database.embedded_path: the data in {self.path} is of PostgreSQL {found}, this is "
                f"{MAJOR_VERSION}: "
                "export it with the Seatbridge that wrote it (`seatbridge db backup`), then restore it here"
            )
            raise ConfigurationError([problem])

    def _launch(self, user: SystemUser, lock: int) -> None:
        settings = _SETTINGS | ({} if self.durable else _WITHOUT_DURABILITY)
        settings["unix_socket_directories"] = str(self._sockets())
        command = [str(programs() / "postgres"), "-D", str(self._data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        uid, gid = ("-1", "-1") if user.is_ours else (str(user.uid), str(user.gid))
        if self._log_file.exists() and self._log_file.stat().st_size > _LARGEST_LOG_BYTES:
            self._log_file.replace(self._log_file.with_suffix(".log.1"))
        with self._log_file.open("ab") as log_file:
            self._guard = subprocess.Popen(  # noqa: S603 (our own script, our own arguments)
                [sys.executable, "-I", "-S", embedded_guard.__file__, uid, gid, str(lock), *command],
                stdin=subprocess.PIPE,
                stdout=log_file,
                stderr=log_file,
                bufsize=0,
                cwd="/",
                pass_fds=(lock,),
                start_new_session=True,
            )
        self._owner_pid = os.getpid()

    def _wait_until_ready(self) -> None:
        guard = self._guard
        assert guard is not None
        deadline = time.monotonic() + _SILENCE_SECONDS
        while (answer := self._probe()) is not _Answer.READY:
            if answer is _Answer.NOT_YET:
                deadline = time.monotonic() + _SILENCE_SECONDS
            if guard.poll() is not None or time.monotonic() > deadline:
                tail = self.log_tail()
                self.stop()
                problem = f"database: the PostgreSQL in {self.path} did not start. The end of its log:\n{tail}"
                raise ConfigurationError([problem])
            time.sleep(_POLL_SECONDS)

    def _watch(self) -> None:
        failures = 0
        steady_since = time.monotonic()
        while not self._stopping.wait(_WATCH_SECONDS if self.owned else _WATCH_OTHERS_SECONDS):
            guard = self._guard
            if guard is not None and guard.poll() is None:
                continue
            if guard is None and self._probe() is _Answer.READY:
                continue
            if time.monotonic() - steady_since > _STEADY_SECONDS:
                failures = 0
            log.error("postgres.ended", path=str(self.path), status=None if guard is None else guard.returncode)
            if self._stopping.wait(min(_LONGEST_BACKOFF_SECONDS, 0.1 * 2**failures)):
                return
            failures += 1
            self._restart()
            steady_since = time.monotonic()

    def _restart(self) -> None:
        with self._changing:
            if self._stopping.is_set():
                return
            if self._guard is not None and self._guard.stdin is not None:
                self._guard.stdin.close()
            self._guard = None
            try:
                self.start()
            except ConfigurationError as error:
                log.error(  # noqa: TRY400 (the problem is the message)
                    "postgres.restart_failed", path=str(self.path), problems=error.problems
                )
            else:
                log.warning("postgres.restarted", path=str(self.path))
