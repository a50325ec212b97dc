"""The provisioning log."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from bridge.store.security import create_gate_function, secure_table

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

#: Whose token it is, whatever became of it: for the log only, so it binds the transaction to nobody.
TRACE_SCIM_TOKEN = (
    "trace_scim_token(hash bytea)",
    "TABLE (org_id uuid, slug text, connection_id uuid, token_id uuid)",
    """
    BEGIN
        RETURN QUERY
        SELECT t.org_id, o.slug, t.connection_id, t.id
        FROM scim_token t JOIN organization o ON o.id = t.org_id WHERE t.token_hash = hash;
    END
    """,
)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "scim_request",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=True),
        sa.Column("token_id", sa.Uuid(), nullable=True),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("status", sa.BigInteger(), nullable=False),
        sa.Column("scim_type", sa.Text(), nullable=True),
        sa.Column("mark", sa.Text(), nullable=True),
        sa.Column("latency_ms", sa.Double(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("user_agent", sa.Text(), nullable=True),
        sa.Column("content_type", sa.Text(), nullable=True),
        sa.Column("bytes_in", sa.BigInteger(), nullable=False),
        sa.Column("bytes_out", sa.BigInteger(), nullable=True),
        sa.Column("dialect", sa.Text(), nullable=True),
        sa.Column("request_body", sa.Text(), nullable=True),
        sa.Column("request_whole", sa.Boolean(), nullable=False),
        sa.Column("response_body", sa.Text(), nullable=True),
        sa.Column("response_whole", sa.Boolean(), nullable=False),
        sa.Column("operations", postgresql.JSONB(), nullable=True),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_scim_request")),
    )
    op.create_index(op.f("ix_scim_request_org_id_request_id"), "scim_request", ["org_id", "request_id"])
    op.create_index(
        "ix_scim_request_failed", "scim_request", ["org_id", "id"], postgresql_where=sa.text("status >= 400")
    )
    op.create_index(
        "ix_scim_request_unattributed",
        "scim_request",
        ["org_id", "at"],
        postgresql_where=sa.text("connection_id IS NULL"),
    )
    op.create_table(
        "dialect_sign",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("sign", sa.Text(), nullable=False),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "connection_id"],
            ["connection.org_id", "connection.id"],
            name=op.f("fk_dialect_sign_org_id_connection_id"),
        ),
        sa.PrimaryKeyConstraint("org_id", "connection_id", "sign", name=op.f("pk_dialect_sign")),
    )
    op.create_index(op.f("ix_decision_org_id_request_id"), "decision", ["org_id", "request_id"])
    for table in ("scim_request", "dialect_sign"):
        for statement in secure_table(table):
            op.execute(statement)
    for statement in create_gate_function(*TRACE_SCIM_TOKEN):
        op.execute(statement)
