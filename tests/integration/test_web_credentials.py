"""Who may open which page: every route declares its credential, and every role gets what rules Z1 to Z4 allow."""

import re
from collections.abc import Callable

import pytest
from flask import Blueprint, Flask

from bridge.domain.identifiers import MemberId, new_id
from bridge.runtime import Runtime
from bridge.web.app import create_web_app
from bridge.web.console import console_blueprints
from bridge.web.credentials import Credential, credential_of
from tests.factories import Customer
from tests.protocol.scim_client import make_token
from tests.web import make_admin, sign_in
from wsgi import compose

ID = "00000000-0000-4000-8000-000000000000"

#: Every page that shows or changes something, with the least that opens it.
OWNERS_ONLY = (
    ("POST", f"/console/brake/holds/{ID}/release"),
    ("POST", f"/console/brake/holds/{ID}/drop"),
    ("POST", "/console/brake/thresholds"),
    ("POST", f"/console/people/{ID}/role"),
    ("GET", "/console/settings/single-sign-on"),
    ("POST", "/console/settings/single-sign-on/enforce"),
    ("POST", "/console/settings/single-sign-on/relax"),
    ("GET", "/console/seats/change"),
    ("POST", "/console/seats/previews"),
    ("GET", f"/console/seats/previews/{ID}"),
    ("POST", f"/console/seats/previews/{ID}/confirm"),
    ("GET", f"/console/seats/invoices/{ID}"),
    ("POST", f"/console/approvals/{ID}/open"),
    ("POST", f"/console/approvals/{ID}/approve"),
    ("POST", f"/console/approvals/{ID}/decline"),
    ("GET", f"/console/seats/invoices/{ID}/pdf"),
    ("GET", f"/console/seats/invoices/{ID}/why"),
    ("GET", "/console/billing-details"),
    ("POST", "/console/billing-details"),
    ("GET", "/console/contract/change"),
    ("POST", "/console/contract/previews"),
    ("GET", f"/console/contract/previews/{ID}"),
    ("POST", f"/console/contract/previews/{ID}/confirm"),
    ("POST", "/console/contract/agreed/cancel"),
    ("POST", "/console/plan/previews"),
    ("GET", f"/console/plan/previews/{ID}"),
    ("POST", f"/console/plan/previews/{ID}/confirm"),
    ("GET", f"/console/seats/invoices/{ID}/ubl"),
    ("GET", f"/console/seats/invoices/{ID}/xml"),
    ("GET", "/console/seats/invoices.csv"),
    ("GET", "/console/seats/invoice-lines.csv"),
    ("GET", "/console/seats/licence-holders.csv"),
)
ADMINS = (
    ("GET", "/console/people/access-review.csv"),
    ("GET", "/console"),
    ("GET", "/console/people"),
    ("GET", "/console/people/add"),
    ("POST", "/console/people/add"),
    ("GET", f"/console/people/{ID}"),
    ("POST", f"/console/people/{ID}/seat"),
    ("POST", f"/console/people/seat-previews/{ID}"),
    ("POST", f"/console/people/{ID}/product-roles"),
    ("POST", f"/console/people/{ID}/off"),
    ("POST", f"/console/people/{ID}/confirm"),
    ("POST", f"/console/people/{ID}/on"),
    ("POST", f"/console/people/{ID}/sessions/end"),
    ("POST", f"/console/people/{ID}/sessions/{ID}/end"),
    ("GET", "/console/mappings"),
    ("GET", "/console/mappings/edit"),
    ("POST", "/console/mappings/edit"),
    ("GET", f"/console/mappings/previews/{ID}"),
    ("POST", f"/console/mappings/previews/{ID}/apply"),
    ("GET", "/console/mappings/drafts"),
    ("GET", f"/console/mappings/drafts/{ID}"),
    ("POST", f"/console/mappings/drafts/{ID}/preview"),
    ("POST", f"/console/mappings/drafts/{ID}/submit"),
    ("POST", f"/console/mappings/drafts/{ID}/discard"),
    ("GET", "/console/seats"),
    ("GET", "/console/audit"),
    ("POST", "/console/audit/verify"),
    ("GET", "/console/people/import"),
    ("GET", "/console/people/import/example.csv"),
    ("POST", "/console/people/import/preview"),
    ("POST", f"/console/people/import/{ID}/apply"),
    ("GET", "/console/settings"),
    ("GET", "/console/settings/webhooks"),
    ("POST", "/console/settings/webhooks"),
    ("GET", f"/console/settings/webhooks/{ID}"),
    ("POST", f"/console/settings/webhooks/{ID}/test"),
    ("GET", "/console/mappings/versions"),
    ("POST", "/console/mappings/versions/1/restore"),
    ("GET", "/console/seats/line"),
    ("POST", f"/console/seats/line/{ID}/front"),
    ("POST", f"/console/seats/line/{ID}/leave"),
    ("GET", "/console/seats/swap"),
    ("POST", "/console/seats/swap/preview"),
    ("POST", f"/console/seats/swap/{ID}"),
    ("GET", "/console/brake"),
    ("GET", "/console/provisioning"),
    ("POST", "/console/provisioning/preview"),
    ("POST", f"/console/provisioning/switches/{ID}"),
    ("GET", "/console/approvals"),
    ("POST", "/console/approvals/seats"),
    ("POST", "/console/approvals/contract"),
    ("POST", f"/console/approvals/mappings/{ID}"),
    ("POST", f"/console/approvals/{ID}/withdraw"),
    ("GET", "/console/provisioning-log"),
    ("GET", f"/console/provisioning-log/{ID}"),
    ("GET", "/console/connections"),
    ("POST", "/console/connections"),
    ("GET", f"/console/connections/{ID}/guide"),
    ("GET", f"/console/connections/{ID}/matches"),
    ("POST", f"/console/connections/{ID}/matches"),
    ("GET", f"/console/connections/{ID}/links"),
    ("POST", f"/console/connections/{ID}/links"),
    ("POST", f"/console/connections/{ID}/links/{ID}/revoke"),
    ("GET", f"/console/connections/{ID}"),
    ("GET", f"/console/connections/{ID}/sign-ins"),
    ("GET", f"/console/connections/{ID}/sign-in"),
    ("GET", f"/console/connections/{ID}/attributes"),
    ("POST", f"/console/connections/{ID}/tokens"),
    ("POST", f"/console/connections/{ID}/tokens/{ID}/revoke"),
    ("POST", f"/console/connections/{ID}/switches"),
    ("POST", f"/console/connections/{ID}/disable"),
    ("POST", f"/console/connections/{ID}/enable"),
    ("POST", f"/console/connections/{ID}/saml"),
    ("POST", f"/console/connections/{ID}/saml-options"),
    ("POST", f"/console/connections/{ID}/oidc"),
    ("POST", f"/console/connections/{ID}/attributes"),
    ("POST", f"/console/connections/{ID}/domains"),
    ("POST", f"/console/connections/{ID}/domains/verify"),
    ("POST", f"/console/connections/{ID}/domains/remove"),
)


