"""A browser in a few words, from what it says of itself (RFC 9110 §10.1.5): to tell one's own sessions apart.

The words are ours, so nothing a stranger sends is kept or shown.
"""

from typing import Final

_LONGEST: Final = 500
#: The first that fits: many browsers name others behind their own name.
_BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
_SYSTEMS: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("X11; Cr", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def device_words(user_agent: str) -> str:
    """Say which browser on which system sent a User-Agent, such as "Firefox on Windows"; empty for an unknown one."""
    said = user_agent[:_LONGEST]
    browser, system = (next((name for mark, name in known if mark in said), "") for known in (_BROWSERS, _SYSTEMS))
    return " on ".join(part for part in (browser, system) if part)
