"""The edges of HTTP around SCIM: odd addresses, methods, media types, conditions and page parameters."""

import json
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from werkzeug.test import TestResponse

from bridge.web.app import create_web_app
from scim.edge import scim_blueprint
from tests.factories import Customer
from tests.protocol.scim_client import USER, ScimClient, make_app, make_token
from tests.protocol.scim_invariants import check_answer

RETITLE = {"op": "replace", "path": "title", "value": "T"}
PERSON = {"schemas": [USER], "userName": "new@corp.test"}


@pytest.fixture
def client(customer: Customer) -> ScimClient:
    return ScimClient(make_app(customer), customer.slug, make_token(customer))


@pytest.fixture(params=["alone", "among the pages"])
def everywhere(request: pytest.FixtureRequest, customer: Customer) -> ScimClient:
    """A client of the SCIM edge by itself, and as part of the whole application."""
    alone = request.param == "alone"
    app = make_app(customer) if alone else create_web_app(customer.runtime, [scim_blueprint(customer.runtime)])
    return ScimClient(app, customer.slug, make_token(customer))


@pytest.fixture
def person(client: ScimClient) -> str:
    return client.create_user("ann@corp.test", title="Engineer")


def body_of(answer: TestResponse) -> Any:
    return json.loads(answer.data)


# Addresses and methods.

NO_ADDRESSES = (
    "//Users", "/Users//", "/Users/../Groups", "/./Users", "/Users/..", "/%2e%2e/Users", "/Nothing", "/Users;x=1",
    "/Users/{id}/emails", "/Users/{id}%2femails", "/Users/%00", "/Users/{id}%0a", "/Users/%ff%fe", "/users-archive",
    "/Schemas/urn:x", "/ResourceTypes/Robot", "/Users/" + "x" * 3_000, "/Groups/{id}", "/Users/{{id}}",
)  # fmt: skip


def test_i14_an_address_that_is_none_is_a_scim_404(everywhere: ScimClient) -> None:
    person = everywhere.create_user("ann@corp.test")

    answers = {path: everywhere.get(path.replace("{id}", person)) for path in NO_ADDRESSES}

    assert {path: answer.status_code for path, answer in answers.items()} == dict.fromkeys(NO_ADDRESSES, 404)
    for answer in answers.values():
        check_answer(answer, "GET")


def test_spellings_that_can_mean_one_thing_only_are_understood(everywhere: ScimClient) -> None:
    person = everywhere.create_user("ann@corp.test")
    spellings = (f"/Users/{person}/", f"/Users/{person}.scim", f"/users/{person}", f"/Users%2F{person}")

    answers = [everywhere.get(path) for path in spellings]

    assert [answer.status_code for answer in answers] == [200] * 4
    assert {body_of(answer)["id"] for answer in answers} == {person}


def test_a_base_url_that_ends_in_a_slash_is_named_as_the_mistake(everywhere: ScimClient) -> None:
    assert "base URL" in body_of(everywhere.get("//Users"))["detail"]


def test_an_address_without_an_organization_is_a_scim_404_that_says_where_scim_is(everywhere: ScimClient) -> None:
    addresses = ("/scim/", "/scim/v1/Users", "/scim/v2", "/scim/v2/", "/scim/v2//Users")

    answers = [everywhere.client.get(path) for path in addresses]

    for answer in answers:
        assert answer.status_code == 404
        assert "/scim/v2/" in body_of(answer)["detail"]
        check_answer(answer, "GET")


METHODS = {
    ("TRACE", "/Users"): {"GET", "POST"},
    ("CONNECT", "/Users"): {"GET", "POST"},
    ("PROPFIND", "/Users/{id}"): {"GET", "PUT", "PATCH", "DELETE"},
    ("OPTIONS", "/Users/{id}"): {"GET", "PUT", "PATCH", "DELETE"},
    ("PATCH", "/Users"): {"GET", "POST"},
    ("POST", "/Users/{id}"): {"GET", "PUT", "PATCH", "DELETE"},
    ("GET", "/Bulk"): {"POST"},
    ("HEAD", "/Bulk"): {"POST"},
    ("DELETE", "/Schemas"): {"GET"},
    ("PUT", "/ServiceProviderConfig"): {"GET"},
}


