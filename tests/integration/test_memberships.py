"""Memberships change by what a request says of them; the touched people are settled alike, few or many."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any

import pytest
from sqlalchemy import delete, select

from bridge.domain.identifiers import GroupId, MemberId, new_id
from bridge.errors import NoSeatAvailableError
from bridge.store.journal import verify
from bridge.store.models import Alert, AuditEntry, Decision, Delivery, Group, GroupMember, Member, ParkedMember
from bridge.store.pools import pools_snapshot
from bridge.store.unit import Unit
from bridge.usecases.assign_seats import assign_tier, read_placement
from bridge.usecases.edit_mappings import apply_mappings
from bridge.usecases.people import name_people
from bridge.usecases.preview_mappings import mapping_problems, preview_mappings
from bridge.usecases.reevaluate import settle_each, settle_together
from bridge.usecases.sync_groups import GroupDraft, change_members, create_group, remove_group, update_group
from tests.conftest import SettableClock
from tests.factories import Customer

GROUPS = ("Engineering", "Support", "Board", "Sales")
Settle = Callable[[Unit, Sequence[MemberId], Any], None]


class _UndoneError(Exception):
    """Rolls a unit back."""


def put_in_force(customer: Customer, document: dict[str, Any]) -> None:
    with customer.unit(customer.owner) as unit:
        problems = mapping_problems(unit, document)
        if problems:
            assert not problems[0].path, problems  # drawn twice in a row is no mistake
            return
        preview = preview_mappings(unit, document)
    with customer.unit(customer.owner) as unit:
        apply_mappings(unit, preview.id, acknowledged=True, roles_acknowledged=True)


def drawn_rules(random: Random, *, policies: Sequence[str]) -> dict[str, Any]:
    rules: list[dict[str, Any]] = []
    for group in random.sample(GROUPS, random.randint(1, 4)):
        rule: dict[str, Any] = {"group": group, "expected": True, "connection": "Okta"}
        if random.random() < 0.8:
            rule["tier"] = random.choice(["premium", "standard", "unassigned"])
        if random.random() < 0.3:
            rule["role"] = random.choice(["member", "admin"])
        if "tier" not in rule or random.random() < 0.3:
            rule["teams"] = random.sample(["Red", "Blue", "Green"], random.randint(1, 2))
        rules.append(rule)
    rules.append({"attribute": "title", "equals": "Clerk", "tier": "standard"})
    default = random.choice(["highest_available", "unassigned", "standard"])
    return {"schema": 1, "default": default, "on_exhausted": random.choice(policies), "rules": rules}


def drawn_world(customer: Customer, clock: SettableClock, random: Random, policies: Sequence[str]) -> list[MemberId]:
    """Let people come, and groups and rules change, one after the other; return everybody the directory pushed."""
    put_in_force(customer, drawn_rules(random, policies=policies))
    people: list[MemberId] = []
    for index in range(14):
        clock.at += timedelta(seconds=1)
        title = random.choice(["Clerk", "Cook", "Captain"])
        try:
            people.append(customer.push(f"p{index}@nordlys.test", title=title).id)
        except NoSeatAvailableError:
            continue
    with customer.unit(customer.directory) as unit:
        for name in GROUPS:
            create_group(unit, customer.connection_id, GroupDraft(name), ids(random.sample(people, len(people) // 3)))
    clock.at += timedelta(seconds=1)
    put_in_force(customer, drawn_rules(random, policies=policies))
    with customer.unit(customer.owner) as unit:
        assign_tier(unit, random.choice(people), "unassigned")
    clock.at += timedelta(seconds=1)
    return people


def ids(members: Sequence[MemberId]) -> list[str]:
    return [str(member_id) for member_id in members]


def moved_about(unit: Unit, customer: Customer, touched: Sequence[MemberId], seed: int) -> None:
    """Change the groups of people behind the back of the use cases."""
    random = Random(seed)  # noqa: S311 (draws cases, no secrets)
    unit.lock()
    groups = unit.session.scalars(select(Group).order_by(Group.display_name)).all()
    unit.session.execute(delete(GroupMember).where(GroupMember.member_id.in_(touched)))
    for member_id in touched:
        for group in random.sample(groups, random.randint(0, 2)):
            unit.session.add(
                GroupMember(org_id=customer.org_id, group_id=group.id, member_id=member_id, added_at=unit.at)
            )
    unit.session.flush()


def everything(unit: Unit, since: int) -> dict[str, list[Any]]:
    """Return all that settling writes, without the identifiers it draws."""
    session = unit.session
    session.flush()
    session.expire_all()
    members = session.scalars(select(Member).order_by(Member.id))
    entries = session.scalars(select(AuditEntry).where(AuditEntry.seq > since).order_by(AuditEntry.seq))
    decisions = session.scalars(select(Decision).where(Decision.seq > since).order_by(Decision.seq)).all()
    newest = {decision.id: decision.seq for decision in decisions}
    alerts = session.scalars(select(Alert).order_by(Alert.at, Alert.member_id, Alert.tier))
    return {
        "members": [
            (
                (one.id, one.tier, one.granted_by, one.pinned, one.waiting_for, one.waiting_since),
                (one.role, one.role_from_mapping, one.teams, one.modified_at, one.version),
                newest.get(one.decision_id, "old") if one.decision_id else None,
            )
            for one in members
        ],
        "audit": [(one.seq, one.action, one.subject_id, one.reason, one.body) for one in entries],
        "decisions": [
            (
                (one.seq, one.member_id, one.occasion, one.from_tier, one.to_tier, one.reason, one.granted_by),
                (one.waiting_for, one.groups, one.rule, one.losing_rules, one.mapping_version, one.pools, one.actor),
            )
            for one in decisions
        ],
        "alerts": sorted(str((one.code, one.tier, one.member_id, one.resolved_at, one.detail)) for one in alerts),
        "mails": [len(session.scalars(select(Delivery).where(Delivery.kind == "alert_mail")).all())],
        "pools": [pools_snapshot(unit), unit.state().seat_version, verify(unit)],
    }


def after(customer: Customer, touched: Sequence[MemberId], seed: int, settle: Settle) -> dict[str, list[Any]]:
    """Return what a way of settling does, and undo it."""
    found: dict[str, list[Any]] = {}
    with suppress(_UndoneError), customer.unit(customer.directory) as unit:
        since = unit.lock().audit_seq
        moved_about(unit, customer, touched, seed)
        settle(unit, touched, read_placement(unit))
        found = everything(unit, since)
        raise _UndoneError
    return found


@pytest.mark.parametrize("seed", range(12))
def test_settling_people_together_writes_what_settling_one_after_the_other_writes(
    customer: Customer, clock: SettableClock, seed: int
) -> None:
    """Rules A4, A5 and A8."""
    random = Random(seed)  # noqa: S311 (draws cases, no secrets)
    people = drawn_world(customer, clock, random, ("unassigned", "reject"))

    for number in (3, 8, len(people)):
        touched = random.sample(people, min(number, len(people)))
        one_by_one = after(customer, touched, seed, settle_each)
        together = after(customer, touched, seed, partial(settle_together, few=0))
        assert together == one_by_one


@pytest.mark.parametrize("seed", range(8))
def test_whoever_may_take_a_lower_seat_meanwhile_ends_with_the_same_seat_either_way(
    customer: Customer, clock: SettableClock, seed: int
) -> None:
    """A climb over two seats is one decision when many are promoted, and two when they are served one by one."""
    random = Random(100 + seed)  # noqa: S311 (draws cases, no secrets)
    people = drawn_world(customer, clock, random, ("next_lower",))

    one_by_one = after(customer, people, seed, settle_each)
    together = after(customer, people, seed, partial(settle_together, few=0))

    assert [each[0] for each in together["members"]] == [each[0] for each in one_by_one["members"]]
    assert together["alerts"] == one_by_one["alerts"]
    assert together["pools"][0] == one_by_one["pools"][0]
    assert together["pools"][2] is None


def group_of(customer: Customer, name: str, members: Sequence[MemberId] = ()) -> GroupId:
    with customer.unit(customer.directory) as unit:
        return create_group(unit, customer.connection_id, GroupDraft(name), ids(members)).id


def push_members(
    customer: Customer,
    group_id: GroupId,
    *,
    add: Sequence[str] = (),
    remove: Sequence[str] = (),
    replace: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Change a group's members; return what it did."""
    with customer.unit(customer.directory) as unit:
        group = unit.session.get_one(Group, (unit.org_id, group_id))
        before = (group.version, unit.lock().audit_seq)
        change = change_members(unit, group, add=add, remove=remove, replace=replace)
        unit.session.flush()
        inside = unit.session.scalars(
            select(GroupMember.member_id).where(GroupMember.group_id == group_id).order_by(GroupMember.member_id)
        ).all()
        parked = unit.session.scalars(select(ParkedMember.value).order_by(ParkedMember.value)).all()
        return {
            "added": list(change.added),
            "removed": list(change.removed),
            "unknown": list(change.unknown),
            "inside": list(inside),
            "parked": list(parked),
            "versions": group.version - before[0],
            "entries": unit.lock().audit_seq - before[1],
        }


