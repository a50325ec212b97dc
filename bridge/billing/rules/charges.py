"""What a seat change costs and where it leaves the plan: buying, shedding, exchanging, upgrading.

Every function is pure: it returns the bill, the next state and the sentences that explain them, and changes
nothing. A preview and its confirmation are the same call with the same instant (rule Q2).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from bridge.billing.rules.bills import Bill, BillReason, Line, LineKind, make_bill, seat_line
from bridge.billing.rules.contracts import (
    ContractKind,
    ContractState,
    ContractStatus,
    Reduction,
    RenewalBasis,
    SeatCount,
    Tier,
)
from bridge.billing.rules.money import format_money
from bridge.billing.rules.periods import agreed_price, check_tiers, renewal_subtotal
from bridge.billing.rules.proration import Share
from bridge.billing.rules.refusals import RefusalCode, RuleRefusal
from bridge.billing.rules.terms import Term, whole_second_utc
from bridge.billing.rules.wording import counted, local_day

MAX_SEATS: Final = 1_000_000
"""Seats of one tier: more is a slip of the finger, and sums stay within what a ledger holds."""


@dataclass(frozen=True, slots=True)
class SeatQuote:
    """What a seat change costs now and at the next renewal.

    Attributes:
        at: Instant the change is prorated from, aware UTC, whole seconds; confirm with the same one (rule
            Q2).
        bill: None when nothing is charged or credited.
        next_state: The plan once the change is confirmed.
        next_renewal_subtotal: Minor units before tax that the renewal bills after the change; 0 if the plan
            ends.
        renewal_before_subtotal: The same without the change.
        sentences: What happens, one sentence for each effect; the last one is about the renewal.
    """

    at: datetime
    bill: Bill | None
    next_state: ContractState
    next_renewal_subtotal: int
    renewal_before_subtotal: int
    sentences: tuple[str, ...]

    def to_json(self, *, explained: bool = False) -> dict[str, object]:
        """Return the preview as JSON values; ``explained`` adds the arithmetic and the sentences."""
        bill = self.bill
        document: dict[str, object] = {
            "lines": [line.to_json(explained=explained) for line in bill.lines] if bill else [],
            "subtotal": bill.subtotal if bill else 0,
            "tax": bill.tax if bill else 0,
            "total": bill.total if bill else 0,
            "next_renewal_subtotal": self.next_renewal_subtotal,
        }
        if explained:
            document |= {
                "credit_applied": bill.credit_applied if bill else 0,
                "amount_due": bill.amount_due if bill else 0,
                "renewal_before_subtotal": self.renewal_before_subtotal,
                "sentences": list(self.sentences),
            }
        return document


def change_seats(
    state: ContractState,
    changes: Mapping[str, int],
    at: datetime,
    used: Mapping[str, int],
    used_after: Mapping[str, int] | None = None,
) -> SeatQuote:
    """Add seats, shed seats, or both in one confirmed change.

    An increase first takes back seats that were about to lapse, free of charge (D4); the rest is charged
    for the rest of the period (P2, P8), one line for each tier on one bill (P3). A Team reduction takes
    effect at the next renewal (D1, D2) or, with the option, at once for a credit (D5); credits and charges
    of one change stand on one bill, which is a credit note when it comes to less than nothing. Enterprise
    never reduces (D7).

    Args:
        state: The plan in the period that holds ``at``.
        changes: Seats to add (positive) or shed (negative) by tier key; zeros count as absent.
        at: Aware instant of the change; parts of a second are dropped.
        used: Seats assigned to active members now, by tier key; a missing tier means 0.
        used_after: The same once people who wait have been placed, for the forecast of a renewal that bills
            the seats in use; as ``used`` when left out.

    Raises:
        RuleRefusal: ``plan_ended``; ``invalid_change`` for no change, an unknown tier, fewer than 0 seats,
            or a tier without a price; ``reduction_not_allowed``; ``seats_in_use``; ``below_minimum``. The
            first that applies.
        ValueError: ``at`` is not in the state's period: the renewal comes first (R6).

    Source: rules P2, P3, P8 and D1 to D7.
    """
    moment = _Moment.of(state, at)
    wanted = {key: change for key, change in changes.items() if change}
    _check_change(state, wanted, used)
    effects = {
        tier.key: moment.increase(tier, wanted[tier.key])
        if wanted[tier.key] > 0
        else moment.reduction(tier, -wanted[tier.key])
        for tier in state.terms.tiers
        if tier.key in wanted
    }
    return moment.quote(effects, used, used if used_after is None else used_after)


def exchange(state: ContractState, from_tier: str, to_tier: str, at: datetime, used: Mapping[str, int]) -> SeatQuote:
    """Turn one paid seat of a Team plan into one of a higher tier: unused time back, remaining time charged.

    The seat's holder moves with it. The two lines are rounded each for itself, so that each stands on its
    own.

    Args:
        state: The plan in the period that holds ``at``.
        from_tier: Tier of the seat that is given up; one must be paid and not about to lapse.
        to_tier: A higher tier, none of whose seats is about to lapse: :func:`upgrade` takes such a one back
            instead.
        at: Aware instant of the change.
        used: Seats assigned to active members now, the holder's included.

    Raises:
        RuleRefusal: ``plan_ended``; ``reduction_not_allowed`` on an enterprise plan, whose seats stay (S7);
            ``invalid_change`` for an unknown tier, one that is not higher, no seat to give up, or no price.
        ValueError: ``at`` is not in the state's period, or a seat of ``to_tier`` is about to lapse.

    Source: rule P7.
    """
    moment = _Moment.of(state, at)
    terms = state.terms
    check_tiers(terms, (from_tier, to_tier))
    if terms.kind is ContractKind.ENTERPRISE:
        raise RuleRefusal(RefusalCode.REDUCTION_NOT_ALLOWED, term_end=state.term.end)
    old, new = terms.tier(from_tier), terms.tier(to_tier)
    if terms.tiers.index(new) <= terms.tiers.index(old):
        raise RuleRefusal(RefusalCode.INVALID_CHANGE, problem=f"{new.name} is not higher than {old.name}")
    if not state.seats[from_tier].assignable:
        raise RuleRefusal(RefusalCode.INVALID_CHANGE, problem=f"there is no paid {old.name} seat to exchange")
    if state.seats[to_tier].lapsing:
        raise ValueError(f"A {to_tier} seat is about to lapse: it is taken back before one is exchanged")
    effects = {
        from_tier: moment.given_up(old, 1),
        to_tier: moment.increase(new, 1),
    }
    return moment.quote(effects, used, _moved(used, from_tier, to_tier))


def upgrade(
    state: ContractState, holder_tier: str | None, to_tier: str, at: datetime, used: Mapping[str, int]
) -> SeatQuote:
    """Buy a seat for one member while no seat of the tier is free.

    Team, and the member holds a paid seat of a lower tier: an exchange (P7). Otherwise a whole seat for the
    rest of the period, and a seat the member held stays on the plan (P9, S7). A seat of the tier that is
    about to lapse is taken back before anything is exchanged or charged (D4).

    Args:
        state: The plan in the period that holds ``at``.
        holder_tier: Tier the member holds; None for a member without a seat.
        to_tier: Tier the member is to hold.
        at: Aware instant of the change.
        used: Seats assigned to active members now, the member's included.

    Raises:
        RuleRefusal: ``plan_ended``, or ``invalid_change`` for an unknown tier or one without a price.
        ValueError: ``at`` is not in the state's period.

    Source: rules P7, P9 and D4.
    """
    terms = state.terms
    check_tiers(terms, (to_tier, *([holder_tier] if holder_tier else [])))
    keys = [tier.key for tier in terms.tiers]
    if (
        holder_tier is not None
        and terms.kind is ContractKind.TEAM
        and keys.index(holder_tier) < keys.index(to_tier)
        and state.seats[holder_tier].assignable
        and not state.seats[to_tier].lapsing
    ):
        return exchange(state, holder_tier, to_tier, at, used)
    return change_seats(state, {to_tier: 1}, at, used, _moved(used, holder_tier, to_tier))


@dataclass(frozen=True, slots=True)
class _Effect:
    """What a change does to one tier."""

    seats: SeatCount
    line: Line | None
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Moment:
    """An instant of a plan's period, with the share of the period that is still to come."""

    state: ContractState
    at: datetime
    share: Share

    @classmethod
    def of(cls, state: ContractState, at: datetime) -> "_Moment":
        if state.status is ContractStatus.ENDED:
            raise RuleRefusal(RefusalCode.PLAN_ENDED)
        at = whole_second_utc(at)
        return cls(state, at, state.terms.share(state.period_index, at))

    def increase(self, tier: Tier, number: int) -> _Effect:
        seats = self.state.seats[tier.key]
        kept = min(number, seats.lapsing)
        bought = number - kept
        sentences = []
        if kept:
            seats_kept = counted(kept, f"{tier.name} seat")
            sentences.append(f"Kept free of charge: {seats_kept} that would have lapsed on {self.end_day}.")
        line = self._line(LineKind.SEAT_PRORATION, tier, bought) if bought else None
        if line:
            sentences.append(
                f"{counted(bought, f'{tier.name} seat')} added, charged until {self.end_day} "
                f"for {line.share.sentence}: {line.formula}."
            )
            if self.state.terms.kind is ContractKind.ENTERPRISE:
                sentences.append(f"{tier.name} seats cannot be dropped before {self.end_day}.")
        return _Effect(seats.plus(paid=bought, following=number), line, tuple(sentences))

    def reduction(self, tier: Tier, number: int) -> _Effect:
        if self.state.terms.reduction is Reduction.IMMEDIATE_CREDIT:
            return self.given_up(tier, number)
        sentence = (
            f"{counted(number, f'{tier.name} seat')} fewer from {self.end_day}, "
            "not assignable until then, without a credit."
        )
        return _Effect(self.state.seats[tier.key].plus(following=-number), None, (sentence,))

    def given_up(self, tier: Tier, number: int) -> _Effect:
        """Take seats away at once, for a credit of the time that is left."""
        line = self._line(LineKind.SEAT_CREDIT, tier, number)
        seats = counted(number, f"{tier.name} seat")
        sentence = f"{seats} given up at once, credited for {line.share.sentence}: {line.formula}."
        return _Effect(self.state.seats[tier.key].plus(paid=-number, following=-number), line, (sentence,))

    def quote(
        self, effects: Mapping[str, _Effect], used: Mapping[str, int], used_after: Mapping[str, int]
    ) -> SeatQuote:
        state, terms = self.state, self.state.terms
        lines = [effect.line for effect in effects.values() if effect.line]
        bill = None
        if lines:
            bill = make_bill(
                BillReason.SEAT_CHANGE,
                lines,
                currency=terms.currency,
                tax_rate=terms.tax_rate,
                credit_balance=state.credit_balance,
            )
        next_state = replace(
            state,
            seats={**state.seats, **{key: effect.seats for key, effect in effects.items()}},
            credit_balance=state.credit_balance + (bill.balance_change if bill else 0),
        )
        before, after = renewal_subtotal(state, used), renewal_subtotal(next_state, used_after)
        sentences = [sentence for effect in effects.values() for sentence in effect.sentences]
        return SeatQuote(
            at=self.at,
            bill=bill,
            next_state=next_state,
            next_renewal_subtotal=after,
            renewal_before_subtotal=before,
            sentences=(*sentences, self._renewal_sentence(before, after)),
        )

    @property
    def end_day(self) -> str:
        return local_day(self.state.term.end, self.state.terms.time_zone)

    def _renewal_sentence(self, before: int, after: int) -> str:
        terms = self.state.terms
        if not terms.auto_renew:
            return f"The plan ends on {self.end_day}: it does not renew by itself."
        by_use = terms.renewal_basis is RenewalBasis.IN_USE
        what = "the seats in use that day, as of now " if by_use else ""
        money = format_money(after, terms.currency)
        other = f"instead of {format_money(before, terms.currency)}" if before != after else "as before"
        return f"The renewal on {self.end_day} bills {what}{money} before tax, {other}."

    def _line(self, kind: LineKind, tier: Tier, number: int) -> Line:
        return seat_line(
            kind,
            tier.key,
            number,
            agreed_price(self.state.prices, tier.key),
            term=Term(self.at, self.state.term.end),
            currency=self.state.terms.currency,
            share=self.share,
        )


