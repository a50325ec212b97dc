"""The web application, whose process is killed at a named point of a purchase: served by gunicorn for tests.

Which point, a file says, which ends with the process that it killed: those that gunicorn starts next stay alive.
"""

import os
import re
from pathlib import Path

from flask import Flask
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from bridge.web.session import EXTENSION
from tests.integration.killed_order_worker import die
from wsgi import create_app

POINT_FILE = "TESTS_DEADLY_POINT"
#: What is being written when the process dies before, or with the commit of.
WRITES = {"preview": r"INSERT INTO preview ", "confirm": r"INSERT INTO billing_order"}
POINTS = tuple(
    f"{verb}.{moment}"
    for verb in WRITES
    for moment in ("before_write", "before_commit", "after_commit", "before_answer")
)


def app() -> Flask:
    """Build the application, ready to die."""
    file = Path(os.environ[POINT_FILE])
    written: list[str] = []

    def reached(verb: str, moment: str) -> None:
        if file.exists() and file.read_text() == f"{verb}.{moment}":
            file.unlink()
            die()

    def before(_c: object, _r: object, statement: str, *_more: object) -> None:
        for verb, pattern in WRITES.items():
            if re.match(pattern, statement):
                reached(verb, "before_write")
                written.append(verb)

    def at(moment: str) -> None:
        for verb in written:
            reached(verb, moment)

    event.listen(Engine, "before_cursor_execute", before)
    event.listen(Session, "before_commit", lambda _: at("before_commit"))
    event.listen(Session, "after_commit", lambda _: at("after_commit"))
    built = create_app()
    built.before_request(written.clear)
    # Built once, before gunicorn makes its processes: those open connections of their own.
    built.extensions[EXTENSION].engine.dispose()
    built.teardown_request(lambda _: at("before_answer"))
    return built
