"""``seatbridge secrets generate``."""

import click

from bridge.cli.showing import json_option, print_json


@click.group()
def keys() -> None:
    """Keys of the service: generate."""


@keys.command()
@json_option
def generate(*, as_json: bool) -> None:
    """Print a new key, for a key file or SEATBRIDGE__SECRETS__KEYS. Keep it: a back-up is read with it."""
    from bridge.config import generate_key

    if as_json:
        print_json({"key": generate_key()})
    else:
        click.echo(generate_key())
