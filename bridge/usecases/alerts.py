"""Alerts: what an owner should know or decide, kept until it is settled."""

from collections.abc import Collection

from sqlalchemy import ColumnElement, Uuid, any_, exists, func, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from bridge.domain.identifiers import MemberId, new_id
from bridge.store.models import Alert, Delivery, Member
from bridge.store.queue import wake_workers
from bridge.store.unit import Unit

SENTENCES = {
    "seats_exhausted": "Every seat of the tier is taken: somebody waits in line",
    "owner_protected": "A directory tried to change an owner: nothing was changed",
    "break_glass_made": "The operator made an emergency sign-in link for an owner",
    "break_glass_used": "An owner came in by an emergency sign-in link",
    "unreadable_push": "A directory sent members or active in an unknown shape: the request was refused",
    "members_unknown": "A directory replaced a group's members by people nobody here knows: the group is empty",
    "adoption_refused": "A directory pushed somebody who is here already, and nothing proves that they are the same: "
    "verify the domain of their address, or confirm them if you know them (`seatbridge people confirm`)",
    "unproven_named": "A directory put somebody into a group whom only a sign-in made, and nothing proves their name: "
    "it gave them nothing. Confirm them if you know them (`seatbridge people confirm`), or turn them off",
    "adopted_turned_off": "A directory pushed a person whom somebody here turned off: they stay turned off",
    "provisional_ended": "People signed in whom the directory has not named in time: their access has ended",
    "directory_stopped": "People who signed in wait for a directory that pushes no more: they stay as they are",
    "webhook_disabled": "The application is told of events no more: its endpoint has not taken them for days",
    "webhook_not_taken": "The application has not taken an event for hours: it may not know who lost access",
    "app_logout_not_taken": "An application has not taken for hours that a session ended: it is told again by itself",
    "brake_held": "A directory would let go or move many people at once: an owner decides about it",
    "budget_used_up": "The budget for seats is used up: people wait in line",
    "budget_missing": "The rules buy seats when a tier is full, but there is no budget for it: people wait in line",
    "budget_purchase_refused": "A purchase within a budget for seats was refused: people wait in line",
    "budget_payment_declined": "A payment within a budget for seats was declined: people wait in line",
    "budgets_ended": "The budgets for seats ended with the plan that they were set for: set them anew",
    "group_connection_missing": "A group came that rules expect without saying of which connection",
    "app_token_reused": "A code or refresh token of an application was used twice: that sign-in was ended",
    "tier_threshold": "A tier fills up",
    "plan_ended": "The plan has ended without a renewal: nobody holds a seat, all data stays",
    "over_tier": "More people have a paid role than the contracted tier is meant for: a matter for the next review",
    "order_declined": "The billing core declined an order of seats: nothing was changed",
    "order_charged_otherwise": "The billing core charged another total for an order than was confirmed",
    "order_placed_otherwise": "The billing core has other seats after an order than were confirmed",
    "core_invoice_changed": "The billing core says another sum of an invoice than it said before",
    "core_answer_invalid": "The billing core answers what its contract does not allow: tell whoever runs it",
    "order_given_up": "An order of seats cannot be brought to the billing core: the operator retries or cancels it",
    "seats_over_core": "People hold more seats of a tier than the billing core has: buy them, or free some",
    "boundary_failed": "The plan's last period cannot be closed: nothing changes until the operator has mended it",
    "metadata_not_refreshed": "An identity provider's metadata cannot be read again: what was read last still holds",
    "idp_certificate_ends": "The last signing certificate of an identity provider ends soon",
    "service_key_ends": "Our key towards an identity provider ends soon",
    "renewal_payment_declined": "The payment of a renewal was declined: its invoice is still to be paid",
}

#: Whose own sentence may name sums and invoices: others than owners read that of the code (rule Z1).
ABOUT_MONEY = frozenset(
    {
        "budget_purchase_refused",
        "core_invoice_changed",
        "order_charged_otherwise",
        "order_declined",
        "renewal_payment_declined",
    }
)


