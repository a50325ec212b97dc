"""The product's side of the authorization server: one desk for a request, one transaction for what it does."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from bridge.adapters.oauth import Signer
from bridge.domain.actors import SYSTEM, Actor, ActorKind
from bridge.domain.credentials import credential_hash
from bridge.domain.identifiers import OrgId, parse_id
from bridge.runtime import Runtime
from bridge.store.gate import find_app_grant, find_scim_client
from bridge.store.models import AppGrant, Member, WebSession
from bridge.store.unit import Unit
from bridge.usecases import app_grants
from bridge.usecases.app_claims import claims_of
from bridge.usecases.app_grants import AskedGrant
from bridge.usecases.apps import RegisteredApp, registered_app
from bridge.usecases.scim_clients import RegisteredScimClient, issue_client_token, registered_client
from bridge.usecases.signing_keys import KeyRing, key_ring
from bridge.web.session import Visit

ResultT = TypeVar("ResultT")


class AppDesk:
    """Opens the unit of the organization whose token was brought, once it is known; see :func:`open_desk`.

    Args:
        runtime: The product.
        signer: Signs and reads tokens.
        visit: Of somebody who is signed in; its unit is worked in.
    """

    def __init__(self, runtime: Runtime, signer: Signer, visit: Visit | None = None) -> None:
        self.signer = signer
        self.now = runtime.clock.now() if visit is None else visit.unit.at
        self.access_seconds = runtime.settings.apps.access_token_seconds
        self.opened = ExitStack()
        self._runtime = runtime
        self._visit = visit
        self._unit: Unit | None = None if visit is None else visit.unit
        self._app: RegisteredApp | None = None
        self._keys: KeyRing | None = None

    def keys(self) -> KeyRing:
        """Return the keys as they are now."""
        if self._keys is None:
            self._keys = self._ask(lambda session: key_ring(session, self.now))
        return self._keys

    def find_app(self, client_id: str) -> RegisteredApp | None:
        """Find an application."""
        app_id = parse_id(client_id)
        if app_id is None:
            return None
        if self._app is None or self._app.id != app_id:
            self._app = self._ask(lambda session: registered_app(session, app_id))
        return self._app

    def find_scim_client(self, client_id: str) -> RegisteredScimClient | None:
        """Find a provisioning client."""
        machine_id = parse_id(client_id)
        if machine_id is None:
            return None
        org_id = self._runtime.ask_gate(lambda session: find_scim_client(session, machine_id))
        if org_id is None:
            return None
        with self._runtime.unit(org_id, SYSTEM, at=self.now) as unit:
            return registered_client(unit, machine_id)

    def issue_scim_token(self, client: RegisteredScimClient, *, can_write: bool) -> str | None:
        """Issue a SCIM token, unless the client was revoked meanwhile."""
        issued = issue_client_token(self._enter(client.org_id, None), client, can_write=can_write)
        return None if issued is None else issued.text

    def give(self, app: RegisteredApp, asked: AskedGrant, code: str) -> None:
        """Sign the visitor in to an application."""
        visit = self._visit
        assert visit is not None
        session = visit.unit.session.get_one(WebSession, (visit.unit.org_id, visit.session_id))
        lifetime = timedelta(days=self._runtime.settings.apps.offline_days)
        app_grants.give_grant(visit.unit, app, asked, session, code=code, offline_lifetime=lifetime)

    def open_code(self, app: RegisteredApp, code: str) -> AppGrant | None:
        """Find the grant of a code that may be used now."""
        unit = self._unit_of_token(app, code)
        return None if unit is None else app_grants.open_code(unit, app, code)

    def use_code(self, grant: AppGrant) -> None:
        """Use the code of a grant up."""
        app_grants.use_code(self._opened_unit, grant)

    def open_refresh_token(self, app: RegisteredApp, token: str) -> AppGrant | None:
        """Find the grant of a refresh token that may be used now."""
        unit = self._unit_of_token(app, token)
        return None if unit is None else app_grants.open_refresh_token(unit, app, token)

    def keep_refresh_token(self, grant: AppGrant, token: str, *, used: str | None) -> None:
        """Keep a new refresh token in the place of the used one."""
        app_grants.keep_refresh_token(self._opened_unit, grant, token, used=used)

    def claims(self, grant: AppGrant, scope: str) -> dict[str, Any]:
        """Describe the person of a grant as they are now."""
        unit = self._opened_unit
        member = unit.session.get_one(Member, (unit.org_id, grant.member_id))
        return claims_of(unit, member, scope.split())

    def find_grant(self, org_id: uuid.UUID, grant_id: uuid.UUID) -> AppGrant | None:
        """Find a grant that is alive."""
        return app_grants.find_grant(self._enter(OrgId(org_id), None), grant_id)

    def look_at_refresh_token(self, token: str) -> AppGrant | None:
        """Find the grant of a refresh token without using it."""
        unit = self._unit_of_token(None, token)
        return None if unit is None else app_grants.grant_of_refresh_token(unit, token)

    def end_grant(self, grant: AppGrant) -> None:
        """End a grant at its application's wish."""
        self._opened_unit.actor = _actor(grant.app_id)
        app_grants.end_grant(self._opened_unit, grant, by="revoked")

    @property
    def _opened_unit(self) -> Unit:
        assert self._unit is not None, "a grant was found in it"
        return self._unit

    def _unit_of_token(self, app: RegisteredApp | None, token: str) -> Unit | None:
        """Open the organization of a code or refresh token; None for one that nobody gave."""
        org_id = self._runtime.ask_gate(lambda session: find_app_grant(session, credential_hash(token)))
        return None if org_id is None else self._enter(org_id, app)

    def _ask(self, question: Callable[[Session], ResultT]) -> ResultT:
        """Look up what belongs to the installation, by the connection that is held already if one is.

        Who holds one and waits for another stops everybody as soon as as many do so as there are connections.
        """
        return self._runtime.ask_gate(question) if self._unit is None else question(self._unit.session)

    def _enter(self, org_id: OrgId, app: RegisteredApp | None) -> Unit:
        if self._unit is None:
            actor = Actor(ActorKind.APP) if app is None else _actor(app.id)
            self._unit = self.opened.enter_context(self._runtime.unit(org_id, actor, at=self.now))
        assert self._unit.org_id == org_id, "a request is about one organization"
        return self._unit


@contextmanager
def open_desk(runtime: Runtime, signer: Signer) -> Iterator[AppDesk]:
    """Open a desk for a request of an application; what was done is committed when the block ends."""
    desk = AppDesk(runtime, signer)
    with desk.opened:
        yield desk


def _actor(app_id: uuid.UUID) -> Actor:
    return Actor(ActorKind.APP, app_id)
