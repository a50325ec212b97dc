"""The command line as an operator uses it: what is printed, what is changed, and how it ends."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import psycopg
import pytest
import yaml
from click.testing import CliRunner, Result
from sqlalchemy import URL

from bridge.adapters import dns as dns_adapter
from bridge.billing import BuiltinPayments
from bridge.cli import main
from bridge.cli.commands import COMMANDS
from bridge.config import Settings, generate_key
from bridge.domain.identifiers import new_id
from bridge.errors import ConfigurationError
from bridge.runtime import build_runtime
from bridge.simulator.saml import SimulatedIdp
from bridge.store.models import AuditEntry, Connection, SignInEvent
from bridge.store.schema import newest_revision
from bridge.usecases.connections import list_connections
from bridge.usecases.saml_trust import saml_provider
from tests.conftest import KEY
from tests.factories import Customer, create_customer
from tests.metadata_site import metadata_site
from tests.name_servers import name_server
from tests.processes import ROOT
from tests.smtp import mail_server

Run = Callable[..., Result]


@pytest.fixture
def run(database_url: URL) -> Run:
    """Run ``seatbridge ...`` here."""
    environment: dict[str, str | None] = {
        "SEATBRIDGE__DATABASE__URL": database_url.render_as_string(hide_password=False),
        "SEATBRIDGE__SECRETS__KEYS": KEY,
        "SEATBRIDGE__SERVER__PUBLIC_URL": "https://seats.example.com",
    }

    def run(*arguments: str, typed: str = "", **changed: str | None) -> Result:
        return CliRunner().invoke(main, list(arguments), input=typed, env={**environment, **changed})

    return run


@pytest.fixture
def nordlys(settings: Settings, database_url: URL) -> Iterator[Customer]:
    """A customer of the present day: 2 Premium and 5 Standard seats by the month."""
    runtime = build_runtime(settings, database_url, payments=BuiltinPayments())
    yield create_customer(runtime)
    runtime.close()


def commands(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            if command is not None:
                yield from commands(command, (*path, name))
    else:
        yield path, group


class TestShape:
    def test_the_help_imports_nothing_heavy(self) -> None:
        script = (
            "import sys; from bridge.cli import main; main(['--help'], standalone_mode=False);"
            "print([name for name in ('sqlalchemy', 'flask', 'rich', 'yaml', 'pydantic', 'alembic')"
            " if name in sys.modules])"
        )

        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)

        assert done.stdout.splitlines()[-1] == "[]"

    def test_every_command_says_what_it_does_and_so_does_every_option(self) -> None:
        for path, command in commands(main):
            assert command.help, path
            for parameter in command.params:
                if isinstance(parameter, click.Option) and not isinstance(parameter.type, click.Choice):
                    assert parameter.help, (path, parameter.name)

    def test_what_shows_something_takes_json(self) -> None:
        showing = {"list", "show", "check", "doctor", "why", "export", "diff", "apply", "verify", "create", "add"}
        without = [
            path
            for path, command in commands(main)
            if path[-1] in showing
            and path != ("domain", "verify")  # one sentence
            and "as_json" not in {parameter.name for parameter in command.params}
        ]

        assert without == []

    def test_the_table_of_commands_names_what_exists(self) -> None:
        listed = set(main.list_commands(click.Context(main)))

        for name in listed:
            assert main.get_command(click.Context(main), name) is not None, name
        assert set(COMMANDS) - listed <= {"demo", "simulate"}

    def test_the_version_is_printed(self, run: Run) -> None:
        assert run("--version").output.startswith("seatbridge ")


class TestErrors:
    def test_every_mistake_in_the_configuration_is_named_at_once(self, run: Run) -> None:
        done = run("org", "list", SEATBRIDGE__SERVER__PORT="0", SEATBRIDGE__LOG__LEVEL="loud")

        assert done.exit_code == 2
        assert [line.split(":")[1].strip() for line in done.stderr.splitlines()] == [
            "SEATBRIDGE__SERVER__PORT",
            "SEATBRIDGE__LOG__LEVEL",
        ]

    def test_a_refusal_is_one_sentence_with_its_code(self, run: Run) -> None:
        done = run("org", "show", "nobody")

        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr == "There is no organization 'nobody' (not_found)\n"

    def test_a_database_that_is_away_is_no_traceback(self, run: Run) -> None:
        done = run("org", "list", SEATBRIDGE__DATABASE__URL="postgresql://seatbridge@127.0.0.1:1/seatbridge")

        assert done.exit_code == 1
        assert "run `seatbridge doctor`" in done.stderr
        assert "Traceback" not in done.stderr

    def test_a_file_of_settings_that_is_not_there_is_named(self, run: Run, tmp_path: Path) -> None:
        done = run("--config", str(tmp_path / "none.yaml"), "org", "list")

        assert (done.exit_code, "none.yaml: cannot be read" in done.stderr) == (2, True)


class TestOrganizations:
    CREATE = ("org", "create", "nordlys-labs", "--name", "Nordlys Labs", "--owner-email", "olga@nordlys.test")

    def test_creating_one_prints_the_invoice_and_the_owners_link(self, run: Run) -> None:
        done = run(*self.CREATE, "--tier", "premium=10@720.00", "--tier", "standard=20@240", "--tax-rate", "0.25")

        # (10 × €720.00 + 20 × €240.00) × 1.25 = €12,000.00 × 1.25 = €15,000.00
        assert done.exit_code == 0, done.output
        assert "NORDLYS-LABS-000001: €15,000.00" in done.stdout
        assert re.search(r"https://seats\.example\.com/sign-in/link/[\w-]{43}\n", done.stdout)
        shown = json.loads(run("org", "show", "nordlys-labs", "--json").stdout)
        assert [(pool["name"], pool["bought"], pool["price"]) for pool in shown["pools"]] == [
            ("Premium", 10, 72000),
            ("Standard", 20, 24000),
        ]

    def test_the_first_period_begins_at_midnight_where_the_customer_is(self, run: Run) -> None:
        today = datetime.now(ZoneInfo("Europe/Oslo")).replace(hour=0, minute=0, second=0, microsecond=0)

        done = run(
            *self.CREATE,
            "--tier",
            "premium=1@10",
            "--time-zone",
            "Europe/Oslo",
            "--start",
            f"{today:%Y-%m-%d}",
            "--json",
        )

        shown = json.loads(run("org", "show", "nordlys-labs", "--json").stdout)
        assert done.exit_code == 0
        assert shown["period start"] == today.astimezone(UTC).isoformat()

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            (("--tier", "premium=ten@1"), "does not read KEY=SEATS@PRICE"),
            (("--tier", "premium=1@1.234"), "finer than the 2 decimals of EUR"),
            (("--tier", "premium=1@1", "--currency", "XYZ"), "is not an ISO 4217 currency code"),
            (("--tier", "premium=1@1", "--time-zone", "Mars/Olympus"), "is no time zone such as Europe/Oslo"),
            (("--tier", "premium=1@1", "--tax-rate", "lots"), "tax_rate"),
            (("--tier", "premium=1@1", "--tax-rate", "25"), "25 is 2500% of the price: write 0.25 for 25 %"),
            (("--tier", "premium=1@1", "--start", "1999-01-01"), "1999-01-01 lies more than 2 years in the past"),
            (("--tier", "premium=1@1", "--start", "2999-01-01"), "or 1 year in the future"),
            (("--tier", "premium=1@1", "--tier", "premium=2@1"), "two tiers have the same key"),
        ],
    )
    def test_terms_that_make_no_sense_are_refused_by_their_name(
        self, run: Run, options: tuple[str, ...], sentence: str
    ) -> None:
        done = run(*self.CREATE, *options)

        assert (done.exit_code, sentence in done.stderr) == (1, True), done.stderr
        assert json.loads(run("org", "list", "--json").stdout) == []

    def test_a_name_in_urls_is_given_once(self, run: Run) -> None:
        first = run(*self.CREATE, "--tier", "premium=1@1")

        second = run(*self.CREATE, "--tier", "premium=1@1")

        assert (first.exit_code, second.exit_code) == (0, 1)
        assert "'nordlys-labs' is already taken" in second.stderr

    def test_the_list_knows_everyone(self, run: Run, nordlys: Customer) -> None:
        assert json.loads(run("org", "list", "--json").stdout) == [
            {"id": str(nordlys.org_id), "slug": "nordlys", "name": "Nordlys"}
        ]
        assert "nordlys" in run("org", "list").stdout


class TestSeats:
    def test_a_preview_shows_the_formula_and_changes_nothing(self, run: Run, nordlys: Customer) -> None:
        done = run("seats", "buy", "nordlys", "premium=2", "--preview")

        pools = json.loads(run("seats", "show", "nordlys", "--json").stdout)["pools"]
        assert done.exit_code == 0, done.output
        assert "2 × €150.00 ×" in done.stdout
        assert [(pool["tier"], pool["bought"]) for pool in pools] == [("premium", 2), ("standard", 5)]

    def test_a_no_buys_nothing_and_a_yes_buys_what_was_shown(self, run: Run, nordlys: Customer) -> None:
        refused = run("seats", "buy", "nordlys", "premium=2", typed="n\n")
        bought = run("seats", "buy", "nordlys", "premium=2", typed="y\n")

        pools = json.loads(run("seats", "show", "nordlys", "--json").stdout)["pools"]
        invoices = json.loads(run("invoice", "list", "nordlys", "--json").stdout)
        assert (refused.exit_code, bought.exit_code) == (1, 0), bought.output
        assert pools[0]["bought"] == 4
        assert [invoice["number"] for invoice in invoices] == ["NORDLYS-000002", "NORDLYS-000001"]
        assert "NORDLYS-000002" in bought.stdout

    def test_a_repeat_with_the_same_key_buys_nothing_and_answers_the_same(self, run: Run, nordlys: Customer) -> None:
        buy = ("seats", "buy", "nordlys", "standard=1", "--yes", "--key", "order-7", "--json")

        first, second = run(*buy), run(*buy)

        pools = json.loads(run("seats", "show", "nordlys", "--json").stdout)["pools"]
        assert (first.exit_code, second.exit_code) == (0, 0), first.output
        assert json.loads(first.stdout) == json.loads(second.stdout)
        assert pools[1]["bought"] == 6

    def test_rule_q1_a_script_accepts_a_sum_and_another_one_is_refused(self, run: Run, nordlys: Customer) -> None:
        buy = ("seats", "buy", "nordlys", "standard=1", "--json")

        unsaid = run(*buy)
        refused = run(*buy, "--accept-cost", "1.00")
        with_key = run(*buy, "--accept-cost", "1.00", "--key", "k")
        unreadable = run(*buy, "--accept-cost", "much")

        assert (unsaid.exit_code, refused.exit_code, with_key.exit_code, unreadable.exit_code) == (2, 1, 1, 1)
        assert "add --accept-cost or --yes or --preview" in unsaid.stderr
        for answer in (refused, with_key):
            assert "It costs €25.00 today, tax included, and €1.00 was accepted" in answer.stderr
            assert "(cost_differs)" in answer.stderr
        assert len(json.loads(run("invoice", "list", "nordlys", "--json").stdout)) == 1
        # On the first seconds of the month: 1 × 25.00
        assert run(*buy, "--accept-cost", "25.00").exit_code == 0

    def test_one_person_who_waited_is_one_person_and_tiers_have_their_names(self, run: Run, nordlys: Customer) -> None:
        # 2 Premium and 5 Standard seats: the eighth person waits without a seat.
        for number in range(8):
            nordlys.push(f"person{number}@nordlys.test")

        shown = run("seats", "show", "nordlys")
        done = run("seats", "buy", "nordlys", "premium=1", typed="y\n")

        assert "1 more waits for a seat of any tier" in shown.stdout
        assert re.search(r"^.+: No seat → Premium$", done.stdout, flags=re.MULTILINE), done.stdout
        assert "1 person who waited has the seat now" in done.stdout

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [("gold=1", "the plan has no tier gold"), ("premium", "does not read TIER=NUMBER"), ("premium=0", "")],
    )
    def test_a_change_that_makes_no_sense_is_refused(
        self, run: Run, nordlys: Customer, change: str, sentence: str
    ) -> None:
        done = run("seats", "buy", "nordlys", change, "--yes")

        assert done.exit_code != 0
        assert sentence in done.stderr
        assert "Traceback" not in done.output

    def test_an_invoice_is_shown_with_its_arithmetic(self, run: Run, nordlys: Customer) -> None:
        text = run("invoice", "show", "nordlys", "nordlys-000001").stdout
        invoice = json.loads(run("invoice", "show", "nordlys", "NORDLYS-000001", "--json").stdout)

        # 2 × €150.00 + 5 × €25.00 = €425.00
        assert "Total: €425.00" in text
        assert (invoice["total"], [line["amount"] for line in invoice["lines"]]) == (42500, [12500, 30000])
        assert run("invoice", "show", "nordlys", "NORDLYS-000009").exit_code == 1

    def test_the_count_again_agrees_until_somebody_meddles(
        self, run: Run, nordlys: Customer, owner_connection: psycopg.Connection
    ) -> None:
        nordlys.push("ada@nordlys.test")
        right, right_db = run("check"), run("db", "check")
        owner_connection.execute("UPDATE seat_pool SET used = 2 WHERE tier = 'premium'")

        wrong, wrong_db = run("check", "--json"), run("db", "check")

        assert (right.exit_code, right_db.exit_code) == (0, 0), right.output
        assert (wrong.exit_code, wrong_db.exit_code) == (1, 1)
        assert json.loads(wrong.stdout)["pools"] == [
            {"organization": "nordlys", "tier": "premium", "counter": 2, "held": 1}
        ]


class TestConnections:
    def test_a_new_one_comes_with_its_addresses_and_a_token_that_is_shown_once(
        self, run: Run, nordlys: Customer
    ) -> None:
        done = run("connection", "add", "nordlys", "Entra", "--json")

        facts = json.loads(done.stdout)
        sso = f"https://seats.example.com/sso/saml/nordlys/{facts['id']}"
        assert facts["scim_base_url"] == "https://seats.example.com/scim/v2/nordlys"
        assert (facts["acs_url"], facts["entityid"]) == (f"{sso}/acs", f"{sso}/metadata")
        assert facts["scim_token"].startswith("sbscim_")
        listed = run("connection", "list", "nordlys", "--json").stdout
        assert facts["scim_token"] not in listed
        assert facts["scim_token"][:13] in listed

    def test_a_token_is_changed_without_a_gap(self, run: Run, nordlys: Customer) -> None:
        first = json.loads(run("connection", "rotate-token", "nordlys", "Okta", "--json").stdout)["scim_token"]
        second = run("connection", "rotate-token", "nordlys", "Okta")
        third = run("connection", "rotate-token", "nordlys", "Okta")

        revoked = run("connection", "revoke-token", "nordlys", first[:13], "--yes")

        (row,) = json.loads(run("connection", "list", "nordlys", "--json").stdout)
        assert (second.exit_code, third.exit_code, revoked.exit_code) == (0, 1, 0), revoked.output
        assert f"seatbridge connection revoke-token nordlys {first[:13]}" in second.stdout
        assert "token_limit" in third.stderr
        assert [token["prefix"] for token in row["tokens"]] != [first[:13]]
        assert len(row["tokens"]) == 1

    def test_every_live_token_is_listed_with_what_it_may_and_whose_it_is(self, run: Run, nordlys: Customer) -> None:
        for more in ((), ("--scope", "read", "--label", "report"), ("--for", "owner@nordlys.test")):
            assert run("connection", "add-token", "nordlys", "Okta", *more).exit_code == 0

        (row,) = json.loads(run("connection", "list", "nordlys", "--json").stdout)
        shown = run("connection", "list", "nordlys").stdout

        assert [(token["scope"], token["person"]) for token in row["tokens"]] == [
            ("write", None),
            ("read", None),
            ("me", "owner@nordlys.test"),
        ]
        assert row["tokens"][1]["label"] == "report"
        assert all(token["prefix"] in shown for token in row["tokens"])

    def test_an_identity_provider_is_trusted_by_its_metadata(self, run: Run, nordlys: Customer, tmp_path: Path) -> None:
        provider = SimulatedIdp.create("https://idp.test/meta", "https://idp.test/sso", now=datetime.now(UTC))
        file = tmp_path / "idp.xml"
        file.write_bytes(provider.metadata())

        options = ("--idp-initiated", "--no-jit", "--sign-requests", "--no-encryption")
        done = run("connection", "saml", "nordlys", "Okta", "--metadata", str(file), *options)

        assert done.exit_code == 0, done.output
        shown = run("connection", "show", "nordlys", "Okta").stdout
        assert re.search("signed requests +yes", shown)
        assert re.search("key to encrypt to +no", shown)
        assert re.search("identity provider +([0-9A-F]{2}:){31}", shown)
        assert f"https://seats.example.com/sso/saml/nordlys/{nordlys.connection_id}/acs" in done.stdout
        with nordlys.unit() as unit:
            (found,) = list_connections(unit)
            trusted = saml_provider(unit, found.id)
        assert trusted is not None
        assert (found.protocol, found.issuer, trusted.sso_url) == (
            "saml",
            "https://idp.test/meta",
            "https://idp.test/sso",
        )
        assert (found.idp_initiated, found.jit_enabled) == (True, False)

    def test_metadata_at_an_address_is_read_again_at_once(self, run: Run, nordlys: Customer) -> None:
        provider = SimulatedIdp.create("https://idp.test/meta", "https://idp.test/sso", now=datetime.now(UTC))
        with metadata_site(provider.metadata()) as site:
            trusted = run("connection", "saml", "nordlys", "Okta", "--metadata", site.url)
            same = run("connection", "refresh-metadata", "nordlys", "Okta")
            site.document = SimulatedIdp.create(
                provider.entity_id, "https://idp.test/new", now=datetime.now(UTC)
            ).metadata()
            other = run("connection", "refresh-metadata", "nordlys", "Okta")
            site.status = 500
            failed = run("connection", "refresh-metadata", "nordlys", "Okta")

        assert trusted.exit_code == 0, trusted.output
        assert same.stdout == "Read again: nothing has changed\n"
        assert re.search("new +([0-9A-F]{2}:){31}", other.stdout)
        assert "The sign-in address is another one now" in other.stdout
        assert (failed.exit_code, "answered 500" in failed.stderr) == (1, True), failed.output
        assert re.search("metadata problem +.*answered 500", run("connection", "show", "nordlys", "Okta").stdout)

    def test_the_names_of_claims_are_set_shown_and_taken_back(self, run: Run, nordlys: Customer) -> None:
        claims = ("connection", "map-claims", "nordlys", "Okta")
        done = run(*claims, "--email", "mail", "--attribute", "department=dept")
        kept = json.loads(run(*claims, "--groups", "memberOf", "--json").stdout)
        shown = run(*claims, "--show")
        reset = json.loads(run(*claims, "--reset", "--json").stdout)
        wrong = run(*claims, "--attribute", "shoeSize=shoe")

        assert done.exit_code == 0, done.output
        assert kept == {"email": "mail", "groups": "memberOf", "attributes": {"department": "dept"}}
        assert re.search("department +dept", shown.stdout)
        assert re.search("given name +the usual names", shown.stdout)
        assert reset == {}
        assert (wrong.exit_code, "is none of userType, title" in wrong.stderr) == (1, True), wrong.output

    def test_our_key_is_changed_in_three_steps_that_say_what_comes_next(self, run: Run, nordlys: Customer) -> None:
        steps = [run("connection", "rotate-cert", "nordlys", "Okta", *step) for step in ((), ("--use",), ("--finish",))]
        shown = json.loads(run("connection", "show", "nordlys", "Okta", "--json").stdout)

        assert [step.exit_code for step in steps] == [0, 0, 0], [step.output for step in steps]
        assert "BEGIN CERTIFICATE" in steps[0].stdout
        assert "seatbridge connection rotate-cert nordlys 'Okta' --use" in steps[0].stdout
        assert "seatbridge connection rotate-cert nordlys 'Okta' --finish" in steps[1].stdout
        assert "forgotten" in steps[2].stdout
        assert [key["stage"] for key in shown["our_keys"]] == ["current"]
        assert "PRIVATE" not in json.dumps(shown)

    @pytest.mark.parametrize(
        ("metadata", "sentence"),
        [
            ("no-such-file.xml", "cannot be read"),
            ("https://10.0.0.1/metadata", "leads to a private or reserved address"),
            ("http://10.0.0.1/metadata", "must start with https://"),
            ("ftp://idp.test/", "must start with https://"),
        ],
    )
    def test_metadata_that_cannot_be_read_is_refused(
        self, run: Run, nordlys: Customer, metadata: str, sentence: str
    ) -> None:
        done = run("connection", "saml", "nordlys", "Okta", "--metadata", metadata)

        assert (done.exit_code, sentence in done.stderr) == (1, True), done.output

    def test_an_owner_is_linked_by_hand_once_there_is_an_identity_provider(self, run: Run, nordlys: Customer) -> None:
        link = ("connection", "link", "nordlys", "Okta", "owner@nordlys.test", "--name-id", "00u1")
        too_early = run(*link)
        with nordlys.unit() as unit:
            connection = unit.session.get_one(Connection, (unit.org_id, nordlys.connection_id))
            connection.protocol, connection.issuer = "saml", "https://idp.test"

        done = run(*link)

        assert (too_early.exit_code, done.exit_code) == (1, 0), done.output
        assert done.stdout == "Olga Owner signs in as 00u1\n"
        unlink = run("connection", "unlink", "nordlys", "Okta", "owner@nordlys.test")
        assert unlink.stdout == "Olga Owner signs in no more as 00u1\n"

    def test_a_connection_is_disabled_and_enabled_again(self, run: Run, nordlys: Customer) -> None:
        off = run("connection", "disable", "nordlys", "Okta", "--yes")
        on = run("connection", "enable", "nordlys", "Okta", "--json")
        nobody = run("connection", "readmit", "nordlys", "Okta", "ada@acme.test")

        assert off.stdout == "Okta is disabled. Sessions ended: 0. People and seats stay as they are.\n"
        assert json.loads(on.stdout) == {"connection": "Okta", "disabled": False}
        assert (nobody.exit_code, "ada@acme.test" in nobody.stderr) == (1, True)

    def test_a_refused_sign_in_is_listed_with_its_reason(self, run: Run, nordlys: Customer) -> None:
        with nordlys.unit() as unit:
            unit.session.add(
                SignInEvent(
                    org_id=unit.org_id,
                    id=new_id(),
                    at=unit.at,
                    connection_id=nordlys.connection_id,
                    member_id=None,
                    outcome="refused",
                    reason="audience",
                    detail="The assertion is for another service",
                    request_id="req-12345678",
                )
            )

        (row,) = json.loads(run("connection", "sign-ins", "nordlys", "okta", "--json").stdout)

        assert (row["outcome"], row["reason"], row["request_id"]) == ("refused", "audience", "req-12345678")
        assert "The assertion is for another service" in run("connection", "sign-ins", "nordlys", "Okta").stdout


class TestDomains:
    def test_a_domain_counts_on_the_word_of_the_operator(self, run: Run, nordlys: Customer) -> None:
        added = json.loads(run("domain", "add", "nordlys", "Nordlys.TEST", "--json").stdout)

        done = run("domain", "verify", "nordlys", "nordlys.test", "--vouch")

        (row,) = json.loads(run("domain", "list", "nordlys", "--json").stdout)
        assert (added["domain"], added["verified"]) == ("nordlys.test", False)
        assert done.stdout == "nordlys.test is verified (operator)\n"
        assert (row["verified_by"], row["record"]) == ("operator", added["TXT record"])

    def test_a_domain_is_proved_to_the_name_servers_of_the_settings_and_given_up(
        self, run: Run, nordlys: Customer
    ) -> None:
        added = json.loads(run("domain", "add", "nordlys", "nordlys.test", "--json").stdout)
        records = {"nordlys.test.": [f'"{added["TXT record"]}"']}
        with name_server(records) as resolver:
            servers = {"SEATBRIDGE__SSO__DNS_SERVERS": f"127.0.0.1:{resolver.port}"}
            vouched = run("domain", "verify", "nordlys", "nordlys.test", "--vouch")
            proved = json.loads(run("domain", "verify", "nordlys", "nordlys.test", "--json", **servers).stdout)
            records.clear()
            gone = run("domain", "verify", "nordlys", "nordlys.test", **servers)
        removed = run("domain", "remove", "nordlys", "Nordlys.TEST", typed="y\n")
        again = run("domain", "remove", "nordlys", "nordlys.test", "--yes")

        assert (vouched.exit_code, gone.exit_code, removed.exit_code, again.exit_code) == (0, 1, 0, 1), removed.output
        assert proved["verified_by"] == "dns"
        assert "it stays verified until `seatbridge domain remove`" in gone.output
        assert "nordlys.test is given up" in removed.stdout
        assert json.loads(run("domain", "list", "nordlys", "--json").stdout) == []
        with nordlys.unit() as unit:
            entries = unit.session.query(AuditEntry).filter(AuditEntry.action.like("domain.%")).all()
            assert sorted(entry.action for entry in entries) == [
                "domain.claimed",
                "domain.removed",
                "domain.verified",
                "domain.verified",
            ]

    @pytest.mark.parametrize("server", ["nonsense", "dns.example", "127.0.0.1:port", "[::1", ""])
    def test_a_name_server_that_is_no_address_is_named(self, server: str) -> None:
        with pytest.raises(ConfigurationError, match=r"sso\.dns_servers"):
            dns_adapter.resolver_of([server])

    @pytest.mark.parametrize(
        ("server", "asked"),
        [
            ("9.9.9.9", "9.9.9.9@53"),
            ("127.0.0.1:5353", "127.0.0.1@5353"),
            ("::1", "::1@53"),
            ("[::1]:5353", "::1@5353"),
        ],
    )
    def test_name_servers_are_addresses_with_or_without_a_port(self, server: str, asked: str) -> None:
        resolver = dns_adapter.resolver_of([server])

        assert resolver is not None
        assert [str(one) for one in resolver.nameservers] == [f"Do53:{asked}"]

    def test_txt_records_are_read_from_the_name_server(self) -> None:
        with name_server({"nordlys.test.": ['"seatbridge-" "verification=abc"', '"v=spf1 -all"']}) as resolver:
            records = dns_adapter.read_txt_records("nordlys.test", resolver=resolver)
            none = dns_adapter.read_txt_records("other.test", resolver=resolver)

        assert sorted(records) == ["seatbridge-verification=abc", "v=spf1 -all"]
        assert none == []


class TestMappings:
    def test_rules_go_out_come_in_changed_and_are_in_force(self, run: Run, nordlys: Customer, tmp_path: Path) -> None:
        document = yaml.safe_load(run("mappings", "export", "nordlys").stdout)
        file = tmp_path / "mappings.yaml"
        file.write_text(yaml.safe_dump(document))
        same = run("mappings", "diff", "nordlys", str(file))
        document["rules"] = [{"key": "eng", "group": "Engineers", "expected": True, "tier": "standard"}]
        file.write_text(yaml.safe_dump(document))

        different = run("mappings", "diff", "nordlys", str(file))
        looked = run("mappings", "apply", "nordlys", str(file), "--check")
        unchanged = run("mappings", "diff", "nordlys", str(file))
        applied = run("mappings", "apply", "nordlys", str(file), "--yes")
        again = run("mappings", "apply", "nordlys", "-", "--yes", typed=file.read_text())

        assert (same.exit_code, different.exit_code, looked.exit_code, unchanged.exit_code) == (0, 2, 2, 2)
        assert different.stdout == "Engineers: Standard\n"
        assert (applied.exit_code, again.exit_code) == (0, 0), applied.output + again.output
        assert "Version 1 is in force" in applied.stdout
        assert "in force already" in again.stdout
        assert run("mappings", "diff", "nordlys", str(file)).exit_code == 0

    def test_rules_have_a_history_and_a_way_back(self, run: Run, nordlys: Customer, tmp_path: Path) -> None:
        file = tmp_path / "mappings.yaml"
        for tier in ("standard", "premium"):
            rule = {"group": "Engineers", "expected": True, "tier": tier}
            file.write_text(yaml.safe_dump({"schema": 2, "default": "unassigned", "rules": [rule]}))
            assert run("mappings", "apply", "nordlys", str(file), "--yes").exit_code == 0
        exported = run("mappings", "export", "nordlys").stdout

        history = json.loads(run("mappings", "history", "nordlys", "--json").stdout)
        looked = run("mappings", "rollback", "nordlys", "1", "--check")
        back = run("mappings", "rollback", "nordlys", "1", "--yes", "--json")
        shown = run("mappings", "show", "nordlys")
        again = run("mappings", "apply", "nordlys", "-", "--yes", typed=exported)

        assert [one["version"] for one in history] == [2, 1]
        assert history[0]["changes"] == ["Engineers: Standard → Premium"]
        assert looked.exit_code == 2
        assert "Engineers: Premium → Standard" in looked.stdout
        assert json.loads(back.stdout)["version"] == 3
        assert "the group Engineers (expected, not pushed yet)" in shown.stdout
        assert again.exit_code == 0
        assert run("mappings", "export", "nordlys").stdout == exported

    def test_a_file_that_asserts_what_would_not_be_so_is_refused(
        self, run: Run, nordlys: Customer, tmp_path: Path
    ) -> None:
        file = tmp_path / "mappings.yaml"
        asserted = [{"person": "nobody@nordlys.test", "tier": "premium"}]
        file.write_text(yaml.safe_dump({"schema": 2, "default": "unassigned", "rules": [], "assert": asserted}))

        looked = run("mappings", "preview", "nordlys", str(file), "--json")
        checked = run("mappings", "apply", "nordlys", str(file), "--check")
        applied = run("mappings", "apply", "nordlys", str(file), "--yes")

        assert json.loads(looked.stdout)["assertions"][0]["holds"] is False
        assert (checked.exit_code, applied.exit_code) == (1, 1)
        assert "FAILS: nobody@nordlys.test has Premium: nobody active is called so" in checked.stdout
        assert "(assertion_failed)" in applied.stderr

    @pytest.mark.parametrize("text", ["rules: [", "rules: [{group: X, tier: gold}]", "[]"])
    def test_a_file_that_is_no_mapping_set_is_refused(
        self, run: Run, nordlys: Customer, tmp_path: Path, text: str
    ) -> None:
        file = tmp_path / "mappings.yaml"
        file.write_text(text)

        done = run("mappings", "apply", "nordlys", str(file), "--yes")

        assert (done.exit_code, "invalid_input" in done.stderr) == (1, True), done.output

    @pytest.mark.parametrize("command", ["diff", "apply"])
    def test_a_file_that_is_not_there_is_wrong_use(self, run: Run, command: str) -> None:
        done = run("mappings", command, "nordlys", "no-such-file.yaml")

        assert (done.exit_code, "does not exist" in done.stderr) == (2, True)


class TestPeople:
    def test_a_seat_is_explained_by_user_name(self, run: Run, nordlys: Customer) -> None:
        nordlys.push("Ada@Nordlys.test", displayName="Ada")

        done = run("why", "nordlys", "ada@nordlys.TEST")
        as_json = json.loads(run("why", "nordlys", "ada@nordlys.test", "--json").stdout)

        assert done.stdout.startswith("Ada has Premium because ")
        assert as_json["sentence"] == done.stdout.splitlines()[0]
        assert len(as_json["decisions"]) == 1
        assert run("why", "nordlys", "nobody@nordlys.test").exit_code == 1

    def test_the_history_lists_decisions_and_charges(self, run: Run, nordlys: Customer) -> None:
        nordlys.push("ada@nordlys.test", displayName="Ada")

        done = run("why", "nordlys", "ada@nordlys.test", "--history")

        assert "How it came to that:" in done.stdout
        assert "No invoice counts or serves this person" in done.stdout
        assert "no mapping applies" in done.stdout

    def test_a_line_of_an_invoice_is_explained(self, run: Run, nordlys: Customer) -> None:
        done = run("invoice", "why", "nordlys", "nordlys-000001", "1")
        as_json = json.loads(run("invoice", "why", "nordlys", "nordlys-000001", "--json").stdout)

        assert "because  the plan began" in done.stdout
        assert "nothing is rounded." in done.stdout
        assert as_json["cause"]["action"] == "organization.created"
        assert [one["counts"] for one in as_json["lines"]] == ["seats"] * len(as_json["lines"])
        assert run("invoice", "why", "nordlys", "nordlys-000001", "9").exit_code == 1

    def test_an_owner_is_let_back_in_and_nobody_else(self, run: Run, nordlys: Customer) -> None:
        nordlys.push("ada@nordlys.test", emails=[{"value": "ada@nordlys.test"}])

        owner = run("admin", "recover", "nordlys", "Owner@nordlys.test")
        member = run("admin", "recover", "nordlys", "ada@nordlys.test")

        assert (owner.exit_code, member.exit_code) == (0, 1)
        assert re.search(r"https://seats\.example\.com/sign-in/link/[\w-]{43}\n", owner.stdout)


class TestDeliveries:
    def test_what_was_given_up_is_shown_and_put_back_in_line(
        self, run: Run, nordlys: Customer, owner_connection: psycopg.Connection
    ) -> None:
        owner_connection.execute("UPDATE delivery SET state = 'dead', attempts = 12, last_error = 'TimeoutError'")
        shown = json.loads(run("delivery", "list", "nordlys", "--json").stdout)

        done = run("delivery", "retry", "nordlys")

        assert [(row["kind"], row["state"], row["last_error"]) for row in shown] == [
            ("invoice_mail", "dead", "TimeoutError")
        ]
        assert done.stdout == "1 put back in line\n"
        assert json.loads(run("delivery", "list", "nordlys", "--json").stdout)[0]["state"] == "pending"


class TestDoctor:
    def test_a_sound_installation_has_nothing_to_repair(self, run: Run) -> None:
        with mail_server() as server:
            done = run("doctor", "--json", SEATBRIDGE__MAIL__SMTP_URL=server.url)

        findings = {finding["check"]: finding["health"] for finding in json.loads(done.stdout)}
        assert done.exit_code == 0, done.output
        assert {name for name, health in findings.items() if health == "failed"} == set()
        assert {name for name, health in findings.items() if health == "warning"} <= {"worker", "port", "connections"}
        assert {"configuration", "secrets", "database", "schema", "clock", "mail", "public_url"} <= set(findings)

    @pytest.mark.parametrize(
        ("changed", "check", "repair"),
        [
            ({"SEATBRIDGE__SERVER__PORT": "none"}, "configuration", "correct it"),
            ({"SEATBRIDGE__DATABASE__URL": "postgresql://x@127.0.0.1:1/x"}, "database", "SEATBRIDGE__DATABASE__URL"),
            ({"SEATBRIDGE__MAIL__SMTP_URL": "smtp://127.0.0.1:1"}, "mail", "SEATBRIDGE__MAIL__SMTP_URL"),
            ({"SEATBRIDGE__SECRETS__KEYS": "", "SEATBRIDGE__SECRETS__KEYS_FILE": "none"}, "secrets", "generate"),
            ({"SEATBRIDGE__SERVER__PUBLIC_URL": "http://127.0.0.1:9"}, "public_url", "end it with :8080"),
        ],
    )
    def test_what_fails_is_named_with_its_repair(
        self, run: Run, changed: dict[str, str], check: str, repair: str
    ) -> None:
        done = run("doctor", "--json", **changed)

        failed = [finding for finding in json.loads(done.stdout) if finding["health"] == "failed"]
        assert (done.exit_code, [finding["check"] for finding in failed]) == (1, [check])
        assert repair in failed[0]["repair"]

    def test_a_role_that_could_bypass_the_fence_fails(self, run: Run, owner_url: URL) -> None:
        done = run("doctor", SEATBRIDGE__DATABASE__URL=owner_url.render_as_string(hide_password=False))

        assert (done.exit_code, "could bypass row-level security" in done.stdout) == (1, True)

    def test_a_key_file_that_others_can_read_fails(self, run: Run, tmp_path: Path) -> None:
        file = tmp_path / "keys"
        file.write_text(KEY)
        file.chmod(0o644)

        done = run("doctor", SEATBRIDGE__SECRETS__KEYS="", SEATBRIDGE__SECRETS__KEYS_FILE=str(file))

        assert (done.exit_code, f"chmod 600 {file}" in done.stdout) == (1, True), done.output

    def test_keys_that_the_data_was_not_written_with_fail(self, run: Run, nordlys: Customer) -> None:
        done = run("doctor", SEATBRIDGE__SECRETS__KEYS=generate_key())
        audit = run("audit", "verify", "nordlys", SEATBRIDGE__SECRETS__KEYS=generate_key())

        assert (done.exit_code, audit.exit_code) == (1, 1)
        assert re.search(r"✗ data's keys +the keys do not belong to this data: .* nordlys was sealed", done.stdout)
        assert "put back the keys it was written with" in done.stdout
        assert "The keys do not belong to this data" in audit.stderr

    def test_an_older_key_below_a_new_one_belongs_to_the_data(self, run: Run, nordlys: Customer) -> None:
        done = run("doctor", SEATBRIDGE__SECRETS__KEYS=f"{generate_key()},{KEY}")

        assert "✓ data's keys" in done.stdout

    def test_a_newer_versions_database_is_no_traceback_anywhere(
        self, run: Run, owner_url: URL, owner_connection: psycopg.Connection
    ) -> None:
        owner_connection.execute("UPDATE alembic_version SET version_num = '9999'")
        owner = owner_url.render_as_string(hide_password=False)

        doctor = run("doctor")
        others = [
            run(*command, SEATBRIDGE__DATABASE__OWNER_URL=owner) for command in (("db", "upgrade"), ("org", "list"))
        ]

        sentence = "this database was upgraded by a newer version"
        assert (doctor.exit_code, sentence in doctor.stdout) == (1, True)
        assert [(one.exit_code, sentence in one.stderr) for one in others] == [(2, True)] * 2
        assert all("install that version" in one.output for one in (doctor, *others))

    def test_a_file_in_the_place_of_the_embedded_databases_folder_fails_and_is_left_as_it_is(
        self, run: Run, tmp_path: Path
    ) -> None:
        file = tmp_path / "postgres"
        file.write_text("mine")
        file.chmod(0o600)
        given = {"SEATBRIDGE__DATABASE__URL": None, "SEATBRIDGE__DATABASE__EMBEDDED_PATH": str(file)}

        doctor, upgrade = run("doctor", **given), run("db", "upgrade", **given)

        assert (doctor.exit_code, upgrade.exit_code) == (1, 2)
        assert re.search(
            rf"✗ embedded +database.embedded_path: {re.escape(str(file))} is not a folder", doctor.stdout
        ), doctor.stdout
        assert f"{file} is not a folder" in upgrade.stderr
        assert (file.read_text(), file.stat().st_mode & 0o777) == ("mine", 0o600)

    def test_a_worker_that_is_heard_of_is_counted(self, run: Run, owner_connection: psycopg.Connection) -> None:
        owner_connection.execute("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now())")

        findings = json.loads(run("doctor", "--json").stdout)

        assert next(finding["found"] for finding in findings if finding["check"] == "worker") == "1 at work"


class TestDatabase:
    def test_upgrading_what_is_newest_says_so(self, run: Run, owner_url: URL) -> None:
        owner = owner_url.render_as_string(hide_password=False)

        done = run("db", "upgrade", SEATBRIDGE__DATABASE__OWNER_URL=owner)

        assert (done.exit_code, done.stdout) == (0, f"The schema is at {newest_revision()}\n"), done.output

    def test_a_generated_key_is_one_that_the_service_takes(self, run: Run) -> None:
        key = run("secrets", "generate").stdout.strip()

        assert run("org", "list", SEATBRIDGE__SECRETS__KEYS=key).exit_code == 0
        assert key != run("secrets", "generate").stdout.strip()


class TestWaitingLine:
    def test_the_line_is_shown_changed_and_swapped(self, run: Run, nordlys: Customer) -> None:
        for number in range(9):
            nordlys.push(f"p{number}@nordlys.test", displayName=f"Person {number}")

        shown = run("seats", "waiting", "nordlys")
        moved = run("seats", "promote", "nordlys", "p8@nordlys.test", "--why", "starts on Monday")
        out = run("seats", "dequeue", "nordlys", "p7@nordlys.test", "--why", "left for another team", "--json")
        preview = run("seats", "swap", "nordlys", "p0@nordlys.test", "p8@nordlys.test", "--preview", "--json")
        swapped = run("seats", "swap", "nordlys", "p0@nordlys.test", "p8@nordlys.test", typed="y\n")
        again = run("seats", "swap", "nordlys", "p0@nordlys.test", "p7@nordlys.test")
        empty = run("seats", "waiting", "nordlys", "--json")

        assert re.search(r"1 +p7@nordlys.test +any tier +Premium 1\., Standard 1\.", shown.output)
        assert moved.output == "Person 8 is now number 1 in line.\n"
        assert json.loads(out.output)["waiting_for"] is None
        assert [side["to_tier"] for side in json.loads(preview.output)["sides"]] == [None, "premium"]
        assert swapped.exit_code == 0
        assert re.search(r"p8@nordlys.test +no seat, waits for any tier +Premium", swapped.output)
        assert (again.exit_code, "same_tier" in again.output) == (1, True)
        assert json.loads(empty.output) == {"waiting": []}


class TestBudgets:
    def test_a_budget_is_set_shown_used_and_removed(self, run: Run, nordlys: Customer, tmp_path: Path) -> None:
        rules = tmp_path / "rules.yaml"
        rules.write_text("schema: 1\non_exhausted: buy_up_to\ndefault: premium\nrules: []\n")
        people = tmp_path / "people.csv"
        people.write_text("userName\n" + "".join(f"p{number}@nordlys.test\n" for number in range(6)))

        create = ("seats", "budget", "set", "nordlys", "premium")
        created = run(*create, "--seats", "3", "--amount", "900", "--yes")
        centre = run(*create, "--seats", "1", "--cost-centre", "Lab 7", "--accept-cost", "0", "--json")
        applied = run("mappings", "apply", "nordlys", str(rules), "--yes")
        preview = run("import", "nordlys", str(people), "--preview")
        imported = run("import", "nordlys", str(people), "--json")
        shown = run("seats", "budget", "show", "nordlys")
        why = run("why", "nordlys", "p4@nordlys.test")
        removed = run("seats", "budget", "remove", "nordlys", "premium", "--cost-centre", "lab 7")
        again = run("seats", "budget", "remove", "nordlys", "premium", "--cost-centre", "lab 7")
        bad = run(*create, "--amount", "9.999")

        assert created.output == (
            "The budget for Premium seats: 3 seats and €900.00 in a month.\n"
            "A Premium seat costs €150.00 for a full period: it counts so much, however late in one it is bought.\n"
            "The budget is set.\n"
        )
        assert json.loads(centre.output)["draft"]["cost_centre"] == "Lab 7"
        assert applied.exit_code == 0
        assert re.search(
            r"3 Premium, €\d+.* 3 × €150.00.*; €450.00 for a full period; left: 0 seats and €450.00", preview.output
        )
        assert json.loads(imported.output)["bought"] == 3
        assert re.search(r"Premium +all others +3 seats and €900.00 +month +0 seats and", shown.output)
        assert "every Premium seat was taken, so one was bought within the budget (3 × €150.00" in why.output
        assert (removed.exit_code, again.exit_code, bad.exit_code) == (0, 1, 1)
        assert "amount" in bad.output + bad.stderr


class TestOutlook:
    def test_thresholds_and_the_forecast_are_shown(self, run: Run, nordlys: Customer) -> None:
        nordlys.push("ann@nordlys.test")

        usual = run("seats", "thresholds", "show", "nordlys")
        changed = run("seats", "thresholds", "set", "nordlys", "50", "100", "--json")
        none = run("seats", "thresholds", "set", "nordlys")
        shown = run("seats", "forecast", "nordlys")
        told = json.loads(run("seats", "forecast", "nordlys", "--json").output)

        assert usual.output == "The owners hear of a tier at: 80 %, 95 %, full\n"
        assert json.loads(changed.output)["percents"] == [50, 100]
        assert none.output == "The owners hear of no tier that fills up, only of people who wait\n"
        assert re.search(r"Premium +2 +1 +0 +– +not in sight +not in sight +1 +0", shown.output)
        assert "No trend yet" in shown.output
        assert [tier["needed_at_renewal"] for tier in told["tiers"]] == [1, 0]
        assert len(told["months"]) == 12
