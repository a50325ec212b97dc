"""The narrated tour of ``seatbridge demo``: a real service, simulated identity providers, and every total checked."""
