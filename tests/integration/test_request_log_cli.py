"""``seatbridge requests`` as an operator uses it."""

import json
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import URL, func, select, update

from bridge.billing import BuiltinPayments
from bridge.cli import main
from bridge.config import Settings
from bridge.runtime import build_runtime
from bridge.store.models import Alert, AuditEntry, Connection, Delivery, LoggedRequest, Member, ScimToken
from tests.conftest import KEY
from tests.factories import Customer, create_customer
from tests.protocol.scim_client import USER, ScimClient, make_app, make_token

Run = Callable[..., Result]


@pytest.fixture
def run(database_url: URL) -> Run:
    """Run ``seatbridge requests ...`` here."""
    environment = {
        "SEATBRIDGE__DATABASE__URL": database_url.render_as_string(hide_password=False),
        "SEATBRIDGE__SECRETS__KEYS": KEY,
    }

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["requests", *arguments], env=environment)

    return run


@pytest.fixture
def nordlys(settings: Settings, database_url: URL) -> Iterator[Customer]:
    """A customer of the present day: 2 Premium and 5 Standard seats by the month."""
    runtime = build_runtime(settings, database_url, payments=BuiltinPayments())
    yield create_customer(runtime)
    runtime.close()


@pytest.fixture
def client(nordlys: Customer) -> ScimClient:
    return ScimClient(make_app(nordlys), nordlys.slug, make_token(nordlys))


def logged(customer: Customer) -> list[LoggedRequest]:
    """The log, once what waits is written."""
    customer.runtime.closing.close()
    with customer.unit() as unit:
        return list(unit.session.scalars(select(LoggedRequest).order_by(LoggedRequest.id)))


def facts(customer: Customer) -> tuple[object, ...]:
    """Everything a dry run must leave alone."""
    with customer.unit() as unit:
        counts = [
            unit.session.scalar(select(func.count()).select_from(table))
            for table in (Member, AuditEntry, Alert, Delivery, LoggedRequest)
        ]
        people = unit.session.execute(select(Member.user_name, Member.tier, Member.version).order_by(Member.id)).all()
        return *counts, *(tuple(row) for row in people), unit.state().audit_head


def test_tail_lists_the_newest_requests_in_words(run: Run, nordlys: Customer, client: ScimClient) -> None:
    member_id = client.create_user("ada@nordlys.test")
    client.patch(f"/Users/{member_id}", {"op": "Replace", "path": "title", "value": "Engineer"})
    client.get('/Users?filter=userName eq "ada@nordlys.test"')
    ids = [str(entry.id) for entry in logged(nordlys)]

    result = run("tail", "nordlys")

    lines = result.output.splitlines()
    assert result.exit_code == 0, result.output
    assert [line.split()[0] for line in lines[1:]] == ids
    assert "create person ada@nordlys.test" in lines[1]
    assert f"change person {member_id} replace title" in lines[2]
    assert 'find person: userName eq "ada@nordlys.test"' in lines[3]


def test_tail_shows_refusals_alone_and_one_connection_s_alone(run: Run, nordlys: Customer, client: ScimClient) -> None:
    client.create_user("ada@nordlys.test")
    client.post("/Users", {"schemas": [USER], "userName": "ADA@nordlys.test"})
    ScimClient(make_app(nordlys), "nordlys", "nobodys").get("/Users")
    logged(nordlys)

    failed = json.loads(run("tail", "nordlys", "--failed", "--json").output)
    okta = json.loads(run("tail", "nordlys", "--connection", "Okta", "--json", "--limit", "1").output)

    assert [(one["answered"], one["connection"]) for one in failed] == [
        ("409 uniqueness", "Okta"),
        ("401 token_unknown", None),
    ]
    assert [one["status"] for one in okta] == [409]


def test_tail_of_nothing_says_what_to_check(run: Run, nordlys: Customer) -> None:
    assert "check the base URL" in run("tail", nordlys.slug).output


def test_show_tells_what_was_sent_what_was_answered_and_which_seat_came_of_it(
    run: Run, nordlys: Customer, client: ScimClient
) -> None:
    client.create_user("ada@nordlys.test", password="hunter2-hunter2")
    (entry,) = logged(nordlys)

    result = run("show", "nordlys", str(entry.id))

    assert result.exit_code == 0, result.output
    assert '"userName": "ada@nordlys.test"' in result.output
    assert '"password": "[redacted]"' in result.output
    assert "→ 201" in result.output
    assert "Premium" in result.output
    assert "hunter2" not in result.output


