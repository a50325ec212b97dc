"""A sign-in for trying a connection out: it tells what arrived and what would happen, and does none of it."""

from dataclasses import dataclass, replace

from bridge.domain.roles import Role
from bridge.errors import BridgeError, SignInRefusedError
from bridge.store.models import Decision, Member
from bridge.store.pools import ladder_of, read_pools
from bridge.store.unit import Unit
from bridge.usecases.buy_for_line import expected_purchases
from bridge.usecases.explain import explain_decisions
from bridge.usecases.recognise_subject import AssertedSubject, LinkedBy, Recognised
from bridge.usecases.sign_in import Answered, admit, note_sign_in
from mappings.preview import Move
from mappings.reasons import because
from mappings.tiers import TierLadder


@dataclass(frozen=True, slots=True)
class Outcome:
    """Who would be signed in, and with which seat.

    Attributes:
        linked_by: How the person was found; None for one who signed in before.
        seat: The tier's name, or that there is none.
        because: To stand after "because", without a full stop; None where no decision was ever made.
    """

    user_name: str
    linked_by: LinkedBy | None
    role: Role
    seat: str
    waits: bool
    because: str | None


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What arrived, and what it would have done: an outcome, or the refusal in words."""

    arrived: AssertedSubject
    outcome: Outcome | None
    refusal: str | None


def rehearse_sign_in(unit: Unit, answered: Answered) -> Rehearsal:
    """Tell what a sign-in would have done whose answer this unit has just used up.

    Nobody is provisioned, linked or moved and no seat is taken: all of it is done and undone again.
    """
    asserted = answered.asserted
    outcome, refusal = None, None
    step = unit.session.begin_nested()
    try:
        outcome = _outcome(unit, admit(unit, asserted))
    except SignInRefusedError as error:
        refusal = error.detail
    except BridgeError as error:
        refusal = str(error)
    finally:
        step.rollback()
        unit.line_grew = False
    note_sign_in(
        unit,
        connection_id=asserted.connection_id,
        outcome="rehearsed",
        reason="ok" if refusal is None else "would_be_refused",
        detail=refusal or "A test sign-in: nothing was changed.",
    )
    return Rehearsal(asserted, outcome, refusal)


def _outcome(unit: Unit, found: Recognised) -> Outcome:
    member = found.member
    ladder = ladder_of(read_pools(unit))
    outcome = Outcome(
        user_name=member.user_name,
        linked_by=found.linked_by,
        role=Role(member.role),
        seat=ladder.name_of(member.tier),
        waits=member.waiting_for is not None,
        because=_because(unit, member, ladder),
    )
    bought = _bought_for(unit, member) if unit.line_grew else None
    if bought is None:
        return outcome
    wanted = bought.waiting_for or (bought.rule.tier if bought.rule else None)
    why = because(bought.reason, ladder, tier=bought.to_tier, rule=bought.rule, wanted=wanted, before=bought.from_tier)
    return replace(outcome, seat=ladder.name_of(bought.to_tier), waits=bought.waiting_for is not None, because=why)


def _because(unit: Unit, member: Member, ladder: TierLadder) -> str | None:
    newest = unit.session.get(Decision, (unit.org_id, member.decision_id)) if member.decision_id else None
    return explain_decisions(unit, [newest], ladder)[0].because if newest is not None else None


def _bought_for(unit: Unit, member: Member) -> Move | None:
    """Return the seat that budgets would buy the person at the end of the sign-in; nothing is bought or charged."""
    effect, _ = expected_purchases(unit)
    return next((move for move in effect.moves if move.member_id == member.id), None)
