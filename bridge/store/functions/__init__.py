"""The few functions in the database that do in one statement what a frequent request needs.

Python decides, SQL does: each function gets the decision for every outcome it may meet, and reports which one it was.
All run as their caller, under row-level security: whoever calls them can do no more than by hand. A file is created
anew by every migration that changes it.
"""

from pathlib import Path

from alembic import op


def create_functions(name: str) -> None:
    """Create the functions of one file, in a migration."""
    source = (Path(__file__).parent / f"{name}.sql").read_text(encoding="utf-8")
    for statement in source.split("\n-- ;\n"):
        op.get_bind().exec_driver_sql(statement)