@pytest.fixture
def people(customer: Customer) -> list[MemberId]:
    """Eight people, in order of their ids; the seven seats of the customer are theirs."""
    return sorted(customer.push(f"p{index}@nordlys.test").id for index in range(8))


def test_a_replacement_adds_who_is_missing_and_takes_out_who_is_not_named(
    customer: Customer, people: list[MemberId]
) -> None:
    group_id = group_of(customer, "Engineering", people[:4])

    done = push_members(customer, group_id, replace=[*ids(people[2:6]), "nobody"])

    assert done == {
        "added": people[4:6],
        "removed": people[:2],
        "unknown": ["nobody"],
        "inside": people[2:6],
        "parked": ["nobody"],
        "versions": 1,
        "entries": 1,
    }


def test_a_replacement_forgets_who_was_waited_for_and_is_not_named_any_more(
    customer: Customer, people: list[MemberId]
) -> None:
    group_id = group_of(customer, "Engineering", people[:1])
    push_members(customer, group_id, add=["nobody", "somebody"])

    done = push_members(customer, group_id, replace=[str(people[0]), "somebody"])

    assert (done["parked"], done["versions"], done["entries"]) == (["somebody"], 0, 0)


@pytest.mark.parametrize("values", [{"add": 8}, {"replace": 8}, {"remove": 0}])
def test_what_is_so_already_changes_nothing(customer: Customer, people: list[MemberId], values: dict[str, int]) -> None:
    """Rule A7."""
    group_id = group_of(customer, "Engineering", people)

    done = push_members(customer, group_id, **{verb: ids(people[:number]) for verb, number in values.items()})

    assert (done["added"], done["removed"], done["versions"], done["entries"]) == ([], [], 0, 0)
    assert done["inside"] == people


