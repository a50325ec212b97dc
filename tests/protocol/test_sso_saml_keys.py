"""Our keys as an identity provider sees them: in the metadata, and under the requests it gets."""

import base64
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from flask import Flask
from lxml import etree

from bridge.runtime import Runtime
from bridge.simulator.saml import DS, METADATA, Signed, encode, sign
from bridge.store.models import SamlProvider
from bridge.usecases.saml_trust import set_saml_options
from bridge.usecases.service_keys import begin_key_change, forget_old_key, use_next_key
from bridge.web.app import create_web_app
from bridge.web.sso import saml_blueprint
from tests.factories import Customer
from tests.saml_encryption import CBC, Method, encrypt_assertion
from tests.sign_ins import ADA, Browser, events, idp, members, trust


@pytest.fixture
def app(runtime: Runtime) -> Flask:
    return create_web_app(runtime, [saml_blueprint(runtime)])


@pytest.fixture
def visitor(app: Flask, customer: Customer) -> Browser:
    trust(customer)
    return Browser(app, customer)


def published(visitor: Browser, use: str = "signing") -> list[x509.Certificate]:
    return list(_certificates(etree.fromstring(visitor.get(f"{visitor.base}/metadata").data), use))


def _certificates(entity: etree._Element, use: str) -> Iterator[x509.Certificate]:
    for key in entity.iterfind(f"{{{METADATA}}}SPSSODescriptor/{{{METADATA}}}KeyDescriptor"):
        if key.get("use") == use:
            for certificate in key.iter(f"{{{DS}}}X509Certificate"):
                yield x509.load_der_x509_certificate(base64.b64decode(certificate.text or ""))


def says_signed(visitor: Browser) -> str:
    entity = etree.fromstring(visitor.get(f"{visitor.base}/metadata").data)
    descriptor = entity.find(f"{{{METADATA}}}SPSSODescriptor")
    assert descriptor is not None
    return str(descriptor.get("AuthnRequestsSigned"))


def sign_requests(customer: Customer, wanted: bool | None) -> None:  # noqa: FBT001 - the value that is set
    with customer.unit() as unit:
        set_saml_options(unit, customer.connection_id, sign_requests=wanted)


def sent(visitor: Browser) -> str:
    return visitor.get(f"{visitor.base}/start").location


def is_signed_by(url: str, certificate: x509.Certificate) -> bool:
    query, _, _ = urlsplit(url).query.partition("&Signature=")
    signature = base64.b64decode(parse_qs(urlsplit(url).query)["Signature"][0])
    public_key = certificate.public_key()
    assert isinstance(public_key, rsa.RSAPublicKey)
    public_key.verify(signature, query.encode(), padding.PKCS1v15(), hashes.SHA256())
    return True


def test_the_metadata_has_our_key_which_is_made_when_it_is_first_asked_for(visitor: Browser) -> None:
    first = published(visitor)

    assert len(first) == 1
    assert published(visitor) == first


def test_during_a_key_change_the_metadata_has_the_next_key_too_and_afterwards_only_that(
    visitor: Browser, customer: Customer
) -> None:
    (old,) = published(visitor)
    with customer.unit() as unit:
        begin_key_change(unit, customer.connection_id, customer.runtime.make_service_key)
    both = published(visitor)
    with customer.unit() as unit:
        use_next_key(unit, customer.connection_id)

    assert (len(both), both[0]) == (2, old)
    assert published(visitor) == both[1:]


def test_requests_are_signed_by_the_current_key_where_the_connection_is_set_so(
    visitor: Browser, customer: Customer
) -> None:
    sign_requests(customer, wanted=True)
    with customer.unit() as unit:
        begin_key_change(unit, customer.connection_id, customer.runtime.make_service_key)
    current, following = published(visitor)

    before = sent(visitor)
    with customer.unit() as unit:
        use_next_key(unit, customer.connection_id)
    after = sent(visitor)

    assert is_signed_by(before, current)
    assert is_signed_by(after, following)
    assert visitor.sign_in(ADA).status_code == 303


def test_requests_are_signed_where_the_metadata_of_the_provider_wants_it(visitor: Browser, customer: Customer) -> None:
    unsigned = sent(visitor)
    with customer.unit() as unit:
        unit.session.get_one(SamlProvider, (unit.org_id, customer.connection_id)).wants_signed_requests = True

    assert "Signature" not in parse_qs(urlsplit(unsigned).query)
    assert is_signed_by(sent(visitor), published(visitor)[0])


@pytest.mark.parametrize(
    ("wanted", "set_to", "signed"), [(False, None, "false"), (True, None, "true"), (True, False, "false")]
)
def test_our_metadata_tells_the_truth_about_signed_requests(
    visitor: Browser,
    customer: Customer,
    wanted: bool,  # noqa: FBT001 - a parameter of the test
    set_to: bool | None,  # noqa: FBT001 - a parameter of the test
    signed: str,
) -> None:
    with customer.unit() as unit:
        unit.session.get_one(SamlProvider, (unit.org_id, customer.connection_id)).wants_signed_requests = wanted
    sign_requests(customer, set_to)

    assert says_signed(visitor) == signed
    assert ("Signature" in parse_qs(urlsplit(sent(visitor)).query)) == (signed == "true")


def answer_encrypted(visitor: Browser, customer: Customer, to: x509.Certificate, method: Method = Method()) -> int:  # noqa: B008 - it is frozen
    drafted = idp().draft(visitor.start(), ADA, now=customer.runtime.clock.now())
    pem = to.public_bytes(Encoding.PEM).decode()
    return visitor.answer(
        encode(encrypt_assertion(sign(drafted, idp().key, Signed.ASSERTION), pem, method))
    ).status_code


def test_an_assertion_encrypted_to_the_key_in_our_metadata_signs_in(visitor: Browser, customer: Customer) -> None:
    (ours,) = published(visitor, "encryption")

    assert answer_encrypted(visitor, customer, ours) == 303
    assert [member.user_name for member in members(customer)] == ["ada@acme.test"]


def test_during_a_key_change_what_is_encrypted_to_either_key_signs_in_until_the_old_one_is_forgotten(
    visitor: Browser, customer: Customer
) -> None:
    (old,) = published(visitor, "encryption")
    with customer.unit() as unit:
        begin_key_change(unit, customer.connection_id, customer.runtime.make_service_key)
    before = answer_encrypted(visitor, customer, old)
    with customer.unit() as unit:
        use_next_key(unit, customer.connection_id)
    (new,) = published(visitor, "encryption")
    during = [answer_encrypted(visitor, customer, key) for key in (old, new)]
    with customer.unit() as unit:
        forget_old_key(unit, customer.connection_id)

    assert (before, during) == (303, [303, 303])
    assert [answer_encrypted(visitor, customer, key) for key in (old, new)] == [403, 303]


def test_weak_encryption_is_refused_and_the_log_says_what_to_choose(visitor: Browser, customer: Customer) -> None:
    (ours,) = published(visitor, "encryption")

    assert answer_encrypted(visitor, customer, ours, Method(CBC)) == 403
    (refused,) = events(customer)
    assert "choose AES-GCM and RSA-OAEP at the identity provider" in refused.detail
    assert members(customer) == []


def test_our_metadata_offers_no_key_to_encrypt_to_where_the_connection_is_set_so(
    visitor: Browser, customer: Customer
) -> None:
    with customer.unit() as unit:
        set_saml_options(unit, customer.connection_id, offers_encryption=False)

    assert published(visitor, "encryption") == []
    assert len(published(visitor)) == 1
