"""What a rehearsal of a contract with a fixed fee has of its own: users by role, amendments, the state at the end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import select

from bridge.billing.rules.money import Currency
from bridge.cli.scenario import Event, read_money
from bridge.domain.identifiers import MemberId
from bridge.store.models import Alert, Member, ProductRoleHolder
from bridge.store.unit import Unit
from bridge.usecases.amend_contract import AmendmentDraft
from bridge.usecases.product_roles import add_user, change_roles, define_role, remove_user
from bridge.usecases.provision_member import PersonDraft
from bridge.usecases.tier_review import OVER_TIER, count_users


def read_amendment(event: Event, currency: Currency) -> AmendmentDraft:
    """Read what an amendment is to change; a field that is missing stays as it is."""
    return AmendmentDraft(
        annual_fee=read_money(event, "annual_fee", currency) if "annual_fee" in event.fields else None,
        tier=event.fields.get("tier"),
        paid_users=event.fields.get("tier_paid_users"),
    )


@dataclass(frozen=True, slots=True)
class FeePlay:
    """The events and the state of a contract with users by role."""

    ids: Mapping[str, MemberId]
    domain: str
    currency: Currency

    alert: ClassVar[str] = OVER_TIER

    def verbs(self) -> Mapping[str, Callable[[Unit, Event], object]]:
        """Return what each event does."""
        return {
            "add_user": self._add_user,
            "change_roles": lambda unit, event: change_roles(unit, self.ids[event.text("user")], event.fields["roles"]),
            "remove_user": lambda unit, event: remove_user(unit, self.ids[event.text("user")]),
            "define_role": self._define_role,
        }

    def alert_facts(self, alert: Alert) -> dict[str, Any]:
        """Return what an alert says besides its instant and code."""
        return {"paid_users": alert.number}

    def state(self, unit: Unit) -> dict[str, Any]:
        """Return the users and how many count as paid."""
        counts = count_users(unit)
        roles: dict[MemberId, list[str]] = {}
        for member_id, role in unit.session.execute(
            select(ProductRoleHolder.member_id, ProductRoleHolder.role)
            .where(ProductRoleHolder.org_id == unit.org_id)
            .order_by(ProductRoleHolder.role)
        ):
            roles.setdefault(member_id, []).append(role)
        people = {user: unit.session.get(Member, (unit.org_id, member_id)) for user, member_id in self.ids.items()}
        return {
            "paid_users": counts.paid,
            "free_users": counts.free,
            "users": {
                user: {"roles": roles.get(member.id, []), "active": member.active}
                for user, member in people.items()
                if member is not None
            },
        }

    def _add_user(self, unit: Unit, event: Event) -> None:
        user = event.text("user")
        email = f"{user}@{self.domain}"
        document = {"displayName": user, "emails": [{"value": email, "primary": True}]}
        add_user(unit, PersonDraft(email, document=document), event.fields["roles"], member_id=self.ids[user])

    def _define_role(self, unit: Unit, event: Event) -> None:
        role, fields = event.text("role"), event.fields
        name = fields.get("name", role.replace("_", " ").capitalize())
        define_role(unit, role, name, fields.get("permissions", ()), paid=fields["paid"])