def test_show_finds_by_request_id_and_says_what_a_refusal_means(run: Run, nordlys: Customer) -> None:
    response = ScimClient(make_app(nordlys), "nordlys", None).get("/Users")
    logged(nordlys)

    found = json.loads(run("show", "nordlys", response.headers["X-Request-Id"], "--json").output)

    assert found["mark"] == "token_missing"
    assert found["meaning"] == "No bearer token was sent: set the token in the identity provider."
    assert found["decisions"] == []


def test_show_of_an_unknown_entry_is_refused_in_a_sentence(run: Run, nordlys: Customer) -> None:
    result = run("show", nordlys.slug, "00000000-0000-7000-8000-000000000000")

    assert result.exit_code == 1
    assert "(not_found)" in result.output


def test_a_dry_run_says_what_would_come_of_it_and_changes_nothing(
    run: Run, nordlys: Customer, client: ScimClient
) -> None:
    member_id = client.create_user("ada@nordlys.test", password="hunter2-hunter2")
    client.delete(f"/Users/{member_id}")
    created = logged(nordlys)[0]
    before = facts(nordlys)

    outcome = json.loads(run("replay", "nordlys", str(created.id), "--json").output)

    assert (outcome["dry_run"], outcome["status"]) == (True, 201)
    assert outcome["answer"]["userName"] == "ada@nordlys.test"
    assert "member.created" in [change["action"] for change in outcome["changes"]]
    assert [decision["to_tier"] for decision in outcome["decisions"]] == ["premium"]
    assert facts(nordlys) == before


def test_a_dry_run_of_what_would_be_refused_answers_the_refusal(
    run: Run, nordlys: Customer, client: ScimClient
) -> None:
    client.create_user("ada@nordlys.test")
    (created,) = logged(nordlys)
    before = facts(nordlys)

    result = run("replay", "nordlys", str(created.id))

    assert result.exit_code == 0, result.output
    assert "would answer 409" in result.output
    assert "Nothing would change" in result.output
    assert facts(nordlys) == before


def test_a_real_replay_counts_and_the_audit_says_that_the_operator_sent_it(
    run: Run, nordlys: Customer, client: ScimClient
) -> None:
    member_id = client.create_user("ada@nordlys.test")
    client.delete(f"/Users/{member_id}")
    created = logged(nordlys)[0]

    result = run("replay", "nordlys", str(created.id), "--really")

    assert result.exit_code == 0, result.output
    with nordlys.unit() as unit:
        assert unit.session.scalar(select(Member.tier).where(Member.user_name == "ada@nordlys.test")) == "premium"
        replayed = unit.session.scalars(select(AuditEntry).where(AuditEntry.action == "request.replayed")).one()
        caused = unit.session.scalars(
            select(AuditEntry).where(
                AuditEntry.request_id == replayed.request_id, AuditEntry.action == "member.created"
            )
        ).one()
    assert (replayed.actor, replayed.subject_id) == ("operator", str(created.id))
    assert caused.actor == f"directory:{nordlys.connection_id}"


def test_a_real_replay_that_is_refused_changes_nothing(run: Run, nordlys: Customer, client: ScimClient) -> None:
    client.create_user("ada@nordlys.test")
    (created,) = logged(nordlys)
    before = facts(nordlys)

    result = run("replay", "nordlys", str(created.id), "--really")

    assert result.exit_code == 1
    assert "answered 409" in result.output
    assert facts(nordlys) == before


def test_a_patch_of_a_password_is_replayed_as_it_went(run: Run, nordlys: Customer, client: ScimClient) -> None:
    member_id = client.create_user("ada@nordlys.test")
    operation = {"op": "replace", "path": "password", "value": "hunter2-hunter2"}
    sent = client.patch(f"/Users/{member_id}", operation)
    assert sent.status_code == 200

    outcome = json.loads(run("replay", "nordlys", str(logged(nordlys)[-1].id), "--json").output)

    assert outcome["status"] == 200


def test_a_replay_that_lacks_a_secret_is_refused(run: Run, nordlys: Customer, client: ScimClient) -> None:
    member_id = client.create_user("ada@nordlys.test")
    operation = {"op": "replace", "path": "title", "value": "Bearer hunter2-hunter2"}
    client.patch(f"/Users/{member_id}", operation)

    result = run("replay", "nordlys", str(logged(nordlys)[-1].id))

    assert result.exit_code == 1
    assert "a secret was left out of its body" in result.output


