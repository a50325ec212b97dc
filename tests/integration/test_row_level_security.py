"""What the service's role cannot do, whatever runs as it: read or write another organization, or lift the fence."""

import uuid
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import URL, text
from sqlalchemy.orm import Session

from bridge.errors import ConfigurationError
from bridge.runtime import EMBEDDED_ROLE, Runtime
from bridge.store import gate
from bridge.store.base import Base
from bridge.store.database import build_engine, check_database
from bridge.store.security import APP_ROLE, GATE_ROLE
from bridge.usecases.connections import claim_domain, issue_scim_token, verify_domain
from tests.factories import Customer

#: What belongs to no organization: applications and their keys, and what was done to them.
INSTALLATION = ["app", "app_secret", "installation_event", "signing_key"]
TABLES = sorted(set(Base.metadata.tables) - set(INSTALLATION))
APPEND_ONLY = [
    "audit_entry",
    "core_event",
    "budget_purchase",
    "decision",
    "invoice",
    "invoice_line",
    "licence_holder",
    "mapping_version",
    "payment",
]


def key_of(table: str) -> str:
    return "id" if table == "organization" else "org_id"


@pytest.fixture
def service(postgres_server: object, database_url: URL) -> Iterator[psycopg.Connection]:
    """A bare connection of the service's role."""
    conninfo = database_url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        yield connection


def bind(connection: psycopg.Connection, customer: Customer) -> None:
    connection.execute("SELECT set_config('seatbridge.org', %s, false)", [str(customer.org_id)])


def test_every_table_of_the_product_belongs_to_an_organization() -> None:
    without = [table for table in TABLES if "org_id" not in Base.metadata.tables[table].columns]

    assert without == ["organization"]


def test_tables_of_the_installation_know_no_person_and_their_record_only_grows(
    owner_connection: psycopg.Connection,
) -> None:
    columns = {column.name for table in INSTALLATION for column in Base.metadata.tables[table].columns}
    rights = owner_connection.execute(
        "SELECT privilege_type FROM information_schema.role_table_grants"
        " WHERE grantee = %s AND table_name = 'installation_event' ORDER BY 1",
        [APP_ROLE],
    ).fetchall()

    assert not {name for name in columns if "member" in name or "email" in name or name == "org_id"}
    assert rights == [("INSERT",), ("SELECT",)]


def test_every_table_with_an_organization_is_fenced_for_its_owner_too(owner_connection: psycopg.Connection) -> None:
    fenced = owner_connection.execute(
        "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
        " AND c.relrowsecurity AND c.relforcerowsecurity ORDER BY 1"
    ).fetchall()
    holding = owner_connection.execute(
        "SELECT c.table_name FROM information_schema.columns c"
        " JOIN information_schema.tables t ON (t.table_schema, t.table_name) = (c.table_schema, c.table_name)"
        " WHERE c.table_schema = 'public' AND c.column_name = 'org_id' AND t.table_type = 'BASE TABLE' ORDER BY 1"
    ).fetchall()

    assert [row[0] for row in fenced] == TABLES
    assert {row[0] for row in holding} | {"organization"} == set(TABLES)


def test_every_view_reads_as_its_caller(owner_connection: psycopg.Connection) -> None:
    views = owner_connection.execute(
        "SELECT relname, reloptions FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('v', 'm') ORDER BY 1"
    ).fetchall()

    assert views == [("effective_membership", ["security_invoker=true"])]


def test_every_policy_is_the_tenant_s_or_lets_the_gate_read(owner_connection: psycopg.Connection) -> None:
    policies = owner_connection.execute(
        "SELECT tablename, policyname, cmd, roles::text, qual, with_check FROM pg_policies WHERE schemaname = 'public'"
    ).fetchall()

    tenant = {row[0] for row in policies if row[1] == "tenant"}
    others = {(row[1], row[2], row[3], row[5]) for row in policies if row[1] != "tenant"}
    assert sorted(tenant) == TABLES
    assert others == {("gate", "SELECT", f"{{{GATE_ROLE}}}", None)}
    for table, _, command, roles, qual, check in (row for row in policies if row[1] == "tenant"):
        assert (command, roles) == ("ALL", "{public}")
        assert qual == check
        assert qual.startswith(f"({key_of(table)} = ")
        assert "seatbridge.org" in qual


def test_every_tenant_table_begins_its_key_with_the_organization() -> None:
    for name in TABLES:
        first = next(iter(Base.metadata.tables[name].primary_key.columns))
        assert first.name == key_of(name), name


