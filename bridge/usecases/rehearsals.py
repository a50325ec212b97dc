"""Doing something and taking it back: what is shown beforehand is the thing itself, so that it is what will happen."""

from collections.abc import Callable
from typing import TypeVar

from bridge.store.unit import Unit

ResultT = TypeVar("ResultT")


class _TakenBackError(Exception):
    """Ends a rehearsal: everything since its beginning is rolled back."""


def attempt(unit: Unit, run: Callable[[], ResultT], keep: Callable[[ResultT], bool]) -> tuple[ResultT, bool]:
    """Go through something once, and take it back unless it is to be kept.

    Args:
        unit: The unit.
        run: What is done; what it returns must not be rows that the database holds.
        keep: Whether what came of it stays.

    Returns:
        What came of it, and whether it was kept.
    """
    done: list[ResultT] = []
    line_grew = unit.line_grew
    try:
        with unit.savepoint():
            done.append(run())
            if not keep(done[0]):
                raise _TakenBackError  # noqa: TRY301 (it is how a rehearsal ends)
            return done[0], True
    except _TakenBackError:
        unit.session.expire_all()
        unit.line_grew = line_grew
    return done[0], False
