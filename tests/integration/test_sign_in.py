"""Who may come in with a verified assertion, and what changes when they do."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from bridge.domain.credentials import new_credential
from bridge.domain.identifiers import ConnectionId, new_id
from bridge.domain.roles import Role
from bridge.errors import AdoptionRefusedError, NotFoundError, SignInRefusedError
from bridge.jobs.work import expire_everywhere
from bridge.store.directory import get_connection, get_member, groups_of, manual_connection
from bridge.store.models import Connection, Decision, Identity, Member, SamlReplay, SignInRequest, WebSession
from bridge.store.pools import read_pools
from bridge.usecases.connections import create_connection
from bridge.usecases.link_people import link_identity
from bridge.usecases.manage_access import deactivate_member
from bridge.usecases.provision_member import PersonDraft, Source, add_member, provision_member, update_member
from bridge.usecases.sign_in import Assertion, SignInRefusal, note_sign_in
from bridge.usecases.sync_groups import GroupDraft, create_group
from tests.conftest import SettableClock
from tests.factories import Customer
from tests.sign_ins import (
    asserted,
    complete,
    count,
    events,
    map_groups,
    member,
    members,
    sign_in,
    start,
    trust,
    verified_domain,
)

ENGINEERS_GET_PREMIUM = {
    "on_exhausted": "next_lower",
    "default": "standard",
    "rules": [
        {"group": "Engineering", "expected": True, "tier": "premium"},
        {"group": "Everyone", "expected": True, "tier": "standard"},
    ],
}


@pytest.fixture
def acme(customer: Customer) -> Customer:
    """An organization whose connection trusts the tests' provider."""
    trust(customer)
    return customer


def refusal_of(attempt: Callable[[], object]) -> str:
    with pytest.raises(SignInRefusedError) as refusal:
        attempt()
    return refusal.value.reason


def used_seats(customer: Customer) -> dict[str, int]:
    with customer.unit() as unit:
        return {pool.tier: pool.used for pool in read_pools(unit)}


def add_by_hand(customer: Customer, user_name: str) -> Member:
    with customer.unit() as unit:
        return provision_member(unit, manual_connection(unit).id, PersonDraft(user_name), Source.MANUAL)


def test_a_new_person_is_provisioned_with_the_seat_of_their_group_and_a_decision(acme: Customer) -> None:
    map_groups(acme, ENGINEERS_GET_PREMIUM)

    signed_in = sign_in(
        acme, "ada@acme.test", given_name="Ada", family_name="Lovelace", groups=frozenset({"Engineering"})
    )

    ada = member(acme, signed_in)
    assert signed_in.provisioned
    assert signed_in.return_path == "/people"
    assert (ada.user_name, ada.display_name, ada.email) == ("ada@acme.test", "Ada Lovelace", "ada@acme.test")
    assert (ada.source, ada.connection_id, ada.active, ada.role) == ("jit", acme.connection_id, True, "member")
    assert ada.tier == "premium"
    assert used_seats(acme) == {"premium": 1, "standard": 0}
    with acme.unit() as unit:
        decisions = unit.session.scalars(select(Decision).where(Decision.member_id == ada.id)).all()
        assert [(decision.to_tier, decision.groups) for decision in decisions] == [("premium", ["Engineering"])]
        assert [group.display_name for group in groups_of(unit, ada.id)] == ["Engineering"]
    assert [(event.outcome, event.reason, event.member_id) for event in events(acme)] == [("provisioned", "ok", ada.id)]


def test_a7_a_second_sign_in_is_the_same_person_and_moves_nobody(acme: Customer, clock: SettableClock) -> None:
    first = sign_in(acme, "ada@acme.test", given_name="Ada", groups=frozenset({"Engineering"}))
    before = member(acme, first)
    clock.at += timedelta(minutes=1)

    second = sign_in(acme, "ada@acme.test", given_name="Ada", groups=frozenset({"Engineering"}))

    after = member(acme, second)
    assert (second.member.id, second.provisioned) == (first.member.id, False)
    assert (after.version, after.modified_at, after.tier) == (before.version, before.modified_at, before.tier)
    assert count(acme, Decision) == 1
    assert [event.outcome for event in events(acme)] == ["provisioned", "signed_in"]