def test_the_service_is_an_ordinary_role_that_owns_nothing(owner_connection: psycopg.Connection) -> None:
    roles = owner_connection.execute(
        "SELECT rolname, rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication FROM pg_roles"
        " WHERE rolname = ANY(%s) ORDER BY 1",
        [[APP_ROLE, GATE_ROLE, EMBEDDED_ROLE]],
    ).fetchall()
    owned = owner_connection.execute(
        "SELECT count(*) FROM pg_class WHERE pg_get_userbyid(relowner) = ANY(%s)", [[APP_ROLE, EMBEDDED_ROLE]]
    ).fetchone()
    member_of = owner_connection.execute(
        "SELECT pg_get_userbyid(roleid) FROM pg_auth_members WHERE pg_get_userbyid(member) = %s",
        [EMBEDDED_ROLE],
    ).fetchall()

    assert roles == [(APP_ROLE, False), (GATE_ROLE, False), (EMBEDDED_ROLE, False)]
    assert owned == (0,)
    assert member_of == [(APP_ROLE,)]


@pytest.mark.parametrize("table", TABLES)
def test_without_an_organization_no_row_is_seen(service: psycopg.Connection, customer: Customer, table: str) -> None:
    query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))

    unbound = service.execute(query).fetchone()
    service.execute("SELECT set_config('seatbridge.org', '', false)")
    empty = service.execute(query).fetchone()

    assert (unbound, empty) == ((0,), (0,))


@pytest.mark.parametrize("table", TABLES)
def test_t1_another_organization_s_rows_are_not_there(
    service: psycopg.Connection, make_customer: Callable[..., Customer], table: str
) -> None:
    ours, theirs = make_customer("ours"), make_customer("theirs")
    for one in (ours, theirs):
        one.push(f"ada@{one.slug}.test")
    bind(service, ours)
    identifiers = {"table": sql.Identifier(table), "key": sql.Identifier(key_of(table))}

    seen = service.execute(
        sql.SQL("SELECT count(*) FROM {table} WHERE {key} = %s").format(**identifiers), [theirs.org_id]
    ).fetchone()
    owners = service.execute(sql.SQL("SELECT DISTINCT {key} FROM {table}").format(**identifiers)).fetchall()

    assert seen == (0,)
    assert owners in ([], [(ours.org_id,)])


def test_writing_into_another_organization_is_refused(
    service: psycopg.Connection, make_customer: Callable[..., Customer], owner_connection: psycopg.Connection
) -> None:
    ours, theirs = make_customer("ours"), make_customer("theirs")
    bind(service, ours)

    moved = service.execute("UPDATE seat_pool SET used = 0, total = 0 WHERE org_id = %s", [theirs.org_id]).rowcount
    gone = service.execute("DELETE FROM contract WHERE org_id = %s", [theirs.org_id]).rowcount
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        service.execute(
            "INSERT INTO saml_replay (org_id, connection_id, issuer, assertion_id, expires_at)"
            " VALUES (%s, %s, 'idp', 'x', now())",
            [theirs.org_id, theirs.connection_id],
        )
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        service.execute("UPDATE connection SET org_id = %s", [theirs.org_id])

    assert (moved, gone) == (0, 0)
    totals = owner_connection.execute("SELECT sum(total) FROM seat_pool WHERE org_id = %s", [theirs.org_id]).fetchone()
    assert totals == (7,)  # 2 Premium + 5 Standard


@pytest.mark.parametrize("verb", ["UPDATE {} SET reason = 'ok'", "TRUNCATE {}"])
def test_the_sign_in_log_is_forgotten_and_never_changed(
    service: psycopg.Connection, customer: Customer, verb: str
) -> None:
    bind(service, customer)

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        service.execute(sql.SQL(verb).format(sql.Identifier("sign_in_event")))


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("verb", ["UPDATE", "DELETE", "TRUNCATE"])
def test_what_is_written_for_good_cannot_be_changed(
    service: psycopg.Connection, customer: Customer, table: str, verb: str
) -> None:
    bind(service, customer)
    statement = {"UPDATE": "UPDATE {} SET org_id = org_id", "DELETE": "DELETE FROM {}", "TRUNCATE": "TRUNCATE {}"}[verb]

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        service.execute(sql.SQL(statement).format(sql.Identifier(table)))


@pytest.mark.parametrize(
    "attempt",
    [
        "ALTER TABLE member DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE member NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY tenant ON member",
        "CREATE POLICY all_of_it ON member USING (true)",
        "SET ROLE postgres",
        f"SET ROLE {GATE_ROLE}",
        "SET SESSION AUTHORIZATION postgres",
        f"ALTER ROLE {EMBEDDED_ROLE} BYPASSRLS",
        f"GRANT {GATE_ROLE} TO {EMBEDDED_ROLE}",
        "CREATE TABLE mine (id int)",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE FUNCTION find_organization(text) RETURNS uuid LANGUAGE sql AS 'SELECT null::uuid'",
        "ALTER FUNCTION list_organizations() SECURITY INVOKER",
        "UPDATE alembic_version SET version_num = 'x'",
        "COPY member TO PROGRAM 'cat'",
        "TRUNCATE member CASCADE",
        "SELECT * FROM pg_authid",
    ],
)
def test_the_fence_cannot_be_lifted_by_the_service(
    service: psycopg.Connection, customer: Customer, attempt: str
) -> None:
    bind(service, customer)

    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedTable)):
        service.execute(attempt)


