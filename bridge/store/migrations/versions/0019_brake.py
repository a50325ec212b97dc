"""The brake on mass effects: what is counted, what is held."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from bridge.store.functions import create_functions, recreate_functions
from bridge.store.security import secure_table

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "hold",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("counted", sa.BigInteger(), nullable=False),
        sa.Column("allowed", sa.BigInteger(), nullable=False),
        sa.Column("window_minutes", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reminded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["org_id", "connection_id"],
            ["connection.org_id", "connection.id"],
            name=op.f("fk_hold_org_id_connection_id"),
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_hold")),
    )
    op.create_index("uq_hold_open", "hold", ["org_id"], unique=True, postgresql_where=sa.text("state = 'open'"))
    op.create_table(
        "held_person",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("hold_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("effect", sa.Text(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("outcome_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["org_id", "hold_id"], ["hold.org_id", "hold.id"], name=op.f("fk_held_person_org_id_hold_id")
        ),
        sa.PrimaryKeyConstraint("org_id", "hold_id", "member_id", name=op.f("pk_held_person")),
    )
    op.create_index(op.f("ix_held_person_org_id_member_id"), "held_person", ["org_id", "member_id"])
    op.create_index(op.f("ix_held_person_org_id_request_id"), "held_person", ["org_id", "request_id"])
    for table in ("hold", "held_person"):
        for statement in secure_table(table):
            op.execute(statement)
    for column in (
        sa.Column("brake_minimum", sa.BigInteger(), nullable=False, server_default="5"),
        sa.Column("brake_share", sa.BigInteger(), nullable=False, server_default="20"),
        sa.Column("brake_window", sa.BigInteger(), nullable=False, server_default="10"),
        sa.Column("brake_counts", postgresql.JSONB(astext_type=sa.Text()), nullable=False, server_default="{}"),
        sa.Column("brake_limit", sa.BigInteger(), nullable=True),
        sa.Column("brake_limit_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("has_departed", sa.Boolean(), nullable=False, server_default="false"),
    ):
        op.add_column("organization_state", column)
    op.add_column("member", sa.Column("hold_id", sa.Uuid(), nullable=True))
    op.add_column("member", sa.Column("said_off", sa.Boolean(), nullable=False, server_default="false"))
    op.create_foreign_key(op.f("fk_member_org_id_hold_id"), "member", "hold", ["org_id", "hold_id"], ["org_id", "id"])
    op.create_index("ix_member_held", "member", ["org_id", "hold_id"], postgresql_where=sa.text("hold_id IS NOT NULL"))
    for table, name in (
        ("organization_state", "brake_minimum"),
        ("organization_state", "brake_share"),
        ("organization_state", "brake_window"),
        ("organization_state", "brake_counts"),
        ("organization_state", "has_departed"),
    ):
        op.alter_column(table, name, server_default=None)
    create_functions("brake")
    for functions in ("pages", "people", "memberships"):
        recreate_functions(functions)
