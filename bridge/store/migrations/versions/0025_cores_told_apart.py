"""Ids of invoices and events at a billing core count within that core: another one may give the same."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

#: What was mirrored before is taken for the core's that is connected now.
_CORES = "UPDATE billing_connection SET core_id = gen_random_uuid()"
_EVENTS = """
UPDATE core_event SET core_id = connection.core_id
FROM billing_connection AS connection WHERE connection.org_id = core_event.org_id
"""
_INVOICES = """
UPDATE invoice SET key = 'core:' || connection.core_id || substr(key, 5)
FROM billing_connection AS connection
WHERE connection.org_id = invoice.org_id AND starts_with(key, 'core:')
"""
_PAYMENTS = """
UPDATE payment SET key = invoice.key, reference = invoice.key
FROM invoice
WHERE invoice.org_id = payment.org_id AND invoice.id = payment.invoice_id AND starts_with(payment.key, 'core:')
"""
_READ_OR_WRITTEN = ("billing_connection", "core_event", "invoice", "payment")


def upgrade() -> None:
    """Apply."""
    op.add_column("billing_connection", sa.Column("core_id", sa.Uuid(), nullable=True))
    op.add_column("core_event", sa.Column("core_id", sa.Uuid(), nullable=True))
    # The owner of the tables sees every organization's rows only where the policies are not forced on it.
    for table in _READ_OR_WRITTEN:
        op.execute(f'ALTER TABLE "{table}" NO FORCE ROW LEVEL SECURITY')
    for statement in (_CORES, _EVENTS, _INVOICES, _PAYMENTS):
        op.execute(statement)
    for table in _READ_OR_WRITTEN:
        op.execute(f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY')
    op.alter_column("billing_connection", "core_id", nullable=False)
    op.alter_column("core_event", "core_id", nullable=False)
    op.drop_constraint(op.f("pk_core_event"), "core_event", type_="primary")
    op.create_primary_key(op.f("pk_core_event"), "core_event", ["org_id", "core_id", "event_id"])
