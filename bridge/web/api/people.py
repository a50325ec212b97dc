"""People: listed, explained, added, turned off and on, placed, and where they are signed in."""

import uuid
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AliasPath, Field

from bridge.billing.why_person import why_person
from bridge.domain.identifiers import GroupId, MemberId
from bridge.domain.roles import Permission, Role
from bridge.domain.scopes import Scope
from bridge.store.directory import get_member
from bridge.usecases.billing_orders import ordered_for
from bridge.usecases.change_role import change_role
from bridge.usecases.confirm_people import confirm_member
from bridge.usecases.list_people import PeopleFilter, PersonState, browse_people, read_person
from bridge.usecases.people import count_people
from bridge.usecases.people_by_hand import (
    confirm_seat,
    draft_by_hand,
    preview_seat,
    turn_off_member,
    turn_on_member,
)
from bridge.usecases.person_history import read_person_history
from bridge.usecases.provision_member import add_member
from bridge.usecases.sessions import end_session, end_sessions_of, list_sessions
from bridge.web.api.accepting import Accept, accepts, shown
from bridge.web.api.calls import Call
from bridge.web.api.money import BillShape, bill_total
from bridge.web.api.operations import Resource
from bridge.web.api.paging import cursor_at, place_of
from bridge.web.api.shapes import Answer, Body, Document, Page, Paged

people = Resource("People", "Who is here, which seat they have, and why.", "/people")


def _of_member(name: str) -> AliasPath:
    return AliasPath("member", name)


class PlaceInLineShape(Answer):
    """Where somebody stands in the line for a tier, or for any."""

    waiting_for: str
    place: int
    length: int


class Person(Answer):
    """A person. `because` is why they have what they have, as it stands after the word "because"."""

    id: uuid.UUID = Field(validation_alias=_of_member("id"))
    user_name: str = Field(validation_alias=_of_member("user_name"))
    external_id: str | None = Field(validation_alias=_of_member("external_id"))
    name: str = Field(validation_alias=_of_member("display_name"))
    email: str | None = Field(validation_alias=_of_member("email"))
    active: bool = Field(validation_alias=_of_member("active"))
    role: str = Field(validation_alias=_of_member("role"))
    source: str = Field(validation_alias=_of_member("source"))
    connection_id: uuid.UUID = Field(validation_alias=_of_member("connection_id"))
    tier: str | None = Field(validation_alias=_of_member("tier"))
    pinned: bool = Field(validation_alias=_of_member("pinned"))
    provisional_until: datetime | None = Field(validation_alias=_of_member("provisional_until"))
    created_at: datetime = Field(validation_alias=_of_member("created_at"))
    because: str
    place_in_line: PlaceInLineShape | None = Field(validation_alias="place")
    last_seen_at: datetime | None


class PeoplePage(Page):
    """A page of people, in the order of their ids."""

    items: list[Person]


class PeopleQuery(Paged):
    """Which people."""

    search: Annotated[str, Field(description="Part of a name, address or group, or a whole externalId.")] = ""
    tier: Annotated[str | None, Field(description="A tier, or `unassigned`.")] = None
    source: Literal["scim", "jit", "manual"] | None = None
    group: Annotated[uuid.UUID | None, Field(description="Members of this group, through groups inside it too.")] = None
    state: PersonState | Literal["all"] = PersonState.ACTIVE


class HeadCountsShape(Answer):
    """How many people there are. `by_tier` counts active ones; `unassigned` are those without a seat."""

    active: int
    by_tier: dict[str, int]
    unassigned: int
    waiting: int
    pinned: int
    provisional: int
    deactivated: int


class NewPerson(Body):
    """Somebody to be added by hand."""

    user_name: Annotated[str, Field(min_length=1, description="A mail address as a rule, where they get mail then.")]
    name: Annotated[str | None, Field(description="What pages call the person; the user name by default.")] = None
    tier: Annotated[
        str | None, Field(description="The seat; `unassigned` for none; what the rules give by default.")
    ] = None


class StepShape(Answer):
    """One step of how it came to that."""

    text: str
    detail: str
    decides: bool
    invoice_id: uuid.UUID | None


class DecisionShape(Answer):
    """One decision about a seat, newest first."""

    at: datetime
    occasion: str
    from_tier: str | None
    to_tier: str | None
    reason: str
    because: str
    waiting_for: str | None
    groups: list[str]
    rule: str | None
    rule_number: int | None
    losing: list[str]
    mapping_version: int
    was_paid_for: bool
    invoice_number: str | None
    request_id: str
    actor: str


class ChargeShape(Answer):
    """A line of an invoice that the person stands behind; minor units before tax."""

    at: datetime
    invoice_id: uuid.UUID
    invoice_number: str
    position: int
    reason: str
    tier: str
    amount: int
    currency: str
    formula: str
    text: str


