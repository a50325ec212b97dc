import os
import stat
from pathlib import Path

import pytest
from pydantic import ValidationError

from bridge.config import LogFormat, LogLevel, Settings, generate_key, load_settings, read_keys_file, resolve_keys
from bridge.errors import ConfigurationError

KEY = "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s"  # 32 bytes 0xab
HOME = {"HOME": "/home/ada"}


def write(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems_of(path: Path | None, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        load_settings(path, environ or {})
    return [problem.replace(f"{path}", "config.yaml") for problem in refused.value.problems]


@pytest.fixture(autouse=True)
def _empty_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def test_every_setting_has_a_default() -> None:
    settings = load_settings(environ=HOME)

    assert settings.server.public_url == "http://127.0.0.1:8080"
    assert settings.database.url is None
    assert settings.log.level is LogLevel.INFO


def test_a_variable_wins_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "server:\n  port: 9000\n  threads: 4\nlog:\n  format: console\n")

    settings = load_settings(path, {"SEATBRIDGE__SERVER__PORT": "9001"})

    assert (settings.server.port, settings.server.threads) == (9001, 4)
    assert settings.log.format is LogFormat.CONSOLE


def test_an_empty_variable_means_not_set(tmp_path: Path) -> None:
    path = write(tmp_path, "server:\n  port: 9000\n")

    settings = load_settings(path, {"SEATBRIDGE__SERVER__PORT": ""})

    assert settings.server.port == 9000


def test_a_variable_names_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "server:\n  port: 9000\n")

    settings = load_settings(environ={"SEATBRIDGE_CONFIG": str(path)})

    assert settings.server.port == 9000


def test_config_yaml_in_the_working_directory_is_read_by_itself() -> None:
    write(Path.cwd(), "server:\n  port: 9000\n")

    settings = load_settings(environ={})

    assert settings.server.port == 9000


def test_a_section_whose_lines_are_all_commented_out_means_the_defaults(tmp_path: Path) -> None:
    path = write(tmp_path, "server:\n  # port: 9000\nlog:\n")

    settings = load_settings(path, {})

    assert settings.server.port == 8080


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, ""), {})

    assert settings.server.port == 8080


def test_all_mistakes_are_reported_at_once_each_by_its_line_or_variable(tmp_path: Path) -> None:
    path = write(tmp_path, "server:\n  prot: 1\n  port: many\nsrever: {}\nlog: loud\n")

    problems = problems_of(path, {"SEATBRIDGE__SCIM__MAX_RESULTS": "5000", "SEATBRIDGE__SERVER__WORKER": "1"})

    assert sorted(problems) == [
        "SEATBRIDGE__SCIM__MAX_RESULTS: input should be less than or equal to 1000",
        "SEATBRIDGE__SERVER__WORKER: not permitted (did you mean SEATBRIDGE__SERVER__WORKERS?)",
        "config.yaml:2: server.prot: not permitted (did you mean port?)",
        "config.yaml:3: server.port: input should be a valid integer, unable to parse string as an integer",
        "config.yaml:4: srever: not permitted (did you mean server?)",
        "config.yaml:5: log: input should be a valid dictionary or instance of LogSettings",
    ]


def test_a_name_like_no_other_gets_no_suggestion(tmp_path: Path) -> None:
    problems = problems_of(write(tmp_path, "zzzzz: 1\n"))

    assert problems == ["config.yaml:1: zzzzz: not permitted"]


