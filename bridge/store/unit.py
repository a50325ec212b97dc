"""The unit of work: one transaction of one organization, with who acts and at what instant."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from bridge.domain.actors import Actor
from bridge.domain.billing_parties import Seller
from bridge.domain.identifiers import OrgId
from bridge.domain.roles import Permission
from bridge.ports import BillingCore
from bridge.store.models import Organization, OrganizationState


@dataclass(slots=True)
class Unit:
    """What every use case gets: the session of one transaction, bound to one organization.

    A use case reads, decides, writes, charges and audits; it never commits. The edge that opened the unit commits it
    once, or rolls everything back.

    Args:
        at: The instant of the whole unit, aware, in UTC: everything it writes carries it.
        audit_keys: Keys of the audit chain's HMAC: the first seals, any of them may have sealed what is there.
        billing_factory: Binds the billing core to this unit.
        seller: Who issues the invoices of this installation; None when its configuration names nobody.
        payment_terms_days: Days to pay where the buyer's billing details name none.
        provisional_days: Days that a directory has to name who signed in before it did; 0 for as long as it likes.
        recheck: Runs once, when the lock has just been taken: refuses an actor who lost access while it was waited for.
        on_lock: Runs once after it: what must come before anything else is written.
        held: The hold that the brake put something of this unit under, if it did.
        on_finish: Serves who has begun to wait for a seat that may be bought; see :meth:`finish`.
    """

    session: Session
    org_id: OrgId
    actor: Actor
    at: datetime
    request_id: str
    audit_keys: tuple[bytes, ...]
    billing_factory: Callable[["Unit"], BillingCore]
    on_lock: Callable[["Unit"], None] | None = None
    seller: Seller | None = None
    payment_terms_days: int = 30
    provisional_days: int = 14
    recheck: Callable[["Unit"], None] | None = None
    held: uuid.UUID | None = None
    on_finish: Callable[["Unit"], object] | None = None
    line_grew: bool = False
    _billing: BillingCore | None = field(default=None, repr=False)
    _state: OrganizationState | None = field(default=None, repr=False)

    @property
    def billing(self) -> BillingCore:
        """The billing core of this organization."""
        if self._billing is None:
            self._billing = self.billing_factory(self)
        return self._billing

    @property
    def is_locked(self) -> bool:
        """Whether other writers of the organization wait for this unit."""
        return self._state is not None

    def lock(self, *, settle: bool = True) -> OrganizationState:
        """Lock the organization's state row: the first thing every writing use case does.

        Writers of one organization queue here, so they take every other lock in any order they like, and what they
        read afterwards is settled. What was read before is read again when it is used.

        Args:
            settle: Run :attr:`on_lock` when the lock is new; only what runs there says no.
        """
        if self._state is None:
            self.session.flush()
            self.session.expire_all()
            self._state = self.session.scalars(
                select(OrganizationState)
                .where(OrganizationState.org_id == self.org_id)
                .with_for_update()
                .execution_options(populate_existing=True)
            ).one()
            if self.recheck is not None:
                self.recheck(self)
            if settle and self.on_lock is not None:
                self.on_lock(self)
        return self._state

    def organization(self) -> Organization:
        """Return the organization of this unit."""
        return self.session.scalars(select(Organization).where(Organization.id == self.org_id)).one()

    def state(self) -> OrganizationState:
        """Read the organization's state row without locking it."""
        if self._state is not None:
            return self._state
        return self.session.scalars(
            select(OrganizationState)
            .where(OrganizationState.org_id == self.org_id)
            .execution_options(populate_existing=True)
        ).one()

    def require(self, permission: Permission) -> None:
        """Refuse what the actor may not do (rules Z1 to Z4).

        Whoever holds a set-up link may change connections and nothing else.

        Raises:
            ForbiddenError: When the role lacks the permission.
            InsufficientScopeError: When the scopes of the key do.
        """
        self.actor.require(permission)

    def finish(self) -> None:
        """Do what is done once for everything the unit did, just before it is committed.

        Whoever has begun to wait for a seat that may be bought within a budget is bought one then: all of them by one
        purchase, in the order of the line, and none for a step that was taken back.
        """
        if self.line_grew and self.on_finish is not None:
            self.line_grew = False
            self.on_finish(self)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Enclose a step that may fail without taking the rest of the unit with it.

        The organization is locked first: a lock taken inside would be given up with the step.
        """
        self.lock()
        with self.session.begin_nested():
            yield
            self.session.flush()


def bind_organization(session: Session, org_id: OrgId) -> None:
    """Say which organization this transaction works for; row-level security shows it nothing else."""
    session.execute(text("SELECT set_config('seatbridge.org', :org, true)"), {"org": str(org_id)})
