"""People from a file: what is shown is what is done, all or nothing, by the rules that a push follows."""

from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from bridge.domain.actors import OPERATOR, Actor, ActorKind
from bridge.domain.identifiers import MemberId, new_id
from bridge.domain.people_files import PeopleFile, read_people
from bridge.domain.roles import Role
from bridge.errors import ForbiddenError, PreviewStaleError
from bridge.runtime import Runtime
from bridge.store.directory import direct_groups_of, manual_connection
from bridge.store.journal import verify
from bridge.store.models import AuditEntry, Decision, Domain, Group, Member
from bridge.store.pools import read_pools
from bridge.usecases.edit_mappings import apply_mappings
from bridge.usecases.import_people import ImportReport, import_people, preview_import
from bridge.usecases.preview_mappings import preview_mappings
from bridge.usecases.provision_member import PersonDraft, Source, add_member, provision_member, update_member
from tests.factories import Customer


def people(*lines: str) -> PeopleFile:
    return read_people("\n".join(lines).encode())


def imported(customer: Customer, *lines: str, directory: bool = False, **options: bool | str) -> ImportReport:
    with customer.unit() as unit:
        return import_people(unit, people(*lines), customer.connection_id if directory else None, **options)  # type: ignore[arg-type] # the options are the use case's


def previewed(customer: Customer, *lines: str, directory: bool = False) -> ImportReport:
    with customer.unit() as unit:
        return preview_import(unit, people(*lines), customer.connection_id if directory else None)


def find(customer: Customer, user_name: str) -> Member:
    with customer.unit() as unit:
        return unit.session.scalars(
            select(Member).where(Member.org_id == unit.org_id, Member.user_name == user_name)
        ).one()


def group_names(customer: Customer, user_name: str) -> list[str]:
    member_id = find(customer, user_name).id
    with customer.unit() as unit:
        return [group.display_name for group in direct_groups_of(unit, member_id)]


def everything(customer: Customer) -> object:
    """Everything an import may touch, so that "nothing happened" is one comparison."""
    with customer.unit() as unit:
        state = unit.state()
        people = unit.session.execute(
            select(Member.id, Member.version, Member.tier, Member.document, Member.waiting_for).order_by(Member.id)
        ).all()
        pools = [(pool.tier, pool.used, pool.total) for pool in read_pools(unit)]
        counts = [
            unit.session.scalar(select(func.count()).select_from(model)) for model in (Group, AuditEntry, Decision)
        ]
        return state.seat_version, state.audit_seq, state.member_position, people, pools, counts


def map_group(customer: Customer, group: str, tier: str, **document: object) -> None:
    rules = {"schema": 1, "rules": [{"key": "one", "group": group, "expected": True, "tier": tier}], **document}
    with customer.unit() as unit:
        preview = preview_mappings(unit, rules)
    with customer.unit() as unit:
        apply_mappings(unit, preview.id, acknowledged=True)


