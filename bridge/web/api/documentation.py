"""The document of the programming interface, the page to read and try it, and a page for every code."""

import functools
import json
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from flask import Blueprint, Response, render_template

from bridge import errors
from bridge.errors import BridgeError, NotFoundError
from bridge.web.credentials import public
from bridge.web.errors import answer_for_kind

_ASSETS: Final = {
    "swagger-ui.css": ("css/swagger-ui.css", "text/css; charset=utf-8"),
    "swagger-ui-bundle.js": ("js/swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
}


def add_documentation(blueprint: Blueprint) -> None:
    """Add what anybody may read: nothing of it is about an organization."""
    blueprint.add_url_rule("/openapi.json", "openapi_json", public(_openapi_json))
    blueprint.add_url_rule("/openapi.yaml", "openapi_yaml", public(_openapi_yaml))
    blueprint.add_url_rule("/docs", "docs", public(_docs))
    blueprint.add_url_rule("/docs/<name>", "docs_asset", public(_docs_asset))
    blueprint.add_url_rule("/errors/<code>", "error_code", public(_error_code))


def _openapi_json() -> Response:
    return Response(_document(), content_type="application/json")


def _openapi_yaml() -> Response:
    return Response(_as_yaml(), content_type="application/yaml")


def _docs() -> Response:
    page = render_template("api_docs.html")
    response = Response(page, content_type="text/html; charset=utf-8")
    # Swagger UI draws its arrows from pictures inside its stylesheet.
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
    return response


def _docs_asset(name: str) -> Response:
    spec = find_spec("flask_openapi_swagger")  # its files alone: nothing of it is imported
    if name not in _ASSETS or spec is None or not spec.submodule_search_locations:
        raise NotFoundError("page", name)
    folder = Path(spec.submodule_search_locations[0]) / "templates" / "swagger"
    path, media = _ASSETS[name]
    return Response((folder / path).read_bytes(), content_type=media)


def _error_code(code: str) -> Response:
    """Explain a code: the address that problems name as their type."""
    kind = _kinds().get(code)
    if kind is None:
        raise NotFoundError("error code", code)
    answer = answer_for_kind(kind)
    meaning = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
    page = render_template("api_error.html", code=code, answer=answer, meaning=meaning)
    return Response(page, content_type="text/html; charset=utf-8")


@functools.cache
def _kinds() -> dict[str, type[BridgeError]]:
    known = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, BridgeError)]
    return {kind.code: kind for kind in known if "code" in vars(kind)}


@functools.cache
def _document() -> bytes:
    return files("bridge.web.api").joinpath("openapi.json").read_bytes()


@functools.cache
def _as_yaml() -> bytes:
    import yaml  # noqa: PLC0415 (a worker that nobody asks for YAML does without)

    text: str = yaml.safe_dump(json.loads(_document()), sort_keys=False, allow_unicode=True, width=120)
    return text.encode()
