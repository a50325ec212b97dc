"""``seatbridge completion``."""

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that has a SHELL complete commands, options and their choices."""
    from click.shell_completion import get_completion_class

    from bridge.cli.commands import main

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"{shell} is not a shell that can be completed in")
    click.echo(found(main, {}, "seatbridge", "_SEATBRIDGE_COMPLETE").source())
