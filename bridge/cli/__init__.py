"""The command line, `seatbridge`."""
