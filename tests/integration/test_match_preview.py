"""Who a directory's people would be here: told before the push, by its rules, and as the push then does it."""

import io
import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import URL, select

from bridge.cli import main
from bridge.domain.identifiers import MemberId
from bridge.errors import BridgeError, InvalidInputError
from bridge.runtime import Runtime
from bridge.store.directory import get_connection
from bridge.store.models import Identity, Member
from bridge.usecases.connections import claim_domain, create_connection, verify_domain
from bridge.usecases.manage_access import deactivate_member
from bridge.usecases.preview_matches import (
    ListedPerson,
    Match,
    MatchReason,
    Verdict,
    listed_in_text,
    looked_up,
    preview_matches,
)
from bridge.usecases.provision_member import PersonDraft, Source, add_member, provision_member
from tests.conftest import KEY
from tests.factories import Customer
from tests.protocol.scim_client import ScimClient, make_token
from tests.web import sign_in
from wsgi import compose


@pytest.fixture
def app(runtime: Runtime) -> Flask:
    return compose(runtime)


def by_hand(customer: Customer, name: str) -> MemberId:
    """Add somebody whom no directory manages, with this address."""
    with customer.unit(customer.owner) as unit:
        return MemberId(add_member(unit, PersonDraft(name, document={"emails": [{"value": name}]}), tier=None).id)


def signed_in(customer: Customer, name: str, subject: str) -> MemberId:
    """Let somebody come by a sign-in of the connection."""
    with customer.unit() as unit:
        connection = get_connection(unit, customer.connection_id)
        connection.protocol, connection.issuer = "saml", "https://idp.test"
        member = provision_member(unit, connection.id, PersonDraft(name), Source.JIT)
        unit.session.add(
            Identity(
                org_id=unit.org_id,
                connection_id=connection.id,
                protocol="saml",
                issuer="https://idp.test",
                subject=subject,
                member_id=member.id,
                linked_at=unit.at,
                linked_by="jit",
            )
        )
        return MemberId(member.id)


@pytest.fixture
def world(customer: Customer) -> dict[str, MemberId]:
    """One person for each way of being known, by userName."""
    with customer.unit() as unit:
        claim_domain(unit, "ours.test", customer.connection_id)
        verify_domain(unit, "ours.test")
    known = {
        "pushed@nordlys.test": MemberId(customer.push("pushed@nordlys.test", external_id="x1").id),
        "hand@ours.test": by_hand(customer, "hand@ours.test"),
        "off@ours.test": by_hand(customer, "off@ours.test"),
        "hand@elsewhere.test": by_hand(customer, "hand@elsewhere.test"),
        "jit@nordlys.test": signed_in(customer, "jit@nordlys.test", "jit@nordlys.test"),
        "other@nordlys.test": signed_in(customer, "other@nordlys.test", "another-subject"),
    }
    with customer.unit(customer.owner) as unit:
        off = unit.session.get_one(Member, (unit.org_id, known["off@ours.test"]))
        deactivate_member(unit, off, reason="by_hand")
    return known


LISTED = (
    ListedPerson("Pushed@Nordlys.test"),
    ListedPerson("hand@ours.test"),
    ListedPerson("off@ours.test"),
    ListedPerson("hand@elsewhere.test"),
    ListedPerson("jit@nordlys.test"),
    ListedPerson("other@nordlys.test"),
    ListedPerson("new@nordlys.test"),
    ListedPerson("taken@nordlys.test", external_id="x1"),
)
EXPECTED = {
    "Pushed@Nordlys.test": (Verdict.LINKED, MatchReason.PUSHED_BEFORE, False),
    "hand@ours.test": (Verdict.LINKED, MatchReason.VERIFIED_ADDRESS, False),
    "off@ours.test": (Verdict.LINKED, MatchReason.VERIFIED_ADDRESS, True),
    "hand@elsewhere.test": (Verdict.CONFLICT, MatchReason.UNPROVED, False),
    "jit@nordlys.test": (Verdict.LINKED, MatchReason.SIGNED_IN_BEFORE, False),
    "other@nordlys.test": (Verdict.CONFLICT, MatchReason.UNPROVED, False),
    "new@nordlys.test": (Verdict.CREATED, MatchReason.NEW, False),
    "taken@nordlys.test": (Verdict.CONFLICT, MatchReason.EXTERNAL_ID_TAKEN, False),
}


def test_each_person_is_judged_by_the_rules_of_a_push_and_nothing_changes(
    customer: Customer, world: dict[str, MemberId]
) -> None:
    with customer.unit(customer.owner) as unit:
        before = unit.state().audit_head
        preview = preview_matches(unit, customer.connection_id, LISTED)
        assert unit.state().audit_head == before
        assert not unit.is_locked

    found = {one.person.user_name: (one.verdict, one.reason, one.stays_off) for one in preview.matches}
    assert found == EXPECTED
    assert [one.verdict for one in preview.matches][:3] == [Verdict.CONFLICT] * 3
    linked = {one.person.user_name.lower(): one.member.id for one in preview.matches if one.member is not None}
    assert linked == world | {"taken@nordlys.test": world["pushed@nordlys.test"]}
    # The owner is active and in no list; everybody else of the world is listed.
    assert preview.unlisted == 1


