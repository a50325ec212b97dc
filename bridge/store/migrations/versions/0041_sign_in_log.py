"""The sign-in log is in order and forgotten after a while; a sign-in ends the session that the browser had."""

import sqlalchemy as sa
from alembic import op

from bridge.store.security import APP_ROLE

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("sign_in_event", sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False))
    op.create_index(op.f("ix_sign_in_event_org_id_member_id_seq"), "sign_in_event", ["org_id", "member_id", "seq"])
    op.execute(f'GRANT DELETE ON "sign_in_event" TO {APP_ROLE}')
    op.add_column("sign_in_request", sa.Column("former_session", sa.LargeBinary(), nullable=True))
