"""The demo from its first line to its last, as a newcomer runs it: real processes, a home of its own."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = "docs/tutorial/first-steps.md"
#: The address of a service of the reader's own, as the tutorial calls it.
OWN = "http://127.0.0.1:8080/scim/v2/your-organization"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody who has never run the demo, without a screen."""
    dropped = {"DISPLAY", "WAYLAND_DISPLAY", "XDG_CACHE_HOME"}
    kept = {
        name: value for name, value in os.environ.items() if name not in dropped and not name.startswith("SEATBRIDGE")
    }
    return kept | {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "COLUMNS": "120"}


def demo(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "bridge.cli", "demo", *arguments]


def test_the_headless_tour_holds_from_beginning_to_end(home: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        demo("--headless"), cwd=tmp_path, env=home, capture_output=True, text=True, timeout=200, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"All \d+ checks hold\.", done.stdout)
    assert "✗" not in done.stdout
    assert "✓ 4 of 4 Premium and 8 of 12 Standard are in use" in done.stdout
    assert "✓ Théo Renard came ninth: a member without a seat, first in line" in done.stdout
    assert "✓ the identity provider's own page shows Alice's Premium" in done.stdout
    assert processes_below(tmp_path) == []


@pytest.fixture
def running(home: dict[str, str], tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """The demo as it runs on after the tour."""
    with subprocess.Popen(demo(), cwd=tmp_path, env=home, stdout=subprocess.PIPE, text=True) as process:
        yield process
        if process.poll() is None:
            process.kill()


def test_the_demo_runs_on_with_the_owner_signed_in_by_a_link_until_it_is_stopped(
    running: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    said = read_until(running, "Ctrl-C stops everything.")
    link = re.search(r"(http://127\.0\.0\.1:\d+)/sign-in/link/\S+", said)
    provider = re.search(r"http://localhost:\d+/", said)
    assert link is not None
    assert provider is not None

    followed = follow_the_tutorial(said, link[1], tmp_path)
    children = psutil.Process(running.pid).children(recursive=True)
    pages = [httpx.get(address) for address in (link[0], f"{provider[0]}nordlys/")]
    running.send_signal(signal.SIGINT)
    status = running.wait(60)

    assert followed == tutorial_commands()
    assert [page.status_code for page in pages] == [200, 200]
    assert "Bram de Vries" in pages[1].text
    # 4 Premium at first, 2 bought.
    assert pages[1].text.count('<span class="tag premium">Premium</span>') == 6
    assert status == 0
    assert [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []
    assert processes_below(tmp_path) == []
    with pytest.raises(httpx.TransportError):
        httpx.get(link[1])


def blocks(page: str) -> list[str]:
    """The console blocks of a page."""
    return re.findall(r"^```console\n(.*?)^```", (ROOT / page).read_text(), flags=re.MULTILINE | re.DOTALL)


def tutorial_commands() -> list[str]:
    """Every command that the README and the tutorial have their reader type."""
    typed = [line for page in ("README.md", TUTORIAL) for block in blocks(page) for line in block.splitlines()]
    return [line.removeprefix("$ ").partition("  #")[0].rstrip() for line in typed if line.startswith("$ ")]


def follow_the_tutorial(said: str, address: str, folder: Path) -> list[str]:
    """Type what the README and the tutorial say, beside the running demo; return what was typed and did what it should.

    `./dev demo` is what runs here, `./dev test` is what runs this; only names that are the reader's own are put in.
    """
    config = re.search(r"--config (\S+)", said)
    assert config is not None, said
    environ = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "HOME": str(folder)}

    def seatbridge(*arguments: str) -> str:
        command = [sys.executable, "-m", "bridge.cli", *arguments]
        done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    followed = []
    for block in blocks("README.md") + blocks(TUTORIAL):
        told = ""
        for line in block.splitlines():
            if not line.startswith("$ "):
                assert line in told.splitlines()
                continue
            typed = line.removeprefix("$ ").partition("  #")[0].rstrip()
            words = shlex.split(typed)
            if words[0] == "export":
                name, _, _ = words[1].partition("=")
                made = seatbridge("--config", config[1], "connection", "add", "grachten", "Pushes", "--json")
                environ[name] = json.loads(made)["scim_token"]
            elif words[0] == ".venv/bin/seatbridge":
                mine = {".dev/demo/config.yaml": config[1], OWN: f"{address}/scim/v2/grachten"}
                told = seatbridge(*(mine.get(word, word) for word in words[1:]))
            else:
                assert typed in {"./dev demo", "./dev test"}
            followed.append(typed)
    return followed


def read_until(process: "subprocess.Popen[str]", words: str) -> str:
    """Read what a process prints until it prints the words."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if words in line:
            return said
    raise AssertionError(f"It ended without {words!r}:\n{said}")


def processes_below(folder: Path) -> list[list[str]]:
    """Return the command lines of processes that still name a folder, after a moment to end in."""
    found: list[list[str]] = []
    for _ in range(50):
        found = [
            process.info["cmdline"]
            for process in psutil.process_iter(["cmdline"])
            if any(str(folder) in argument for argument in process.info["cmdline"] or ())
        ]
        if not found:
            break
        time.sleep(0.1)
    return found
