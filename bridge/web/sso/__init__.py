"""Sign-in through a connection's identity provider (SAML 2.0), as pages under ``/sso/saml``."""

from bridge.web.sso.places import Place, safe_return_path
from bridge.web.sso.views import sso_blueprint

__all__ = ["Place", "safe_return_path", "sso_blueprint"]
