"""From an identity provider's metadata, as it was read, to what a connection believes."""

from bridge.adapters.saml.metadata import IdpMetadata
from bridge.usecases.saml_trust import SamlTrust, TrustedCertificate


def trust_in(metadata: IdpMetadata) -> SamlTrust:
    """Return what a connection that trusts this identity provider has to keep."""
    return SamlTrust(
        entity_id=metadata.entity_id,
        sso_url=metadata.sso_url,
        certificates=tuple(
            TrustedCertificate(one.pem, one.fingerprint, one.not_before, one.not_after) for one in metadata.certificates
        ),
        wants_signed_requests=metadata.wants_signed_requests,
        logout_url=metadata.logout_url,
        logout_response_url=metadata.logout_response_url,
    )
