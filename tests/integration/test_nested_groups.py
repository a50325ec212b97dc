"""Groups inside groups, through the use cases: who counts as a member of what, and what that does to seats."""

import random
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from bridge.domain.identifiers import ConnectionId, GroupId, MemberId, new_id
from bridge.errors import BridgeError, GroupCycleError, NestingTooDeepError
from bridge.store.directory import get_group, get_member, groups_of, members_of
from bridge.store.journal import verify
from bridge.store.models import AuditEntry, Connection, Decision, Group, GroupAncestor, GroupNesting, Member
from bridge.store.nesting import children_of, inherited_through, people_below
from bridge.store.pools import read_pools
from bridge.store.unit import Unit
from bridge.usecases.assign_seats import read_placement
from bridge.usecases.edit_mappings import apply_mappings
from bridge.usecases.explain import explain_member
from bridge.usecases.list_people import PeopleFilter, list_people
from bridge.usecases.nest_groups import MAX_LEVELS
from bridge.usecases.preview_mappings import preview_mappings
from bridge.usecases.provision_member import PersonDraft, update_member
from bridge.usecases.read_mappings import count_groups
from bridge.usecases.reevaluate import settle_together
from bridge.usecases.sync_groups import (
    GroupDraft,
    MembershipChange,
    change_members,
    create_group,
    remove_group,
    sync_claimed_groups,
    update_group,
)
from tests.factories import Customer, loosen_brake


def map_groups(customer: Customer, **tiers: str) -> None:
    """Put mappings in force: ``map_groups(customer, Engineering="premium")``."""
    rules = [{"group": group, "expected": True, "tier": tier} for group, tier in tiers.items()]
    with customer.unit(customer.owner) as unit:
        preview = preview_mappings(unit, {"schema": 1, "rules": rules, "default": "unassigned"})
        apply_mappings(unit, preview.id, acknowledged=True)


def push_group(customer: Customer, name: str, *members: object, external_id: str | None = None) -> GroupId:
    """Push a group whose members are people, or ids of groups."""
    values = [str(getattr(member, "id", member)) for member in members]
    with customer.unit(customer.directory) as unit:
        return create_group(unit, customer.connection_id, GroupDraft(name, external_id), values).id


def change(
    customer: Customer,
    group: GroupId,
    *,
    add: Iterable[object] = (),
    remove: Iterable[object] = (),
    replace: Iterable[object] | None = None,
) -> MembershipChange:
    with customer.unit(customer.directory) as unit:
        return change_members(
            unit,
            get_group(unit, group),
            add=[str(each) for each in add],
            remove=[str(each) for each in remove],
            replace=None if replace is None else [str(each) for each in replace],
        )


def tier_of(customer: Customer, member: Member) -> str | None:
    with customer.unit() as unit:
        return get_member(unit, member.id).tier


def group_names(customer: Customer, member: Member) -> list[str]:
    with customer.unit() as unit:
        return [group.display_name for group in groups_of(unit, member.id)]


def version_of(customer: Customer, group: GroupId) -> int:
    with customer.unit() as unit:
        return get_group(unit, group).version


def newest_entry(customer: Customer, group: GroupId) -> AuditEntry:
    with customer.unit() as unit:
        return unit.session.scalars(
            select(AuditEntry).where(AuditEntry.subject_id == str(group)).order_by(AuditEntry.seq.desc()).limit(1)
        ).one()


def test_a_rule_about_an_outer_group_reaches_people_three_levels_down(customer: Customer) -> None:
    map_groups(customer, Company="standard")
    member = customer.push("u@nordlys.test")
    team = push_group(customer, "Team", member)
    department = push_group(customer, "Department", team)
    before = tier_of(customer, member)

    push_group(customer, "Company", department)

    assert (before, tier_of(customer, member)) == (None, "standard")
    assert group_names(customer, member) == ["Company", "Department", "Team"]


def test_who_joins_an_inner_group_gets_the_seat_of_the_outer_one_and_loses_it_on_leaving(customer: Customer) -> None:
    map_groups(customer, Company="standard")
    member = customer.push("u@nordlys.test")
    team = push_group(customer, "Team")
    push_group(customer, "Company", team)

    change(customer, team, add=[member.id])
    inside = tier_of(customer, member)
    change(customer, team, remove=[member.id])

    assert (inside, tier_of(customer, member)) == ("standard", None)