def test_a_person_keeps_their_account_when_their_address_changes(acme: Customer) -> None:
    first = sign_in(acme, "00u1", email="ada@acme.test")

    second = sign_in(acme, "00u1", email="ada.lovelace@acme.test")

    assert second.member.id == first.member.id
    assert member(acme, second).email == "ada.lovelace@acme.test"


def test_claims_that_are_missing_take_nothing_away(acme: Customer, clock: SettableClock) -> None:
    map_groups(acme, ENGINEERS_GET_PREMIUM)
    first = sign_in(acme, "ada@acme.test", given_name="Ada", groups=frozenset({"Engineering"}))
    clock.at += timedelta(minutes=1)

    second = sign_in(acme, "ada@acme.test", groups=None, groups_overage=True)

    ada = member(acme, second)
    assert (ada.tier, ada.display_name) == ("premium", "Ada")
    assert first.member.id == second.member.id
    assert "too many" in events(acme)[-1].detail


def test_claims_that_name_fewer_groups_move_the_person(acme: Customer) -> None:
    map_groups(acme, ENGINEERS_GET_PREMIUM)
    sign_in(acme, "ada@acme.test", groups=frozenset({"Engineering", "Everyone"}))

    second = sign_in(acme, "ada@acme.test", groups=frozenset({"Everyone"}))

    assert member(acme, second).tier == "standard"
    assert used_seats(acme) == {"premium": 0, "standard": 1}


def test_claims_take_nobody_out_of_a_group_that_the_directory_pushed(acme: Customer) -> None:
    map_groups(acme, ENGINEERS_GET_PREMIUM)
    first = sign_in(acme, "ada@acme.test", groups=frozenset({"Everyone"}))
    with acme.unit(acme.directory) as unit:
        create_group(unit, acme.connection_id, GroupDraft("Engineering"), [str(first.member.id)])

    second = sign_in(acme, "ada@acme.test", groups=frozenset())

    with acme.unit() as unit:
        assert [group.display_name for group in groups_of(unit, first.member.id)] == ["Engineering"]
    assert member(acme, second).tier == "premium"


def test_a_person_whom_the_directory_pushed_signs_in_by_user_name_in_any_case(acme: Customer) -> None:
    pushed = acme.push("Ada@Acme.test", external_id="00u1")

    signed_in = sign_in(acme, "ada@acme.test", given_name="Somebody", groups=frozenset({"Admins"}))

    ada = member(acme, signed_in)
    assert (signed_in.member.id, signed_in.provisioned) == (pushed.id, False)
    assert (ada.source, ada.display_name, ada.version) == ("scim", "Ada@Acme.test", pushed.version)
    with acme.unit() as unit:
        assert groups_of(unit, ada.id) == []


def test_a_person_whom_the_directory_deactivated_is_refused_and_nothing_is_revived(acme: Customer) -> None:
    pushed = acme.push("ada@acme.test")
    with acme.unit(acme.directory) as unit:
        update_member(unit, get_member(unit, pushed.id), PersonDraft("ada@acme.test", active=False))

    reason = refusal_of(lambda: sign_in(acme, "ada@acme.test"))

    assert reason == SignInRefusal.DEACTIVATED
    assert [(found.id, found.active, found.tier) for found in members(acme)] == [(pushed.id, False, None)]
    assert count(acme, Identity) == 0


def test_a_deactivated_person_does_not_come_back_under_another_name_id(acme: Customer) -> None:
    pushed = acme.push("alovelace", emails=[{"value": "ada@acme.test", "primary": True}])
    with acme.unit(acme.directory) as unit:
        deactivate_member(unit, get_member(unit, pushed.id), reason="directory")

    reason = refusal_of(lambda: sign_in(acme, "00u1", email="Ada@acme.test"))

    assert reason == SignInRefusal.DEACTIVATED
    assert len(members(acme)) == 1


