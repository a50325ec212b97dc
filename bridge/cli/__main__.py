"""``python -m bridge.cli`` is ``seatbridge``: how the service starts its own parts."""

from bridge.cli.commands import main

main(prog_name="seatbridge")