def test_a_method_that_an_address_does_not_have_is_405_and_names_those_it_has(everywhere: ScimClient) -> None:
    person = everywhere.create_user("ann@corp.test")

    answers = {sent: everywhere.send(sent[0], sent[1].replace("{id}", person), PERSON) for sent in METHODS}

    assert {sent: answer.status_code for sent, answer in answers.items()} == dict.fromkeys(METHODS, 405)
    assert {sent: set(answer.headers["Allow"].split(", ")) for sent, answer in answers.items()} == METHODS
    for (method, _), answer in answers.items():
        check_answer(answer, method)


def test_without_a_token_an_odd_address_and_method_are_401_like_any_other(everywhere: ScimClient) -> None:
    everywhere.token = None

    answers = [everywhere.send(*sent) for sent in (("GET", "/Users"), ("GET", "//Users"), ("TRACE", "/Users"))]

    assert [answer.status_code for answer in answers] == [401] * 3
    assert len({answer.data for answer in answers}) == 1


def test_i14_no_header_turns_a_request_into_another(client: ScimClient, person: str) -> None:
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        assert client.send("POST", f"/Users/{person}", PERSON, headers={name: "DELETE"}).status_code == 405

    assert client.get(f"/Users/{person}").status_code == 200


def test_head_answers_what_get_would_without_the_body(client: ScimClient, person: str) -> None:
    paths = ("", "/Users", f"/Users/{person}", "/Groups", "/Schemas", "/ResourceTypes", "/ServiceProviderConfig", "/x")

    pairs = [(client.send("GET", path), client.send("HEAD", path)) for path in paths]

    for read, head in pairs:
        assert head.data == b""
        assert head.status_code == read.status_code
        for name in ("Content-Type", "Content-Length", "ETag", "Content-Location"):
            assert head.headers.get(name) == read.headers.get(name)


# Media types.


def test_whatever_a_client_accepts_it_gets_scim_json(client: ScimClient, person: str) -> None:
    accepted = ("text/html", "application/xml", "application/scim+json;q=0", "", "nonsense", "*/*")

    answers = [client.get(f"/Users/{person}", headers={"Accept": accept}) for accept in accepted]

    assert [(answer.status_code, answer.content_type) for answer in answers] == [(200, "application/scim+json")] * 6


JSON_NAMES = (
    "application/scim+json", "application/scim+json; charset=utf-8", "application/json", "Application/JSON;x=y",
    "application/json; charset=UTF-8", "text/json", "text/json; charset=utf-8", "application/vnd.x+json", "",
)  # fmt: skip


def test_a_body_is_json_by_any_name_that_identity_providers_use(client: ScimClient) -> None:
    answers = {
        name: client.post("/Users", {**PERSON, "userName": f"u{number}@corp.test"}, headers={"Content-Type": name})
        for number, name in enumerate(JSON_NAMES)
    }

    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(JSON_NAMES, 201)


OTHER_NAMES = (
    "text/plain", "application/xml", "multipart/form-data", "application/x-www-form-urlencoded", "text/html", "é", ";",
)  # fmt: skip


@pytest.mark.parametrize(("method", "path"), [("POST", "/Users"), ("PUT", "/Users/{id}"), ("POST", "/Bulk")])
def test_a_body_that_says_it_is_no_json_is_415(client: ScimClient, person: str, method: str, path: str) -> None:
    answers = {
        name: client.send(method, path.replace("{id}", person), PERSON, headers={"Content-Type": name})
        for name in OTHER_NAMES
    }

    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(OTHER_NAMES, 415)
    for answer in answers.values():
        check_answer(answer, method)


def test_i1_a_packed_body_is_415_unread(client: ScimClient) -> None:
    bomb = b"\x1f\x8b\x08" + b"\x00" * 100

    for encoding in ("gzip", "deflate", "br", "gzip, identity", "x"):
        answer = client.send("POST", "/Users", data=bomb, headers={"Content-Encoding": encoding})

        assert answer.status_code == 415
        check_answer(answer, "POST")


# Conditions.


def test_a_precondition_holds_for_any_version_for_one_in_a_list_and_weakly(client: ScimClient, person: str) -> None:
    def tag() -> str:
        return client.get(f"/Users/{person}").headers["ETag"]

    opaque = tag().removeprefix("W/")

    answers = [
        client.patch(f"/Users/{person}", {**RETITLE, "value": "1"}, headers={"If-Match": "*"}),
        client.patch(f"/Users/{person}", {**RETITLE, "value": "2"}, headers={"If-Match": opaque}),
        client.patch(f"/Users/{person}", {**RETITLE, "value": "3"}, headers={"If-Match": f'"x", {tag()}'}),
        client.put(f"/Users/{person}", {**PERSON, "title": "4"}, headers={"If-Match": tag().removeprefix("W/")}),
        client.delete(f"/Users/{person}", headers={"If-Match": 'W/"0"'}),
    ]

    assert [answer.status_code for answer in answers] == [200, 412, 200, 200, 412]
    assert client.get(f"/Users/{person}").get_json(force=True)["title"] == "4"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("if_none_match", ["*", "{tag}"])