class TestNewcomers:
    def test_come_with_their_attributes_as_people_whom_no_directory_manages(self, customer: Customer) -> None:
        report = imported(
            customer,
            "login;E-Mail;First Name;Last Name;Job Title;Cost Center;external_id",
            "ann;ann@nordlys.test;Ann;Berg;Engineer;4711;E-1",
        )

        member = find(customer, "ann")
        assert report.applied
        assert [person.name for person in report.effect.added] == ["Ann Berg"]
        assert (member.source, member.external_id, member.email) == ("manual", "E-1", "ann@nordlys.test")
        assert member.document["name"] == {"givenName": "Ann", "familyName": "Berg"}
        assert member.document["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"] == {"costCenter": "4711"}

    def test_b3_get_seats_in_the_order_of_the_file_and_nothing_is_bought(
        self, make_customer: Callable[..., Customer]
    ) -> None:
        customer = make_customer(premium=1, standard=1)

        report = imported(customer, "email", *(f"p{n}@nordlys.test" for n in range(4)))

        assert [person.tier for person in report.effect.added] == ["premium", "standard", None, None]
        assert [person.waiting_for for person in report.effect.added] == [None, None, "any", "any"]
        lines = {line.tier: line for line in report.tiers}
        assert (lines["premium"].held_before, lines["premium"].held_after) == (0, 1)
        assert (lines["standard"].seats, lines["standard"].held_after) == (1, 1)
        assert (lines[None].held_before, lines[None].held_after, lines[None].waiting_after) == (
            1,
            3,
            2,
        )  # the owner has none

    def test_are_placed_by_the_rules_of_their_groups(self, customer: Customer) -> None:
        map_group(customer, "Design", "standard")

        report = imported(customer, "email,groups", "a@nordlys.test,Design; Sales", "b@nordlys.test,Sales")

        assert report.effect.groups_created == ("Design", "Sales")
        assert [(person.tier, person.reason) for person in report.effect.added] == [
            ("standard", "mapping"),
            ("premium", "highest_available"),
        ]
        assert group_names(customer, "a@nordlys.test") == ["Design", "Sales"]

    def test_b3_t16_end_as_people_do_whom_a_directory_pushes_one_by_one(
        self, make_customer: Callable[..., Customer]
    ) -> None:
        names = [f"p{n}@nordlys.test" for n in range(9)]
        pushed, taken_in = make_customer("pushed", premium=3), make_customer("taken", premium=3)
        for name in names:
            with pushed.unit() as unit:
                provision_member(unit, pushed.connection_id, PersonDraft(name), Source.SCIM)

        imported(taken_in, "userName", *names, directory=True)

        def state(customer: Customer) -> list[object]:
            with customer.unit() as unit:
                rows = unit.session.execute(
                    select(
                        Member.user_name,
                        Member.source,
                        Member.position,
                        Member.tier,
                        Member.granted_by,
                        Member.waiting_for,
                        Member.role,
                        Decision.reason,
                        Decision.occasion,
                    )
                    .outerjoin(Decision, (Decision.org_id == Member.org_id) & (Decision.id == Member.decision_id))
                    .where(Member.org_id == unit.org_id, Member.source == "scim")
                    .order_by(Member.position)
                )
                return [tuple(row) for row in rows]

        assert state(taken_in) == state(pushed)

    def test_who_is_not_active_comes_without_a_seat(self, customer: Customer) -> None:
        report = imported(customer, "email,active", "a@nordlys.test,no")

        assert [(person.tier, person.reason) for person in report.effect.added] == [(None, None)]
        assert not find(customer, "a@nordlys.test").active

    def test_are_placed_by_hand_where_the_file_names_a_tier(self, customer: Customer) -> None:
        imported(customer, "email,tier", "a@nordlys.test,Standard", "b@nordlys.test,unassigned")

        first, second = find(customer, "a@nordlys.test"), find(customer, "b@nordlys.test")
        assert (first.tier, first.pinned) == ("standard", True)
        assert (second.tier, second.pinned) == (None, True)

    def test_are_adopted_by_a_later_push_inside_a_verified_domain(self, customer: Customer) -> None:
        with customer.unit() as unit:
            unit.session.add(
                Domain(org_id=unit.org_id, name="nordlys.test", challenge="x", created_at=unit.at, verified_at=unit.at)
            )
        imported(customer, "email", "a@nordlys.test")
        before = find(customer, "a@nordlys.test")

        after = customer.push("a@nordlys.test", external_id="00u1")

        assert (after.id, after.tier, after.external_id) == (before.id, before.tier, "00u1")
        assert (after.source, after.connection_id) == ("scim", customer.connection_id)

    def test_of_a_directory_are_updated_by_its_later_push(self, customer: Customer) -> None:
        imported(customer, "userName", "a@nordlys.test", directory=True)
        before = find(customer, "a@nordlys.test")

        with customer.unit(customer.directory) as unit:
            member = unit.session.get_one(Member, (unit.org_id, before.id))
            update_member(unit, member, PersonDraft("a@nordlys.test", "00u1", document={"title": "x"}))

        after = find(customer, "a@nordlys.test")
        assert (after.id, after.tier, after.external_id) == (before.id, before.tier, "00u1")

    def test_of_a_directory_take_the_place_of_people_by_hand_inside_a_verified_domain(self, customer: Customer) -> None:
        with customer.unit() as unit:
            unit.session.add(
                Domain(org_id=unit.org_id, name="nordlys.test", challenge="x", created_at=unit.at, verified_at=unit.at)
            )
        imported(customer, "email", "a@nordlys.test")
        before = find(customer, "a@nordlys.test")

        report = imported(customer, "email,title,groups", "a@nordlys.test,Lead,Design", directory=True)

        after = find(customer, "a@nordlys.test")
        assert [person.adopted for person in report.effect.changed] == [True]
        assert (after.id, after.connection_id, after.tier) == (before.id, customer.connection_id, before.tier)
        assert group_names(customer, "a@nordlys.test") == ["Design"]


