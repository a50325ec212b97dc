"""Groups inside groups."""

import sqlalchemy as sa
from alembic import op

from bridge.store.security import APP_ROLE, secure_table

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "group_nesting",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=False),
        sa.Column("child_id", sa.Uuid(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        *_groups("group_nesting", "parent_id", "child_id"),
        sa.PrimaryKeyConstraint("org_id", "parent_id", "child_id", name=op.f("pk_group_nesting")),
        sa.CheckConstraint("parent_id <> child_id", name=op.f("ck_group_nesting_of_another")),
    )
    op.create_index(op.f("ix_group_nesting_org_id_child_id"), "group_nesting", ["org_id", "child_id"])
    op.create_table(
        "group_ancestor",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("ancestor_id", sa.Uuid(), nullable=False),
        sa.Column("distance", sa.BigInteger(), nullable=False),
        *_groups("group_ancestor", "group_id", "ancestor_id"),
        sa.PrimaryKeyConstraint("org_id", "group_id", "ancestor_id", name=op.f("pk_group_ancestor")),
        sa.CheckConstraint("group_id <> ancestor_id", name=op.f("ck_group_ancestor_of_another")),
    )
    op.create_index(op.f("ix_group_ancestor_org_id_ancestor_id"), "group_ancestor", ["org_id", "ancestor_id"])
    for table in ("group_nesting", "group_ancestor"):
        for statement in secure_table(table):
            op.execute(statement)
    # As its caller, so that the policies of the tables count for whoever reads it.
    op.execute(
        """
        CREATE VIEW effective_membership WITH (security_invoker = true) AS
        SELECT m.org_id, m.member_id, m.group_id, NULL::uuid AS through_id
        FROM group_member m
        UNION ALL
        SELECT m.org_id, m.member_id, a.ancestor_id, m.group_id
        FROM group_ancestor a
        JOIN group_member m ON m.org_id = a.org_id AND m.group_id = a.group_id
        """
    )
    op.execute(f"GRANT SELECT ON effective_membership TO {APP_ROLE}")


def _groups(table: str, *columns: str) -> list[sa.ForeignKeyConstraint]:
    return [
        sa.ForeignKeyConstraint(
            ["org_id", column],
            ["group.org_id", "group.id"],
            name=op.f(f"fk_{table}_org_id_{column}"),
            ondelete="CASCADE",
        )
        for column in columns
    ]
