"""Licences by team and by person on a real database: counted as used, billed at month end, kept as billed."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import func, select, update

from bridge.billing.workspace_licences import agreed_licence_terms
from bridge.domain.actors import Actor, ActorKind
from bridge.domain.identifiers import ConnectionId, MemberId, new_id
from bridge.domain.people_files import read_people
from bridge.domain.roles import Role
from bridge.domain.tables import write_rows
from bridge.errors import (
    ForbiddenError,
    InvalidChangeError,
    InvalidInputError,
    NotFoundError,
    PlanEndedError,
    PreviewExpiredError,
    PreviewStaleError,
    UniquenessError,
)
from bridge.ports import ContractDraft, SeatChange, TierPrice
from bridge.runtime import Runtime
from bridge.store.directory import get_member
from bridge.store.journal import verify
from bridge.store.models import (
    Alert,
    AuditEntry,
    Connection,
    Contract,
    Decision,
    Delivery,
    Invoice,
    InvoiceLine,
    LicenceHolder,
    Member,
    TeamStay,
    WebSession,
)
from bridge.store.unit import Unit
from bridge.usecases.import_people import import_people
from bridge.usecases.licences import holders_table, licensed_names, list_holders, read_licences
from bridge.usecases.people_by_hand import turn_off_member, turn_on_member
from bridge.usecases.provision_member import PersonDraft, Source, provision_member, remove_member
from bridge.usecases.remove_inactive import confirm_remove_inactive, preview_remove_inactive
from bridge.usecases.renew_contract import set_auto_renew, set_price
from bridge.usecases.workspace_teams import (
    archive_team,
    create_team,
    join_teams,
    leave_team,
    list_teams,
    unarchive_team,
)
from tests.conftest import SettableClock
from tests.factories import Customer, create_workspace
from tests.protocol.scim_client import ScimClient, make_app, make_token

ADMIN = Actor(ActorKind.MEMBER, role=Role.ADMIN)
MEMBER = Actor(ActorKind.MEMBER, role=Role.MEMBER)


@pytest.fixture
def workspace(runtime: Runtime) -> Customer:
    """A workspace from 2 March 2026, 09:00 UTC, at €5.00 a person and month."""
    return create_workspace(runtime)


@pytest.fixture
def scim(workspace: Customer) -> ScimClient:
    return ScimClient(make_app(workspace), workspace.slug, make_token(workspace))


def day(number: int, month: int = 3) -> datetime:
    return datetime(2026, month, number, 12, tzinfo=UTC)


def in_team(customer: Customer, *teams: str, user_name: str = "alice@nordlys.test") -> MemberId:
    """Push a person and put them into teams, which are made where they are missing."""
    member = customer.push(user_name, displayName=user_name.partition("@")[0].title())
    with customer.unit() as unit:
        known = {team.name for team in list_teams(unit)}
        for team in teams:
            if team not in known:
                create_team(unit, team)
        join_teams(unit, member.id, teams)
    return member.id


def billed(customer: Customer) -> list[tuple[str, int, int]]:
    """Return of each invoice the day, the number of licences and the total."""
    with customer.unit() as unit:
        rows = unit.session.execute(
            select(Invoice.at, InvoiceLine.quantity, Invoice.total)
            .join(InvoiceLine, (InvoiceLine.org_id == Invoice.org_id) & (InvoiceLine.invoice_id == Invoice.id))
            .where(Invoice.org_id == unit.org_id)
            .order_by(Invoice.number)
        )
        return [(f"{at:%Y-%m-%d}", quantity, total) for at, quantity, total in rows]


def test_people_arrive_without_a_seat_and_nobody_is_alarmed(workspace: Customer) -> None:
    alice = workspace.push("alice@nordlys.test")

    with workspace.unit() as unit:
        decision = unit.session.scalars(select(Decision).where(Decision.member_id == alice.id)).one()
        alerts = unit.session.scalars(select(Alert).where(Alert.org_id == unit.org_id)).all()
    assert (alice.tier, alice.waiting_for) == (None, None)
    assert decision.reason == "not_by_seats"
    assert list(alerts) == []


def test_w7_the_month_is_billed_by_whoever_comes_next(workspace: Customer, clock: SettableClock) -> None:
    in_team(workspace, "red", "blue")
    in_team(workspace, "blue", user_name="bob@nordlys.test")
    workspace.push("carol@nordlys.test")

    clock.at = day(7, month=5)
    with workspace.unit() as unit:
        create_team(unit, "green")

    # 2 people × €5.00 for March and for April; Carol is in no team.
    assert billed(workspace) == [("2026-04-01", 2, 1000), ("2026-05-01", 2, 1000)]
    with workspace.unit() as unit:
        mails = unit.session.scalars(select(Delivery.key).where(Delivery.kind == "invoice_mail")).all()
        contract = unit.session.get_one(Contract, unit.org_id)
        assert len(mails) == 2
        assert (contract.period_start, contract.period_end) == (
            datetime(2026, 5, 1, tzinfo=UTC),
            datetime(2026, 6, 1, tzinfo=UTC),
        )


def test_w3_who_is_removed_and_comes_back_within_the_month_is_counted_once(
    workspace: Customer, clock: SettableClock
) -> None:
    for number in (3, 5, 7):
        clock.at = day(number)
        member_id = in_team(workspace, "red", user_name="Ann@nordlys.test" if number == 5 else "ann@nordlys.test")
        clock.at = day(number + 1)
        with workspace.unit() as unit:
            remove_member(unit, get_member(unit, member_id), reason="by_hand")

    clock.at = day(1, month=4)

    with workspace.unit() as unit:
        unit.lock()
        holders = [one.name for one in list_holders(unit, "2026-03")]
    # 1 person × €5.00, however many members Ann has been.
    assert billed(workspace) == [("2026-04-01", 1, 500)]
    assert [name.casefold() for name in holders] == ["ann@nordlys.test"]


def test_w3_people_of_two_directories_are_two_whatever_they_are_called(
    workspace: Customer, clock: SettableClock
) -> None:
    entra = ConnectionId(new_id())
    one = in_team(workspace, "red", user_name="alex")
    with workspace.unit() as unit:
        unit.session.add(Connection(org_id=unit.org_id, id=entra, kind="idp", name="Entra", created_at=unit.at))
    with workspace.unit(Actor(ActorKind.DIRECTORY, entra)) as unit:
        draft = PersonDraft("Alex", document={"displayName": "Alex Two"})
        other = provision_member(unit, entra, draft, Source.SCIM).id
    with workspace.unit() as unit:
        join_teams(unit, other, ["red"])

    clock.at = day(2, month=4)

    with workspace.unit() as unit:
        unit.lock()
        holders = {holder.id for holder in list_holders(unit, "2026-03")}
    # 2 people × €5.00.
    assert billed(workspace) == [("2026-04-01", 2, 1000)]
    assert holders == {one, other}


def test_w5_the_holders_of_a_billed_month_never_change(workspace: Customer, clock: SettableClock) -> None:
    alice = in_team(workspace, "red")
    bob = in_team(workspace, "red", user_name="bob@nordlys.test")
    with workspace.unit(at=day(20)) as unit:
        remove_member(unit, get_member(unit, bob))
    clock.at = day(2, month=4)
    with workspace.unit() as unit:
        leave_team(unit, alice, "red")
        archive_team(unit, "red")
        get_member(unit, alice).user_name = "someone-else@nordlys.test"

    with workspace.unit() as unit:
        march = list_holders(unit, "2026-03")

    assert [(one.name, one.display_name) for one in march] == [
        ("alice@nordlys.test", "Alice"),
        ("bob@nordlys.test", "Bob"),
    ]
    assert {one.invoice for one in march} == {"NORDLYS-000001"}


def test_what_removed_people_were_called_is_forgotten_when_the_month_is_billed(
    workspace: Customer, clock: SettableClock
) -> None:
    bob = in_team(workspace, "red", user_name="bob@nordlys.test")
    with workspace.unit(at=day(20)) as unit:
        remove_member(unit, get_member(unit, bob))
    clock.at = day(2, month=4)
    with workspace.unit() as unit:
        create_team(unit, "blue")

        stays = unit.session.execute(select(TeamStay.until, TeamStay.user_name)).all()

    assert [(until, name) for until, name in stays] == [(day(20), None)]


def test_of_who_is_removed_after_the_plans_end_nothing_is_kept(workspace: Customer, clock: SettableClock) -> None:
    bob = in_team(workspace, "red", user_name="bob@nordlys.test")
    with workspace.unit() as unit:
        set_auto_renew(unit, value=False)
    clock.at = day(2, month=5)

    with workspace.unit() as unit:
        remove_member(unit, get_member(unit, bob))

        stays = unit.session.execute(select(TeamStay.until, TeamStay.user_name)).all()
    assert [(until, name) for until, name in stays] == [(day(2, month=5), None)]


def test_who_left_no_name_is_billed_and_listed_by_id(workspace: Customer, clock: SettableClock) -> None:
    bob = in_team(workspace, "red", user_name="bob@nordlys.test")
    with workspace.unit() as unit:
        remove_member(unit, get_member(unit, bob))
        unit.session.execute(update(TeamStay).values(until=day(9), user_name=None))
    clock.at = day(2, month=4)

    with workspace.unit() as unit:
        unit.lock()

        assert [one.name for one in list_holders(unit, "2026-03")] == [str(bob)]


def test_w5_a_month_that_is_not_over_and_one_before_the_plan_are_refused(workspace: Customer) -> None:
    with workspace.unit() as unit:
        for month in ("2026-03", "2027-01", "2026-02", "March", "2026-13"):
            with pytest.raises(InvalidInputError):
                list_holders(unit, month)


def test_w5_the_export_cannot_run_as_a_formula(runtime: Runtime, clock: SettableClock) -> None:
    teams = create_workspace(runtime, "teams", kind="team_licence", price=4900)
    with teams.unit() as unit:
        create_team(unit, '=HYPERLINK("http://evil.test")')
    clock.at = day(1, month=4)
    with teams.unit() as unit:
        create_team(unit, "red")

        table = holders_table(unit, "2026-03")
        text = write_rows(table.columns, table.rows)

    header, row = csv.reader(io.StringIO(text))
    assert header == ["month", "kind", "id", "name", "display name", "invoice"]
    assert row[3] == '\'=HYPERLINK("http://evil.test")'


def test_the_export_cannot_be_rewritten_by_the_service(workspace: Customer, clock: SettableClock) -> None:
    in_team(workspace, "red")
    clock.at = day(1, month=4)
    with workspace.unit() as unit:
        unit.lock()

    with pytest.raises(Exception, match="permission denied"), workspace.unit() as unit:
        unit.session.query(LicenceHolder).delete()


LEAVE: dict[str, Callable[[Customer, ScimClient, MemberId], object]] = {
    "the console": lambda customer, scim, member_id: by_hand(customer, member_id),
    "a SCIM PATCH": lambda customer, scim, member_id: scim.patch(
        f"/Users/{member_id}", {"op": "replace", "path": "active", "value": False}
    ),
    "a SCIM PUT": lambda customer, scim, member_id: scim.put(
        f"/Users/{member_id}", {"userName": "alice@nordlys.test", "active": False}
    ),
    "an import": lambda customer, scim, member_id: by_import(customer),
    "a SCIM DELETE": lambda customer, scim, member_id: scim.delete(f"/Users/{member_id}"),
}


def by_import(customer: Customer) -> None:
    with customer.unit() as unit:
        import_people(unit, read_people(b"userName,active\nalice@nordlys.test,no"), customer.connection_id)


def by_hand(customer: Customer, member_id: MemberId) -> None:
    with customer.unit(customer.owner) as unit:
        turn_off_member(unit, member_id)


@pytest.mark.parametrize("leave", LEAVE.values(), ids=LEAVE)
def test_whoever_ends_the_access_ends_the_stays(
    workspace: Customer,
    scim: ScimClient,
    clock: SettableClock,
    leave: Callable[[Customer, ScimClient, MemberId], object],
) -> None:
    in_team(workspace, "red", "blue")
    scim.get("/Users?count=1")  # the first request of a token notes its use, which is the general way's
    alice = workspace_member(workspace, "alice@nordlys.test")
    clock.at = day(10)

    leave(workspace, scim, alice)

    with workspace.unit() as unit:
        until = unit.session.scalars(select(TeamStay.until)).all()
        assert list(until) == [day(10), day(10)]
        assert licensed_names(unit) == []
        assert verify(unit) is None
        left = unit.session.scalars(select(AuditEntry).where(AuditEntry.action == "member.left_teams")).one()
        assert left.subject_id == str(alice)
    # March counts all the same; April does not (rule W4).
    clock.at = day(1, month=5)
    with workspace.unit() as unit:
        unit.lock()
    assert billed(workspace) == [("2026-04-01", 1, 500)]


def workspace_member(customer: Customer, user_name: str) -> MemberId:
    with customer.unit() as unit:
        return unit.session.scalars(select(Member.id).where(Member.user_name == user_name)).one()


def test_scim_provisions_updates_and_reads_people_and_groups(scim: ScimClient, workspace: Customer) -> None:
    scim.get("/Users?count=1")

    bob = scim.create_user("bob@nordlys.test", displayName="Bob")
    group = scim.create_group("Engineering", bob)
    patched = scim.patch(f"/Users/{bob}", {"op": "replace", "path": "displayName", "value": "Robert"})
    off = scim.patch(f"/Users/{bob}", {"op": "replace", "path": "active", "value": False})
    on = scim.patch(f"/Users/{bob}", {"op": "replace", "path": "active", "value": True})

    assert [answer.status_code for answer in (patched, off, on)] == [200, 200, 200]
    assert scim.members(group) == {bob}
    with workspace.unit() as unit:
        member = get_member(unit, workspace_member(workspace, "bob@nordlys.test"))
        assert (member.display_name, member.active, member.tier, member.waiting_for) == ("Robert", True, None, None)
        assert unit.session.scalar(select(func.count()).select_from(Alert)) == 0


def test_who_comes_back_is_in_no_team(workspace: Customer) -> None:
    alice = in_team(workspace, "red")
    by_hand(workspace, alice)

    with workspace.unit() as unit:
        turn_on_member(unit, alice)

        assert licensed_names(unit) == []
        with pytest.raises(NotFoundError):
            join_teams(unit, alice, ["green"])
        assert [team.name for team in join_teams(unit, alice, ["red", "RED"])] == ["red"]
        assert licensed_names(unit) == ["alice@nordlys.test"]


def test_who_is_turned_off_joins_no_team(workspace: Customer) -> None:
    alice = in_team(workspace, "red")
    by_hand(workspace, alice)

    with workspace.unit() as unit, pytest.raises(InvalidInputError, match="deactivated"):
        join_teams(unit, alice, ["red"])


def test_b7_members_and_licence_holders_are_counted(workspace: Customer) -> None:
    alice = in_team(workspace, "red", "blue")
    in_team(workspace, "blue", user_name="bob@nordlys.test")
    workspace.push("carol@nordlys.test")
    with workspace.unit() as unit:
        archive_team(unit, "red")
        create_team(unit, "green")
    with workspace.unit(at=day(10)) as unit:
        leave_team(unit, alice, "blue")

    with workspace.unit(ADMIN, at=day(11)) as unit:
        now = read_licences(unit)

    # Owner, Alice, Bob and Carol; Bob alone is in a team that counts; Alice counted until the 10th.
    assert (now.members, now.licensed, now.counted) == (4, 1, 2)
    assert (now.active_teams, now.archived_teams, now.month) == (2, 1, "2026-03")


def test_w2_a_team_that_was_unarchived_for_an_instant_counts_for_the_month(
    runtime: Runtime, clock: SettableClock
) -> None:
    teams = create_workspace(runtime, "teams", kind="team_licence", price=4900)
    with teams.unit() as unit:
        create_team(unit, "red")
        create_team(unit, "blue")
        archive_team(unit, "blue")  # at the same instant: no time at all
    with teams.unit(at=day(5)) as unit:
        archive_team(unit, "red")
    with teams.unit(at=day(30, month=4)) as unit:
        unarchive_team(unit, "red")
    with teams.unit(at=datetime(2026, 4, 30, 12, 0, 1, tzinfo=UTC)) as unit:
        archive_team(unit, "red")
    clock.at = day(1, month=6)
    with teams.unit() as unit:
        unit.lock()

    # Red counts for March and, for a second, for April; nothing counts for May.
    assert billed(teams) == [("2026-04-01", 1, 4900), ("2026-05-01", 1, 4900)]
    with teams.unit() as unit:
        assert [one.name for one in list_holders(unit, "2026-04")] == ["red"]
        assert list_holders(unit, "2026-05") == []


def test_r4_a_price_counts_from_the_next_month(workspace: Customer, clock: SettableClock) -> None:
    in_team(workspace, "red")
    with workspace.unit() as unit:
        set_price(unit, "user_licence", 700)
        with pytest.raises(InvalidInputError, match="there is user_licence"):
            set_price(unit, "standard", 700)
    clock.at = day(1, month=5)
    with workspace.unit() as unit:
        unit.lock()

    assert billed(workspace) == [("2026-04-01", 1, 500), ("2026-05-01", 1, 700)]


def test_r5_without_auto_renewal_the_plan_ends_and_its_last_month_is_billed(
    workspace: Customer, clock: SettableClock
) -> None:
    alice = in_team(workspace, "red")
    with workspace.unit() as unit:
        set_auto_renew(unit, value=False)
        create_team(unit, "old")
        archive_team(unit, "old")
    clock.at = day(1, month=6)

    with workspace.unit() as unit:
        unit.lock()
        for refused in (
            lambda: create_team(unit, "green"),
            lambda: unarchive_team(unit, "old"),
            lambda: join_teams(unit, alice, ["red"]),
        ):
            with pytest.raises(PlanEndedError):
                refused()
        now = read_licences(unit)
        mails = unit.session.scalars(select(Delivery.key).where(Delivery.kind == "invoice_mail")).all()

    assert billed(workspace) == [("2026-04-01", 1, 500)]
    assert len(mails) == 1
    assert (now.licensed, now.counted, now.members) == (0, 0, 2)
    with workspace.unit() as unit:
        assert [one.name for one in list_holders(unit, "2026-03")] == ["alice@nordlys.test"]


def test_a_unit_that_waited_while_the_month_was_billed_counts_from_the_new_month(
    workspace: Customer, clock: SettableClock
) -> None:
    alice = in_team(workspace, "red")
    clock.at = day(1, month=4)
    with workspace.unit() as unit:
        unit.lock()

    with workspace.unit(at=day(31)) as unit:  # its instant is of March, and March is billed
        archive_team(unit, "red")
        leave_team(unit, alice, "red")
        create_team(unit, "blue")
        join_teams(unit, alice, ["blue"])

        until = unit.session.scalars(select(TeamStay.until).where(TeamStay.until.is_not(None))).one()
    assert until == datetime(2026, 4, 1, tzinfo=UTC)
    clock.at = day(1, month=5)
    with workspace.unit() as unit:
        unit.lock()
    assert billed(workspace) == [("2026-04-01", 1, 500), ("2026-05-01", 1, 500)]


def test_w6_who_is_in_no_active_team_is_removed_in_one_action(workspace: Customer) -> None:
    alice = in_team(workspace, "red")
    bob = in_team(workspace, "blue", user_name="bob@nordlys.test")
    ada = in_team(workspace, user_name="ada@nordlys.test")
    with workspace.unit() as unit:
        archive_team(unit, "blue")
        get_member(unit, ada).role = str(Role.ADMIN)
        open_session(unit, bob)
    admin = Actor(ActorKind.MEMBER, ada, Role.ADMIN)

    with workspace.unit(admin) as unit:
        preview = preview_remove_inactive(unit)
    with workspace.unit(admin) as unit:
        removed = confirm_remove_inactive(unit, preview.id)
    with workspace.unit(admin) as unit:
        again = confirm_remove_inactive(unit, preview.id)

    # Owner and Ada, who acts, are spared; Alice is in an active team.
    assert [(one.user_name, one.display_name) for one in preview.members] == [("bob@nordlys.test", "Bob")]
    assert removed == again == (bob,)
    with workspace.unit() as unit:
        here = set(unit.session.scalars(select(Member.id).where(Member.org_id == unit.org_id)))
        sessions = unit.session.scalars(select(WebSession.id)).all()
        reasons = unit.session.scalars(select(AuditEntry.reason).where(AuditEntry.action == "member.removed")).all()
        assert verify(unit) is None
    assert here == {alice, ada, workspace.owner_id}
    assert list(sessions) == []
    assert list(reasons) == ["no_active_team"]


def open_session(unit: Unit, member_id: MemberId) -> None:
    """Sign somebody in."""
    unit.session.add(
        WebSession(
            org_id=unit.org_id,
            id=new_id(),
            token_hash=b"session",
            member_id=member_id,
            method="link",
            created_at=unit.at,
            last_seen_at=unit.at,
            expires_at=day(30),
            ended_at=None,
            ended_by=None,
        )
    )


def test_w6_the_confirmation_removes_whom_the_preview_named_or_nobody(workspace: Customer) -> None:
    workspace.push("carol@nordlys.test")
    with workspace.unit() as unit:
        preview = preview_remove_inactive(unit)
    workspace.push("dave@nordlys.test")

    with workspace.unit() as unit, pytest.raises(PreviewStaleError):
        confirm_remove_inactive(unit, preview.id)
    with workspace.unit() as unit:
        fresh = preview_remove_inactive(unit)
    with workspace.unit(at=fresh.expires_at) as unit, pytest.raises(PreviewExpiredError):
        confirm_remove_inactive(unit, fresh.id)
    with workspace.unit() as unit, pytest.raises(NotFoundError):
        confirm_remove_inactive(unit, unit.org_id)


ACTS: dict[str, Callable[[Unit, MemberId], object]] = {
    "create_team": lambda unit, alice: create_team(unit, "green"),
    "archive_team": lambda unit, alice: archive_team(unit, "red"),
    "unarchive_team": lambda unit, alice: unarchive_team(unit, "red"),
    "join_teams": lambda unit, alice: join_teams(unit, alice, ["red"]),
    "leave_team": lambda unit, alice: leave_team(unit, alice, "red"),
    "preview_remove_inactive": lambda unit, alice: preview_remove_inactive(unit),
    "confirm_remove_inactive": lambda unit, alice: confirm_remove_inactive(unit, unit.org_id),
    "list_teams": lambda unit, alice: list_teams(unit),
    "read_licences": lambda unit, alice: read_licences(unit),
    "licensed_names": lambda unit, alice: licensed_names(unit),
    "list_holders": lambda unit, alice: list_holders(unit, "2026-03"),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_z3_z4_members_may_nothing(workspace: Customer, act: Callable[[Unit, MemberId], object]) -> None:
    alice = in_team(workspace, "red")

    with workspace.unit(MEMBER) as unit, pytest.raises(ForbiddenError):
        act(unit, alice)


def test_z1_the_export_is_for_owners(workspace: Customer) -> None:
    with workspace.unit(ADMIN) as unit, pytest.raises(ForbiddenError):
        list_holders(unit, "2026-03")


@pytest.mark.parametrize("name", ["", "  ", "a\tb", "x" * 201])
def test_a_team_has_a_name_that_can_be_read(workspace: Customer, name: str) -> None:
    with workspace.unit() as unit, pytest.raises(InvalidInputError):
        create_team(unit, name)


def test_the_name_of_a_team_is_its_own(workspace: Customer) -> None:
    with workspace.unit() as unit:
        create_team(unit, "Red")

    with workspace.unit() as unit, pytest.raises(UniquenessError):
        create_team(unit, " red ")


def test_repeating_what_is_so_already_changes_and_records_nothing(workspace: Customer) -> None:
    alice = in_team(workspace, "red")
    with workspace.unit() as unit:
        archive_team(unit, "red")
        leave_team(unit, alice, "red")
        before = unit.state().audit_seq

        archive_team(unit, "red")
        left = leave_team(unit, alice, "red")

        assert left is False
        assert unit.state().audit_seq == before


def test_a_plan_sold_by_seats_has_no_teams(customer: Customer) -> None:
    for act in (lambda unit: create_team(unit, "red"), read_licences, preview_remove_inactive):
        with customer.unit() as unit, pytest.raises(InvalidInputError, match="not billed by team or by person"):
            act(unit)


def test_there_are_no_seats_to_buy(workspace: Customer) -> None:
    with workspace.unit() as unit, pytest.raises(InvalidChangeError, match="not sold by seats"):
        unit.billing.quote(SeatChange({"standard": 1}, at=unit.at))


@pytest.mark.parametrize(("price", "field"), [(-1, "tiers.user_licence"), (10**10, "contract.tiers.user_licence")])
def test_a_price_that_makes_no_plan_is_refused_by_field(runtime: Runtime, price: int, field: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        create_workspace(runtime, price=price)

    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"cycle": "year"}, "cycle"),
        ({"proration": "day"}, "proration"),
        ({"minimum_seats": 3}, "minimum_seats"),
        ({"renewal_basis": "allocated"}, "renewal_basis"),
        ({"contract_minimum": {"user_licence": 3}}, "contract_minimum"),
        ({"reduction": "immediate_credit"}, "reduction"),
        ({"tax_rate": "a quarter"}, "tax_rate"),
        ({"currency": "XXX"}, "currency"),
        ({"tiers": (TierPrice("standard", "Standard", 1, 500, 0),)}, "tiers"),
        ({"tiers": (TierPrice("user_licence", "User licence", 1, 500, 3),)}, "tiers.user_licence"),
    ],
)
def test_terms_of_seats_are_refused_by_field(terms: dict[str, Any], field: str) -> None:
    draft = ContractDraft(
        kind="user_licence",
        cycle="month",
        anchor=day(2),
        currency="EUR",
        time_zone="UTC",
        tiers=(TierPrice("user_licence", "User licence", 1, 500, 0),),
    )

    with pytest.raises(InvalidInputError) as refusal:
        agreed_licence_terms(replace(draft, **terms))

    assert refusal.value.field == field