class TestPeopleWhoAreHere:
    def test_the_same_file_once_more_changes_nothing(self, customer: Customer) -> None:
        lines = ("email,title,groups,tier", "a@nordlys.test,Engineer,Design;Sales,standard", "b@nordlys.test,,Sales,")
        imported(customer, *lines)
        before = everything(customer)

        report = imported(customer, *lines)

        assert (len(report.effect.added), len(report.effect.changed), report.effect.unchanged) == (0, 0, 2)
        assert everything(customer) == before

    def test_are_changed_only_in_what_the_file_says(self, customer: Customer) -> None:
        imported(customer, "email,title,department", "a@nordlys.test,Engineer,R&D")

        report = imported(customer, "EMAIL,title,department", "A@nordlys.test,Lead,")

        member = find(customer, "a@nordlys.test")
        assert [person.attributes for person in report.effect.changed] == [("title",)]
        assert member.document["title"] == "Lead"
        assert "R&D" in str(member.document)

    def test_stay_when_the_file_does_not_name_them(self, customer: Customer) -> None:
        imported(customer, "email", "a@nordlys.test", "b@nordlys.test")

        imported(customer, "email", "a@nordlys.test")

        assert find(customer, "b@nordlys.test").active

    def test_move_between_the_groups_that_imports_made(self, customer: Customer) -> None:
        map_group(customer, "Design", "standard")
        imported(customer, "email,groups", "a@nordlys.test,Design")

        report = imported(customer, "email,groups", "a@nordlys.test,Sales")

        changed = report.effect.changed[0]
        assert (changed.joined, changed.left) == (("Sales",), ("Design",))
        assert (changed.tier_before, changed.tier) == ("standard", None)
        assert group_names(customer, "a@nordlys.test") == ["Sales"]

    def test_lose_the_seat_when_they_are_turned_off_and_it_goes_to_who_waits(
        self, make_customer: Callable[..., Customer]
    ) -> None:
        customer = make_customer(premium=1, standard=0)
        imported(customer, "email", "a@nordlys.test", "b@nordlys.test")

        imported(customer, "email,active", "a@nordlys.test,false")

        assert find(customer, "a@nordlys.test").tier is None
        assert find(customer, "b@nordlys.test").tier == "premium"


class TestProblems:
    def test_one_bad_row_keeps_everybody_out(self, customer: Customer) -> None:
        before = everything(customer)

        report = imported(customer, "email,groups", "a@nordlys.test,New", "not an address,", "b@nordlys.test,")

        assert not report.applied
        assert [(problem.row, problem.column) for problem in report.problems] == [(3, "email")]
        assert everything(customer) == before

    def test_the_others_come_in_when_bad_rows_are_skipped(self, customer: Customer) -> None:
        customer.push("taken@nordlys.test")

        report = imported(
            customer, "email", "a@nordlys.test", "nobody", "taken@nordlys.test", "b@nordlys.test", skip_bad_rows=True
        )

        assert report.applied
        assert [person.row for person in report.effect.added] == [2, 5]
        assert report.bad_rows == {3, 4}

    def test_who_is_in_a_directory_is_a_conflict_for_an_import_by_hand(self, customer: Customer) -> None:
        customer.push("taken@nordlys.test")

        report = imported(customer, "email", "Taken@nordlys.test")

        assert [str(problem) for problem in report.problems] == [
            "row 2, column email: 'Taken@nordlys.test' is already taken by somebody whom the directory Okta manages"
        ]

    def test_an_external_id_of_somebody_else_is_a_conflict_as_for_a_push(self, customer: Customer) -> None:
        taken = customer.push("taken@nordlys.test", external_id="E-1")

        report = imported(customer, "email,externalId", "a@nordlys.test,E-1", directory=True)

        assert [str(problem) for problem in report.problems] == [
            f"row 2, column externalId: 'E-1' is already taken by {taken.id}"
        ]

    def test_somebody_by_hand_outside_the_verified_domains_is_a_conflict_as_for_a_push(
        self, customer: Customer
    ) -> None:
        with customer.unit() as unit:
            add_member(unit, PersonDraft("a@nordlys.test"), tier=None)

        report = imported(customer, "email", "a@nordlys.test", directory=True)

        assert "verify the domain" in report.problems[0].message
        assert find(customer, "a@nordlys.test").source == "manual"

    def test_an_owner_is_not_turned_off(self, customer: Customer) -> None:
        report = imported(customer, "email,active", "owner@nordlys.test,no")

        assert [problem.column for problem in report.problems] == ["active"]

    def test_a_tier_without_a_free_seat_or_of_no_such_name_is_a_problem(
        self, make_customer: Callable[..., Customer]
    ) -> None:
        customer = make_customer(premium=2, standard=1)
        before = everything(customer)

        report = imported(
            customer, "email,seat", "a@nordlys.test,standard", "b@nordlys.test,standard", "c@nordlys.test,gold"
        )

        assert [(problem.row, problem.column) for problem in report.problems] == [(3, "seat"), (4, "seat")]
        assert everything(customer) == before

    def test_who_finds_no_seat_is_a_problem_where_the_rules_refuse_them(
        self, make_customer: Callable[..., Customer]
    ) -> None:
        customer = make_customer(premium=1, standard=0)
        map_group(customer, "Design", "premium", on_exhausted="reject")

        report = imported(customer, "email,groups", "a@nordlys.test,Design", "b@nordlys.test,Design")

        assert [problem.row for problem in report.problems] == [3]

    def test_only_who_may_manage_people_imports(self, customer: Customer) -> None:
        member = Actor(ActorKind.MEMBER, MemberId(new_id()), Role.MEMBER)

        with pytest.raises(ForbiddenError), customer.unit(member) as unit:
            import_people(unit, people("email", "a@nordlys.test"))


