"""Signing out: at an application's wish (RP-initiated), and telling applications of it (back-channel)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from authlib.oidc.rpinitiated import EndSessionEndpoint
from joserfc.jwk import KeySet

from bridge.adapters.oauth.desk import Desk
from bridge.adapters.oauth.keys import ALGORITHM, LOGOUT_TOKEN, Signer
from bridge.domain.identifiers import new_id
from bridge.usecases.apps import RegisteredApp
from bridge.usecases.signing_keys import KeyRing

#: Shorter than two minutes is what the specification recommends (Back-Channel Logout 1.0 §2.4).
_LIFETIME: Final = timedelta(minutes=2)
_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"


@dataclass(frozen=True, slots=True)
class LogoutRequest:
    """A wish to sign somebody out.

    Attributes:
        claims: Of the ID token that the application brought, expired or not; None without one of ours.
        redirect_uri: Where the browser goes afterwards, with the state; None where nothing proves that it may.
    """

    claims: Mapping[str, Any] | None
    redirect_uri: str | None


class EndSession(EndSessionEndpoint):  # type: ignore[misc] # authlib carries no types
    """Checks a wish to sign out; who grants it ends the session."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk

    def get_server_jwks(self) -> KeySet:
        """Return the published keys."""
        return self.desk.signer.published_keys(self.desk.keys())

    def get_algorithms(self) -> list[str]:
        """Return the one algorithm that we sign by."""
        return [ALGORITHM]


def logout_token(
    signer: Signer, ring: KeyRing, app: RegisteredApp, *, member_id: str, session_id: str | None, at: datetime
) -> str:
    """Write what an application is told when a session ends, or everything of a person.

    Args:
        signer: Signs it.
        ring: The keys.
        app: Whom it is for.
        member_id: Whose sessions.
        session_id: Which one; None for all of them.
        at: The instant.

    Source: OpenID Connect Back-Channel Logout 1.0 §2.4.
    """
    claims: dict[str, Any] = {
        "iss": signer.issuer,
        "aud": str(app.id),
        "iat": int(at.timestamp()),
        "exp": int((at + _LIFETIME).timestamp()),
        "jti": str(new_id()),
        "sub": member_id,
        "events": {_EVENT: {}},
    }
    if session_id is not None:
        claims["sid"] = session_id
    return signer.sign(ring, claims, kind=LOGOUT_TOKEN)
