"""Connections: tokens, SAML trust, domains and links, in units of work on a real database."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from bridge.domain.actors import Actor, ActorKind
from bridge.domain.identifiers import ConnectionId, MemberId, new_id
from bridge.domain.roles import Role
from bridge.errors import ForbiddenError, InvalidInputError, NotFoundError, TokenLimitError, UniquenessError
from bridge.runtime import Runtime
from bridge.store import gate
from bridge.store.models import AuditEntry, Connection
from bridge.usecases.connections import (
    claim_domain,
    create_connection,
    find_connection,
    issue_scim_token,
    list_connections,
    list_domains,
    live_tokens,
    revoke_scim_token,
    verify_domain,
)
from bridge.usecases.link_people import link_identity
from bridge.usecases.manage_access import deactivate_member
from bridge.usecases.saml_trust import SamlTrust, TrustedCertificate, certificates_of, trust_saml_provider
from bridge.usecases.sign_in_links import create_sign_in_link, use_sign_in_link
from tests.conftest import SettableClock
from tests.factories import Customer

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def certificate(name: str, days: int = 365) -> TrustedCertificate:
    return TrustedCertificate(f"pem {name}", name, NOW - timedelta(days=1), NOW + timedelta(days=days))


def trust(*certificates: TrustedCertificate) -> SamlTrust:
    return SamlTrust("https://idp.test/meta", "https://idp.test/sso", certificates)


def enters(runtime: Runtime, token_hash: bytes) -> gate.ScimPrincipal | None:
    return runtime.ask_gate(lambda session: gate.enter_scim(session, token_hash, runtime.clock.now()))


class TestTokens:
    def test_a_new_token_opens_its_connection_and_only_its_hash_is_kept(
        self, runtime: Runtime, customer: Customer
    ) -> None:
        with customer.unit() as unit:
            token = issue_scim_token(unit, customer.connection_id)
            (stored,) = live_tokens(unit, customer.connection_id)

        principal = enters(runtime, token.hash)

        assert principal is not None
        assert (principal.org_id, principal.connection_id) == (customer.org_id, customer.connection_id)
        assert (stored.token_hash, stored.prefix) == (token.hash, token.text[:13])
        assert token.text not in repr(token)

    def test_two_live_at_once_and_a_third_is_refused_until_one_is_revoked(self, customer: Customer) -> None:
        with customer.unit() as unit:
            issue_scim_token(unit, customer.connection_id)
            issue_scim_token(unit, customer.connection_id)
            first, _ = live_tokens(unit, customer.connection_id)
            with pytest.raises(TokenLimitError):
                issue_scim_token(unit, customer.connection_id)

            revoke_scim_token(unit, first.id)
            issue_scim_token(unit, customer.connection_id)

            assert len(live_tokens(unit, customer.connection_id)) == 2

    def test_tokens_that_only_read_do_not_count_among_those_that_write(self, customer: Customer) -> None:
        with customer.unit() as unit:
            for can_write in (False, False, True, True):
                issue_scim_token(unit, customer.connection_id, can_write=can_write)

            with pytest.raises(TokenLimitError, match=r"that only read.*connection revoke-token"):
                issue_scim_token(unit, customer.connection_id, can_write=False)

    def test_a_revoked_an_expired_and_a_disabled_one_open_nothing(
        self, runtime: Runtime, customer: Customer, clock: SettableClock
    ) -> None:
        with customer.unit() as unit:
            revoked = issue_scim_token(unit, customer.connection_id)
            revoke_scim_token(unit, live_tokens(unit, customer.connection_id)[0].id)
            expiring = issue_scim_token(unit, customer.connection_id, lifetime=timedelta(hours=1))
            lasting = issue_scim_token(unit, customer.connection_id)

        before = [enters(runtime, token.hash) is not None for token in (revoked, expiring, lasting)]
        clock.at += timedelta(hours=1)
        after = [enters(runtime, token.hash) is not None for token in (revoked, expiring, lasting)]
        with customer.unit() as unit:
            unit.session.get_one(Connection, (unit.org_id, customer.connection_id)).disabled_at = unit.at
        disabled = enters(runtime, lasting.hash)

        assert (before, after, disabled) == ([False, True, True], [False, False, True], None)

    def test_revoking_twice_is_one_entry(self, customer: Customer) -> None:
        with customer.unit() as unit:
            issue_scim_token(unit, customer.connection_id)
            (token,) = live_tokens(unit, customer.connection_id)

            revoke_scim_token(unit, token.id)
            revoke_scim_token(unit, token.id)

            entries = unit.session.query(AuditEntry).filter_by(action="token.revoked").count()
            assert entries == 1

    def test_another_organization_s_connection_and_token_are_not_found(
        self, make_customer: Callable[..., Customer]
    ) -> None:
        ours, theirs = make_customer("ours"), make_customer("theirs")
        with theirs.unit() as unit:
            issue_scim_token(unit, theirs.connection_id)
            (token,) = live_tokens(unit, theirs.connection_id)

        with ours.unit() as unit:
            with pytest.raises(NotFoundError):
                issue_scim_token(unit, theirs.connection_id)
            with pytest.raises(NotFoundError):
                revoke_scim_token(unit, token.id)

    def test_who_is_no_admin_changes_no_connection(self, customer: Customer) -> None:
        member = Actor(ActorKind.MEMBER, new_id(), Role.MEMBER)

        with customer.unit(member) as unit:
            with pytest.raises(ForbiddenError):
                issue_scim_token(unit, customer.connection_id)
            with pytest.raises(ForbiddenError):
                create_connection(unit, "Mine")
            with pytest.raises(ForbiddenError):
                trust_saml_provider(unit, customer.connection_id, trust(certificate("one")))
            with pytest.raises(ForbiddenError):
                claim_domain(unit, "nordlys.test")


class TestNames:
    @pytest.mark.parametrize("name", ["", "  ", "okta", " OKTA "])
    def test_a_name_is_given_and_given_once(self, customer: Customer, name: str) -> None:
        with customer.unit() as unit, pytest.raises(InvalidInputError):
            create_connection(unit, name)

    def test_a_connection_is_found_by_name_or_id(self, customer: Customer) -> None:
        with customer.unit() as unit:
            made = create_connection(unit, "Entra")

            assert find_connection(unit, "Entra") is made
            assert find_connection(unit, str(made.id)) is made
            assert find_connection(unit, "okta").id == customer.connection_id
            assert {one.name for one in list_connections(unit)} == {"Okta", "Entra"}
            with pytest.raises(NotFoundError):
                find_connection(unit, "Google")


class TestSamlTrust:
    def test_certificates_that_the_metadata_no_longer_names_are_forgotten(self, customer: Customer) -> None:
        with customer.unit() as unit:
            trust_saml_provider(unit, customer.connection_id, trust(certificate("old", 10), certificate("new")))
            both = [one.fingerprint for one in certificates_of(unit, customer.connection_id)]

            trust_saml_provider(unit, customer.connection_id, trust(certificate("new")))

            left = [one.fingerprint for one in certificates_of(unit, customer.connection_id)]
            assert (both, left) == (["old", "new"], ["new"])

    def test_metadata_whose_certificates_have_all_expired_is_refused(self, customer: Customer) -> None:
        with customer.unit() as unit, pytest.raises(InvalidInputError, match="has expired"):
            trust_saml_provider(unit, customer.connection_id, trust(certificate("old", -1)))


class TestDomains:
    def test_the_record_proves_the_claim_and_nothing_else_does(self, customer: Customer) -> None:
        with customer.unit() as unit:
            claimed = claim_domain(unit, "Nordlys.Test.")
            record = f"seatbridge-verification={claimed.challenge}"
            with pytest.raises(InvalidInputError, match=record):
                verify_domain(unit, "nordlys.test", proof=["v=spf1 -all", f"{record}x"])

            verified = verify_domain(unit, "nordlys.test", proof=["v=spf1 -all", record])

            assert (verified.name, verified.verified_by) == ("nordlys.test", "dns")

    def test_claiming_again_keeps_the_record(self, customer: Customer) -> None:
        with customer.unit() as unit:
            first = claim_domain(unit, "nordlys.test").challenge

            again = claim_domain(unit, "nordlys.test", customer.connection_id)

            assert (again.challenge, again.connection_id) == (first, customer.connection_id)
            assert [domain.name for domain in list_domains(unit)] == ["nordlys.test"]

    def test_a_verified_domain_belongs_to_one_organization(self, make_customer: Callable[..., Customer]) -> None:
        ours, theirs = make_customer("ours"), make_customer("theirs")
        with theirs.unit() as unit:
            claim_domain(unit, "shared.test")
            verify_domain(unit, "shared.test")

        with ours.unit() as unit:
            claim_domain(unit, "shared.test")
            with pytest.raises(UniquenessError):
                verify_domain(unit, "shared.test")

    def test_what_was_not_claimed_is_not_verified(self, customer: Customer) -> None:
        with customer.unit() as unit, pytest.raises(NotFoundError):
            verify_domain(unit, "nordlys.test")

    @pytest.mark.parametrize("name", ["", "localhost", "a b.test", "-x.test", "x@nordlys.test", "x" * 64 + ".test"])
    def test_what_is_no_domain_is_refused(self, customer: Customer, name: str) -> None:
        with customer.unit() as unit, pytest.raises(InvalidInputError):
            claim_domain(unit, name)

    def test_another_alphabet_has_one_form(self, customer: Customer) -> None:
        with customer.unit() as unit:
            assert claim_domain(unit, "Münster.example").name == "xn--mnster-3ya.example"


class TestLinks:
    def test_a_link_signs_in_once_within_a_day(
        self, runtime: Runtime, customer: Customer, clock: SettableClock
    ) -> None:
        with customer.unit() as unit:
            used, late = (create_sign_in_link(unit, customer.owner_id) for _ in range(2))

        def find(token_hash: bytes) -> bool:
            found = runtime.ask_gate(lambda session: gate.find_sign_in_link(session, token_hash, clock.at))
            if found is not None:
                with customer.unit() as unit:
                    use_sign_in_link(unit, found[1])
            return found is not None

        first, second = find(used.hash), find(used.hash)
        clock.at += timedelta(hours=24)

        assert (first, second, find(late.hash)) == (True, False, False)

    def test_nobody_whose_access_is_off_gets_one(self, customer: Customer) -> None:
        member = customer.push("ada@nordlys.test")
        with customer.unit() as unit:
            found = unit.session.merge(member)
            deactivate_member(unit, found, reason="directory")

            with pytest.raises(InvalidInputError, match="deactivated"):
                create_sign_in_link(unit, MemberId(found.id))

    def test_a_subject_is_one_person(self, customer: Customer) -> None:
        ada = customer.push("ada@nordlys.test")
        with customer.unit() as unit:
            trust_saml_provider(unit, customer.connection_id, trust(certificate("one")))
            link_identity(unit, customer.connection_id, customer.owner_id, subject="00u1")

            again = link_identity(unit, customer.connection_id, customer.owner_id, subject="00u1")

            assert (again.member_id, again.issuer) == (customer.owner_id, "https://idp.test/meta")
            with pytest.raises(UniquenessError):
                link_identity(unit, customer.connection_id, MemberId(ada.id), subject="00u1")

    def test_nobody_is_linked_where_no_identity_provider_is_trusted(self, customer: Customer) -> None:
        with customer.unit() as unit, pytest.raises(InvalidInputError, match="trusts no identity provider yet"):
            link_identity(unit, customer.connection_id, customer.owner_id, subject="00u1")

    def test_a_connection_that_is_not_there_links_nobody(self, customer: Customer) -> None:
        with customer.unit() as unit, pytest.raises(NotFoundError):
            link_identity(unit, ConnectionId(new_id()), customer.owner_id, subject="00u1")
