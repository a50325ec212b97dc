"""Set-based changes of memberships, and one statement for each frequent request about a group."""

from alembic import op

from bridge.store.functions import create_functions

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    # Room beside each person for the next version of the row: a seat that changes then leaves every index alone.
    op.execute("ALTER TABLE member SET (fillfactor = 80)")
    # Every push writes some of these, and each looked up and locked the organization's row.
    op.drop_constraint("fk_audit_entry_org_id", "audit_entry", type_="foreignkey")
    op.drop_constraint("fk_decision_org_id", "decision", type_="foreignkey")
    create_functions("memberships")
