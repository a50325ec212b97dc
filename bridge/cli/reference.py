"""The reference of the command line, made from the commands themselves: ``python -m bridge.cli.reference``."""

import sys
from collections.abc import Iterator

import click

from bridge.cli.commands import main

_HEAD = """# Command line

<!-- Made by `python -m bridge.cli.reference`; change the commands, not this page. -->

Every command of `seatbridge`. `--config FILE` (before the command) names the configuration file. `--json` prints for
programs, and asks nothing: what would be asked is answered ahead. Progress of long work is shown on standard error, and
only on a terminal. [Complete commands in your shell](../how-to/complete-commands.md).

## Exit codes

- **0**: done; of commands that look: all is well.
- **1**: refused, or something is wrong: one sentence with its [code](error-codes.md) on standard error, or what a check
  found. Also when a question was answered with no, or interrupted.
- **2**: wrong use or wrong configuration, each problem on a line of standard error; of commands that compare
  (`mappings diff`, `mappings apply --check`, `schema apply --dry-run`, `import --preview`): there are differences.
"""


def generate_reference() -> str:
    """Return the page, with each command under its name."""
    return "\n".join([_HEAD, *(_section(path, command) for path, command in commands_of(main))])


def commands_of(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command below a group with its path, in the order of the help."""
    if not isinstance(group, click.Group):
        yield path, group
        return
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None:
            yield from commands_of(command, (*path, name))


def _section(path: tuple[str, ...], command: click.Command) -> str:
    context = click.Context(command, info_name=" ".join(("seatbridge", *path)))
    usage = " ".join(command.collect_usage_pieces(context))
    text = "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
    lines = [f"## seatbridge {' '.join(path)}", "", f"`{context.info_name} {usage}`", "", text, ""]
    options = [
        parameter.get_help_record(context) for parameter in command.params if isinstance(parameter, click.Option)
    ]
    shown = [record for record in options if record is not None]
    if shown:
        lines += ["| option | |", "| --- | --- |"]
        lines += [f"| `{_cell(names)}` | {_cell(help_text)} |" for names, help_text in shown]
        lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


if __name__ == "__main__":
    sys.stdout.write(generate_reference())
