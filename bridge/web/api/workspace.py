"""Teams and licences of a workspace, and roles in the product: for plans that are not sold by seats."""

import uuid
from datetime import datetime
from typing import Annotated

from pydantic import Field

from bridge.domain.identifiers import MemberId
from bridge.domain.scopes import Scope
from bridge.usecases.licences import list_holders, read_licences
from bridge.usecases.people_by_hand import draft_by_hand
from bridge.usecases.product_roles import add_user, change_roles, define_role, list_roles, list_users, remove_user
from bridge.usecases.provisional import list_provisional
from bridge.usecases.remove_inactive import confirm_remove_inactive, preview_remove_inactive
from bridge.usecases.tier_review import count_users
from bridge.usecases.workspace_teams import (
    archive_team,
    create_team,
    join_teams,
    leave_team,
    list_teams,
    unarchive_team,
)
from bridge.web.api.calls import Call
from bridge.web.api.operations import Resource
from bridge.web.api.shapes import Answer, Body, Page, Query

teams = Resource("Teams", "Teams of a workspace that is licensed by team or by person.", "/teams")
licences = Resource("Licences", "Where licences by team or by person stand.", "/licences")
users = Resource("Users by role", "Roles in the product, on contracts for a fixed fee.", "/users")
inactive = Resource("Removing people", "Who is in no team that counts; who is not confirmed.", "/removals")


class TeamShape(Answer):
    """A team; `archived_at` is null while it counts."""

    id: uuid.UUID
    name: str
    archived_at: datetime | None


class CountedTeam(TeamShape):
    """A team with the number of people in it."""

    created_at: datetime
    members: int


class TeamsPage(Page):
    """Every team, archived ones too."""

    items: list[CountedTeam]


class TeamBody(Body):
    """A team to be made."""

    name: Annotated[str, Field(min_length=1, max_length=200)]


class JoinBody(Body):
    """Teams that somebody joins, by name."""

    teams: Annotated[list[str], Field(min_length=1, max_length=100)]


class Joined(Answer):
    """Teams that somebody joined."""

    joined: list[TeamShape]


class LicencesShape(Answer):
    """Where licences stand (rule B7)."""

    kind: str
    status: str
    month: str
    members: int
    active_teams: int
    archived_teams: int
    licensed: int
    counted: int


class HolderShape(Answer):
    """A team or a person that a month was billed for."""

    month: str
    kind: str
    id: uuid.UUID
    name: str
    display_name: str
    invoice: str


class HoldersPage(Page):
    """Everybody, or every team, that a month was billed for."""

    items: list[HolderShape]


class MonthQuery(Query):
    """Which month, as `2026-03`."""

    month: str


class UserShape(Answer):
    """Somebody with a role in the product."""

    person_id: uuid.UUID = Field(validation_alias="member_id")
    user_name: str
    name: str = Field(validation_alias="display_name")
    active: bool
    roles: list[str]
    paid: bool


class UsersPage(Page):
    """Everybody with a role in the product, and how many count as paid."""

    items: list[UserShape]
    paid_users: int
    free_users: int


class NewUser(Body):
    """Somebody to be let in with roles."""

    user_name: Annotated[str, Field(min_length=1)]
    name: str | None = None
    roles: Annotated[list[str], Field(min_length=1, max_length=20)]


class RolesBody(Body):
    """Every role that somebody has from now on."""

    roles: Annotated[list[str], Field(max_length=20)]


class WithRoles(Answer):
    """A person and whether they have access."""

    id: uuid.UUID
    user_name: str
    active: bool


class ProductRoleShape(Answer):
    """A role in the product."""

    key: str
    name: str
    permissions: list[str]
    paid: bool
    built_in: bool


class ProductRolesPage(Page):
    """The built-in roles, then the organization's own."""

    items: list[ProductRoleShape]


