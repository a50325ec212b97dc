"""Orders, deliveries and holds counted by state, for whoever watches the installation."""

from alembic import op

from bridge.store.security import create_gate_function, let_gate_read

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

#: Every state is told, with 0 where there is nothing: a line that comes and goes cannot be watched.
COUNTED_WORK = (
    "counted_work()",
    "TABLE (fact text, kind text, number bigint)",
    """
    BEGIN
        RETURN QUERY
        SELECT 'orders', s.state, count(o.id)
        FROM unnest(ARRAY['pending', 'placed', 'declined', 'cancelled', 'dead']) s (state)
        LEFT JOIN billing_order o ON o.state = s.state GROUP BY s.state
        UNION ALL
        SELECT 'deliveries', s.state, count(d.id) FROM unnest(ARRAY['pending', 'done', 'dead']) s (state)
        LEFT JOIN delivery d ON d.state = s.state GROUP BY s.state
        UNION ALL
        SELECT 'holds', s.state, count(h.id) FROM unnest(ARRAY['open', 'released', 'dropped', 'dissolved']) s (state)
        LEFT JOIN hold h ON h.state = s.state GROUP BY s.state
        UNION ALL
        SELECT 'held_people', 'held', count(*) FROM held_person p WHERE p.outcome IS NULL
        ORDER BY 1, 2;
    END
    """,
)


def upgrade() -> None:
    """Apply."""
    for table in ("hold", "held_person"):
        for statement in let_gate_read(table):
            op.execute(statement)
    for statement in create_gate_function(*COUNTED_WORK):
        op.execute(statement)
