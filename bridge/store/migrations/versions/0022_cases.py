"""One statement for one person in or out of a group, and for one who is turned on or off."""

from bridge.store.functions import create_functions, recreate_functions

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    create_functions("cases")
    for functions in ("people", "memberships"):
        recreate_functions(functions)
