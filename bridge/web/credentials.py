"""What a route asks of its caller: every view says so, and one that does not is never served."""

from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from flask import Flask
from flask.typing import ResponseReturnValue

from bridge.domain.roles import Permission
from bridge.web.session import Visit, open_visit

ParamT = ParamSpec("ParamT")
ViewT = TypeVar("ViewT", bound=Callable[..., Any])

_MARK = "_seatbridge_credential"


class Credential(StrEnum):
    """Kinds of credential that a route may ask for."""

    NONE = "none"
    SESSION = "session"
    SCIM_TOKEN = "scim_token"  # noqa: S105 (a kind, not a token)
    ASSERTION = "assertion"
    LINK = "link"
    SIGNATURE = "signature"
    METRICS_TOKEN = "metrics_token"  # noqa: S105 (as above)
    APP_REQUEST = "app_request"
    CLIENT_SECRET = "client_secret"  # noqa: S105 (as above)
    API_KEY = "api_key"
    ACCESS_TOKEN = "access_token"  # noqa: S105 (as above)


def asks_for(kind: Credential) -> Callable[[ViewT], ViewT]:
    """Declare which credential a view checks itself."""

    def declare(view: ViewT) -> ViewT:
        setattr(view, _MARK, kind)
        return view

    return declare


public = asks_for(Credential.NONE)
scim = asks_for(Credential.SCIM_TOKEN)
assertion = asks_for(Credential.ASSERTION)
link = asks_for(Credential.LINK)
signature = asks_for(Credential.SIGNATURE)
metrics = asks_for(Credential.METRICS_TOKEN)
#: A request of an application, brought by a browser: what it may do is what was registered.
app_request = asks_for(Credential.APP_REQUEST)
#: A key of a program of the organization.
api_key = asks_for(Credential.API_KEY)
client_secret = asks_for(Credential.CLIENT_SECRET)
access_token = asks_for(Credential.ACCESS_TOKEN)


def signed_in(
    permission: Permission | None = None,
) -> Callable[[Callable[Concatenate[Visit, ParamT], ResponseReturnValue]], Callable[ParamT, ResponseReturnValue]]:
    """Open the view's unit of work from the session cookie, check the permission, and commit after the view.

    Args:
        permission: What the member's role must allow; None for anybody who is signed in (rules Z1 to Z4).
    """

    def declare(
        view: Callable[Concatenate[Visit, ParamT], ResponseReturnValue],
    ) -> Callable[ParamT, ResponseReturnValue]:
        @wraps(view)
        def guarded(*args: ParamT.args, **kwargs: ParamT.kwargs) -> ResponseReturnValue:
            with open_visit() as visit:
                if permission is not None:
                    visit.unit.require(permission)
                return view(visit, *args, **kwargs)

        return asks_for(Credential.SESSION)(guarded)

    return declare


def credential_of(app: Flask, endpoint: str) -> Credential | None:
    """Return what an endpoint declared, by its view or by its blueprint; None for one that declared nothing."""
    found = getattr(app.view_functions.get(endpoint), _MARK, None)
    if found is None and "." in endpoint:
        blueprint = app.blueprints.get(endpoint.rpartition(".")[0])
        found = getattr(blueprint, _MARK, None)
    return found
