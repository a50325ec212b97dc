"""Keys of our own towards each SAML identity provider, and how we speak to it."""

import sqlalchemy as sa
from alembic import op

from bridge.store.security import secure_table

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "service_key",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("certificate", sa.Text(), nullable=False),
        sa.Column("private_key", sa.LargeBinary(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("not_after", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("stage IN ('next', 'current', 'old')", name=op.f("ck_service_key_stage_known")),
        sa.ForeignKeyConstraint(
            ["org_id", "connection_id"],
            ["connection.org_id", "connection.id"],
            name=op.f("fk_service_key_org_id_connection_id"),
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_service_key")),
        sa.UniqueConstraint("org_id", "connection_id", "stage", name=op.f("uq_service_key_org_id_connection_id_stage")),
    )
    for statement in secure_table("service_key"):
        op.execute(statement)
    op.add_column(
        "saml_provider", sa.Column("wants_signed_requests", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column("saml_provider", sa.Column("sign_requests", sa.Boolean(), nullable=True))
    op.add_column(
        "saml_provider", sa.Column("offers_encryption", sa.Boolean(), nullable=False, server_default=sa.true())
    )
    for column in ("wants_signed_requests", "offers_encryption"):
        op.alter_column("saml_provider", column, server_default=None)
