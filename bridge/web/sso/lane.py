"""The short way of sign-ins: what a process remembers of connections, and the one statement that signs somebody in.

A lane may always decline; the general way then answers, and says what is wrong where something is.
"""

from datetime import datetime
from typing import Final

from bridge.domain.identifiers import new_id
from bridge.domain.recent import Recent
from bridge.domain.sign_in import SignInProtocol
from bridge.observability import current_request_id
from bridge.runtime import Runtime
from bridge.store.seals import hmac_pads
from bridge.usecases.quick_sign_in import Attempt, KnownConnection, QuickSignIn, Stale, read_known, sign_in_quickly
from bridge.usecases.quick_writes import Author
from bridge.usecases.recognise_subject import AssertedSubject
from bridge.usecases.single_logout import NamedSession
from bridge.web.session import new_session
from bridge.web.sso.cookies import request_cookie_hashes
from bridge.web.sso.flow import Accepted
from bridge.web.sso.places import Place
from bridge.web.sso.refusals import signing_in

#: Connections that are remembered.
MAX_REMEMBERED: Final = 1000


class SignInLane:
    """Signs people in by one statement, at the connections of one protocol that somebody has signed in at before.

    Nothing remembered grants anything: each statement looks under the lock whether it still holds.

    Args:
        runtime: The product.
        protocol: What the connections speak.
    """

    def __init__(self, runtime: Runtime, protocol: SignInProtocol) -> None:
        self._runtime, self._protocol = runtime, protocol
        self._known: Recent[tuple[str, str], tuple[Place, KnownConnection]] = Recent(MAX_REMEMBERED)
        self._audit_keys = runtime.secrets.derive_all("audit")
        self._pads = hmac_pads(self._audit_keys[0])

    def known(self, org: str, connection_id: str) -> tuple[Place, KnownConnection] | None:
        """Return what is remembered of a connection, by what stands in the address; None of one that is not known."""
        return self._known.get((org, connection_id))

    def learn(self, place: Place) -> None:
        """Remember a connection at which somebody has just signed in by the general way."""
        if (place.slug, str(place.connection_id)) in self._known:
            return
        with self._runtime.unit(place.org_id, signing_in(place)) as unit:
            known = read_known(unit, place.connection_id)
        if known is not None and known.protocol is self._protocol:
            self._known.keep((place.slug, str(place.connection_id)), (place, known))

    def arrive(
        self, place: Place, known: KnownConnection, subject: AssertedSubject, named: NamedSession | None, at: datetime
    ) -> Accepted | None:
        """Sign a verified subject in and open their session; None when nothing was done."""
        session = new_session(at, place.protocol)
        author = Author(
            slug=place.slug,
            at=at,
            actor=str(signing_in(place)),
            request_id=current_request_id() or str(new_id()),
            pads=self._pads,
        )
        signed_in = sign_in_quickly(
            self._runtime.lane,
            author,
            known,
            Attempt(subject, request_cookie_hashes(), place.test_path, session, named),
            audit_keys=self._audit_keys,
            days=self._runtime.settings.sso.provisional_days,
        )
        if isinstance(signed_in, QuickSignIn):
            return Accepted(session.token, signed_in.former_session, signed_in.return_path, subject.request_id)
        if isinstance(signed_in, Stale):
            self._known.forget((place.slug, str(place.connection_id)))
        return None
