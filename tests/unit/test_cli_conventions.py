"""What every command keeps to: JSON for programs, exit codes that mean something, names that a shell completes."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from bridge.cli import main
from bridge.cli.reference import commands_of
from bridge.config import load_settings
from bridge.config.documents import generate_example
from tests.processes import ROOT

#: They run until they are ended, or are watched; `rehearse` prints JSON whatever it is told, `completion` a script.
WITHOUT_JSON = {"serve", "worker", "demo", "rehearse", "completion"}


def test_every_command_prints_json_when_it_is_asked_to() -> None:
    silent = {
        " ".join(path)
        for path, command in commands_of(main)
        if not any("--json" in parameter.opts for parameter in command.params)
    }

    assert silent == WITHOUT_JSON


def test_every_command_and_every_option_says_what_it_is_for() -> None:
    for path, command in commands_of(main):
        assert command.help, path
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, (path, parameter.name)


@pytest.fixture
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder, without settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("SEATBRIDGE_"):
            monkeypatch.delenv(name)


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize(
    ("arguments", "environ", "code", "said"),
    [
        (["--version"], {}, 0, ""),
        (["secrets", "generate", "--json"], {}, 0, ""),
        (["init", "there"], {}, 1, "(invalid_input)"),  # a refusal, with its code
        (["doctor"], {"SEATBRIDGE__SERVER__PORT": "none"}, 1, ""),  # a check that found something
        (["org", "list"], {"SEATBRIDGE__SERVER__PORT": "none"}, 2, "configuration: SEATBRIDGE__SERVER__PORT"),
        (["no-such-command"], {}, 2, "No such command"),
        (["org", "show"], {}, 2, "Missing argument"),
        (["db", "restore", "there/keys", "--json"], {}, 2, "answer ahead with --yes"),
    ],
)
def test_exit_codes_mean_what_the_reference_says(
    arguments: list[str], environ: dict[str, str], code: int, said: str, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "keys").write_text("")

    told = CliRunner().invoke(main, arguments, env=environ)

    assert told.exit_code == code, told.output
    assert said in told.stderr


@pytest.mark.usefixtures("_here")
def test_a_database_that_is_away_is_said_in_a_sentence_and_ends_with_1(tmp_path: Path) -> None:
    key = CliRunner().invoke(main, ["secrets", "generate"]).stdout.strip()
    environ = {"SEATBRIDGE__DATABASE__URL": "postgresql://x@127.0.0.1:9/none", "SEATBRIDGE__SECRETS__KEYS": key}

    told = CliRunner().invoke(main, ["org", "list"], env=environ)

    assert told.exit_code == 1
    assert told.stderr.startswith("database: ")
    assert told.stderr.rstrip().endswith("(unavailable): run `seatbridge doctor`")


# --- init -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_here")
def test_init_writes_a_configuration_that_explains_everything_and_keys_that_nobody_else_reads(tmp_path: Path) -> None:
    told = CliRunner().invoke(main, ["init", "new", "--public-url", "https://seats.example.com", "--data", "data"])

    assert told.exit_code == 0, told.output
    settings = load_settings(tmp_path / "new" / "config.yaml", environ={})
    assert settings.server.public_url == "https://seats.example.com"
    assert settings.server.trusted_proxies == 1
    assert settings.secrets.keys_file == tmp_path / "new" / "keys"
    assert settings.database.embedded_path == tmp_path / "data"
    assert stat.S_IMODE((tmp_path / "new" / "keys").stat().st_mode) == 0o600
    written = (tmp_path / "new" / "config.yaml").read_text().splitlines()
    assert len(written) == len(generate_example().splitlines())


@pytest.mark.usefixtures("_here")
def test_init_replaces_nothing(tmp_path: Path) -> None:
    first = CliRunner().invoke(main, ["init", "--json"])
    before = (tmp_path / "config.yaml").read_text(), (tmp_path / "keys").read_text()

    second = CliRunner().invoke(main, ["init", "--public-url", "https://other.example.com"])

    assert (first.exit_code, second.exit_code) == (0, 1)
    assert second.stderr.startswith("folder: config.yaml is there already")
    assert ((tmp_path / "config.yaml").read_text(), (tmp_path / "keys").read_text()) == before


@pytest.mark.usefixtures("_here")
def test_init_with_an_address_that_is_none_leaves_nothing_behind(tmp_path: Path) -> None:
    told = CliRunner().invoke(main, ["init", "new", "--public-url", "http://seats.example.com"])

    assert told.exit_code == 2
    assert "must be https://" in told.stderr
    assert list((tmp_path / "new").iterdir()) == []


# --- Completion -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "incomplete", "offered"),
    [
        ([], "conn", ["connection"]),
        (["org"], "", ["create", "list", "show"]),
        (["simulate", "push", "--as"], "", ["okta", "entra", "google"]),
        (["doctor"], "--j", ["--json"]),
        (["seats", "budget"], "s", ["set", "show"]),
    ],
)
def test_a_shell_is_offered_commands_options_and_choices(words: list[str], incomplete: str, offered: list[str]) -> None:
    found = ShellComplete(main, {}, "seatbridge", "_SEATBRIDGE_COMPLETE").get_completions(words, incomplete)

    assert [item.value for item in found] == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_one_that_the_shell_reads(shell: str, tmp_path: Path) -> None:
    told = CliRunner().invoke(main, ["completion", shell])
    (tmp_path / "script").write_text(told.stdout)

    assert told.exit_code == 0
    assert f"_SEATBRIDGE_COMPLETE={shell}_complete" in told.stdout
    try:
        subprocess.run([shell, "-n", tmp_path / "script"], check=True, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        pytest.skip(f"{shell} is not installed")


def test_what_the_script_asks_is_answered() -> None:
    asked = {"_SEATBRIDGE_COMPLETE": "bash_complete", "COMP_WORDS": "seatbridge audit v", "COMP_CWORD": "2"}
    command = [sys.executable, "-m", "bridge.cli"]

    told = subprocess.run(command, env={**os.environ, **asked}, capture_output=True, text=True, check=True, cwd=ROOT)

    assert told.stdout == "plain,verify\n"
