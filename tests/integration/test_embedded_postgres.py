"""The embedded server, with the real programs: what a kill leaves behind never needs a person (row X5)."""

import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from bridge.errors import ConfigurationError
from bridge.store.embedded import EmbeddedPostgres
from bridge.store.embedded_files import MAJOR_VERSION, SystemUser, open_programs, programs, try_lock
from tests.postgres import quickest_folder

ROOT = Path(__file__).parents[2]
AS_ROOT = os.geteuid() == 0


@pytest.fixture(scope="module")
def initialised() -> Iterator[Path]:
    """A folder that was started once, to be copied: initialising takes half a second."""
    folder = Path(tempfile.mkdtemp(prefix="sb-", dir=quickest_folder()))
    with EmbeddedPostgres(folder / "pg", durable=False) as server:
        server.ensure_database("app")
    yield folder / "pg"
    shutil.rmtree(folder)


@pytest.fixture
def short_tmp() -> Iterator[Path]:
    """A short path: a socket's path has 107 bytes at most."""
    folder = Path(tempfile.mkdtemp(prefix="sb-", dir=quickest_folder()))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def folder(initialised: Path, short_tmp: Path) -> Path:
    copy_cluster(initialised, short_tmp / "pg")
    return short_tmp / "pg"


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(folder)
    yield server
    server.stop()


