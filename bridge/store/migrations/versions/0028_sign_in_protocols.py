"""A connection's sign-in is told apart from its protocol: who is believed, how, and what only SAML knows."""

import sqlalchemy as sa
from alembic import op

from bridge.store.migrations.gate import FIND_DOMAIN
from bridge.store.security import create_gate_function, secure_table

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_PROVIDERS = """
INSERT INTO saml_provider (org_id, connection_id, sso_url, updated_at)
SELECT org_id, id, saml_sso_url, coalesce(saml_updated_at, created_at) FROM connection
WHERE issuer IS NOT NULL AND saml_sso_url IS NOT NULL
"""
_PROTOCOLS = "UPDATE connection SET protocol = 'saml' WHERE issuer IS NOT NULL AND saml_sso_url IS NOT NULL"
_READ_OR_WRITTEN = ("connection", "saml_provider")


def upgrade() -> None:
    """Apply."""
    op.alter_column("connection", "saml_entity_id", new_column_name="issuer")
    op.add_column("connection", sa.Column("protocol", sa.Text(), nullable=True))
    op.create_table(
        "saml_provider",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("sso_url", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "connection_id"],
            ["connection.org_id", "connection.id"],
            name=op.f("fk_saml_provider_org_id_connection_id"),
        ),
        sa.PrimaryKeyConstraint("org_id", "connection_id", name=op.f("pk_saml_provider")),
    )
    for statement in secure_table("saml_provider"):
        op.execute(statement)
    # The owner of the tables sees every organization's rows only where the policies are not forced on it.
    for table in _READ_OR_WRITTEN:
        op.execute(f'ALTER TABLE "{table}" NO FORCE ROW LEVEL SECURITY')
    for statement in (_PROVIDERS, _PROTOCOLS):
        op.execute(statement)
    for table in _READ_OR_WRITTEN:
        op.execute(f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY')
    for column in ("saml_sso_url", "saml_updated_at"):
        op.drop_column("connection", column)
    op.rename_table("saml_request", "sign_in_request")
    for name in ("pk_{}", "fk_{}_org_id_connection_id"):
        old, new = name.format("saml_request"), name.format("sign_in_request")
        op.execute(f"ALTER TABLE sign_in_request RENAME CONSTRAINT {old} TO {new}")
    op.execute("DROP FUNCTION find_domain(text)")
    for statement in create_gate_function(*FIND_DOMAIN):
        op.execute(statement)
