"""What a real identity provider signs, our verification accepts."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge.adapters import saml
from bridge.domain.claims import ClaimedPerson
from bridge.errors import SignInRefusedError
from tests.simplesamlphp import SimpleSamlPhp, missing

SP = saml.SpSettings("https://bridge.example/saml/acme", "https://bridge.example/saml/acme/acs")
OTHER = saml.SpSettings("https://other.example/saml", "https://other.example/saml/acs")

pytestmark = [pytest.mark.external, pytest.mark.skipif(missing() is not None, reason=str(missing()))]


@pytest.fixture(scope="module")
def idp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleSamlPhp]:
    folder: Path = tmp_path_factory.mktemp("simplesamlphp")
    with SimpleSamlPhp(folder, {SP.entity_id: SP.acs_url, OTHER.entity_id: OTHER.acs_url}) as running:
        yield running


@pytest.fixture(scope="module")
def metadata(idp: SimpleSamlPhp) -> saml.IdpMetadata:
    return saml.parse_idp_metadata(idp.metadata(), now=datetime.now(UTC))


def trust(metadata: saml.IdpMetadata) -> saml.IdpTrust:
    return saml.IdpTrust(metadata.entity_id, tuple(certificate.pem for certificate in metadata.certificates))


def test_a_person_signs_in_with_names_and_groups(idp: SimpleSamlPhp, metadata: saml.IdpMetadata) -> None:
    request_id, now = saml.new_request_id(), datetime.now(UTC)
    url = saml.build_authn_request(SP, metadata, request_id, "a-relay-state", now)

    posted = idp.sign_in(url, "ada", "adapass")
    assertion = saml.verify_response(
        posted.saml_response,
        sp=SP,
        idp=trust(metadata),
        expected_request=request_id,
        now=datetime.now(UTC),
        skew_seconds=60,
    )

    assert (posted.acs_url, posted.relay_state) == (SP.acs_url, "a-relay-state")
    assert (assertion.in_response_to, assertion.signed) == (request_id, saml.SignedPart.BOTH)
    assert saml.asserted_person(assertion) == saml.AssertedPerson(
        subject="ada@acme.example",
        directory_name="ada@acme.example",
        claimed=ClaimedPerson(
            subject=None,
            user_name=None,
            email="ada@acme.example",
            given_name="Ada",
            family_name="Lovelace",
            display_name=None,
            groups=frozenset({"Engineering", "Everyone"}),
            attributes={},
        ),
    )


def test_a_person_without_the_claim_has_unknown_groups(idp: SimpleSamlPhp, metadata: saml.IdpMetadata) -> None:
    request_id, now = saml.new_request_id(), datetime.now(UTC)
    url = saml.build_authn_request(SP, metadata, request_id, "r", now)

    posted = idp.sign_in(url, "grace", "gracepass")
    assertion = saml.verify_response(
        posted.saml_response,
        sp=SP,
        idp=trust(metadata),
        expected_request=request_id,
        now=datetime.now(UTC),
        skew_seconds=60,
    )

    assert saml.asserted_person(assertion).claimed.groups is None


def test_a_response_for_another_service_of_the_same_provider_is_refused(
    idp: SimpleSamlPhp, metadata: saml.IdpMetadata
) -> None:
    request_id, now = saml.new_request_id(), datetime.now(UTC)
    posted = idp.sign_in(saml.build_authn_request(OTHER, metadata, request_id, "r", now), "ada", "adapass")

    with pytest.raises(SignInRefusedError) as refusal:
        saml.verify_response(
            posted.saml_response,
            sp=SP,
            idp=trust(metadata),
            expected_request=request_id,
            now=datetime.now(UTC),
            skew_seconds=60,
        )

    assert refusal.value.reason == saml.SamlRefusal.DESTINATION
