"""Landmarks for startIndex, and indexes for what identity providers ask."""

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

from bridge.store.functions import create_functions
from bridge.store.security import secure_table

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

#: What filters and sort orders compare by code points; the database's own collation may be any.
BY_CODE_POINTS = (
    ("member", "user_name_key"),
    ("member", "external_id"),
    ("member", "email_key"),
    ("group", "display_name_key"),
    ("group", "external_id"),
)
#: Whether a row of ``member`` may have addresses beyond ``email_key``: nearly nobody's does.
_HAS_FURTHER = (
    "({row}.comparison #> '{{emails,1}}' IS NOT NULL"
    " OR {row}.comparison #>> '{{emails,0,value}}' IS DISTINCT FROM {row}.email_key)"
)


def upgrade() -> None:
    """Apply."""
    op.drop_index("ix_member_comparison", "member")
    op.drop_index("ix_group_comparison", "group")
    for table, column in BY_CODE_POINTS:
        op.execute(f'ALTER TABLE "{table}" ALTER COLUMN {column} TYPE text COLLATE "C"')
    op.create_index(None, "member", ["org_id", "connection_id", "modified_at", "position"])
    op.create_index(None, "member", ["org_id", "connection_id", "created_at", "position"])
    _create_tables()
    create_functions("paging")
    for statement in (*_fill(), *secure_table("page_landmark"), *secure_table("member_email"), *_triggers()):
        op.execute(statement)


def _create_tables() -> None:
    op.create_table(
        "page_landmark",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "connection_id", "kind", "bucket", name=op.f("pk_page_landmark")),
    )
    # Room on the page for the next version of a row: every arrival writes the newest landmark.
    op.execute("ALTER TABLE page_landmark SET (fillfactor = 50)")
    op.create_table(
        "member_email",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("value_key", sa.Text(collation="C"), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "member_id"],
            ["member.org_id", "member.id"],
            name=op.f("fk_member_email_org_id_member_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "member_id", "value_key", name=op.f("pk_member_email")),
    )
    op.create_index(None, "member_email", ["org_id", "value_key"])


def _fill() -> Iterator[str]:
    """Count and copy what is there: the policies hold the owner too, so they are lifted while it reads."""
    for table in ("member", "group"):
        yield f'ALTER TABLE "{table}" NO FORCE ROW LEVEL SECURITY'
        yield (
            "INSERT INTO page_landmark (org_id, connection_id, kind, bucket, n)"  # noqa: S608 (names of tables, no values)
            f" SELECT org_id, connection_id, '{table}', position >> 10, count(*) FROM \"{table}\" GROUP BY 1, 2, 4"
        )
    yield (
        "INSERT INTO member_email (org_id, member_id, value_key)"
        " SELECT DISTINCT m.org_id, m.id, found.value #>> '{}'"
        " FROM member m, jsonb_path_query(m.comparison, 'lax $.emails[*].value') AS found (value)"
        " WHERE jsonb_typeof(found.value) = 'string' AND found.value #>> '{}' IS DISTINCT FROM m.email_key"
    )
    for table in ("member", "group"):
        yield f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY'


def _triggers() -> Iterator[str]:
    """Keep both tables exact, however a row of people or groups is written."""
    for table in ("member", "group"):
        yield (
            f'CREATE TRIGGER add_landmarks AFTER INSERT ON "{table}" REFERENCING NEW TABLE AS arrived'
            " FOR EACH STATEMENT EXECUTE FUNCTION add_landmarks()"
        )
        yield (
            f'CREATE TRIGGER take_landmarks AFTER DELETE ON "{table}" REFERENCING OLD TABLE AS gone'
            " FOR EACH STATEMENT EXECUTE FUNCTION take_landmarks()"
        )
        yield (
            f'CREATE TRIGGER move_landmarks AFTER UPDATE ON "{table}" FOR EACH ROW'
            " WHEN (OLD.org_id <> NEW.org_id OR OLD.connection_id <> NEW.connection_id"
            " OR OLD.position <> NEW.position) EXECUTE FUNCTION move_landmarks()"
        )
    had, has = (_HAS_FURTHER.format(row=row) for row in ("OLD", "NEW"))
    yield (
        f"CREATE TRIGGER keep_emails_of_new AFTER INSERT ON member FOR EACH ROW WHEN ({has})"
        " EXECUTE FUNCTION keep_further_emails()"
    )
    yield (
        f"CREATE TRIGGER keep_emails_of_changed AFTER UPDATE ON member FOR EACH ROW WHEN (({had} OR {has})"
        " AND (OLD.comparison -> 'emails' IS DISTINCT FROM NEW.comparison -> 'emails'"
        " OR OLD.email_key IS DISTINCT FROM NEW.email_key))"
        " EXECUTE FUNCTION keep_further_emails()"
    )
