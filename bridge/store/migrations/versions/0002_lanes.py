"""One statement for each frequent SCIM request: the functions behind the lanes."""

import sqlalchemy as sa
from alembic import op

from bridge.store.functions import create_functions
from bridge.store.security import create_gate_function

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

#: A person's token opens nothing while the person's access is off.
ENTER_SCIM = (
    "enter_scim(hash bytea, instant timestamptz)",
    (
        "TABLE (org_id uuid, slug text, connection_id uuid, token_id uuid, can_write boolean,"
        " last_used_at timestamptz, subject_id uuid, schema_version bigint)"
    ),
    """
    BEGIN
        SELECT t.org_id, o.slug, t.connection_id, t.id, t.can_write, t.last_used_at, t.member_id, s.schema_version
        INTO org_id, slug, connection_id, token_id, can_write, last_used_at, subject_id, schema_version
        FROM scim_token t
        JOIN organization o ON o.id = t.org_id
        JOIN organization_state s ON s.org_id = t.org_id
        JOIN connection c ON c.org_id = t.org_id AND c.id = t.connection_id
        WHERE t.token_hash = hash AND t.revoked_at IS NULL AND t.expires_at > instant AND c.disabled_at IS NULL
            AND (t.member_id IS NULL OR EXISTS (
                SELECT FROM member m WHERE m.org_id = t.org_id AND m.id = t.member_id AND m.active
            ));
        IF FOUND THEN
            PERFORM set_config('seatbridge.org', enter_scim.org_id::text, true);
            RETURN NEXT;
        END IF;
    END
    """,
)


def upgrade() -> None:
    """Apply."""
    op.add_column(
        "organization_state", sa.Column("schema_version", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.alter_column("organization_state", "schema_version", server_default=None)
    op.add_column("scim_token", sa.Column("member_id", sa.Uuid(), nullable=True))
    op.execute('CREATE POLICY gate ON "organization_state" FOR SELECT TO seatbridge_gate USING (true)')
    op.execute('GRANT SELECT ON "organization_state" TO seatbridge_gate')
    op.execute("CREATE POLICY gate ON member FOR SELECT TO seatbridge_gate USING (true)")
    op.execute("GRANT SELECT (org_id, id, active) ON member TO seatbridge_gate")
    op.execute("DROP FUNCTION enter_scim(bytea, timestamptz)")
    for statement in create_gate_function(*ENTER_SCIM):
        op.execute(statement)
    create_functions("people")
