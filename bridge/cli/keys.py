"""``seatbridge secrets generate``."""

import click


@click.group()
def keys() -> None:
    """Keys of the service: generate."""


@keys.command()
def generate() -> None:
    """Print a new key, for a key file or SEATBRIDGE__SECRETS__KEYS. Keep it: a back-up is read with it."""
    from bridge.config import generate_key

    click.echo(generate_key())