def test_t18_deactivation_ends_the_sessions_in_its_own_transaction(acme: Customer) -> None:
    signed_in = sign_in(acme, "ada@acme.test")
    with acme.unit() as unit:
        unit.session.add(
            WebSession(
                org_id=unit.org_id,
                id=new_id(),
                token_hash=new_credential().hash,
                member_id=signed_in.member.id,
                method="saml",
                created_at=unit.at,
                last_seen_at=unit.at,
                expires_at=unit.at + timedelta(hours=12),
                ended_at=None,
                ended_by=None,
            )
        )

    with acme.unit(acme.directory) as unit:
        deactivate_member(unit, get_member(unit, signed_in.member.id), reason="directory")
        sessions = unit.session.scalars(select(WebSession).execution_options(populate_existing=True)).all()

    assert [session.ended_by for session in sessions] == ["directory"]
    assert refusal_of(lambda: sign_in(acme, "ada@acme.test")) == SignInRefusal.DEACTIVATED


def test_an_assertion_works_once(acme: Customer) -> None:
    used = asserted(acme, "ada@acme.test", start(acme))
    complete(acme, used)

    reason = refusal_of(lambda: complete(acme, replace(used, request_id=start(acme))))

    assert reason == SignInRefusal.REPLAYED


def test_a_request_is_answered_once(acme: Customer) -> None:
    request_id = start(acme)
    complete(acme, asserted(acme, "ada@acme.test", request_id))

    reason = refusal_of(lambda: complete(acme, asserted(acme, "ada@acme.test", request_id)))

    assert reason == SignInRefusal.UNKNOWN_REQUEST


def test_a_request_that_was_never_made_is_not_answered(acme: Customer) -> None:
    reason = refusal_of(lambda: complete(acme, asserted(acme, "ada@acme.test", "_made-up")))

    assert reason == SignInRefusal.UNKNOWN_REQUEST
    assert members(acme) == []


def test_a_request_ends_after_its_ten_minutes(acme: Customer, clock: SettableClock) -> None:
    assertion = asserted(acme, "ada@acme.test", start(acme))

    reason = refusal_of(lambda: complete(acme, assertion, at=clock.at + timedelta(seconds=600)))

    assert reason == SignInRefusal.UNKNOWN_REQUEST


@pytest.mark.parametrize("cookies", [(), ("another",)], ids=["no cookie", "another browser's"])
def test_another_browser_cannot_use_the_answer_and_does_not_use_it_up(acme: Customer, cookies: tuple[str, ...]) -> None:
    assertion = asserted(acme, "ada@acme.test", start(acme))

    reason = refusal_of(lambda: complete(acme, assertion, cookies))

    assert reason == SignInRefusal.FOREIGN_BROWSER
    assert (count(acme, SignInRequest), count(acme, SamlReplay), members(acme)) == (1, 0, [])
    assert complete(acme, assertion).provisioned


def test_two_tabs_of_one_browser_both_sign_in(acme: Customer) -> None:
    one = start(acme, return_path="/one", cookie="tab one")
    two = start(acme, return_path="/two", cookie="tab two")

    second = complete(acme, asserted(acme, "ada@acme.test", two), ("tab one", "tab two"))
    first = complete(acme, asserted(acme, "ada@acme.test", one), ("tab one",))

    assert (first.return_path, second.return_path) == ("/one", "/two")
    assert first.member.id == second.member.id


def test_a_request_of_another_connection_is_not_answered(acme: Customer) -> None:
    other = add_connection(acme, "Entra")
    assertion = asserted(acme, "ada@acme.test", start(acme), connection_id=other)

    assert refusal_of(lambda: complete(acme, assertion)) == SignInRefusal.UNKNOWN_REQUEST


def test_a_request_of_another_organization_is_not_answered(
    acme: Customer, make_customer: Callable[..., Customer]
) -> None:
    other = make_customer("fjord")
    trust(other)
    assertion = asserted(acme, "ada@acme.test", start(other))

    assert refusal_of(lambda: complete(acme, assertion)) == SignInRefusal.UNKNOWN_REQUEST


def test_a_connection_of_another_organization_is_unknown(
    acme: Customer, make_customer: Callable[..., Customer]
) -> None:
    other = make_customer("fjord")
    trust(other)
    assertion = asserted(acme, "ada@acme.test", start(acme), connection_id=other.connection_id)

    with pytest.raises(NotFoundError):
        complete(acme, assertion)


