"""OpenID Connect for the relying party's side: discovery, the code flow, and the verification of ID tokens.

No database and no clock: everything is passed in. What goes over the line takes the guards of
:mod:`bridge.adapters.fetch`; the protocol itself is authlib's, and joserfc's for signatures.
"""

from bridge.adapters.oidc.discovery import ALGORITHMS, ProviderFacts, choose_auth_method, discover, read_description
from bridge.adapters.oidc.keys import KeyCache, read_keys
from bridge.adapters.oidc.person import DescribedPerson, described_person
from bridge.adapters.oidc.refusals import OidcRefusal
from bridge.adapters.oidc.tokens import (
    Client,
    Proof,
    authorization_url,
    read_userinfo,
    redeem_code,
    verify_id_token,
)
from bridge.adapters.oidc.wire import Wire, WireError

__all__ = [
    "ALGORITHMS",
    "Client",
    "DescribedPerson",
    "KeyCache",
    "OidcRefusal",
    "Proof",
    "ProviderFacts",
    "Wire",
    "WireError",
    "authorization_url",
    "choose_auth_method",
    "described_person",
    "discover",
    "read_description",
    "read_keys",
    "read_userinfo",
    "redeem_code",
    "verify_id_token",
]
