"""Who signs in before the directory names them: provisional, adopted, or ended in time."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from bridge.domain.brake import HeldEffect
from bridge.domain.people_files import read_people
from bridge.domain.provisioning import Confirmation
from bridge.domain.roles import Role
from bridge.errors import ForbiddenError, InvalidInputError, SignInRefusedError
from bridge.jobs.work import end_unconfirmed_everywhere
from bridge.store.directory import get_member
from bridge.store.models import Alert, AuditEntry, Connection, Member, ScimToken
from bridge.store.pools import read_pools
from bridge.usecases.brake import find_open_hold
from bridge.usecases.confirm_people import confirm_member
from bridge.usecases.decide_holds import drop_hold, release_hold
from bridge.usecases.explain import explain_member
from bridge.usecases.import_people import import_people
from bridge.usecases.people_by_hand import turn_off_member, turn_on_member
from bridge.usecases.provisional import Directory, directory_of, set_confirmation
from bridge.usecases.read_holds import held_people
from tests.conftest import SettableClock
from tests.factories import Customer, set_brake, switch_mode_to
from tests.integration.test_sign_in_races import at_once
from tests.sign_ins import member, members, pushed_by_token, sign_in, trust

DAYS = timedelta(days=14)


@pytest.fixture
def acme(customer: Customer) -> Customer:
    """An organization whose directory confirms who signs in."""
    trust(customer)
    with customer.unit() as unit:
        set_confirmation(unit, customer.connection_id, Confirmation.ALWAYS)
    return customer


def end(customer: Customer) -> int:
    return end_unconfirmed_everywhere(customer.runtime)


def used(customer: Customer) -> int:
    with customer.unit() as unit:
        return sum(pool.used for pool in read_pools(unit))


def audited(customer: Customer, action: str) -> list[tuple[str, str, dict[str, object]]]:
    with customer.unit() as unit:
        rows = unit.session.execute(
            select(AuditEntry.actor, AuditEntry.reason, AuditEntry.body)
            .where(AuditEntry.org_id == unit.org_id, AuditEntry.action == action)
            .order_by(AuditEntry.seq)
        )
        return [(actor.partition(":")[0], reason, dict(body)) for actor, reason, body in rows]


def explained(customer: Customer, who: Member) -> str | None:
    with customer.unit() as unit:
        return explain_member(unit, who.id).provisional


def test_a_first_sign_in_is_provisional_where_the_directory_pushes(customer: Customer) -> None:
    trust(customer)
    before = sign_in(customer, "early@acme.test")
    pushed_by_token(customer)

    after = sign_in(customer, "ada@acme.test")

    # 14 days by default, counted from the sign-in; a connection that has never been pushed by asks for nothing.
    assert member(customer, before).provisional_until is None
    assert member(customer, after).provisional_until == customer.runtime.clock.now() + DAYS


def test_a_token_that_has_run_out_still_speaks_of_a_directory_and_a_revoked_one_does_not(customer: Customer) -> None:
    pushed_by_token(customer, expires_at=customer.runtime.clock.now())
    with customer.unit() as unit:
        connection = unit.session.get_one(Connection, (unit.org_id, customer.connection_id))

        expired = directory_of(unit, connection)
        unit.session.execute(update(ScimToken).values(revoked_at=unit.at))

        assert (expired, directory_of(unit, connection)) == (Directory.CONFIRMS, Directory.STOPPED)


def test_a9_in_a_mode_that_takes_no_pushes_nobody_is_provisional(acme: Customer) -> None:
    switch_mode_to(acme, "jit")

    assert member(acme, sign_in(acme, "ada@acme.test")).provisional_until is None


def test_signing_in_again_does_not_put_the_end_off(acme: Customer, clock: SettableClock) -> None:
    first = sign_in(acme, "ada@acme.test")
    until = member(acme, first).provisional_until
    clock.at += timedelta(days=3)

    assert member(acme, sign_in(acme, "ada@acme.test")).provisional_until == until


def test_a_later_push_adopts_with_the_same_id_and_seat_and_says_so(acme: Customer) -> None:
    ada = member(acme, sign_in(acme, "ada@acme.test"))

    pushed = acme.push("ADA@acme.test", external_id="00u1")

    assert (pushed.id, pushed.tier, pushed.source, pushed.provisional_until) == (ada.id, ada.tier, "scim", None)
    assert audited(acme, "member.adopted") == [("directory", "jit", {"confirms": "in_time"})]
    assert explained(acme, pushed) is None


def test_an_import_for_the_connection_confirms_too(acme: Customer) -> None:
    ada = member(acme, sign_in(acme, "ada@acme.test"))

    with acme.unit() as unit:
        import_people(unit, read_people(b"userName\nada@acme.test\n"), acme.connection_id)

    with acme.unit() as unit:
        assert get_member(unit, ada.id).provisional_until is None
    assert len(members(acme)) == 1


def test_unconfirmed_in_time_loses_access_and_the_seat_goes_to_the_next_in_line(
    make_customer: Callable[..., Customer], clock: SettableClock
) -> None:
    acme = make_customer(premium=1, standard=0)
    trust(acme)
    with acme.unit() as unit:
        set_confirmation(unit, acme.connection_id, Confirmation.ALWAYS)
    ada = member(acme, sign_in(acme, "ada@acme.test"))
    bo = acme.push("bo@acme.test")
    clock.at += DAYS - timedelta(seconds=1)
    too_early = end(acme)
    clock.at += timedelta(seconds=1)

    ended = end(acme)

    with acme.unit() as unit:
        ada, bo = get_member(unit, ada.id), get_member(unit, bo.id)
    assert (too_early, ended, ada.active, ada.tier, bo.tier) == (0, 1, False, None, "premium")
    assert ("sign_in", "unconfirmed", {}) in audited(acme, "member.deactivated")
    assert (explained(acme, ada) or "").startswith("Access ended because the directory of")
    with acme.unit() as unit:
        assert (
            "1 person signed in by"
            in unit.session.scalars(select(Alert.detail).where(Alert.code == "provisional_ended")).one()
        )
    assert end(acme) == 0


def test_whose_time_is_over_is_refused_with_the_reason_and_comes_back_when_the_directory_names_them(
    acme: Customer, clock: SettableClock
) -> None:
    ada = member(acme, sign_in(acme, "ada@acme.test"))
    clock.at += DAYS
    end(acme)
    with pytest.raises(SignInRefusedError) as refusal:
        sign_in(acme, "ada@acme.test")

    pushed = acme.push("ada@acme.test")

    assert refusal.value.reason == "unconfirmed"
    assert (pushed.id, pushed.active, pushed.tier) == (ada.id, True, "premium")
    assert audited(acme, "member.adopted") == [("directory", "jit", {"confirms": "too_late"})]
    assert sign_in(acme, "ada@acme.test").member.id == ada.id


def test_whom_somebody_turned_off_is_not_turned_on_by_the_push(acme: Customer) -> None:
    ada = member(acme, sign_in(acme, "ada@acme.test"))
    with acme.unit() as unit:
        turn_off_member(unit, ada.id)

    pushed = acme.push("ada@acme.test")

    assert (pushed.id, pushed.active) == (ada.id, False)
    with acme.unit() as unit:
        assert unit.session.scalars(select(Alert.code)).all() == ["adopted_turned_off"]


def test_z3_an_admin_confirms_by_hand_and_nothing_ends(acme: Customer, clock: SettableClock) -> None:
    ada = member(acme, sign_in(acme, "ada@acme.test"))
    with pytest.raises(ForbiddenError), acme.unit(acme.directory) as unit:
        confirm_member(unit, get_member(unit, ada.id))
    with acme.unit(acme.owner) as unit:
        confirm_member(unit, get_member(unit, ada.id))
    clock.at += DAYS

    assert end(acme) == 0
    assert [entry[:2] for entry in audited(acme, "member.confirmed")] == [("member", "by_hand")]
    with pytest.raises(InvalidInputError), acme.unit(acme.owner) as unit:
        confirm_member(unit, get_member(unit, ada.id))


def test_who_is_turned_on_by_hand_after_the_end_stays(acme: Customer, clock: SettableClock) -> None:
    ada = member(acme, sign_in(acme, "ada@acme.test"))
    clock.at += DAYS
    end(acme)
    with acme.unit() as unit:
        turn_on_member(unit, ada.id)

    again = sign_in(acme, "ada@acme.test")

    assert (again.member.id, member(acme, again).provisional_until, end(acme)) == (ada.id, None, 0)


def test_t11_who_became_an_owner_stays(acme: Customer, clock: SettableClock) -> None:
    ada = member(acme, sign_in(acme, "ada@acme.test"))
    with acme.unit() as unit:
        get_member(unit, ada.id).role = Role.OWNER
    clock.at += DAYS

    assert end(acme) == 0
    with acme.unit() as unit:
        found = get_member(unit, ada.id)
    assert (found.active, found.provisional_until) == (True, None)


@pytest.mark.parametrize("change", ["mode", "connection"])
def test_where_no_directory_confirms_any_more_everybody_stays(
    acme: Customer, clock: SettableClock, change: str
) -> None:
    ada = member(acme, sign_in(acme, "ada@acme.test"))
    if change == "mode":
        switch_mode_to(acme, "jit")
    else:
        with acme.unit() as unit:
            set_confirmation(unit, acme.connection_id, Confirmation.NEVER)
    clock.at += DAYS

    assert end(acme) == 0
    with acme.unit() as unit:
        assert get_member(unit, ada.id).active
    assert [entry[:2] for entry in audited(acme, "member.confirmed")] == [("sign_in", "no_directory")]


class TestTooManyAtOnce:
    """The brake holds the end of more people than a directory may let go."""

    @pytest.fixture
    def held(self, acme: Customer, clock: SettableClock) -> Customer:
        """Three people whose end waits for an owner; two may go at once."""
        set_brake(acme, minimum=2, share=1)
        for name in ("ada", "bo", "cy"):
            sign_in(acme, f"{name}@acme.test")
        clock.at += DAYS
        assert end(acme) == 0
        return acme

    def test_wait_for_an_owner_with_access_and_seat(self, held: Customer) -> None:
        with held.unit() as unit:
            hold = find_open_hold(unit)
            assert hold is not None
            effects = [one.effect for one in held_people(unit, hold.id)]

        assert effects == [HeldEffect.UNCONFIRMED] * 3
        assert (all(one.active for one in members(held)), used(held), end(held)) == (True, 3, 0)

    def test_lose_access_when_the_owner_releases_and_are_told_why(self, held: Customer) -> None:
        with held.unit(held.owner) as unit:
            hold = find_open_hold(unit)
            assert hold is not None
            release_hold(unit, hold.id, revision=hold.revision, reason="They have left")

        assert (any(one.active for one in members(held)), used(held)) == (False, 0)
        with pytest.raises(SignInRefusedError, match="confirmed"):
            sign_in(held, "ada@acme.test")

    def test_stay_when_the_owner_drops_it(self, held: Customer) -> None:
        with held.unit(held.owner) as unit:
            hold = find_open_hold(unit)
            assert hold is not None
            drop_hold(unit, hold.id, revision=hold.revision, reason="The push is broken")

        assert [(one.active, one.provisional_until) for one in members(held)] == [(True, None)] * 3
        assert end(held) == 0

    def test_are_let_off_one_by_one_as_the_directory_names_them(self, held: Customer) -> None:
        for name in ("ada", "bo", "cy"):
            held.push(f"{name}@acme.test")

        with held.unit() as unit:
            assert find_open_hold(unit) is None
        assert [(one.active, one.hold_id) for one in members(held)] == [(True, None)] * 3


def test_case_c5_a_push_that_comes_as_the_time_ends_leaves_one_person_with_access(
    acme: Customer, clock: SettableClock
) -> None:
    for number in range(4):
        name = f"new{number}@acme.test"
        sign_in(acme, name)
        clock.at += DAYS

        _, pushed = at_once([lambda: end(acme), lambda n=name: acme.push(n)])  # type: ignore[misc] # bound now

        # Whichever was first: ended and brought back, or named in time.
        with acme.unit() as unit:
            found = get_member(unit, pushed.id)
        assert (found.active, found.tier is not None, found.provisional_until) == (True, True, None)
    assert (len(members(acme)), used(acme)) == (4, 4)
