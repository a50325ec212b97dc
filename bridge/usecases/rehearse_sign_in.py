"""A sign-in for trying a connection out: it tells what arrived and what would happen, and does none of it."""

from collections.abc import Collection
from dataclasses import dataclass

from bridge.domain.roles import Role
from bridge.errors import BridgeError, SignInRefusedError
from bridge.store.models import Decision
from bridge.store.pools import ladder_of, read_pools
from bridge.store.unit import Unit
from bridge.usecases.explain import explain_decisions
from bridge.usecases.recognise_subject import AssertedSubject, LinkedBy, Recognised, within_limits
from bridge.usecases.sign_in import admit, note_sign_in, use_up


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


def rehearse_sign_in(unit: Unit, asserted: AssertedSubject, *, cookie_hashes: Collection[bytes]) -> Rehearsal:
    """Use the request and the assertion up, and tell what the sign-in would have done.

    Nobody is provisioned, linked or moved and no seat is taken: all of it is done and undone again.

    Raises:
        SignInRefusedError: The assertion is not an answer to this connection and browser, or was used before: then
            nothing is told either.
    """
    asserted = within_limits(asserted)
    use_up(unit, asserted, cookie_hashes)
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
    newest = unit.session.get(Decision, (unit.org_id, member.decision_id)) if member.decision_id else None
    return Outcome(
        user_name=member.user_name,
        linked_by=found.linked_by,
        role=Role(member.role),
        seat=ladder.name_of(member.tier),
        waits=member.waiting_for is not None,
        because=explain_decisions(unit, [newest], ladder)[0].because if newest is not None else None,
    )
