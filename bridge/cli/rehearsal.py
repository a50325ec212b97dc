"""One scenario, played through the use cases that serve real organizations."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Final
from uuid import UUID

from sqlalchemy import Connection as DatabaseConnection
from sqlalchemy import select
from sqlalchemy.orm import Session

from bridge.billing import BuiltinPayments
from bridge.billing.rules.bills import instant_text
from bridge.cli.scenario import Event, Scenario, read_money
from bridge.domain.actors import OPERATOR, SYSTEM, Actor, ActorKind
from bridge.domain.identifiers import ConnectionId, MemberId, OrgId, new_id
from bridge.domain.roles import Permission
from bridge.domain.sign_in import SignInProtocol
from bridge.errors import BridgeError, InvalidInputError, NotFoundError, SignInRefusedError
from bridge.ports import BillLine, PaymentOutcome
from bridge.runtime import Runtime
from bridge.store.directory import get_member, mapping_set_in_force
from bridge.store.models import Alert, Connection, Contract, Domain, Identity, Invoice, InvoiceLine, Member
from bridge.store.pools import ladder_of, read_pools
from bridge.store.unit import Unit, bind_organization
from bridge.usecases.assign_seats import assign_tier, promote_waiting, settle_seat
from bridge.usecases.buy_seats import SeatsPreview, change_seats, confirm_seats, preview_seats
from bridge.usecases.edit_mappings import apply_mappings
from bridge.usecases.idempotency import once
from bridge.usecases.manage_access import deactivate_member, reactivate_member
from bridge.usecases.new_plan import take_new_plan
from bridge.usecases.organizations import OrganizationDraft, create_organization
from bridge.usecases.preview_mappings import preview_mappings, read_document
from bridge.usecases.provision_member import (
    PersonDraft,
    Source,
    add_member,
    provision_member,
    remove_member,
    update_member,
)
from bridge.usecases.recognise_subject import LinkedBy
from bridge.usecases.renew_contract import grant_credit, renew_contract, set_auto_renew, set_price
from bridge.usecases.sync_groups import sync_claimed_groups
from mappings.allocation import Occasion
from mappings.differences import difference
from mappings.tiers import UNASSIGNED

#: What an event needs of who does it (rules Z1 to Z3); what a directory or a sign-in causes needs nobody.
#: Who signs people in there.
_ISSUER: Final = "rehearsal"
_NEEDED: Mapping[str, Permission] = {
    "add_member": Permission.MANAGE_PEOPLE,
    "assign": Permission.ASSIGN_SEATS,
    "set_mappings": Permission.EDIT_MAPPINGS,
    "deactivate": Permission.MANAGE_PEOPLE,
    "reactivate": Permission.MANAGE_PEOPLE,
    "remove_member": Permission.MANAGE_PEOPLE,
    "set_price": Permission.MANAGE_BILLING,
    "set_auto_renew": Permission.MANAGE_BILLING,
    "grant_credit": Permission.MANAGE_BILLING,
    "add_user": Permission.MANAGE_PEOPLE,
    "change_roles": Permission.ASSIGN_PRODUCT_ROLES,
    "remove_user": Permission.MANAGE_PEOPLE,
    "define_role": Permission.DEFINE_PRODUCT_ROLES,
    "create_team": Permission.MANAGE_PEOPLE,
    "archive_team": Permission.MANAGE_PEOPLE,
    "unarchive_team": Permission.MANAGE_PEOPLE,
    "leave_team": Permission.MANAGE_PEOPLE,
    "remove_inactive_members": Permission.MANAGE_PEOPLE,
}


@dataclass(slots=True)
class ScriptedPayments:
    """Payments that are approved, except while the scenario says that they are declined."""

    declined: bool = False

    def collect(self, org_id: OrgId, amount: int, currency: str, *, key: str) -> PaymentOutcome:
        """Answer as the scenario says."""
        if self.declined:
            return PaymentOutcome(approved=False, reason="declined")
        return BuiltinPayments().collect(org_id, amount, currency, key=key)


@dataclass(slots=True)
class Rehearsal:
    """One organization, sold by seats, between its first invoice and the roll-back.

    A plan that is sold in another way is a subclass that says what its events do (:meth:`_verbs`), which alerts it
    notes and what stands at the end.

    People's ids are given in the order of their names, so that "in order of their ids" (rule A8) means the same in
    every run.
    """

    runtime: Runtime
    database: DatabaseConnection
    scenario: Scenario
    payments: ScriptedPayments
    org_id: OrgId = field(default_factory=lambda: OrgId(new_id()))
    connection_id: ConnectionId = field(default_factory=lambda: ConnectionId(new_id()))
    ids: dict[str, MemberId] = field(default_factory=dict)
    previews: list[SeatsPreview] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    seen: set[UUID] = field(default_factory=set)

    alert: ClassVar[str] = "seats_exhausted"
    """The alerts that are told of."""

    @property
    def domain(self) -> str:
        """The mail domain that everybody has an address in."""
        return f"{self.org_id.hex}.invalid"

    def play(self) -> dict[str, Any]:
        """Play every event and return what came of them; whoever opened the connection rolls it back."""
        self.ids = {user: MemberId(UUID(int=number)) for number, user in enumerate(self.scenario.users, 1)}
        self._open()
        for event in self.scenario.events:
            self._renew_until(event.at)
            self._play(event)
        self._renew_until(self.scenario.until)
        with self._unit(self.scenario.until, OPERATOR) as unit:
            return {
                "invoices": _invoices(unit),
                "errors": self.errors,
                "alerts": self.alerts,
                "previews": [_preview(preview) for preview in self.previews],
                "exports": self._exports(unit),
                "state": self._state(unit),
            }

    @contextmanager
    def _unit(self, at: datetime, actor: Actor) -> Iterator[Unit]:
        with (
            Session(self.database, join_transaction_mode="create_savepoint", expire_on_commit=False) as session,
            session.begin(),
        ):
            bind_organization(session, self.org_id)
            unit = self.runtime.bind(session, self.org_id, actor, at=at, request_id="rehearsal")
            yield unit
            unit.finish()

    def _open(self) -> None:
        contract = self.scenario.contract
        draft = OrganizationDraft(
            slug=f"rehearsal-{self.org_id.hex}",
            name="Rehearsal",
            locale="en",
            time_zone=contract.time_zone,
            contract=self.scenario.evaluation or contract,
            owner_email=f"owner@{self.domain}",
            owner_name="Owner",
        )
        with self._unit(contract.anchor, OPERATOR) as unit:
            create_organization(unit, draft)
            unit.session.add(
                Connection(
                    org_id=self.org_id,
                    id=self.connection_id,
                    kind="idp",
                    name="Directory",
                    protocol=SignInProtocol.SAML,
                    issuer=_ISSUER,
                    created_at=unit.at,
                )
            )
            unit.session.add(
                Domain(
                    org_id=self.org_id,
                    name=self.domain,
                    challenge="rehearsal",
                    created_at=unit.at,
                    verified_at=unit.at,
                    verified_by="rehearsal",
                )
            )
            unit.session.flush()
            self._prepare(unit)
            if self.scenario.evaluation is not None:
                take_new_plan(unit, contract, ahead=True)

    def _prepare(self, unit: Unit) -> None:
        """Bring a new organization to where the scenario begins."""
        self._set_mappings(unit, self.scenario.mappings)

    def _renew_until(self, at: datetime) -> None:
        while True:
            with self._unit(at, SYSTEM) as unit:
                contract = unit.session.get_one(Contract, self.org_id)
                boundary = contract.period_end
                if contract.status != "active" or boundary > at:
                    return
            with self._unit(boundary, SYSTEM) as unit:
                renew_contract(unit)
            self._note_alerts()

    def _play(self, event: Event) -> None:
        actor = Actor(ActorKind.MEMBER, role=event.role)
        self.payments.declined = event.declined
        try:
            with self._unit(event.at, actor) as unit:
                self._dispatch(unit, event)
        except BridgeError as refusal:
            self.errors.append({"event": event.number, "code": refusal.code})
        finally:
            self.payments.declined = False
        self._note_alerts()

    def _dispatch(self, unit: Unit, event: Event) -> None:
        """Do what an event says; a repeated key does nothing a second time (rule Q5)."""
        if event.do == "preview":
            self.previews.append(preview_seats(unit, event.fields["changes"]))
        elif event.do == "confirm":
            confirm_seats(unit, self._preview_of(event).id, acknowledged=True, key=event.key)
        elif event.do == "change_seats":
            change_seats(unit, event.fields["changes"], event.key)
        else:
            act = self._verbs()[event.do]
            needed = _NEEDED.get(event.do)
            if needed is not None and event.fields.get("via", "manual") == "manual":
                # Before the key: who may not do it is not told that it was done before.
                unit.require(needed)

            def acted() -> dict[str, Any]:
                act(unit, event)
                return {}

            once(unit, event.key, {"do": event.do, **event.fields}, acted)

    def _verbs(self) -> Mapping[str, Callable[[Unit, Event], object]]:
        currency = self.scenario.currency
        return {
            "add_member": self._add_member,
            "assign": self._assign,
            "set_groups": self._set_groups,
            "set_mappings": lambda unit, event: self._set_mappings(unit, event.fields["mappings"]),
            "deactivate": self._deactivate,
            "reactivate": self._reactivate,
            "remove_member": self._remove,
            "set_price": lambda unit, event: set_price(unit, event.text("tier"), read_money(event, "price", currency)),
            "set_auto_renew": lambda unit, event: set_auto_renew(unit, value=bool(event.fields["value"])),
            "grant_credit": lambda unit, event: grant_credit(unit, read_money(event, "amount", currency)),
        }

    def _preview_of(self, event: Event) -> SeatsPreview:
        number = event.fields["preview"]
        if type(number) is not int or not 0 <= number < len(self.previews):
            raise NotFoundError("preview", str(number))
        return self.previews[number]

    def _draft(self, user: str) -> PersonDraft:
        return PersonDraft(user, document={"emails": [{"value": f"{user}@{self.domain}", "primary": True}]})

    def _add_member(self, unit: Unit, event: Event) -> None:
        user, via = event.text("user"), event.text("via")
        groups = tuple(event.fields.get("groups") or ())
        if via == "manual":
            member = add_member(
                unit,
                self._draft(user),
                tier=event.fields.get("tier"),
                buy_if_needed=bool(event.fields.get("buy_if_needed", False)),
                member_id=self.ids[user],
            )
            sync_claimed_groups(unit, member.connection_id, member, groups)
        elif via in {"jit", "scim"}:
            self._provision(unit, user, Source(via), groups if "groups" in event.fields else None)
        else:
            raise InvalidInputError(f"events.{event.number}.via", f"{via!r} is not one of manual, jit, scim")

    def _provision(self, unit: Unit, user: str, source: Source, groups: tuple[str, ...] | None) -> None:
        """Push a person or sign them in, for the first time or again (rule A7)."""
        present = unit.session.get(Member, (self.org_id, self.ids[user]))
        if present is None:
            member = provision_member(
                unit,
                self.connection_id,
                self._draft(user),
                source,
                claimed_groups=groups or (),
                member_id=self.ids[user],
            )
            if source is Source.JIT:
                self._link(unit, member)
            sync_claimed_groups(unit, self.connection_id, member, groups or ())
            return
        if source is Source.JIT and not present.active:
            raise SignInRefusedError("deactivated", "This person was turned off")
        if groups is not None:
            sync_claimed_groups(unit, present.connection_id, present, groups)
        if source is Source.SCIM and present.source != Source.SCIM:
            provision_member(unit, self.connection_id, self._draft(user), source)
        elif source is Source.SCIM and not present.active:
            reactivate_member(unit, present, reason="directory")
        elif source is Source.SCIM:
            update_member(unit, present, self._draft(user))
        if groups is not None and present.active:
            promote_waiting(unit, [settle_seat(unit, present, Occasion.REGROUPED)])

    def _link(self, unit: Unit, member: Member) -> None:
        """Remember, as a sign-in does, that the identity provider itself named the person so."""
        unit.session.add(
            Identity(
                org_id=self.org_id,
                connection_id=self.connection_id,
                protocol=SignInProtocol.SAML,
                issuer=_ISSUER,
                subject=member.user_name,
                member_id=member.id,
                linked_at=unit.at,
                linked_by=LinkedBy.JIT,
            )
        )
        unit.session.flush()

    def _member(self, unit: Unit, event: Event) -> Member:
        return get_member(unit, self.ids[event.text("user")])

    def _assign(self, unit: Unit, event: Event) -> None:
        member = self._member(unit, event)
        buy = bool(event.fields.get("buy_if_needed", False))
        assign_tier(unit, member.id, event.text("tier"), buy_if_needed=buy)

    def _set_groups(self, unit: Unit, event: Event) -> None:
        unit.lock()
        member = self._member(unit, event)
        sync_claimed_groups(unit, member.connection_id, member, event.fields["groups"])
        if member.active:
            promote_waiting(unit, [settle_seat(unit, member, Occasion.REGROUPED)])

    def _set_mappings(self, unit: Unit, tiers: Mapping[str, str]) -> None:
        rules = [{"group": group, "expected": True, "tier": tier} for group, tier in tiers.items()]
        document = {"schema": 2, "on_exhausted": self.scenario.on_exhausted, "rules": rules}
        if _in_force(unit, document):
            return
        apply_mappings(unit, preview_mappings(unit, document).id, acknowledged=True)

    def _deactivate(self, unit: Unit, event: Event) -> None:
        unit.lock()
        promote_waiting(unit, [deactivate_member(unit, self._member(unit, event), reason="by_hand")])

    def _reactivate(self, unit: Unit, event: Event) -> None:
        unit.lock()
        reactivate_member(unit, self._member(unit, event), reason="by_hand")

    def _remove(self, unit: Unit, event: Event) -> None:
        unit.lock()
        remove_member(unit, self._member(unit, event), reason="by_hand")

    def _note_alerts(self) -> None:
        """Keep alerts as they are raised; of one event, in the order of the people's names."""
        with self._unit(self.scenario.until, SYSTEM) as unit:
            new = [
                alert
                for alert in unit.session.scalars(
                    select(Alert).where(Alert.org_id == self.org_id, Alert.code == self.alert)
                )
                if alert.id not in self.seen
            ]
        self.seen |= {alert.id for alert in new}
        found = [{"at": instant_text(alert.at), "alert": alert.code, **self._alert_facts(alert)} for alert in new]
        self.alerts += sorted(found, key=lambda alert: str(alert.get("user")))

    def _alert_facts(self, alert: Alert) -> dict[str, Any]:
        """Return what an alert says besides its instant and code."""
        names = {member_id: user for user, member_id in self.ids.items()}
        return {"tier": alert.tier, "user": names[alert.member_id] if alert.member_id else None}

    def _exports(self, unit: Unit) -> dict[str, list[str]]:
        """Return the licence holders of each billed month; plans sold by seats have none."""
        del unit
        return {}

    def _people(self, unit: Unit) -> dict[str, Member]:
        """Return the people of the scenario who are there, by name."""
        found = {user: unit.session.get(Member, (self.org_id, member_id)) for user, member_id in self.ids.items()}
        return {user: member for user, member in found.items() if member is not None}

    def _plan(self, unit: Unit) -> dict[str, Any]:
        """Return what the state at the end says of every plan."""
        contract = unit.session.get_one(Contract, self.org_id)
        return {"status": contract.status, "credit_balance": contract.credit_balance}

    def _state(self, unit: Unit) -> dict[str, Any]:
        return {
            **self._plan(unit),
            "seats": {
                pool.tier: {
                    "paid": pool.paid,
                    "next": pool.total,
                    "assigned": pool.used,
                    "available": pool.total - pool.used,
                }
                for pool in reversed(read_pools(unit))
            },
            "members": {
                user: {"tier": member.tier or UNASSIGNED, "active": member.active}
                for user, member in self._people(unit).items()
            },
        }


