"""People are counted by their connection from the index of their lists too."""

from alembic import op

revision = "0049"
down_revision = "0048"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.drop_index("ix_member_listed", "member")
    op.create_index(
        "ix_member_listed",
        "member",
        ["org_id", "active", "tier", "list_key", "id"],
        postgresql_include=["waiting_for", "source", "connection_id", "created_at", "search_key"],
    )
