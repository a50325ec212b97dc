"""What other group mappings would do: who moves, what is bought for them, and who may do more."""

import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from sqlalchemy import Text, Uuid, any_, literal, select
from sqlalchemy.dialects.postgresql import ARRAY

from bridge.domain.documents import comparison_key
from bridge.domain.identifiers import MemberId
from bridge.domain.roles import Permission, Role
from bridge.ports import SeatChange, SeatQuote
from bridge.store.directory import mapping_set_in_force
from bridge.store.models import Member, Preview
from bridge.store.pools import ladder_of, read_pools
from bridge.store.unit import Unit
from bridge.usecases.people import name_people
from bridge.usecases.person_classes import person_classes
from bridge.usecases.purses import BudgetUse, open_purse
from mappings.allocation import MemberKey
from mappings.assertions import PersonHas, conditions_of
from mappings.checks import Effect, Finding, check
from mappings.differences import RuleChange, difference
from mappings.documents import from_document
from mappings.people import Pool
from mappings.preview import AccessChange, Move, MovesPreview, moves_under
from mappings.reasons import because
from mappings.rules import MappingSet
from mappings.tiers import TierLadder


@dataclass(frozen=True, slots=True)
class RoleChange:
    """Somebody who gets another role from the rules, by name of the roles."""

    member_id: MemberId
    before: str
    after: str

    @property
    def is_gain(self) -> bool:
        """Whether the person may do more afterwards."""
        order = list(Role)
        return order.index(Role(self.after)) < order.index(Role(self.before))


@dataclass(frozen=True, slots=True)
class Outlay:
    """Everything that applying charges today, whoever pays for it, and the renewal that follows.

    Attributes:
        total: Minor units, tax included.
        amount_due: What of it is to be paid, once the account's balance is used (rule C3).
        together: All of it as one change, for its renewal: the invoices are each for itself.
    """

    total: int
    amount_due: int
    together: SeatQuote

    @property
    def cost(self) -> Decimal:
        """The total in major units."""
        return Decimal(self.total).scaleb(-self.together.digits)


@dataclass(frozen=True, slots=True)
class MappingsPreview:
    """What changed mappings would do.

    Attributes:
        id: Names the preview for :func:`apply_mappings`.
        expires_at: Until when it may be applied, unless something changes before (rule Q3).
        changes: What differs from the rules in force, in words.
        moves: What happens when no shortage is bought; what budgets pay for is in it.
        budget_uses: What is bought within budgets, at what price, and what is left of them then; the amounts are for
            who :attr:`sees_money`. Applying buys exactly that or nothing.
        budget_uses_if_bought: The same when the missing seats are bought.
        shortage: Seats missing by tier, so that nobody the change touches has to wait.
        quote: What those seats cost; None without a shortage, or for who may not see prices.
        moves_if_bought: What happens when they are bought; None without a quote.
        outlay: What is charged today when no shortage is bought: what budgets pay for; ``outlay_if_bought`` has the
            missing seats too, None without a quote. Both are for who :attr:`sees_money`.
        settled: What applying settles before it buys within budgets, and the same when the shortage is bought.
        role_changes: Everybody whose role really changes: an owner's never does (T10, T11).
        names: What pages call everybody who is named in the moves.
        findings: What the document asserts, beside what happens without buying; of money only for who
            :attr:`sees_money`.
        findings_if_bought: The same when the missing seats are bought; empty without a quote.
        restores: The older version that the document is, for a rollback.
    """

    id: uuid.UUID
    at: datetime
    expires_at: datetime
    ladder: TierLadder
    old: MappingSet
    new: MappingSet
    changes: tuple[RuleChange, ...]
    moves: MovesPreview
    shortage: Mapping[str, int]
    quote: SeatQuote | None
    moves_if_bought: MovesPreview | None
    role_changes: tuple[RoleChange, ...]
    names: Mapping[MemberId, str]
    settled: tuple[MovesPreview, MovesPreview | None]
    budget_uses: tuple[BudgetUse, ...] = ()
    budget_uses_if_bought: tuple[BudgetUse, ...] = ()
    outlay: Outlay | None = None
    outlay_if_bought: Outlay | None = None
    sees_money: bool = False
    findings: tuple[Finding, ...] = ()
    findings_if_bought: tuple[Finding, ...] = ()
    restores: int | None = None

    def effect(self, *, buy: bool) -> MovesPreview:
        """Return what happens, with the missing seats bought or not."""
        return self.moves_if_bought if buy and self.moves_if_bought is not None else self.moves

    def outlay_of(self, *, buy: bool) -> Outlay | None:
        """Return what is charged today, with the missing seats bought or not."""
        return self.outlay_if_bought if buy and self.quote is not None else self.outlay

    def findings_of(self, *, buy: bool) -> Sequence[Finding]:
        """Return what is asserted, beside what happens with the missing seats bought or not."""
        return self.findings_if_bought if buy and self.quote is not None else self.findings

    @property
    def roles(self) -> Mapping[str, int]:
        """How many people get each role."""
        return Counter(change.after for change in self.role_changes)

    @property
    def team_changes(self) -> tuple[AccessChange, ...]:
        """Everybody who joins or leaves a team."""
        return tuple(change for change in self.moves.access_changes if change.teams_gained or change.teams_lost)

    def because(self, move: Move) -> str:
        """Return why somebody moves, to stand after "because", without a full stop."""
        wanted = move.waiting_for or (None if move.rule is None else move.rule.tier)
        return because(
            move.reason, self.ladder, tier=move.to_tier, rule=move.rule, wanted=wanted, before=move.from_tier
        )

    @property
    def gives_roles(self) -> bool:
        """Whether anybody may do more afterwards, which needs a tick of its own."""
        return any(change.is_gain for change in self.role_changes)


