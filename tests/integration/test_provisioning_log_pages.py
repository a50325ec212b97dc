"""The page of the provisioning log: filters, one request opened, the command, the dry run, and who sees what."""

import re
from collections.abc import Callable

import pytest
from flask import Flask

from bridge.domain.identifiers import new_id
from bridge.runtime import Runtime
from bridge.usecases import search_requests as searching
from tests.factories import Customer
from tests.protocol.scim_client import ScimClient, make_token
from tests.web import Browser, sign_in
from wsgi import compose

LOG = "/console/provisioning-log"


@pytest.fixture
def app(runtime: Runtime) -> Flask:
    return compose(runtime)


@pytest.fixture
def browser(app: Flask, customer: Customer) -> Browser:
    """The owner's browser."""
    return sign_in(app, customer)


@pytest.fixture
def alice(app: Flask, customer: Customer) -> str:
    """Somebody who was pushed, pushed again, changed, and read by a token that is nobody's; her id."""
    client = ScimClient(app, customer.slug, make_token(customer))
    member_id = client.create_user("alice@nordlys.test")
    again = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "Alice@nordlys.test"}
    client.post("/Users", {**again, "password": "tiptop"})
    client.patch(f"/Users/{member_id}", {"op": "Replace", "path": "title", "value": "Engineer"})
    client.get('/Users?filter=userName eq "bob@nordlys.test"')
    ScimClient(app, customer.slug, "wrong").get("/Users")
    customer.runtime.closing.close()  # writes what waits
    return member_id


def said(page: str) -> list[str]:
    """What the entries of the list say, newest first."""
    return re.findall(r'<span class="what"><span class="strong">([^<]+)</span>', page)


EVERYTHING = [
    "List of each person",
    "Find person: userName eq &#34;bob@nordlys.test&#34;",
    "Change person alice@nordlys.test replace title",
    "Create person Alice@nordlys.test",
    "Create person alice@nordlys.test",
]


@pytest.mark.parametrize(
    ("filters", "places"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"outcome": "refused"}, [0, 3]),
        ({"outcome": "accepted"}, [1, 2, 4]),
        ({"outcome": "held"}, []),
        ({"method": "POST"}, [3, 4]),
        ({"connection": "nobody"}, [0]),
        ({"connection": "{connection}"}, [1, 2, 3, 4]),
        ({"q": "ALICE@"}, [2, 3, 4]),
        ({"q": 'eq "bob@'}, [1]),
        ({"q": "tiptop"}, []),
        ({"person": "{id}"}, [2, 3, 4]),
        ({"outcome": "nonsense", "method": "nonsense", "before": "nonsense"}, [0, 1, 2, 3, 4]),
    ],
)
def test_entries_are_filtered(
    browser: Browser, customer: Customer, alice: str, filters: dict[str, str], places: list[int]
) -> None:
    facts = {"id": alice, "connection": str(customer.connection_id)}

    page = browser.get(LOG, query_string={name: value.format(**facts) for name, value in filters.items()})

    assert page.status == 200
    assert said(page.text) == [EVERYTHING[place].format(id=alice) for place in places]


def test_pages_go_on_where_the_one_before_ended_and_a_search_that_found_little_goes_on_too(
    browser: Browser, alice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "PAGE_LENGTH", 2)
    monkeypatch.setattr(searching, "LOOKED_THROUGH", 3)

    seen, path = [], f"{LOG}?q=alice"
    for _ in range(4):
        page = browser.get(path).text
        seen.append((said(page), "Enough was looked through" in page))
        following = re.search(r'rel="next" href="([^"]+)"', page)
        if following is None:
            break
        path = following.group(1).replace("&amp;", "&")

    changed, again, first = (EVERYTHING[place].format(id=alice) for place in (2, 3, 4))
    assert seen == [([changed], True), ([again, first], False)]


def test_a_refused_request_says_what_to_do_and_whom_it_collides_with(browser: Browser, alice: str) -> None:
    listed = browser.get(f"{LOG}?outcome=refused&method=POST").text
    (path,) = re.findall(rf'href="({LOG}/[0-9a-f-]{{36}})', listed)

    page = browser.get(path).text

    assert "Somebody has this value already" in page
    assert f'href="/console/people/{alice}"' in page
    assert "tiptop" not in page
    assert "Bearer ••••" in page
    assert "curl -X POST http" in page
    assert "Authorization: Bearer $SEATBRIDGE_SCIM_TOKEN" in page


def test_a_dry_run_says_what_would_come_of_it_and_changes_nothing(
    browser: Browser, customer: Customer, alice: str
) -> None:
    listed = browser.get(f"{LOG}?method=PATCH").text
    (path,) = re.findall(rf'href="({LOG}/[0-9a-f-]{{36}})', listed)
    with customer.unit() as unit:
        before = unit.state().audit_head

    page = browser.post(f"{path}/replay")

    assert page.status == 200
    assert "Dry run: nothing was changed" in page.text
    assert ">200</span>" in page.text
    with customer.unit() as unit:
        assert unit.state().audit_head == before


def test_what_cannot_be_replayed_says_why(browser: Browser, alice: str) -> None:
    listed = browser.get(f"{LOG}?connection=nobody").text
    (path,) = re.findall(rf'href="({LOG}/[0-9a-f-]{{36}})', listed)

    page = browser.post(f"{path}/replay")

    assert page.status == 409
    assert "its token is nobody" in page.text


def test_t1_the_log_of_another_organization_is_unknown(
    app: Flask, make_customer: Callable[..., Customer], alice: str
) -> None:
    """T1."""
    theirs = make_customer("sudlys")
    ours = sign_in(app, theirs)

    assert said(ours.get(LOG).text) == []
    assert ours.get(f"{LOG}/{new_id()}").status == 404
    assert ours.get(f"{LOG}?person={alice}").status == 404
    with_id = sign_in(app, make_customer("westlys"))
    assert with_id.post(f"{LOG}/{new_id()}/replay").status == 404


def test_the_list_follows_what_arrives_only_when_asked(browser: Browser, alice: str) -> None:
    assert "data-refresh" not in browser.get(LOG).text
    assert f'data-refresh="3" data-from="{LOG}?live=1"' in browser.get(f"{LOG}?live=1").text
