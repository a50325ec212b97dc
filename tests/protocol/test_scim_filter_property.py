"""Any text as a filter over HTTP is answered: with a list, or with a 400 that says it is no filter."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.factories import Customer
from tests.protocol.scim_client import ScimClient, make_app, make_token

_NAMES = st.sampled_from(
    (
        "userName", "id", "active", "meta.created", "meta.lastModified", "meta", "emails", "emails.value",
        "name.familyName", "groups", "groups.value", "members.value", "manager", "externalId", "schemas", "nope",
        "roles", "emails.primary",
        "x509Certificates.value", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
    )
)  # fmt: skip
_OPERATORS = st.sampled_from(("eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "zz", "EQ"))
_ESCAPES = st.sampled_from((r"\ud800", r"\udc00", r"\u0000", r"\n", r"\x", "\\", "%", "_", "]", ")", "\x00", "é"))
_TEXTS = st.lists(_ESCAPES | st.text(max_size=4), max_size=4).map("".join)
_VALUES = st.one_of(
    _TEXTS.map(lambda text: f'"{text}"'),
    _TEXTS,
    st.datetimes().map(lambda at: f'"{at.isoformat()}"'),
    st.dates().map(lambda day: f'"{day}"'),
    st.sampled_from(
        ("true", "null", "1", "1e999", "-0", '"maybe"', '"9999-12-31T23:59:59-23:59"', '"0001-01-01T00:00:00+23:59"')
    ),
)
_TERMS = st.one_of(
    st.tuples(_NAMES, _OPERATORS, _VALUES).map(" ".join),
    _NAMES.map(lambda name: f"{name} pr"),
    st.tuples(_NAMES, _NAMES, _OPERATORS, _VALUES).map(lambda parts: f"{parts[0]}[{' '.join(parts[1:])}]"),
)
_WRAPPED = st.tuples(_TERMS, st.sampled_from(("{}", "({})", "not ({})"))).map(
    lambda pair: pair[1].replace("{}", pair[0])
)
_FILTERS = st.tuples(st.lists(_WRAPPED, min_size=1, max_size=4), st.sampled_from((" and ", " or "))).map(
    lambda pair: pair[1].join(pair[0])
)


@pytest.fixture
def client(customer: Customer) -> ScimClient:
    client = ScimClient(make_app(customer), customer.slug, make_token(customer))
    client.create_user("ann@corp.test", emails=[{"value": "ann@corp.test", "type": "work", "primary": True}])
    return client


@settings(
    max_examples=100,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(text=_FILTERS | st.text(max_size=60), endpoint=st.sampled_from(("/Users", "/Groups", "")))
def test_i2_no_text_as_a_filter_is_answered_500(client: ScimClient, text: str, endpoint: str) -> None:
    by_body = client.post(f"{endpoint}/.search", {"filter": text})
    by_query = client.client.get(
        f"{client.root}{endpoint or '/'}",
        query_string={"filter": text.encode("utf-8", "surrogatepass")},
        headers={"Authorization": f"Bearer {client.token}"},
    )

    assert by_body.status_code in {200, 400}, by_body.text
    assert by_query.status_code in {200, 400}, by_query.text
