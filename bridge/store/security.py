"""Row-level security, roles and grants: the statements that migrations apply to each new table.

Two roles exist in the cluster, neither can log in by itself here:

* ``seatbridge_app``: what the service works as. It owns nothing, so it can neither switch a policy off nor bypass one.
* ``seatbridge_gate``: owns the few functions that find out *which* organization a credential belongs to, before one is
  known. Its policies let it read, never write.

The organization of a transaction is the setting ``seatbridge.org``; without it no row of any tenant table is visible.
"""

from collections.abc import Iterable, Iterator

APP_ROLE = "seatbridge_app"
GATE_ROLE = "seatbridge_gate"

#: ``nullif``: a setting that was local to an earlier transaction of the connection reads '' afterwards, not NULL.
CURRENT_ORG = "(select nullif(current_setting('seatbridge.org', true), ''))::uuid"


def create_roles() -> Iterator[str]:
    """Create the two roles where the cluster lacks them; roles are shared by all databases of a cluster."""
    for role in (APP_ROLE, GATE_ROLE):
        yield (
            f"DO $$ BEGIN CREATE ROLE {role} NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE; "
            "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
        )
    yield f"DO $$ BEGIN GRANT {GATE_ROLE} TO CURRENT_USER; EXCEPTION WHEN OTHERS THEN NULL; END $$"
    yield f"GRANT USAGE ON SCHEMA public TO {APP_ROLE}, {GATE_ROLE}"


def secure_table(
    table: str, *, key: str = "org_id", append_only: bool = False, gate_reads: bool = False
) -> Iterator[str]:
    """Put a tenant table under forced row-level security and grant the application what it needs.

    Args:
        table: Name of the table.
        key: The column that holds the organization.
        append_only: Grant neither UPDATE nor DELETE.
        gate_reads: Let the gate role read all rows, for looking a credential up.
    """
    yield f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY'
    yield f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY'
    yield f'CREATE POLICY tenant ON "{table}" USING ({key} = {CURRENT_ORG}) WITH CHECK ({key} = {CURRENT_ORG})'
    verbs = "SELECT, INSERT" if append_only else "SELECT, INSERT, UPDATE, DELETE"
    yield f'GRANT {verbs} ON "{table}" TO {APP_ROLE}'
    if gate_reads:
        yield from let_gate_read(table)


def share_table(table: str, *, append_only: bool = False) -> Iterator[str]:
    """Grant the application what it needs of a table that belongs to no organization, as applications do.

    Args:
        table: Name of the table. It holds nothing of or about any organization's people.
        append_only: Grant neither UPDATE nor DELETE.
    """
    verbs = "SELECT, INSERT" if append_only else "SELECT, INSERT, UPDATE, DELETE"
    yield f'GRANT {verbs} ON "{table}" TO {APP_ROLE}'


def let_gate_read(table: str) -> Iterator[str]:
    """Let the gate role read all rows of a table that is secured already."""
    yield f'CREATE POLICY gate ON "{table}" FOR SELECT TO {GATE_ROLE} USING (true)'
    yield f'GRANT SELECT ON "{table}" TO {GATE_ROLE}'


def create_gate_function(signature: str, returns: str, body: str) -> Iterator[str]:
    """Create a function that runs as the gate role and that only the application may call.

    Temporary tables come last in its search path: left out, they would come first and could be the caller's.

    Args:
        signature: Name and arguments, as ``enter_scim(hash bytea, instant timestamptz)``.
        returns: What follows RETURNS.
        body: A plpgsql block.
    """
    name = signature.replace("\n", " ")
    yield (
        f"CREATE FUNCTION {name} RETURNS {returns} LANGUAGE plpgsql SECURITY DEFINER "
        f"SET search_path = pg_catalog, public, pg_temp AS $gate$ {body} $gate$"
    )
    types = signature.partition("(")[0] + "(" + ", ".join(_types(signature)) + ")"
    yield f"GRANT CREATE ON SCHEMA public TO {GATE_ROLE}"
    yield f"ALTER FUNCTION {types} OWNER TO {GATE_ROLE}"
    yield f"REVOKE CREATE ON SCHEMA public FROM {GATE_ROLE}"
    yield f"REVOKE ALL ON FUNCTION {types} FROM PUBLIC"
    yield f"GRANT EXECUTE ON FUNCTION {types} TO {APP_ROLE}"


def _types(signature: str) -> Iterable[str]:
    arguments = signature.partition("(")[2].rpartition(")")[0]
    return (argument.split()[1] for argument in arguments.split(",") if argument.strip())