def test_t17_one_provider_in_two_organizations_makes_two_people(
    acme: Customer, make_customer: Callable[..., Customer]
) -> None:
    """T17: the same entityID and NameID under two organizations stay strangers."""
    other = make_customer("fjord")
    trust(other)

    here, there = sign_in(acme, "ada@acme.test"), sign_in(other, "ada@acme.test")

    assert here.member.id != there.member.id
    assert [len(members(acme)), len(members(other))] == [1, 1]


def test_a_sign_in_that_began_at_the_provider_is_refused_unless_the_connection_allows_it(acme: Customer) -> None:
    reason = refusal_of(lambda: complete(acme, asserted(acme, "ada@acme.test", None), ()))
    with acme.unit() as unit:
        get_connection(unit, acme.connection_id).idp_initiated = True
    allowed = complete(acme, asserted(acme, "ada@acme.test", None), ())

    assert reason == SignInRefusal.NOT_REQUESTED
    assert (allowed.provisioned, allowed.return_path) == (True, "/")


def test_t16_a_disabled_connection_signs_nobody_in(acme: Customer) -> None:
    request_id = start(acme)
    with acme.unit() as unit:
        get_connection(unit, acme.connection_id).disabled_at = unit.at

    assert refusal_of(lambda: start(acme)) == SignInRefusal.CONNECTION_DISABLED
    assertion = asserted(acme, "ada@acme.test", request_id)
    assert refusal_of(lambda: complete(acme, assertion)) == SignInRefusal.CONNECTION_DISABLED


def test_a_connection_without_metadata_starts_nothing(customer: Customer) -> None:
    assert refusal_of(lambda: start(customer)) == SignInRefusal.CONNECTION_DISABLED


def test_what_another_issuer_says_is_refused(acme: Customer) -> None:
    assertion = asserted(acme, "ada@acme.test", start(acme), issuer="https://old.example/idp")

    assert refusal_of(lambda: complete(acme, assertion)) == SignInRefusal.OTHER_ISSUER


def test_a_connection_without_jit_provisions_nobody(acme: Customer) -> None:
    with acme.unit() as unit:
        get_connection(unit, acme.connection_id).jit_enabled = False

    assert refusal_of(lambda: sign_in(acme, "ada@acme.test")) == SignInRefusal.JIT_OFF
    assert members(acme) == []


def test_a_person_without_a_free_seat_comes_in_unassigned(make_customer: Callable[..., Customer]) -> None:
    full = make_customer(premium=0, standard=1)
    trust(full)
    sign_in(full, "first@acme.test")

    second = sign_in(full, "second@acme.test")

    assert (second.provisioned, member(full, second).tier) == (True, None)


def test_where_the_rules_reject_who_finds_no_seat_a_new_person_is_refused(
    make_customer: Callable[..., Customer],
) -> None:
    full = make_customer(premium=0, standard=1)
    trust(full)
    map_groups(full, {"on_exhausted": "reject", "default": "standard", "rules": []})
    sign_in(full, "first@acme.test")

    assert refusal_of(lambda: sign_in(full, "second@acme.test")) == SignInRefusal.NO_SEAT
    assert len(members(full)) == 1


def test_t14_an_owner_is_not_taken_over_by_an_address(acme: Customer) -> None:
    """T14: not even inside a verified domain; an explicit link is needed."""
    verified_domain(acme, "nordlys.test")

    assert refusal_of(lambda: sign_in(acme, "owner@nordlys.test")) == SignInRefusal.OWNER_NEEDS_LINK
    assert refusal_of(lambda: sign_in(acme, "x", email="OWNER@nordlys.test")) == SignInRefusal.OWNER_NEEDS_LINK
    assert count(acme, Identity) == 0


def test_an_owner_without_a_verified_domain_is_not_taken_over_either(acme: Customer) -> None:
    assert refusal_of(lambda: sign_in(acme, "owner@nordlys.test", email=None)) == SignInRefusal.OWNER_NEEDS_LINK