def test_a_key_given_twice_is_a_mistake(tmp_path: Path) -> None:
    problems = problems_of(write(tmp_path, "server:\n  port: 1\n  host: h\n  port: 2\n"))

    assert problems == ["config.yaml:4: server.port: given twice (first on line 2)"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("server: [\n", "config.yaml:2: not valid YAML: expected the node content, but found '<stream end>'"),
        ("server:\n\tport: 1\n", "config.yaml:2: not valid YAML: found character '\\t' that cannot start any token"),
        ("- server\n", "config.yaml:1: must be sections such as `server:`"),
        ("server: !!python/object:os.system {}\n", "config.yaml:1: not valid YAML: could not determine a constructor"),
        ("a: 1\n---\nb: 2\n", "config.yaml:2: not valid YAML: but found another document"),
        ("server: &a {port: *a}\n", "config.yaml:1: server.port: input should be a valid integer"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_refused_by_its_line(text: str, problem: str, tmp_path: Path) -> None:
    problems = problems_of(write(tmp_path, text))

    assert problems[0].startswith(problem)


def test_a_file_that_is_named_but_missing_is_a_mistake(tmp_path: Path) -> None:
    problems = problems_of(tmp_path / "config.yaml")

    assert problems == ["config.yaml: cannot be read (No such file or directory)"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SEATBRIDGE_SERVER__PORT", "SEATBRIDGE__SERVER__PORT"),
        ("SEATBRIDGE_SERVER_PORT", "SEATBRIDGE__SERVER__PORT"),
        ("SEATBRIDGE_DATABASE_URL", "SEATBRIDGE__DATABASE__URL"),
        ("SEATBRIDGE_CONFG", "SEATBRIDGE_CONFIG"),
    ],
)
def test_a_variable_that_only_begins_as_ours_is_a_mistake_with_the_name_that_was_meant(name: str, meant: str) -> None:
    assert problems_of(None, {name: "9001"}) == [f"{name}: not permitted (did you mean {meant}?)"]


def test_variables_that_a_container_platform_sets_by_itself_are_not_ours() -> None:
    # What Kubernetes sets for the services "seatbridge" and "seatbridge-web".
    settings = load_settings(
        environ={
            "SEATBRIDGE_PORT": "tcp://10.0.0.1:9090",
            "SEATBRIDGE_PORT_9090_TCP": "tcp://10.0.0.1:9090",
            "SEATBRIDGE_PORT_9090_TCP_PROTO": "tcp",
            "SEATBRIDGE_SERVICE_HOST": "10.0.0.1",
            "SEATBRIDGE_SERVICE_PORT": "9090",
            "SEATBRIDGE_WEB_SERVICE_PORT_HTTP": "9090",
            "SEATBRIDGE_WEB_PORT_9090_TCP_ADDR": "10.0.0.1",
        }
    )

    assert settings.server.port == 8080


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("seats.example.com", "must be an absolute address such as https://seats.example.com"),
        ("https://seats.example.com/", "must not end with a slash"),
        ("http://seats.example.com", "must be https:// (plain http is for 127.0.0.1 and localhost only)"),
        ("https://seats.example.com?a=1", "must not carry a user, a query or a fragment"),
        ("https://a@seats.example.com", "must not carry a user, a query or a fragment"),
        ("javascript:alert(1)", "must be an absolute address such as https://seats.example.com"),
        ("https://[seats", "invalid IPv6 URL"),
    ],
)
def test_a_public_url_that_cannot_be_built_on_is_refused(url: str, problem: str) -> None:
    problems = problems_of(None, {"SEATBRIDGE__SERVER__PUBLIC_URL": url})

    assert problems == [f"SEATBRIDGE__SERVER__PUBLIC_URL: {problem}"]


def test_keys_in_the_file_are_refused(tmp_path: Path) -> None:
    problems = problems_of(write(tmp_path, f"secrets:\n  keys: [{KEY}]\n"))

    assert problems == [
        (
            "config.yaml:2: secrets.keys: keys are not accepted in this file: "
            "name a file with secrets.keys_file, or set SEATBRIDGE__SECRETS__KEYS"
        )
    ]


