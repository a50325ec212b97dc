"""Metadata that is read again, over real HTTP, and warnings before what is believed ends."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from lxml import etree
from sqlalchemy import select

from bridge.adapters.saml import parse_idp_metadata
from bridge.adapters.saml.trust import trust_in
from bridge.domain.actors import OPERATOR
from bridge.errors import InvalidInputError, MetadataGivenMeanwhileError
from bridge.jobs.metadata import keep_trust_fresh, refresh
from bridge.simulator.saml import SigningKey, SimulatedIdp, sign_element
from bridge.store.models import Alert, AuditEntry, Delivery, SamlProvider
from bridge.usecases.saml_trust import (
    MetadataSource,
    certificates_of,
    saml_provider,
    set_saml_options,
    trust_saml_provider,
)
from bridge.usecases.service_keys import ensure_service_key
from tests.conftest import SettableClock
from tests.factories import Customer
from tests.metadata_site import MetadataSite, metadata_site
from tests.saml_forgeries import NOW, other_key
from tests.sign_ins import idp


@pytest.fixture
def site() -> Iterator[MetadataSite]:
    with metadata_site(idp().metadata()) as running:
        yield running


@pytest.fixture
def acme(customer: Customer, site: MetadataSite) -> Customer:
    believe(customer, site)
    return customer


def believe(customer: Customer, site: MetadataSite, signed_by: str | None = None) -> None:
    with customer.unit() as unit:
        trust_saml_provider(
            unit,
            customer.connection_id,
            trust_in(parse_idp_metadata(idp().metadata(), now=unit.at)),
            MetadataSource(site.url, signed_by),
        )


def renewed(valid_for: timedelta = timedelta(days=365)) -> SimulatedIdp:
    """The same provider with another key."""
    key = other_key() if valid_for.days == 365 else SigningKey.generate("Longer", NOW, valid_for)
    return replace(idp(), key=key)


def signed_metadata(key: SigningKey) -> bytes:
    entity = etree.fromstring(idp().metadata())
    entity.set("ID", "_m")
    sign_element(entity, key)
    document: bytes = etree.tostring(entity)
    return document


def provider(customer: Customer) -> SamlProvider:
    with customer.unit() as unit:
        found = saml_provider(unit, customer.connection_id)
    assert found is not None
    return found


def believed(customer: Customer) -> set[str]:
    with customer.unit() as unit:
        return {one.pem for one in certificates_of(unit, customer.connection_id)}


def alerts(customer: Customer) -> list[tuple[str, int | None]]:
    with customer.unit() as unit:
        found = unit.session.scalars(select(Alert).where(Alert.resolved_at.is_(None)).order_by(Alert.code))
        return [(alert.code, alert.number) for alert in found]


def mails(customer: Customer) -> int:
    with customer.unit() as unit:
        return len(unit.session.scalars(select(Delivery).where(Delivery.kind == "alert_mail")).all())


def read_again(customer: Customer) -> object:
    return refresh(customer.runtime, customer.org_id, customer.connection_id, OPERATOR)


def test_another_certificate_is_taken_over_and_audited_with_who_what_and_why(
    acme: Customer, site: MetadataSite, clock: SettableClock
) -> None:
    site.document = renewed().metadata()
    clock.at += timedelta(days=1)

    changed = keep_trust_fresh(acme.runtime)

    assert changed == 1
    assert believed(acme) == {other_key().certificate.decode()}
    with acme.unit() as unit:
        newest = unit.session.scalars(
            select(AuditEntry).where(AuditEntry.action == "connection.saml_trusted").order_by(AuditEntry.seq.desc())
        ).first()
    assert newest is not None
    assert (newest.actor, newest.reason) == ("system", "metadata_refreshed")
    assert (len(newest.body["added"]), len(newest.body["removed"])) == (1, 1)


def test_the_same_document_again_changes_and_audits_nothing(acme: Customer, clock: SettableClock) -> None:
    clock.at += timedelta(days=1)

    assert keep_trust_fresh(acme.runtime) == 0
    assert provider(acme).checked_at == clock.at
    with acme.unit() as unit:
        entries = unit.session.scalars(select(AuditEntry).where(AuditEntry.action == "connection.saml_trusted")).all()
    assert len(entries) == 1


def test_metadata_is_read_once_a_day(acme: Customer, site: MetadataSite, clock: SettableClock) -> None:
    site.document = renewed().metadata()
    clock.at += timedelta(hours=23)

    assert keep_trust_fresh(acme.runtime) == 0
    assert believed(acme) == {idp().key.certificate.decode()}


UNUSABLE = {
    "no metadata": (b"<html>Maintenance</html>", "this is not SAML metadata"),
    "cut off": (idp().metadata()[:300], "not well-formed"),
    "of another provider": (replace(idp(), entity_id="https://evil.example").metadata(), "no identity provider"),
    "ended": (idp().metadata().replace(b"entityID", b'validUntil="2026-01-01T00:00:00Z" entityID', 1), "valid until"),
    "with a doctype": (b"<!DOCTYPE a>" + idp().metadata().partition(b"?>")[2], "DOCTYPE"),
}


@pytest.mark.parametrize(("document", "sentence"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_document_that_cannot_be_used_keeps_the_old_trust_and_alerts_the_owners_once(
    acme: Customer, site: MetadataSite, clock: SettableClock, document: bytes, sentence: str
) -> None:
    before = mails(acme)
    site.document = document

    for _ in range(2):
        clock.at += timedelta(days=1)
        keep_trust_fresh(acme.runtime)

    assert believed(acme) == {idp().key.certificate.decode()}
    assert alerts(acme) == [("metadata_not_refreshed", None)]
    assert mails(acme) == before + 1
    assert sentence in (provider(acme).problem or "")


def test_the_alert_is_settled_when_the_metadata_can_be_read_again(acme: Customer, site: MetadataSite) -> None:
    site.document = b"<html/>"
    with pytest.raises(InvalidInputError):
        read_again(acme)
    site.document = idp().metadata()

    assert not read_again(acme)
    assert (alerts(acme), provider(acme).problem) == ([], None)


def test_an_address_that_does_not_answer_is_told_of_when_it_does_not_the_second_time(
    acme: Customer, site: MetadataSite, clock: SettableClock
) -> None:
    site.status = 503
    clock.at += timedelta(days=1)
    keep_trust_fresh(acme.runtime)
    first = alerts(acme)
    clock.at += timedelta(days=1)
    keep_trust_fresh(acme.runtime)

    assert (first, alerts(acme)) == ([], [("metadata_not_refreshed", None)])


def test_i8_metadata_follows_no_redirect(acme: Customer, site: MetadataSite) -> None:
    """I8: not into the network behind, and not anywhere else."""
    site.status, site.location = 302, "http://169.254.169.254/latest/meta-data"

    with pytest.raises(InvalidInputError, match="redirects elsewhere"):
        read_again(acme)


def test_i8_a_name_that_leads_to_this_machine_by_now_is_not_read(customer: Customer, site: MetadataSite) -> None:
    """I8: only an address that names this machine itself may be read here, and that one the operator typed."""
    believe(customer, site)
    with customer.unit() as unit:
        unit.session.get_one(SamlProvider, (unit.org_id, customer.connection_id)).metadata_url = site.url.replace(
            "127.0.0.1", "0x7f000001"
        )

    with pytest.raises(InvalidInputError, match="must start with https://"):
        read_again(customer)


def test_a_signature_that_is_required_is_required_every_time(customer: Customer, site: MetadataSite) -> None:
    believe(customer, site, signed_by=other_key().certificate.decode())
    site.document = signed_metadata(other_key())
    assert not read_again(customer)

    for document in (idp().metadata(), signed_metadata(idp().key)):
        site.document = document
        with pytest.raises(InvalidInputError, match="signature is required"):
            read_again(customer)
    assert believed(customer) == {idp().key.certificate.decode()}


def test_metadata_from_a_file_is_not_read_again(customer: Customer) -> None:
    with customer.unit() as unit:
        trust_saml_provider(unit, customer.connection_id, trust_in(parse_idp_metadata(idp().metadata(), now=unit.at)))

    with pytest.raises(InvalidInputError, match="from a file"):
        read_again(customer)
    assert keep_trust_fresh(customer.runtime) == 0


def test_owners_are_warned_once_30_14_and_3_days_before_a_certificate_ends(
    acme: Customer, site: MetadataSite, clock: SettableClock
) -> None:
    (ends,) = (one.not_after for one in parse_idp_metadata(idp().metadata(), now=clock.at).certificates)
    before, warned = mails(acme), []
    for days in (31, 30, 29, 14, 13, 3, 1):
        clock.at = ends - timedelta(days=days)
        keep_trust_fresh(acme.runtime)
        warned.append(alerts(acme))

    assert warned == [[], *([("idp_certificate_ends", number)] for number in (30, 30, 14, 14, 3, 3))]
    assert mails(acme) == before + 3
    site.document = renewed(timedelta(days=900)).metadata()
    read_again(acme)
    keep_trust_fresh(acme.runtime)
    assert alerts(acme) == []


def test_owners_are_warned_before_our_own_key_ends(customer: Customer, clock: SettableClock) -> None:
    with customer.unit() as unit:
        long = replace(idp(), key=SigningKey.generate("Long", unit.at, timedelta(days=3650)))
        trust_saml_provider(unit, customer.connection_id, trust_in(parse_idp_metadata(long.metadata(), now=unit.at)))
        (key,) = ensure_service_key(unit, customer.connection_id, customer.runtime.make_service_key)
    clock.at = key.not_after - timedelta(days=14)

    keep_trust_fresh(customer.runtime)

    assert alerts(customer) == [("service_key_ends", 14)]


def test_what_is_given_while_the_former_metadata_is_read_stays(acme: Customer, site: MetadataSite) -> None:
    site.document = renewed().metadata()

    def give_a_file() -> None:
        with acme.unit() as unit:
            metadata = parse_idp_metadata(idp().metadata(), now=unit.at)
            trust_saml_provider(unit, acme.connection_id, trust_in(metadata))

    site.while_reading = give_a_file

    with pytest.raises(MetadataGivenMeanwhileError, match="that one stays"):
        read_again(acme)
    assert believed(acme) == {idp().key.certificate.decode()}
    assert (provider(acme).metadata_url, provider(acme).problem, alerts(acme)) == (None, None, [])


def test_a_failure_to_read_what_is_not_believed_any_more_is_not_noted(acme: Customer, site: MetadataSite) -> None:
    site.status = 500

    def give_a_file() -> None:
        with acme.unit() as unit:
            metadata = parse_idp_metadata(idp().metadata(), now=unit.at)
            trust_saml_provider(unit, acme.connection_id, trust_in(metadata))

    site.while_reading = give_a_file

    with pytest.raises(InvalidInputError):
        read_again(acme)
    assert provider(acme).problem is None


def test_every_fact_that_metadata_changes_is_audited(acme: Customer, site: MetadataSite) -> None:
    entity = etree.fromstring(idp().metadata())
    descriptor = entity.find("{urn:oasis:names:tc:SAML:2.0:metadata}IDPSSODescriptor")
    assert descriptor is not None
    descriptor.set("WantAuthnRequestsSigned", "true")
    site.document = etree.tostring(entity)

    changed = refresh(acme.runtime, acme.org_id, acme.connection_id, OPERATOR)

    assert changed.changed == ("wants_signed_requests",)
    with acme.unit() as unit:
        newest = unit.session.scalars(
            select(AuditEntry).where(AuditEntry.action == "connection.saml_trusted").order_by(AuditEntry.seq.desc())
        ).first()
    assert newest is not None
    assert (newest.body["changed"], newest.body["wants_signed_requests"]) == (["wants_signed_requests"], True)


def test_switches_of_a_connection_are_audited_once(acme: Customer) -> None:
    for _ in range(2):
        with acme.unit() as unit:
            set_saml_options(unit, acme.connection_id, idp_initiated=True, jit=False)

    with acme.unit() as unit:
        entries = unit.session.scalars(
            select(AuditEntry).where(AuditEntry.action == "connection.saml_options_set")
        ).all()
    assert [(entry.body["idp_initiated"], entry.body["jit"]) for entry in entries] == [(True, False)]