def test_a_diamond_counts_each_group_once_and_holds_until_the_last_way_is_gone(customer: Customer) -> None:
    map_groups(customer, Top="premium")
    member = customer.push("u@nordlys.test")
    bottom = push_group(customer, "Bottom", member)
    left, right = push_group(customer, "Left", bottom), push_group(customer, "Right", bottom)
    top = push_group(customer, "Top", left, right)
    names = group_names(customer, member)

    change(customer, top, remove=[left])
    one_way = tier_of(customer, member)
    change(customer, right, remove=[bottom])

    assert names == ["Bottom", "Left", "Right", "Top"]
    assert (one_way, tier_of(customer, member)) == ("premium", None)


def test_direct_and_inherited_at_once_survives_the_loss_of_either(customer: Customer) -> None:
    map_groups(customer, Outer="standard")
    member = customer.push("u@nordlys.test")
    inner = push_group(customer, "Inner", member)
    outer = push_group(customer, "Outer", member, inner)

    change(customer, outer, remove=[member.id])
    inherited = tier_of(customer, member)
    change(customer, outer, add=[member.id], remove=[inner])

    assert (inherited, tier_of(customer, member)) == ("standard", "standard")


def test_renaming_an_outer_group_into_a_mapped_name_moves_the_people_inside(customer: Customer) -> None:
    map_groups(customer, Sales="standard")
    member = customer.push("u@nordlys.test")
    outer = push_group(customer, "Verkoop", push_group(customer, "Benelux", member))

    with customer.unit(customer.directory) as unit:
        update_group(unit, get_group(unit, outer), GroupDraft("SALES"))

    assert tier_of(customer, member) == "standard"


def test_removing_a_group_in_the_middle_cuts_what_was_above_it_from_what_was_below(customer: Customer) -> None:
    map_groups(customer, Company="standard")
    member = customer.push("u@nordlys.test")
    team = push_group(customer, "Team", member)
    department = push_group(customer, "Department", team)
    company = push_group(customer, "Company", department)

    with customer.unit(customer.directory) as unit:
        remove_group(unit, get_group(unit, department))

    assert (tier_of(customer, member), group_names(customer, member)) == (None, ["Team"])
    entry = newest_entry(customer, company)
    assert (entry.action, entry.reason) == ("group.members_changed", "group_removed")
    assert entry.body == {"added": [], "removed": [], "groups_removed": [str(department)]}
    assert version_of(customer, company) == 2


def test_nesting_moves_the_version_of_the_outer_group_only_and_the_audit_names_the_inner_one(
    customer: Customer,
) -> None:
    inner, outer = push_group(customer, "Inner"), push_group(customer, "Outer")

    added = change(customer, outer, add=[inner])

    assert added == MembershipChange(groups_added=(inner,))
    assert (version_of(customer, outer), version_of(customer, inner)) == (2, 1)
    assert newest_entry(customer, outer).body == {"added": [], "removed": [], "groups_added": [str(inner)]}


def test_a7_nesting_again_changes_nothing(customer: Customer) -> None:
    map_groups(customer, Outer="standard")
    inner = push_group(customer, "Inner", customer.push("u@nordlys.test"))
    outer = push_group(customer, "Outer", inner)
    with customer.unit() as unit:
        before = (unit.state().audit_seq, get_group(unit, outer).version)

    again = [
        change(customer, outer, add=[inner]),
        change(customer, outer, replace=[inner]),
        change(customer, outer, remove=[new_id()]),
    ]

    with customer.unit() as unit:
        assert (unit.state().audit_seq, get_group(unit, outer).version) == before
    assert [bool(each) for each in again] == [False, False, False]


def test_replacing_the_members_keeps_adds_and_takes_out_people_and_groups_alike(customer: Customer) -> None:
    stays, leaves = customer.push("a@nordlys.test"), customer.push("b@nordlys.test")
    kept, gone, new = push_group(customer, "Kept"), push_group(customer, "Gone"), push_group(customer, "New")
    outer = push_group(customer, "Outer", stays, leaves, kept, gone)

    changed = change(customer, outer, replace=[stays.id, kept, new])

    with customer.unit() as unit:
        assert set(members_of(unit, outer)) == {stays.id}
        assert set(children_of(unit, outer)) == {kept, new}
    assert changed == MembershipChange((), (leaves.id,), (), (new,), (gone,))