@pytest.fixture
def app(runtime: Runtime) -> Flask:
    return create_web_app(runtime, console_blueprints())


def test_every_route_of_the_whole_service_declares_the_credential_it_asks_for(runtime: Runtime) -> None:
    app = compose(runtime)

    undeclared = [rule.rule for rule in app.url_map.iter_rules() if credential_of(app, rule.endpoint) is None]

    assert undeclared == []


def test_a_route_that_declares_nothing_is_never_served(runtime: Runtime) -> None:
    forgotten = Blueprint("forgotten", __name__)
    forgotten.add_url_rule("/forgotten", "view", lambda: "open to everybody")
    app = create_web_app(runtime, (*console_blueprints(), forgotten))

    answer = app.test_client().get("/forgotten")

    assert answer.status_code == 404


def test_the_lists_of_this_test_name_every_console_route(app: Flask) -> None:
    routes = {
        (
            method,
            re.sub("<(name|[a-z]+_id)>", ID, rule.rule)
            .replace("<any(csv, xlsx):form>", "csv")
            .replace("<any(test, replay, enable, rotate, remove):act>", "test")
            .replace("<int:version>", "1"),
        )
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) & {"GET", "POST"}
        if rule.rule.startswith("/console")
    }

    assert routes == {*OWNERS_ONLY, *ADMINS}