def mapping_effect(unit: Unit, stored: Preview, *, named: bool = True) -> MappingsPreview:
    """Compute what the rules of a stored preview would do to everybody now, and what it would cost.

    Args:
        unit: The unit; the organization is locked.
        stored: The preview, whose instant prices what is bought.
        named: Whether the people who move are looked up by name.
    """
    pools = read_pools(unit)
    ladder = ladder_of(pools)
    old = mapping_set_in_force(unit, ladder)
    new = from_document(stored.request["document"], ladder, version=old.version + 1)
    people = person_classes(unit, (old, new), conditions_of(new.assertions))
    persons = _named_persons(unit, new)
    counts = {pool.tier: Pool(pool.total, pool.used) for pool in pools}
    look = partial(moves_under, people, old, new, ladder)
    purse = open_purse(unit, priced_at=stored.at)
    settled = look(counts)
    moves = look(counts, purse=purse) if purse.budgets else settled
    touched = {move.member_id for move in moves.moves} | {change.member_id for change in moves.line_changes}
    shortage = _shortage(moves)
    then, outlay_if_bought = None, None
    findings_if_bought: tuple[Finding, ...] = ()
    if shortage and unit.actor.may(Permission.MANAGE_BILLING) and unit.billing.sells_at_once:
        then = _if_bought(unit, stored.at, look, counts, shortage)
        if _shortage(then.moves):
            # Who would have been paid for by a budget stands before others, and takes what is bought for those.
            shortage = _shortage(settled)
            then = _if_bought(unit, stored.at, look, counts, shortage)
        touched |= {move.member_id for move in then.moves.moves}
        touched |= {change.member_id for change in then.moves.line_changes}
        outlay_if_bought = _outlay(unit, stored.at, then.moves, then.uses, then.quote)
        findings_if_bought = _checked(unit, new, Effect(people, then.moves, _cost(outlay_if_bought), persons), ladder)
    touched |= {change.member_id for change in moves.access_changes}
    uses = purse.uses()
    outlay = _outlay(unit, stored.at, moves, uses)
    return MappingsPreview(
        id=stored.id,
        at=stored.at,
        expires_at=stored.expires_at,
        ladder=ladder,
        old=old,
        new=new,
        changes=tuple(difference(old, new, ladder)),
        moves=moves,
        shortage=shortage,
        quote=then.quote if then else None,
        moves_if_bought=then.moves if then else None,
        role_changes=_role_changes(unit, moves.access_changes),
        names=name_people(unit, {MemberId(uuid.UUID(str(member_id))) for member_id in touched}) if named else {},
        settled=(settled, then.settled if then else None),
        budget_uses=uses,
        budget_uses_if_bought=then.uses if then else (),
        outlay=outlay,
        outlay_if_bought=outlay_if_bought,
        sees_money=unit.actor.may(Permission.SEE_BILLING),
        findings=_checked(unit, new, Effect(people, moves, _cost(outlay), persons), ladder),
        findings_if_bought=findings_if_bought,
        restores=stored.request.get("restores"),
    )


@dataclass(frozen=True, slots=True)
class _IfBought:
    """What comes of it when missing seats are bought: with what budgets pay for then, and before that."""

    moves: MovesPreview
    settled: MovesPreview
    uses: tuple[BudgetUse, ...]
    quote: SeatQuote


