"""Sign-ins in one statement."""

from bridge.store.functions import create_functions, recreate_functions

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    recreate_functions("people")
    create_functions("sign_ins")
