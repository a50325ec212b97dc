"""Teams of a workspace, their spells, people's stays in them, and the licence holders of billed months."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from bridge.store.security import secure_table

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "licence_plan",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("next_price", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["contract.org_id"], name=op.f("fk_licence_plan_org_id")),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_licence_plan")),
        sa.CheckConstraint("price >= 0 AND next_price >= 0", name=op.f("ck_licence_plan_price_not_negative")),
    )
    op.create_table(
        "team",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(collation="C"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["org_id"], ["organization.id"], name=op.f("fk_team_org_id")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_team")),
        sa.UniqueConstraint("org_id", "name_key", name=op.f("uq_team_org_id_name_key")),
    )
    _create_spells("team_spell")
    _create_spells(
        "team_stay",
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("user_name", sa.Text(), nullable=True),
        sa.Column("display_name", sa.Text(), nullable=True),
    )
    still_open = sa.text("until IS NULL")
    op.create_index("uq_team_spell_open", "team_spell", ["org_id", "team_id"], unique=True, postgresql_where=still_open)
    op.create_index(op.f("ix_team_spell_org_id_team_id_since"), "team_spell", ["org_id", "team_id", "since"])
    op.create_index(
        "uq_team_stay_open", "team_stay", ["org_id", "member_id", "team_id"], unique=True, postgresql_where=still_open
    )
    op.create_index(op.f("ix_team_stay_org_id_team_id"), "team_stay", ["org_id", "team_id"])
    op.create_index(op.f("ix_team_stay_org_id_until"), "team_stay", ["org_id", "until"])
    op.create_table(
        "licence_holder",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("month", sa.Text(collation="C"), nullable=False),
        sa.Column("unit_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("invoice_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "invoice_id"],
            ["invoice.org_id", "invoice.id"],
            name=op.f("fk_licence_holder_org_id_invoice_id"),
        ),
        sa.PrimaryKeyConstraint("org_id", "month", "unit_id", name=op.f("pk_licence_holder")),
    )
    for table in ("licence_plan", "team", "team_spell", "team_stay"):
        for statement in secure_table(table):
            op.execute(statement)
    for statement in secure_table("licence_holder", append_only=True):
        op.execute(statement)


def _create_spells(table: str, *more: sa.Column[Any]) -> None:
    """Create a table of times [since, until) of teams."""
    op.create_table(
        table,
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        *more,
        sa.ForeignKeyConstraint(
            ["org_id", "team_id"], ["team.org_id", "team.id"], name=op.f(f"fk_{table}_org_id_team_id")
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f(f"pk_{table}")),
        sa.CheckConstraint("until >= since", name=op.f(f"ck_{table}_not_backwards")),
    )
