"""Scenarios: a plan, prices and dated events, as a rehearsal reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from bridge.billing.rules.contracts import ContractKind
from bridge.billing.rules.licences import LicenceKind
from bridge.billing.rules.money import Currency, to_minor
from bridge.domain.roles import Role
from bridge.errors import InvalidInputError
from bridge.ports import ContractDraft, TierPrice

#: What each event needs besides ``at`` and ``do``.
EVENTS: Mapping[str, tuple[str, ...]] = {
    "change_seats": ("changes",),
    "preview": ("changes",),
    "confirm": ("preview",),
    "add_member": ("user", "via"),
    "assign": ("user", "tier"),
    "set_groups": ("user", "groups"),
    "set_mappings": ("mappings",),
    "deactivate": ("user",),
    "reactivate": ("user",),
    "remove_member": ("user",),
    "set_price": ("tier", "price"),
    "set_auto_renew": ("value",),
    "grant_credit": ("amount",),
}
#: The same for plans whose teams or people are licensed (rules W1 to W7).
LICENCE_EVENTS: Mapping[str, tuple[str, ...]] = {
    "create_team": ("team",),
    "archive_team": ("team",),
    "unarchive_team": ("team",),
    "add_member": ("user",),
    "leave_team": ("user", "team"),
    "remove_inactive_members": (),
    "deactivate": ("user",),
    "reactivate": ("user",),
    "remove_member": ("user",),
    "set_price": ("tier", "price"),
    "set_auto_renew": ("value",),
    "grant_credit": ("amount",),
}
#: Kinds that are not sold by seats: how their plan is called, and its events.
_OTHER_EVENTS: Mapping[str, tuple[str, Mapping[str, tuple[str, ...]]]] = {
    str(kind): ("licensed by team or by person", LICENCE_EVENTS) for kind in LicenceKind
}
#: Terms that licences have no choice about, and the only value of each that may be written.
_NOT_FOR_LICENCES: Mapping[str, object] = {
    "seats": {},
    "cycle": "month",
    "proration": None,
    "reduction": "at_renewal",
    "minimum_seats": 0,
    "renewal_basis": None,
    "contract_minimum": {},
    "mappings": {},
    "on_exhausted": "unassigned",
}
#: Calendars are computed a period ahead.
LAST_YEAR = 9000
_RANKS = {"standard": 1, "premium": 2}
LICENCE_NAMES: Mapping[LicenceKind, str] = {LicenceKind.TEAM: "Team licence", LicenceKind.USER: "User licence"}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens at an instant.

    Attributes:
        role: Who does it; the directory's own doings ask for none.
        key: The caller's idempotency key.
        declined: Whether the payment it needs is declined.
        fields: Everything else, as the scenario has it.
    """

    number: int
    at: datetime
    do: str
    role: Role
    key: str | None
    declined: bool
    fields: Mapping[str, Any]

    def text(self, name: str) -> str:
        """Return a field that is text."""
        value = self.fields[name]
        if not isinstance(value, str):
            raise InvalidInputError(f"events.{self.number}.{name}", f"{value!r} is not text")
        return value


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a rehearsal plays; ``events`` stand in the order of time."""

    contract: ContractDraft
    currency: Currency
    mappings: Mapping[str, str]
    on_exhausted: str
    events: tuple[Event, ...]
    until: datetime

    @property
    def users(self) -> tuple[str, ...]:
        """Everybody the events name, in the order of their names, which is that of their ids (rule A8)."""
        return tuple(sorted({event.text("user") for event in self.events if "user" in event.fields}))


def read_scenario(document: Mapping[str, Any]) -> Scenario:
    """Read a scenario.

    Raises:
        InvalidInputError: Naming the field and what would be right.
    """
    plan = _mapping("plan", document.get("plan"))
    currency = _currency(plan.get("currency", "EUR"))
    contract = _contract(plan, _mapping("prices", document.get("prices")), currency)
    listed = document.get("events", [])
    if not isinstance(listed, list):
        raise InvalidInputError("events", "must be a list")
    events = tuple(
        _event(contract.kind, number, _mapping(f"events.{number}", event)) for number, event in enumerate(listed)
    )
    instants = [contract.anchor, *(event.at for event in events)]
    if instants != sorted(instants):
        raise InvalidInputError("events", "must stand in the order of time, none before the plan's start")
    until = _instant("until", document.get("until"))
    if until < instants[-1]:
        raise InvalidInputError("until", "must not be before the plan's start or the last event")
    if until.year > LAST_YEAR:
        raise InvalidInputError("until", f"must not be after the year {LAST_YEAR}")
    return Scenario(
        contract=contract,
        currency=currency,
        mappings=_mapping("plan.mappings", plan.get("mappings", {})),
        on_exhausted=plan.get("on_exhausted", "unassigned"),
        events=events,
        until=until,
    )


def _contract(plan: Mapping[str, Any], prices: Mapping[str, Any], currency: Currency) -> ContractDraft:
    kind = plan.get("kind")
    kinds = [str(known) for known in (*ContractKind, *LicenceKind)]
    if kind not in kinds:
        raise InvalidInputError("plan.kind", f"{kind!r} plans cannot be rehearsed; {', '.join(kinds)} can")
    if kind in list(LicenceKind):
        return _licence_contract(LicenceKind(kind), plan, prices, currency)
    seats = _counts("plan.seats", plan.get("seats", {}))
    unpriced = sorted(set(seats) - set(prices))
    if unpriced:
        raise InvalidInputError("prices", f"none is given for {', '.join(unpriced)}")
    ranks = {tier: _RANKS.get(tier, len(_RANKS) + number) for number, tier in enumerate(prices, 1)}
    return ContractDraft(
        kind=str(kind),
        cycle=plan.get("cycle", "month" if kind == ContractKind.TEAM else "year"),
        anchor=_instant("plan.start", plan.get("start")),
        currency=currency.code,
        time_zone=plan.get("timezone", "UTC"),
        tiers=tuple(
            TierPrice(
                key=tier,
                name=tier.title(),
                rank=rank,
                price=_money(f"prices.{tier}", prices[tier], currency),
                seats=seats.get(tier, 0),
            )
            for tier, rank in ranks.items()
        ),
        tax_rate=str(plan.get("tax_rate", "0")),
        proration=plan.get("proration"),
        reduction=plan.get("reduction", "at_renewal"),
        minimum_seats=_counts("plan.minimum_seats", {"all": plan.get("minimum_seats", 0)})["all"],
        auto_renew=_yes_or_no("plan.auto_renew", plan.get("auto_renew", True)),
        renewal_basis=plan.get("renewal_basis"),
        contract_minimum=_counts("plan.contract_minimum", plan.get("contract_minimum") or {}),
    )


def _licence_contract(
    kind: LicenceKind, plan: Mapping[str, Any], prices: Mapping[str, Any], currency: Currency
) -> ContractDraft:
    """Read the terms of licences: a price, and nothing that belongs to seats."""
    for field, only in _NOT_FOR_LICENCES.items():
        if plan.get(field, only) != only:
            raise InvalidInputError(f"plan.{field}", f"is for plans sold by seats; {kind} plans count what was in use")
    if kind not in prices:
        raise InvalidInputError("prices", f"none is given for {kind}")
    for other in prices:
        if other != kind:
            raise InvalidInputError(f"prices.{other}", f"a {kind} plan has one price, that of a {kind}")
    price = _money(f"prices.{kind}", prices[kind], currency)
    return ContractDraft(
        kind=str(kind),
        cycle="month",
        anchor=_instant("plan.start", plan.get("start")),
        currency=currency.code,
        time_zone=plan.get("timezone", "UTC"),
        tiers=(TierPrice(key=str(kind), name=LICENCE_NAMES[kind], rank=1, price=price, seats=0),),
        tax_rate=str(plan.get("tax_rate", "0")),
        auto_renew=_yes_or_no("plan.auto_renew", plan.get("auto_renew", True)),
    )


def _event(kind: str, number: int, document: Mapping[str, Any]) -> Event:
    place = f"events.{number}"
    do = str(document.get("do"))
    sold, known = _OTHER_EVENTS.get(kind, ("sold by seats", EVENTS))
    if do not in known:
        raise InvalidInputError(f"{place}.do", f"{do!r} is not known for plans {sold}: {', '.join(known)}")
    for name in known[do]:
        if name not in document:
            raise InvalidInputError(f"{place}.{name}", f"is missing: {do} needs it")
    _check_shapes(place, document)
    if kind in _OTHER_EVENTS and do == "add_member":
        _check_licence_member(place, document)
    role = document.get("as", "owner")
    if role not in list(Role):
        raise InvalidInputError(f"{place}.as", f"{role!r} is not one of {', '.join(Role)}")
    common = {"at", "do", "as", "key", "payment"}
    return Event(
        number=number,
        at=_instant(f"{place}.at", document.get("at")),
        do=do,
        role=Role(role),
        key=document.get("key"),
        declined=document.get("payment") == "declined",
        fields={name: value for name, value in document.items() if name not in common},
    )


def _check_shapes(place: str, document: Mapping[str, Any]) -> None:
    """Refuse fields of another shape than the events need, before anything is played."""
    if "changes" in document:
        _counts(f"{place}.changes", document["changes"])
    for name in ("user", "team", "tier", "key", "via", "at"):
        if not isinstance(document.get(name, ""), str):
            raise InvalidInputError(f"{place}.{name}", f"{document[name]!r} is not text")
    if "buy_if_needed" in document:
        _yes_or_no(f"{place}.buy_if_needed", document["buy_if_needed"])
    for field in ("groups", "teams"):
        names = document.get(field, [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InvalidInputError(f"{place}.{field}", "must be a list of names")
    if document.get("do") == "set_auto_renew" and "value" in document:
        _yes_or_no(f"{place}.value", document["value"])
    mappings = document.get("mappings", {})
    if not isinstance(mappings, Mapping) or not all(isinstance(tier, str) for tier in mappings.values()):
        raise InvalidInputError(f"{place}.mappings", "must name a tier for each group")


def _check_licence_member(place: str, document: Mapping[str, Any]) -> None:
    """Refuse what only means something where seats are sold."""
    for field in ("tier", "buy_if_needed"):
        if field in document:
            raise InvalidInputError(f"{place}.{field}", "is for plans sold by seats: people join teams here")
    if document.get("via", "manual") not in {"manual", "jit", "scim"}:
        raise InvalidInputError(f"{place}.via", f"{document['via']!r} is not one of manual, jit, scim")


def _yes_or_no(place: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidInputError(place, f"{value!r} is neither true nor false")
    return value


def _counts(place: str, value: object) -> Mapping[str, int]:
    if not isinstance(value, Mapping) or not all(type(number) is int for number in value.values()):
        raise InvalidInputError(place, "must give whole numbers of seats by tier")
    return value


def read_money(event: Event, name: str, currency: Currency) -> int:
    """Return a field that is money, in minor units: text is in major units ("30.00"), a whole number in minor ones."""
    if type(event.fields[name]) is int:
        return int(event.fields[name])
    return _money(f"events.{event.number}.{name}", event.fields[name], currency)


def _money(place: str, value: object, currency: Currency) -> int:
    try:
        return to_minor(value if isinstance(value, Decimal) else str(value), currency)
    except ValueError as problem:
        raise InvalidInputError(place, str(problem)) from problem


def _currency(code: object) -> Currency:
    try:
        return Currency(str(code))
    except ValueError as problem:
        raise InvalidInputError("plan.currency", str(problem)) from problem


def _instant(place: str, text: object) -> datetime:
    try:
        instant = datetime.fromisoformat(str(text))
    except ValueError as problem:
        raise InvalidInputError(place, f"{text!r} is no instant such as 2026-03-01T00:00:00Z") from problem
    if instant.tzinfo is None:
        raise InvalidInputError(place, f"{text!r} has no time zone: write 2026-03-01T00:00:00Z")
    return instant.astimezone(UTC)


def _mapping(place: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidInputError(place, "is missing or has no fields")
    return value
