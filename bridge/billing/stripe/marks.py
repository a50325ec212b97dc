"""What an order is called at Stripe, where the keys of all organizations meet and metadata are short."""

import hashlib


def mark_of(subscription: str, key: str) -> str:
    """Return the mark of an order: the same for the same subscription and key."""
    return hashlib.sha256(f"{subscription} {key}".encode()).hexdigest()[:24]
