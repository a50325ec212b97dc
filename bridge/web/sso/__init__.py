"""Sign-in through a connection's identity provider, as pages under ``/sso``."""

from bridge.web.sso.oidc import oidc_blueprint
from bridge.web.sso.places import Place, safe_return_path
from bridge.web.sso.saml import saml_blueprint

__all__ = ["Place", "oidc_blueprint", "safe_return_path", "saml_blueprint"]
