"""Settings: single sign-on for everybody, webhooks, and the way to what has its own page."""

import uuid
from collections.abc import Callable

from flask import Blueprint, Response, flash, request, url_for

from bridge.adapters.fetch import check_address
from bridge.adapters.webhooks import new_webhook_secret
from bridge.domain.identifiers import MemberId
from bridge.domain.roles import Permission
from bridge.domain.webhooks import EventType
from bridge.errors import InvalidChangeError, InvalidInputError
from bridge.store.queue import wake_workers
from bridge.usecases.enforce_sso import enforce_sso, preview_enforcement, relax_sso
from bridge.usecases.provisioning_mode import mode_of
from bridge.usecases.read_holds import read_thresholds
from bridge.usecases.webhook_endpoints import (
    add_endpoint,
    enable_endpoint,
    find_endpoint,
    list_endpoints,
    remove_endpoint,
    rotate_secret,
)
from bridge.usecases.webhook_messages import list_messages, queue_test, replay
from bridge.web.console.forms import identifier
from bridge.web.credentials import signed_in
from bridge.web.errors import answer_for, sentence_of
from bridge.web.rendering import plural, render, see_other
from bridge.web.session import Visit, current_runtime

pages = Blueprint("settings", __name__, url_prefix="/console/settings")


@pages.get("")
@signed_in(Permission.SEE_CONSOLE)
def index(visit: Visit) -> Response:
    """Show what is set, and where it is changed."""
    return render(
        "settings.html",
        mode=mode_of(visit.unit),
        thresholds=read_thresholds(visit.unit),
        enforced_at=visit.unit.state().sso_enforced_at,
    )


@pages.get("/single-sign-on")
@signed_in(Permission.ENFORCE_SSO)
def sso(visit: Visit) -> Response:
    """Show who could not sign in any more if single sign-on was enforced, or cannot since it is."""
    return render("sso.html", effect=preview_enforcement(visit.unit), problem="")


@pages.post("/single-sign-on/enforce")
@signed_in(Permission.ENFORCE_SSO)
def enforce(visit: Visit) -> Response:
    """Enforce single sign-on, for exactly those who were shown."""
    shown = [MemberId(identifier("member", text)) for text in request.form.getlist("shut_out")]
    try:
        enforce_sso(visit.unit, shown=shown)
    except InvalidChangeError as mistake:
        effect = preview_enforcement(visit.unit)
        return render("sso.html", status=answer_for(mistake).status, effect=effect, problem=sentence_of(mistake))
    flash("Single sign-on is enforced: sign-in links work no more, and the sessions that they opened have ended.", "ok")
    return see_other(url_for("settings.index"))


@pages.post("/single-sign-on/relax")
@signed_in(Permission.ENFORCE_SSO)
def relax(visit: Visit) -> Response:
    """Let sign-in links work again."""
    relax_sso(visit.unit)
    flash("Sign-in links work again.", "ok")
    return see_other(url_for("settings.index"))


@pages.get("/webhooks")
@signed_in(Permission.MANAGE_CONNECTIONS)
def webhooks(visit: Visit) -> Response:
    """List the addresses that are told of events."""
    return _webhooks(visit)


@pages.post("/webhooks")
@signed_in(Permission.MANAGE_CONNECTIONS)
def add_webhook(visit: Visit) -> Response:
    """Tell an address of events from now on; its secret is shown once."""
    url = request.form.get("url", "").strip()
    secret = new_webhook_secret()
    try:
        check_address(url, internal=current_runtime().settings.webhooks.is_internal(url))
        endpoint = add_endpoint(visit.unit, url, request.form.getlist("events"), _seal(visit, secret))
    except InvalidInputError as mistake:
        return _webhooks(visit, mistake, url)
    return render("webhook_secret.html", endpoint=endpoint, secret=secret, until=None)


@pages.get("/webhooks/<endpoint_id>")
@signed_in(Permission.MANAGE_CONNECTIONS)
def webhook(visit: Visit, endpoint_id: str) -> Response:
    """Show what was sent to an address, and what became of it."""
    endpoint = find_endpoint(visit.unit, str(identifier("webhook endpoint", endpoint_id)))
    view = next(one for one in list_endpoints(visit.unit) if one.id == endpoint.id)
    return render("webhook.html", endpoint=view, messages=list_messages(visit.unit, endpoint))


@pages.post("/webhooks/<endpoint_id>/<any(test, replay, enable, rotate, remove):act>")
@signed_in(Permission.MANAGE_CONNECTIONS)
def change_webhook(visit: Visit, endpoint_id: str, act: str) -> Response:
    """Send a test, send events again, enable an address, give it a new secret, or remove it."""
    unit = visit.unit
    endpoint = find_endpoint(unit, str(identifier("webhook endpoint", endpoint_id)))
    if act == "rotate":
        secret = new_webhook_secret()
        try:
            until = rotate_secret(unit, endpoint, _seal(visit, secret))
        except InvalidInputError as mistake:
            flash(sentence_of(mistake), "err")
            return see_other(url_for("settings.webhook", endpoint_id=endpoint.id))
        return render("webhook_secret.html", endpoint=endpoint, secret=secret, until=until)
    if act == "remove":
        remove_endpoint(unit, endpoint)
        flash(f"{endpoint.url} is told nothing any more.", "ok")
        return see_other(url_for("settings.webhooks"))
    if act == "test":
        queue_test(unit, endpoint)
        wake_workers(unit.session)
        flash("A test event is on its way; the list below says what the address answers.", "ok")
    elif act == "enable":
        enable_endpoint(unit, endpoint)
        flash(f"{endpoint.url} is told of events again, from where it was left.", "ok")
    else:
        event = request.form.get("event")
        again = replay(unit, endpoint, identifier("event", event) if event else None)
        flash(f"{plural(len(again), 'event is', 'events are')} sent again, under the same id.", "ok")
    return see_other(url_for("settings.webhook", endpoint_id=endpoint.id))


def _seal(visit: Visit, secret: str) -> Callable[[uuid.UUID], bytes]:
    runtime, org_id = current_runtime(), visit.unit.org_id
    return lambda endpoint_id: runtime.sealed_webhook_secret(org_id, endpoint_id, secret)


def _webhooks(visit: Visit, mistake: InvalidInputError | None = None, url: str = "") -> Response:
    return render(
        "webhooks.html",
        status=200 if mistake is None else answer_for(mistake).status,
        problem="" if mistake is None else sentence_of(mistake),
        endpoints=list_endpoints(visit.unit),
        events=tuple(EventType),
        url=url,
    )
