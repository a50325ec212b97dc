"""What an invoice follows from: where the journal stood, what its quantities count, and each line's exact share."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

#: Invoices of before: the entry that names one comes right after it; the first one of all comes after the first entry.
_POSITIONS = """
UPDATE invoice SET journal_seq = coalesce(
    (SELECT min(entry.seq) - 1 FROM audit_entry AS entry
      WHERE entry.org_id = invoice.org_id
        AND (entry.body ->> 'invoice' = invoice.id::text OR entry.subject_id = invoice.id::text)), 1)
"""
_COUNTS = """
UPDATE invoice SET counts = CASE
    WHEN invoice.reason IN ('instalment', 'amendment') OR contract.kind = 'contract' THEN 'fee'
    WHEN contract.kind = 'team_licence' THEN 'teams'
    WHEN contract.kind = 'user_licence' THEN 'people'
    WHEN invoice.reason = 'renewal' AND contract.renewal_basis = 'in_use' THEN 'people'
    ELSE 'seats' END
FROM contract WHERE contract.org_id = invoice.org_id
"""
_WHOLE = "UPDATE invoice_line SET share = '1' WHERE kind IN ('seat', 'team_licence', 'user_licence')"
_READ_OR_WRITTEN = ("invoice", "invoice_line", "audit_entry", "contract")


def upgrade() -> None:
    """Apply."""
    op.add_column("invoice", sa.Column("journal_seq", sa.BigInteger(), nullable=True))
    op.add_column("invoice", sa.Column("counts", sa.Text(), nullable=True))
    op.add_column("invoice_line", sa.Column("share", sa.Text(), nullable=True))
    # The owner of the tables sees every organization's rows only where the policies are not forced on it.
    for table in _READ_OR_WRITTEN:
        op.execute(f'ALTER TABLE "{table}" NO FORCE ROW LEVEL SECURITY')
    for statement in (_POSITIONS, _COUNTS, _WHOLE):
        op.execute(statement)
    for table in _READ_OR_WRITTEN:
        op.execute(f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY')
    op.alter_column("invoice", "journal_seq", nullable=False)
    op.alter_column("invoice", "counts", nullable=False)
