"""``seatbridge api-key``: made once shown, listed, revoked, and written into the audit."""

import json

from click.testing import CliRunner
from sqlalchemy import URL, select

from bridge.cli import main
from bridge.runtime import Runtime
from bridge.store.models import AuditEntry
from tests.api import Program
from tests.conftest import KEY
from tests.factories import Customer
from wsgi import compose


def test_a_key_is_made_listed_used_and_revoked(database_url: URL, runtime: Runtime, customer: Customer) -> None:
    environment = {
        "SEATBRIDGE__DATABASE__URL": database_url.render_as_string(hide_password=False),
        "SEATBRIDGE__SECRETS__KEYS": KEY,
    }

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(main, ["api-key", *arguments], env=environment)
        return f"{result.exit_code} {result.output}"

    made = json.loads(run("create", "nordlys", "Report", "--scope", "people:read", "--json").partition(" ")[2])
    program = Program(compose(runtime), made["key"])
    before = program.get("/people").status
    listed = run("list", "nordlys")
    revoked = run("revoke", "nordlys", made["id"])
    unknown = run("create", "nordlys", "Report", "--scope", "people:eat")

    assert (before, program.get("/people").status) == (200, 401)
    assert made["key"] not in listed
    assert made["key"][:12] in listed
    assert revoked == "0 Report is revoked.\n"
    assert unknown.startswith("1 ")
    assert "people:eat" in unknown
    with customer.unit() as unit:
        actions = unit.session.scalars(
            select(AuditEntry.action).where(AuditEntry.subject_kind == "api_key").order_by(AuditEntry.seq)
        ).all()
    assert actions == ["api_key.created", "api_key.revoked"]
