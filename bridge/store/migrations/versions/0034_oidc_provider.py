"""OpenID Connect: the provider of a connection, and what an answer to a sign-in must match."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from bridge.store.security import secure_table

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "oidc_provider",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("client_secret", sa.LargeBinary(), nullable=True),
        sa.Column("auth_method", sa.Text(), nullable=False),
        sa.Column("scopes", JSONB(), nullable=False),
        sa.Column("authorization_endpoint", sa.Text(), nullable=False),
        sa.Column("token_endpoint", sa.Text(), nullable=False),
        sa.Column("jwks_uri", sa.Text(), nullable=False),
        sa.Column("userinfo_endpoint", sa.Text(), nullable=True),
        sa.Column("algorithms", JSONB(), nullable=False),
        sa.Column("sends_issuer", sa.Boolean(), nullable=False),
        sa.Column("asks_userinfo", sa.Boolean(), nullable=False),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "connection_id"],
            ["connection.org_id", "connection.id"],
            name=op.f("fk_oidc_provider_org_id_connection_id"),
        ),
        sa.PrimaryKeyConstraint("org_id", "connection_id", name=op.f("pk_oidc_provider")),
    )
    for statement in secure_table("oidc_provider"):
        op.execute(statement)
    for column in ("nonce", "code_verifier"):
        op.add_column("sign_in_request", sa.Column(column, sa.Text(), nullable=True))
