"""Applications behind the bridge, the keys that sign for them, and who signed in to which."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from bridge.store.functions import create_functions, recreate_functions
from bridge.store.security import create_gate_function, secure_table, share_table

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

FIND_APP_GRANT = (
    "find_app_grant(hash bytea)",
    "TABLE (org_id uuid)",
    """
    BEGIN
        RETURN QUERY
        SELECT g.org_id FROM app_grant g WHERE g.code_hash = hash
        UNION ALL
        SELECT r.org_id FROM app_refresh_token r WHERE r.token_hash = hash;
    END
    """,
)

INSTALLATION_TABLES = {"app": False, "app_secret": False, "signing_key": False, "installation_event": True}


def upgrade() -> None:
    """Apply."""
    _create_tables_of_the_installation()
    _create_grants()
    for table, is_append_only in INSTALLATION_TABLES.items():
        for statement in share_table(table, append_only=is_append_only):
            op.execute(statement)
    for table in ("app_grant", "app_refresh_token"):
        for statement in secure_table(table, gate_reads=True):
            op.execute(statement)
    for statement in create_gate_function(*FIND_APP_GRANT):
        op.execute(statement)
    create_functions("apps")
    op.execute(
        "CREATE TRIGGER end_app_session AFTER UPDATE OF ended_at ON web_session FOR EACH ROW"
        " WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL) EXECUTE FUNCTION end_app_session()"
    )
    op.execute(
        "CREATE TRIGGER end_removed_app_session AFTER DELETE ON web_session FOR EACH ROW"
        " WHEN (OLD.ended_at IS NULL) EXECUTE FUNCTION end_app_session()"
    )
    for functions in ("people", "cases"):
        recreate_functions(functions)


def _create_tables_of_the_installation() -> None:
    op.create_table(
        "app",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("only_org_id", sa.Uuid(), nullable=True),
        sa.Column("is_public", sa.Boolean(), nullable=False),
        sa.Column("redirect_uris", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("post_logout_redirect_uris", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("backchannel_logout_uri", sa.Text(), nullable=True),
        sa.Column("offline_access", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["only_org_id"], ["organization.id"], name=op.f("fk_app_only_org_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_app")),
        sa.UniqueConstraint("name_key", name=op.f("uq_app_name_key")),
    )
    op.create_table(
        "app_secret",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["app_id"], ["app.id"], name=op.f("fk_app_secret_app_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_app_secret")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_app_secret_secret_hash")),
    )
    op.create_index(op.f("ix_app_secret_app_id"), "app_secret", ["app_id"])
    op.create_table(
        "signing_key",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("private_key", sa.LargeBinary(), nullable=False),
        sa.Column("public_key", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("signs_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signing_key")),
    )
    op.create_table(
        "installation_event",
        sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject_kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_installation_event")),
    )


def _create_grants() -> None:
    op.create_table(
        "app_grant",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("app_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("redirect_uri", sa.Text(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=True),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("code_challenge", sa.Text(), nullable=False),
        sa.Column("code_expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("code_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("auth_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_offline", sa.Boolean(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["org_id", "member_id"],
            ["member.org_id", "member.id"],
            name=op.f("fk_app_grant_org_id_member_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_app_grant")),
        sa.UniqueConstraint("code_hash", name=op.f("uq_app_grant_code_hash")),
    )
    op.create_index(op.f("ix_app_grant_org_id_member_id"), "app_grant", ["org_id", "member_id"])
    op.create_index("ix_app_grant_session", "app_grant", ["org_id", "session_id"])
    op.create_table(
        "app_refresh_token",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("grant_id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["org_id", "grant_id"],
            ["app_grant.org_id", "app_grant.id"],
            name=op.f("fk_app_refresh_token_org_id_grant_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_app_refresh_token")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_app_refresh_token_token_hash")),
    )
    op.create_index(op.f("ix_app_refresh_token_org_id_grant_id"), "app_refresh_token", ["org_id", "grant_id"])
