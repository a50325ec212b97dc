import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bridge.config import Settings, load_settings
from bridge.config.documents import generate_example, generate_reference
from bridge.config.sources import sections, setting_paths, variable_name

ROOT = Path(__file__).parents[2]


def test_the_committed_example_is_the_generated_one() -> None:
    assert (ROOT / "config.example.yaml").read_text() == generate_example(), "run python -m bridge.config example"


def test_the_committed_reference_is_the_generated_one() -> None:
    committed = (ROOT / "docs" / "reference" / "configuration.md").read_text()

    assert committed == generate_reference(), "run python -m bridge.config reference"


def test_the_example_as_it_is_means_the_defaults() -> None:
    settings = load_settings(ROOT / "config.example.yaml", {})

    assert settings == load_settings(environ={})


def test_the_example_with_every_line_uncommented_means_the_defaults(tmp_path: Path) -> None:
    uncommented = re.sub(r"^  #(\w)", r"  \1", generate_example(), flags=re.MULTILINE)
    path = tmp_path / "config.yaml"
    path.write_text(uncommented)

    settings = load_settings(path, {"XDG_DATA_HOME": str(Path.home() / ".local" / "share")})

    expected = load_settings(environ={"XDG_DATA_HOME": str(Path.home() / ".local" / "share")})
    assert settings == expected


def test_the_example_names_every_setting_once() -> None:
    uncommented = re.sub(r"^  #(\w)", r"  \1", generate_example(), flags=re.MULTILINE)

    named = [(section, key) for section, values in yaml.safe_load(uncommented).items() for key in values]

    assert sorted([*named, ("secrets", "keys")]) == sorted(setting_paths(Settings))


@pytest.mark.parametrize(("section", "key"), setting_paths(Settings))
def test_the_reference_has_a_row_for_every_setting(section: str, key: str) -> None:
    rows = [line for line in generate_reference().splitlines() if line.startswith(f"| `{section}.{key}`")]

    assert len(rows) == 1
    assert f"`{variable_name((section, key))}`" in rows[0]


def test_every_setting_is_explained() -> None:
    unexplained = [
        f"{name}.{key}"
        for name, section in sections(Settings)
        for key, info in section.model_fields.items()
        if not info.description
    ]

    assert unexplained == []


def test_the_documents_are_printed_by_a_command() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "bridge.config", "example"], cwd=ROOT, check=True, capture_output=True, text=True
    )

    assert printed.stdout == generate_example()


def test_reading_the_settings_loads_no_database_library() -> None:
    code = "import sys, bridge.config; sys.exit(any(name in sys.modules for name in ('sqlalchemy', 'psycopg')))"

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)

    assert done.returncode == 0
