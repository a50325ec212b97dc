"""The composition root, in a process of its own as a server would load it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import URL

from bridge.config import generate_key

SCRIPT = """
import json, wsgi
client = wsgi.create_app().test_client()
pages = ["/healthz", "/readyz", "/sign-in", "/console", "/scim/v2/nobody/Users", "/nothing"]
print(json.dumps({path: client.get(path).status_code for path in pages}))
"""
SERVED = {
    "/healthz": 200,
    "/readyz": 200,
    "/sign-in": 200,
    "/console": 303,
    "/scim/v2/nobody/Users": 401,
    "/nothing": 404,
}


def served(folder: Path, **environ: str) -> dict[str, int]:
    """Load the application in a fresh process and return the status of some pages."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
        cwd=folder,
        env={"PATH": os.defpath, "HOME": str(folder), "PYTHONPATH": str(root), **environ},
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_the_whole_service_stands_on_a_configured_database(tmp_path: Path, database_url: URL) -> None:
    url = database_url.render_as_string(hide_password=False).replace("postgresql+psycopg", "postgresql")

    answers = served(tmp_path, SEATBRIDGE__DATABASE__URL=url, SEATBRIDGE__SECRETS__KEYS=generate_key())

    assert answers == SERVED


@pytest.mark.slow
def test_with_nothing_configured_the_service_brings_its_own_database(tmp_path: Path) -> None:
    answers = served(tmp_path, SEATBRIDGE__DATABASE__EMBEDDED_PATH=str(tmp_path / "postgres"))

    assert answers == SERVED