def test_a_pushed_person_who_became_an_owner_needs_a_link(acme: Customer) -> None:
    pushed = acme.push("ada@acme.test")
    with acme.unit() as unit:
        get_member(unit, pushed.id).role = str(Role.OWNER)

    assert refusal_of(lambda: sign_in(acme, "ada@acme.test")) == SignInRefusal.OWNER_NEEDS_LINK


def test_an_owner_signs_in_by_the_link_that_was_made_by_hand(acme: Customer) -> None:
    with acme.unit() as unit:
        link_identity(unit, acme.connection_id, acme.owner_id, subject="00u-olga")

    signed_in = sign_in(acme, "00u-olga", email="owner@nordlys.test", groups=frozenset({"Nobodies"}))

    assert (signed_in.member.id, signed_in.provisioned) == (acme.owner_id, False)
    assert member(acme, signed_in).role == Role.PRIMARY_OWNER


def test_a_person_added_by_hand_is_linked_inside_a_verified_domain_only(acme: Customer) -> None:
    """T12: no adoption by address without a verified domain."""
    ada = add_by_hand(acme, "ada@acme.test")

    before = refusal_of(lambda: sign_in(acme, "00u1", email="ada@acme.test"))
    verified_domain(acme, "acme.test")
    after = sign_in(acme, "00u1", email="Ada@Acme.test")

    assert before == SignInRefusal.OUTSIDE_DOMAINS
    assert (after.member.id, after.provisioned, member(acme, after).source) == (ada.id, False, "manual")
    with acme.unit() as unit:
        assert [identity.linked_by for identity in unit.session.scalars(select(Identity))] == ["domain"]


def test_a_domain_of_another_connection_links_nobody(acme: Customer) -> None:
    add_by_hand(acme, "ada@acme.test")
    verified_domain(acme, "acme.test", add_connection(acme, "Entra"))

    assert refusal_of(lambda: sign_in(acme, "ada@acme.test")) == SignInRefusal.OUTSIDE_DOMAINS


def test_t14_a_pushed_person_is_not_taken_over_by_their_address(acme: Customer) -> None:
    """T14: people can often change their address at the provider, and nobody becomes somebody else by it."""
    verified_domain(acme, "acme.test")
    pushed = acme.push("boss@acme.test")

    assert refusal_of(lambda: sign_in(acme, "mallory@acme.test", email="boss@acme.test")) == (
        SignInRefusal.SOMEBODY_ELSE
    )
    assert [found.id for found in members(acme)] == [pushed.id]


def test_t14_a_person_of_another_connection_is_not_taken_over(acme: Customer) -> None:
    verified_domain(acme, "acme.test")
    other = add_connection(acme, "Entra")
    with acme.unit() as unit:
        provision_member(unit, other, PersonDraft("ada@acme.test"), Source.SCIM)

    assert refusal_of(lambda: sign_in(acme, "ada@acme.test")) == SignInRefusal.SOMEBODY_ELSE


def test_two_name_ids_with_one_address_are_not_one_person(acme: Customer) -> None:
    sign_in(acme, "00u1", email="ada@acme.test")

    assert refusal_of(lambda: sign_in(acme, "00u2", email="ada@acme.test")) == SignInRefusal.SOMEBODY_ELSE
    assert refusal_of(lambda: sign_in(acme, "ada@acme.test", email=None)) == SignInRefusal.SOMEBODY_ELSE


def test_who_signed_in_before_the_push_keeps_id_and_seat_when_it_comes(acme: Customer) -> None:
    signed_in = sign_in(acme, "ada@acme.test", given_name="Ada")
    tier = member(acme, signed_in).tier

    pushed = acme.push("ADA@acme.test", external_id="00u1", displayName="Ada L.")
    again = sign_in(acme, "ada@acme.test", given_name="Adele")

    ada = member(acme, again)
    assert pushed.id == signed_in.member.id == again.member.id
    assert (ada.source, ada.external_id, ada.display_name, ada.tier) == ("scim", "00u1", "Ada L.", tier)
    assert len(members(acme)) == 1