class ProductRoleBody(Body):
    """A role of the organization's own."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    permissions: Annotated[list[str], Field(max_length=200)]
    paid: bool


class InactiveShape(Answer):
    """Somebody who would be removed."""

    person_id: uuid.UUID = Field(validation_alias="id")
    user_name: str
    name: str = Field(validation_alias="display_name")


class InactivePreviewShape(Answer):
    """Who would be removed, for good."""

    id: uuid.UUID
    expires_at: datetime
    people: list[InactiveShape] = Field(validation_alias="members")


class Removed(Answer):
    """Who was removed."""

    removed: list[uuid.UUID]


class ProvisionalShape(Answer):
    """Somebody who signed in before the directory named them."""

    person_id: uuid.UUID
    user_name: str
    connection: str
    signed_in_at: datetime
    provisional_until: datetime | None
    active: bool
    tier: str | None


class ProvisionalPage(Page):
    """Everybody who is provisional, or whose access ended so."""

    items: list[ProvisionalShape]


@teams.get(scope=Scope.PEOPLE_READ, answer=TeamsPage)
def list_workspace_teams(call: Call) -> object:
    """List every team, archived ones too."""
    return {"items": list_teams(call.unit)}


@teams.post(scope=Scope.PEOPLE_WRITE, answer=TeamShape, status=201)
def create_workspace_team(call: Call, body: TeamBody) -> object:
    """Make a team; it counts from now on."""
    return create_team(call.unit, body.name)


@teams.post("/<name>/archive", scope=Scope.PEOPLE_WRITE, answer=TeamShape)
def archive_workspace_team(call: Call, name: str) -> object:
    """Archive a team; it counts from the next month no more."""
    return archive_team(call.unit, name)


@teams.post("/<name>/unarchive", scope=Scope.PEOPLE_WRITE, answer=TeamShape)
def unarchive_workspace_team(call: Call, name: str) -> object:
    """Let an archived team count again."""
    return unarchive_team(call.unit, name)


@teams.post("/members/<uuid:person_id>/join", scope=Scope.PEOPLE_WRITE, answer=Joined)
def join_workspace_teams(call: Call, person_id: uuid.UUID, body: JoinBody) -> object:
    """Put somebody into teams."""
    return {"joined": join_teams(call.unit, MemberId(person_id), body.teams)}


@teams.delete("/<name>/members/<uuid:person_id>", scope=Scope.PEOPLE_WRITE)
def leave_workspace_team(call: Call, name: str, person_id: uuid.UUID) -> None:
    """Take somebody out of a team."""
    leave_team(call.unit, MemberId(person_id), name)


@licences.get(scope=Scope.PEOPLE_READ, answer=LicencesShape)
def get_licences(call: Call) -> object:
    """Count members and licence holders as of now."""
    return read_licences(call.unit)


@licences.get("/holders", scope=Scope.BILLING_READ, answer=HoldersPage)
def list_licence_holders(call: Call, query: MonthQuery) -> object:
    """List who held a licence in a month that was billed."""
    return {"items": list_holders(call.unit, query.month)}


@users.get(scope=Scope.PEOPLE_READ, answer=UsersPage)
def list_product_users(call: Call) -> object:
    """List everybody with a role in the product, and how many count as paid."""
    counts = count_users(call.unit)
    return {"items": list_users(call.unit), "paid_users": counts.paid, "free_users": counts.free}


@users.post(scope=Scope.PEOPLE_WRITE, answer=WithRoles, status=201)
def add_product_user(call: Call, body: NewUser) -> object:
    """Let somebody in with at least one role; it costs nothing. Who was removed is let in again."""
    return add_user(call.unit, draft_by_hand(body.user_name, body.name), body.roles)


@users.put("/<uuid:person_id>/roles", scope=Scope.PEOPLE_WRITE, answer=WithRoles)
def set_product_roles(call: Call, person_id: uuid.UUID, body: RolesBody) -> object:
    """Give somebody these roles in the product, and no others."""
    return change_roles(call.unit, MemberId(person_id), body.roles)


@users.delete("/<uuid:person_id>", scope=Scope.PEOPLE_WRITE)
def remove_product_user(call: Call, person_id: uuid.UUID) -> None:
    """Take somebody's roles in the product and their access."""
    remove_user(call.unit, MemberId(person_id))


@users.get("/roles", scope=Scope.PEOPLE_READ, answer=ProductRolesPage)
def list_product_roles(call: Call) -> object:
    """List the roles that people may have in the product."""
    return {"items": list_roles(call.unit)}


@users.put("/roles/<role>", scope=Scope.PEOPLE_WRITE, answer=ProductRoleShape)
def define_product_role(call: Call, role: str, body: ProductRoleBody) -> object:
    """Define a role of the organization's own, or define it anew. Needs an owner's key."""
    return define_role(call.unit, role, body.name, body.permissions, paid=body.paid)


@inactive.preview("/previews", scope=Scope.PEOPLE_WRITE, answer=InactivePreviewShape)
def preview_inactive(call: Call) -> object:
    """Show who has access and is in no team that counts; owners are spared."""
    return preview_remove_inactive(call.unit)


@inactive.post("/previews/<uuid:preview_id>/apply", scope=Scope.PEOPLE_WRITE, answer=Removed)
def remove_inactive(call: Call, preview_id: uuid.UUID) -> object:
    """Remove for good whom the preview named."""
    return {"removed": confirm_remove_inactive(call.unit, preview_id)}


@inactive.get("/provisional", scope=Scope.PEOPLE_READ, answer=ProvisionalPage)
def list_provisional_people(call: Call) -> object:
    """List who signed in before the directory named them, and whose access has ended because it never did."""
    return {
        "items": [
            {
                "person_id": member.id,
                "user_name": member.user_name,
                "connection": connection,
                "signed_in_at": member.created_at,
                "provisional_until": member.provisional_until,
                "active": member.active,
                "tier": member.tier,
            }
            for member, connection in list_provisional(call.unit)
        ]
    }
