"""Our keys towards a SAML identity provider: made once, kept sealed, changed without a gap."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlalchemy import select

from bridge.adapters.key_pairs import make_key_pair
from bridge.errors import ForbiddenError, InvalidInputError, NotFoundError
from bridge.store.models import AuditEntry, Connection, ServiceKey
from bridge.usecases.service_keys import (
    begin_key_change,
    ensure_service_key,
    forget_old_key,
    service_keys,
    use_next_key,
)
from tests.conftest import SettableClock
from tests.factories import Customer
from tests.sign_ins import actor


def needed(customer: Customer) -> ServiceKey:
    with customer.unit(actor(customer)) as unit:
        return ensure_service_key(unit, customer.connection_id, customer.runtime.make_service_key)[0]


def stages(customer: Customer) -> list[str]:
    with customer.unit() as unit:
        return [key.stage for key in service_keys(unit, customer.connection_id)]


def begin(customer: Customer) -> ServiceKey:
    with customer.unit() as unit:
        return begin_key_change(unit, customer.connection_id, customer.runtime.make_service_key)


def use(customer: Customer) -> ServiceKey:
    with customer.unit() as unit:
        return use_next_key(unit, customer.connection_id)


def finish(customer: Customer) -> ServiceKey:
    with customer.unit() as unit:
        return forget_old_key(unit, customer.connection_id)


def test_a_key_has_3072_bits_and_a_certificate_for_three_years(clock: SettableClock) -> None:
    made = make_key_pair("x" * 100, clock.at)

    certificate = x509.load_pem_x509_certificate(made.certificate.encode())
    public_key = certificate.public_key()
    assert isinstance(public_key, rsa.RSAPublicKey)
    assert public_key.key_size == 3072
    assert made.not_after == certificate.not_valid_after_utc == clock.at + timedelta(days=1095)
    assert "PRIVATE" not in repr(made)


def test_several_who_need_the_first_key_at_once_get_one(customer: Customer) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = {key.id for key in pool.map(lambda _: needed(customer), range(4))}

    assert len(found) == 1
    assert stages(customer) == ["current"]


def test_the_private_part_is_sealed_for_its_row(customer: Customer, owner_connection: psycopg.Connection) -> None:
    key = needed(customer)

    (sealed,) = owner_connection.execute("SELECT private_key FROM service_key").fetchone() or ()
    assert b"PRIVATE" not in sealed
    assert customer.runtime.private_key_of(key).startswith("-----BEGIN PRIVATE KEY-----")
    with pytest.raises(ValueError, match="service_key"):
        customer.runtime.private_key_of(
            ServiceKey(org_id=key.org_id, id=customer.owner_id, private_key=key.private_key)
        )


def test_a_new_key_is_published_then_used_and_the_old_one_kept_until_it_is_finished(customer: Customer) -> None:
    first = needed(customer)

    following = begin(customer)
    published = stages(customer)
    used = use(customer)
    kept = stages(customer)
    forgotten = finish(customer)

    assert (published, kept, stages(customer)) == (["current", "next"], ["current", "old"], ["current"])
    assert (used.id, forgotten.id) == (following.id, first.id)


def test_every_step_is_in_the_audit_trail_with_the_key_and_never_its_private_part(customer: Customer) -> None:
    needed(customer)
    begin(customer)
    use(customer)
    finish(customer)

    with customer.unit() as unit:
        entries = unit.session.scalars(
            select(AuditEntry).where(AuditEntry.subject_kind == "connection").order_by(AuditEntry.seq)
        ).all()
    assert [(entry.action, entry.reason, entry.actor) for entry in entries] == [
        ("connection.key_made", "needed", f"sign_in:{customer.connection_id}"),
        ("connection.key_made", "requested", "operator"),
        ("connection.key_used", "requested", "operator"),
        ("connection.key_forgotten", "requested", "operator"),
    ]
    assert all(set(entry.body) == {"key", "fingerprint"} for entry in entries)


def test_a_step_out_of_turn_is_refused_with_the_one_that_is_due(customer: Customer) -> None:
    with pytest.raises(InvalidInputError, match="without --use first"):
        use(customer)
    with pytest.raises(InvalidInputError, match="no change is under way"):
        finish(customer)
    begin(customer)
    with pytest.raises(InvalidInputError, match="take it into use"):
        begin(customer)
    with pytest.raises(InvalidInputError, match="take the next one into use first"):
        finish(customer)
    use(customer)
    with pytest.raises(InvalidInputError, match="forget it first"):
        begin(customer)


def test_z1_a_member_changes_no_key(customer: Customer) -> None:
    with (
        pytest.raises(ForbiddenError),
        customer.unit(customer.directory) as unit,
    ):
        begin_key_change(unit, customer.connection_id, customer.runtime.make_service_key)


def test_a_connection_that_signs_in_otherwise_has_no_keys_to_change(customer: Customer) -> None:
    with customer.unit() as unit:
        unit.session.get_one(Connection, (unit.org_id, customer.connection_id)).protocol = "oidc"

    with pytest.raises(InvalidInputError, match="does not sign in by SAML"):
        begin(customer)
    with pytest.raises(NotFoundError), customer.unit() as unit:
        use_next_key(unit, customer.owner_id)  # type: ignore[arg-type] # somebody's id, not a connection's
