"""The order of the house is enforced: a wrong import breaks the run."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("bridge", "mappings", "scim")


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the packages and their contracts."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(house: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts as the test command does."""
    script = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(cache_dir=None))"
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=house,
        check=False,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(house), "PATH": "/usr/bin:/bin", "COLUMNS": "200"},
    )


def test_the_house_keeps_its_contracts(house: Path) -> None:
    result = lint(house)

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("mappings/tiers.py", "import sqlalchemy"),
        ("mappings/tiers.py", "import bridge.domain.roles"),
        ("bridge/domain/roles.py", "import sqlalchemy"),
        ("bridge/billing/rules/money.py", "import bridge.ports"),
        ("bridge/usecases/alerts.py", "import flask"),
        ("bridge/usecases/alerts.py", "import bridge.runtime"),
        ("bridge/store/pools.py", "import bridge.usecases.alerts"),
        ("bridge/web/__init__.py", "import onelogin.saml2"),
        ("bridge/runtime.py", "import scim"),
        ("bridge/simulator/__init__.py", "import bridge.store.unit"),
    ],
)
def test_a_planted_import_breaks_the_run(house: Path, module: str, line: str) -> None:
    target = house / module
    target.write_text(f"{target.read_text()}\n{line}\n")

    result = lint(house)

    assert result.returncode != 0
    assert "BROKEN" in result.stdout
