"""The few functions in the database that do in one statement what a frequent request needs.

Python decides, SQL does: each function gets the decision for every outcome it may meet, and reports which one it was.
All run as their caller, under row-level security: whoever calls them can do no more than by hand. A file is created
anew by every migration that changes it.
"""

import re
from pathlib import Path

from alembic import op

_CREATED = re.compile(r"^CREATE FUNCTION (\w+)", re.MULTILINE)


def create_functions(name: str) -> None:
    """Create the functions of one file, in a migration."""
    for statement in _statements(name):
        op.get_bind().exec_driver_sql(statement)


def recreate_functions(name: str) -> None:
    """Create the functions of one file anew, in a migration: their parameters may be others now."""
    for statement in _statements(name):
        for function in _CREATED.findall(statement):
            op.get_bind().exec_driver_sql(f"DROP FUNCTION IF EXISTS {function}")
    create_functions(name)


def _statements(name: str) -> list[str]:
    return (Path(__file__).parent / f"{name}.sql").read_text(encoding="utf-8").split("\n-- ;\n")
