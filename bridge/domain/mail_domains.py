"""Domains in their one form, by which they are kept and compared: lower case, A-labels (IDNA), no trailing dot."""

import re

_DOMAIN = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")


def normal_form(name: str) -> str | None:
    """Return a domain in its one form; None for what is no domain."""
    try:
        ascii_name = name.strip().rstrip(".").encode("idna").decode().lower()
    except UnicodeError:
        return None
    return ascii_name if _DOMAIN.fullmatch(ascii_name) else None


def spellings(name: str) -> tuple[str, ...]:
    """Return how a domain in its one form may stand in an address that is compared without case."""
    try:
        shown = name.encode().decode("idna").casefold()
    except UnicodeError:
        return (name,)
    return tuple(dict.fromkeys((name, shown)))
