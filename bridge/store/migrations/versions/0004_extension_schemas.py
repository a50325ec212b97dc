"""Extension schemas of an organization, and tokens that belong to a person."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from bridge.store.security import secure_table

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "extension_schema",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("urn_key", sa.Text(), nullable=False),
        sa.Column("resource_type", sa.Text(), nullable=False),
        sa.Column("document", JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organization.id"], name="fk_extension_schema_org_id"),
        sa.PrimaryKeyConstraint("org_id", "urn_key", name="pk_extension_schema"),
    )
    for statement in secure_table("extension_schema"):
        op.execute(statement)
    # A person's token goes with the person.
    op.create_foreign_key(
        "fk_scim_token_org_id_member",
        "scim_token",
        "member",
        ["org_id", "member_id"],
        ["org_id", "id"],
        ondelete="CASCADE",
    )
    op.create_index("ix_scim_token_member_id", "scim_token", ["org_id", "member_id"])
