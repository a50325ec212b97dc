"""Set-up links: the guide of one connection for somebody without an account."""

import sqlalchemy as sa
from alembic import op

from bridge.store.security import create_gate_function, secure_table

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None

FIND_SETUP_LINK = (
    "find_setup_link(hash bytea)",
    "TABLE (org_id uuid, link_id uuid)",
    "BEGIN RETURN QUERY SELECT l.org_id, l.id FROM setup_link l WHERE l.token_hash = hash; END",
)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "setup_link",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("first_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["org_id", "connection_id"],
            ["connection.org_id", "connection.id"],
            name=op.f("fk_setup_link_org_id_connection_id"),
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_setup_link")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_setup_link_token_hash")),
    )
    for statement in secure_table("setup_link", gate_reads=True):
        op.execute(statement)
    for statement in create_gate_function(*FIND_SETUP_LINK):
        op.execute(statement)