@pytest.mark.parametrize(
    ("section", "key", "url"),
    [
        ("database", "url", "postgresql://seats:hunter2@db/seats"),
        ("database", "url", "postgresql://db/seats?user=seats&password=hunter2"),
        ("database", "owner_url", "postgresql://owner:hunter2@db/seats"),
        ("mail", "smtp_url", "smtp://seats:hunter2@mail.example.com:587"),
    ],
)
def test_a_password_in_the_file_is_refused_and_not_repeated(section: str, key: str, url: str, tmp_path: Path) -> None:
    environ = {"SEATBRIDGE__SECRETS__KEYS": KEY, "SEATBRIDGE__DATABASE__URL": "postgresql://db/seats"}
    problems = problems_of(write(tmp_path, f"{section}:\n  {key}: {url}\n"), environ)

    assert problems == [
        (
            f"config.yaml:2: {section}.{key}: a password is not accepted in this file: "
            f"set SEATBRIDGE__{section.upper()}__{key.upper()}"
        )
    ]


def test_an_external_database_without_keys_is_refused_with_the_command_that_makes_one() -> None:
    problems = problems_of(None, {"SEATBRIDGE__DATABASE__URL": "postgresql://seats:hunter2@db/seats"})

    assert len(problems) == 1
    assert "SEATBRIDGE__DATABASE__URL: secrets: no key is set" in problems[0]
    assert "`(umask 077; seatbridge secrets generate > seatbridge.keys)`" in problems[0]
    assert "hunter2" not in problems[0]


def test_an_owner_without_a_database_is_refused() -> None:
    problems = problems_of(None, {"SEATBRIDGE__DATABASE__OWNER_URL": "postgresql://owner@db/seats"})

    assert problems == ["SEATBRIDGE__DATABASE__OWNER_URL: database.owner_url: is only used together with database.url"]


@pytest.mark.parametrize("key", ["abc", "hunter2 hunter2", "ab" * 31, KEY[:40]])
def test_a_key_that_is_too_short_or_not_a_key_is_refused_and_not_repeated(key: str) -> None:
    problems = problems_of(None, {"SEATBRIDGE__SECRETS__KEYS": f"{KEY},{key}"})

    assert len(problems) == 1
    assert problems[0].startswith("SEATBRIDGE__SECRETS__KEYS: key 2 ")
    assert key not in problems[0]


def test_no_secret_shows_in_a_printed_setting() -> None:
    settings = load_settings(
        environ={
            "SEATBRIDGE__SECRETS__KEYS": KEY,
            "SEATBRIDGE__DATABASE__URL": "postgresql://seats:hunter2@db/seats",
            "SEATBRIDGE__DATABASE__OWNER_URL": "postgresql://owner:hunter2@db/seats",
            "SEATBRIDGE__MAIL__SMTP_URL": "smtp://seats:hunter2@mail.example.com:587",
        }
    )

    printed = f"{settings!r} {settings} {settings.model_dump_json()}"

    assert "hunter2" not in printed
    assert KEY not in printed


def test_settings_cannot_be_changed() -> None:
    settings = load_settings(environ={})

    with pytest.raises(ValidationError, match="frozen"):
        settings.server.port = 1


def test_paths_of_the_file_are_relative_to_the_file_and_those_of_variables_to_the_working_directory(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, "database:\n  embedded_path: data\n")

    settings = load_settings(path, {"SEATBRIDGE__SECRETS__KEYS_FILE": "keys"})

    assert settings.database.embedded_path == tmp_path / "data"
    assert settings.secrets.keys_file == Path.cwd() / "keys"


def test_the_embedded_data_lives_where_the_desktop_standard_says(monkeypatch: pytest.MonkeyPatch) -> None:
    with_variable = load_settings(environ={"XDG_DATA_HOME": "/data"})
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    without = load_settings(environ=HOME)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    as_root = load_settings(environ={"HOME": "/root"})

    assert with_variable.database.embedded_path == Path("/data/seatbridge/postgres")
    assert without.database.embedded_path == Path("/home/ada/.local/share/seatbridge/postgres")
    assert as_root.database.embedded_path == Path("/var/lib/seatbridge/postgres")


def test_keys_of_the_environment_keep_their_order() -> None:
    second = generate_key()

    settings = load_settings(environ={"SEATBRIDGE__SECRETS__KEYS": f"{KEY}, {second}"})

    assert resolve_keys(settings)[0] == b"\xab" * 32
    assert len(resolve_keys(settings)) == 2


