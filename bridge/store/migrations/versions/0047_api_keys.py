"""Keys of the programming interface; an event has one id, whoever is told of it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from bridge.store.security import create_gate_function, secure_table

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

ENTER_API_KEY = (
    "enter_api_key(hash bytea, instant timestamptz)",
    "TABLE (org_id uuid, key_id uuid)",
    """
    DECLARE live record;
    BEGIN
        SELECT k.org_id, k.id INTO live FROM api_key k
        WHERE k.key_hash = hash AND k.revoked_at IS NULL AND k.expires_at > instant;
        IF FOUND THEN
            PERFORM set_config('seatbridge.org', live.org_id::text, true);
            RETURN QUERY SELECT live.org_id, live.id;
        END IF;
    END
    """,
)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "api_key",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("scopes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["org_id"], ["organization.id"], name=op.f("fk_api_key_org_id")),
        sa.ForeignKeyConstraint(
            ["org_id", "member_id"],
            ["member.org_id", "member.id"],
            name=op.f("fk_api_key_org_id_member_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_api_key")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_key_key_hash")),
    )
    op.create_index(op.f("ix_api_key_org_id_member_id"), "api_key", ["org_id", "member_id"])
    for statement in secure_table("api_key", gate_reads=True):
        op.execute(statement)
    for statement in create_gate_function(*ENTER_API_KEY):
        op.execute(statement)
    _name_events()


def _name_events() -> None:
    """Give events on their way the id that they were announced by until now: their row's."""
    op.add_column("webhook_message", sa.Column("event_id", sa.Uuid(), nullable=True))
    # The owner of the table sees every organization's rows only where the policies are not forced on it.
    op.execute('ALTER TABLE "webhook_message" NO FORCE ROW LEVEL SECURITY')
    op.execute("UPDATE webhook_message SET event_id = id")
    op.execute('ALTER TABLE "webhook_message" FORCE ROW LEVEL SECURITY')
    op.alter_column("webhook_message", "event_id", nullable=False)