def test_only_people_below_the_edge_are_looked_at(customer: Customer) -> None:
    map_groups(customer, Company="premium")
    inside, beside = customer.push("a@nordlys.test"), customer.push("b@nordlys.test")
    team = push_group(customer, "Team", inside)
    company = push_group(customer, "Company", beside)
    with customer.unit() as unit:
        before = unit.state().audit_seq

    change(customer, company, add=[team])

    with customer.unit() as unit:
        decided = unit.session.scalars(select(Decision.member_id).where(Decision.seq > before)).all()
    assert decided == [inside.id]


def test_t10_a_role_and_teams_come_from_an_outer_group_too(customer: Customer) -> None:
    with customer.unit(customer.owner) as unit:
        rules = [{"group": "IT", "expected": True, "connection": "Okta", "role": "admin", "teams": ["operators"]}]
        preview = preview_mappings(unit, {"schema": 1, "rules": rules})
        apply_mappings(unit, preview.id, acknowledged=True)
    member = customer.push("u@nordlys.test")

    push_group(customer, "IT", push_group(customer, "Servers", member))

    with customer.unit() as unit:
        stored = get_member(unit, member.id)
    assert (stored.role, stored.teams) == ("admin", ["operators"])


def test_many_people_are_settled_like_few(make_customer: Callable[..., Customer]) -> None:
    customer = make_customer(premium=7, standard=0)
    loosen_brake(customer)
    map_groups(customer, Company="premium")
    people = [customer.push(f"u{number}@nordlys.test") for number in range(9)]
    team = push_group(customer, "Team", *people)

    company = push_group(customer, "Company", team)
    seated = sum(tier_of(customer, member) == "premium" for member in people)
    change(customer, company, remove=[team])

    # 9 people for 7 seats, of which the owner has none.
    assert seated == 7
    assert [tier_of(customer, member) for member in people] == [None] * 9


class TestRefusals:
    def test_a_group_cannot_be_inside_itself(self, customer: Customer) -> None:
        group = push_group(customer, "G")

        with pytest.raises(GroupCycleError) as refusal:
            change(customer, group, add=[group])

        assert refusal.value.code == "group_cycle"
        assert str(refusal.value) == f"group {group} cannot have itself as a member"

    @pytest.mark.parametrize("levels", [1, 2, 5])
    def test_a_circle_over_several_levels_is_refused_and_nothing_of_the_request_stays(
        self, customer: Customer, levels: int
    ) -> None:
        member = customer.push("u@nordlys.test")
        chain = [push_group(customer, "G0")]
        for level in range(levels):
            chain.append(push_group(customer, f"G{level + 1}", chain[-1]))
        innermost, outermost = chain[0], chain[-1]
        with customer.unit() as unit:
            before = unit.state().audit_seq

        with pytest.raises(GroupCycleError) as refusal:
            change(customer, innermost, add=[member.id, outermost])

        assert str(innermost) in str(refusal.value)
        assert str(outermost) in str(refusal.value)
        with customer.unit() as unit:
            assert (unit.state().audit_seq, members_of(unit, innermost)) == (before, [])

    def test_one_unit_that_would_close_the_circle_by_its_second_edge_leaves_neither(self, customer: Customer) -> None:
        a, b = push_group(customer, "A"), push_group(customer, "B")

        def close(unit: Unit) -> None:
            change_members(unit, get_group(unit, a), add=[str(b)])
            change_members(unit, get_group(unit, b), add=[str(a)])

        with pytest.raises(GroupCycleError), customer.unit(customer.directory) as unit:
            close(unit)

        with customer.unit() as unit:
            assert unit.session.scalars(select(GroupNesting)).all() == []
            assert unit.session.scalars(select(GroupAncestor)).all() == []

    def test_two_requests_at_once_cannot_close_a_circle_together(self, customer: Customer) -> None:
        a, b = push_group(customer, "A"), push_group(customer, "B")

        def nest(pair: tuple[GroupId, GroupId]) -> str:
            try:
                change(customer, pair[0], add=[pair[1]])
            except BridgeError as refusal:
                return refusal.code
            return "nested"

        with ThreadPoolExecutor(2) as pool:
            outcomes = sorted(pool.map(nest, [(a, b), (b, a)]))

        assert outcomes == ["group_cycle", "nested"]

    def test_more_levels_than_the_bound_are_refused_from_either_end(self, customer: Customer) -> None:
        innermost = outermost = push_group(customer, "G1")
        for level in range(2, MAX_LEVELS + 1):
            outermost = push_group(customer, f"G{level}", outermost)
        further_in, further_out = push_group(customer, "In"), push_group(customer, "Out")

        with pytest.raises(NestingTooDeepError) as refusal:
            change(customer, innermost, add=[further_in])
        with pytest.raises(NestingTooDeepError):
            change(customer, further_out, add=[outermost])

        assert refusal.value.code == "group_nesting_too_deep"
        assert str(refusal.value) == (
            f"group {further_in} cannot be a member of group {innermost}: there would be more than 32 levels of groups"
        )

    def test_the_bound_counts_the_longest_way_and_forgets_what_was_taken_out(self, customer: Customer) -> None:
        first = last = push_group(customer, "G1")
        chain = [first]
        for level in range(2, MAX_LEVELS + 1):
            last = push_group(customer, f"G{level}", last)
            chain.append(last)
        change(customer, last, add=[first])
        above = push_group(customer, "Above")

        change(customer, chain[-1], remove=[chain[-2]])
        change(customer, above, add=[last])

        with customer.unit() as unit:
            assert children_of(unit, above) == [last]


