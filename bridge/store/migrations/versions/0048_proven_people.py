"""That a directory has pushed is known of its connection; the shortcuts leave people whom a sign-in made alone."""

from alembic import op

from bridge.store.functions import recreate_functions

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    # The owner of the table sees every organization's rows only where the policies are not forced on it.
    for table in ("connection", "scim_token"):
        op.execute(f'ALTER TABLE "{table}" NO FORCE ROW LEVEL SECURITY')
    op.execute(
        "UPDATE connection c SET scim_last_used_at = t.at FROM ("
        "SELECT org_id, connection_id, max(last_used_at) AS at FROM scim_token "
        "WHERE can_write AND member_id IS NULL AND last_used_at IS NOT NULL GROUP BY org_id, connection_id"
        ") t WHERE t.org_id = c.org_id AND t.connection_id = c.id"
    )
    for table in ("connection", "scim_token"):
        op.execute(f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY')
    for functions in ("memberships", "cases", "sign_ins"):
        recreate_functions(functions)