class Why(Answer):
    """Why somebody has what they have. `charges` are empty for keys that may not see money."""

    person_id: uuid.UUID = Field(validation_alias=AliasPath("explanation", "member", "id"))
    sentence: str
    held: str | None = Field(validation_alias=AliasPath("explanation", "held"))
    provisional: str | None = Field(validation_alias=AliasPath("explanation", "provisional"))
    teams: list[str] = Field(validation_alias=AliasPath("explanation", "teams"))
    steps: list[StepShape]
    would_change: list[str]
    decisions: list[DecisionShape] = Field(validation_alias="history")
    logged_requests: list[str] = Field(validation_alias="logged")
    charges: list[ChargeShape]


class RoleBody(Body):
    """Another role in the organization."""

    role: Literal["owner", "admin", "member"]


class SessionShape(Answer):
    """A browser that somebody is signed in with."""

    id: uuid.UUID
    person_id: uuid.UUID = Field(validation_alias="member_id")
    user_name: str
    device: str
    method: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime


class SessionsPage(Page):
    """Sessions, newest first."""

    items: list[SessionShape]


class Ended(Answer):
    """How many sessions ended."""

    ended: int


class SeatBody(Body):
    """The seat that somebody is to have."""

    tier: Annotated[str, Field(min_length=1, description="A tier, or `unassigned`.")]


class SeatPreviewShape(Answer):
    """What placing somebody by hand would do. Without a free seat one is bought, at the price of `bill`."""

    id: uuid.UUID
    expires_at: datetime
    person_id: uuid.UUID
    from_tier: str | None
    to_tier: str | None
    free: bool
    in_evaluation: bool
    bill: BillShape | None
    sentences: list[str]
    total_today: int | None


class SeatPlaced(Answer):
    """The person now. With `ordered` the seat comes when the billing core has confirmed it."""

    person: Person
    ordered: bool


class HistoryEntry(Answer):
    """Something that was done to a person. `body` holds identifiers; it is empty for keys that may not see money."""

    seq: int
    at: datetime
    action: str
    actor: str
    reason: str
    subject_kind: str
    subject_id: str
    request_id: str
    body: Document


class HistoryPage(Page):
    """Everything that was done to a person, the oldest first."""

    items: list[HistoryEntry]


@people.get(scope=Scope.PEOPLE_READ, answer=PeoplePage)
def list_people(call: Call, query: PeopleQuery) -> object:
    """List people, in the order of their ids.

    Read to the end, it names everybody once who is here all the while.
    """
    place = place_of(call, query)
    wanted = PeopleFilter(
        search=query.search,
        tier=query.tier,
        source=query.source,
        group=None if query.group is None else GroupId(query.group),
        state=PersonState.ACTIVE if query.state == "all" else PersonState(query.state),
        after=None if place is None else MemberId(uuid.UUID(place[0])),
    )
    rows = browse_people(call.unit, wanted, in_any_state=query.state == "all", limit=query.limit + 1)
    more = len(rows) > query.limit
    rows = rows[: query.limit]
    return {"items": rows, "next_cursor": cursor_at(call, query, [rows[-1].member.id]) if more else None}


@people.get("/counts", scope=Scope.PEOPLE_READ, answer=HeadCountsShape)
def count_people_(call: Call) -> object:
    """Count people by state and tier."""
    counts = count_people(call.unit)
    return {
        "active": counts.active,
        "by_tier": {tier: number for tier, number in counts.by_tier.items() if tier is not None},
        "unassigned": counts.by_tier.get(None, 0),
        "waiting": counts.waiting,
        "pinned": counts.pinned,
        "provisional": counts.provisional,
        "deactivated": counts.deactivated,
    }


@people.post(scope=Scope.PEOPLE_WRITE, answer=Person, status=201)
def add_person(call: Call, body: NewPerson) -> object:
    """Add a person by hand.

    A directory with the same address links the person later instead of making another. A tier without a free seat is
    refused (`no_seat_available`), and the person is not added.
    """
    member = add_member(call.unit, draft_by_hand(body.user_name, body.name), tier=body.tier)
    return read_person(call.unit, member.id)


@people.get("/<uuid:person_id>", scope=Scope.PEOPLE_READ, answer=Person)
def get_person(call: Call, person_id: uuid.UUID) -> object:
    """Read one person."""
    return read_person(call.unit, MemberId(person_id))


@people.get("/<uuid:person_id>/why", scope=Scope.PEOPLE_READ, answer=Why)
def explain_person(call: Call, person_id: uuid.UUID) -> object:
    """Say why somebody has what they have, step by step, and what would change it."""
    return why_person(call.unit, MemberId(person_id))


