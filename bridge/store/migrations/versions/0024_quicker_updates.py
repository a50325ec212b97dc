"""Triggers on people and groups ask their question only of an update that writes what they look at.

Before, every update of a person read and compiled the conditions of both anew, which took a tenth of its time.
"""

from alembic import op

from bridge.store.functions import recreate_functions

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_HAS_FURTHER = (
    "({row}.comparison #> '{{emails,1}}' IS NOT NULL"
    " OR {row}.comparison #>> '{{emails,0,value}}' IS DISTINCT FROM {row}.email_key)"
)


def upgrade() -> None:
    """Apply."""
    for table in ("member", "group"):
        op.execute(f'DROP TRIGGER move_landmarks ON "{table}"')
        op.execute(
            f'CREATE TRIGGER move_landmarks AFTER UPDATE OF org_id, connection_id, "position" ON "{table}"'
            " FOR EACH ROW WHEN (OLD.org_id <> NEW.org_id OR OLD.connection_id <> NEW.connection_id"
            " OR OLD.position <> NEW.position) EXECUTE FUNCTION move_landmarks()"
        )
    had, has = (_HAS_FURTHER.format(row=row) for row in ("OLD", "NEW"))
    op.execute("DROP TRIGGER keep_emails_of_changed ON member")
    op.execute(
        "CREATE TRIGGER keep_emails_of_changed AFTER UPDATE OF comparison, email_key ON member FOR EACH ROW"
        f" WHEN (({had} OR {has}) AND (OLD.comparison -> 'emails' IS DISTINCT FROM NEW.comparison -> 'emails'"
        " OR OLD.email_key IS DISTINCT FROM NEW.email_key)) EXECUTE FUNCTION keep_further_emails()"
    )
    for functions in ("people", "memberships", "cases"):
        recreate_functions(functions)
