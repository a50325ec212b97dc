"""What templates may use: icons, money, days and times in the organization's zone."""

import hashlib
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

from flask import Flask, Response, g, make_response, render_template, request
from lucide.jinja import lucide
from markupsafe import Markup

from bridge.billing.rules.money import Currency, format_money
from bridge.domain import plan_kinds
from bridge.domain.identifiers import new_id
from bridge.domain.roles import Permission
from bridge.usecases.seats import read_contract
from bridge.web.guides.writing import as_html
from bridge.web.session import Visit
from mappings.tiers import ANY, TierLadder

_HUES = 5
_HALF = Decimal("0.5")
_TEENS = range(11, 14)
_ORDINALS = {1: "st", 2: "nd", 3: "rd"}


class _Tiered(Protocol):
    """A line about one tier, of an invoice or of a forecast."""

    @property
    def tier(self) -> str: ...


def prepare_templates(app: Flask) -> None:
    """Give every template the filters and names below."""
    environment = app.jinja_env
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.filters.update(
        money=money,
        signed_money=signed_money,
        day=day,
        last_day=last_day,
        moment=moment,
        ago=ago,
        clock=clock,
        guide_text=as_html,
        ordinal=ordinal,
        initials=initials,
        hue=hue,
        plural=plural,
        capital=capital,
        by_tier=by_tier,
    )
    environment.globals.update(
        icon=icon,
        tier_class=tier_class,
        tier_name=tier_name,
        tax_share=tax_share,
        plan_word=plan_word,
        Permission=Permission,
        fresh_key=lambda: str(new_id()),
    )
    folder = Path(app.static_folder or "")
    assets = b"".join((folder / name).read_bytes() for name in ("seatbridge.css", "seatbridge.js"))
    environment.globals["asset_version"] = hashlib.sha256(assets).hexdigest()[:12]
    app.context_processor(_context)


def render(template: str, *, status: int = 200, **values: object) -> Response:
    """Render a page."""
    return make_response(render_template(template, **values), status)


def see_other(path: str) -> Response:
    """Send the browser on to a page of ours, by GET."""
    response = make_response("", 303)
    response.headers["Location"] = path
    return response


def icon(name: str, size: int = 16) -> Markup:
    """Return a lucide icon as inline SVG; the word beside it carries the meaning."""
    return Markup(lucide(name, size=size, aria_hidden="true", focusable="false"))  # noqa: S704 (drawn by the library)


def money(minor: int, currency: str) -> str:
    """Write minor units as money: 24000, "EUR" → "€240.00"."""
    return format_money(minor, Currency(currency))


def signed_money(minor: int, currency: str) -> str:
    """Write a difference: "+€240.00", "−€12.50", "€0.00"."""
    return f"+{money(minor, currency)}" if minor > 0 else money(minor, currency)


def day(when: datetime | date) -> str:
    """Write a day, that of an instant in the organization's zone: "21 Nov 2026"."""
    local = _local(when) if isinstance(when, datetime) else when
    return f"{local.day} {local:%b %Y}"


def last_day(end: datetime) -> str:
    """Write the last day of a period that ends before this instant."""
    return day(end - timedelta(seconds=1))


def moment(instant: datetime) -> str:
    """Write day and time in the organization's zone: "today 10:42", "21 Nov 10:42", "21 Nov 2025, 10:42"."""
    local, now = _local(instant), _now()
    if local.date() == now.date():
        return f"today {local:%H:%M}"
    if local.year == now.year:
        return f"{local.day} {local:%b %H:%M}"
    return f"{local.day} {local:%b %Y, %H:%M}"


def ago(instant: datetime | None) -> str:
    """Write when something was last seen, as short as a table needs it: "10:42", "Yesterday", "8 Sep", "never"."""
    if instant is None:
        return "never"
    local, now = _local(instant), _now()
    days = (now.date() - local.date()).days
    if days <= 0:
        return f"{local:%H:%M}"
    if days == 1:
        return "Yesterday"
    return f"{local.day} {local:%b}" if local.year == now.year else f"{local.day} {local:%b %Y}"


def clock(instant: datetime) -> str:
    """Write the time of day to the second in the organization's zone: "10:42:07"."""
    return f"{_local(instant):%H:%M:%S}"


def ordinal(number: int) -> str:
    """Write a place: "1st", "12th"."""
    return f"{number}{'th' if number % 100 in _TEENS else _ORDINALS.get(number % 10, 'th')}"


def initials(name: str) -> str:
    """Return the letters of an avatar."""
    words = [word for word in name.split() if word]
    return "".join(word[0] for word in (words[:1] + words[-1:] if len(words) > 1 else words)).upper()[:2]


def hue(name: str) -> int:
    """Return one of a few colours, always the same for a name."""
    return sum(name.encode()) % _HUES


def plural(number: int, noun: str, nouns: str | None = None) -> str:
    """Count a noun: "1 person", "3 people"."""
    return f"{number:,} {noun if number == 1 else nouns or f'{noun}s'}"


def capital(text: str) -> str:
    """Write the first letter large and leave the others alone."""
    return text[:1].upper() + text[1:]


def tier_class(ladder: TierLadder, tier: str | None) -> str:
    """Return the look of a tier: violet for the highest of several, blue for the others, hollow for none."""
    if tier is None or tier not in ladder:
        return "none"
    return "prem" if len(ladder) > 1 and tier == ladder.keys[0] else "std"


def tier_name(ladder: TierLadder, tier: str | None) -> str:
    """Return what people read for a tier, for none, for "any", and for a licence, which is no tier."""
    return "any tier" if tier == ANY else plan_kinds.LICENCE_NAMES.get(tier or "") or ladder.name_of(tier)


def by_tier(lines: Iterable[_Tiered], ladder: TierLadder) -> list[_Tiered]:
    """Put lines in the order in which tiers stand everywhere: the best first."""
    return sorted(lines, key=lambda line: ladder.keys.index(line.tier) if line.tier in ladder else len(ladder))


def plan_word() -> str:
    """Name what the visitor's plan's own page is about."""
    visitor: Visit | None = g.get("visitor")
    return plan_kinds.plan_word("" if visitor is None else read_contract(visitor.unit).kind)


def tax_share(subtotal: int, tax: int) -> str:
    """Write the contract's tax rate, " 25 %", where it is what a tax was computed with; nothing otherwise."""
    visitor: Visit | None = g.get("visitor")
    if visitor is None:
        return ""
    rate = Decimal(read_contract(visitor.unit).tax_rate)
    if not tax or abs(rate * subtotal - tax) > _HALF:
        return ""
    return f" {(rate * 100).normalize():f} %"


def _context() -> dict[str, object]:
    visitor: Visit | None = g.get("visitor")
    return {"visitor": visitor, "request_id": g.get("request_id", ""), "path": request.path}


def _zone() -> ZoneInfo:
    visitor: Visit | None = g.get("visitor")
    return ZoneInfo(visitor.organization.time_zone if visitor is not None else "UTC")


def _local(instant: datetime) -> datetime:
    return instant.astimezone(_zone())


def _now() -> datetime:
    visitor: Visit | None = g.get("visitor")
    return _local(visitor.unit.at) if visitor is not None else datetime.now(tz=_zone())
