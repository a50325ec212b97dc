"""The web application: everything that speaks HTTP hangs on it, and nothing is served that did not say to whom."""

from collections.abc import Callable, Iterable, Mapping
from contextvars import Token
from typing import Any

from flask import Blueprint, Flask, Request, Response, abort, g, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask_wtf.csrf import CSRFProtect
from structlog.contextvars import bind_contextvars, reset_contextvars
from werkzeug.middleware.proxy_fix import ProxyFix

from bridge.observability import request_id_from
from bridge.runtime import Runtime
from bridge.web.credentials import Credential, asks_for, credential_of
from bridge.web.errors import register_error_pages
from bridge.web.metrics import add_metrics
from bridge.web.probes import add_probes
from bridge.web.problems import API_PREFIX
from bridge.web.rendering import prepare_templates
from bridge.web.session import EXTENSION, is_secure

MAX_FORM_BYTES = 1_048_576
#: What a browser does not send by itself, or sends for another site, needs no secret of a form.
_WITHOUT_FORMS = frozenset(
    {
        Credential.SCIM_TOKEN,
        Credential.ASSERTION,
        Credential.SIGNATURE,
        Credential.APP_REQUEST,
        Credential.CLIENT_SECRET,
        Credential.ACCESS_TOKEN,
        Credential.API_KEY,
    }
)

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def create_web_app(runtime: Runtime, blueprints: Iterable[Blueprint]) -> Flask:
    """Build the Flask app over a runtime.

    Args:
        runtime: What every view works on.
        blueprints: The edges: console, single sign-on, SCIM. Each of their views declares its credential
            (:mod:`bridge.web.credentials`); those that take no session are exempt from the CSRF check.
    """
    app = Flask("bridge.web", static_folder="static", template_folder="templates")
    app.extensions[EXTENSION] = runtime
    _configure(app, runtime)
    add_metrics(app, runtime)
    app.before_request(_admitting(app, CSRFProtect(app)))
    app.after_request(_adding_headers(runtime))
    app.teardown_request(_end_request)
    asks_for(Credential.NONE)(app.view_functions["static"])
    add_probes(app, runtime)
    prepare_templates(app)
    register_error_pages(app)
    for blueprint in blueprints:
        app.register_blueprint(blueprint)
    return app


def _configure(app: Flask, runtime: Runtime) -> None:
    settings = runtime.settings
    secure = is_secure(settings)
    current, *older = runtime.secrets.derive_all("web")
    app.config.update(
        SECRET_KEY=current,
        SECRET_KEY_FALLBACKS=older,
        # Flask's own cookie carries nothing but the secret of the CSRF check.
        SESSION_COOKIE_NAME="__Host-seatbridge-form" if secure else "seatbridge-form",
        SESSION_COOKIE_SECURE=secure,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_CHECK_DEFAULT=False,  # the check is made below, by what a route asks for
        WTF_CSRF_SSL_STRICT=False,  # compares with the Host header, which is never believed
        MAX_CONTENT_LENGTH=max(MAX_FORM_BYTES, settings.scim.max_body_bytes, settings.scim.max_bulk_bytes),
        MAX_FORM_MEMORY_SIZE=MAX_FORM_BYTES,
        MAX_FORM_PARTS=5000,
        SEND_FILE_MAX_AGE_DEFAULT=86400,
    )
    # Redirects of the router would carry the Host header.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.url_map.redirect_defaults = False
    app.session_interface = FormSessions()
    if settings.server.trusted_proxies:
        hops = settings.server.trusted_proxies
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign] # Flask's documented way to add a middleware
            app.wsgi_app, x_for=hops, x_proto=0, x_host=0, x_port=0, x_prefix=0
        )


class FormSessions(SecureCookieSessionInterface):
    """Flask's own cookie, which a browser's forms need; a provisioning client has neither."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Read the cookie, but for programs: a session that nothing can be put into serves there."""
        return None if request.path.startswith(("/scim/", API_PREFIX)) else super().open_session(app, request)


def _admitting(app: Flask, csrf: CSRFProtect) -> Callable[[], None]:
    """Return what every request passes first, as one step: each step of its own costs as much as what it does."""
    declared: dict[str, Credential] = {}

    def admit() -> None:
        """Give the request an id, and every log line in it; refuse undeclared routes and forms that are not ours."""
        request_id = g.request_id = request_id_from(request.headers.get("X-Request-Id"))
        g.bound = bind_contextvars(request_id=request_id)
        endpoint = request.endpoint
        if endpoint is None:
            return
        kind = declared.get(endpoint) or credential_of(app, endpoint)
        if kind is None:
            abort(404)  # it forgot to declare its credential: denied by default
        declared[endpoint] = kind
        if kind not in _WITHOUT_FORMS:
            csrf.protect()

    return admit


def _end_request(_error: BaseException | None) -> None:
    bound: Mapping[str, Token[Any]] | None = g.pop("bound", None)
    if bound is not None:
        reset_contextvars(**bound)


def _adding_headers(runtime: Runtime) -> Callable[[Response], Response]:
    """Return what gives every answer the headers that it does not have yet."""
    common = {
        "content-security-policy": ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
        "x-content-type-options": ("X-Content-Type-Options", "nosniff"),
        "referrer-policy": ("Referrer-Policy", "same-origin"),
        "cross-origin-opener-policy": ("Cross-Origin-Opener-Policy", "same-origin"),
    }
    if is_secure(runtime.settings):
        value = "max-age=31536000; includeSubDomains"
        common["strict-transport-security"] = ("Strict-Transport-Security", value)

    def add_headers(response: Response) -> Response:
        headers = response.headers
        present = {name.lower() for name, _ in headers}
        for name, header in common.items():
            if name not in present:
                headers.add(*header)
        if "x-request-id" not in present:
            headers.add("X-Request-Id", g.get("request_id", ""))
        if request.endpoint != "static":
            headers["Cache-Control"] = "no-store"
        return response

    return add_headers
