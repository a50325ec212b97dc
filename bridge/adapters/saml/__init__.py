"""SAML 2.0 for the service provider's side: requests, metadata, and the verification of what comes back.

No database, no clock, no HTTP request: everything is passed in, so that a verified assertion depends on the
bytes, the configuration and the instant only. The composition root calls :func:`initialise` once.
"""

from bridge.adapters.saml.gate import MAX_RESPONSE_BYTES, check_structure
from bridge.adapters.saml.library import SignedPart, initialise
from bridge.adapters.saml.metadata import (
    IdpCertificate,
    IdpMetadata,
    check_sso_url,
    fetch_metadata,
    parse_idp_metadata,
    read_certificate,
)
from bridge.adapters.saml.person import AssertedPerson, asserted_person
from bridge.adapters.saml.refusals import SamlRefusal
from bridge.adapters.saml.requests import (
    PublishedKeys,
    SignInEndpoint,
    SpKey,
    SpSettings,
    build_authn_request,
    new_request_id,
    sp_metadata,
)
from bridge.adapters.saml.responses import IdpTrust, VerifiedAssertion, verify_response

__all__ = [
    "MAX_RESPONSE_BYTES",
    "AssertedPerson",
    "IdpCertificate",
    "IdpMetadata",
    "IdpTrust",
    "PublishedKeys",
    "SamlRefusal",
    "SignInEndpoint",
    "SignedPart",
    "SpKey",
    "SpSettings",
    "VerifiedAssertion",
    "asserted_person",
    "build_authn_request",
    "check_sso_url",
    "check_structure",
    "fetch_metadata",
    "initialise",
    "new_request_id",
    "parse_idp_metadata",
    "read_certificate",
    "sp_metadata",
    "verify_response",
]