def _in_force(unit: Unit, document: Mapping[str, Any]) -> bool:
    """Tell whether a document says what the rules in force say already."""
    ladder = ladder_of(read_pools(unit))
    return not difference(mapping_set_in_force(unit, ladder), read_document(unit, document, ladder), ladder)


def _invoices(unit: Unit) -> list[dict[str, Any]]:
    lines: dict[UUID, list[dict[str, Any]]] = {}
    for line in unit.session.scalars(
        select(InvoiceLine).where(InvoiceLine.org_id == unit.org_id).order_by(InvoiceLine.position)
    ):
        lines.setdefault(line.invoice_id, []).append(_line(line))
    return [
        {
            "at": instant_text(invoice.at),
            "type": invoice.type,
            "reason": invoice.reason,
            "lines": lines[invoice.id],
            "subtotal": invoice.subtotal,
            "tax": invoice.tax,
            "total": invoice.total,
            "credit_applied": invoice.credit_applied,
            "amount_due": invoice.amount_due,
        }
        for invoice in unit.session.scalars(
            select(Invoice).where(Invoice.org_id == unit.org_id).order_by(Invoice.number)
        )
    ]


def _preview(preview: SeatsPreview) -> dict[str, Any]:
    bill = preview.quote.bill
    return {
        "lines": [_line(line) for line in bill.lines] if bill else [],
        "subtotal": bill.subtotal if bill else 0,
        "tax": bill.tax if bill else 0,
        "total": bill.total if bill else 0,
        "next_renewal_subtotal": preview.quote.renewal_after,
    }


def _line(line: InvoiceLine | BillLine) -> dict[str, Any]:
    return {
        "kind": line.kind,
        "tier": line.tier,
        "quantity": line.quantity,
        "from": instant_text(line.start),
        "to": instant_text(line.end),
        "amount": line.amount,
    }
