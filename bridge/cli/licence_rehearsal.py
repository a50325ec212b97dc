"""A scenario of licences by team or by person, played through the use cases that serve real workspaces."""

from collections.abc import Callable, Mapping
from typing import Any

from bridge.cli.rehearsal import Rehearsal
from bridge.cli.scenario import Event
from bridge.store.models import Member
from bridge.store.unit import Unit
from bridge.usecases.licences import billed_months, licensed_names, list_holders
from bridge.usecases.provision_member import Source, add_member
from bridge.usecases.remove_inactive import confirm_remove_inactive, preview_remove_inactive
from bridge.usecases.sync_groups import sync_claimed_groups
from bridge.usecases.workspace_teams import (
    archive_team,
    create_team,
    join_teams,
    leave_team,
    list_teams,
    unarchive_team,
)


class LicenceRehearsal(Rehearsal):
    """One workspace between its start and the roll-back; nobody has a seat, and teams are made by events."""

    __slots__ = ()

    def _verbs(self) -> Mapping[str, Callable[[Unit, Event], object]]:
        common = super()._verbs()
        return {
            **{do: common[do] for do in ("deactivate", "reactivate", "remove_member")},
            **{do: common[do] for do in ("set_price", "set_auto_renew", "grant_credit")},
            "create_team": lambda unit, event: create_team(unit, event.text("team")),
            "archive_team": lambda unit, event: archive_team(unit, event.text("team")),
            "unarchive_team": lambda unit, event: unarchive_team(unit, event.text("team")),
            "add_member": self._add_member,
            "leave_team": lambda unit, event: leave_team(unit, self._member(unit, event).id, event.text("team")),
            "remove_inactive_members": _remove_inactive,
        }

    def _add_member(self, unit: Unit, event: Event) -> None:
        """Take somebody in and let them join teams; who is here already joins these teams too."""
        user, via = event.text("user"), event.fields.get("via", "manual")
        groups, teams = event.fields.get("groups"), event.fields.get("teams") or ()
        if via != "manual":
            self._provision(unit, user, Source(via), None if groups is None else tuple(groups))
        elif unit.session.get(Member, (self.org_id, self.ids[user])) is None:
            member = add_member(unit, self._draft(user), tier=None, member_id=self.ids[user])
            sync_claimed_groups(unit, member.connection_id, member, groups or ())
        if teams:
            join_teams(unit, self.ids[user], teams)

    def _exports(self, unit: Unit) -> dict[str, list[str]]:
        return {month: sorted(one.name for one in list_holders(unit, month)) for month in billed_months(unit)}

    def _state(self, unit: Unit) -> dict[str, Any]:
        return {
            **self._plan(unit),
            "workspace_members": [user for user, member in self._people(unit).items() if member.active],
            "licensed_now": licensed_names(unit),
            "active_teams": sorted(team.name for team in list_teams(unit) if team.archived_at is None),
        }


def _remove_inactive(unit: Unit, _event: Event) -> None:
    """Remove whom the preview names, at once."""
    confirm_remove_inactive(unit, preview_remove_inactive(unit).id)
