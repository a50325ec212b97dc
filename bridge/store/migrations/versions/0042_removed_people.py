"""The protocol is part of who a subject is; whom a directory removed stays known, without a name."""

import sqlalchemy as sa
from alembic import op

from bridge.store.functions import recreate_functions
from bridge.store.security import secure_table

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("identity", sa.Column("protocol", sa.Text(), nullable=True))
    # The owner of the table sees every organization's rows only where the policies are not forced on it.
    for table in ("identity", "connection"):
        op.execute(f'ALTER TABLE "{table}" NO FORCE ROW LEVEL SECURITY')
    # Links of an issuer that the connection believes no more are of the time when there was SAML alone.
    op.execute(
        "UPDATE identity i SET protocol = "
        "CASE WHEN c.issuer = i.issuer AND c.protocol = 'oidc' THEN 'oidc' ELSE 'saml' END "
        "FROM connection c WHERE c.org_id = i.org_id AND c.id = i.connection_id"
    )
    for table in ("identity", "connection"):
        op.execute(f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY')
    op.alter_column("identity", "protocol", nullable=False)
    op.drop_constraint(op.f("pk_identity"), "identity", type_="primary")
    op.create_primary_key(op.f("pk_identity"), "identity", ["org_id", "connection_id", "protocol", "issuer", "subject"])
    op.create_table(
        "removed_person",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "connection_id"],
            ["connection.org_id", "connection.id"],
            name=op.f("fk_removed_person_org_id_connection_id"),
        ),
        sa.PrimaryKeyConstraint("org_id", "connection_id", "digest", name=op.f("pk_removed_person")),
    )
    op.create_index(
        op.f("ix_removed_person_org_id_connection_id"), "removed_person", ["org_id", "connection_id", "member_id"]
    )
    for statement in secure_table("removed_person"):
        op.execute(statement)
    for functions in ("memberships", "cases"):
        recreate_functions(functions)