def test_the_push_then_does_what_was_told(customer: Customer, world: dict[str, MemberId]) -> None:
    with customer.unit() as unit:
        preview = preview_matches(unit, customer.connection_id, LISTED)

    for match in preview.matches:
        assert pushed(customer, match) == told(match), match


def pushed(customer: Customer, match: Match) -> MemberId | str:
    """Push somebody as an identity provider does, who links whom a look-up finds; tell who it was."""
    if match.reason is MatchReason.PUSHED_BEFORE and match.member is not None:
        return MemberId(match.member.id)
    with customer.unit() as unit:
        were_here = set(unit.session.scalars(select(Member.id)))
    try:
        with customer.unit(customer.directory) as unit:
            draft = PersonDraft(match.person.user_name, external_id=match.person.external_id)
            member = provision_member(unit, customer.connection_id, draft, Source.SCIM)
    except BridgeError:
        return "refused"
    return MemberId(member.id) if member.id in were_here else "new"


def told(match: Match) -> MemberId | str:
    """Who the preview said it would be."""
    if match.verdict is Verdict.CONFLICT:
        return "refused"
    if match.verdict is Verdict.CREATED or match.member is None:
        return "new"
    return MemberId(match.member.id)


def test_what_cannot_be_a_list_is_refused_and_a_name_twice_is_a_conflict(customer: Customer) -> None:
    with customer.unit() as unit:
        twice = preview_matches(unit, customer.connection_id, listed_in_text("a@x.test\n\n A@x.test \n" + "x" * 256))
        with pytest.raises(InvalidInputError):
            preview_matches(unit, customer.connection_id, [])

    reasons = [MatchReason.LISTED_TWICE, MatchReason.LISTED_TWICE, MatchReason.NOT_A_NAME]
    assert [one.reason for one in twice.matches] == reasons


def test_whom_the_client_has_looked_for_is_known_from_the_log(app: Flask, customer: Customer) -> None:
    client = ScimClient(app, customer.slug, make_token(customer))
    for name in ("ada@nordlys.test", "Bob@nordlys.test", "bob@nordlys.test"):
        client.get(f'/Users?filter=userName eq "{name}"')
    client.get('/Users?filter=title eq "x"')
    client.get('/Groups?filter=displayName eq "x"')
    customer.runtime.closing.close()  # writes what waits

    with customer.unit() as unit:
        found = {one.user_name.lower() for one in looked_up(unit, customer.connection_id)}

    assert found == {"ada@nordlys.test", "bob@nordlys.test"}


def test_who_has_the_name_under_another_connection_would_be_there_twice(customer: Customer) -> None:
    ada = customer.push("ada@nordlys.test")
    with customer.unit() as unit:
        other = create_connection(unit, "Entra ID")
        (match,) = preview_matches(unit, other.id, [ListedPerson("ada@nordlys.test")]).matches

    assert (match.verdict, match.reason) == (Verdict.CREATED, MatchReason.NEW_BESIDE)
    assert match.member is not None
    assert match.member.id == ada.id


def test_the_page_takes_a_file_a_list_and_look_ups(app: Flask, customer: Customer, world: dict[str, MemberId]) -> None:
    browser = sign_in(app, customer)
    path = f"/console/connections/{customer.connection_id}/matches"
    browser.get(path)

    file = browser.post(path, {"file": (io.BytesIO(b"userName;externalId\nnew@x.test;\nhand@ours.test;\n"), "p.csv")})
    text = browser.post(path, {"names": "hand@elsewhere.test"})
    nothing = browser.post(path, {"names": " "})
    nobody = browser.post(path, {"from": "lookups"})
    unreadable = browser.post(path, {"file": (io.BytesIO(b"\x00\x01"), "p.csv")})

    assert "Would be linked</dt><dd>1 person" in file.text
    assert "Would be created</dt><dd>1 person" in file.text
    assert "Verify the domain of the address" in text.text
    assert [nothing.status, nobody.status, unreadable.status] == [422, 422, 422]


def test_t1_the_people_of_another_organization_are_nobody(make_customer: Callable[..., Customer]) -> None:
    """T1."""
    ours, theirs = make_customer("nordlys"), make_customer("sudlys")
    theirs.push("ada@sudlys.test")

    with ours.unit() as unit:
        (match,) = preview_matches(unit, ours.connection_id, [ListedPerson("ada@sudlys.test")]).matches

    assert match.verdict is Verdict.CREATED


def test_the_command_line_tells_the_same(
    customer: Customer, world: dict[str, MemberId], database_url: URL, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("people") / "people.csv"
    file.write_text("userName\nnew@x.test\njit@nordlys.test\n")
    environment = {
        "SEATBRIDGE__DATABASE__URL": database_url.render_as_string(hide_password=False),
        "SEATBRIDGE__SECRETS__KEYS": KEY,
    }

    done = CliRunner().invoke(main, ["connection", "match", "nordlys", "okta", str(file), "--json"], env=environment)

    assert done.exit_code == 0, done.output
    verdicts = {one["user_name"]: one["verdict"] for one in json.loads(done.stdout)["matches"]}
    assert verdicts == {"new@x.test": "created", "jit@nordlys.test": "linked"}
