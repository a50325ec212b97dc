"""Lists of people are read, searched and counted from an index; decisions are found by their time."""

import sqlalchemy as sa
from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None

_LIST_KEY = "left(lower(display_name), 60)"
_SEARCH_KEY = (
    "left(lower(display_name), 100) || chr(10) || left(user_name_key, 150) || chr(10)"
    " || left(coalesce(email_key, ''), 150) || chr(10) || left(coalesce(external_id, ''), 100)"
)


def upgrade() -> None:
    """Apply."""
    for name, expression in (("list_key", _LIST_KEY), ("search_key", _SEARCH_KEY)):
        column = sa.Column(name, sa.Text(collation="C"), sa.Computed(expression, persisted=True), nullable=False)
        op.add_column("member", column)
    op.create_index(
        "ix_member_listed",
        "member",
        ["org_id", "active", "tier", "list_key", "id"],
        postgresql_include=["waiting_for", "source", "created_at", "search_key"],
    )
    op.create_index("ix_member_pinned", "member", ["org_id", "list_key", "id"], postgresql_where=sa.text("pinned"))
    op.create_index("ix_member_role", "member", ["org_id", "role"], postgresql_where=sa.text("role <> 'member'"))
    op.create_index(op.f("ix_decision_org_id_at_seq"), "decision", ["org_id", "at", "seq"])