class TestPreview:
    LINES = (
        "email,title,groups,active,tier",
        "new@nordlys.test,Engineer,Design;Fresh,,",
        "here@nordlys.test,Lead,Design,,",
        "same@nordlys.test,,,,",
        "off@nordlys.test,,,no,",
        "hand@nordlys.test,,,,standard",
        "more@nordlys.test,,Sales,,",
    )

    @pytest.fixture
    def company(self, customer: Customer) -> Customer:
        map_group(customer, "Design", "standard")
        imported(customer, "email", "here@nordlys.test", "same@nordlys.test", "off@nordlys.test", "hand@nordlys.test")
        return customer

    def test_writes_nothing(self, company: Customer) -> None:
        before = everything(company)

        report = previewed(company, *self.LINES)

        assert report.changes_something
        assert not report.applied
        assert everything(company) == before

    def test_shows_what_the_import_then_does(self, company: Customer) -> None:
        shown = previewed(company, *self.LINES)

        done = imported(company, *self.LINES, expect=shown.fingerprint)

        assert done.applied
        assert (done.effect, done.tiers, done.fingerprint) == (shown.effect, shown.tiers, shown.fingerprint)
        with company.unit() as unit:
            held = {line.tier: line.held_after for line in shown.tiers if line.tier}
            assert {pool.tier: pool.used for pool in read_pools(unit)} == held
            assert verify(unit) is None

    def test_is_stale_when_the_world_moved(self, company: Customer) -> None:
        shown = previewed(company, *self.LINES)
        company.push("other@nordlys.test")
        before = everything(company)

        with pytest.raises(PreviewStaleError):
            imported(company, *self.LINES, expect=shown.fingerprint)

        assert everything(company) == before

    def test_is_of_one_file_only(self, company: Customer) -> None:
        shown = previewed(company, *self.LINES)

        with pytest.raises(PreviewStaleError):
            imported(company, *self.LINES[:-1], expect=shown.fingerprint)


def test_the_audit_says_once_that_a_file_was_imported_and_of_each_person_what_became_of_them(
    customer: Customer,
) -> None:
    file = people("email", "a@nordlys.test", "b@nordlys.test")

    with customer.unit() as unit:
        import_people(unit, file)

    with customer.unit() as unit:
        entries = unit.session.scalars(
            select(AuditEntry).where(AuditEntry.action.in_(["import.applied", "member.created"]))
        ).all()
        summary = next(entry for entry in entries if entry.action == "import.applied")
        assert (summary.actor, summary.subject_id) == (str(OPERATOR), file.sha256)
        assert (summary.body["added"], summary.body["changed"], summary.body["rows"]) == (2, 0, 2)
        assert sum(entry.action == "member.created" for entry in entries) == 3  # the owner and two people
        assert verify(unit) is None


def test_organizations_do_not_see_each_other_in_a_file(make_customer: Callable[..., Customer]) -> None:
    ours, theirs = make_customer("nordlys"), make_customer("other")
    theirs.push("a@nordlys.test", external_id="E-1")

    report = imported(ours, "email,externalId", "a@nordlys.test,E-1")

    assert [person.user_name for person in report.effect.added] == ["a@nordlys.test"]
    with ours.unit() as unit:
        assert find(ours, "a@nordlys.test").connection_id == manual_connection(unit).id


@pytest.mark.slow
def test_b3_ten_thousand_people_take_well_under_a_minute(runtime: Runtime, customer: Customer) -> None:
    lines = ["email,first name,last name,department,groups"]
    lines += [f"p{n}@nordlys.test,Given{n},Family{n},Dept {n % 40},Group {n % 50};Group {n % 7}" for n in range(10_000)]

    report = imported(customer, *lines)

    assert len(report.effect.added) == 10_000
