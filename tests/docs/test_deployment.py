"""The files that people deploy by are sound: read by the tools that read them in earnest, where those are installed."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.config import Settings, load_settings
from bridge.config.sources import FROM_FILE, secret_paths, setting_paths, variable_name
from bridge.web import metrics

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "docs" / "how-to" / "deploy"
UNITS = ("seatbridge-web.service", "seatbridge-worker.service")

external = pytest.mark.external


def tool(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def ran(*command: str | Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command with all it says in one text."""
    return subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
    )


def files() -> list[Path]:
    """The files of the folder; secrets may have been made in a folder below it."""
    return [file for file in DEPLOY.iterdir() if file.is_file()]


def test_every_file_is_named_by_a_page() -> None:
    pages = "".join(page.read_text() for page in (ROOT / "docs").rglob("*.md"))

    assert [file.name for file in files() if f"(deploy/{file.name})" not in pages] == []


def test_what_is_made_of_secrets_is_never_committed() -> None:
    assert "docs/how-to/deploy/secrets/" in (ROOT / ".gitignore").read_text().splitlines()


def test_no_file_names_a_registry() -> None:
    named = re.compile(r"\b(?:docker|quay|ghcr|gcr|mcr|registry|pypi)\.[\w.-]*[a-z]{2,}(?=[/:])")

    assert [file.name for file in files() if named.search(file.read_text())] == []