def _check_change(state: ContractState, wanted: Mapping[str, int], used: Mapping[str, int]) -> None:
    terms = state.terms
    if not wanted:
        raise RuleRefusal(RefusalCode.INVALID_CHANGE, problem="no seat is added or dropped")
    check_tiers(terms, wanted)
    if terms.kind is ContractKind.ENTERPRISE and min(wanted.values()) < 0:
        raise RuleRefusal(RefusalCode.REDUCTION_NOT_ALLOWED, term_end=state.term.end)
    left = {key: state.seats[key].next + change for key, change in wanted.items()}
    for key, count in left.items():
        if count < 0:
            problem = f"{-wanted[key]} {key} seats cannot be dropped from {state.seats[key].next}"
            raise RuleRefusal(RefusalCode.INVALID_CHANGE, problem=problem)
    for key, count in left.items():
        if count > MAX_SEATS:
            problem = f"a plan has at most {MAX_SEATS:,} {key} seats"
            raise RuleRefusal(RefusalCode.INVALID_CHANGE, problem=problem)
    for key, count in left.items():
        if wanted[key] < 0 and count < used.get(key, 0):
            raise RuleRefusal(RefusalCode.SEATS_IN_USE, tier=key, used=used.get(key, 0), requested=count)
    before = sum(seats.next for seats in state.seats.values())
    after = before + sum(wanted.values())
    if after < before and after < terms.minimum_seats:
        raise RuleRefusal(RefusalCode.BELOW_MINIMUM, minimum=terms.minimum_seats, requested=after)


def _moved(used: Mapping[str, int], from_tier: str | None, to_tier: str) -> dict[str, int]:
    """Return the seats in use once one member has moved."""
    moved = {**used, to_tier: used.get(to_tier, 0) + 1}
    if from_tier is not None:
        moved[from_tier] = max(moved.get(from_tier, 0) - 1, 0)
    return moved
