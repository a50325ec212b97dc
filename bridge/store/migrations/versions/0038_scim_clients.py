"""Provisioning clients that fetch their tokens by an id and a secret."""

import sqlalchemy as sa
from alembic import op

from bridge.store.security import create_gate_function, secure_table

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

FIND_SCIM_CLIENT = (
    "find_scim_client(wanted uuid)",
    "TABLE (org_id uuid)",
    "BEGIN RETURN QUERY SELECT c.org_id FROM scim_client c WHERE c.id = wanted; END",
)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "scim_client",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("can_write", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["org_id", "connection_id"],
            ["connection.org_id", "connection.id"],
            name=op.f("fk_scim_client_org_id_connection_id"),
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_scim_client")),
        sa.UniqueConstraint("id", name=op.f("uq_scim_client_id")),
    )
    op.create_table(
        "scim_client_secret",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["org_id", "client_id"],
            ["scim_client.org_id", "scim_client.id"],
            name=op.f("fk_scim_client_secret_org_id_client_id"),
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_scim_client_secret")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_scim_client_secret_secret_hash")),
    )
    op.create_index(op.f("ix_scim_client_secret_org_id_client_id"), "scim_client_secret", ["org_id", "client_id"])
    op.add_column("scim_token", sa.Column("client_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        "fk_scim_token_org_id_client",
        "scim_token",
        "scim_client",
        ["org_id", "client_id"],
        ["org_id", "id"],
    )
    op.create_index(
        "ix_scim_token_client_id",
        "scim_token",
        ["org_id", "client_id", "created_at"],
        postgresql_where=sa.text("client_id IS NOT NULL"),
    )
    for statement in secure_table("scim_client", gate_reads=True):
        op.execute(statement)
    for statement in secure_table("scim_client_secret"):
        op.execute(statement)
    for statement in create_gate_function(*FIND_SCIM_CLIENT):
        op.execute(statement)
