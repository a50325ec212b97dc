"""Properties of the brake: never too much at once, and a decision leaves what it says."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from random import Random

import pytest
from sqlalchemy import select

from bridge.domain.identifiers import GroupId, MemberId
from bridge.store.directory import get_group
from bridge.store.journal import verify
from bridge.store.models import Decision, Group, Member
from bridge.usecases.decide_holds import drop_hold, release_hold
from bridge.usecases.provision_member import PersonDraft, remove_member, update_member
from bridge.usecases.read_holds import open_holds
from bridge.usecases.reconcile import reconcile_pools
from bridge.usecases.sync_groups import GroupDraft, change_members, create_group
from tests.conftest import SettableClock
from tests.factories import Customer, loosen_brake, set_brake
from tests.integration.test_memberships import put_in_force

RULES = {
    "schema": 1,
    "default": "unassigned",
    "rules": [
        {"group": "Board", "expected": True, "tier": "premium"},
        {"group": "Staff", "expected": True, "tier": "standard"},
    ],
}
PEOPLE, LIMIT, WINDOW = 14, 3, 5
Step = tuple[str, float, tuple[int, ...]]


def drawn_steps(random: Random) -> list[Step]:
    """Draw pushes of people who leave: turned off, deleted, or taken out of groups, over some minutes."""
    steps: list[Step] = []
    gone: set[int] = set()
    for _ in range(random.randint(6, 14)):
        kind = random.choice(["off", "off", "delete", "leave"])
        left = sorted(set(range(PEOPLE)) - gone)
        if not left:
            break
        chosen = tuple(random.sample(left, random.randint(1, min(5, len(left))) if kind == "leave" else 1))
        if kind != "leave":
            gone |= set(chosen)
        steps.append((kind, random.choice([0.2, 1, 2, 4]), chosen))
    return steps


class Company:
    """An organization whose directory plays steps."""

    def __init__(self, customer: Customer, clock: SettableClock) -> None:
        self.customer, self.clock = customer, clock
        put_in_force(customer, RULES)
        self.people = [customer.push(f"p{index}@nordlys.test").id for index in range(PEOPLE)]
        self.groups = [self._group("Board", self.people[:3]), self._group("Staff", self.people[3:])]

    def _group(self, name: str, members: Sequence[MemberId]) -> GroupId:
        with self.customer.unit(self.customer.directory) as unit:
            return create_group(
                unit, self.customer.connection_id, GroupDraft(name), [str(member) for member in members]
            ).id

    def play(self, step: Step) -> None:
        kind, minutes, chosen = step
        self.clock.at += timedelta(minutes=minutes)
        with self.customer.unit(self.customer.directory) as unit:
            for index in chosen:
                member = unit.session.get(Member, (unit.org_id, self.people[index]))
                if member is None or member.connection_id != self.customer.connection_id:
                    continue
                if kind == "off":
                    update_member(unit, member, PersonDraft(member.user_name, active=False))
                elif kind == "delete":
                    remove_member(unit, member)
            if kind == "leave":
                who = [str(self.people[index]) for index in chosen]
                for group_id in self.groups:
                    change_members(unit, get_group(unit, group_id), remove=who)

    def state(self) -> dict[MemberId, tuple[bool, str | None]]:
        """Return everybody's access and seat; who has been removed has neither."""
        with self.customer.unit() as unit:
            assert reconcile_pools(unit) == []
            assert verify(unit) is None
            rows = unit.session.execute(select(Member.id, Member.active, Member.tier))
            found = {row.id: (row.active, row.tier) for row in rows}
        return {member: found.get(member, (False, None)) for member in self.people}

    def wire(self) -> Counter[str]:
        """Return how the directory reads everybody."""
        with self.customer.unit() as unit:
            mine = Member.connection_id == self.customer.connection_id
            return Counter(str(member.is_on) for member in unit.session.scalars(select(Member).where(mine)))

    def losses(self) -> list[datetime]:
        """Return when somebody lost a seat."""
        with self.customer.unit() as unit:
            lost = select(Decision.at).where(Decision.from_tier.is_not(None), Decision.to_tier.is_(None))
            return list(unit.session.scalars(lost))

    def decide(self, verb: Callable[..., object]) -> None:
        with self.customer.unit(self.customer.owner) as unit:
            for hold in open_holds(unit):
                verb(unit, hold.id, revision=hold.revision, reason="Looked at")


@pytest.fixture
def braked(make_customer: Callable[..., Customer], clock: SettableClock) -> Company:
    company = Company(make_customer(slug="braked", premium=5, standard=15), clock)
    set_brake(company.customer, minimum=LIMIT, share=1, window_minutes=WINDOW)
    return company


@pytest.fixture
def free(make_customer: Callable[..., Customer], clock: SettableClock) -> Company:
    company = Company(make_customer(slug="free", premium=5, standard=15), clock)
    loosen_brake(company.customer)
    return company


@pytest.mark.parametrize("seed", range(6))
def test_no_window_has_more_losses_than_allowed_and_a_release_ends_where_no_brake_would_have(
    braked: Company, free: Company, seed: int
) -> None:
    steps = drawn_steps(Random(seed))  # noqa: S311 (draws cases, no secrets)

    for step in steps:
        braked.play(step)
    losses = braked.losses()
    started = braked.clock.at
    braked.decide(release_hold)
    braked.clock.at = started - timedelta(minutes=sum(step[1] for step in steps))
    for step in steps:
        free.play(step)

    for end in losses:
        within = [at for at in losses if end - timedelta(minutes=WINDOW) <= at <= end]
        assert len(within) <= LIMIT
    names = zip(braked.people, free.people, strict=True)
    mine, theirs = braked.state(), free.state()
    assert [mine[one] for one, _ in names] == [theirs[other] for other in free.people]
    assert braked.wire() == free.wire()


@pytest.mark.parametrize("seed", range(6))
def test_a_drop_leaves_everybody_as_they_were(braked: Company, seed: int) -> None:
    for step in drawn_steps(Random(seed)):  # noqa: S311
        braked.play(step)
    before, wire = braked.state(), braked.wire()

    braked.decide(drop_hold)

    assert braked.state() == before
    assert braked.wire() == wire
    with braked.customer.unit() as unit:
        assert len(unit.session.scalars(select(Group)).all()) == 2