def test_switching_the_row_security_off_shows_nothing_but_an_error(
    service: psycopg.Connection, customer: Customer
) -> None:
    service.execute("SET row_security = off")

    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        service.execute("SELECT * FROM member")


def test_shadowing_a_table_does_not_mislead_the_gate(service: psycopg.Connection, customer: Customer) -> None:
    service.execute("CREATE TEMPORARY TABLE organization (id uuid, slug text, name text)")
    service.execute("INSERT INTO pg_temp.organization VALUES (gen_random_uuid(), 'nordlys', 'False')")

    found = service.execute("SELECT org_id FROM find_organization('nordlys')").fetchall()

    assert found == [(customer.org_id,)]


def test_the_organization_of_a_unit_does_not_stay_on_the_connection(runtime: Runtime, customer: Customer) -> None:
    with customer.unit() as unit:
        inside = unit.session.scalar(text("SELECT count(*) FROM member"))

    after = runtime.ask_gate(lambda session: session.scalar(text("SELECT count(*) FROM member")))

    assert (inside, after) == (1, 0)


def test_the_gate_answers_identifiers_only(owner_connection: psycopg.Connection) -> None:
    functions = owner_connection.execute(
        "SELECT p.proname, pg_get_function_result(p.oid), p.prosecdef, pg_get_userbyid(p.proowner), p.proconfig,"
        " has_function_privilege('public', p.oid, 'EXECUTE')"
        " FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef"
    ).fetchall()

    allowed = {"org_id", "slug", "name", "connection_id", "token_id", "can_write", "last_used_at"}
    allowed |= {"session_id", "member_id", "link_id", "delivery_id", "subject_id", "schema_version", "order_id"}
    allowed |= {"orders", "dead_orders", "oldest_order", "deliveries", "oldest_mail"}  # counts and ages
    allowed |= {"message_id", "endpoint_id", "key_id"}
    allowed |= {"fact", "kind", "number"}  # counts by state
    assert {row[0] for row in functions} == {
        "budgeted_organizations",
        "counted_work",
        "due_deliveries",
        "due_orders",
        "due_renewals",
        "due_webhooks",
        "enter_api_key",
        "enter_scim",
        "enter_session",
        "find_app_grant",
        "find_domain",
        "find_organization",
        "find_scim_client",
        "find_setup_link",
        "find_sign_in_link",
        "list_organizations",
        "remotely_billed",
        "organizations_past_threshold",
        "organizations_with_news",
        "trace_scim_token",
        "waiting_work",
    }
    for name, result, _, owner, settings, is_public in functions:
        columns = {column.split()[0] for column in result.removeprefix("TABLE(").removesuffix(")").split(", ")}
        assert columns <= allowed, name
        assert owner == GATE_ROLE
        assert settings == ["search_path=pg_catalog, public, pg_temp"]
        assert not is_public


def test_the_gate_only_reads(owner_connection: psycopg.Connection) -> None:
    rights = owner_connection.execute(
        "SELECT DISTINCT privilege_type FROM information_schema.role_table_grants WHERE grantee = %s", [GATE_ROLE]
    ).fetchall()

    assert rights == [("SELECT",)]


def test_t2_a_token_enters_its_own_organization_only(runtime: Runtime, make_customer: Callable[..., Customer]) -> None:
    ours, theirs = make_customer("ours"), make_customer("theirs")
    with theirs.unit() as unit:
        token = issue_scim_token(unit, theirs.connection_id)
        now = unit.at

    def enter_and_look(session: Session) -> tuple[gate.ScimPrincipal | None, list[uuid.UUID]]:
        principal = gate.enter_scim(session, token.hash, now)
        return principal, list(session.scalars(text("SELECT id FROM organization")))

    principal, seen = runtime.ask_gate(enter_and_look)

    assert principal is not None
    assert (principal.org_id, principal.slug, principal.can_write) == (theirs.org_id, "theirs", True)
    assert seen == [theirs.org_id]
    assert ours.org_id not in seen


def test_t4_a_domain_of_another_organization_is_taken_without_saying_whose_it_is(
    make_customer: Callable[..., Customer],
) -> None:
    ours, theirs = make_customer("ours"), make_customer("theirs")
    with theirs.unit() as unit:
        claim_domain(unit, "shared.test")
        verify_domain(unit, "shared.test")

    with pytest.raises(Exception, match="already taken by another organization"), ours.unit() as unit:  # noqa: PT012 - the unit commits
        claim_domain(unit, "shared.test")
        verify_domain(unit, "shared.test")


def test_a_superuser_is_refused_as_the_service_s_role(owner_url: URL) -> None:
    engine = build_engine(owner_url, pool_size=1, pool_overflow=0, statement_timeout_seconds=5, lock_timeout_seconds=5)

    with pytest.raises(ConfigurationError, match="could bypass row-level security"):
        check_database(engine)

    engine.dispose()


def test_the_ordinary_role_is_accepted(runtime: Runtime) -> None:
    check_database(runtime.engine)
