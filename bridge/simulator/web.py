"""The simulated identity provider as a web site: choose who you are, hire people, see what goes over the wire."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from flask import Flask, Response, abort, current_app, request

from bridge.simulator.company import Company
from bridge.simulator.dialects import Dialect
from bridge.simulator.pages import COMPANIES, HIRED_AT_ONCE, PRODUCT_URL, origin_of, pages

_IDENTIFIER: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OWN_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def create_site(companies: Mapping[str, Company], product_url: str) -> Flask:
    """Build the site.

    Args:
        companies: By slug.
        product_url: Public URL of the product: assertions are sent there and nowhere else.
    """
    site = Flask("bridge.simulator", template_folder="templates", static_folder="static")
    site.config[PRODUCT_URL] = product_url
    site.extensions[COMPANIES] = companies
    site.jinja_env.trim_blocks = site.jinja_env.lstrip_blocks = True
    site.jinja_env.globals.update(product_url=product_url, dialects=tuple(Dialect), hired_at_once=HIRED_AT_ONCE)
    site.jinja_env.filters["short"] = _shorten_identifiers
    site.before_request(_refuse_strangers)
    site.after_request(_add_headers)
    site.register_blueprint(pages)
    return site


def _shorten_identifiers(path: str) -> str:
    return _IDENTIFIER.sub(lambda found: f"{found[0][:8]}…", path)


def _refuse_strangers() -> None:
    """Refuse other names for this host, and forms of other sites: a page elsewhere could hire people here."""
    if urlsplit(f"//{request.host}").hostname not in _OWN_NAMES:
        abort(403)
    if request.method == "POST" and request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        abort(403)


def _add_headers(response: Response) -> Response:
    policy = (
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "img-src data:",
        f"form-action 'self' {origin_of(current_app.config[PRODUCT_URL])}",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
    response.headers["Content-Security-Policy"] = "; ".join(policy)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    return response
