"""Who gets which seat when a directory pushes people and groups: the rules through the use cases, on PostgreSQL."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select

from bridge.domain.actors import Actor, ActorKind
from bridge.domain.identifiers import GroupId, MemberId
from bridge.domain.roles import Role
from bridge.errors import (
    AdoptionRefusedError,
    ForbiddenError,
    InvalidInputError,
    NoSeatAvailableError,
    UniquenessError,
)
from bridge.store.directory import get_group, get_member, members_of
from bridge.store.journal import verify
from bridge.store.models import Alert, Decision, Delivery, Member
from bridge.store.pools import read_pools
from bridge.usecases.assign_seats import assign_tier, promote_waiting
from bridge.usecases.connections import claim_domain, create_connection, verify_domain
from bridge.usecases.edit_mappings import apply_mappings
from bridge.usecases.manage_access import deactivate_member, reactivate_member
from bridge.usecases.me import read_own_page
from bridge.usecases.people_by_hand import confirm_seat, preview_seat
from bridge.usecases.preview_mappings import preview_mappings
from bridge.usecases.provision_member import (
    PersonDraft,
    Source,
    add_member,
    provision_member,
    remove_member,
    update_member,
)
from bridge.usecases.sign_in import admit
from bridge.usecases.sync_groups import GroupDraft, change_members, create_group, remove_group, update_group
from tests.conftest import SettableClock
from tests.factories import Customer
from tests.sign_ins import asserted, trust

pytestmark = pytest.mark.every_postgres


def map_groups(customer: Customer, **tiers: str) -> None:
    """Put mappings in force: ``map_groups(customer, Engineering="premium")``."""
    rules = [{"group": group, "expected": True, "tier": tier} for group, tier in tiers.items()]
    with customer.unit(customer.owner) as unit:
        preview = preview_mappings(unit, {"schema": 1, "rules": rules})
        apply_mappings(unit, preview.id, acknowledged=True)


def push_group(customer: Customer, name: str, *members: Member) -> GroupId:
    with customer.unit(customer.directory) as unit:
        return create_group(unit, customer.connection_id, GroupDraft(name), [str(m.id) for m in members]).id


def tier_of(customer: Customer, member: Member) -> str | None:
    with customer.unit() as unit:
        return get_member(unit, member.id).tier


def used(customer: Customer) -> dict[str, int]:
    with customer.unit() as unit:
        return {pool.tier: pool.used for pool in read_pools(unit)}


def newest_decision(customer: Customer, member_id: MemberId) -> Decision:
    with customer.unit() as unit:
        return unit.session.scalars(
            select(Decision).where(Decision.member_id == member_id).order_by(Decision.seq.desc()).limit(1)
        ).one()


class TestArrival:
    def test_a1_gives_the_highest_tier_that_has_a_free_seat(self, make_customer: Callable[..., Customer]) -> None:
        customer = make_customer(premium=1, standard=1)

        tiers = [customer.push(f"u{i}@nordlys.test").tier for i in range(3)]

        assert tiers == ["premium", "standard", None]

    def test_g2_premium_is_above_standard_and_unassigned_takes_no_seat(
        self, make_customer: Callable[..., Customer]
    ) -> None:
        customer = make_customer(premium=1, standard=1)

        first, second, third = (customer.push(f"u{i}@nordlys.test") for i in range(3))

        assert [member.tier for member in (first, second, third)] == ["premium", "standard", None]
        assert used(customer) == {"premium": 1, "standard": 1}
        assert third.active

    def test_a3_raises_an_alert_and_keeps_the_person_when_nothing_is_free(
        self, make_customer: Callable[..., Customer]
    ) -> None:
        customer = make_customer(premium=0, standard=0)

        member = customer.push("u@nordlys.test")

        with customer.unit() as unit:
            alert = unit.session.scalars(select(Alert)).one()
        assert (member.active, member.tier, member.waiting_for) == (True, None, "any")
        assert (alert.code, alert.tier, alert.member_id) == ("seats_exhausted", "any", member.id)

    def test_s2_a_freed_seat_goes_to_who_has_waited_longest(
        self, make_customer: Callable[..., Customer], clock: SettableClock
    ) -> None:
        customer = make_customer(premium=1, standard=0)
        holder, first = customer.push("u0@nordlys.test"), customer.push("u1@nordlys.test")
        clock.at += timedelta(seconds=1)
        second = customer.push("u2@nordlys.test")

        with customer.unit(customer.directory) as unit:
            remove_member(unit, get_member(unit, holder.id))

        assert [tier_of(customer, member) for member in (first, second)] == ["premium", None]
        with customer.unit() as unit:
            assert unit.session.scalars(select(Alert.member_id).where(Alert.resolved_at.is_(None))).all() == [second.id]

    def test_the_decision_says_what_was_seen_and_why(self, customer: Customer) -> None:
        member = customer.push("u@nordlys.test")

        decision = newest_decision(customer, member.id)

        assert (decision.reason, decision.to_tier, decision.groups) == ("highest_available", "premium", [])
        assert decision.pools == {"premium": {"total": 2, "used": 1}, "standard": {"total": 5, "used": 0}}
        assert decision.request_id


class TestMappings:
    def test_a2_a_mapped_group_names_the_tier(self, customer: Customer) -> None:
        map_groups(customer, Sales="standard")
        member = customer.push("u@nordlys.test")

        push_group(customer, "Sales", member)

        assert tier_of(customer, member) == "standard"
        assert used(customer) == {"premium": 0, "standard": 1}

    def test_a2_of_several_mapped_groups_the_highest_tier_wins(self, customer: Customer) -> None:
        map_groups(customer, Sales="standard", Engineering="premium")
        member = customer.push("u@nordlys.test")

        push_group(customer, "Sales", member)
        push_group(customer, "Engineering", member)

        assert tier_of(customer, member) == "premium"

    def test_a4_a_full_tier_leaves_the_present_seat_and_the_person_in_line(
        self, make_customer: Callable[..., Customer]
    ) -> None:
        customer = make_customer(premium=1, standard=2)
        map_groups(customer, Engineering="premium")
        holder, other = customer.push("a@nordlys.test"), customer.push("b@nordlys.test")

        push_group(customer, "Engineering", holder, other)

        with customer.unit() as unit:
            waiting = get_member(unit, other.id)
        assert (waiting.tier, waiting.waiting_for) == ("standard", "premium")

    def test_a_person_who_moves_up_leaves_the_lower_seat_to_the_next_in_line(
        self, make_customer: Callable[..., Customer], clock: SettableClock
    ) -> None:
        customer = make_customer(premium=1, standard=1)
        map_groups(customer, Engineering="premium")
        holder, climber = customer.push("u0@nordlys.test"), customer.push("u1@nordlys.test")
        push_group(customer, "Engineering", holder, climber)
        clock.at += timedelta(seconds=1)
        newcomer = customer.push("u2@nordlys.test")

        with customer.unit(customer.directory) as unit:
            promote_waiting(unit, [deactivate_member(unit, get_member(unit, holder.id), reason="directory")])

        assert [tier_of(customer, m) for m in (holder, climber, newcomer)] == [None, "premium", "standard"]

    def test_a5_a_seat_that_no_mapping_grants_any_more_is_withdrawn(self, customer: Customer) -> None:
        map_groups(customer, Engineering="premium")
        member = customer.push("u@nordlys.test")
        group = push_group(customer, "Engineering", member)

        with customer.unit(customer.directory) as unit:
            change_members(unit, get_group(unit, group), remove=[str(member.id)])

        assert tier_of(customer, member) is None
        assert newest_decision(customer, member.id).reason == "mapping_withdrawn"

    def test_case_c11_leaving_one_of_two_mapped_groups_leaves_the_highest_of_the_rest(self, customer: Customer) -> None:
        map_groups(customer, Engineering="premium", Sales="standard")
        member = customer.push("u@nordlys.test")
        engineering = push_group(customer, "Engineering", member)
        push_group(customer, "Sales", member)

        with customer.unit(customer.directory) as unit:
            remove_group(unit, get_group(unit, engineering))

        assert tier_of(customer, member) == "standard"

    def test_renaming_a_group_into_a_mapped_name_moves_its_members(self, customer: Customer) -> None:
        map_groups(customer, Sales="standard")
        member = customer.push("u@nordlys.test")
        group = push_group(customer, "Verkoop", member)

        with customer.unit(customer.directory) as unit:
            update_group(unit, get_group(unit, group), GroupDraft("SALES"))

        assert tier_of(customer, member) == "standard"

    def test_a7_repeating_a_push_changes_nothing(self, customer: Customer) -> None:
        map_groups(customer, Sales="standard")
        member = customer.push("u@nordlys.test")
        group = push_group(customer, "Sales", member)
        with customer.unit() as unit:
            before = (unit.state().audit_seq, get_group(unit, group).version)

        with customer.unit(customer.directory) as unit:
            change = change_members(unit, get_group(unit, group), add=[str(member.id)])
            changed = update_member(unit, get_member(unit, member.id), PersonDraft("u@nordlys.test"))

        with customer.unit() as unit:
            after = (unit.state().audit_seq, get_group(unit, group).version)
        assert (change.added, changed, after) == ((), False, before)

    def test_t10_a_mapping_gives_the_admin_role_and_takes_it_again_but_never_an_owners(
        self, customer: Customer
    ) -> None:
        with customer.unit(customer.owner) as unit:
            preview = preview_mappings(
                unit, {"schema": 1, "rules": [{"group": "IT", "expected": True, "connection": "Okta", "role": "admin"}]}
            )
            apply_mappings(unit, preview.id, acknowledged=True)
        member = customer.push("u@nordlys.test")
        group = push_group(customer, "IT", member)
        with customer.unit() as unit:
            given = get_member(unit, member.id).role

        with customer.unit(customer.directory) as unit:
            change_members(unit, get_group(unit, group), replace=[])

        with customer.unit() as unit:
            assert (given, get_member(unit, member.id).role) == ("admin", "member")
        with pytest.raises(InvalidInputError), customer.unit(customer.owner) as unit:
            preview_mappings(unit, {"schema": 1, "rules": [{"group": "IT", "expected": True, "role": "owner"}]})


class TestByHand:
    def test_a6_a_manual_choice_outlasts_group_changes_until_reactivation(self, customer: Customer) -> None:
        map_groups(customer, Guests="unassigned")
        member = customer.push("u@nordlys.test")
        with customer.unit(customer.owner) as unit:
            assign_tier(unit, member.id, "standard")

        push_group(customer, "Guests", member)
        kept = tier_of(customer, member)
        with customer.unit(customer.owner) as unit:
            deactivate_member(unit, get_member(unit, member.id), reason="console")
            reactivate_member(unit, get_member(unit, member.id), reason="console")

        assert (kept, tier_of(customer, member)) == ("standard", None)

    def test_s1_s3_who_goes_from_premium_to_standard_holds_standard_alone_at_once(self, customer: Customer) -> None:
        member = customer.push("u@nordlys.test")
        before = tier_of(customer, member), used(customer)

        with customer.unit(customer.owner) as unit:
            assign_tier(unit, member.id, "standard")
            seen = read_own_page(unit, member.id).explanation.sentence

        assert before == ("premium", {"premium": 1, "standard": 0})
        assert tier_of(customer, member) == "standard"
        assert "Premium" not in seen
        assert used(customer) == {"premium": 0, "standard": 1}

    def test_s2_a_seat_freed_by_whatever_means_is_given_again_in_the_same_instant(
        self, make_customer: Callable[..., Customer], clock: SettableClock
    ) -> None:
        customer = make_customer(premium=1, standard=0)
        moved, off = customer.push("moved@nordlys.test"), customer.push("off@nordlys.test")
        clock.at += timedelta(seconds=1)
        removed = customer.push("removed@nordlys.test")

        with customer.unit(customer.owner) as unit:
            assign_tier(unit, moved.id, "unassigned")
        after_move = tier_of(customer, off)
        with customer.unit(customer.owner) as unit:
            promote_waiting(unit, [deactivate_member(unit, get_member(unit, off.id), reason="console")])
        after_off = tier_of(customer, removed)
        with customer.unit(customer.owner) as unit:
            remove_member(unit, get_member(unit, removed.id))
        newcomer = customer.push("new@nordlys.test")

        assert (after_move, after_off, newcomer.tier) == ("premium", "premium", "premium")
        assert used(customer) == {"premium": 1, "standard": 0}

    def test_s4_two_people_swap_through_unassigned(self, make_customer: Callable[..., Customer]) -> None:
        customer = make_customer(premium=1, standard=1)
        a, b = customer.push("a@nordlys.test"), customer.push("b@nordlys.test")

        with customer.unit(customer.owner) as unit:
            assign_tier(unit, a.id, "unassigned")
            assign_tier(unit, b.id, "premium")
            assign_tier(unit, a.id, "standard")

        assert (tier_of(customer, a), tier_of(customer, b)) == ("standard", "premium")
        assert used(customer) == {"premium": 1, "standard": 1}

    def test_s5_a_tier_without_a_free_seat_is_refused(self, make_customer: Callable[..., Customer]) -> None:
        customer = make_customer(premium=1, standard=1)
        customer.push("a@nordlys.test")
        b = customer.push("b@nordlys.test")

        with pytest.raises(NoSeatAvailableError), customer.unit(customer.owner) as unit:
            assign_tier(unit, b.id, "premium")

    def test_z2_a_member_without_a_role_assigns_nothing(self, customer: Customer) -> None:
        member = customer.push("a@nordlys.test")
        actor = Actor(ActorKind.MEMBER, member.id, Role.MEMBER)

        with pytest.raises(ForbiddenError), customer.unit(actor) as unit:
            assign_tier(unit, member.id, "standard")

    def test_z1_an_admin_assigns_but_does_not_buy(self, make_customer: Callable[..., Customer]) -> None:
        customer = make_customer(premium=0, standard=1)
        member = customer.push("a@nordlys.test")
        admin = Actor(ActorKind.MEMBER, member.id, Role.ADMIN)

        with pytest.raises(ForbiddenError), customer.unit(admin) as unit:
            assign_tier(unit, member.id, "premium", buy_if_needed=True)

    def test_adding_by_hand_to_a_full_tier_adds_nobody(self, make_customer: Callable[..., Customer]) -> None:
        customer = make_customer(premium=0, standard=0)

        with pytest.raises(NoSeatAvailableError), customer.unit(customer.owner) as unit:
            add_member(unit, PersonDraft("new@nordlys.test"), tier="standard")

        with customer.unit() as unit:
            assert unit.session.scalars(select(Member.user_name)).all() == ["owner@nordlys.test"]


class TestAccess:
    def test_k1_deactivating_frees_the_seat_and_keeps_the_person(self, customer: Customer) -> None:
        member = customer.push("u@nordlys.test")

        with customer.unit(customer.directory) as unit:
            update_member(unit, get_member(unit, member.id), PersonDraft("u@nordlys.test", active=False))

        with customer.unit() as unit:
            kept = get_member(unit, member.id)
        assert (kept.active, kept.tier, used(customer)["premium"]) == (False, None, 0)

    def test_k2_reactivating_places_the_person_as_if_newly_added(self, make_customer: Callable[..., Customer]) -> None:
        customer = make_customer(premium=1, standard=1)
        member = customer.push("u@nordlys.test")
        with customer.unit(customer.directory) as unit:
            update_member(unit, get_member(unit, member.id), PersonDraft("u@nordlys.test", active=False))
        customer.push("quicker@nordlys.test")

        with customer.unit(customer.directory) as unit:
            update_member(unit, get_member(unit, member.id), PersonDraft("u@nordlys.test", active=True))

        assert tier_of(customer, member) == "standard"

    def test_case_c6_freeing_twice_gives_one_seat_back(self, customer: Customer) -> None:
        member, _ = customer.push("u@nordlys.test"), customer.push("v@nordlys.test")

        for _ in range(2):
            with customer.unit(customer.directory) as unit:
                deactivate_member(unit, get_member(unit, member.id), reason="directory")

        assert used(customer) == {"premium": 1, "standard": 0}

    def test_t11_a_directory_neither_renames_nor_removes_nor_turns_off_an_owner(self, customer: Customer) -> None:
        with customer.unit() as unit:
            claim_domain(unit, "nordlys.test")
            verify_domain(unit, "nordlys.test")
        owner = customer.push("owner@nordlys.test", displayName="Olga")

        with customer.unit(customer.directory) as unit:
            update_member(unit, get_member(unit, owner.id), PersonDraft("other@nordlys.test", active=False))
            removed = remove_member(unit, get_member(unit, owner.id))

        with customer.unit() as unit:
            kept = get_member(unit, customer.owner_id)
            alerts = unit.session.scalars(select(Alert.code)).all()
        assert (owner.id, removed) == (customer.owner_id, False)
        assert (kept.user_name, kept.active, kept.role) == ("owner@nordlys.test", True, "primary_owner")
        assert alerts == ["owner_protected"]


class TestIdentity:
    def test_case_r1_a_repeated_push_is_refused_and_names_the_same_person(self, customer: Customer) -> None:
        first = customer.push("Ünal@nordlys.test")

        with pytest.raises(UniquenessError) as refusal:
            customer.push("ÜNAL@nordlys.test")

        assert refusal.value.taken_by == str(first.id)
        assert sum(used(customer).values()) == 1

    def test_an_external_id_names_one_person_of_a_directory(self, customer: Customer) -> None:
        customer.push("a@nordlys.test", external_id="00u1")

        with pytest.raises(UniquenessError, match="externalId"):
            customer.push("b@nordlys.test", external_id="00u1")

    def test_a_push_adopts_who_signed_in_before_with_the_same_id_and_seat(self, customer: Customer) -> None:
        trust(customer)
        with customer.unit(Actor(ActorKind.SIGN_IN, customer.connection_id)) as unit:
            early = admit(unit, asserted(customer, "u@nordlys.test", None)).member

        pushed = customer.push("u@nordlys.test", external_id="00u1")

        assert (pushed.id, pushed.tier, pushed.source) == (early.id, early.tier, "scim")
        assert sum(used(customer).values()) == 1

    def test_t12_a_person_added_by_hand_is_adopted_inside_a_verified_domain_only(self, customer: Customer) -> None:
        with customer.unit(customer.owner) as unit:
            by_hand = add_member(unit, PersonDraft("u@nordlys.test"), tier="standard")
        with pytest.raises(AdoptionRefusedError):
            customer.push("u@nordlys.test")
        with customer.unit() as unit:
            alerts = unit.session.scalars(select(Alert.code)).all()
            claim_domain(unit, "nordlys.test")
            verify_domain(unit, "nordlys.test")

        pushed = customer.push("u@nordlys.test")

        assert alerts == ["adoption_refused"]
        assert (pushed.id, pushed.tier, pushed.pinned) == (by_hand.id, "standard", True)

    def test_a_member_named_before_they_arrive_joins_the_group_on_arrival(self, customer: Customer) -> None:
        map_groups(customer, Sales="standard")
        with customer.unit(customer.directory) as unit:
            group = create_group(unit, customer.connection_id, GroupDraft("Sales"), ["00u1"])

        member = customer.push("u@nordlys.test", external_id="00u1")

        with customer.unit() as unit:
            assert list(members_of(unit, group.id)) == [member.id]
        assert tier_of(customer, member) == "standard"

    def test_case_r6_a_person_created_again_has_no_past(self, customer: Customer) -> None:
        old = customer.push("u@nordlys.test")
        push_group(customer, "Sales", old)
        with customer.unit(customer.directory) as unit:
            remove_member(unit, get_member(unit, old.id))

        new = customer.push("u@nordlys.test")

        with customer.unit() as unit:
            groups = newest_decision(customer, new.id).groups
            assert get_member(unit, new.id).role == "member"
        assert new.id != old.id
        assert groups == []


def test_the_audit_chain_holds_after_everything(customer: Customer) -> None:
    map_groups(customer, Sales="standard")
    member = customer.push("u@nordlys.test")
    push_group(customer, "Sales", member)

    with customer.unit() as unit:
        first_bad = verify(unit)

    assert first_bad is None


def test_a3_owners_get_one_mail_for_a_full_tier_however_many_people_wait(
    make_customer: Callable[..., Customer],
) -> None:
    customer = make_customer(premium=0, standard=0)

    for number in range(3):
        customer.push(f"u{number}@nordlys.test")

    with customer.unit() as unit:
        alerts = unit.session.scalars(select(Alert.member_id)).all()
        mails = unit.session.scalars(select(Delivery.subject_id).where(Delivery.kind == "alert_mail")).all()
    assert (len(alerts), len(mails)) == (3, 1)


class TestWalls:
    def test_t5_an_external_id_is_nobodys_key_in_another_connection(
        self, make_customer: Callable[..., Customer]
    ) -> None:
        customer = make_customer()
        with customer.unit(customer.owner) as unit:
            other = create_connection(unit, "Entra").id
        with customer.unit(customer.directory) as unit:
            group = create_group(unit, customer.connection_id, GroupDraft("Admins"), ["ext-77"]).id

        with customer.unit(Actor(ActorKind.DIRECTORY, other)) as unit:
            stranger = provision_member(unit, other, PersonDraft("s@else.test", external_id="ext-77"), Source.SCIM)

        with customer.unit() as unit:
            assert list(members_of(unit, group)) == []
        assert newest_decision(customer, stranger.id).groups == []

    def test_t11_a_directory_does_not_change_an_owners_address(self, customer: Customer) -> None:
        with customer.unit() as unit:
            claim_domain(unit, "nordlys.test")
            verify_domain(unit, "nordlys.test")

        owner = customer.push("owner@nordlys.test", emails=[{"value": "attacker@evil.test", "primary": True}])

        assert (owner.id, owner.email) == (customer.owner_id, "owner@nordlys.test")

    def test_a_push_does_not_turn_on_whom_somebody_turned_off_by_hand(self, customer: Customer) -> None:
        with customer.unit() as unit:
            claim_domain(unit, "nordlys.test")
            verify_domain(unit, "nordlys.test")
        with customer.unit(customer.owner) as unit:
            by_hand = add_member(unit, PersonDraft("u@nordlys.test"), tier="standard")
            deactivate_member(unit, by_hand, reason="console")

        pushed = customer.push("u@nordlys.test")

        with customer.unit() as unit:
            alerts = unit.session.scalars(select(Alert.code)).all()
        assert (pushed.id, pushed.active, pushed.tier, alerts) == (by_hand.id, False, None, ["adopted_turned_off"])

    def test_whom_a_directory_updates_is_the_directorys_from_then_on(self, customer: Customer) -> None:
        trust(customer)
        with customer.unit(Actor(ActorKind.SIGN_IN, customer.connection_id)) as unit:
            early = admit(unit, asserted(customer, "u@nordlys.test", None)).member

        with customer.unit(customer.directory) as unit:
            update_member(unit, get_member(unit, early.id), PersonDraft("u@nordlys.test", external_id="00u1"))

        with customer.unit() as unit:
            assert get_member(unit, early.id).source == "scim"

    def test_what_was_read_before_the_lock_is_read_again_after_it(self, customer: Customer) -> None:
        member = customer.push("u@nordlys.test")

        with customer.unit(customer.owner) as waiting:
            stale = get_member(waiting, member.id)
            with customer.unit(customer.directory) as quicker:
                deactivate_member(quicker, get_member(quicker, member.id), reason="directory")
            waiting.lock()
            tier, active = stale.tier, stale.active

        assert (tier, active) == (None, False)


class TestRenewalOfASeatByHand:
    """What placing one person by hand does to the renewal of a plan that bills the seats in use (rule R7)."""

    @pytest.fixture
    def enterprise(self, make_customer: Callable[..., Customer]) -> Customer:
        """One Premium seat (720.00 a year), taken, and two Standard seats (300.00)."""
        return make_customer(kind="enterprise", premium=1, standard=2, premium_price=72000, standard_price=30000)

    def test_a_seat_for_somebody_without_one_adds_its_whole_price(self, enterprise: Customer) -> None:
        map_groups(enterprise, Board="premium")
        push_group(enterprise, "Board", enterprise.push("first@nordlys.test"))
        with enterprise.unit(enterprise.owner) as unit:
            preview = preview_seat(unit, enterprise.owner_id, "premium")

        assert preview.quote is not None
        assert preview.quote.renewal_after - preview.quote.renewal_before == 72000

    def test_a_seat_that_moves_somebody_up_adds_the_difference(self, enterprise: Customer) -> None:
        enterprise.push("first@nordlys.test")
        second = enterprise.push("second@nordlys.test")
        with enterprise.unit(enterprise.owner) as unit:
            preview = preview_seat(unit, second.id, "premium")

        assert preview.quote is not None
        # 720.00 − 300.00 = 420.00
        assert preview.quote.renewal_after - preview.quote.renewal_before == 42000

    def test_who_follows_on_the_seat_that_is_left_counts_too(self, enterprise: Customer) -> None:
        people = [enterprise.push(f"u{index}@nordlys.test") for index in range(4)]  # the fourth waits for any seat
        with enterprise.unit(enterprise.owner) as unit:
            preview = preview_seat(unit, people[1].id, "premium")
            forecast = unit.billing.next_renewal()
            assert forecast is not None
        assert preview.quote is not None
        with enterprise.unit(enterprise.owner) as unit:
            confirm_seat(unit, preview.id, acknowledged=True)
        with enterprise.unit(enterprise.owner) as unit:
            renewal = unit.billing.next_renewal()

        # 720.00 + 2 × 300.00 = 1,320.00 before; 2 × 720.00 + 2 × 300.00 = 2,040.00 after
        assert (preview.quote.renewal_before, preview.quote.renewal_after) == (132000, 204000)
        assert forecast.subtotal == 132000
        assert renewal is not None
        assert renewal.subtotal == 204000


class TestAlertsOfWhoNoLongerWaits:
    """An alert ends when its person stops waiting, however that comes."""

    @pytest.mark.parametrize("end", ["removed", "turned off", "regrouped", "placed by hand"])
    def test_the_alert_ends_and_the_next_one_is_mailed_again(self, customer: Customer, end: str) -> None:
        with customer.unit(customer.owner) as unit:
            document = {
                "schema": 1,
                "default": "unassigned",
                "rules": [{"group": "Board", "expected": True, "tier": "premium"}],
            }
            apply_mappings(unit, preview_mappings(unit, document).id, acknowledged=True)
        people = [customer.push(f"u{index}@nordlys.test") for index in range(4)]  # nobody has a seat
        board = push_group(customer, "Board", *people[:3])  # two Premium seats: one of the three waits

        with customer.unit(customer.owner if end == "placed by hand" else customer.directory) as unit:
            waiting = unit.session.scalars(select(Member).where(Member.waiting_for == "premium")).one()
            if end == "removed":
                remove_member(unit, waiting)
            elif end == "turned off":
                deactivate_member(unit, waiting, reason="by_hand")
            elif end == "regrouped":
                change_members(unit, get_group(unit, board), remove=[str(waiting.id)])
            else:
                assign_tier(unit, waiting.id, "standard")
        with customer.unit() as unit:
            still_open = unit.session.scalars(select(Alert.id).where(Alert.resolved_at.is_(None))).all()
        with customer.unit(customer.directory) as unit:
            change_members(unit, get_group(unit, board), add=[str(people[3].id)])

        assert still_open == []
        with customer.unit() as unit:
            assert len(unit.session.scalars(select(Delivery).where(Delivery.kind == "alert_mail")).all()) == 2
