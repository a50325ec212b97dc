"""The programming interface, /api/v1: thin views over the use cases, for programs of an organization."""

from flask import Blueprint

from bridge.runtime import Runtime
from bridge.web.api.calls import CallLimits
from bridge.web.api.documentation import add_documentation
from bridge.web.api.resources import RESOURCES
from bridge.web.api.serving import view_of
from bridge.web.credentials import api_key


def api_blueprint(runtime: Runtime) -> Blueprint:
    """Return every operation as a route, and the pages that explain them."""
    blueprint = Blueprint("api", __name__, url_prefix="/api/v1")
    limits = CallLimits(runtime.settings.api)
    for resource in RESOURCES:
        for operation in resource.operations:
            view = api_key(view_of(runtime, limits, operation))
            blueprint.add_url_rule(
                operation.path,
                operation.name,
                view,
                methods=[operation.method],
                # HEAD and OPTIONS would be answered without a key.
                provide_automatic_options=False,
            )
    add_documentation(blueprint)
    return blueprint