def test_who_signed_in_before_the_push_is_adopted_by_address_inside_a_verified_domain(acme: Customer) -> None:
    """The provider vouched for the address, and the directory's name is that address: the sign-in stays theirs."""
    signed_in = sign_in(acme, "00u1", email="ada@acme.test")
    address = [{"value": "Ada@acme.test", "primary": True}]

    with pytest.raises(AdoptionRefusedError):
        acme.push("ada@acme.test", emails=address)
    verified_domain(acme, "acme.test")
    pushed = acme.push("ada@acme.test", emails=address)

    assert (pushed.id, pushed.user_name, pushed.source) == (signed_in.member.id, "ada@acme.test", "scim")
    assert len(members(acme)) == 1
    assert sign_in(acme, "00u1", email="ada@acme.test").member.id == pushed.id
    assert refusal_of(lambda: sign_in(acme, "00u2", email="ada@acme.test")) == SignInRefusal.SOMEBODY_ELSE


def test_t14_a_name_that_nobody_vouched_for_is_the_pushed_persons_and_its_sign_in_is_forgotten(acme: Customer) -> None:
    chosen = {"directory_name": "ceo@acme.test", "is_name_sure": False, "email": None, "is_email_verified": False}
    mallory = sign_in(acme, "mallory", **chosen)
    verified_domain(acme, "acme.test")

    pushed = acme.push("ceo@acme.test", external_id="c1")

    assert (pushed.id, count(acme, Identity)) == (mallory.member.id, 0)
    assert refusal_of(lambda: sign_in(acme, "mallory", **chosen)) == SignInRefusal.SOMEBODY_ELSE


def test_who_was_pushed_first_signs_in_by_a_persistent_name_id_and_a_verified_address(acme: Customer) -> None:
    pushed = acme.push("ada@acme.test")

    before = refusal_of(lambda: sign_in(acme, "00u1", email="ada@acme.test"))
    verified_domain(acme, "acme.test")
    signed_in = sign_in(acme, "00u1", email="Ada@acme.test")

    assert before == SignInRefusal.SOMEBODY_ELSE
    assert (signed_in.member.id, signed_in.provisioned) == (pushed.id, False)


def test_who_is_pushed_under_the_subject_they_signed_in_by_is_adopted_with_their_sign_in(acme: Customer) -> None:
    chosen = {"directory_name": "ada@acme.test", "is_name_sure": False, "email": None, "is_email_verified": False}
    ada = sign_in(acme, "oid-1", **chosen)
    with pytest.raises(AdoptionRefusedError):
        acme.push("ada@acme.test", external_id="oid-2")

    pushed = acme.push("ada@acme.test", external_id="oid-1")

    assert pushed.id == ada.member.id == sign_in(acme, "oid-1", **chosen).member.id


def test_t14_a_pushed_mail_attribute_is_no_proof_of_who_somebody_is(acme: Customer) -> None:
    verified_domain(acme, "acme.test")
    with acme.unit(acme.owner) as unit:
        ceo = add_member(unit, PersonDraft("ceo@acme.test"), tier=None)

    with pytest.raises(AdoptionRefusedError):
        acme.push("mallory@acme.test", emails=[{"value": "ceo@acme.test", "primary": True}])

    with acme.unit() as unit:
        assert get_member(unit, ceo.id).user_name == "ceo@acme.test"


def test_t14_an_update_adopts_who_signed_in_before_by_the_same_proof_as_a_push(acme: Customer) -> None:
    mallory = sign_in(acme, "mallory@evil.test", email="ceo@acme.test")

    with pytest.raises(AdoptionRefusedError), acme.unit(acme.directory) as unit:
        update_member(unit, get_member(unit, mallory.member.id), PersonDraft("ceo@acme.test", external_id="c1"))

    assert member(acme, mallory).user_name == "mallory@evil.test"


def test_t14_a_name_that_a_directory_changes_is_not_its_old_sign_in_any_more(acme: Customer) -> None:
    mallory = sign_in(acme, "mallory@acme.test")
    for name in ("mallory@acme.test", "ceo@acme.test"):
        with acme.unit(acme.directory) as unit:
            update_member(unit, get_member(unit, mallory.member.id), PersonDraft(name, external_id="c1"))

    again = sign_in(acme, "mallory@acme.test")

    assert again.member.id != mallory.member.id


