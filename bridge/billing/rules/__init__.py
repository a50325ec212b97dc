"""Pure billing rules: money, terms, proration, contracts."""
