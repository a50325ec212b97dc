"""The pages of the simulated identity provider, and what their buttons do."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

import httpx
from flask import Blueprint, Response, abort, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from bridge.simulator.company import Company, ask_seats
from bridge.simulator.dialects import Dialect
from bridge.simulator.directory import Person
from bridge.simulator.provisioning import PushReport
from bridge.simulator.saml import ReceivedRequest, read_authn_request

COMPANIES: Final = "companies"
PRODUCT_URL: Final = "PRODUCT_URL"
CHOSEN_COOKIE: Final = "chosen"
HIRED_AT_ONCE: Final = 20
SHOWN: Final = 14

pages = Blueprint("pages", __name__)


@pages.get("/")
def home() -> ResponseReturnValue:
    """List the companies."""
    return render_template("home.html", companies=_companies().values())


@pages.get("/<slug>/")
def directory(slug: str) -> ResponseReturnValue:
    """Show the directory and the wire."""
    company = _find(slug)
    notice, company.notice = company.notice, ""
    return render_template(
        "directory.html",
        company=company,
        seats=ask_seats(company),
        exchanges=list(enumerate(company.exchanges))[: -SHOWN - 1 : -1],
        notice=notice,
    )


@pages.get("/<slug>/metadata")
def metadata(slug: str) -> ResponseReturnValue:
    """Give the metadata."""
    return Response(_find(slug).idp.metadata(), mimetype="application/samlmetadata+xml")


@pages.get("/<slug>/wire/<int:number>")
def exchange(slug: str, number: int) -> ResponseReturnValue:
    """Show one request and its answer."""
    exchanges = _find(slug).exchanges
    if number >= len(exchanges):
        abort(404)
    return Response(exchanges[number].as_text(), mimetype="text/plain")


@pages.get("/<slug>/sso")
def choose(slug: str) -> ResponseReturnValue:
    """Ask who is signing in; whoever was chosen in the directory already is not asked again."""
    company = _find(slug)
    received = _received()
    chosen = company.directory.people.get(request.cookies.get(CHOSEN_COOKIE, ""))
    if chosen is not None:
        answer = Response(_answer(company, chosen, received))
        answer.delete_cookie(CHOSEN_COOKIE)
        return answer
    return render_template("choose.html", company=company, query=request.query_string.decode(), received=received)


@pages.post("/<slug>/sso")
def answer(slug: str) -> ResponseReturnValue:
    """Sign an assertion about the chosen person and have the browser carry it to the product."""
    company = _find(slug)
    return _answer(company, _find_person(company, request.form.get("person", "")), _received())


@pages.post("/<slug>/people/<person_id>/sign-in")
def sign_in(slug: str, person_id: str) -> ResponseReturnValue:
    """Start a sign-in at the product as somebody."""
    company = _find(slug)
    response = redirect(company.sign_in_url, 303)
    response.set_cookie(CHOSEN_COOKIE, _find_person(company, person_id).id, max_age=120, httponly=True, samesite="Lax")
    return response


@pages.post("/<slug>/people/<person_id>/switch")
def switch(slug: str, person_id: str) -> ResponseReturnValue:
    """Let somebody leave, or come back."""
    company = _find(slug)
    person = _find_person(company, person_id)
    with company.lock:
        if person.active:
            company.directory.leave(person_id)
        else:
            company.directory.come_back(person_id)
        company.notice = f"{person.display_name} {'left' if person.active else 'is back'}. {_pushed(company)}"
    return redirect(url_for(".directory", slug=slug), 303)


@pages.post("/<slug>/people/<person_id>/groups")
def regroup(slug: str, person_id: str) -> ResponseReturnValue:
    """Put somebody into the ticked groups, and out of the others."""
    company = _find(slug)
    person = _find_person(company, person_id)
    wanted = set(request.form.getlist("group"))
    with company.lock:
        for group in list(company.directory.groups.values()):
            if group.id in wanted:
                company.directory.join(person_id, group.name)
            else:
                company.directory.part(person_id, group.name)
        names = ", ".join(company.directory.groups_of(person_id)) or "no group"
        company.notice = (
            f"{person.display_name} is in {names} now. {_pushed(company)} {_seat_of(company, person)}".rstrip()
        )
    return redirect(url_for(".directory", slug=slug), 303)


@pages.post("/<slug>/hire")
def hire(slug: str) -> ResponseReturnValue:
    """Hire people and push them."""
    company = _find(slug)
    with company.lock:
        names = [group.name for group in company.directory.groups.values()]
        hired = company.directory.hire_some(HIRED_AT_ONCE, groups=names, seed=len(company.directory))
        company.notice = f"{len(hired)} people joined. {_pushed(company)}"
    return redirect(url_for(".directory", slug=slug), 303)


@pages.post("/<slug>/speak")
def speak(slug: str) -> ResponseReturnValue:
    """Go on in another provider's words."""
    company = _find(slug)
    try:
        company.speak_like(Dialect(request.form.get("dialect", "")))
    except ValueError:
        abort(400)
    company.notice = f"From now on provisioning speaks like {company.dialect.title()}."
    return redirect(url_for(".directory", slug=slug), 303)


def origin_of(url: str) -> str:
    """Return the scheme, host and port of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _companies() -> Mapping[str, Company]:
    companies: Mapping[str, Company] = current_app.extensions[COMPANIES]
    return companies


def _find(slug: str) -> Company:
    return _companies().get(slug) or abort(404)


def _find_person(company: Company, person_id: str) -> Person:
    return company.directory.people.get(person_id) or abort(404)


def _answer(company: Company, person: Person, received: ReceivedRequest) -> str:
    response = company.idp.respond(received, company.subject(person), now=datetime.now(UTC))
    return render_template("answer.html", company=company, person=person, received=received, response=response)


def _received() -> ReceivedRequest:
    """Read the request in the address; refuse one that would send an assertion to anybody but the product."""
    try:
        received = read_authn_request(request.full_path)
    except ValueError as problem:
        abort(400, str(problem))
    if origin_of(received.acs_url or "") != origin_of(current_app.config[PRODUCT_URL]):
        abort(400, "The request asks for an answer to somebody else than the product")
    return received


def _pushed(company: Company) -> str:
    if not company.scim_url:
        return "This company is not provisioned by SCIM: people arrive when they sign in."
    try:
        return _summary(company.push())
    except httpx.HTTPError as problem:
        return f"The product could not be told: {problem}."


def _seat_of(company: Company, person: Person) -> str:
    """Say what seat the product gives somebody now; nothing while it does not answer."""
    seat = (ask_seats(company) or {}).get(person.user_name)
    if seat is None:
        return ""
    held = f"has {seat.tier.title()}" if seat.tier else "has no seat"
    return f"{person.display_name} {held}{' and waits in line' if seat.state == 'waiting' else ''}."


def _summary(report: PushReport) -> str:
    counts = {"created": report.created, "updated": report.updated, "turned off": report.deactivated}
    words = [f"{number} {what}" for what, number in counts.items() if number]
    words += [f"{len(report.refused)} refused"] if report.refused else []
    return f"{report.requests} requests: {', '.join(words) or 'nothing to change'}."
