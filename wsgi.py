"""The composition root: settings, database, runtime and every edge, for ``gunicorn "wsgi:create_app()"``."""

import atexit
import gc
from contextlib import ExitStack

from flask import Flask

from bridge.adapters.tracing import start_tracing
from bridge.billing import BuiltinPayments
from bridge.config import LogFormat, Settings, load_settings
from bridge.observability import configure_logging
from bridge.runtime import Runtime, build_runtime, database
from bridge.store.database import check_database
from bridge.web.api import api_blueprint
from bridge.web.app import create_web_app
from bridge.web.billing_events import billing_events
from bridge.web.console import console_blueprints
from bridge.web.oauth.views import oauth_blueprints
from bridge.web.sso import oidc_blueprint, saml_blueprint
from scim.edge import scim_blueprint
from scim.replay_page import replay_blueprint

#: New objects until the youngest are searched, and how often that happens until the older ones are.
_GC_THRESHOLDS = (20_000, 20, 20)


def create_app(settings: Settings | None = None) -> Flask:
    """Build the whole application for one process.

    The embedded database, where one is used, is started unless it runs already, and stays for the life of the process.

    Args:
        settings: What to run with; read from the configuration file and the environment by default.

    Raises:
        ConfigurationError: The settings, the keys or the database cannot be used; the message says what to do.
    """
    settings = settings or load_settings()
    configure_logging(level=settings.log.level, as_json=settings.log.format is LogFormat.JSON)
    kept = ExitStack()
    atexit.register(kept.close)
    tracing = start_tracing(settings)
    if tracing is not None:
        kept.callback(tracing.close)
    urls = kept.enter_context(database(settings))
    runtime = build_runtime(settings, urls.service, payments=BuiltinPayments())
    kept.callback(runtime.close)
    check_database(runtime.engine)
    app = compose(runtime)
    if tracing is not None:
        tracing.watch(app)
    _leave_what_stays_alone()
    return app


def compose(runtime: Runtime) -> Flask:
    """Hang every edge on one app over a runtime that is there already."""
    edges = (
        *console_blueprints(),
        saml_blueprint(runtime),
        oidc_blueprint(runtime),
        *oauth_blueprints(runtime),
        billing_events,
        api_blueprint(runtime),
        scim_blueprint(runtime),
        replay_blueprint(runtime),
    )
    return create_web_app(runtime, edges)


def _leave_what_stays_alone() -> None:
    """Let the garbage collector pass over what lives as long as the process, and come less often.

    A page of people makes thousands of objects, which made it search all modules and models again and again: a fifth
    of the page's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
