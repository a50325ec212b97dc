"""Scenarios: a plan, prices and dated events, as a rehearsal reads them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from bridge.billing.rules.contracts import ContractKind
from bridge.billing.rules.licences import LicenceKind
from bridge.billing.rules.money import Currency, to_minor
from bridge.domain.plan_kinds import EVALUATION, FIXED_FEE, LICENCE_NAMES
from bridge.domain.roles import Role
from bridge.errors import InvalidInputError
from bridge.ports import ContractDraft, FeeDraft, TierPrice

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
#: The same for a contract with a fixed fee and users by role.
FEE_EVENTS: Mapping[str, tuple[str, ...]] = {
    "add_user": ("user", "roles"),
    "change_roles": ("user", "roles"),
    "remove_user": ("user",),
    "define_role": ("role", "paid"),
    "deactivate": ("user",),
    "reactivate": ("user",),
    "amend_contract": (),
    "set_auto_renew": ("value",),
    "grant_credit": ("amount",),
}
#: Events by the kind of plan, where they are others than :data:`EVENTS`.
EVENTS_OF_KIND: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    FIXED_FEE: FEE_EVENTS,
    **{str(kind): LICENCE_EVENTS for kind in LicenceKind},
}
#: What events may have besides, by what they do; what only some kinds know is refused there.
_OPTIONAL: Mapping[str, tuple[str, ...]] = {
    "add_member": ("tier", "groups", "buy_if_needed"),
    "assign": ("buy_if_needed",),
    "amend_contract": ("annual_fee", "tier", "tier_paid_users"),
    "define_role": ("name", "permissions"),
}
_OPTIONAL_OF_LICENCES: Mapping[str, tuple[str, ...]] = {"add_member": ("via", "groups", "teams")}
#: What every event may have.
_COMMON = ("at", "do", "as", "key", "payment")
_TOP = frozenset({"case", "rules", "plan", "prices", "events", "until", "expected"})
_SEAT_PLAN = frozenset(
    {
        *("kind", "start", "currency", "timezone", "tax_rate", "auto_renew", "cycle", "seats", "proration"),
        *("reduction", "minimum_seats", "renewal_basis", "contract_minimum", "mappings", "on_exhausted"),
    }
)
_FEE_PLAN = frozenset(
    {
        *("kind", "start", "currency", "timezone", "tax_rate", "auto_renew"),
        *("tier", "tier_paid_users", "schedule", "discount", "term_years"),
    }
)
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
    """What a rehearsal plays; ``events`` stand in the order of time.

    With an ``evaluation``, it comes first, and the ``contract`` is agreed to follow it (rule B2).
    """

    contract: ContractDraft
    evaluation: ContractDraft | None
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
    _refuse_unknown("", document, _TOP, "a scenario")
    plan = dict(_mapping("plan", document.get("plan")))
    tried = plan.pop("evaluation", None)
    currency = _currency(plan.get("currency", "EUR"))
    read_plan = _PLANS.get(str(plan.get("kind")), _contract)
    contract = read_plan(plan, _mapping("prices", document.get("prices")), currency)
    listed = document.get("events", [])
    if not isinstance(listed, list):
        raise InvalidInputError("events", "must be a list")
    known = EVENTS_OF_KIND.get(contract.kind, EVENTS)
    events = tuple(_event(number, _mapping(f"events.{number}", event), known) for number, event in enumerate(listed))
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
        evaluation=None if tried is None else _evaluation(_mapping("plan.evaluation", tried), contract),
        currency=currency,
        mappings=_mapping("plan.mappings", plan.get("mappings", {})),
        on_exhausted=plan.get("on_exhausted", "unassigned"),
        events=events,
        until=until,
    )


def _contract(plan: Mapping[str, Any], prices: Mapping[str, Any], currency: Currency) -> ContractDraft:
    kind = plan.get("kind")
    if kind in list(LicenceKind):
        return _licence_contract(LicenceKind(kind), plan, prices, currency)
    if kind not in list(ContractKind):
        kinds = ", ".join([*ContractKind, *_PLANS, *LicenceKind])
        raise InvalidInputError("plan.kind", f"{kind!r} plans cannot be rehearsed; these kinds can: {kinds}")
    _refuse_unknown("plan.", plan, _SEAT_PLAN, f"plans of kind {kind}")
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
        time_zone=_text("plan.timezone", plan.get("timezone", "UTC")),
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


def _evaluation(tried: Mapping[str, Any], contract: ContractDraft) -> ContractDraft:
    """Read an evaluation that the plan follows: of the same tiers, or of the same licences, or roles."""
    _refuse_unknown("plan.evaluation.", tried, {"until", "seats"}, "an evaluation")
    seats = _counts("plan.evaluation.seats", tried.get("seats", {}))
    _refuse_unknown("plan.evaluation.seats.", seats, {tier.key for tier in contract.pools}, "the plan's tiers")
    tiers = tuple(replace(tier, price=0, seats=seats.get(tier.key, 0)) for tier in contract.tiers)
    return ContractDraft(
        kind=EVALUATION,
        cycle="none",
        anchor=contract.anchor,
        currency=contract.currency,
        time_zone=contract.time_zone,
        tiers=tiers,
        auto_renew=False,
        until=_instant("plan.evaluation.until", tried.get("until")),
    )


def _licence_contract(
    kind: LicenceKind, plan: Mapping[str, Any], prices: Mapping[str, Any], currency: Currency
) -> ContractDraft:
    """Read the terms of licences: a price, and nothing that belongs to seats."""
    _refuse_unknown("plan.", plan, _SEAT_PLAN, f"plans of kind {kind}")
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
        time_zone=_text("plan.timezone", plan.get("timezone", "UTC")),
        tiers=(TierPrice(key=str(kind), name=LICENCE_NAMES[kind], rank=1, price=price, seats=0),),
        tax_rate=str(plan.get("tax_rate", "0")),
        auto_renew=_yes_or_no("plan.auto_renew", plan.get("auto_renew", True)),
    )


def _fixed_fee(plan: Mapping[str, Any], prices: Mapping[str, Any], currency: Currency) -> ContractDraft:
    """Read a contract with a fixed fee (rules U3 to U6)."""
    _refuse_unknown("plan.", plan, _FEE_PLAN, "a contract")
    _refuse_unknown("prices.", prices, {"annual_fee"}, "a contract")
    if "annual_fee" not in prices:
        raise InvalidInputError("prices.annual_fee", "is missing: a contract has a fixed fee")
    for field in ("tier", "tier_paid_users"):
        if field not in plan:
            raise InvalidInputError(f"plan.{field}", "is missing: a contract names its tier and the paid users of it")
    return ContractDraft(
        kind=FIXED_FEE,
        cycle="year",
        anchor=_instant("plan.start", plan.get("start")),
        currency=currency.code,
        time_zone=_text("plan.timezone", plan.get("timezone", "UTC")),
        tiers=(),
        tax_rate=str(plan.get("tax_rate", "0")),
        auto_renew=_yes_or_no("plan.auto_renew", plan.get("auto_renew", False)),
        fee=FeeDraft(
            annual_fee=_money("prices.annual_fee", prices["annual_fee"], currency),
            tier=_text("plan.tier", plan["tier"]),
            paid_users=_whole("plan.tier_paid_users", plan["tier_paid_users"]),
            schedule=_schedule(plan.get("schedule", "annual")),
            term_years=_whole("plan.term_years", plan.get("term_years", 1)),
            discount=str(plan.get("discount", "0")),
        ),
    )


_PLANS = {FIXED_FEE: _fixed_fee}


def _schedule(value: object) -> str | tuple[tuple[int, str], ...]:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise InvalidInputError("plan.schedule", "is annual, quarterly, monthly, or a list of months with their shares")
    parts = [_mapping(f"plan.schedule.{number}", part) for number, part in enumerate(value)]
    return tuple(
        (_whole(f"plan.schedule.{number}.month", part.get("month")), str(part.get("share")))
        for number, part in enumerate(parts)
    )


def _event(number: int, document: Mapping[str, Any], known: Mapping[str, tuple[str, ...]] = EVENTS) -> Event:
    place = f"events.{number}"
    do = str(document.get("do"))
    if do not in known:
        raise InvalidInputError(f"{place}.do", f"{do!r} is not known for plans of this kind: {', '.join(known)}")
    for name in known[do]:
        if name not in document:
            raise InvalidInputError(f"{place}.{name}", f"is missing: {do} needs it")
    if known is LICENCE_EVENTS and do == "add_member":
        _check_licence_member(place, document)
    optional = (_OPTIONAL_OF_LICENCES if known is LICENCE_EVENTS else _OPTIONAL).get(do, ())
    _refuse_unknown(f"{place}.", document, {*_COMMON, *known[do], *optional}, do)
    _check_shapes(place, document)
    if do == "add_member" and document.get("via") in {"jit", "scim"} and "tier" in document:
        raise InvalidInputError(f"{place}.tier", "is for people who are added by hand: the rules place who arrives")
    role = document.get("as", "owner")
    if role not in list(Role):
        raise InvalidInputError(f"{place}.as", f"{role!r} is not one of {', '.join(Role)}")
    if document.get("payment", "declined") != "declined":
        raise InvalidInputError(f"{place}.payment", f"{document['payment']!r} is not declined; leave it out otherwise")
    return Event(
        number=number,
        at=_instant(f"{place}.at", document.get("at")),
        do=do,
        role=Role(role),
        key=document.get("key"),
        declined=document.get("payment") == "declined",
        fields={name: value for name, value in document.items() if name not in _COMMON},
    )


def _check_shapes(place: str, document: Mapping[str, Any]) -> None:
    """Refuse fields of another shape than the events need, before anything is played."""
    if "changes" in document:
        _counts(f"{place}.changes", document["changes"])
    for name in ("user", "team", "tier", "key", "via", "at", "role", "name"):
        if not isinstance(document.get(name, ""), str):
            raise InvalidInputError(f"{place}.{name}", f"{document[name]!r} is not text")
        _printable(f"{place}.{name}", document.get(name, ""))
    if "buy_if_needed" in document:
        _yes_or_no(f"{place}.buy_if_needed", document["buy_if_needed"])
    _check_names(place, document)
    if document.get("do") == "set_auto_renew" and "value" in document:
        _yes_or_no(f"{place}.value", document["value"])
    if "paid" in document:
        _yes_or_no(f"{place}.paid", document["paid"])
    if "tier_paid_users" in document:
        _whole(f"{place}.tier_paid_users", document["tier_paid_users"])
    mappings = document.get("mappings", {})
    if not isinstance(mappings, Mapping) or not all(isinstance(tier, str) for tier in mappings.values()):
        raise InvalidInputError(f"{place}.mappings", "must name a tier for each group")
    for group in mappings:
        _printable(f"{place}.mappings", group)


def _check_names(place: str, document: Mapping[str, Any]) -> None:
    for name in ("groups", "teams", "roles", "permissions"):
        listed = document.get(name, [])
        if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
            raise InvalidInputError(f"{place}.{name}", "must be a list of names")
        for number, one in enumerate(listed):
            _printable(f"{place}.{name}.{number}", one)


def _check_licence_member(place: str, document: Mapping[str, Any]) -> None:
    """Refuse what only means something where seats are sold."""
    for field in ("tier", "buy_if_needed"):
        if field in document:
            raise InvalidInputError(f"{place}.{field}", "is for plans sold by seats: people join teams here")
    if document.get("via", "manual") not in {"manual", "jit", "scim"}:
        raise InvalidInputError(f"{place}.via", f"{document['via']!r} is not one of manual, jit, scim")


def _refuse_unknown(place: str, document: Mapping[str, Any], known: Collection[str], what: str) -> None:
    """Refuse a field that nobody would read: a slip of the pen must not become another bill."""
    for field in sorted(map(str, {*document} - {*known})):
        raise InvalidInputError(f"{place}{field}", f"means nothing to {what}; known are {', '.join(sorted(known))}")


def _printable(place: str, text: str) -> None:
    if not text.isprintable():
        raise InvalidInputError(place, f"{text!r} has characters that cannot be printed")


def _yes_or_no(place: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidInputError(place, f"{value!r} is neither true nor false")
    return value


def _whole(place: str, value: object) -> int:
    if type(value) is not int:
        raise InvalidInputError(place, f"{value!r} is no whole number")
    return value


def _text(place: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidInputError(place, f"{value!r} is not text")
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