@pytest.mark.parametrize(("method", "path"), [*OWNERS_ONLY, *ADMINS])
def test_z4_a_member_without_a_role_opens_nothing_of_the_console(
    app: Flask, customer: Customer, method: str, path: str
) -> None:
    """Rule Z4."""
    member = customer.push("mia@nordlys.test", displayName="Mia Member")
    browser = sign_in(app, customer, MemberId(member.id))

    page = browser.get(path) if method == "GET" else browser.post(path)

    assert page.status == 403
    assert "Your role does not allow this" in page.text


@pytest.mark.parametrize(("method", "path"), OWNERS_ONLY)
def test_z1_an_admin_neither_sees_nor_spends_money(app: Flask, customer: Customer, method: str, path: str) -> None:
    """Rule Z1."""
    browser = sign_in(app, customer, make_admin(customer).id)

    page = browser.get(path) if method == "GET" else browser.post(path)

    assert page.status == 403


@pytest.mark.parametrize(("method", "path"), ADMINS)
def test_z2_an_admin_opens_everything_else(app: Flask, customer: Customer, method: str, path: str) -> None:
    """Rules Z2 and Z3."""
    browser = sign_in(app, customer, make_admin(customer).id)

    page = browser.get(path) if method == "GET" else browser.post(path)

    assert page.status in {200, 303, 404, 422}, page.text


def test_no_amount_of_money_stands_on_any_page_of_an_admin(app: Flask, customer: Customer) -> None:
    browser = sign_in(app, customer, make_admin(customer).id)

    pages = [browser.get(path).text for method, path in ADMINS if method == "GET"]

    assert all("€" not in text for text in pages)


def test_a_stranger_is_sent_to_the_sign_in_and_back_afterwards(app: Flask) -> None:
    answer = app.test_client().get("/console/people")

    assert answer.status_code == 303
    assert answer.headers["Location"] == "/sign-in?next=/console/people"


@pytest.mark.parametrize(
    "path", ["/console/people/{member}", "/console/seats/invoices/{invoice}", "/console/mappings/previews/{preview}"]
)
def test_t1_another_organizations_ids_answer_exactly_like_unknown_ones(
    app: Flask, make_customer: Callable[..., Customer], path: str
) -> None:
    """T1: the two answers are the same, byte for byte."""
    ours, theirs = make_customer("nordlys"), make_customer("sudlys")
    browser = sign_in(app, ours)
    foreign = foreign_ids(app, theirs)
    same_request = {"X-Request-Id": "the-same-request-id"}

    of_others = browser.get(path.format(**foreign), headers=same_request)
    unknown = browser.get(path.format(member=new_id(), invoice=new_id(), preview=new_id()), headers=same_request)

    assert of_others.status == unknown.status == 404
    assert of_others.text == unknown.text
    assert of_others.headers == unknown.headers


def foreign_ids(app: Flask, theirs: Customer) -> dict[str, str]:
    """Return ids that exist in another organization."""
    browser = sign_in(app, theirs)
    browser.get("/console/mappings/edit")
    form = {"on_exhausted": "unassigned", "default": "unassigned", "do": "preview"}
    preview = browser.post("/console/mappings/edit", form).location.rpartition("/")[2]
    seats = browser.get("/console/seats").text
    invoice = seats.partition("/console/seats/invoices/")[2].partition('"')[0]
    assert preview
    assert invoice
    return {"member": str(theirs.owner_id), "invoice": invoice, "preview": preview}


def test_t7_a_scim_token_opens_no_page_and_a_session_no_scim(runtime: Runtime, customer: Customer) -> None:
    app = compose(runtime)
    token = {"Authorization": f"Bearer {make_token(customer)}"}
    browser = sign_in(app, customer)

    pages = [app.test_client().get(path, headers=token) for path in ("/console", "/console/people", "/me")]
    users = browser.get(f"/scim/v2/{customer.slug}/Users")

    assert [(page.status_code, page.location.partition("?")[0]) for page in pages] == [(303, "/sign-in")] * 3
    assert users.status == 401


def test_t7_the_session_credential_is_what_console_pages_ask_for(app: Flask) -> None:
    assert credential_of(app, "people.index") is Credential.SESSION
    assert credential_of(app, "healthz") is Credential.NONE