def test_t12_a_domain_bound_to_one_connection_lets_another_adopt_nobody(acme: Customer) -> None:
    with acme.unit(acme.owner) as unit:
        other = create_connection(unit, "Entra").id
    verified_domain(acme, "acme.test", other)
    with acme.unit(acme.owner) as unit:
        add_member(unit, PersonDraft("ceo@acme.test"), tier=None)

    with pytest.raises(AdoptionRefusedError):
        acme.push("ceo@acme.test")


def test_t10_a_claim_gives_a_role_by_a_mapping_only_and_never_an_owner(acme: Customer) -> None:
    plain = sign_in(acme, "ada@acme.test", groups=frozenset({"admin", "owner", "primary_owner"}))
    map_groups(acme, {"rules": [{"group": "Seat admins", "expected": True, "role": "admin"}]})

    mapped = sign_in(acme, "bea@acme.test", groups=frozenset({"Seat admins"}))

    assert member(acme, plain).role == Role.MEMBER
    assert member(acme, mapped).role == Role.ADMIN


@pytest.mark.parametrize(
    "facts",
    [
        {"subject": "x" * 401},
        {"given_name": "x" * 401},
        {"groups": frozenset({"x" * 401})},
        {"assertion": Assertion("x" * 257, datetime(2026, 3, 2, 10, tzinfo=UTC))},
    ],
    ids=["NameID", "name", "group", "assertion ID"],
)
def test_what_no_real_person_has_is_refused_before_it_reaches_an_index(
    acme: Customer, facts: dict[str, object]
) -> None:
    assertion = replace(asserted(acme, "ada@acme.test", start(acme)), **facts)  # type: ignore[arg-type] # by name

    assert refusal_of(lambda: complete(acme, assertion)) == SignInRefusal.OVERSIZED


def add_connection(customer: Customer, name: str) -> ConnectionId:
    connection_id = ConnectionId(new_id())
    with customer.unit() as unit:
        unit.session.add(Connection(org_id=unit.org_id, id=connection_id, kind="idp", name=name, created_at=unit.at))
    trust(customer, connection_id=connection_id)
    return connection_id


def test_t14_who_claims_anothers_address_is_not_taken_for_them_by_a_push(acme: Customer) -> None:
    verified_domain(acme, "acme.test")
    mallory = sign_in(acme, "mallory@acme.test", email="ceo@acme.test")

    with pytest.raises(AdoptionRefusedError):
        acme.push("ceo@acme.test", emails=[{"value": "ceo@acme.test", "primary": True}])

    assert member(acme, mallory).user_name == "mallory@acme.test"


def test_t14_an_address_that_is_somebody_elses_is_not_taken_over_by_a_later_claim(acme: Customer) -> None:
    sign_in(acme, "ceo@acme.test", email="ceo@acme.test")
    mallory = sign_in(acme, "mallory@acme.test", email="mallory@acme.test")

    sign_in(acme, "mallory@acme.test", email="ceo@acme.test")

    assert member(acme, mallory).email == "mallory@acme.test"


def test_a_name_that_came_from_a_claim_needs_a_verified_domain_to_be_adopted(acme: Customer) -> None:
    sign_in(acme, "00u1", email="ada@acme.test")

    with pytest.raises(AdoptionRefusedError):
        acme.push("ada@acme.test")


def test_the_sign_in_log_is_forgotten_but_for_everybodys_newest_sign_in(
    customer: Customer, clock: SettableClock
) -> None:
    trust(customer)
    sign_in(customer, "ada@acme.test")
    sign_in(customer, "ada@acme.test")
    sign_in(customer, "bo@acme.test")
    with customer.unit() as unit:
        note_sign_in(unit, connection_id=customer.connection_id, outcome="refused", reason="replayed", detail="")
    clock.at += timedelta(days=181)
    sign_in(customer, "bo@acme.test")

    removed = expire_everywhere(customer.runtime)

    left = [(event.outcome, event.at == clock.at) for event in events(customer)]
    assert left == [("signed_in", False), ("signed_in", True)]
    assert removed >= 3