@pytest.mark.parametrize(
    "text", ["ab" * 32, KEY, f"{KEY}=", "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=", f" {KEY}\t"]
)
def test_a_key_may_be_hexadecimal_or_base64(text: str, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"# a comment\n\n{text}\n")

    assert read_keys_file(tmp_path / "keys") == (b"\xab" * 32,)


def test_a_key_file_is_refused_by_the_line_of_the_bad_key(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"{KEY}\nhunter2\n")

    with pytest.raises(ConfigurationError, match="keys:2") as refused:
        read_keys_file(path)

    assert str(refused.value) == f"{path}:2: the key has 5 bytes; at least 32 are needed"


@pytest.mark.parametrize("content", [None, "# only a comment\n"])
def test_a_key_file_without_a_key_is_refused_with_the_command_that_makes_one(
    content: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "keys"
    if content is not None:
        path.write_text(content)

    with pytest.raises(ConfigurationError, match="seatbridge secrets generate"):
        read_keys_file(path)


def test_the_embedded_database_gets_a_key_file_once_that_only_its_owner_reads(tmp_path: Path) -> None:
    settings = load_settings(environ={"SEATBRIDGE__DATABASE__EMBEDDED_PATH": str(tmp_path / "postgres")})

    first, second = resolve_keys(settings), resolve_keys(settings)

    assert first == second
    file = tmp_path / "postgres" / "seatbridge.keys"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_an_external_database_never_gets_a_key_file_by_itself() -> None:
    settings = Settings.model_validate({"database": {"url": "postgresql://db/seats"}})

    with pytest.raises(ConfigurationError, match="seatbridge secrets generate"):
        resolve_keys(settings)


def test_a_new_key_is_never_the_same() -> None:
    assert len({generate_key() for _ in range(50)}) == 50


def test_a_secret_may_stand_in_a_file_that_its_variable_names(tmp_path: Path) -> None:
    file = write(tmp_path, f"{'t' * 32}\n")

    settings = load_settings(environ={"SEATBRIDGE__METRICS__TOKEN_FILE": str(file)})

    assert settings.metrics.token is not None
    assert settings.metrics.token.get_secret_value() == "t" * 32


def test_a_secrets_file_that_is_away_empty_or_named_beside_the_secret_is_a_mistake(tmp_path: Path) -> None:
    empty = write(tmp_path, "\n")
    token = "t" * 32

    away = problems_of(None, {"SEATBRIDGE__METRICS__TOKEN_FILE": f"{tmp_path}/none"})
    nothing = problems_of(None, {"SEATBRIDGE__METRICS__TOKEN_FILE": str(empty)})
    (tmp_path / "token").write_text(token)
    twice = problems_of(
        None,
        {"SEATBRIDGE__METRICS__TOKEN": token, "SEATBRIDGE__METRICS__TOKEN_FILE": f"{tmp_path}/token"},
    )

    assert away == [f"SEATBRIDGE__METRICS__TOKEN_FILE: {tmp_path}/none cannot be read (No such file or directory)"]
    assert nothing == [f"SEATBRIDGE__METRICS__TOKEN_FILE: {empty} is empty"]
    assert twice == ["SEATBRIDGE__METRICS__TOKEN_FILE: metrics.token: is set by SEATBRIDGE__METRICS__TOKEN already"]


def test_what_a_secrets_file_holds_is_checked_and_not_repeated(tmp_path: Path) -> None:
    file = write(tmp_path, "hunter2")

    problems = problems_of(None, {"SEATBRIDGE__METRICS__TOKEN_FILE": str(file)})

    assert problems == [
        "SEATBRIDGE__METRICS__TOKEN_FILE: metrics.token: must be 32 or more printable characters without spaces"
    ]


def test_what_is_no_secret_is_not_read_from_a_file() -> None:
    assert problems_of(None, {"SEATBRIDGE__SERVER__PORT_FILE": "port"}) == [
        "SEATBRIDGE__SERVER__PORT_FILE: not permitted (did you mean SEATBRIDGE__SERVER__PORT?)"
    ]