@people.get("/<uuid:person_id>/history", scope=Scope.AUDIT_READ, answer=HistoryPage)
def list_person_history(call: Call, person_id: uuid.UUID) -> object:
    """List what was done to a person, from the audit chain."""
    changes = read_person_history(call.unit, MemberId(person_id))
    if not call.unit.actor.may(Permission.SEE_BILLING):
        changes = [replace(one, body={}) for one in changes]
    return {"items": changes}


@people.post("/<uuid:person_id>/turn-off", scope=Scope.PEOPLE_WRITE, answer=Person, reads=get_person)
def turn_off_person(call: Call, person_id: uuid.UUID) -> object:
    """Turn somebody's access off: signed out everywhere, and the seat goes to the next in line."""
    return read_person(call.unit, turn_off_member(call.unit, MemberId(person_id)).id)


@people.post("/<uuid:person_id>/turn-on", scope=Scope.PEOPLE_WRITE, answer=Person, reads=get_person)
def turn_on_person(call: Call, person_id: uuid.UUID) -> object:
    """Turn somebody's access on again; they are placed as if newly added."""
    return read_person(call.unit, turn_on_member(call.unit, MemberId(person_id)).id)


@people.post("/<uuid:person_id>/confirm", scope=Scope.PEOPLE_WRITE, answer=Person, reads=get_person)
def confirm_person(call: Call, person_id: uuid.UUID) -> object:
    """Let somebody stay whom no directory has named."""
    member = get_member(call.unit, MemberId(person_id))
    return read_person(call.unit, confirm_member(call.unit, member).id)


@people.put("/<uuid:person_id>/role", scope=Scope.PEOPLE_WRITE, answer=Person, reads=get_person)
def set_person_role(call: Call, person_id: uuid.UUID, body: RoleBody) -> object:
    """Make somebody owner, admin or member; needs an owner's key."""
    return read_person(call.unit, change_role(call.unit, MemberId(person_id), str(Role(body.role))).id)


@people.get("/<uuid:person_id>/sessions", scope=Scope.PEOPLE_READ, answer=SessionsPage)
def list_person_sessions(call: Call, person_id: uuid.UUID) -> object:
    """List where somebody is signed in."""
    member = get_member(call.unit, MemberId(person_id))
    idle = call.runtime.settings.session.idle_seconds
    return {"items": list_sessions(call.unit, idle_seconds=idle, member_id=member.id)}


@people.post("/<uuid:person_id>/sessions/end", scope=Scope.PEOPLE_WRITE, answer=Ended)
def end_person_sessions(call: Call, person_id: uuid.UUID) -> object:
    """Sign somebody out everywhere."""
    return {"ended": end_sessions_of(call.unit, MemberId(person_id))}


@people.preview("/<uuid:person_id>/seat-previews", scope=Scope.SEATS_WRITE, answer=SeatPreviewShape)
def preview_person_seat(call: Call, person_id: uuid.UUID, body: SeatBody) -> object:
    """Show what placing somebody by hand would do, and what it costs where no seat is free.

    Prices are for owners' keys with `billing:write`.
    """
    preview = preview_seat(call.unit, MemberId(person_id), body.tier)
    quote = preview.quote
    total = None
    if quote is not None:
        total = shown(call.unit, preview.id, bill_total(quote.bill), quote.currency)
    return {
        "id": preview.id,
        "expires_at": preview.expires_at,
        "person_id": preview.member.id,
        "from_tier": preview.member.tier,
        "to_tier": preview.to_tier,
        "free": preview.free,
        "in_evaluation": preview.in_evaluation,
        "bill": None if quote is None else quote.bill,
        "sentences": () if quote is None else quote.sentences,
        "total_today": total,
    }


@people.post("/seat-previews/<uuid:preview_id>/apply", scope=Scope.SEATS_WRITE, answer=SeatPlaced)
def apply_person_seat(call: Call, preview_id: uuid.UUID, body: Accept) -> object:
    """Place the person as previewed, and buy the seat at the price that was shown where none is free.

    They count as placed by hand then: groups move them no more.
    """
    member = confirm_seat(call.unit, preview_id, acknowledged=accepts(call.unit, preview_id, body.accepted_total))
    return {"person": read_person(call.unit, member.id), "ordered": ordered_for(call.unit, member.id)}


session_list = Resource("Sessions", "Who is signed in, in which browser.", "/sessions")


@session_list.get(scope=Scope.PEOPLE_READ, answer=SessionsPage)
def list_every_session(call: Call) -> object:
    """List everybody's sessions, newest first."""
    return {"items": list_sessions(call.unit, idle_seconds=call.runtime.settings.session.idle_seconds)}


@session_list.post("/<uuid:session_id>/end", scope=Scope.PEOPLE_WRITE, answer=Ended)
def end_one_session(call: Call, session_id: uuid.UUID) -> object:
    """Sign somebody out of one browser."""
    end_session(call.unit, session_id)
    return {"ended": 1}