class TestParked:
    def test_a_group_named_by_its_external_id_before_it_comes_is_nested_when_it_does(self, customer: Customer) -> None:
        map_groups(customer, Outer="standard")
        member = customer.push("u@nordlys.test")
        outer = push_group(customer, "Outer", "gx-late")

        inner = push_group(customer, "Inner", member, external_id="gx-late")

        assert tier_of(customer, member) == "standard"
        assert version_of(customer, outer) == 2
        entry = newest_entry(customer, outer)
        assert (entry.reason, entry.body["groups_added"]) == ("arrived", [str(inner)])

    def test_a_parked_value_taken_out_again_is_not_nested_later(self, customer: Customer) -> None:
        outer = push_group(customer, "Outer", "gx-late")

        change(customer, outer, remove=["gx-late"])
        push_group(customer, "Inner", external_id="gx-late")

        with customer.unit() as unit:
            assert children_of(unit, outer) == []

    def test_t3_another_directorys_group_is_an_unknown_value(self, customer: Customer) -> None:
        other = Customer(customer.runtime, customer.org_id, customer.slug, customer.owner_id, ConnectionId(new_id()))
        with customer.unit() as unit:
            unit.session.add(
                Connection(org_id=unit.org_id, id=other.connection_id, kind="idp", name="Entra", created_at=unit.at)
            )
        theirs = push_group(other, "Theirs", other.push("t@nordlys.test"), external_id="gx-theirs")
        nobody = GroupId(new_id())

        foreign, unknown = (change(customer, push_group(customer, f"G{each}"), add=[each]) for each in (theirs, nobody))
        push_group(customer, "Waits", "gx-later")
        push_group(other, "Later", external_id="gx-later")

        assert (foreign.unknown, foreign.groups_added) == ((str(theirs),), ())
        assert (unknown.unknown, unknown.groups_added) == ((str(nobody),), ())
        with customer.unit() as unit:
            assert unit.session.scalars(select(GroupNesting)).all() == []

    def test_t3_another_organizations_group_is_an_unknown_value(
        self, customer: Customer, make_customer: Callable[..., Customer]
    ) -> None:
        theirs = push_group(make_customer("rival"), "Theirs")

        foreign = change(customer, push_group(customer, "G"), add=[theirs])

        assert (foreign.unknown, foreign.groups_added) == ((str(theirs),), ())