def test_what_was_refused_for_its_dead_token_can_be_replayed_by_the_operator(
    run: Run, nordlys: Customer, client: ScimClient
) -> None:
    with nordlys.unit() as unit:
        unit.session.execute(update(ScimToken).values(revoked_at=unit.at))
    client.get("/Users?count=0")
    (refused,) = logged(nordlys)

    outcome = json.loads(run("replay", "nordlys", str(refused.id), "--json").output)

    assert (refused.mark, outcome["status"]) == ("token_revoked", 200)


@pytest.mark.parametrize("case", ["cut", "nobody's", "disabled", "unread", "secret"])
def test_what_cannot_be_replayed_is_refused_with_a_stable_code(
    run: Run, nordlys: Customer, client: ScimClient, case: str
) -> None:
    if case == "cut":
        client.post("/Groups", {"displayName": "All", "note": "x" * 1000, "members": [{"value": "y" * 1000}] * 20})
    elif case == "secret":
        client.get("/Users?access_token=x")
    elif case == "nobody's":
        ScimClient(make_app(nordlys), "nordlys", "nobodys").get("/Users")
    else:
        with nordlys.unit() as unit:
            change = update(Connection if case == "disabled" else ScimToken)
            name = "disabled_at" if case == "disabled" else "revoked_at"
            unit.session.execute(change.values({name: unit.at}))
        client.post("/Users", {"schemas": [USER], "userName": "ada@nordlys.test"})
    (entry,) = logged(nordlys)

    result = run("replay", "nordlys", str(entry.id))

    assert result.exit_code == 1
    assert "(not_replayable)" in result.output


@pytest.mark.parametrize("path", ["/ServiceProviderConfig", "/Users?count=0", "/Schemas?filter=x", "/Nothing"])
def test_a_replay_answers_as_the_edge_did(run: Run, nordlys: Customer, client: ScimClient, path: str) -> None:
    response = client.get(path)
    (entry,) = logged(nordlys)

    outcome = json.loads(run("replay", "nordlys", str(entry.id), "--json").output)

    assert (outcome["status"], outcome["answer"]) == (response.status_code, response.get_json(force=True))


def test_a_read_only_token_s_refused_write_is_refused_again(run: Run, nordlys: Customer) -> None:
    reader = ScimClient(make_app(nordlys), "nordlys", make_token(nordlys, can_write=False))
    reader.post("/Users", {"schemas": [USER], "userName": "ada@nordlys.test"})
    (entry,) = logged(nordlys)

    outcome = json.loads(run("replay", "nordlys", str(entry.id), "--json").output)

    assert outcome["status"] == 403


ODD = [
    '{"Operations": [{"op": "replace", "value": {"active": [false]}}]}',
    '{"userName": "ada@nordlys.test", "active": [false]}',
    '{"userName": "ada@nordlys.test", "active": {"value": {}}}',
    '{"userName": ["x"], "displayName": {"a": 1}, "active": [[]]}',
    '{"userName": "\\ud800", "password": "x"}',
    '{"userName": "\\ud800"}',
    '{"userName": "\\u001b[2J\\u009b31m\\u202e [red]x[/] \\\\[/y]\\u0000\\n", "password": 1}',
    '"\x1b]0;owned\x07\x9b31m\x85\u2028"',
    '{"a": ' + "[" * 400 + "]" * 400 + "}",
    "null",
    "[]",
]


@pytest.mark.parametrize("body", ODD)
def test_whatever_was_sent_can_be_listed_shown_and_replayed(
    run: Run, nordlys: Customer, client: ScimClient, body: str
) -> None:
    member_id = client.create_user("bea@nordlys.test")
    client.send("PUT", f"/Users/{member_id}", data=body.encode(), headers={"User-Agent": "\x1b[31m[red]"})
    entry = logged(nordlys)[1]

    results = [
        run(command, "nordlys", *([] if command == "tail" else [str(entry.id)]), *options)
        for command in ("tail", "show", "replay")
        for options in ([], ["--json"])
    ]

    for result in results:
        assert result.exit_code == 0, (result.output, result.exception)
        assert not [character for character in result.output if not (character.isprintable() or character == "\n")]
    json.loads(results[1].output)
    json.loads(results[3].output)


def test_a_name_that_no_text_can_be_is_not_found(run: Run, nordlys: Customer) -> None:
    for name in ("\udcff", "\x00", "x" * 10_000):
        assert run("show", nordlys.slug, name).exit_code == 1
