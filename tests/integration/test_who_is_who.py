"""Who a sign-in may be: nobody by a name that people choose, and nobody whom the directory has removed."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import delete, select, update

from bridge.adapters import saml
from bridge.adapters.saml.trust import trust_in
from bridge.domain.actors import Actor, ActorKind
from bridge.domain.provisioning import Confirmation
from bridge.domain.sign_in import SignInProtocol
from bridge.errors import AdoptionRefusedError, InvalidInputError, NotFoundError, SignInRefusedError
from bridge.jobs.work import end_unconfirmed_everywhere
from bridge.store.directory import get_connection, get_member
from bridge.store.models import Alert, Identity, RemovedPerson, ScimToken, WebSession
from bridge.usecases.brake import find_open_hold
from bridge.usecases.connections import issue_scim_token, live_tokens, revoke_scim_token
from bridge.usecases.decide_holds import release_hold
from bridge.usecases.disable_connection import disable_connection, enable_connection
from bridge.usecases.expire import expire_what_ran_out
from bridge.usecases.link_people import link_identity, unlink_identity
from bridge.usecases.map_claims import map_claims
from bridge.usecases.provision_member import PersonDraft, remove_member, update_member
from bridge.usecases.provisional import Directory, directory_of, set_confirmation
from bridge.usecases.recognise_subject import SignInRefusal
from bridge.usecases.removed_people import readmit
from bridge.usecases.saml_trust import trust_saml_provider
from bridge.usecases.scim_clients import add_client, find_client, revoke_client
from bridge.usecases.sync_groups import GroupDraft, create_group
from tests.conftest import SettableClock
from tests.factories import Customer, set_brake
from tests.integration.test_sign_in import add_connection
from tests.sign_ins import (
    asserted,
    complete,
    count,
    idp,
    members,
    pushed_by_token,
    sign_in,
    start,
    trust,
    verified_domain,
)

ADA = "ada@acme.test"


@pytest.fixture
def acme(customer: Customer) -> Customer:
    trust(customer)
    return customer


def remove(acme: Customer, user_name: str) -> None:
    [person] = [one for one in members(acme) if one.user_name == user_name]
    with acme.unit(Actor(ActorKind.DIRECTORY, acme.connection_id)) as unit:
        remove_member(unit, get_member(unit, person.id))


def open_session(acme: Customer, method: str = "saml") -> None:
    [person] = members(acme)
    with acme.unit() as unit:
        unit.session.add(
            WebSession(
                org_id=unit.org_id,
                id=person.id,
                token_hash=b"hash",
                member_id=person.id,
                method=method,
                created_at=unit.at,
                last_seen_at=unit.at,
                expires_at=unit.at + timedelta(hours=1),
            )
        )


def ended_by(acme: Customer) -> list[str | None]:
    with acme.unit() as unit:
        return list(unit.session.scalars(select(WebSession.ended_by).where(WebSession.org_id == unit.org_id)))


def reason_of(acme: Customer, subject: str, **facts: object) -> str:
    with pytest.raises(SignInRefusedError) as caught:
        sign_in(acme, subject, **facts)
    return str(caught.value.reason)


class TestNames:
    """A name beside the subject."""

    @pytest.mark.parametrize("is_vouched_for", [False, True])
    def test_t14_a_name_that_people_may_choose_takes_nobody_over_whom_a_directory_pushed(
        self, acme: Customer, *, is_vouched_for: bool
    ) -> None:
        acme.push("ceo@acme.test")
        email = "ceo@acme.test" if is_vouched_for else "mallory@evil.test"

        reason = reason_of(
            acme, "m", directory_name="ceo@acme.test", is_name_sure=False, email=email, is_email_verified=is_vouched_for
        )

        assert reason == SignInRefusal.SOMEBODY_ELSE
        assert count(acme, Identity) == 0

    def test_t12_one_that_is_a_vouched_address_in_a_verified_domain_does(self, acme: Customer) -> None:
        verified_domain(acme, "acme.test")
        ceo = acme.push("ceo@acme.test")

        found = sign_in(acme, "00u1", directory_name="ceo@acme.test", is_name_sure=False, email="ceo@acme.test")

        assert found.member.id == ceo.id

    def test_t14_forgotten_links_prove_no_name_and_end_the_sessions(self, acme: Customer) -> None:
        sign_in(acme, "00umallory", email="ceo@acme.test", directory_name="ceo@acme.test")
        open_session(acme)
        with acme.unit() as unit:
            map_claims(unit, acme.connection_id, facts={"subject": "uid"}, forget_links=True)

        with pytest.raises(AdoptionRefusedError):
            acme.push("ceo@acme.test")

        assert ended_by(acme) == ["links_forgotten"]


def test_t14_a_subject_of_one_protocol_is_nobody_in_another(acme: Customer) -> None:
    sign_in(acme, "1001", email=ADA, directory_name=ADA)
    with acme.unit() as unit:
        get_connection(unit, acme.connection_id).protocol = SignInProtocol.OIDC

    found = sign_in(acme, "1001", protocol=SignInProtocol.OIDC, directory_name="bo@acme.test", email="bo@acme.test")

    assert found.member.user_name == "bo@acme.test"


def test_a_sign_in_read_by_other_claims_than_count_by_now_is_refused(acme: Customer) -> None:
    subject = asserted(acme, ADA, start(acme))
    with acme.unit() as unit:
        map_claims(unit, acme.connection_id, facts={"subject": "oid"})

    with pytest.raises(SignInRefusedError) as caught:
        complete(acme, subject)

    assert caught.value.reason == SignInRefusal.OTHER_CLAIMS
    assert count(acme, Identity) == 0


class TestLinks:
    """Links made by hand."""

    @pytest.mark.parametrize("subject", ["", " ", "x" * 401, "a\0b"])
    def test_i8_what_no_provider_would_send_is_linked_to_nobody(self, acme: Customer, subject: str) -> None:
        with acme.unit() as unit, pytest.raises(InvalidInputError):
            link_identity(unit, acme.connection_id, acme.owner_id, subject=subject)

    def test_t14_are_taken_back_with_what_the_person_was_signed_in_to(self, acme: Customer) -> None:
        sign_in(acme, ADA)
        open_session(acme)
        [ada] = members(acme)

        with acme.unit() as unit:
            assert unlink_identity(unit, acme.connection_id, ada.id) == [ADA]

        assert (count(acme, Identity), ended_by(acme)) == (0, ["unlinked"])
        with acme.unit() as unit, pytest.raises(NotFoundError):
            unlink_identity(unit, acme.connection_id, ada.id)


def test_t16_a_disabled_connection_signs_nobody_in_and_its_sessions_end_until_it_is_enabled(acme: Customer) -> None:
    sign_in(acme, ADA)
    open_session(acme)
    under_way = asserted(acme, ADA, start(acme))
    with acme.unit() as unit:
        assert disable_connection(unit, acme.connection_id) == 1

    with pytest.raises(SignInRefusedError):
        complete(acme, under_way)
    with acme.unit() as unit:
        enable_connection(unit, acme.connection_id)

    assert ended_by(acme) == ["connection_disabled"]
    with pytest.raises(SignInRefusedError):
        complete(acme, under_way)
    assert sign_in(acme, ADA).member.user_name == ADA


def test_t14_another_provider_ends_what_people_signed_in_to_by_the_former_one(acme: Customer) -> None:
    sign_in(acme, ADA)
    open_session(acme)
    under_way = asserted(acme, ADA, start(acme))

    trust(acme)
    same = ended_by(acme)
    with acme.unit() as unit:
        believed = trust_in(saml.parse_idp_metadata(idp().metadata(), now=unit.at))
        trust_saml_provider(unit, acme.connection_id, replace(believed, entity_id="https://other.example/idp"))

    assert (same, ended_by(acme)) == ([None], ["provider_changed"])
    with pytest.raises(SignInRefusedError):
        complete(acme, under_way)


class TestRemovedPeople:
    """Whom the directory has removed."""

    @pytest.fixture
    def gone(self, acme: Customer) -> Customer:
        pushed_by_token(acme)
        acme.push(ADA, external_id="e-1")
        sign_in(acme, "00u1", directory_name=ADA)
        remove(acme, ADA)
        return acme

    @pytest.mark.parametrize(("subject", "name"), [("00u1", "new@acme.test"), ("00u2", ADA), (ADA, "x@acme.test")])
    def test_t18_do_not_come_back_by_a_mere_sign_in(self, gone: Customer, subject: str, name: str) -> None:
        assert reason_of(gone, subject, directory_name=name, email=name) == SignInRefusal.REMOVED
        assert members(gone) == []

    def test_come_back_when_the_directory_names_them_again(self, gone: Customer) -> None:
        gone.push(ADA)

        assert sign_in(gone, "00u1", directory_name=ADA).member.user_name == ADA
        assert count(gone, RemovedPerson) == 0

    def test_come_back_by_a_sign_in_once_somebody_here_allows_it(self, gone: Customer) -> None:
        with gone.unit() as unit:
            assert readmit(unit, gone.connection_id, "ADA@acme.test") == 1

        assert sign_in(gone, "00u1", directory_name=ADA).member.user_name == ADA

    def test_t5_are_not_whose_subject_is_what_their_directory_numbered_them_by(self, gone: Customer) -> None:
        zoe = sign_in(gone, "e-1", directory_name="zoe@acme.test", email="zoe@acme.test")

        assert zoe.member.user_name == "zoe@acme.test"

    def test_do_not_come_back_by_the_address_that_the_directory_gave_them(self, acme: Customer) -> None:
        pushed_by_token(acme)
        acme.push("mia.m", emails=[{"value": "mia@acme.test", "primary": True}])
        remove(acme, "mia.m")

        assert reason_of(acme, "mia@acme.test") == SignInRefusal.REMOVED

    def test_do_not_come_back_by_a_former_name_which_is_free_while_they_are_here(self, acme: Customer) -> None:
        pushed_by_token(acme)
        mia = acme.push("mia@acme.test")
        with acme.unit(acme.directory) as unit:
            update_member(unit, get_member(unit, mia.id), PersonDraft("mia.l@acme.test"))
        while_here = sign_in(acme, "mia@acme.test").member
        with acme.unit() as unit:
            remove_member(unit, get_member(unit, while_here.id), reason="by_hand")
        remove(acme, "mia.l@acme.test")

        assert reason_of(acme, "mia@acme.test") == SignInRefusal.REMOVED

    def test_do_not_come_back_through_another_connection_that_is_not_turned_off(self, gone: Customer) -> None:
        entra = replace(gone, connection_id=add_connection(gone, "Entra"))
        trust(entra)

        assert reason_of(entra, "other", directory_name=ADA, email=ADA) == SignInRefusal.REMOVED
        with gone.unit() as unit:
            disable_connection(unit, gone.connection_id)
        assert sign_in(entra, "other", directory_name=ADA, email=ADA).member.user_name == ADA

    def test_do_not_come_back_when_an_owner_releases_their_removal(self, acme: Customer) -> None:
        pushed_by_token(acme)
        set_brake(acme, minimum=1, share=1)
        for name in ("ada", "bo"):
            sign_in(acme, f"{name}@acme.test")
        for name in ("ada", "bo"):
            remove(acme, f"{name}@acme.test")
        with acme.unit(acme.owner) as unit:
            hold = find_open_hold(unit)
            assert hold is not None
            release_hold(unit, hold.id, revision=hold.revision, reason="They have left")

        assert [reason_of(acme, f"{name}@acme.test") for name in ("ada", "bo")] == [SignInRefusal.REMOVED] * 2

    def test_stay_away_when_the_client_that_removed_them_has_nothing_to_push_or_is_revoked(
        self, gone: Customer, clock: SettableClock
    ) -> None:
        clock.at += timedelta(days=40)
        with gone.unit() as unit:
            for token in live_tokens(unit, gone.connection_id):
                revoke_scim_token(unit, token.id)
            unit.session.execute(delete(ScimToken))

        assert reason_of(gone, "00u1", directory_name=ADA, email=ADA) == SignInRefusal.REMOVED

    def test_are_kept_without_a_name(self, gone: Customer) -> None:
        with gone.unit() as unit:
            kept = unit.session.scalars(select(RemovedPerson)).all()
            # userName, externalId and one subject
            assert len(kept) == 3
            assert all(len(one.digest) == 32 for one in kept)


def test_a_client_that_pushes_nothing_for_a_month_is_a_directory_still_and_a_revoked_one_has_stopped(
    acme: Customer, clock: SettableClock
) -> None:
    with acme.unit() as unit:
        client, _ = add_client(unit, acme.connection_id, label="Okta")
    pushed_by_token(acme, client_id=client.id, expires_at=clock.at + timedelta(hours=1))
    clock.at += timedelta(days=32)
    with acme.unit() as unit:
        expire_what_ran_out(unit)
        connection = get_connection(unit, acme.connection_id)

        idle = directory_of(unit, connection)
        revoke_client(unit, find_client(unit, "Okta"))

        assert (idle, directory_of(unit, connection)) == (Directory.CONFIRMS, Directory.STOPPED)


class TestDirectoryThatStopped:
    """A provisional person and the directory that was to name them."""

    def test_lets_nobody_stay_and_ends_nobody_until_it_pushes_again(self, acme: Customer, clock: SettableClock) -> None:
        pushed_by_token(acme)
        sign_in(acme, ADA)
        clock.at += timedelta(days=14, minutes=1)
        with acme.unit() as unit:
            issue_scim_token(unit, acme.connection_id)
            [leaked] = [one for one in live_tokens(unit, acme.connection_id) if one.last_used_at]
            revoke_scim_token(unit, leaked.id)

        waiting = end_unconfirmed_everywhere(acme.runtime)
        [still] = members(acme)
        with acme.unit() as unit:
            alerts = unit.session.scalars(select(Alert.code).where(Alert.resolved_at.is_(None))).all()
            unit.session.execute(update(ScimToken).where(ScimToken.revoked_at.is_(None)).values(last_used_at=unit.at))
        ended = end_unconfirmed_everywhere(acme.runtime)

        assert (waiting, ended) == (0, 1)
        assert still.active
        assert still.provisional_until is not None
        assert "directory_stopped" in alerts


@pytest.mark.parametrize(("subject", "is_confirmed"), [(ADA, True), ("00umallory", False)])
def test_a_group_that_the_directory_puts_somebody_into_confirms_whom_the_provider_named_so(
    acme: Customer, subject: str, *, is_confirmed: bool
) -> None:
    with acme.unit() as unit:
        set_confirmation(unit, acme.connection_id, Confirmation.ALWAYS)
    person = sign_in(acme, subject, directory_name=ADA, email=ADA).member

    with acme.unit(Actor(ActorKind.DIRECTORY, acme.connection_id)) as unit:
        create_group(unit, acme.connection_id, GroupDraft("Team"), [str(person.id)])

    [now] = members(acme)
    assert (now.provisional_until is None) == is_confirmed
