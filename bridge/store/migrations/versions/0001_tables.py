"""The tables, their policies, the gate functions and the queue."""

import procrastinate.schema
import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from bridge.store.migrations.gate import GATE_FUNCTIONS
from bridge.store.security import APP_ROLE, create_gate_function, create_roles, secure_table

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

APPEND_ONLY = ("audit_entry", "decision", "invoice", "invoice_line", "mapping_version", "payment", "sign_in_event")
GATE_READS = (
    "connection",
    "contract",
    "delivery",
    "domain",
    "organization",
    "scim_token",
    "sign_in_link",
    "web_session",
)
TENANT_TABLES = (
    "alert",
    "audit_entry",
    "connection",
    "contract",
    "decision",
    "delivery",
    "domain",
    "group",
    "group_member",
    "idempotency_key",
    "identity",
    "idp_certificate",
    "invoice",
    "invoice_line",
    "mapping_version",
    "member",
    "organization",
    "organization_state",
    "parked_member",
    "payment",
    "preview",
    "saml_replay",
    "saml_request",
    "scim_token",
    "seat_pool",
    "sign_in_event",
    "sign_in_link",
    "web_session",
)


def upgrade() -> None:
    """Apply."""
    for statement in create_roles():
        op.execute(statement)
    create_tables()
    for table in TENANT_TABLES:
        key = "id" if table == "organization" else "org_id"
        for statement in secure_table(table, key=key, append_only=table in APPEND_ONLY, gate_reads=table in GATE_READS):
            op.execute(statement)
    for function in GATE_FUNCTIONS:
        for statement in create_gate_function(*function):
            op.execute(statement)
    install_queue()


def install_queue() -> None:
    """Install the queue's own tables, which hold no tenant's data beyond identifiers."""
    # Straight to the driver: its text holds colons and percent signs that are no parameters.
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(procrastinate.schema.SchemaManager.get_schema())
    tables = op.get_bind().execute(
        sa.text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename ~ '^procrastinate_'")
    )
    for (table,) in tables:
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {APP_ROLE}")
    op.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {APP_ROLE}")
    op.execute(f"GRANT SELECT ON alembic_version TO {APP_ROLE}")