def copy_cluster(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", source, target], check=True)


def answers(server: EmbeddedPostgres) -> bool:
    try:
        with psycopg.connect(server.dsn(), connect_timeout=3) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def eventually(condition: Callable[[], bool], *, seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def postmaster(server: EmbeddedPostgres) -> psutil.Process:
    pid = server._postmaster_pid()
    assert pid is not None
    return psutil.Process(pid)


def run_python(code: str, *arguments: object, **options: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]  # options are passed through
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        **options,
    )


SERVICE = """
    import sys, time
    from pathlib import Path
    from bridge.store.embedded import EmbeddedPostgres
    server = EmbeddedPostgres(Path(sys.argv[1]))
    server.start()
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def service(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that owns the server of the folder."""
    process = run_python(SERVICE, folder)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate()
    lock = try_lock(folder / "server.lock", wait_seconds=20)
    assert lock is not None
    os.close(lock)


def test_a_first_start_initialises_and_a_stop_leaves_nothing_running(short_tmp: Path) -> None:
    server = EmbeddedPostgres(short_tmp / "pg")

    server.start()
    running = postmaster(server)
    server.stop()

    assert not running.is_running()
    assert not (server.path / "data" / "postmaster.pid").exists()


def test_a_warm_start_takes_less_than_two_seconds(server: EmbeddedPostgres) -> None:
    began = time.monotonic()

    server.start()

    assert time.monotonic() - began < 2


def test_the_server_is_utf8_with_checksums_the_builtin_locale_and_no_network(
    server: EmbeddedPostgres,
) -> None:
    server.start()

    with psycopg.connect(server.dsn("app")) as connection:
        facts = connection.execute(
            "SELECT current_setting('server_encoding'), current_setting('data_checksums'), datlocale,"
            " datlocprovider::text, current_setting('listen_addresses'), current_setting('max_connections')"
            " FROM pg_database WHERE datname = 'app'"
        ).fetchone()

    assert facts == ("UTF8", "on", "C.UTF-8", "b", "", "200")


def test_nobody_else_reaches_the_socket(server: EmbeddedPostgres) -> None:
    server.start()

    socket_folder = server._sockets()

    assert socket_folder.stat().st_mode & 0o777 == 0o700
    assert socket_folder.stat().st_uid == (server.path / "data").stat().st_uid


def test_a_second_start_uses_the_running_server_without_owning_it(
    service: "subprocess.Popen[str]", server: EmbeddedPostgres
) -> None:
    server.start()
    owned = server.owned

    server.stop()

    assert not owned
    assert answers(server)


def test_case_x5_a_killed_postmaster_that_nobody_reaped_is_not_taken_for_a_running_one(
    service: "subprocess.Popen[str]", server: EmbeddedPostgres
) -> None:
    killed = postmaster(server)
    guard = killed.parent()
    assert guard is not None
    guard.suspend()  # so that nobody reaps the postmaster
    killed.kill()
    assert eventually(lambda: killed.status() == psutil.STATUS_ZOMBIE)

    server.start()

    assert killed.status() == psutil.STATUS_ZOMBIE
    assert server.owned
    assert answers(server)
    server.stop()
    guard.resume()


def test_case_x5_supervision_restarts_a_killed_postmaster(server: EmbeddedPostgres) -> None:
    server.start()
    server.supervise()
    killed = postmaster(server).pid

    os.kill(killed, signal.SIGKILL)

    assert eventually(lambda: server._postmaster_pid() not in {None, killed} and answers(server))


def test_supervision_takes_over_when_the_owner_of_the_server_is_killed(
    service: "subprocess.Popen[str]", server: EmbeddedPostgres
) -> None:
    server.start()
    server.supervise()

    service.kill()

    assert eventually(lambda: server.owned and answers(server))


@pytest.mark.parametrize("content", ["", "1\n", "{pid}\n/elsewhere\n", "not a number\n"])
def test_stale_files_of_a_killed_server_do_not_stand_in_the_way(content: str, server: EmbeddedPostgres) -> None:
    pid_file = server.path / "data" / "postmaster.pid"
    pid_file.write_text(content.format(pid=os.getpid()))
    socket_file = server._sockets() / ".s.PGSQL.5432"
    socket_file.touch()
    socket_file.with_name(".s.PGSQL.5432.lock").write_text(f"{os.getpid()}\n")

    server.start()

    assert answers(server)


def test_an_initialisation_that_was_killed_starts_over(short_tmp: Path) -> None:
    unfinished = short_tmp / "pg" / "data.new"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")

    with EmbeddedPostgres(short_tmp / "pg", durable=False) as server:
        assert answers(server)


def test_killing_the_service_leaves_no_orphan_and_what_was_committed_survives(
    service: "subprocess.Popen[str]", server: EmbeddedPostgres
) -> None:
    processes = [postmaster(server), *postmaster(server).children(recursive=True)]
    with psycopg.connect(server.dsn("app")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS value")

    service.kill()

    _, alive = psutil.wait_procs(processes, timeout=15)
    assert alive == []
    server.start()
    with psycopg.connect(server.dsn("app")) as connection:
        assert connection.execute("SELECT value FROM kept").fetchone() == (7,)


def test_case_x1_data_survives_the_kill_of_everything_at_once(
    service: "subprocess.Popen[str]", server: EmbeddedPostgres
) -> None:
    with psycopg.connect(server.dsn("app")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT g AS value FROM generate_series(1, 1000) g")
    main = postmaster(server)
    guard = main.parent()
    assert guard is not None

    everything = [service.pid, guard.pid, main.pid, *(child.pid for child in main.children(recursive=True))]

    for pid in everything:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    server.start()

    with psycopg.connect(server.dsn("app")) as connection:
        assert connection.execute("SELECT sum(value) FROM kept").fetchone() == (500_500,)  # 1000 · 1001 / 2


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals a child at its parent's death")
def test_killing_the_guard_alone_leaves_no_orphan_and_supervision_restarts(server: EmbeddedPostgres) -> None:
    server.start()
    server.supervise()
    first = postmaster(server)
    guard = first.parent()
    assert guard is not None

    guard.kill()

    assert eventually(lambda: not first.is_running() and answers(server))


def test_ctrl_c_in_the_terminal_does_not_reach_the_server_before_the_service_stops_it(
    server: EmbeddedPostgres,
) -> None:
    server.start()

    group = os.getpgid(postmaster(server).pid)

    assert group != os.getpgrp()


def test_two_services_on_one_folder_are_refused_naming_the_other(folder: Path) -> None:
    with EmbeddedPostgres(folder).service_lock():
        other = EmbeddedPostgres(folder)

        with (
            pytest.raises(ConfigurationError, match=rf"process {os.getpid()}\) uses .*EMBEDDED_PATH"),
            other.service_lock(wait_seconds=0),
        ):
            pass


def test_the_folder_is_free_again_when_its_service_is_killed(folder: Path) -> None:
    holder = run_python(
        """
        import sys, time
        from pathlib import Path
        from bridge.store.embedded import EmbeddedPostgres
        with EmbeddedPostgres(Path(sys.argv[1])).service_lock():
            print("held", flush=True)
            time.sleep(600)
        """,
        folder,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"

    holder.kill()
    holder.communicate()

    with EmbeddedPostgres(folder).service_lock():
        assert (folder / "service.lock").read_text() == f"{os.getpid()}\n"


def test_several_processes_that_start_at_once_share_one_server(folder: Path) -> None:
    starters = [run_python(SERVICE, folder) for _ in range(4)]
    for starter in starters:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "ready\n"

    starts = (folder / "postgres.log").read_text().count("starting PostgreSQL")

    assert starts == 1 + 1  # the fixture's and ours
    for starter in starters:
        starter.kill()
        starter.communicate()
    lock = try_lock(folder / "server.lock", wait_seconds=20)
    assert lock is not None
    os.close(lock)


@pytest.mark.parametrize("name", ["with a space", "o'quote", "a,comma", "é" * 90, "deep/" * 30 + "end"])
def test_any_path_works(name: str, initialised: Path, short_tmp: Path) -> None:
    path = short_tmp / name
    path.parent.mkdir(parents=True, exist_ok=True)
    copy_cluster(initialised, path)

    with EmbeddedPostgres(path) as server:
        assert answers(server)
        sockets = server._sockets()

    if not sockets.is_relative_to(short_tmp):
        sockets.rmdir()


def test_a_socket_folder_of_another_user_is_refused(short_tmp: Path) -> None:
    if not AS_ROOT:
        pytest.skip("only root can make a folder of another user")
    server = EmbeddedPostgres(short_tmp / ("long" * 30))
    with EmbeddedPostgres(server.path, durable=False):
        sockets = server._sockets()
    os.chown(sockets, 65534, 65534)

    with pytest.raises(ConfigurationError, match=r"belongs to .* shorter path"):
        EmbeddedPostgres(server.path).start()

    sockets.rmdir()


def test_a_server_run_by_hand_on_the_same_data_is_not_disturbed(server: EmbeddedPostgres, short_tmp: Path) -> None:
    owner = (server.path / "data").stat()
    elsewhere = short_tmp / "elsewhere"
    elsewhere.mkdir()
    os.chown(elsewhere, owner.st_uid, owner.st_gid)
    by_hand = subprocess.Popen(
        [
            *(f"{programs()}/postgres", "-D", f"{server.path}/data"),
            *("-c", "listen_addresses=", "-c", f"unix_socket_directories={elsewhere}"),
        ],
        stderr=subprocess.DEVNULL,
        user=owner.st_uid,
        group=owner.st_gid,
    )
    assert eventually((elsewhere / ".s.PGSQL.5432").exists)

    with pytest.raises(ConfigurationError, match=rf"process {by_hand.pid}\) is running but does not answer"):
        server.start()

    assert by_hand.poll() is None
    by_hand.send_signal(signal.SIGINT)
    by_hand.wait()


def test_data_of_another_version_is_refused_with_the_way_out(server: EmbeddedPostgres) -> None:
    (server.path / "data" / "PG_VERSION").write_text("17\n")

    with pytest.raises(ConfigurationError, match=f"PostgreSQL 17, this is {MAJOR_VERSION}.*db backup"):
        server.start()


def test_a_server_that_cannot_start_is_reported_with_the_end_of_its_log(server: EmbeddedPostgres) -> None:
    with (server.path / "data" / "postgresql.conf").open("a") as file:
        file.write("no_such_setting = on\n")

    with pytest.raises(ConfigurationError, match='unrecognized configuration parameter "no_such_setting"'):
        server.start()


def test_a_folder_that_cannot_be_written_is_refused_with_the_way_out(short_tmp: Path) -> None:
    (short_tmp / "file").touch()

    with pytest.raises(ConfigurationError, match="SEATBRIDGE__DATABASE__EMBEDDED_PATH"):
        EmbeddedPostgres(short_tmp / "file" / "pg").start()


def test_a_database_is_created_once_for_its_owner(server: EmbeddedPostgres) -> None:
    server.start()
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute("CREATE ROLE keeper")

    created = [server.ensure_database("kept", owner="keeper") for _ in range(2)]

    assert created == [True, False]
    with psycopg.connect(server.dsn("kept")) as connection:
        owner = connection.execute("SELECT datdba::regrole::text FROM pg_database WHERE datname = 'kept'").fetchone()
    assert owner == ("keeper",)


def test_the_log_of_the_server_never_holds_what_people_are_called(server: EmbeddedPostgres) -> None:
    server.start()
    with psycopg.connect(server.dsn("app"), autocommit=True) as connection:
        connection.execute("CREATE TABLE person (user_name text PRIMARY KEY)")
        connection.execute("INSERT INTO person VALUES ('alice@example.com')")

        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO person VALUES ('alice@example.com')")

    assert "alice" not in (server.path / "postgres.log").read_text()


def test_a_forked_worker_does_not_stop_the_server_of_its_parent(server: EmbeddedPostgres) -> None:
    server.start()

    child = os.fork()
    if child == 0:
        server.stop()
        os._exit(0)
    os.waitpid(child, 0)

    assert answers(server)


def test_stopping_does_not_wait_for_forked_workers_that_still_hold_the_pipe(server: EmbeddedPostgres) -> None:
    server.start()
    child = os.fork()
    if child == 0:
        time.sleep(600)
        os._exit(0)

    began = time.monotonic()
    server.stop()

    assert time.monotonic() - began < 5
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


@pytest.mark.skipif(not AS_ROOT, reason="only root can become another user")
def test_an_ordinary_user_needs_no_privileges(short_tmp: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    interpreter = interpreter_of(nobody.pw_uid)
    if interpreter is None:
        pytest.skip("no interpreter of this version is installed where other users can run it")
    shutil.copytree(ROOT / "bridge", short_tmp / "bridge", ignore=shutil.ignore_patterns("__pycache__"))
    home = short_tmp / "home"
    home.mkdir()
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    program = """
        import os, sys
        from pathlib import Path
        from bridge.store.embedded import EmbeddedPostgres
        with EmbeddedPostgres(Path(sys.argv[1])) as server:
            print("owned", server.owned, "as", (server.path / "data").stat().st_uid)
    """

    done = subprocess.run(
        [interpreter, "-c", textwrap.dedent(program), home / "pg"],
        check=False,
        capture_output=True,
        text=True,
        user=nobody.pw_uid,
        group=nobody.pw_gid,
        extra_groups=[],
        cwd="/",
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(short_tmp), sysconfig.get_path("purelib")]),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )

    assert done.stdout == f"owned True as {nobody.pw_uid}\n", done.stderr


def interpreter_of(uid: int) -> str | None:
    """Our interpreter, or the system's of the same version, whichever that user can run with our packages."""
    system = shutil.which(f"python3.{sys.version_info.minor}", path="/usr/local/bin:/usr/bin")
    for candidate in (sys.executable, system):
        with suppress(PermissionError):
            if candidate is not None:
                run = subprocess.run(
                    [candidate, "-c", "import psycopg, psutil, structlog"],
                    check=False,
                    stderr=subprocess.DEVNULL,
                    user=uid,
                    extra_groups=[],
                    cwd="/",
                    env={"PYTHONPATH": sysconfig.get_path("purelib")},
                )
                if run.returncode == 0:
                    return candidate
    return None


@pytest.mark.skipif(not AS_ROOT, reason="the server runs as another user for root only")
def test_as_root_only_the_right_to_pass_is_added_to_closed_folders(initialised: Path, short_tmp: Path) -> None:
    home = short_tmp / "home"
    home.mkdir(mode=0o700)
    copy_cluster(initialised, home / "pg")

    with EmbeddedPostgres(home / "pg") as server:
        assert answers(server)

    assert home.stat().st_mode & 0o777 == 0o701


def test_a_lock_is_free_as_soon_as_its_holder_is_killed(short_tmp: Path) -> None:
    file = short_tmp / "lock"
    holder = run_python(
        """
        import sys, time
        from pathlib import Path
        from bridge.store.embedded_files import try_lock
        assert try_lock(Path(sys.argv[1])) is not None
        print("held", flush=True)
        time.sleep(600)
        """,
        file,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    while_held = try_lock(file)

    holder.kill()
    descriptor = try_lock(file, wait_seconds=5)

    assert while_held is None
    assert descriptor is not None
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)
    holder.communicate()


@pytest.mark.skipif(not AS_ROOT, reason="the server runs as another user for root only")
def test_as_root_programs_installed_under_a_closed_folder_and_a_strict_umask_become_usable(short_tmp: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    bin_folder = short_tmp / "root" / "pginstall18" / "bin"
    bin_folder.mkdir(parents=True)
    (bin_folder / "postgres").write_text("#!/bin/sh\necho works\n")
    for path in (bin_folder / "postgres", bin_folder, bin_folder.parent, bin_folder.parent.parent):
        path.chmod(0o700)

    open_programs(bin_folder, SystemUser(nobody.pw_uid, nobody.pw_gid))

    done = subprocess.run(
        [bin_folder / "postgres"],
        check=True,
        capture_output=True,
        text=True,
        user=nobody.pw_uid,
        group=nobody.pw_gid,
        extra_groups=[],
    )
    assert done.stdout == "works\n"
    assert (short_tmp / "root").stat().st_mode & 0o777 == 0o701
