"""Organizations billed by a core of their own: how it is reached, orders on their way to it, events of it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from bridge.store.functions import recreate_functions
from bridge.store.security import create_gate_function, secure_table

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

DUE_ORDERS = (
    "due_orders(instant timestamptz)",
    "TABLE (org_id uuid, order_id uuid)",
    """
    BEGIN
        RETURN QUERY
        SELECT o.org_id, o.id FROM billing_order o
        WHERE o.state = 'pending' AND o.next_attempt_at <= instant ORDER BY o.next_attempt_at LIMIT 1000;
    END
    """,
)

#: How much waits and since when, over all organizations, for probes: numbers only.
WAITING_WORK = (
    "waiting_work()",
    "TABLE (orders bigint, dead_orders bigint, oldest_order timestamptz, deliveries bigint, oldest_mail timestamptz)",
    """
    BEGIN
        RETURN QUERY
        SELECT count(*) FILTER (WHERE o.state = 'pending'), count(*) FILTER (WHERE o.state = 'dead'),
            min(o.created_at) FILTER (WHERE o.state = 'pending'),
            (SELECT count(*) FROM delivery d WHERE d.state = 'pending'),
            (SELECT min(d.created_at) FROM delivery d WHERE d.state = 'pending')
        FROM billing_order o WHERE o.state IN ('pending', 'dead');
    END
    """,
)

#: Whose seats a billing core of their own bills.
REMOTELY_BILLED = (
    "remotely_billed()",
    "TABLE (org_id uuid)",
    "BEGIN RETURN QUERY SELECT b.org_id FROM billing_connection b ORDER BY b.connected_at; END",
)

#: Renewals of a plan that another core bills come from there.
DUE_RENEWALS = (
    "due_renewals(instant timestamptz)",
    "TABLE (org_id uuid)",
    """
    BEGIN
        RETURN QUERY
        SELECT c.org_id FROM contract c
        WHERE c.status = 'active' AND c.billed_by = 'builtin' AND c.period_end <= instant ORDER BY c.period_end;
    END
    """,
)


def upgrade() -> None:
    """Apply."""
    op.add_column("contract", sa.Column("billed_by", sa.Text(), nullable=False, server_default="builtin"))
    op.alter_column("contract", "billed_by", server_default=None)
    op.create_table(
        "billing_connection",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.Column("webhook_secret", sa.LargeBinary(), nullable=False),
        sa.Column("subscription", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("connected_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("heard_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["org_id"], ["contract.org_id"], name=op.f("fk_billing_connection_org_id")),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_billing_connection")),
    )
    _create_orders()
    op.create_table(
        "core_event",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organization.id"], name=op.f("fk_core_event_org_id")),
        sa.PrimaryKeyConstraint("org_id", "event_id", name=op.f("pk_core_event")),
    )
    for table in ("billing_connection", "billing_order"):
        for statement in secure_table(table, gate_reads=True):
            op.execute(statement)
    for statement in secure_table("core_event", append_only=True):
        op.execute(statement)
    op.execute("DROP FUNCTION due_renewals(timestamptz)")
    for function in (DUE_ORDERS, WAITING_WORK, REMOTELY_BILLED, DUE_RENEWALS):
        for statement in create_gate_function(*function):
            op.execute(statement)
    recreate_functions("people")


def _create_orders() -> None:
    op.create_table(
        "billing_order",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("quote", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("held_back", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=True),
        sa.Column("tier", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("invoice_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'placed', 'declined', 'cancelled', 'dead')",
            name=op.f("ck_billing_order_state_known"),
        ),
        sa.ForeignKeyConstraint(["org_id"], ["organization.id"], name=op.f("fk_billing_order_org_id")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_billing_order")),
        sa.UniqueConstraint("org_id", "key", name=op.f("uq_billing_order_org_id_key")),
    )
    op.create_index(
        "uq_billing_order_open",
        "billing_order",
        ["org_id"],
        unique=True,
        postgresql_where=sa.text("state IN ('pending', 'dead')"),
    )
    op.create_index(
        "ix_billing_order_due", "billing_order", ["next_attempt_at"], postgresql_where=sa.text("state = 'pending'")
    )
