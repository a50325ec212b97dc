"""The authorization server for applications: authlib, kept in here.

authlib reads requests, checks what the specifications say and writes answers. What it asks for (applications, grants,
keys) it gets from a :class:`Desk`, one for each request, which is the product. No HTTP library, no database and no
clock is in here.
"""

from bridge.adapters.oauth.desk import Desk
from bridge.adapters.oauth.discovery import describe_server
from bridge.adapters.oauth.keys import Signer, make_key
from bridge.adapters.oauth.logout import LogoutRequest, logout_token
from bridge.adapters.oauth.server import AuthorizationRequest, RefusedHereError, Server
from bridge.adapters.oauth.wire import Answer, HttpRequest

__all__ = [
    "Answer",
    "AuthorizationRequest",
    "Desk",
    "HttpRequest",
    "LogoutRequest",
    "RefusedHereError",
    "Server",
    "Signer",
    "describe_server",
    "logout_token",
    "make_key",
]