def _if_bought(
    unit: Unit,
    at: datetime,
    look: Callable[..., MovesPreview],
    counts: Mapping[str, Pool],
    shortage: Mapping[str, int],
) -> _IfBought:
    grown = {tier: Pool(pool.seats + shortage.get(tier, 0), pool.used) for tier, pool in counts.items()}
    settled = moves = look(grown)
    change = SeatChange(shortage, at=at, placed=_placed(settled))
    purse = open_purse(unit, priced_at=at, bought_before=(change,))
    if purse.budgets:
        moves = look(grown, purse=purse)
    return _IfBought(moves, settled, purse.uses(), unit.billing.quote(change))


def kept_purchases(preview: MappingsPreview) -> dict[str, Any]:
    """Return what is bought within budgets as a stored preview keeps it."""
    return {
        "uses": [use.facts for use in preview.budget_uses],
        "uses_if_bought": [use.facts for use in preview.budget_uses_if_bought],
    }


def _named_persons(unit: Unit, mapping_set: MappingSet) -> dict[str, MemberKey]:
    """Find the active people whom assertions name, by userName or else by mail address; of several, none is meant."""
    wanted = {one.person: comparison_key(one.person) for one in mapping_set.assertions if isinstance(one, PersonHas)}
    if not wanted:
        return {}
    keys = any_(literal(list(wanted.values()), ARRAY(Text)))
    rows = unit.session.execute(
        select(Member.id, Member.user_name_key, Member.email_key).where(
            Member.org_id == unit.org_id, Member.active, (Member.user_name_key == keys) | (Member.email_key == keys)
        )
    ).all()
    found: dict[str, MemberKey] = {}
    for person, key in wanted.items():
        named = [row.id for row in rows if row.user_name_key == key] or [row.id for row in rows if row.email_key == key]
        if len(named) == 1:
            found[person] = named[0]
    return found


def _outlay(
    unit: Unit, at: datetime, moves: MovesPreview, uses: Sequence[BudgetUse], quote: SeatQuote | None = None
) -> Outlay | None:
    """Sum up what is bought; None where nothing is."""
    seats = Counter(quote.change.changes) if quote else Counter[str]()
    for use in uses:
        seats[use.tier] += use.seats
    if not seats:
        return None
    bill = quote.bill if quote else None
    return Outlay(
        total=sum((use.total for use in uses), bill.total if bill else 0),
        amount_due=sum((use.amount_due for use in uses), bill.amount_due if bill else 0),
        together=unit.billing.quote(SeatChange(dict(seats), at=at, placed=_placed(moves))),
    )


def _checked(unit: Unit, new: MappingSet, effect: Effect, ladder: TierLadder) -> tuple[Finding, ...]:
    """Compare what is asserted with an effect; what is found of money is for who may see prices (rule Z1)."""
    found = check(new.assertions, effect, ladder)
    return found if unit.actor.may(Permission.SEE_BILLING) else tuple(one.untold() for one in found)


def _cost(outlay: Outlay | None) -> Decimal:
    return outlay.cost if outlay else Decimal(0)


def _role_changes(unit: Unit, changes: Iterable[AccessChange]) -> tuple[RoleChange, ...]:
    """Compare the role people have with the one they get, as :func:`apply_access` gives it."""
    given = {MemberId(uuid.UUID(str(change.member_id))): change.role_after for change in changes}
    rows = unit.session.execute(
        select(Member.id, Member.role, Member.role_from_mapping, Member.provisional_until.is_not(None))
        .where(
            Member.org_id == unit.org_id,
            Member.id == any_(literal(list(given), ARRAY(Uuid))),
            Member.role.not_in([Role.OWNER, Role.PRIMARY_OWNER]),
        )
        .order_by(Member.id)
    )
    found: list[RoleChange] = []
    for member_id, role, from_mapping, is_provisional in rows:
        mapped = None if is_provisional else given[member_id]
        after = mapped or (str(Role.MEMBER) if from_mapping else role)
        if after != role:
            found.append(RoleChange(member_id, role, after))
    return tuple(found)


def _shortage(moves: MovesPreview) -> dict[str, int]:
    """Count the seats that would empty each line into which the change sends somebody."""
    joined = {change.after for change in moves.line_changes} | {move.waiting_for for move in moves.moves}
    return {tier: short for tier, short in moves.short_by.items() if tier is not None and tier in joined}


def _placed(moves: MovesPreview) -> dict[str, int]:
    """Count how many more or fewer people hold each tier afterwards."""
    return {count.tier: count.after - count.now for count in moves.seats if count.tier and count.after != count.now}
