"""The provisioning mode: who may come in by which way, whom a switch touches, and who may switch (rule A9)."""

import json
import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import URL, select

from bridge.cli import main
from bridge.domain.actors import Actor, ActorKind
from bridge.domain.people_files import read_people
from bridge.domain.provisioning import MODES, ProvisioningMode
from bridge.domain.roles import Role
from bridge.errors import (
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    PreviewExpiredError,
    PreviewStaleError,
    SignInRefusedError,
)
from bridge.runtime import Runtime
from bridge.store.directory import get_member
from bridge.store.models import AuditEntry, Member
from bridge.usecases.import_people import import_people
from bridge.usecases.provision_member import PersonDraft, add_member
from bridge.usecases.provisioning_mode import Effect, mode_of, preview_mode, read_provisioning, switch_mode
from bridge.web.app import create_web_app
from bridge.web.console import console_blueprints
from tests.conftest import KEY, SettableClock
from tests.factories import Customer, switch_mode_to
from tests.sign_ins import map_groups, member, sign_in, trust
from tests.web import make_admin
from tests.web import sign_in as open_console

ENGINEERS_GET_PREMIUM = {
    "default": "standard",
    "rules": [{"group": "Engineering", "expected": True, "tier": "premium"}],
}


@pytest.fixture
def acme(customer: Customer) -> Customer:
    """An organization whose connection trusts the tests' provider."""
    trust(customer)
    return customer


def read(customer: Customer, person: Member) -> Member:
    with customer.unit() as unit:
        return get_member(unit, person.id)


def preview(customer: Customer, mode: str) -> uuid.UUID:
    with customer.unit() as unit:
        return preview_mode(unit, mode).id


def test_a9_an_organization_takes_people_both_ways_until_somebody_switches(customer: Customer) -> None:
    with customer.unit() as unit:
        found = read_provisioning(unit)

    assert found.mode is ProvisioningMode.JIT_AND_SCIM
    assert not found.with_mappings


@pytest.mark.parametrize("mode", ["manual", "scim"])
def test_a9_a_sign_in_adds_nobody_where_the_mode_follows_none_and_the_log_says_why(acme: Customer, mode: str) -> None:
    switch_mode_to(acme, mode)

    with pytest.raises(SignInRefusedError) as refusal:
        sign_in(acme, "ada@acme.test")

    assert refusal.value.reason == "mode_without_jit"
    assert f"in the provisioning mode '{mode}' no sign-in adds anybody" in refusal.value.detail


def test_a9_a_sign_in_adds_people_in_the_mode_jit(acme: Customer) -> None:
    switch_mode_to(acme, "jit")

    assert sign_in(acme, "ada@acme.test").provisioned


@pytest.mark.parametrize("mode", ["manual", "scim"])
def test_a9_whoever_is_known_signs_in_in_every_mode_but_claims_no_longer_regroup_them(
    acme: Customer, mode: str
) -> None:
    map_groups(acme, ENGINEERS_GET_PREMIUM)
    ada = sign_in(acme, "ada@acme.test", groups=frozenset(), display_name="Ada").member
    switch_mode_to(acme, mode)

    again = sign_in(acme, "ada@acme.test", groups=frozenset({"Engineering"}), display_name="Countess")

    assert (again.member.id, again.provisioned) == (ada.id, False)
    assert (member(acme, again).tier, member(acme, again).display_name) == ("standard", "Ada")


def test_a9_claims_regroup_people_again_once_sign_ins_are_followed_again(acme: Customer) -> None:
    map_groups(acme, ENGINEERS_GET_PREMIUM)
    sign_in(acme, "ada@acme.test", groups=frozenset())
    switch_mode_to(acme, "manual")
    switch_mode_to(acme, "jit")

    again = sign_in(acme, "ada@acme.test", groups=frozenset({"Engineering"}))

    assert member(acme, again).tier == "premium"


def test_a9_whoever_was_pushed_keeps_seat_and_access_when_pushes_stop_and_claims_do_not_take_them_over(
    acme: Customer,
) -> None:
    map_groups(acme, ENGINEERS_GET_PREMIUM)
    ada = acme.push("ada@acme.test")
    switch_mode_to(acme, "jit")

    signed_in = sign_in(acme, "ada@acme.test", groups=frozenset({"Engineering"}))

    assert signed_in.member.id == ada.id
    after = read(acme, ada)
    assert (after.active, after.tier, after.source) == (True, "standard", "scim")


