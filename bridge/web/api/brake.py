"""The brake: what it holds, what deciding would do, and the decision; what trips it."""

import uuid
from dataclasses import replace
from datetime import datetime
from typing import Annotated

from pydantic import Field

from bridge.domain.scopes import Scope
from bridge.usecases.brake import set_thresholds
from bridge.usecases.decide_holds import drop_hold, release_hold
from bridge.usecases.preview_holds import preview_drop, preview_release
from bridge.usecases.read_holds import held_people, list_holds, read_hold, read_thresholds
from bridge.web.api.calls import Call
from bridge.web.api.money import BillShape, BudgetUseShape
from bridge.web.api.operations import Resource
from bridge.web.api.shapes import Answer, Body, Page

brake = Resource("Brake", "Mass effects of a directory: what is held, and what becomes of it.", "/brake")


class ThresholdsOfBrake(Answer):
    """So many people may always be let go or moved, or so many of a hundred, within so many minutes."""

    minimum: int
    share: int
    window_minutes: int


class BrakeBody(Body):
    """What trips the brake; what is not named stays."""

    minimum: int | None = None
    share: int | None = None
    window_minutes: int | None = None


class HoldShape(Answer):
    """What is held, or was. Whoever decides names the `revision` that they looked at."""

    id: uuid.UUID
    state: str
    at: datetime
    directory: str
    request_id: str
    counted: int
    allowed: int
    window_minutes: int
    people: dict[str, int]
    number: int
    sentence: str
    deadline: str | None
    effects: list[str]
    revision: int
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None


class HoldsPage(Page):
    """Holds, newest first."""

    items: list[HoldShape]


class HeldShape(Answer):
    """Somebody under a hold."""

    person_id: uuid.UUID = Field(validation_alias="member_id")
    name: str | None = Field(validation_alias="display_name")
    user_name: str | None
    tier: str | None
    effect: str
    directory: str
    at: datetime
    request_id: str
    outcome: str | None


class HeldPage(Page):
    """Everybody under a hold."""

    items: list[HeldShape]


class ReleasedShape(Answer):
    """What a release does to one person."""

    person_id: uuid.UUID = Field(validation_alias="member_id")
    name: str = Field(validation_alias="display_name")
    user_name: str
    effect: str
    from_tier: str | None
    to_tier: str | None


class PromotedShape(Answer):
    """Somebody who waited and gets a seat by it."""

    person_id: uuid.UUID = Field(validation_alias="member_id")
    name: str = Field(validation_alias="display_name")
    tier: str | None


class TierUseShape(Answer):
    """Seats of a tier in use, before and after."""

    tier: str
    name: str
    total: int
    before: int
    after: int


class ReleasePreviewShape(Answer):
    """What releasing would do now. The bills are null for keys that may not see money."""

    hold: HoldShape
    people: list[ReleasedShape]
    promoted: list[PromotedShape]
    seats: list[TierUseShape]
    renewal_before: BillShape | None
    renewal_after: BillShape | None
    purchases: list[BudgetUseShape]


class SeatMoveShape(Answer):
    """Somebody who gets another seat."""

    person_id: uuid.UUID = Field(validation_alias="member_id")
    name: str = Field(validation_alias="display_name")
    from_tier: str | None
    to_tier: str | None


class DropPreviewShape(Answer):
    """What dropping would do now, by rules that were changed meanwhile."""

    moves: list[SeatMoveShape]
    purchases: list[BudgetUseShape]


class Decision(Body):
    """A decision: the revision that was looked at, and why."""

    revision: int
    reason: Annotated[str, Field(min_length=1)]


class DecidedShape(Answer):
    """What a decision did."""

    hold_id: uuid.UUID
    state: str
    people: int
    turned_off: int
    removed: int
    resettled: int
    promoted: int
    bought: int
    invoices: list[str]


@brake.get(scope=Scope.PEOPLE_READ, answer=ThresholdsOfBrake)
def get_brake(call: Call) -> object:
    """Read what trips the brake."""
    return read_thresholds(call.unit)


@brake.patch(scope=Scope.PEOPLE_WRITE, answer=ThresholdsOfBrake, reads=get_brake)
def set_brake(call: Call, body: BrakeBody) -> object:
    """Set what trips the brake; what is not named stays. Needs an owner's key."""
    set_thresholds(call.unit, replace(read_thresholds(call.unit), **body.model_dump(exclude_none=True)))
    return read_thresholds(call.unit)


@brake.get("/holds", scope=Scope.PEOPLE_READ, answer=HoldsPage)
def list_brake_holds(call: Call) -> object:
    """List what was held, newest first, and what became of it."""
    return {"items": list_holds(call.unit)}


@brake.get("/holds/<uuid:hold_id>", scope=Scope.PEOPLE_READ, answer=HoldShape)
def get_brake_hold(call: Call, hold_id: uuid.UUID) -> object:
    """Read one hold."""
    return read_hold(call.unit, hold_id)


@brake.get("/holds/<uuid:hold_id>/people", scope=Scope.PEOPLE_READ, answer=HeldPage)
def list_held_people(call: Call, hold_id: uuid.UUID) -> object:
    """List who is or was under a hold."""
    return {"items": held_people(call.unit, read_hold(call.unit, hold_id).id)}


@brake.preview("/holds/<uuid:hold_id>/release-previews", scope=Scope.PEOPLE_WRITE, answer=ReleasePreviewShape)
def preview_hold_release(call: Call, hold_id: uuid.UUID) -> object:
    """Show who would lose what by a release, the seats and the next bill afterwards."""
    return preview_release(call.unit, hold_id)


@brake.preview("/holds/<uuid:hold_id>/drop-previews", scope=Scope.PEOPLE_WRITE, answer=DropPreviewShape)
def preview_hold_drop(call: Call, hold_id: uuid.UUID) -> object:
    """Show who gets another seat by dropping a hold, and what is bought."""
    return preview_drop(call.unit, hold_id)


@brake.post("/holds/<uuid:hold_id>/release", scope=Scope.PEOPLE_WRITE, answer=DecidedShape)
def release_brake_hold(call: Call, hold_id: uuid.UUID, body: Decision) -> object:
    """Let what is held take effect now, for everybody at once. Needs an owner's key."""
    return release_hold(call.unit, hold_id, revision=body.revision, reason=body.reason)


@brake.post("/holds/<uuid:hold_id>/drop", scope=Scope.PEOPLE_WRITE, answer=DecidedShape)
def drop_brake_hold(call: Call, hold_id: uuid.UUID, body: Decision) -> object:
    """Let nothing of what is held take effect. Needs an owner's key."""
    return drop_hold(call.unit, hold_id, revision=body.revision, reason=body.reason)