# --- Containerfile --------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    """Each instruction of the Containerfile with its arguments, on one line."""
    text = re.sub(r"^\s*#.*\n", "", (DEPLOY / "Containerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines if line.strip())]


def test_the_images_base_is_a_variable_with_a_version() -> None:
    found = instructions()

    assert found[0] == ("ARG", "PYTHON_IMAGE=python:3.13-slim-bookworm")
    assert {rest.split()[0] for word, rest in found if word == "FROM"} == {"${PYTHON_IMAGE}"}


def test_the_image_installs_exactly_what_is_locked() -> None:
    (install,) = [rest for word, rest in instructions() if word == "RUN" and "pip install" in rest]

    assert "--require-hashes" in install
    assert "--no-deps --only-binary :all:" in install
    assert ("COPY", "requirements/all.txt /build/all.txt") in instructions()


def test_the_image_runs_as_a_user_of_its_own_by_number_and_says_whether_it_is_well() -> None:
    found = instructions()
    users = [rest for word, rest in found if word == "USER"]
    (check,) = [rest for word, rest in found if word == "HEALTHCHECK"]

    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", users[-1])
    assert not any(word in {"RUN", "COPY"} for word, _ in found[[word for word, _ in found].index("USER") :])
    assert "/readyz" in check
    assert json.loads(check.partition("CMD ")[2])[0] == "/app/venv/bin/python"


def test_the_image_holds_every_part_of_the_product_and_nothing_else() -> None:
    copied = {rest.split()[0] for word, rest in instructions() if word == "COPY" and not rest.startswith("--from")}

    assert copied == {"requirements/all.txt", "bridge", "mappings", "scim", "wsgi.py"}


def test_the_image_sets_settings_that_exist_and_no_secret() -> None:
    text = " ".join(rest for word, rest in instructions() if word in {"ENV", "ARG"})

    named = set(re.findall(r"SEATBRIDGE__\w+", text))

    assert named
    assert named <= {variable_name(path) for path in setting_paths(Settings)}
    assert named & {variable_name(path) for path in secret_paths(Settings)} == set()


# --- compose.yaml ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return document


OURS = ("migrate", "web", "worker")


@pytest.mark.parametrize("name", OURS)
def test_a_container_of_ours_can_write_nothing_and_gain_nothing(compose: dict[str, Any], name: str) -> None:
    service = compose["services"][name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_web_and_worker_wait_for_the_migration_and_come_back(compose: dict[str, Any]) -> None:
    services = compose["services"]

    assert services["migrate"]["restart"] == "no"
    assert services["migrate"]["depends_on"] == {"database": {"condition": "service_healthy"}}
    for name in ("web", "worker"):
        assert services[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
        assert services[name]["restart"] == "unless-stopped"


def test_only_the_migration_can_be_the_schemas_owner(compose: dict[str, Any]) -> None:
    holders = {name for name, service in compose["services"].items() if "owner_url" in service["secrets"]}

    assert holders == {"migrate"}


def test_secrets_come_as_files_that_are_declared(compose: dict[str, Any]) -> None:
    secrets = {variable_name(path) for path in secret_paths(Settings)} | {"SEATBRIDGE__SECRETS__KEYS"}
    for name, service in compose["services"].items():
        assert set(service["secrets"]) <= set(compose["secrets"]), name
        assert set(service["environment"]) & secrets == set(), name
        files = [value for key, value in service["environment"].items() if key.endswith(FROM_FILE)]
        assert {Path(file).name for file in files} <= set(service["secrets"]), name
        assert {str(Path(file).parent) for file in files} == {"/run/secrets"}, name


def test_the_secrets_that_the_script_makes_are_settings_that_the_service_takes(
    compose: dict[str, Any], tmp_path: Path
) -> None:
    tool("openssl")
    shutil.copy(DEPLOY / "make-secrets.sh", tmp_path)

    first, made = ran(tmp_path / "make-secrets.sh"), contents(tmp_path / "secrets")
    second, kept = ran(tmp_path / "make-secrets.sh"), contents(tmp_path / "secrets")

    assert (first.returncode, second.returncode) == (0, 0)
    assert made.keys() == compose["secrets"].keys()
    assert kept == made
    environ = {
        name: value.replace("/run/secrets", str(tmp_path / "secrets"))
        for name, value in compose["services"]["migrate"]["environment"].items()
    }
    caller = {"SEATBRIDGE__SERVER__PUBLIC_URL": "https://a.example", "SEATBRIDGE__MAIL__SENDER": "seats@a.example"}
    settings = load_settings(environ={**environ, **caller})
    assert settings.database.owner_url is not None
    assert made["owner_password"].strip() in settings.database.owner_url.get_secret_value()


def contents(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in folder.iterdir()}


@pytest.mark.parametrize("script", ["make-secrets.sh", "roles.sh"])
def test_a_script_is_one_that_a_shell_reads(script: str) -> None:
    assert os.access(DEPLOY / script, os.X_OK)
    assert ran("sh", "-n", DEPLOY / script).returncode == 0


# --- systemd --------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_sets_settings_that_exist_from_credentials_that_it_loads(unit: str) -> None:
    text = (DEPLOY / unit).read_text()
    known = {variable_name(path) for path in setting_paths(Settings)}
    known |= {f"{variable_name(path)}{FROM_FILE}" for path in secret_paths(Settings)}

    named = dict(re.findall(r"^Environment=(SEATBRIDGE_\w+)=(.*)$", text, flags=re.MULTILINE))
    loaded = set(re.findall(r"^LoadCredential=(\w+):", text, flags=re.MULTILINE))

    assert named.keys() <= known
    assert {value.removeprefix("%d/") for value in named.values()} == loaded


@external
@pytest.mark.parametrize("unit", UNITS)
def test_systemd_reads_a_unit_without_a_remark(unit: str, tmp_path: Path) -> None:
    analyze = tool("systemd-analyze")
    text = (DEPLOY / unit).read_text().replace("/usr/local/bin/seatbridge", sys.executable)
    (tmp_path / unit).write_text(text)

    told = ran(analyze, "verify", "--man=no", tmp_path / unit)

    assert (told.returncode, told.stdout) == (0, "")


@external
@pytest.mark.parametrize("unit", UNITS)
def test_systemd_rates_a_units_exposure_as_low(unit: str) -> None:
    told = ran(tool("systemd-analyze"), "security", "--offline=true", "--threshold=20", DEPLOY / unit)

    assert told.returncode == 0, told.stdout[-400:]  # 20: exposed by 2.0 of 10 at most


# --- Proxies --------------------------------------------------------------------------------------


@external
def test_nginx_takes_its_example(tmp_path: Path) -> None:
    nginx = tool("nginx")
    key, certificate = tmp_path / "privkey.pem", tmp_path / "fullchain.pem"
    new = ("req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=a.example")
    ran(tool("openssl"), *new, "-keyout", key, "-out", certificate)
    site = (DEPLOY / "nginx.conf").read_text().replace("/etc/ssl/seatbridge", str(tmp_path))
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n{site}\n}}\n"
    )

    told = ran(nginx, "-t", "-q", "-e", "stderr", "-p", tmp_path, "-c", tmp_path / "nginx.conf")

    assert (told.returncode, told.stdout) == (0, "")


@external
def test_caddy_takes_its_example(tmp_path: Path) -> None:
    command = (tool("caddy"), "adapt", "--validate", "--adapter", "caddyfile", "--config", DEPLOY / "Caddyfile")

    told = ran(*command, HOME=str(tmp_path), XDG_DATA_HOME=str(tmp_path), XDG_CONFIG_HOME=str(tmp_path))

    assert told.returncode == 0, told.stdout


# --- Numbers --------------------------------------------------------------------------------------


def known_metrics() -> set[str]:
    """Every name that ``/metrics`` tells, as Prometheus stores it."""
    named = set(re.findall(r'"(seatbridge_\w+)"', Path(metrics.__file__).read_text()))
    named |= {f"seatbridge_{name}" for name in (*metrics._HELP, *metrics._AGES)}
    named -= {"seatbridge_http_requests"}
    return named | {"seatbridge_http_requests_total"}


def metrics_in(expression: str) -> set[str]:
    """The names in an expression, a histogram's parts as the histogram."""
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\bseatbridge_\w+", expression)}


def alerts() -> list[dict[str, Any]]:
    document = yaml.safe_load((DEPLOY / "prometheus-rules.yml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def test_every_metric_is_explained_and_no_other() -> None:
    page = (ROOT / "docs" / "how-to" / "watch-with-prometheus.md").read_text()

    assert set(re.findall(r"^\| `(seatbridge_\w+)` \|", page, flags=re.MULTILINE)) == known_metrics()


def test_every_alert_is_explained_and_no_other() -> None:
    page = (ROOT / "docs" / "how-to" / "watch-with-prometheus.md").read_text()

    assert re.findall(r"^\| `(Seatbridge\w+)` \|", page, flags=re.MULTILINE) == [rule["alert"] for rule in alerts()]


def test_an_alert_looks_at_numbers_that_exist_and_says_what_to_do() -> None:
    for rule in alerts():
        assert metrics_in(rule["expr"]) <= known_metrics(), rule["alert"]
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"].keys() == {"summary", "action"}


@external
def test_prometheus_takes_the_alerts() -> None:
    told = ran(tool("promtool"), "check", "rules", DEPLOY / "prometheus-rules.yml")

    assert told.returncode == 0, told.stdout
    assert f"{len(alerts())} rules found" in told.stdout


@external
def test_alerts_fire_when_they_should_and_not_before(tmp_path: Path) -> None:
    def series(name: str, values: str) -> dict[str, str]:
        return {"series": f'seatbridge_{name}{{job="seatbridge",instance="a"}}', "values": values}

    def expected(alert: str, minute: int, *, fires: bool) -> dict[str, Any]:
        labels = {"severity": next(rule["labels"]["severity"] for rule in alerts() if rule["alert"] == alert)}
        return {
            "alertname": alert,
            "eval_time": f"{minute}m",
            "exp_alerts": [{"exp_labels": labels, "exp_annotations": summaries[alert]}] if fires else [],
        }

    summaries = {rule["alert"]: rule["annotations"] for rule in alerts()}
    summaries["SeatbridgeOrdersWait"] = {
        **summaries["SeatbridgeOrdersWait"],
        "summary": "An order has waited for 16m 0s",
    }
    document = {
        "rule_files": [str(DEPLOY / "prometheus-rules.yml")],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                # At work for 4 minutes, then away; an order that gets a minute older each minute.
                "input_series": [series("workers", "1x3 0x20"), series("oldest_order_seconds", "0+60x30")],
                "alert_rule_test": [
                    expected("SeatbridgeNoWorker", 8, fires=False),
                    expected("SeatbridgeNoWorker", 9, fires=True),
                    expected("SeatbridgeOrdersWait", 15, fires=False),
                    expected("SeatbridgeOrdersWait", 16, fires=True),
                ],
            }
        ],
    }
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump(document))

    told = ran(tool("promtool"), "test", "rules", file)

    assert told.returncode == 0, told.stdout


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    return document


def test_the_dashboard_shows_every_number_and_none_that_is_not_there(dashboard: dict[str, Any]) -> None:
    shown = {
        name for panel in dashboard["panels"] for target in panel["targets"] for name in metrics_in(target["expr"])
    }

    assert shown == known_metrics()


def test_the_dashboards_panels_have_ids_of_their_own_words_and_a_place_of_their_own(dashboard: dict[str, Any]) -> None:
    panels = dashboard["panels"]
    cells = [
        (x, y)
        for panel in panels
        for at in [panel["gridPos"]]
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["title"] and panel["description"] for panel in panels)
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24  # Grafana's grid


@external
def test_prometheus_understands_every_expression_of_the_dashboard(dashboard: dict[str, Any], tmp_path: Path) -> None:
    rules = [
        {"record": f"dashboard:panel_{panel['id']}_{number}", "expr": target["expr"].replace("$__rate_interval", "5m")}
        for panel in dashboard["panels"]
        for number, target in enumerate(panel["targets"])
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))

    told = ran(tool("promtool"), "check", "rules", file)

    assert told.returncode == 0, told.stdout