def raise_alert(
    unit: Unit,
    code: str,
    *,
    tier: str | None = None,
    member_id: MemberId | None = None,
    number: int | None = None,
    detail: str | None = None,
    told_apart: bool = False,
) -> Alert:
    """Write an alert and the mail that tells the owners of it.

    Repeating the same fact while it is open (same code, tier and member) changes nothing. Of a full tier the owners are
    told once, with everybody who waits, until nobody waits for it any more.

    Args:
        unit: The unit.
        code: One of :data:`SENTENCES`.
        tier: The tier it is about.
        member_id: Whom it is about.
        number: How many it speaks of, where it counts something.
        detail: A sentence of its own, without personal data and without a full stop; that of the code by default.
        told_apart: The sentence says what it is about: another one of the same code is another alert.
    """
    unit.lock()
    told = code == "seats_exhausted" and _is_open(unit, code, tier)
    same = unit.session.scalars(
        select(Alert).where(
            Alert.org_id == unit.org_id,
            Alert.code == code,
            Alert.tier.is_not_distinct_from(tier),
            Alert.member_id.is_not_distinct_from(member_id),
            Alert.resolved_at.is_(None),
            *([Alert.detail == detail] if told_apart else []),
        )
    ).first()
    if same is not None:
        return same
    alert = Alert(
        org_id=unit.org_id,
        id=new_id(),
        at=unit.at,
        code=code,
        tier=tier,
        member_id=member_id,
        number=number,
        detail=detail or SENTENCES[code],
        resolved_at=None,
    )
    unit.session.add(alert)
    if not told:
        queue_delivery(unit, "alert_mail", key=f"alert:{alert.id}", subject_id=str(alert.id))
    return alert


def _is_open(unit: Unit, code: str, tier: str | None) -> bool:
    """Tell whether an alert of this kind is open, about whomever."""
    one = select(Alert.id).where(
        Alert.org_id == unit.org_id,
        Alert.code == code,
        Alert.tier.is_not_distinct_from(tier),
        Alert.resolved_at.is_(None),
    )
    return unit.session.scalars(one.limit(1)).first() is not None


def queue_delivery(unit: Unit, kind: str, *, key: str, subject_id: str) -> None:
    """Write a delivery: the row that a worker comes to, whatever happens to the queue."""
    unit.session.add(
        Delivery(
            org_id=unit.org_id,
            id=new_id(),
            kind=kind,
            key=key,
            subject_id=subject_id,
            request_id=unit.request_id,
            state="pending",
            attempts=0,
            created_at=unit.at,
            next_attempt_at=unit.at,
            done_at=None,
            last_error=None,
        )
    )
    wake_workers(unit.session)


def resolve_seat_alerts(unit: Unit, member_id: MemberId | None = None) -> None:
    """Settle the alerts about people who no longer wait for what the alert says.

    Args:
        unit: The unit.
        member_id: Whom to look at; everybody by default.
    """
    unit.session.flush()
    waits = exists().where(
        Member.org_id == unit.org_id,
        Member.id == Alert.member_id,
        Member.waiting_for.is_not_distinct_from(Alert.tier),
    )
    settled = (
        update(Alert)
        .where(Alert.org_id == unit.org_id, Alert.code == "seats_exhausted", Alert.resolved_at.is_(None), ~waits)
        .values(resolved_at=unit.at)
        .execution_options(synchronize_session=False)
    )
    if member_id is not None:
        settled = settled.where(Alert.member_id == member_id)
    unit.session.execute(settled)


def resolve_alerts(
    unit: Unit,
    code: str,
    *,
    but_for: Collection[str] = (),
    details: Collection[str] | None = None,
    member_ids: Collection[MemberId] | None = None,
) -> None:
    """Settle every open alert of a code: except of these tiers, and only with these sentences, about these people."""
    unit.session.flush()
    kept: list[ColumnElement[bool]] = [Alert.tier.not_in(but_for)] if but_for else []
    if member_ids is not None:
        kept.append(Alert.member_id == any_(literal(list(member_ids), ARRAY(Uuid))))
    if details is not None:
        kept.append(Alert.detail.in_(details))
    unit.session.execute(
        update(Alert)
        .where(Alert.org_id == unit.org_id, Alert.code == code, Alert.resolved_at.is_(None), *kept)
        .values(resolved_at=unit.at)
        .execution_options(synchronize_session=False)
    )


def open_alerts(unit: Unit) -> list[Alert]:
    """Return the alerts nobody has settled, newest first."""
    return list(
        unit.session.scalars(
            select(Alert)
            .where(Alert.org_id == unit.org_id, Alert.resolved_at.is_(None))
            .order_by(Alert.at.desc(), Alert.number.desc().nulls_last(), Alert.id)
        )
    )


def count_open_alerts(unit: Unit) -> int:
    """Count the alerts nobody has settled."""
    return (
        unit.session.scalar(
            select(func.count()).select_from(Alert).where(Alert.org_id == unit.org_id, Alert.resolved_at.is_(None))
        )
        or 0
    )
