"""Single logout: where an identity provider takes it, and how it knows each session of ours."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from bridge.store.security import secure_table

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("saml_provider", sa.Column("logout_url", sa.Text(), nullable=True))
    op.add_column("saml_provider", sa.Column("logout_response_url", sa.Text(), nullable=True))
    op.create_table(
        "saml_session",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("name_id", sa.Text(), nullable=False),
        sa.Column("name_attributes", postgresql.JSONB(), nullable=False),
        sa.Column("session_index", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["org_id", "session_id"],
            ["web_session.org_id", "web_session.id"],
            name=op.f("fk_saml_session_org_id_session_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "connection_id"],
            ["connection.org_id", "connection.id"],
            name=op.f("fk_saml_session_org_id_connection_id"),
        ),
        sa.PrimaryKeyConstraint("org_id", "session_id", name=op.f("pk_saml_session")),
    )
    op.create_index(
        op.f("ix_saml_session_org_id_connection_id_name_id"), "saml_session", ["org_id", "connection_id", "name_id"]
    )
    for statement in secure_table("saml_session"):
        op.execute(statement)
