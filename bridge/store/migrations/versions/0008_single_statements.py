"""One statement for a page of people, and for single texts of a person."""

from bridge.store.functions import create_functions, recreate_functions

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    create_functions("pages")
    recreate_functions("people")