def test_who_is_removed_is_not_waited_for_either(customer: Customer, people: list[MemberId]) -> None:
    unknown = str(new_id())
    group_id = group_of(customer, "Engineering", people)
    push_members(customer, group_id, add=[unknown])

    done = push_members(customer, group_id, remove=[unknown, str(people[0])])

    assert (done["removed"], done["parked"]) == ([people[0]], [])


def test_a_group_that_no_rule_names_moves_nobody_and_one_that_a_rule_names_moves_its_people(
    customer: Customer, people: list[MemberId]
) -> None:
    """Rule A5; Engineering gets Premium, of which there are 2 seats."""
    rule = {"group": "  ENGINEERING ", "expected": True, "tier": "premium"}
    put_in_force(customer, {"schema": 1, "default": "unassigned", "rules": [rule]})
    other, named = group_of(customer, "Support"), group_of(customer, "Engineering")

    unmoved = push_members(customer, other, add=ids(people))
    moved = push_members(customer, named, add=ids(people))

    assert unmoved["entries"] == 1
    # One for the group; the two on Premium are the rule's now, five keep Standard and wait, one without a seat waits.
    assert moved["entries"] == 1 + 8
    with customer.unit() as unit:
        members = unit.session.scalars(select(Member).where(Member.source == "scim")).all()
        assert sorted((one.tier or "-", one.waiting_for or "-") for one in members) == [
            ("-", "premium"),
            *[("premium", "-")] * 2,
            *[("standard", "premium")] * 5,
        ]


def test_renaming_or_removing_a_group_moves_its_people_where_a_rule_names_it(
    customer: Customer, people: list[MemberId]
) -> None:
    """Rule A5."""
    put_in_force(
        customer,
        {"schema": 1, "default": "unassigned", "rules": [{"group": "Board", "expected": True, "tier": "premium"}]},
    )
    group_id = group_of(customer, "Engineering", people[:6])

    with customer.unit(customer.directory) as unit:
        update_group(unit, unit.session.get_one(Group, (unit.org_id, group_id)), GroupDraft("Board"))
    waiting = waiting_people_of(customer)
    with customer.unit(customer.directory) as unit:
        remove_group(unit, unit.session.get_one(Group, (unit.org_id, group_id)))

    assert waiting > 0
    assert waiting_people_of(customer) == 0


def waiting_people_of(customer: Customer) -> int:
    """Count who waits for Premium."""
    with customer.unit() as unit:
        return len(unit.session.scalars(select(Member.id).where(Member.waiting_for == "premium")).all())


def test_more_people_are_named_than_a_statement_has_parameters(customer: Customer, people: list[MemberId]) -> None:
    """A preview that moves everybody names everybody; a statement of the database has at most 65,535 parameters."""
    strangers = [MemberId(new_id()) for _ in range(66_000)]

    with customer.unit() as unit:
        named = name_people(unit, [*strangers, *people])

    assert sorted(named) == people
