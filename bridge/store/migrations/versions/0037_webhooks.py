"""Addresses of applications that are told of events."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from bridge.store.security import create_gate_function, secure_table

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

DUE_WEBHOOKS = (
    "due_webhooks(instant timestamptz)",
    "TABLE (org_id uuid, message_id uuid, endpoint_id uuid)",
    """
    BEGIN
        RETURN QUERY
        SELECT e.org_id, m.id, e.id FROM webhook_endpoint e
        CROSS JOIN LATERAL (
            SELECT w.id, w.created_at, w.seq FROM webhook_message w
            WHERE w.org_id = e.org_id AND w.endpoint_id = e.id AND w.state = 'pending' AND w.next_attempt_at <= instant
            ORDER BY w.created_at, w.seq LIMIT 100
        ) m
        WHERE e.disabled_at IS NULL ORDER BY m.created_at, m.seq, m.id;
    END
    """,
)
ORGANIZATIONS_WITH_NEWS = (
    "organizations_with_news()",
    "TABLE (org_id uuid)",
    """
    BEGIN
        RETURN QUERY
        SELECT DISTINCT e.org_id FROM webhook_endpoint e
        JOIN organization_state s ON s.org_id = e.org_id AND s.audit_seq > e.seen_seq
        WHERE e.disabled_at IS NULL ORDER BY e.org_id;
    END
    """,
)


def upgrade() -> None:
    """Apply."""
    _create_endpoints()
    _create_messages()
    for table in ("webhook_endpoint", "webhook_message"):
        for statement in secure_table(table, gate_reads=True):
            op.execute(statement)
    for function in (DUE_WEBHOOKS, ORGANIZATIONS_WITH_NEWS):
        for statement in create_gate_function(*function):
            op.execute(statement)


def _create_endpoints() -> None:
    op.create_table(
        "webhook_endpoint",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("events", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("previous_secret", sa.LargeBinary(), nullable=True),
        sa.Column("previous_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_seq", sa.BigInteger(), nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["org_id"], ["organization.id"], name=op.f("fk_webhook_endpoint_org_id")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_webhook_endpoint")),
    )


def _create_messages() -> None:
    op.create_table(
        "webhook_message",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("status", sa.BigInteger(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('pending', 'done', 'dead')", name=op.f("ck_webhook_message_state_known")),
        sa.ForeignKeyConstraint(
            ["org_id", "endpoint_id"],
            ["webhook_endpoint.org_id", "webhook_endpoint.id"],
            name=op.f("fk_webhook_message_org_id_endpoint_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_webhook_message")),
    )
    op.create_index(
        "uq_webhook_message_seq",
        "webhook_message",
        ["org_id", "endpoint_id", "seq"],
        unique=True,
        postgresql_where=sa.text("seq > 0"),
    )
    op.create_index(
        "ix_webhook_message_due",
        "webhook_message",
        ["org_id", "endpoint_id", "created_at", "seq"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
