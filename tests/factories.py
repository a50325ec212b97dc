"""Organizations and people for tests, made through the product's own use cases."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bridge.domain.actors import OPERATOR, Actor, ActorKind
from bridge.domain.brake import MINIMUM_BOUNDS, Thresholds
from bridge.domain.identifiers import ConnectionId, MemberId, OrgId, new_id
from bridge.domain.roles import Role
from bridge.ports import ContractDraft, FeeDraft, TierPrice
from bridge.runtime import Runtime
from bridge.store.models import Connection, Member
from bridge.store.unit import Unit
from bridge.usecases.brake import set_thresholds
from bridge.usecases.organizations import OrganizationDraft
from bridge.usecases.provision_member import PersonDraft, Source, provision_member
from bridge.usecases.provisioning_mode import preview_mode, switch_mode
from bridge.usecases.set_budget import BudgetDraft, BudgetSet, confirm_budget, preview_budget


@dataclass(frozen=True, slots=True)
class Customer:
    """An organization under test, its owner and its IdP connection."""

    runtime: Runtime
    org_id: OrgId
    slug: str
    owner_id: MemberId
    connection_id: ConnectionId

    @contextmanager
    def unit(self, actor: Actor = OPERATOR, at: datetime | None = None) -> Iterator[Unit]:
        """Open a unit of work for this organization."""
        with self.runtime.unit(self.org_id, actor, at=at) as unit:
            yield unit

    @property
    def owner(self) -> Actor:
        """The primary owner, as an actor."""
        return Actor(ActorKind.MEMBER, self.owner_id, Role.PRIMARY_OWNER)

    @property
    def directory(self) -> Actor:
        """The connection's provisioning client, as an actor."""
        return Actor(ActorKind.DIRECTORY, self.connection_id)

    def push(self, user_name: str, *, external_id: str | None = None, **document: object) -> Member:
        """Push a person as the directory would."""
        with self.unit(self.directory) as unit:
            return provision_member(
                unit,
                self.connection_id,
                PersonDraft(user_name, external_id=external_id, document=dict(document)),
                Source.SCIM,
            )


def set_brake(customer: Customer, *, minimum: int = 5, share: int = 20, window_minutes: int = 10) -> None:
    """Set what trips the brake."""
    with customer.unit(customer.owner) as unit:
        set_thresholds(unit, Thresholds(minimum, share, window_minutes))


def set_budget(unit: Unit, tier: str, **caps: Any) -> BudgetSet:
    """Set a budget as an owner does who accepts what it buys at once."""
    return confirm_budget(unit, preview_budget(unit, BudgetDraft(tier=tier, **caps)).id, acknowledged=True)


def loosen_brake(customer: Customer) -> None:
    """Let the directory do whatever it wants: for tests of something else that move more than a few people."""
    set_brake(customer, minimum=MINIMUM_BOUNDS[1])


def switch_mode_to(customer: Customer, mode: str) -> None:
    """Switch the provisioning mode, as an administrator who has seen the preview."""
    with customer.unit() as unit:
        switch_mode(unit, preview_mode(unit, mode).id)


def create_customer(
    runtime: Runtime,
    slug: str = "nordlys",
    *,
    kind: str = "team",
    cycle: str | None = None,
    premium: int = 2,
    standard: int = 5,
    premium_price: int = 15000,
    standard_price: int = 2500,
    anchor: datetime | None = None,
    currency: str = "EUR",
    time_zone: str = "UTC",
    fee: FeeDraft | None = None,
    auto_renew: bool = True,
    billed_by: str = "builtin",
) -> Customer:
    """Create an organization with two tiers, an owner ``owner@<slug>.test`` and one IdP connection.

    Prices are minor units for one seat and period. A contract for a fixed ``fee`` has no tiers.
    """
    contract = ContractDraft(
        kind="contract" if fee else kind,
        cycle=cycle or ("month" if not fee and kind == "team" else "year"),
        anchor=anchor or runtime.clock.now(),
        currency=currency,
        time_zone=time_zone,
        tiers=()
        if fee
        else (
            TierPrice("premium", "Premium", 2, premium_price, premium),
            TierPrice("standard", "Standard", 1, standard_price, standard),
        ),
        auto_renew=auto_renew,
        fee=fee,
        billed_by=billed_by,
    )
    return _take_in(runtime, slug, contract)


def create_workspace(
    runtime: Runtime,
    slug: str = "nordlys",
    *,
    kind: str = "user_licence",
    price: int = 500,
    anchor: datetime | None = None,
    currency: str = "EUR",
    time_zone: str = "UTC",
    auto_renew: bool = True,
) -> Customer:
    """Create an organization whose teams or people are licensed, with an owner and one IdP connection.

    The price is minor units for one licence and month.
    """
    contract = ContractDraft(
        kind=kind,
        cycle="month",
        anchor=anchor or runtime.clock.now(),
        currency=currency,
        time_zone=time_zone,
        tiers=(TierPrice(kind, kind.replace("_", " ").capitalize(), 1, price, 0),),
        auto_renew=auto_renew,
    )
    return _take_in(runtime, slug, contract)


def _take_in(runtime: Runtime, slug: str, contract: ContractDraft) -> Customer:
    created = runtime.create_organization(
        OrganizationDraft(
            slug=slug,
            name=slug.title(),
            locale="en",
            time_zone=contract.time_zone,
            contract=contract,
            owner_email=f"owner@{slug}.test",
            owner_name="Olga Owner",
        )
    )
    connection_id = ConnectionId(new_id())
    with runtime.unit(created.org_id, OPERATOR) as unit:
        unit.session.add(
            Connection(org_id=created.org_id, id=connection_id, kind="idp", name="Okta", created_at=unit.at)
        )
    return Customer(runtime, created.org_id, slug, created.owner_id, connection_id)
