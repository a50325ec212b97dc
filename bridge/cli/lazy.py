"""A group of commands that are imported when they are called, and refusals as sentences instead of tracebacks."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import click
from click.shell_completion import CompletionItem

from bridge.errors import BridgeError, ConfigurationError

REFUSED = 1
UNUSABLE = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command is (``module:attribute``), and what the list of commands says of it."""

    place: str
    summary: str


class LazyGroup(click.Group):
    """A group over a fixed table; the help is printed from the table without importing anything.

    Args:
        entries: The commands by name. One whose module this installation lacks is left out.
        settings: As for :class:`click.Group`.
    """

    def __init__(self, *, entries: Mapping[str, Entry] | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self._entries = dict(entries or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        del ctx
        return [name for name, entry in self._entries.items() if find_spec(entry.place.partition(":")[0]) is not None]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; None for a name that is not in the table."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module, _, attribute = self._entries[cmd_name].place.partition(":")
        command = getattr(import_module(module), attribute, None)
        return command if isinstance(command, click.Command) else None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer names from the table: completing imports no more than helping does."""
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(CompletionItem(name, help=self._entries[name].summary) for name in names), *options]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._entries[name].summary) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a refusal becomes its sentence on standard error and an exit code."""
        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            for problem in error.problems:
                click.echo(f"configuration: {problem}", err=True)
            ctx.exit(UNUSABLE)
        except BridgeError as error:
            click.echo(f"{error} ({error.code})", err=True)
            ctx.exit(REFUSED)
        except Exception as error:
            if not _is_absent_database(error):
                raise
            click.echo(f"database: {_first_line(error)} (unavailable): run `seatbridge doctor`", err=True)
            ctx.exit(REFUSED)


def _is_absent_database(error: Exception) -> bool:
    """Tell whether the database was away, without importing its driver for commands that use none."""
    return any(
        kind.__module__.partition(".")[0] in {"psycopg", "sqlalchemy"} and kind.__name__ == "OperationalError"
        for kind in type(error).__mro__
    )


def _first_line(error: Exception) -> str:
    """Return what the driver said, without the statement around it."""
    return next(iter(str(getattr(error, "orig", None) or error).splitlines()), type(error).__name__)
