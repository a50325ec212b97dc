"""Who plays in the tour: three customers, one for each kind of plan and language, and their people."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from bridge.simulator.dialects import Dialect
from bridge.simulator.directory import Directory


@dataclass(frozen=True, slots=True)
class Role:
    """One customer of the tour; prices are minor units for one seat and period."""

    slug: str
    name: str
    plan: str
    locale: str
    time_zone: str
    dialect: Dialect
    owner: str
    kind: str
    cycle: str
    tax_rate: str
    seats: Mapping[str, int]
    prices: Mapping[str, int]
    mappings: Mapping[str, object] | None
    directory: Callable[[], Directory]
    months_running: int
    scim: bool = True

    @property
    def domain(self) -> str:
        """The mail domain of its people."""
        return f"{self.slug}.example"

    @property
    def owner_email(self) -> str:
        """The primary owner's address."""
        return f"owner@{self.domain}"

    def start(self, now: datetime) -> datetime:
        """Return when the plan began: the first of a month, at midnight over there."""
        local = now.astimezone(ZoneInfo(self.time_zone))
        months = local.year * 12 + local.month - 1 - self.months_running
        return datetime(months // 12, months % 12 + 1, 1, tzinfo=ZoneInfo(self.time_zone))


def _nordlys() -> Directory:
    directory = Directory("nordlys.example")
    for given, family in (
        *(("Alice", "Lindqvist"), ("Bram", "de Vries"), ("Chloé", "Moreau")),
        *(("Oskar", "Holm"), ("Maja", "Nyström"), ("Ingrid", "Ekström")),
    ):
        directory.hire(given, family, groups=("All staff", "Engineering"), department="Engineering")
    for given, family in (("Johan", "Svensson"), ("Tess", "Bakker"), ("Hugo", "Sandberg")):
        directory.hire(given, family, groups=("All staff", "Support"), department="Support")
    directory.hire("Freja", "Berglund", groups=("All staff",), department="Finance")
    for given, family in (("Lars", "Visser"), ("Axel", "Smit")):
        directory.hire(given, family, groups=("Contractors",))
    return directory


def _atelier() -> Directory:
    directory = Directory("atelier.example")
    lead = directory.hire("Léa", "Fontaine", groups=("Direction",), department="Direction", title="Directrice")
    directory.hire("Émile", "Girard", groups=("Direction",), department="Direction", manager=lead.id)
    for given, family in (
        *(("Jules", "Renard"), ("Inès", "Lefèvre"), ("Manon", "Dubois"), ("Hugo", "Fontaine")),
        *(("Chloé", "Girard"), ("Louis", "Moreau"), ("Théo", "Renard")),
    ):
        directory.hire(given, family, groups=("Studio",), department="Studio", manager=lead.id)
    return directory


def _grachten() -> Directory:
    directory = Directory("grachten.example")
    directory.hire("Sanne", "Visser", groups=("Directie", "Iedereen"))
    for given, family in (("Daan", "Mulder"), ("Femke", "Jansen"), ("Pieter", "van Dijk"), ("Noor", "Smit")):
        directory.hire(given, family, groups=("Iedereen",))
    return directory


NORDLYS = Role(
    slug="nordlys",
    name="Nordlys AB",
    plan="Enterprise, annual contract",
    locale="en",
    time_zone="Europe/Stockholm",
    dialect=Dialect.OKTA,
    owner="Astrid Nyberg",
    kind="enterprise",
    cycle="year",
    tax_rate="0.25",
    seats={"premium": 4, "standard": 12},
    prices={"premium": 720_00, "standard": 300_00},
    mappings={
        "schema": 2,
        "on_exhausted": "unassigned",
        "default": "standard",
        "rules": [{"group": "Engineering", "expected": True, "tier": "premium"}],
    },
    directory=_nordlys,
    months_running=3,
)
ATELIER = Role(
    slug="atelier",
    name="Atelier Lumière",
    plan="Team, monthly",
    locale="fr",
    time_zone="Europe/Paris",
    dialect=Dialect.ENTRA,
    owner="Camille Laurent",
    kind="team",
    cycle="month",
    tax_rate="0.20",
    seats={"premium": 2, "standard": 6},
    prices={"premium": 90_00, "standard": 36_00},
    mappings=None,
    directory=_atelier,
    months_running=0,
)
GRACHTEN = Role(
    slug="grachten",
    name="Grachten BV",
    plan="Team, yearly",
    locale="nl",
    time_zone="Europe/Amsterdam",
    dialect=Dialect.GOOGLE,
    owner="Willem de Boer",
    kind="team",
    cycle="year",
    tax_rate="0.21",
    seats={"premium": 1, "standard": 5},
    prices={"premium": 600_00, "standard": 240_00},
    mappings={
        "schema": 2,
        "on_exhausted": "unassigned",
        "default": "standard",
        "rules": [{"group": "Directie", "expected": True, "tier": "premium"}],
    },
    directory=_grachten,
    months_running=1,
    scim=False,
)
CAST = (NORDLYS, ATELIER, GRACHTEN)