class TestReading:
    def test_a_preview_counts_inherited_groups_and_is_what_is_applied(self, customer: Customer) -> None:
        inside, outside = customer.push("a@nordlys.test"), customer.push("b@nordlys.test")
        left, right = push_group(customer, "Left", inside), push_group(customer, "Right", inside)
        push_group(customer, "Outer", left, right)
        rules = [{"group": "Outer", "expected": True, "tier": "standard"}]

        with customer.unit(customer.owner) as unit:
            preview = preview_mappings(unit, {"schema": 1, "rules": rules, "default": "unassigned"})
            shown = {move.member_id: move.to_tier for move in preview.moves.moves}
            apply_mappings(unit, preview.id, acknowledged=True)

        after = {member.id: tier_of(customer, member) for member in (inside, outside)}
        assert shown[inside.id] == after[inside.id] == "standard"
        assert shown.get(outside.id, outside.tier) == after[outside.id]

    def test_the_reason_says_through_which_inner_group_a_rule_matched(self, customer: Customer) -> None:
        map_groups(customer, Engineering="standard")
        member = customer.push("u@nordlys.test")
        backend = push_group(customer, "Backend", member)
        engineering = push_group(customer, "Engineering", push_group(customer, "Platform", backend))

        with customer.unit(customer.owner) as unit:
            why = explain_member(unit, member.id)

        assert why.because == "the group Engineering (through Backend) gives Standard"
        assert why.through[engineering] == ("Backend",)
        assert why.current is not None
        assert why.current.groups == ("Backend", "Engineering", "Platform")

    def test_the_list_of_groups_counts_everybody_once_and_the_list_of_people_has_who_is_inside(
        self, customer: Customer
    ) -> None:
        member = customer.push("u@nordlys.test")
        left, right = push_group(customer, "Left", member), push_group(customer, "Right", member)
        outer = push_group(customer, "Outer", left, right)

        with customer.unit(customer.owner) as unit:
            counts = {group.name: group.people for group in count_groups(unit)}
            found = list_people(unit, PeopleFilter(group=outer))

        assert counts == {"Left": 1, "Outer": 1, "Right": 1}
        assert [row.member.id for row in found.rows] == [member.id]

    def test_what_a_sign_in_claims_is_about_direct_groups_only(self, customer: Customer) -> None:
        member = customer.push("u@nordlys.test")
        inner = push_group(customer, "Inner", member)
        push_group(customer, "Outer", inner)

        with customer.unit(customer.directory) as unit:
            sync_claimed_groups(unit, customer.connection_id, get_member(unit, member.id), ["Outer"])

        with customer.unit() as unit:
            assert inherited_through(unit, member.id) == {}
            assert [group.display_name for group in groups_of(unit, member.id)] == ["Inner", "Outer"]


def closure(edges: Collection[tuple[GroupId, GroupId]], groups: Iterable[GroupId]) -> set[GroupId]:
    """Return groups and everything around them, by walking edges of (outer, inner)."""
    reached, queue = set(groups), list(groups)
    while queue:
        inner = queue.pop()
        for outer in (parent for parent, child in edges if child == inner):
            if outer not in reached:
                reached.add(outer)
                queue.append(outer)
    return reached


def longest(edges: Collection[tuple[GroupId, GroupId]], inner: GroupId, outer: GroupId) -> int:
    """Return the length of the longest way from a group up to another."""
    lengths = [
        0 if parent == outer else longest(edges, parent, outer)
        for parent, child in edges
        if child == inner and (parent == outer or outer in closure(edges, [parent]))
    ]
    return 1 + max(lengths)


