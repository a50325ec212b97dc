"""A plan begins: the first invoice, the tiers, and who gets which of the seats (rules P1, R5, B1 and B2)."""

from bridge.ports import ContractDraft, Started
from bridge.store.journal import record
from bridge.store.unit import Unit
from bridge.usecases.alerts import queue_delivery, raise_alert, resolve_alerts
from bridge.usecases.budgets import end_budgets
from bridge.usecases.plan_seats import let_go, place_everybody
from bridge.usecases.tier_review import settle_tier_review, users_body


def begin_plan(
    unit: Unit, draft: ContractDraft, *, reason: str, insist: bool = True, change: str | None = None
) -> Started:
    """Begin a plan in the place of one that has ended, or of an evaluation.

    What was invoiced, decided and written down before stays, and so does a credit. People keep the seats that the new
    plan has too; everybody else is given what the rules say, as far as there are seats. Budgets end: they were set for
    the prices of the plan that is over, and nothing is bought that was not shown (rules Q1 and Q2).

    Args:
        unit: The unit.
        draft: The plan; its anchor is when it begins.
        reason: Why, as a code for the journal.
        insist: Whether a declined payment refuses the whole (rule Q4); at a boundary it holds nothing up.
        change: Id of the agreement that it follows from, if it does.

    Raises:
        InvalidInputError: Terms that make no contract.
        PaymentFailedError: The payment was declined; the unit must roll back.
    """
    unit.lock()
    budgets = end_budgets(unit)
    moved = _move_to(unit, draft.time_zone)
    let_go(unit, draft.pools, reason)
    started = unit.billing.start(draft, insist=insist)
    invoice = started.invoice
    record(
        unit,
        "plan.began",
        subject_kind="contract",
        subject_id=unit.org_id,
        reason=reason,
        body={
            "kind": draft.kind,
            "boundary": draft.anchor.isoformat(),
            "seats": {tier.key: tier.seats for tier in draft.pools},
            "invoice": invoice.id if invoice else None,
            "total": invoice.total if invoice else 0,
            **({"change": change} if change else {}),
            **({"budgets_dropped": budgets} if budgets else {}),
            **({"time_zone": moved} if moved else {}),
            **users_body(unit),
        },
    )
    if invoice is not None:
        queue_delivery(unit, "invoice_mail", key=f"invoice:{invoice.id}", subject_id=invoice.id)
    resolve_alerts(unit, "plan_ended")
    if started.payment_declined:
        raise_alert(unit, "renewal_payment_declined")
    place_everybody(unit)
    settle_tier_review(unit)
    unit.session.flush()
    return started


def _move_to(unit: Unit, time_zone: str) -> list[str] | None:
    """Have documents and pages tell days as the plan counts them (rule R3); return from which zone to which."""
    organization = unit.organization()
    if organization.time_zone == time_zone:
        return None
    moved = [organization.time_zone, time_zone]
    organization.time_zone = time_zone
    unit.session.flush()
    return moved
