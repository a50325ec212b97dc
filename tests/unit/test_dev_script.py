"""The script `./dev`: what it decides, without installing anything."""

import ast
import hashlib
import importlib.util
import re
import signal
import subprocess
import sys
import time
import tomllib
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load_script() -> ModuleType:
    loader = SourceFileLoader("dev_script", str(ROOT / "dev"))
    spec = importlib.util.spec_from_loader("dev_script", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


dev = load_script()

NOW = {"format": 1, "python": "3.11.7", "root": "/srv/seatbridge", "runtime": "r1", "dev": "d1"}


def test_an_environment_made_from_the_present_locks_needs_nothing() -> None:
    missing = dev.what_is_missing(dict(NOW), NOW, "dev")

    assert missing == "nothing"


def test_the_demo_is_content_with_an_environment_without_the_developers_tools() -> None:
    missing = dev.what_is_missing({**NOW, "dev": None}, NOW, "runtime")

    assert missing == "nothing"


def test_the_developers_tools_are_added_to_an_environment_that_has_only_the_runtime() -> None:
    missing = dev.what_is_missing({**NOW, "dev": None}, NOW, "dev")

    assert missing == "packages"


@pytest.mark.parametrize("changed", ["format", "python", "root", "runtime"])
def test_an_environment_made_from_something_else_is_built_anew(changed: str) -> None:
    missing = dev.what_is_missing({**NOW, changed: "another"}, NOW, "runtime")

    assert missing == "everything"


def test_a_changed_developers_lock_leaves_the_demo_alone_and_rebuilds_for_the_tests() -> None:
    stamp = {**NOW, "dev": "d0"}

    missing = [dev.what_is_missing(stamp, NOW, level) for level in ("runtime", "dev")]

    assert missing == ["nothing", "everything"]


def test_a_setup_that_never_finished_is_begun_again() -> None:
    missing = dev.what_is_missing(None, NOW, "runtime")

    assert missing == "everything"


def test_an_environment_whose_interpreter_is_gone_is_built_anew(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(tmp_path / "uninstalled")
    (tmp_path / "pyvenv.cfg").write_text("version = 3.11.7\n")

    missing = dev.what_is_missing(dict(NOW), {**NOW, "python": dev.python_of(tmp_path)}, "runtime")

    assert missing == "everything"


@pytest.mark.parametrize("key", ["version", "version_info"])
def test_the_interpreters_version_is_read_from_what_venv_and_uv_write(key: str, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    (tmp_path / "pyvenv.cfg").write_text(f"home = /usr/bin\n{key} = 3.12.1\n")

    version = dev.python_of(tmp_path)

    assert version == "3.12.1"


def test_a_locks_digest_is_the_sha256_of_its_bytes(tmp_path: Path) -> None:
    lock = tmp_path / "runtime.txt"
    lock.write_bytes(b"flask==3.1.3\n")

    digest = dev.digest(lock)

    assert digest == hashlib.sha256(b"flask==3.1.3\n").hexdigest()


def test_the_first_python_that_starts_and_is_new_enough_is_chosen() -> None:
    on_path = {
        "python3.13": "/shims/python3.13",
        "python3.12": "/old/python3.12",
        "python3.11": "/usr/bin/python3.11",
    }
    versions = {"/shims/python3.13": (), "/old/python3.12": (3, 10, 2), "/usr/bin/python3.11": (3, 11, 2)}

    python = dev.find_python(dev.PYTHON_NAMES, on_path.get, versions.__getitem__)

    assert python == "/usr/bin/python3.11"


def test_no_python_is_chosen_where_none_is_new_enough() -> None:
    python = dev.find_python(dev.PYTHON_NAMES, {}.get, {}.__getitem__)

    assert python is None


def test_a_version_is_found_in_what_pip_prints() -> None:
    version = dev.version_in("pip 23.0.1 from /usr/lib/python3/dist-packages/pip (python 3.11)")

    assert version == (23, 0, 1)


def test_a_step_is_one_line_with_its_seconds() -> None:
    line = dev.step_line("packages", "62 wheels", 9.87)

    assert line == f"  packages       62 wheels{' ' * 49}    9.9 s"


def test_commands_run_with_the_environments_programs_first() -> None:
    env = dev.child_environment({"PATH": "/usr/bin", "PYTHONHOME": "/elsewhere"}, Path("/srv/.venv"))

    assert env == {"PATH": "/srv/.venv/bin:/usr/bin", "VIRTUAL_ENV": "/srv/.venv"}


def test_uv_is_told_of_the_index_that_pip_uses() -> None:
    env = dev.uv_environment({"PIP_INDEX_URL": "https://packages.example/simple"})

    assert env["UV_DEFAULT_INDEX"] == "https://packages.example/simple"


def test_uvs_own_index_wins_over_pips() -> None:
    env = dev.uv_environment({"PIP_INDEX_URL": "https://a.example/", "UV_INDEX_URL": "https://b.example/"})

    assert "UV_DEFAULT_INDEX" not in env


def test_the_index_comes_from_the_environment_before_pips_configuration(tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex-url = https://file.example/simple\n")

    found = [
        dev.configured_index({"PIP_INDEX_URL": "https://env.example/simple"}, [config]),
        dev.configured_index({}, [tmp_path / "absent.conf", config]),
        dev.configured_index({}, []),
    ]

    assert found == ["https://env.example/simple", "https://file.example/simple", None]


def test_the_pinned_pip_is_found_on_an_indexs_page_by_its_exact_name() -> None:
    other = '<a href="../../f/pip-1.0-py3-none-any.whl#sha256=0">pip-1.0</a>'
    page = f'{other}<br><a data-yanked="" href="../../f/{dev.PIP_WHEEL}#sha256=1">pip</a>'

    address = dev.wheel_address(page, "https://packages.example/simple/pip/", dev.PIP_WHEEL)

    assert address == f"https://packages.example/f/{dev.PIP_WHEEL}"


def test_the_console_script_starts_where_the_path_has_spaces_and_ends_quietly_on_ctrl_c(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    python = folder / "python"
    python.symlink_to(sys.executable)
    (folder / "shop.py").write_text("def main():\n    raise KeyboardInterrupt\n")
    script = folder / "shop"
    script.write_text(dev.console_script(python, "shop", "main"))
    script.chmod(0o755)

    ended = subprocess.run([script], capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stderr) == (130, "")


def test_an_interrupted_command_takes_what_it_started_with_it(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    child = subprocess.Popen(
        ["sh", "-c", f"sleep 60 & echo $! > '{pid_file}.new'; mv '{pid_file}.new' '{pid_file}'; wait"],
        start_new_session=True,
        text=True,
    )
    while not pid_file.exists():
        time.sleep(0.01)

    dev.end_group(child)

    assert child.returncode == -signal.SIGTERM
    assert is_gone(int(pid_file.read_text()))


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody reaps (a container without init) has ended too."""
    for _ in range(200):
        state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
        if state.stdout.strip() in {"", "Z"}:
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("lock", ["runtime.txt", "all.txt", "dev.txt"])
def test_a_lock_names_no_host_and_no_path(lock: str) -> None:
    leaked = dev.places_named_in((ROOT / "requirements" / lock).read_text())

    assert leaked == []


def test_a_host_or_a_path_in_a_lock_is_noticed() -> None:
    lock = (
        "--index-url https://packages.example/simple\nflask==3.1.3\n--find-links=/opt/wheels\n    # via -r /srv/x.in\n"
    )

    leaked = dev.places_named_in(lock)

    assert leaked == [
        "--index-url https://packages.example/simple",
        "--find-links=/opt/wheels",
        "# via -r /srv/x.in",
    ]


@pytest.mark.parametrize("lock", ["runtime.txt", "all.txt", "dev.txt"])
def test_every_pin_of_a_lock_has_a_hash(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text()

    unhashed = [line for line in text.splitlines() if "==" in line and not line.endswith("\\")]

    assert unhashed == []


def test_tests_run_with_exactly_the_versions_that_the_service_runs_with() -> None:
    runtime = dev.pins((ROOT / "requirements/runtime.txt").read_text())
    with_extras = dev.pins((ROOT / "requirements/all.txt").read_text())
    everything = dev.pins((ROOT / "requirements/dev.txt").read_text())

    differing = {name for name, version in {**runtime, **with_extras}.items() if everything.get(name) != version} | {
        name for name, version in runtime.items() if with_extras.get(name) != version
    }

    assert len(runtime) > 20
    assert differing == set()


def test_the_locks_hold_every_dependency_that_the_project_declares() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    runtime = dev.pins((ROOT / "requirements/runtime.txt").read_text())
    with_extras = dev.pins((ROOT / "requirements/all.txt").read_text())
    everything = dev.pins((ROOT / "requirements/dev.txt").read_text())
    extras = [one for extra in declared["project"]["optional-dependencies"].values() for one in extra]

    unlocked = [name for name in map(name_of, declared["project"]["dependencies"]) if name not in runtime]
    unlocked += [name for name in map(name_of, extras) if name not in with_extras]
    unlocked += [name for name in map(name_of, declared["dependency-groups"]["dev"]) if name not in everything]

    assert unlocked == []


def name_of(requirement: str) -> str:
    """`psycopg[binary,pool]>=3.3` → `psycopg`."""
    named = re.match(r"[\w.-]+", requirement)
    assert named is not None
    return named.group().lower()


def test_every_tool_of_the_linters_is_locked() -> None:
    everything = dev.pins((ROOT / "requirements/dev.txt").read_text())

    assert {check.name.split()[0] for check in dev.CHECKS} <= set(everything)


def test_an_unknown_command_is_refused_with_the_nearest_one() -> None:
    ended = subprocess.run([ROOT / "dev", "tset"], capture_output=True, text=True, check=False)

    assert ended.returncode == 1
    assert "is it 'test'?" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("command", sorted(set(dev.COMMANDS) - {"demo", "serve"}))
def test_every_command_explains_itself_without_doing_anything(command: str) -> None:
    ended = subprocess.run([ROOT / "dev", command, "--help"], capture_output=True, text=True, check=False)

    assert ended.returncode == 0
    assert ended.stdout.startswith(f"Usage: ./dev {command}")


def test_an_older_python_can_read_the_script_and_hand_over() -> None:
    source = (ROOT / "dev").read_text()

    tree = ast.parse(source, feature_version=(3, 7))

    assert tree.body


def test_bytecode_of_the_whole_checkout_is_found_and_hidden_folders_are_left_alone(tmp_path: Path) -> None:
    for folder in (".", "bridge/cli", "docs/tools", ".venv/lib"):
        (tmp_path / folder / "__pycache__").mkdir(parents=True)

    found = {str(path.relative_to(tmp_path)) for path in dev.python_caches(tmp_path)}

    assert found == {"__pycache__", "bridge/cli/__pycache__", "docs/tools/__pycache__"}