class Company:
    """A directory with groups, and beside it what was asked for, as plain sets."""

    def __init__(self, customer: Customer, seed: int) -> None:
        self.customer, self.dice = customer, random.Random(seed)  # noqa: S311 (a test's choices)
        self.people = [customer.push(f"u{number}@nordlys.test").id for number in range(8)]
        self.groups = [push_group(customer, f"G{number}") for number in range(8)]
        self.tiers = {self.groups[0]: "premium", self.groups[3]: "standard", self.groups[5]: "premium"}
        self.edges: set[tuple[GroupId, GroupId]] = set()
        self.direct: set[tuple[GroupId, MemberId]] = set()

    def step(self) -> None:
        """Change something."""
        outer, inner = self.dice.choice(self.groups), self.dice.choice(self.groups)
        member = self.dice.choice(self.people)
        match self.dice.choice(["nest", "nest", "nest", "unnest", "join", "join", "leave", "replace", "remove"]):
            case "nest":
                self.nest(outer, inner, member)
            case "unnest":
                change(self.customer, outer, remove=[inner])
                self.edges.discard((outer, inner))
            case "join":
                change(self.customer, outer, add=[member])
                self.direct.add((outer, member))
            case "leave":
                change(self.customer, outer, remove=[member])
                self.direct.discard((outer, member))
            case "replace":
                self.replace(outer, member)
            case _ if len(self.groups) > 5:
                self.remove(outer)

    def nest(self, outer: GroupId, inner: GroupId, member: MemberId) -> None:
        """Put a group into another one; what would close a circle must be refused as a whole."""
        if inner in closure(self.edges, [outer]):
            with pytest.raises(GroupCycleError):
                change(self.customer, outer, add=[inner, member])
        else:
            change(self.customer, outer, add=[inner])
            self.edges.add((outer, inner))

    def replace(self, outer: GroupId, member: MemberId) -> None:
        """Give a group one person and a few groups."""
        around = closure(self.edges, [outer])
        wanted = [each for each in self.groups if each not in around and self.dice.random() < 0.3]
        change(self.customer, outer, replace=[*wanted, member])
        self.edges = {edge for edge in self.edges if edge[0] != outer} | {(outer, each) for each in wanted}
        self.direct = {pair for pair in self.direct if pair[0] != outer} | {(outer, member)}

    def remove(self, group: GroupId) -> None:
        """Remove a group."""
        with self.customer.unit(self.customer.directory) as unit:
            remove_group(unit, get_group(unit, group))
        self.groups.remove(group)
        self.edges = {edge for edge in self.edges if group not in edge}
        self.direct = {pair for pair in self.direct if pair[0] != group}

    def reached(self, member: MemberId) -> set[GroupId]:
        """Return all groups of a person, by a plain walk."""
        return closure(self.edges, [group for group, who in self.direct if who == member])

    def entitled(self, member: MemberId) -> str | None:
        """Return the best tier that the rules give somebody; "premium" comes before "standard"."""
        return min((self.tiers[group] for group in self.reached(member) if group in self.tiers), default=None)


def seats(customer: Customer) -> tuple[dict[MemberId, str | None], dict[str, int]]:
    """Return everybody's tier, and how many seats of each are used."""
    with customer.unit() as unit:
        tiers = unit.session.execute(select(Member.id, Member.tier)).all()
        return {row[0]: row[1] for row in tiers}, {pool.tier: pool.used for pool in read_pools(unit)}


@pytest.fixture(params=range(6))
def company(request: pytest.FixtureRequest, make_customer: Callable[..., Customer]) -> Company:
    """A company after a random history."""
    customer = make_customer(premium=50, standard=50)
    loosen_brake(customer)
    map_groups(customer, G0="premium", G3="standard", G5="premium")
    company = Company(customer, request.param)
    for _ in range(40):
        company.step()
    return company


def test_after_any_history_everybody_is_in_the_groups_of_a_plain_walk(company: Company) -> None:
    expected = {member: company.reached(member) for member in company.people}
    above = {(inner, outer) for inner in company.groups for outer in closure(company.edges, [inner]) - {inner}}

    with company.customer.unit() as unit:
        groups = {member: {group.id for group in groups_of(unit, member)} for member in company.people}
        below = {group: people_below(unit, [group]) for group in company.groups}
        kept = {(row.group_id, row.ancestor_id): row.distance for row in unit.session.scalars(select(GroupAncestor))}
        broken = verify(unit)

    assert groups == expected
    assert below == {group: {who for who in company.people if group in expected[who]} for group in company.groups}
    assert kept == {pair: longest(company.edges, *pair) for pair in above}
    assert broken is None


def test_after_any_history_the_seats_are_those_of_a_fresh_look(company: Company) -> None:
    before, used = seats(company.customer)

    with company.customer.unit() as unit:
        settle_together(unit, company.people, read_placement(unit))

    held = [tier for tier in before.values() if tier]
    assert seats(company.customer) == (before, used)
    assert {member: before[member] for member in company.people} == {m: company.entitled(m) for m in company.people}
    assert used == {tier: held.count(tier) for tier in ("premium", "standard")}


def test_taking_a_person_over_keeps_what_is_inherited(customer: Customer) -> None:
    map_groups(customer, Outer="standard")
    member = customer.push("u@nordlys.test")
    push_group(customer, "Outer", push_group(customer, "Inner", member))

    with customer.unit(customer.directory) as unit:
        update_member(unit, get_member(unit, member.id), PersonDraft("u@nordlys.test", active=False))
        update_member(unit, get_member(unit, member.id), PersonDraft("u@nordlys.test", active=True))

    assert tier_of(customer, member) == "standard"
    with customer.unit() as unit:
        assert len(unit.session.scalars(select(Group)).all()) == 2