def test_if_none_match_on_a_change_of_what_is_there_is_412(
    client: ScimClient, person: str, method: str, if_none_match: str
) -> None:
    before = client.get(f"/Users/{person}")
    body = {"Operations": [RETITLE]} if method == "PATCH" else PERSON

    answer = client.send(
        method,
        f"/Users/{person}",
        body,
        headers={"If-None-Match": if_none_match.format(tag=before.headers["ETag"])},
    )

    assert answer.status_code == 412
    assert client.get(f"/Users/{person}").data == before.data


@pytest.mark.parametrize("endpoint", ["Users", "Groups"])
def test_an_unchanged_resource_is_304_without_a_body_and_with_its_tag(client: ScimClient, endpoint: str) -> None:
    made = client.create_user("b@corp.test") if endpoint == "Users" else client.create_group("G")
    tag = client.get(f"/{endpoint}/{made}").headers["ETag"]

    answers = [
        client.get(f"/{endpoint}/{made}", headers={"If-None-Match": value})
        for value in (tag, "*", f'"x", {tag}', tag.removeprefix("W/"), '"x"')
    ]

    assert [answer.status_code for answer in answers] == [304, 304, 304, 304, 200]
    assert all(answer.data == b"" and answer.headers["ETag"] == tag for answer in answers[:4])


def test_a_post_takes_no_notice_of_conditions_for_nothing_is_there_yet(client: ScimClient) -> None:
    answer = client.post("/Users", PERSON, headers={"If-Match": 'W/"9"', "If-None-Match": "*"})

    assert answer.status_code == 201


# Paging and sorting, as RFC 7644 §3.4.2 has them.


@pytest.fixture
def five(client: ScimClient) -> list[str]:
    return [client.create_user(f"p{number}@corp.test", title=str(9 - number)) for number in range(5)]


#: What is asked for, where the page starts, and who of the five is on it.
PAGES: tuple[tuple[dict[str, Any], int, list[int]], ...] = (
    ({"startIndex": 0}, 1, [0, 1, 2, 3, 4]),
    ({"startIndex": -7, "count": 2}, 1, [0, 1]),
    ({"startIndex": 4}, 4, [3, 4]),
    ({"startIndex": 6}, 6, []),
    ({"startIndex": 10**30}, 2**53, []),
    ({"count": 0}, 1, []),
    ({"count": -1}, 1, []),
    ({"count": 10**30}, 1, [0, 1, 2, 3, 4]),
    ({"sortBy": "title", "sortOrder": "descending", "count": 2}, 1, [0, 1]),
    ({"sortBy": "title"}, 1, [4, 3, 2, 1, 0]),
    ({"sortOrder": "descending"}, 1, [0, 1, 2, 3, 4]),
)


@pytest.mark.parametrize("way", ["query", "body"])
def test_a_page_starts_at_1_at_least_and_counts_from_0(client: ScimClient, five: list[str], way: str) -> None:
    for parameters, start, shown in PAGES:
        if way == "query":
            answer = client.get("/Users?" + "&".join(f"{name}={value}" for name, value in parameters.items()))
        else:
            answer = client.post("/Users/.search", parameters)

        assert answer.status_code == 200, answer.text
        page = body_of(answer)
        assert [each["id"] for each in page.get("Resources", [])] == [five[number] for number in shown], parameters
        assert (page["totalResults"], page["startIndex"], page["itemsPerPage"]) == (5, start, len(shown)), parameters


def test_what_is_no_number_or_no_order_is_400(client: ScimClient) -> None:
    nonsense = ("startIndex=x", "count=x", "count=1.5", "count=1e3", "sortBy=title&sortOrder=sideways", "count=%00")

    for query in nonsense:
        answer = client.get(f"/Users?{query}")

        assert (answer.status_code, body_of(answer)["scimType"]) == (400, "invalidValue"), query


def test_sorting_by_an_attribute_that_nobody_has_is_400_and_names_it(client: ScimClient) -> None:
    answer = client.get("/Users?sortBy=nope")

    assert (answer.status_code, body_of(answer)["scimType"]) == (400, "invalidPath")


