"""Changes that cost are asked for by admins and decided by owners, on a preview computed afresh; drafts are shared."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select

from bridge.domain.actors import Actor, ActorKind
from bridge.domain.roles import Role
from bridge.errors import (
    AcknowledgementMissingError,
    ApprovalDecidedError,
    ForbiddenError,
    InvalidChangeError,
    InvalidInputError,
    LowerFeeError,
    NotFoundError,
    PreviewStaleError,
    VersionMismatchError,
)
from bridge.jobs.messages import compose
from bridge.ports import FeeDraft
from bridge.store.journal import verify
from bridge.store.models import AuditEntry, Delivery, Invoice, Member
from bridge.usecases.agreed_changes import read_agreed_change
from bridge.usecases.amend_contract import AmendmentConfirmation, AmendmentDraft
from bridge.usecases.approvals import (
    ApprovalState,
    ApprovalView,
    approve,
    decline,
    invoices_of,
    list_approvals,
    open_approval,
    withdraw,
)
from bridge.usecases.ask_owners import submit_amendment, submit_mappings, submit_plan, submit_seats
from bridge.usecases.buy_seats import SeatsConfirmation
from bridge.usecases.change_plan import PlanConfirmation, PlanDraft, PlanPreview
from bridge.usecases.deliver import claim_delivery
from bridge.usecases.edit_mappings import MappingsApplied, apply_mappings
from bridge.usecases.mapping_drafts import discard_draft, list_drafts, preview_draft, read_draft, save_draft
from bridge.usecases.mapping_effect import MappingsPreview
from bridge.usecases.preview_mappings import preview_mappings
from bridge.usecases.sync_groups import GroupDraft, create_group
from tests.factories import Customer


@pytest.fixture
def admin(customer: Customer) -> Actor:
    """A member who may edit mappings and may not buy."""
    member = customer.push("ada@nordlys.test", displayName="Ada Admin")
    with customer.unit() as unit:
        unit.session.get_one(Member, (unit.org_id, member.id)).role = str(Role.ADMIN)
    return Actor(ActorKind.MEMBER, member.id, Role.ADMIN)


def engineers(customer: Customer, number: int) -> None:
    people = [customer.push(f"e{index}@nordlys.test") for index in range(number)]
    with customer.unit(customer.directory) as unit:
        create_group(unit, customer.connection_id, GroupDraft("Engineering"), [str(one.id) for one in people])


def to(tier: str) -> dict[str, Any]:
    return {"schema": 2, "default": "unassigned", "rules": [{"group": "Engineering", "tier": tier}]}


def sent(customer: Customer, admin: Actor, document: dict[str, Any]) -> ApprovalView:
    with customer.unit(admin) as unit:
        shown = preview_mappings(unit, document)
        assert shown.quote is None  # rule Z1: no price for admins
        return submit_mappings(unit, shown.id, note="The new team\nstarts in May")


def invoices(customer: Customer) -> int:
    with customer.unit() as unit:
        return unit.session.scalar(select(func.count()).select_from(Invoice)) or 0


def test_z1_an_admins_rules_that_cost_are_approved_by_an_owner(customer: Customer, admin: Actor) -> None:
    engineers(customer, 4)
    asked = sent(customer, admin, to("premium"))
    before = invoices(customer)

    with customer.unit(customer.owner) as unit:
        opened = open_approval(unit, asked.id)
        assert isinstance(opened.preview, MappingsPreview)
        assert opened.preview.quote is not None
    with customer.unit(customer.owner) as unit:
        done = approve(unit, asked.id, opened.preview.id, acknowledged=True)

    assert isinstance(done, MappingsApplied)
    assert done.invoice is not None
    assert invoices(customer) == before + 1
    with customer.unit(admin) as unit:
        [view] = list_approvals(unit)
        assert (view.state, view.submitted_by, view.note) == (
            ApprovalState.APPROVED,
            "Ada Admin",
            "The new team starts in May",
        )
        assert view.summary == "other group mappings, with 3 Premium to buy"
        actions = unit.session.scalars(select(AuditEntry.action).where(AuditEntry.subject_kind == "approval")).all()
        assert sorted(actions) == ["approval.approved", "approval.submitted"]
        assert verify(unit) is None


def test_approving_twice_does_it_once_and_answers_the_same(customer: Customer, admin: Actor) -> None:
    """Rule Q5."""
    with customer.unit(admin) as unit:
        asked = submit_seats(unit, {"premium": 2})
    with customer.unit(customer.owner) as unit:
        shown = open_approval(unit, asked.id).preview
    before = invoices(customer)

    answers = []
    for _ in range(2):
        with customer.unit(customer.owner) as unit:
            answers.append(approve(unit, asked.id, shown.id, acknowledged=True))

    assert answers[0] == answers[1]
    assert isinstance(answers[0], SeatsConfirmation)
    assert invoices(customer) == before + 1


def test_q3_what_changed_since_it_was_opened_is_never_applied_unseen(customer: Customer, admin: Actor) -> None:
    engineers(customer, 4)
    asked = sent(customer, admin, to("premium"))
    with customer.unit(customer.owner) as unit:
        shown = open_approval(unit, asked.id).preview
    customer.push("new@nordlys.test")

    with customer.unit(customer.owner) as unit, pytest.raises(PreviewStaleError):
        approve(unit, asked.id, shown.id, acknowledged=True)
    with customer.unit(customer.owner) as unit:
        again = open_approval(unit, asked.id).preview
    assert again.id != shown.id
    with customer.unit(customer.owner) as unit, pytest.raises(PreviewStaleError):
        approve(unit, asked.id, shown.id, acknowledged=True)
    with customer.unit(customer.owner) as unit:
        done = approve(unit, asked.id, again.id, acknowledged=True)
    assert isinstance(done, MappingsApplied)


def test_q1_an_approval_needs_the_tick(customer: Customer, admin: Actor) -> None:
    with customer.unit(admin) as unit:
        asked = submit_seats(unit, {"premium": 1})
    with customer.unit(customer.owner) as unit:
        shown = open_approval(unit, asked.id).preview

    with customer.unit(customer.owner) as unit, pytest.raises(AcknowledgementMissingError):
        approve(unit, asked.id, shown.id, acknowledged=False)


def test_z1_an_admin_neither_opens_nor_decides(customer: Customer, admin: Actor) -> None:
    with customer.unit(admin) as unit:
        asked = submit_seats(unit, {"premium": 1})
    attempts: list[Callable[[Any], object]] = [
        lambda unit: open_approval(unit, asked.id),
        lambda unit: approve(unit, asked.id, uuid.uuid4(), acknowledged=True),
        lambda unit: decline(unit, asked.id, reason="no"),
    ]

    for attempt in attempts:
        with customer.unit(admin) as unit, pytest.raises(ForbiddenError):
            attempt(unit)


def test_z4_a_member_asks_for_nothing(customer: Customer) -> None:
    member = Actor(ActorKind.MEMBER, customer.push("m@nordlys.test").id, Role.MEMBER)

    with customer.unit(member) as unit:
        for attempt in (lambda: submit_seats(unit, {"premium": 1}), lambda: list_approvals(unit)):
            with pytest.raises(ForbiddenError):
                attempt()


def test_rule_b1_the_operator_sends_a_plan_with_its_prices_and_an_owner_agrees(
    customer: Customer, admin: Actor
) -> None:
    """Who pays does not write the prices: neither an admin nor an owner has a page for it."""
    plan = PlanDraft("team", "year", {"premium": 150_000, "standard": 25_000}, {"premium": 3})
    with customer.unit(admin) as unit, pytest.raises(ForbiddenError):
        submit_plan(unit, plan)
    with customer.unit() as unit:
        asked = submit_plan(unit, plan, note="As agreed on the phone")

    with customer.unit(customer.owner) as unit:
        opened = open_approval(unit, asked.id)
    with customer.unit(customer.owner) as unit:
        done = approve(unit, asked.id, opened.preview.id, acknowledged=True)
        agreed = read_agreed_change(unit)

    assert asked.summary == "another plan from the next period on: team, by the year, 3 Premium"
    assert isinstance(opened.preview, PlanPreview)
    assert opened.preview.quote.after is not None
    # 3 × 1,500.00 + 5 × 250.00
    assert opened.preview.quote.after.total == 575_000
    assert isinstance(done, PlanConfirmation)
    assert agreed is not None
    assert (agreed.effective_at, agreed.agreed_by) == (done.effective_at, "Olga Owner")
    assert invoices_of(done) == ()


def test_rule_z2_an_admin_asks_for_an_amendment_and_hears_no_price(make_customer: Callable[..., Customer]) -> None:
    customer = make_customer(fee=FeeDraft(annual_fee=1_200_000, tier="growth", paid_users=50))
    ada = Actor(ActorKind.MEMBER, customer.push("ada@nordlys.test").id, Role.ADMIN)

    with customer.unit(ada) as unit:
        asked = submit_amendment(unit, AmendmentDraft(annual_fee=1_800_000, paid_users=75, ahead=True))
        with pytest.raises(ForbiddenError):
            open_approval(unit, asked.id)
    with customer.unit(customer.owner) as unit:
        shown = open_approval(unit, asked.id).preview
    with customer.unit(customer.owner) as unit:
        done = approve(unit, asked.id, shown.id, acknowledged=True)

    assert asked.summary == "a changed contract: a new annual fee, meant for 75 paid users, from the next term on"
    assert isinstance(done, AmendmentConfirmation)
    assert (done.tier, done.paid_users, done.invoice) == ("growth", 75, None)


def test_u7_a_lower_fee_that_an_admin_asks_for_can_only_be_declined(make_customer: Callable[..., Customer]) -> None:
    customer = make_customer(fee=FeeDraft(annual_fee=1_200_000, tier="growth", paid_users=50))
    ada = Actor(ActorKind.MEMBER, customer.push("ada@nordlys.test").id, Role.ADMIN)
    with customer.unit(ada) as unit:
        # Taken, whatever the fee is: a refusal would tell it to who may not see it.
        asked = submit_amendment(unit, AmendmentDraft(annual_fee=1, ahead=True))

    with pytest.raises(LowerFeeError, match="account manager"), customer.unit(customer.owner) as unit:
        open_approval(unit, asked.id)
    with customer.unit(customer.owner) as unit:
        declined = decline(unit, asked.id, reason="Ask our account manager")

    assert declined.state == ApprovalState.DECLINED


def test_a_declined_request_says_why_and_is_decided_once(customer: Customer, admin: Actor) -> None:
    with customer.unit(admin) as unit:
        asked = submit_seats(unit, {"premium": 1})

    with customer.unit(customer.owner) as unit:
        with pytest.raises(InvalidInputError, match="say why"):
            decline(unit, asked.id, reason="  ")
        view = decline(unit, asked.id, reason="Not before May")

    assert (view.state, view.reason) == (ApprovalState.DECLINED, "Not before May")
    with customer.unit(customer.owner) as unit:
        with pytest.raises(ApprovalDecidedError):
            open_approval(unit, asked.id)
        with pytest.raises(ApprovalDecidedError):
            decline(unit, asked.id, reason="again")


def test_who_asked_may_take_it_back_and_another_admin_may_not(customer: Customer, admin: Actor) -> None:
    other = Actor(ActorKind.MEMBER, customer.push("bo@nordlys.test").id, Role.ADMIN)
    with customer.unit(admin) as unit:
        asked = submit_seats(unit, {"premium": 1})

    with customer.unit(other) as unit, pytest.raises(ForbiddenError):
        withdraw(unit, asked.id)
    with customer.unit(admin) as unit:
        assert withdraw(unit, asked.id).state is ApprovalState.WITHDRAWN


def test_what_is_impossible_or_free_is_not_sent(customer: Customer, admin: Actor) -> None:
    engineers(customer, 1)
    with customer.unit(admin) as unit:
        free = preview_mappings(unit, to("standard"))
        with pytest.raises(InvalidInputError, match="apply it"):
            submit_mappings(unit, free.id)
        with pytest.raises(InvalidChangeError):
            submit_seats(unit, {"gold": 1})
        with pytest.raises(NotFoundError):
            submit_mappings(unit, uuid.uuid4())


def test_the_owners_are_mailed_while_the_request_waits(customer: Customer, admin: Actor) -> None:
    with customer.unit(admin) as unit:
        asked = submit_seats(unit, {"premium": 1}, note="For Bo")
    with customer.unit() as unit:
        delivery = unit.session.scalars(select(Delivery).where(Delivery.kind == "approval_mail")).one()
        claim = claim_delivery(unit, delivery.id)
        assert claim is not None

        mail = compose(unit, claim)
        decline(unit, asked.id, reason="no")
        later = compose(unit, claim)

    assert mail is not None
    assert mail.subject.endswith("a change waits for your approval")
    assert mail.text.startswith("Ada Admin asks for seats: +1 Premium.\n“For Bo”\n")
    assert later is None


def test_a_draft_is_shared_compared_previewed_and_discarded(customer: Customer, admin: Actor) -> None:
    engineers(customer, 1)
    with customer.unit(admin) as unit:
        first = save_draft(unit, "May teams", to("standard"), expected=0)
    with customer.unit(customer.owner) as unit:
        second = save_draft(unit, " MAY TEAMS ", to("premium"), expected=first.version)
        assert (second.id, second.version, second.modified_by != second.created_by) == (first.id, 2, True)
    with customer.unit(admin) as unit:
        with pytest.raises(VersionMismatchError):
            save_draft(unit, "May teams", to("standard"), expected=first.version)
        assert read_draft(unit, "may teams").changes[0] == "Engineering: Premium"
        shown = preview_draft(unit, "May teams")
        assert [move.to_tier for move in shown.moves.moves] == []
        applied = apply_mappings(unit, shown.id, acknowledged=True)
        assert applied.version == 1
    with customer.unit(admin) as unit:
        [draft] = list_drafts(unit)
        assert (draft.overtaken, draft.changes) == (True, ())
        discard_draft(unit, "May teams")
        assert list_drafts(unit) == []
        actions = unit.session.scalars(
            select(AuditEntry.action).where(AuditEntry.subject_kind == "mapping_draft").order_by(AuditEntry.seq)
        ).all()
        assert list(actions) == ["mapping.draft_saved", "mapping.draft_saved", "mapping.draft_discarded"]


def test_a_draft_with_mistakes_or_without_a_name_is_refused(customer: Customer, admin: Actor) -> None:
    with customer.unit(admin) as unit:
        with pytest.raises(InvalidInputError, match="unknown tier"):
            save_draft(unit, "x", {"schema": 2, "default": "gold"})
        with pytest.raises(InvalidInputError, match="printable"):
            save_draft(unit, " ", to("standard"))
        with pytest.raises(NotFoundError):
            preview_draft(unit, "x")
