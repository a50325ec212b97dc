"""Scenarios: a plan, prices and dated events, as a rehearsal reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from bridge.billing.rules.contracts import ContractKind
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
#: Calendars are computed a period ahead.
LAST_YEAR = 9000
_RANKS = {"standard": 1, "premium": 2}


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
    events = tuple(_event(number, _mapping(f"events.{number}", event)) for number, event in enumerate(listed))
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
    kinds = [str(known) for known in ContractKind]
    if kind not in kinds:
        raise InvalidInputError(
            "plan.kind", f"{kind!r} plans are not sold by seats and cannot be rehearsed; {' and '.join(kinds)} can"
        )
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


def _event(number: int, document: Mapping[str, Any]) -> Event:
    place = f"events.{number}"
    do = str(document.get("do"))
    if do not in EVENTS:
        raise InvalidInputError(f"{place}.do", f"{do!r} is not known for plans sold by seats: {', '.join(EVENTS)}")
    for name in EVENTS[do]:
        if name not in document:
            raise InvalidInputError(f"{place}.{name}", f"is missing: {do} needs it")
    _check_shapes(place, document)
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
    for name in ("user", "tier", "key", "via", "at"):
        if not isinstance(document.get(name, ""), str):
            raise InvalidInputError(f"{place}.{name}", f"{document[name]!r} is not text")
    if "buy_if_needed" in document:
        _yes_or_no(f"{place}.buy_if_needed", document["buy_if_needed"])
    groups = document.get("groups", [])
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        raise InvalidInputError(f"{place}.groups", "must be a list of names")
    mappings = document.get("mappings", {})
    if not isinstance(mappings, Mapping) or not all(isinstance(tier, str) for tier in mappings.values()):
        raise InvalidInputError(f"{place}.mappings", "must name a tier for each group")


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
