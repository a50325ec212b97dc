"""Extension schemas of an organization, and tokens that belong to a person."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from bridge.store.security import create_gate_function, secure_table

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

#: As before, and a person's token opens nothing while the person's access is off.
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
    op.create_table(
        "extension_schema",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("urn_key", sa.Text(), nullable=False),
        sa.Column("resource_type", sa.Text(), nullable=False),
        sa.Column("document", JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organization.id"], name="fk_extension_schema_org_id"),
        sa.PrimaryKeyConstraint("org_id", "urn_key", name="pk_extension_schema"),
    )
    for statement in secure_table("extension_schema"):
        op.execute(statement)
    # A person's token goes with the person.
    op.create_foreign_key(
        "fk_scim_token_org_id_member",
        "scim_token",
        "member",
        ["org_id", "member_id"],
        ["org_id", "id"],
        ondelete="CASCADE",
    )
    op.create_index("ix_scim_token_member_id", "scim_token", ["org_id", "member_id"])
    op.execute("CREATE POLICY gate ON member FOR SELECT TO seatbridge_gate USING (true)")
    op.execute("GRANT SELECT (org_id, id, active) ON member TO seatbridge_gate")
    op.execute("DROP FUNCTION enter_scim(bytea, timestamptz)")
    for statement in create_gate_function(*ENTER_SCIM):
        op.execute(statement)
