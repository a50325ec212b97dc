"""A scenario of a contract with a fixed fee and users by role, played through the use cases that serve real ones."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import select

from bridge.cli.rehearsal import Rehearsal
from bridge.cli.scenario import Event, read_money
from bridge.domain.identifiers import MemberId
from bridge.store.models import Alert, ProductRoleHolder
from bridge.store.unit import Unit
from bridge.usecases.amend_contract import AmendmentDraft, amend_contract
from bridge.usecases.product_roles import add_user, change_roles, define_role, remove_user
from bridge.usecases.provision_member import PersonDraft
from bridge.usecases.tier_review import OVER_TIER, count_users


class FeeRehearsal(Rehearsal):
    """One organization between its first instalment and the roll-back; nobody has a seat, people have roles."""

    __slots__ = ()

    alert = OVER_TIER

    def _prepare(self, unit: Unit) -> None:
        """Leave the rules as they are: there is no tier that they could give."""

    def _dispatch(self, unit: Unit, event: Event) -> None:
        if event.do == "amend_contract":
            amend_contract(unit, self._amendment(event), event.key)
        else:
            super()._dispatch(unit, event)

    def _amendment(self, event: Event) -> AmendmentDraft:
        """Read what an amendment is to change; a field that is missing stays as it is."""
        fee = read_money(event, "annual_fee", self.scenario.currency) if "annual_fee" in event.fields else None
        return AmendmentDraft(
            annual_fee=fee, tier=event.fields.get("tier"), paid_users=event.fields.get("tier_paid_users")
        )

    def _verbs(self) -> Mapping[str, Callable[[Unit, Event], object]]:
        return {
            **super()._verbs(),
            "add_user": self._add_user,
            "change_roles": lambda unit, event: change_roles(unit, self.ids[event.text("user")], event.fields["roles"]),
            "remove_user": lambda unit, event: remove_user(unit, self.ids[event.text("user")]),
            "define_role": _define_role,
        }

    def _add_user(self, unit: Unit, event: Event) -> None:
        user = event.text("user")
        email = f"{user}@{self.domain}"
        document = {"displayName": user, "emails": [{"value": email, "primary": True}]}
        add_user(unit, PersonDraft(email, document=document), event.fields["roles"], member_id=self.ids[user])

    def _alert_facts(self, alert: Alert) -> dict[str, Any]:
        return {"paid_users": alert.number}

    def _state(self, unit: Unit) -> dict[str, Any]:
        counts = count_users(unit)
        roles: dict[MemberId, list[str]] = {}
        for member_id, role in unit.session.execute(
            select(ProductRoleHolder.member_id, ProductRoleHolder.role)
            .where(ProductRoleHolder.org_id == unit.org_id)
            .order_by(ProductRoleHolder.role)
        ):
            roles.setdefault(member_id, []).append(role)
        return {
            **self._plan(unit),
            "paid_users": counts.paid,
            "free_users": counts.free,
            "users": {
                user: {"roles": roles.get(member.id, []), "active": member.active}
                for user, member in self._people(unit).items()
            },
        }


def _define_role(unit: Unit, event: Event) -> None:
    role, fields = event.text("role"), event.fields
    name = fields.get("name", role.replace("_", " ").capitalize())
    define_role(unit, role, name, fields.get("permissions", ()), paid=fields["paid"])