def test_an_empty_parameter_is_one_that_was_not_sent(client: ScimClient, five: list[str]) -> None:
    for name in ("startIndex", "count", "filter", "sortBy", "sortOrder", "attributes", "excludedAttributes"):
        assert body_of(client.get(f"/Users?{name}="))["totalResults"] == 5, name


def test_of_a_parameter_that_is_sent_twice_the_first_counts(client: ScimClient, five: list[str]) -> None:
    page = body_of(client.get("/Users?count=1&count=3&startIndex=2&startIndex=4"))

    assert [each["id"] for each in page["Resources"]] == [five[1]]


@pytest.mark.parametrize("switch", ["aadOptscim062020", "aadOptscim062020=", "aadOptscim062020=1", "x=%ff&&"])
def test_parameters_that_mean_nothing_here_change_nothing(client: ScimClient, person: str, switch: str) -> None:
    group = client.create_group("G")
    before = client.get(f"/Users/{person}").data

    answers = [
        client.post(f"/Users?{switch}", PERSON),
        client.get(f"/Users/{person}?{switch}"),
        client.get(f"/Users?filter=userName%20eq%20%22ann@corp.test%22&{switch}"),
        client.patch(f"/Users/{person}?{switch}", RETITLE),
        client.patch(f"/Groups/{group}?{switch}", {"op": "add", "path": "members", "value": [{"value": person}]}),
        client.post(f"/Bulk?{switch}", {"Operations": [{"method": "DELETE", "path": f"/Groups/{group}"}]}),
        client.get(f"/ServiceProviderConfig?{switch}"),
        client.delete(f"/Users/{person}?{switch}"),
    ]

    assert [answer.status_code for answer in answers] == [201, 200, 200, 200, 200, 200, 200, 204]
    assert answers[1].data == before


# Spoofing.


def test_i10_no_header_changes_an_address_in_an_answer(client: ScimClient, person: str) -> None:
    paths = (f"/Users/{person}", "/Users?filter=userName%20sw%20%22ann%22", "/Schemas", "/ServiceProviderConfig")
    plain = [client.get(path).data for path in paths]

    for name in ("Host", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "X-Script-Name", "Forwarded"):
        spoofed = {name: "host=evil.test" if name == "Forwarded" else "evil.test"}
        made = client.post("/Users", {**PERSON, "userName": f"{name}@corp.test"}, headers=spoofed)

        assert made.status_code == 201
        assert "evil.test" not in str(made.headers) + made.text
        assert [client.get(path, headers=spoofed).data for path in paths] == plain


def test_i7_a_request_id_that_could_forge_a_log_line_is_not_taken_over(client: ScimClient) -> None:
    for request_id in ("a\tb4567890", "<script>x", "x" * 65, "short", "é" * 9, "a" * 10 + "%0a"):
        sent = request_id.encode().decode("latin-1")

        given = client.get("/Users", headers={"X-Request-Id": sent}).headers["X-Request-Id"]

        assert given != sent
        assert given.isalnum()


def test_case_s7_what_was_searched_for_is_in_no_log_line(
    client: ScimClient, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    capfd.readouterr()

    for text in ('userName eq "ada.lovelace@nordlys.test"', "nonsense ada.lovelace@nordlys.test"):
        client.get(f"/Users?filter={quote(text)}")

    logged = "".join(capfd.readouterr()) + caplog.text
    assert "scim.refused" in logged
    assert "lovelace" not in logged
    assert "filter=" not in logged


def test_i7_nothing_a_client_sends_puts_a_line_of_its_own_into_the_log(
    client: ScimClient, capfd: pytest.CaptureFixture[str]
) -> None:
    forged = "2026-01-01 [info] scim.forged"
    text = f"{uuid4()}\r\n{forged}\n\x1b[2J\u2028{forged}"
    capfd.readouterr()

    client.get(f"/Users/{quote(text)}", headers={"User-Agent": "\x1b[2J\x85" + forged})
    client.get(f"/Users?filter={quote(text)}&sortBy={quote(text)}")
    client.send("POST", "/Users", {"userName": text, text: text, "active": text})
    client.patch("/Users/x", {"op": text, "path": text})

    logged = "".join(capfd.readouterr())
    assert not any(line.strip().startswith(forged) for line in logged.splitlines())
    assert "\x1b[2J" not in logged
