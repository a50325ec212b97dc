"""The simulated providers send what the real ones send, in the same order."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

import httpx
import pytest

from bridge.simulator.dialects import Dialect
from bridge.simulator.directory import Directory
from bridge.simulator.entra import MICROSOFT_GROUP_SCHEMA
from bridge.simulator.okta import okta_id
from bridge.simulator.provisioning import ENTERPRISE_SCHEMA, GROUP_SCHEMA, USER_SCHEMA, ProvisioningClient
from bridge.simulator.push import connect
from bridge.simulator.wire import Exchange

BASE = "http://127.0.0.1/scim/v2/acme"


@dataclass(slots=True)
class Product:
    """A service provider that creates whatever it is sent; ``refuse`` answers instead of it where it has an answer."""

    stored: dict[str, dict[str, Any]] = field(default_factory=dict)
    headers: list[httpx.Headers] = field(default_factory=list)
    refuse: dict[str, list[httpx.Response]] = field(default_factory=dict)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.headers.append(request.headers)
        if planned := self.refuse.get(request.method):
            return planned.pop(0)
        path = request.url.path.removeprefix("/scim/v2/acme")
        if request.method == "POST":
            document = json.loads(request.content) | {"id": f"id-{len(self.stored) + 1}"}
            self.stored[f"{path}/{document['id']}"] = document
            return httpx.Response(201, json=document)
        if request.method == "GET" and path in {"/Users", "/Groups"}:
            found = self._found(path, unquote_plus(request.url.params.get("filter", "")))
            return httpx.Response(200, json={"totalResults": len(found), "Resources": found})
        return httpx.Response(200, json=self.stored.get(path, {}))

    def _found(self, path: str, wanted: str) -> list[dict[str, Any]]:
        attribute, _, value = wanted.partition(" eq ")
        resources = [document for key, document in self.stored.items() if key.startswith(f"{path}/")]
        return [document for document in resources if json.dumps(document.get(attribute)) == value]


def speaking(dialect: Dialect, product: Product) -> ProvisioningClient:
    return connect(BASE, "token", dialect, transport=httpx.MockTransport(product))


def company() -> Directory:
    """Ada in Engineering; Ben, whose manager she is, in Engineering and Sales."""
    directory = Directory("acme.example")
    ada = directory.hire("Ada", "Berg", groups=["Engineering"], department="R&D", title="Lead")
    directory.hire("Ben", "Dahl", groups=["Engineering", "Sales"], manager=ada.id)
    return directory


def lines(exchanges: Sequence[Exchange]) -> list[str]:
    return [f"{exchange.method} {exchange.path}" for exchange in exchanges]


def operations(exchange: Exchange) -> Sequence[Mapping[str, Any]]:
    assert exchange.request is not None
    found: Sequence[Mapping[str, Any]] = exchange.request["Operations"]
    return found


def test_okta_looks_for_each_person_and_group_before_it_creates_them() -> None:
    okta = speaking(Dialect.OKTA, Product())

    report = okta.synchronize(company())

    paging = "&startIndex=1&count=100"
    assert lines(report.exchanges) == [
        f'GET /Users?filter=userName eq "ada.berg@acme.example"{paging}',
        "POST /Users",
        f'GET /Users?filter=userName eq "ben.dahl@acme.example"{paging}',
        "POST /Users",
        f'GET /Groups?filter=displayName eq "Engineering"{paging}',
        "POST /Groups",
        f'GET /Groups?filter=displayName eq "Sales"{paging}',
        "POST /Groups",
    ]
    assert (report.created, report.requests, report.refused) == (4, 8, ())


def test_okta_creates_with_empty_groups_a_password_and_its_own_kind_of_id() -> None:
    okta, directory = speaking(Dialect.OKTA, Product()), company()

    report = okta.synchronize(directory)

    body = report.exchanges[1].request
    assert body is not None
    assert body.keys() == {
        *("schemas", "userName", "name", "emails", "displayName", "active"),
        *("locale", "externalId", "groups", "password"),
    }
    assert (body["schemas"], body["groups"], body["active"]) == ([USER_SCHEMA], [], True)
    assert body["externalId"] == okta_id(directory.named("Ada Berg").id)
    assert len(body["externalId"]) == 20
    assert body["externalId"].startswith("00u")


def test_okta_creates_a_group_with_its_members_filled_in() -> None:
    report = speaking(Dialect.OKTA, Product()).synchronize(company())

    assert report.exchanges[5].request == {
        "schemas": [GROUP_SCHEMA],
        "displayName": "Engineering",
        "members": [
            {"value": "id-1", "display": "ada.berg@acme.example"},
            {"value": "id-2", "display": "ben.dahl@acme.example"},
        ],
    }


def test_okta_names_itself_and_speaks_scim() -> None:
    product = Product()

    speaking(Dialect.OKTA, product).synchronize(company())

    sent = product.headers[1]
    assert sent["User-Agent"] == "Okta SCIM Client 1.0.0"
    assert sent["Content-Type"] == "application/scim+json; charset=utf-8"
    assert sent["Authorization"] == "Bearer token"


def test_okta_turns_a_leaver_off_by_a_put_without_external_id_and_never_deletes() -> None:
    okta, directory = speaking(Dialect.OKTA, Product()), company()
    okta.synchronize(directory)
    directory.leave(directory.named("Ada Berg").id)

    report = okta.synchronize(directory)

    assert lines(report.exchanges) == ["GET /Users/id-1", "PUT /Users/id-1"]
    body = report.exchanges[1].request
    assert body is not None
    assert (body["active"], body["groups"], "externalId" in body) == (False, [], False)
    assert report.deactivated == 1


def test_okta_changes_members_by_one_patch_with_filters_and_a_list() -> None:
    okta, directory = speaking(Dialect.OKTA, Product()), company()
    okta.synchronize(directory)
    ada, ben = directory.named("Ada Berg"), directory.named("Ben Dahl")
    directory.part(ben.id, "Sales")
    directory.join(ada.id, "Sales")

    report = okta.synchronize(directory)

    (exchange,) = report.exchanges
    assert operations(exchange) == [
        {"op": "remove", "path": 'members[value eq "id-2"]'},
        {"op": "add", "path": "members", "value": [{"value": "id-1", "display": "ada.berg@acme.example"}]},
    ]


def test_entra_tests_the_connection_first_with_somebody_nobody_can_be() -> None:
    product = Product()

    report = speaking(Dialect.ENTRA, product).synchronize(Directory("acme.example"))

    (exchange,) = report.exchanges
    assert exchange.path.startswith('/Users?filter=userName eq "')
    assert exchange.answer["totalResults"] == 0
    assert "User-Agent" not in product.headers[0]


def test_entra_creates_with_the_enterprise_extension_and_empty_roles() -> None:
    report = speaking(Dialect.ENTRA, Product()).synchronize(company())

    body = report.exchanges[2].request
    assert body is not None
    assert body["schemas"] == [USER_SCHEMA, ENTERPRISE_SCHEMA]
    assert (body["roles"], body["meta"]) == ([], {"resourceType": "User"})
    assert body[ENTERPRISE_SCHEMA] == {"department": "R&D"}


def test_entra_sends_members_one_by_one_after_the_empty_group() -> None:
    report = speaking(Dialect.ENTRA, Product()).synchronize(company())

    groups = [exchange for exchange in report.exchanges if "/Groups" in exchange.path][:4]
    assert lines(groups) == [
        'GET /Groups?excludedAttributes=members&filter=displayName eq "Engineering"',
        "POST /Groups",
        "PATCH /Groups/id-3",
        "PATCH /Groups/id-3",
    ]
    assert groups[1].request is not None
    assert groups[1].request["schemas"] == [GROUP_SCHEMA, MICROSOFT_GROUP_SCHEMA]
    assert operations(groups[2]) == [{"op": "Add", "path": "members", "value": [{"$ref": None, "value": "id-1"}]}]


def test_entra_checks_a_manager_by_a_filter_before_it_writes_it_last() -> None:
    report = speaking(Dialect.ENTRA, Product()).synchronize(company())

    check, write = report.exchanges[-2:]
    assert lines([check, write]) == [
        'GET /Users?filter=id eq "id-2" and manager eq "id-1"&attributes=id',
        "PATCH /Users/id-2",
    ]
    assert operations(write) == [{"op": "Add", "path": f"{ENTERPRISE_SCHEMA}:manager", "value": "id-1"}]


def test_entra_writes_booleans_as_text() -> None:
    entra, directory = speaking(Dialect.ENTRA, Product()), company()
    entra.synchronize(directory)
    ada = directory.named("Ada Berg")

    directory.leave(ada.id)
    off = entra.synchronize(directory)
    directory.come_back(ada.id)
    on = entra.synchronize(directory)

    assert operations(off.exchanges[1]) == [{"op": "Replace", "path": "active", "value": "False"}]
    assert operations(on.exchanges[1]) == [{"op": "Replace", "path": "active", "value": "True"}]
    assert off.exchanges[1].about == 'Replace active "False"'
    assert (off.deactivated, on.deactivated, on.updated) == (1, 0, 1)


def test_entra_replaces_only_what_changed_and_removes_by_a_list() -> None:
    entra, directory = speaking(Dialect.ENTRA, Product()), company()
    entra.synchronize(directory)
    ben = directory.named("Ben Dahl")
    directory.change(ben.id, title="Buyer")
    directory.part(ben.id, "Sales")

    report = entra.synchronize(directory)

    assert [operations(exchange) for exchange in report.exchanges if exchange.method == "PATCH"] == [
        [{"op": "Replace", "path": "title", "value": "Buyer"}],
        [{"op": "Remove", "path": "members", "value": [{"value": "id-2"}]}],
    ]


def test_google_puts_the_whole_user() -> None:
    google, directory = speaking(Dialect.GOOGLE, Product()), company()
    google.synchronize(directory)
    directory.leave(directory.named("Ada Berg").id)

    report = google.synchronize(directory)

    (exchange,) = report.exchanges
    assert lines([exchange]) == ["PUT /Users/id-1"]
    assert exchange.request is not None
    assert exchange.request["active"] is False
    assert exchange.request["externalId"] == directory.named("Ada Berg").id


@pytest.mark.parametrize("dialect", [Dialect.OKTA, Dialect.GOOGLE])
def test_what_was_sent_once_is_not_sent_again(dialect: Dialect) -> None:
    client, directory = speaking(dialect, Product()), company()
    client.synchronize(directory)

    again = client.synchronize(directory)

    assert again.requests == 0


@pytest.mark.parametrize("dialect", Dialect)
def test_a_new_client_matches_everybody_and_creates_nobody(dialect: Dialect) -> None:
    product, directory = Product(), company()
    speaking(dialect, product).synchronize(directory)

    report = speaking(dialect, product).synchronize(directory)

    assert report.created == 0
    assert not [exchange for exchange in report.exchanges if exchange.method == "POST"]


def test_nobody_is_created_only_to_be_turned_off() -> None:
    okta, directory = speaking(Dialect.OKTA, Product()), Directory("acme.example")
    directory.leave(directory.hire("Ada", "Berg").id)

    report = okta.synchronize(directory)

    assert report.requests == 0


def test_a_refused_person_is_reported_and_left_out_of_the_group() -> None:
    refusal = httpx.Response(409, json={"scimType": "uniqueness", "detail": "taken"})
    product = Product(refuse={"POST": [refusal]})
    okta = speaking(Dialect.OKTA, product)

    report = okta.synchronize(company())

    (refused,) = report.refused
    assert (refused.status, refused.about) == (409, "uniqueness")
    # Two people and two groups, less the one who was refused.
    assert report.created == 3
    group = next(document for key, document in product.stored.items() if key.startswith("/Groups/"))
    assert [member["display"] for member in group["members"]] == ["ben.dahl@acme.example"]


@pytest.mark.parametrize("dialect", Dialect)
def test_a_refused_token_ends_the_round(dialect: Dialect) -> None:
    refusal = httpx.Response(401, json={"detail": "A valid credential is needed"})
    client = speaking(dialect, Product(refuse={"GET": [refusal]}))

    report = client.synchronize(company())

    assert (report.requests, [exchange.status for exchange in report.refused]) == (1, [401])


def test_a_client_that_is_asked_to_wait_tries_again() -> None:
    product = Product(refuse={"POST": [httpx.Response(429, headers={"Retry-After": "0"})]})
    okta = speaking(Dialect.OKTA, product)

    report = okta.synchronize(company())

    assert (report.created, report.refused) == (4, ())


def test_neither_the_token_nor_a_password_is_in_what_is_shown() -> None:
    okta = speaking(Dialect.OKTA, Product())

    shown = [exchange.as_text() for exchange in okta.synchronize(company()).exchanges]

    assert '"password": "…"' in shown[1]
    assert "token" not in "".join(shown)
    assert "token" not in repr(okta.wire)


def test_the_same_seed_invents_the_same_people_each_with_an_address_of_their_own() -> None:
    one, other = Directory("acme.example"), Directory("acme.example")

    one.hire_some(300, groups=("A", "B", "C"), seed=7)
    other.hire_some(300, groups=("A", "B", "C"), seed=7)

    assert one == other
    assert len({person.user_name for person in one}) == 300
    assert all(1 <= len(one.groups_of(person.id)) <= 2 for person in one)
