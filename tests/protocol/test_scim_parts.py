"""A part of a resource, chosen from its document, is the part that the library's model shows."""

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from scim2_models import Context, ResponseParameters
from scim2_server.utils import parametrize

from scim.members import MemberIds, MemberList, written, written_in_pieces
from scim.resources import model_of
from scim.service import BridgeService
from scim.storage import MemberStorage
from scim.translate import to_json, to_resource
from tests.factories import Customer
from tests.protocol.scim_client import ENTERPRISE, ScimClient, make_app, make_token

BASE = "https://seats.test/scim/v2/nordlys"
OF_PEOPLE = (
    "userName",
    "emails",
    "name",
    "active",
    "groups",
    "meta",
    "id",
    "externalId",
    "title",
    "USERNAME",
    "schemas",
)
OF_GROUPS = ("displayName", "members", "meta", "externalId", "DisplayName")


@pytest.fixture
def directory(customer: Customer) -> Customer:
    """A directory of one full and one bare person, and a group with both and a group inside."""
    client = ScimClient(make_app(customer), customer.slug, make_token(customer))
    ann = client.create_user(
        "Ann@Corp.test",
        externalId="e1",
        title="Engineer",
        name={"givenName": "Ann", "familyName": "Ek"},
        emails=[{"value": "ann@corp.test", "type": "work", "primary": True}, {"value": "a@home.test"}],
        **{ENTERPRISE: {"department": "Sales", "manager": {"value": "m"}}},
    )
    bob = client.create_user("bob@corp.test", active=False)
    inside = client.create_group("Inside", ann)
    client.create_group("Around", bob, inside, externalId="g1")
    return customer


@pytest.fixture
def services(directory: Customer) -> dict[str, BridgeService]:
    """The protocol as a client that writes sees it, and as one that only reads."""
    return {name: BridgeService(directory.runtime, with_seat=name == "reads") for name in ("writes", "reads")}


@settings(
    max_examples=60,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    of_people=st.lists(st.sampled_from(OF_PEOPLE), min_size=1, max_size=4, unique=True),
    of_groups=st.lists(st.sampled_from(OF_GROUPS), min_size=1, max_size=3, unique=True),
    parameter=st.sampled_from(("attributes", "excludedAttributes")),
    token=st.sampled_from(("writes", "reads")),
)
def test_a_part_of_a_document_is_the_part_that_the_model_shows(  # noqa: PLR0917 (what hypothesis chooses)
    directory: Customer,
    services: dict[str, BridgeService],
    of_people: list[str],
    of_groups: list[str],
    parameter: str,
    token: str,
) -> None:
    service = services[token]
    for endpoint, names in (("Users", of_people), ("Groups", of_groups)):
        resource_type = service.resource_type_at(endpoint)
        model = model_of(service.provider, resource_type)
        parameters = parametrize(ResponseParameters, model).model_validate({parameter: names})
        request, _ = service.read_search([resource_type], {})
        part = service.part_of(resource_type, parameters)
        assert part is not None
        with directory.unit(directory.directory) as unit:
            storage = MemberStorage(unit, directory.connection_id, service.provider, writing=False)
            _, quick = storage.find([resource_type], request, named=False)
            _, whole = storage.find([resource_type], request)
            for one, named in zip(quick, whole, strict=True):
                shown = orjson.loads(written(part.of(to_json(one, BASE))))
                resource = service.publish(BASE, to_resource(named, model))
                through = resource.model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE, response_parameters=parameters)

                assert _unordered(shown) == _unordered(through)


def _unordered(value: Any) -> Any:
    """Leave out the order of entries, which means nothing."""
    if isinstance(value, dict):
        return {name: _unordered(item) for name, item in value.items()}
    if isinstance(value, list):
        return sorted(
            (_unordered(item) for item in value), key=lambda item: orjson.dumps(item, option=orjson.OPT_SORT_KEYS)
        )
    return value


def test_a_list_of_many_members_is_written_in_pieces_that_make_one_document() -> None:
    ids = [f"00000000-0000-4000-8000-{number:012x}" for number in range(12_345)]
    members = MemberList(MemberIds("".join(ids)), [{"value": "g", "type": "Group"}], BASE)

    pieces = list(written_in_pieces({"id": "x", "members": members}) or ())

    document = orjson.loads(b"".join(pieces))
    assert document == orjson.loads(written({"id": "x", "members": members}))
    assert [entry["value"] for entry in document["members"]] == [*ids, "g"]
    assert document["members"][0]["$ref"] == f"{BASE}/Users/{ids[0]}"
    # Seven pieces of members, 2,000 at most in each; what comes before, two brackets, and the end.
    assert len(pieces) == 7 + 4
    assert max(map(len, pieces)) < 400_000