@pytest.mark.parametrize("mode", list(ProvisioningMode))
def test_a9_administrators_add_and_import_people_in_every_mode(customer: Customer, mode: ProvisioningMode) -> None:
    if mode is not ProvisioningMode.JIT_AND_SCIM:
        switch_mode_to(customer, mode)

    with customer.unit() as unit:
        add_member(unit, PersonDraft("by-hand@nordlys.test"), tier="premium")
        file = read_people(b"userName\nimported@nordlys.test\n")
        import_people(unit, file, None)
        pushed = read_people(b"userName\npushed@nordlys.test\n")
        import_people(unit, pushed, customer.connection_id)
        names = set(unit.session.scalars(select(Member.user_name)))

    assert names >= {"by-hand@nordlys.test", "imported@nordlys.test", "pushed@nordlys.test"}


def test_a9_the_preview_names_whom_a_switch_touches_and_what_it_means_for_them(acme: Customer) -> None:
    pushed = acme.push("ada@acme.test", displayName="Ada")
    signed_in = sign_in(acme, "eva@acme.test", display_name="Eva").member

    with acme.unit() as unit:
        to_manual = preview_mode(unit, "manual")
        to_jit = preview_mode(unit, "jit")

    assert [(one.effect, [person.id for person in one.people]) for one in to_manual.touched] == [
        (Effect.RELEASED, [pushed.id]),
        (Effect.UNFOLLOWED, [signed_in.id]),
    ]
    assert [(one.effect, one.number) for one in to_jit.touched] == [(Effect.RELEASED, 1)]
    with acme.unit() as unit:
        assert mode_of(unit) is ProvisioningMode.JIT_AND_SCIM


def test_a9_the_preview_of_taking_pushes_again_names_those_who_were_pushed_and_those_to_be_taken_over(
    acme: Customer,
) -> None:
    pushed = acme.push("ada@acme.test")
    signed_in = sign_in(acme, "eva@acme.test").member
    switch_mode_to(acme, "jit")

    with acme.unit() as unit:
        found = preview_mode(unit, "scim")

    touched = {one.effect: [person.id for person in one.people] for one in found.touched}
    assert touched == {
        Effect.TAKEN_UP: [pushed.id],
        Effect.ADOPTABLE: [acme.owner_id, signed_in.id],
        Effect.UNFOLLOWED: [signed_in.id],
    }


def test_a9_a_switch_moves_nobody_and_the_audit_says_who_switched_and_how_many_it_touched(customer: Customer) -> None:
    ada = customer.push("ada@nordlys.test")
    found = preview(customer, "manual")

    with customer.unit(customer.owner) as unit:
        done = switch_mode(unit, found)

    after = read(customer, ada)
    with customer.unit() as unit:
        entry = unit.session.scalars(select(AuditEntry).order_by(AuditEntry.seq.desc()).limit(1)).one()
    assert (done.before, done.after) == ("jit_and_scim", "manual")
    assert (after.active, after.tier, after.version) == (ada.active, ada.tier, ada.version)
    assert (entry.action, entry.actor) == ("provisioning.switched", str(customer.owner))
    assert entry.body == {"mode": ["jit_and_scim", "manual"], "touched": {"released": 1}, "preview": str(found)}


def test_a9_a_preview_that_is_confirmed_twice_switches_once(customer: Customer) -> None:
    found = preview(customer, "jit")
    with customer.unit() as unit:
        switch_mode(unit, found)
    switch_mode_to(customer, "scim")

    with customer.unit() as unit:
        again = switch_mode(unit, found)
        after = mode_of(unit)

    assert again.after is ProvisioningMode.JIT
    assert after is ProvisioningMode.SCIM


def test_a9_a_preview_is_stale_once_it_would_touch_other_people_or_the_mode_is_another(customer: Customer) -> None:
    to_manual, to_jit = preview(customer, "manual"), preview(customer, "jit")
    customer.push("ada@nordlys.test")

    with pytest.raises(PreviewStaleError), customer.unit() as unit:
        switch_mode(unit, to_manual)
    switch_mode_to(customer, "scim")
    with pytest.raises(PreviewStaleError), customer.unit() as unit:
        switch_mode(unit, to_jit)


def test_a9_a_preview_lives_15_minutes(customer: Customer, clock: SettableClock) -> None:
    found = preview(customer, "manual")
    clock.at += timedelta(minutes=15)

    with pytest.raises(PreviewExpiredError), customer.unit() as unit:
        switch_mode(unit, found)


