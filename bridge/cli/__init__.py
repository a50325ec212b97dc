"""The command line: ``seatbridge ...``."""

from bridge.cli.commands import main

__all__ = ["main"]