def create_tables() -> None:
    op.create_table(
        "organization",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organization")),
        sa.UniqueConstraint("slug", name=op.f("uq_organization_slug")),
    )
    op.create_table(
        "alert",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=True),
        sa.Column("member_id", sa.Uuid(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["org_id"], ["organization.id"], name=op.f("fk_alert_org_id")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_alert")),
    )
    op.create_index(
        "ix_alert_open", "alert", ["org_id", "at"], unique=False, postgresql_where=sa.text("resolved_at IS NULL")
    )
    op.create_table(
        "audit_entry",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject_kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organization.id"], name=op.f("fk_audit_entry_org_id")),
        sa.PrimaryKeyConstraint("org_id", "seq", name=op.f("pk_audit_entry")),
    )
    op.create_index(op.f("ix_audit_entry_org_id_subject_id"), "audit_entry", ["org_id", "subject_id"], unique=False)
    op.create_table(
        "connection",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("jit_enabled", sa.Boolean(), nullable=False),
        sa.Column("idp_initiated", sa.Boolean(), nullable=False),
        sa.Column("saml_entity_id", sa.Text(), nullable=True),
        sa.Column("saml_sso_url", sa.Text(), nullable=True),
        sa.Column("saml_updated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("scim_last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_sign_in_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["org_id"], ["organization.id"], name=op.f("fk_connection_org_id")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_connection")),
    )
    op.create_table(
        "contract",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("cycle", sa.Text(), nullable=False),
        sa.Column("anchor", sa.DateTime(timezone=True), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("tax_rate", sa.Text(), nullable=False),
        sa.Column("proration", sa.Text(), nullable=False),
        sa.Column("reduction", sa.Text(), nullable=False),
        sa.Column("minimum_seats", sa.BigInteger(), nullable=False),
        sa.Column("auto_renew", sa.Boolean(), nullable=False),
        sa.Column("renewal_basis", sa.Text(), nullable=False),
        sa.Column("contract_minimum", postgresql.JSONB(), nullable=False),
        sa.Column("period_index", sa.BigInteger(), nullable=False),
        sa.Column("period_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("period_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("credit_balance", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organization.id"], name=op.f("fk_contract_org_id")),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_contract")),
    )
    op.create_table(
        "decision",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("occasion", sa.Text(), nullable=False),
        sa.Column("from_tier", sa.Text(), nullable=True),
        sa.Column("to_tier", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("granted_by", sa.Text(), nullable=True),
        sa.Column("waiting_for", sa.Text(), nullable=True),
        sa.Column("groups", postgresql.JSONB(), nullable=False),
        sa.Column("rule", postgresql.JSONB(), nullable=True),
        sa.Column("losing_rules", postgresql.JSONB(), nullable=False),
        sa.Column("mapping_version", sa.BigInteger(), nullable=False),
        sa.Column("pools", postgresql.JSONB(), nullable=False),
        sa.Column("invoice_id", sa.Uuid(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organization.id"], name=op.f("fk_decision_org_id")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_decision")),
    )
    op.create_index(op.f("ix_decision_org_id_member_id_seq"), "decision", ["org_id", "member_id", "seq"], unique=False)
    op.create_table(
        "delivery",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["org_id"], ["organization.id"], name=op.f("fk_delivery_org_id")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_delivery")),
        sa.UniqueConstraint("org_id", "key", name=op.f("uq_delivery_org_id_key")),
    )
    op.create_index(
        "ix_delivery_due", "delivery", ["next_attempt_at"], unique=False, postgresql_where=sa.text("state = 'pending'")
    )
    op.create_table(
        "domain",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("challenge", sa.Text(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("verified_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["org_id"], ["organization.id"], name=op.f("fk_domain_org_id")),
        sa.PrimaryKeyConstraint("org_id", "name", name=op.f("pk_domain")),
    )
    op.create_index(
        "uq_domain_verified_name", "domain", ["name"], unique=True, postgresql_where=sa.text("verified_at IS NOT NULL")
    )
    op.create_table(
        "idempotency_key",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("result", postgresql.JSONB(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organization.id"], name=op.f("fk_idempotency_key_org_id")),
        sa.PrimaryKeyConstraint("org_id", "key", name=op.f("pk_idempotency_key")),
    )
    op.create_table(
        "invoice",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("subtotal", sa.BigInteger(), nullable=False),
        sa.Column("tax", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("credit_applied", sa.BigInteger(), nullable=False),
        sa.Column("amount_due", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organization.id"], name=op.f("fk_invoice_org_id")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_invoice")),
        sa.UniqueConstraint("org_id", "key", name=op.f("uq_invoice_org_id_key")),
        sa.UniqueConstraint("org_id", "number", name=op.f("uq_invoice_org_id_number")),
    )
    op.create_table(
        "mapping_version",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("document", postgresql.JSONB(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organization.id"], name=op.f("fk_mapping_version_org_id")),
        sa.PrimaryKeyConstraint("org_id", "version", name=op.f("pk_mapping_version")),
    )
    op.create_table(
        "organization_state",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("audit_seq", sa.BigInteger(), nullable=False),
        sa.Column("audit_head", sa.LargeBinary(), nullable=False),
        sa.Column("member_position", sa.BigInteger(), nullable=False),
        sa.Column("group_position", sa.BigInteger(), nullable=False),
        sa.Column("invoice_number", sa.BigInteger(), nullable=False),
        sa.Column("mapping_version", sa.BigInteger(), nullable=False),
        sa.Column("seat_version", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organization.id"], name=op.f("fk_organization_state_org_id")),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_organization_state")),
    )
    op.create_table(
        "preview",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("request", postgresql.JSONB(), nullable=False),
        sa.Column("seat_version", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("result", postgresql.JSONB(), nullable=True),
        sa.ForeignKeyConstraint(["org_id"], ["organization.id"], name=op.f("fk_preview_org_id")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_preview")),
    )
    op.create_table(
        "saml_replay",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("assertion_id", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organization.id"], name=op.f("fk_saml_replay_org_id")),
        sa.PrimaryKeyConstraint("org_id", "connection_id", "issuer", "assertion_id", name=op.f("pk_saml_replay")),
    )
    op.create_table(
        "seat_pool",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("rank", sa.BigInteger(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("next_price", sa.BigInteger(), nullable=False),
        sa.Column("paid", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("total BETWEEN 0 AND paid", name=op.f("ck_seat_pool_total_within_paid")),
        sa.CheckConstraint("used BETWEEN 0 AND total", name=op.f("ck_seat_pool_used_within_total")),
        sa.ForeignKeyConstraint(["org_id"], ["organization.id"], name=op.f("fk_seat_pool_org_id")),
        sa.PrimaryKeyConstraint("org_id", "tier", name=op.f("pk_seat_pool")),
        sa.UniqueConstraint("org_id", "rank", name=op.f("uq_seat_pool_org_id_rank")),
    )
    op.create_table(
        "sign_in_event",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=True),
        sa.Column("member_id", sa.Uuid(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organization.id"], name=op.f("fk_sign_in_event_org_id")),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_sign_in_event")),
    )
    op.create_index(op.f("ix_sign_in_event_org_id_at"), "sign_in_event", ["org_id", "at"], unique=False)
    op.create_table(
        "group",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("display_name_key", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("document", postgresql.JSONB(), nullable=False),
        sa.Column("comparison", postgresql.JSONB(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "connection_id"],
            ["connection.org_id", "connection.id"],
            name=op.f("fk_group_org_id_connection_id"),
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_group")),
        sa.UniqueConstraint(
            "org_id", "connection_id", "display_name_key", name=op.f("uq_group_org_id_connection_id_display_name_key")
        ),
    )
    op.create_index(
        "ix_group_comparison",
        "group",
        ["comparison"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"comparison": "jsonb_path_ops"},
    )
    op.create_index(
        op.f("ix_group_org_id_connection_id_position"), "group", ["org_id", "connection_id", "position"], unique=False
    )
    op.create_index(
        "uq_group_org_id_connection_id_external_id",
        "group",
        ["org_id", "connection_id", "external_id"],
        unique=True,
        postgresql_where=sa.text("external_id IS NOT NULL"),
    )
    op.create_table(
        "idp_certificate",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("pem", sa.Text(), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("not_after", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "connection_id"],
            ["connection.org_id", "connection.id"],
            name=op.f("fk_idp_certificate_org_id_connection_id"),
        ),
        sa.PrimaryKeyConstraint("org_id", "connection_id", "fingerprint", name=op.f("pk_idp_certificate")),
    )
    op.create_table(
        "invoice_line",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("invoice_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("unit_price", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("formula", sa.Text(), nullable=False),
        sa.Column("exact", sa.Text(), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "invoice_id"], ["invoice.org_id", "invoice.id"], name=op.f("fk_invoice_line_org_id_invoice_id")
        ),
        sa.PrimaryKeyConstraint("org_id", "invoice_id", "position", name=op.f("pk_invoice_line")),
    )
    op.create_table(
        "member",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("user_name", sa.Text(), nullable=False),
        sa.Column("user_name_key", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("email_key", sa.Text(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("role_from_mapping", sa.Boolean(), nullable=False),
        sa.Column("teams", postgresql.JSONB(), nullable=False),
        sa.Column("document", postgresql.JSONB(), nullable=False),
        sa.Column("comparison", postgresql.JSONB(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("modified_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tier", sa.Text(), nullable=True),
        sa.Column("granted_by", sa.Text(), nullable=True),
        sa.Column("pinned", sa.Boolean(), nullable=False),
        sa.Column("waiting_for", sa.Text(), nullable=True),
        sa.Column("waiting_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decision_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ["org_id", "connection_id"],
            ["connection.org_id", "connection.id"],
            name=op.f("fk_member_org_id_connection_id"),
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "tier"], ["seat_pool.org_id", "seat_pool.tier"], name=op.f("fk_member_org_id_tier")
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_member")),
        sa.UniqueConstraint(
            "org_id", "connection_id", "user_name_key", name=op.f("uq_member_org_id_connection_id_user_name_key")
        ),
    )
    op.create_index(
        "ix_member_comparison",
        "member",
        ["comparison"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"comparison": "jsonb_path_ops"},
    )
    op.create_index(
        op.f("ix_member_org_id_connection_id_position"), "member", ["org_id", "connection_id", "position"], unique=False
    )
    op.create_index(op.f("ix_member_org_id_email_key"), "member", ["org_id", "email_key"], unique=False)
    op.create_index(
        "ix_member_waiting",
        "member",
        ["org_id", "waiting_since", "id"],
        unique=False,
        postgresql_where=sa.text("waiting_for IS NOT NULL"),
    )
    op.create_index(
        "uq_member_org_id_connection_id_external_id",
        "member",
        ["org_id", "connection_id", "external_id"],
        unique=True,
        postgresql_where=sa.text("external_id IS NOT NULL"),
    )
    op.create_table(
        "payment",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("invoice_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "invoice_id"], ["invoice.org_id", "invoice.id"], name=op.f("fk_payment_org_id_invoice_id")
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_payment")),
        sa.UniqueConstraint("org_id", "key", name=op.f("uq_payment_org_id_key")),
    )
    op.create_table(
        "saml_request",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("cookie_hash", sa.LargeBinary(), nullable=False),
        sa.Column("return_path", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "connection_id"],
            ["connection.org_id", "connection.id"],
            name=op.f("fk_saml_request_org_id_connection_id"),
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_saml_request")),
    )
    op.create_table(
        "scim_token",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("can_write", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["org_id", "connection_id"],
            ["connection.org_id", "connection.id"],
            name=op.f("fk_scim_token_org_id_connection_id"),
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_scim_token")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_scim_token_token_hash")),
    )
    op.create_table(
        "group_member",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "group_id"],
            ["group.org_id", "group.id"],
            name=op.f("fk_group_member_org_id_group_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["org_id", "member_id"],
            ["member.org_id", "member.id"],
            name=op.f("fk_group_member_org_id_member_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "group_id", "member_id", name=op.f("pk_group_member")),
    )
    op.create_index(op.f("ix_group_member_org_id_member_id"), "group_member", ["org_id", "member_id"], unique=False)
    op.create_table(
        "identity",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("linked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("linked_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "member_id"],
            ["member.org_id", "member.id"],
            name=op.f("fk_identity_org_id_member_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "connection_id", "issuer", "subject", name=op.f("pk_identity")),
    )
    op.create_index(op.f("ix_identity_org_id_member_id"), "identity", ["org_id", "member_id"], unique=False)
    op.create_table(
        "parked_member",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("parked_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "group_id"],
            ["group.org_id", "group.id"],
            name=op.f("fk_parked_member_org_id_group_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "group_id", "value", name=op.f("pk_parked_member")),
    )
    op.create_index(op.f("ix_parked_member_org_id_value"), "parked_member", ["org_id", "value"], unique=False)
    op.create_table(
        "sign_in_link",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["org_id", "member_id"],
            ["member.org_id", "member.id"],
            name=op.f("fk_sign_in_link_org_id_member_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_sign_in_link")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_sign_in_link_token_hash")),
    )
    op.create_table(
        "web_session",
        sa.Column("org_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["org_id", "member_id"],
            ["member.org_id", "member.id"],
            name=op.f("fk_web_session_org_id_member_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_web_session")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_web_session_token_hash")),
    )
    op.create_index(op.f("ix_web_session_org_id_member_id"), "web_session", ["org_id", "member_id"], unique=False)