def test_a9_a_preview_of_something_else_or_of_another_organization_switches_nothing(
    customer: Customer, make_customer: Callable[..., Customer]
) -> None:
    foreign = preview(make_customer("other"), "manual")

    with pytest.raises(NotFoundError), customer.unit() as unit:
        switch_mode(unit, foreign)


def test_a9_z4_administrators_and_owners_switch_and_members_do_not(customer: Customer) -> None:
    plain = Actor(ActorKind.MEMBER, customer.owner_id, Role.MEMBER)
    admin = Actor(ActorKind.MEMBER, customer.owner_id, Role.ADMIN)

    with pytest.raises(ForbiddenError), customer.unit(plain) as unit:
        preview_mode(unit, "manual")
    found = preview(customer, "manual")
    with pytest.raises(ForbiddenError), customer.unit(plain) as unit:
        switch_mode(unit, found)
    with customer.unit(admin) as unit:
        assert switch_mode(unit, found).after is ProvisioningMode.MANUAL


@pytest.mark.parametrize("mode", ["off", "jit_and_scim"])
def test_a9_a_mode_that_is_unknown_or_in_force_is_refused_by_name(customer: Customer, mode: str) -> None:
    with pytest.raises(InvalidInputError, match=mode), customer.unit() as unit:
        preview_mode(unit, mode)


# In the console and on the command line.


def test_a9_the_console_shows_the_table_marks_the_mode_in_force_and_switches_after_a_preview(
    runtime: Runtime, customer: Customer
) -> None:
    browser = open_console(create_web_app(runtime, console_blueprints()), customer, make_admin(customer).id)

    page = browser.get("/console/provisioning")
    previewed = browser.post("/console/provisioning/preview", {"mode": "manual"})
    address = previewed.text.split('action="/console/provisioning/switches/')[1].split('"')[0]
    browser.post(f"/console/provisioning/switches/{address}", {})
    after = browser.get("/console/provisioning")

    for facts in MODES.values():
        assert facts.removes[1:] in page.text
    assert 'jit_and_scim</span> <span class="pill ok">In force' in page.text
    assert "1 person" in previewed.text
    assert "Ada Admin" in previewed.text
    assert 'manual</span> <span class="pill ok">In force' in after.text
    assert "Mode: manual" in browser.get("/console").text


@pytest.fixture
def run(database_url: URL) -> Callable[..., Result]:
    environment: dict[str, str | None] = {
        "SEATBRIDGE__DATABASE__URL": database_url.render_as_string(hide_password=False),
        "SEATBRIDGE__SECRETS__KEYS": KEY,
    }

    def run(*arguments: str, typed: str = "") -> Result:
        return CliRunner().invoke(main, list(arguments), input=typed, env=environment)

    return run


def test_a9_the_command_line_shows_whom_it_touches_asks_and_switches(
    run: Callable[..., Result], customer: Customer
) -> None:
    customer.push("ada@nordlys.test", displayName="Ada")

    shown = run("provisioning", "show", customer.slug)
    declined = run("provisioning", "set", customer.slug, "manual", typed="n\n")
    done = run("provisioning", "set", customer.slug, "manual", typed="y\n")

    assert "Mode: jit_and_scim, without mappings." in shown.output
    assert declined.exit_code == 1
    assert "1 person: no directory changes or removes them any more" in done.output
    assert "ada@nordlys.test" in done.output
    assert "Switched from jit_and_scim to manual." in done.output
    assert run("provisioning", "set", customer.slug, "manual").output == "The mode is manual already.\n"


def test_a9_the_command_line_switches_by_a_preview_and_speaks_json(
    run: Callable[..., Result], customer: Customer
) -> None:
    found = json.loads(run("provisioning", "preview", customer.slug, "scim", "--json").output)

    other = run("provisioning", "set", customer.slug, "manual", "--preview", found["id"])
    unasked = run("provisioning", "set", customer.slug, "manual", "--json")
    done = run("provisioning", "set", customer.slug, "scim", "--preview", found["id"], "--json")
    shown = json.loads(run("provisioning", "show", customer.slug, "--json").output)

    assert (found["before"], found["after"]) == ("jit_and_scim", "scim")
    assert (other.exit_code, unasked.exit_code) == (1, 2)
    assert "it is of a switch to 'scim', not to 'manual'" in other.output
    assert json.loads(done.output) == {"before": "jit_and_scim", "after": "scim"}
    assert shown["provisioning"]["mode"] == "scim"
    assert shown["modes"]["jit"]["removes"] == "an administrator; sign-in alone never removes"
