"""Whom an organization's invoices are made out and sent to: owners say it, invoices keep it (rules B1, W8 and Z1)."""

from collections.abc import Mapping

from bridge.domain.billing_parties import (
    BillingDetails,
    changed,
    details_from_document,
    details_to_document,
    flat,
)
from bridge.domain.roles import Permission
from bridge.store.journal import record
from bridge.store.models import StoredBillingDetails
from bridge.store.unit import Unit


def read_billing_details(unit: Unit) -> BillingDetails:
    """Return what owners have said; everything is empty before they have.

    Raises:
        ForbiddenError: The actor may not see money (rule Z1).
    """
    unit.require(Permission.SEE_BILLING)
    return billing_details_of(unit)


def billing_details_of(unit: Unit) -> BillingDetails:
    """Return the same for the product's own use, whoever acts."""
    stored = unit.session.get(StoredBillingDetails, unit.org_id, populate_existing=True)
    return BillingDetails() if stored is None else details_from_document(stored.details)


def change_billing_details(unit: Unit, changes: Mapping[str, object]) -> BillingDetails:
    """Set some billing details anew. They count for what is issued from now on: no issued invoice changes.

    Args:
        unit: The unit.
        changes: Values by the names in :data:`bridge.domain.billing_parties.FIELDS`; an empty one clears a field.

    Raises:
        ForbiddenError: The actor may not manage billing (rule Z1).
        InvalidInputError: A field is not known or its value is not possible.
    """
    unit.require(Permission.MANAGE_BILLING)
    unit.lock()
    before = billing_details_of(unit)
    after = changed(before, changes)
    old, new = flat(before), flat(after)
    different = sorted(name for name in new if new[name] != old[name])
    if not different:
        return before
    stored = unit.session.get(StoredBillingDetails, unit.org_id) or StoredBillingDetails(org_id=unit.org_id)
    stored.details = details_to_document(after)
    stored.changed_at, stored.changed_by = unit.at, str(unit.actor)
    unit.session.add(stored)
    record(
        unit,
        "billing_details.changed",
        subject_kind="organization",
        subject_id=unit.org_id,
        reason="billing_details",
        body={"fields": different},
        touches_seats=False,
    )
    unit.session.flush()
    return after
