"""Metadata of SAML identity providers that is read again by its address."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("saml_provider", sa.Column("metadata_url", sa.Text(), nullable=True))
    op.add_column("saml_provider", sa.Column("metadata_signed_by", sa.Text(), nullable=True))
    op.add_column("saml_provider", sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("saml_provider", sa.Column("problem", sa.Text(), nullable=True))
