"""What a provisioning client might send, in good and in bad faith: hypothesis strategies for whole SCIM requests.

Most of it is nearly right, for only nearly right requests reach deep: a grammar of people, groups, PATCH operations,
filters, Bulk steps, query parameters and headers, with a share of values that nobody would send on purpose.
References to what exists are written as ``{u1}`` or ``{g1}`` and filled in by whoever sends the request.
"""

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.protocol.scim_client import ENTERPRISE, GROUP, SEAT, USER

Strategy = st.SearchStrategy[Any]

CASES = json.loads((Path(__file__).parents[1] / "data" / "idp-requests.json").read_text())

NAMES = ("ann", "bob", "Straße", "STRASSE", "café", "cafe\u0301", "a%b", "a_b", "x'y", 'q"q', "ⅷ", "İ", "\U0001f642")
USER_NAMES = st.sampled_from(NAMES).map(lambda name: f"{name}@corp.test") | st.sampled_from(NAMES)
GROUP_NAMES = st.sampled_from(("Staff", "STAFF", "Sales", "Team ÅÄÖ", "All", "a%b"))
EXTERNAL_IDS = st.sampled_from(("e1", "E1", "e2", "00u1abc", "{u1}", "{g1}", " e1 ", "e" * 200))
PEOPLE = st.sampled_from([f"{{u{number}}}" for number in range(1, 7)])
GROUPS = st.sampled_from([f"{{g{number}}}" for number in range(1, 4)])
UNKNOWN = st.sampled_from(
    ("00000000-0000-4000-8000-000000000000", "ext-late", "e1", "nobody", "null", "x" * 1_000, "{g1}", "{owner}", "é")
)
MEMBERS = st.one_of(PEOPLE, PEOPLE, PEOPLE, GROUPS, UNKNOWN)

#: What belongs nowhere, or not here.
ODDITIES: Strategy = st.sampled_from(
    (
        None, "", " ", "\u0000", "\ud800", "\u202e", "null", "True", "false", True, False, 0, -1, 7, 1.5, 2**63, 10**99,
        [], {}, [None], [[]], [{}], {"value": None}, {"value": []}, {"value": {"value": "x"}}, [{"value": "a"}, "b", 3],
        "x" * 1_024, "x" * 1_025, "<script>alert(1)</script>", "'; drop table member; --", "%s %(x)s {0} $1 ${x}",
        "=cmd|' /C calc'!A0", "2026-02-30T00:00:00Z", "9999-12-31T23:59:59Z", {"$ref": "../Users/1"}, {"": ""},
        {'a.b[c eq "d"]': 1}, ["a"] * 50, {"schemas": [USER]}, [["x"]], "\n\r\t", 'W/"1-0-0"', "\ufeff", "\ufffe",
    )
)  # fmt: skip
TEXTS = st.sampled_from(("Engineer", "Ünï", "x", "a b", "0", "Ann Example")) | st.text(max_size=6)


def nearly(strategy: Strategy, odd: Strategy = ODDITIES) -> Strategy:
    """Return mostly what is right, once in forty what is not: a request has some twenty places for it."""
    return st.integers(0, 39).flatmap(lambda number: odd if number == 23 else strategy)


ADDRESSES = USER_NAMES.map(lambda name: name if "@" in name else f"{name}@corp.test")
TRUTHS = nearly(
    st.sampled_from((True, False, "True", "False", "false", ["true"], [{"value": "False"}])), st.just("yes")
)
ENTRIES = st.fixed_dictionaries(
    {"value": nearly(ADDRESSES)},
    optional={
        "type": nearly(st.sampled_from(("work", "home", "other", "Work"))),
        "primary": nearly(TRUTHS),
        "display": nearly(TEXTS),
        "$ref": ODDITIES,
        "formatted": nearly(TEXTS),
    },
)
LISTS = nearly(st.lists(nearly(ENTRIES), max_size=3))
NAME = st.dictionaries(
    st.sampled_from(("givenName", "familyName", "formatted", "middleName", "honorificPrefix", "GIVENNAME", "nope")),
    nearly(TEXTS),
    max_size=3,
)
MANAGERS: Strategy = st.one_of(MEMBERS, st.fixed_dictionaries({"value": MEMBERS}), st.just(""), st.just([]), ODDITIES)
ENTERPRISE_FACTS = st.fixed_dictionaries(
    {}, optional={"department": nearly(TEXTS), "employeeNumber": nearly(TEXTS), "manager": MANAGERS, "x": ODDITIES}
)
MEMBER_ENTRIES = st.one_of(
    MEMBERS.map(lambda value: {"value": value}),
    MEMBERS.map(lambda value: {"value": value, "display": "D", "type": "User", "$ref": "../Users/x"}),
    MEMBERS,
)
MEMBER_LISTS = nearly(st.lists(nearly(MEMBER_ENTRIES), max_size=4))

#: Attributes of a person and what is sent in them.
PERSON: dict[str, Strategy] = {
    "externalId": nearly(EXTERNAL_IDS),
    "active": nearly(TRUTHS),
    "displayName": nearly(TEXTS),
    "title": nearly(TEXTS),
    "nickName": nearly(TEXTS),
    "locale": nearly(st.sampled_from(("en", "nb-NO", "xx_YY"))),
    "timezone": nearly(st.sampled_from(("Europe/Oslo", "UTC", "Mars/Base"))),
    "profileUrl": nearly(st.sampled_from(("https://corp.test/a", "profile", "javascript:alert(1)"))),
    "userType": nearly(TEXTS),
    "preferredLanguage": nearly(TEXTS),
    "name": nearly(NAME),
    "emails": LISTS,
    "phoneNumbers": LISTS,
    "addresses": LISTS,
    "ims": LISTS,
    "photos": LISTS,
    "entitlements": LISTS,
    "roles": nearly(st.lists(st.sampled_from(({"value": "a"}, '{"id":"1","value":"premium"}', {"value": "{"})))),
    "x509Certificates": nearly(st.lists(st.sampled_from(({"value": "MIIB"}, {"value": "!"}, {"value": "é"})))),
    ENTERPRISE: nearly(ENTERPRISE_FACTS),
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0User": ENTERPRISE_FACTS,
    SEAT: st.just({"tier": "premium", "state": "assigned"}),
    "manager": MANAGERS,
    "department": nearly(TEXTS),
    "password": TEXTS,
    "groups": MEMBER_LISTS,
    "id": st.just("my-id") | ODDITIES,
    "meta": st.just({"resourceType": "User", "version": 'W/"9"', "location": "https://evil.test"}) | ODDITIES,
    "urn:example:unknown:1.0": ODDITIES,
    "DISPLAYNAME": nearly(TEXTS),
    "": ODDITIES,
    "x y": ODDITIES,
}
#: Those of them that a change by path may reach for.
WRITABLE = [name for name in PERSON if name not in {"id", "meta", "groups", "", "x y", SEAT, "password"}]
GROUP_FACTS: dict[str, Strategy] = {
    "externalId": nearly(EXTERNAL_IDS),
    "members": MEMBER_LISTS,
    "id": st.just("my-id") | ODDITIES,
    "meta": ODDITIES,
    "urn:example:unknown:1.0": ODDITIES,
    "Members": MEMBER_LISTS,
}


def some_of(facts: dict[str, Strategy], most: int) -> Strategy:
    """Return objects with a few of these attributes."""
    names = st.lists(st.sampled_from(sorted(facts)), max_size=most, unique=True)
    return names.flatmap(lambda chosen: st.fixed_dictionaries({name: facts[name] for name in chosen}))


def _with(required: dict[str, Strategy], facts: dict[str, Strategy], schema: str) -> Strategy:
    schemas = nearly(st.sampled_from(([schema], [schema, ENTERPRISE], [schema.upper()], ["urn:x:unknown"])))
    whole = st.tuples(st.fixed_dictionaries({"schemas": schemas, **required}), some_of(facts, 6))
    return nearly(whole.map(lambda pair: {**pair[0], **pair[1]}), ODDITIES | some_of(facts, 3))


PERSON_BODIES = _with({"userName": nearly(USER_NAMES)}, PERSON, USER)
GROUP_BODIES = _with({"displayName": nearly(GROUP_NAMES)}, GROUP_FACTS, GROUP)

# Filters.

FILTER_NAMES = st.sampled_from(
    (
        "userName", "USERNAME", "id", "externalId", "active", "displayName", "title", "name.familyName", "name", "meta",
        "meta.created", "meta.lastModified", "meta.version", "emails", "emails.value", "emails.primary", "emails.type",
        "groups", "groups.value", "groups.display", "members", "members.value", "members.display", "manager", "roles",
        "department", f"{ENTERPRISE}:manager.value", f"{ENTERPRISE}:department", f"{USER}:userName", f"{SEAT}:state",
        "schemas", "nope", "x509Certificates.value", "addresses.formatted", "password", "photos.value", "a.b.c",
    )
)  # fmt: skip
OPERATORS = st.sampled_from(("eq", "eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "EQ", "zz"))
FILTER_TEXTS = st.one_of(
    USER_NAMES, EXTERNAL_IDS, PEOPLE, GROUPS, UNKNOWN, TEXTS, st.sampled_from(("%", "_", "\\", "work", "2026-01-01"))
)
FILTER_VALUES = st.one_of(
    FILTER_TEXTS.map(json.dumps),
    FILTER_TEXTS.map(json.dumps),
    FILTER_TEXTS,
    st.sampled_from(
        ("true", "false", "null", "1", "1e999", '"\\ud800"', '"\\u0000"', '"', '"x', '"9999-12-31T23:59:59-23:59"')
    ),
)
_COMPARISONS = st.tuples(FILTER_NAMES, OPERATORS, FILTER_VALUES).map(" ".join)
TERMS = st.one_of(
    _COMPARISONS,
    _COMPARISONS,
    FILTER_NAMES.map(lambda name: f"{name} pr"),
    st.tuples(FILTER_NAMES, _COMPARISONS).map(lambda pair: f"{pair[0]}[{pair[1]}]"),
    st.tuples(FILTER_NAMES, _COMPARISONS, FILTER_NAMES).map(lambda parts: f"{parts[0]}[{parts[1]}].{parts[2]}"),
)
FILTERS = st.recursive(
    TERMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from((" and ", " or ", " AND ", " nor ")), inner).map("".join),
        inner.map(lambda text: f"not ({text})"),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"({text}"),
    ),
    max_leaves=4,
) | st.text(max_size=12)

# Searching.

NUMBERS = st.sampled_from(
    ("0", "1", "2", "-1", "200", "201", "100000", "2147483648", "9223372036854775808", "1e3", "1.5", "", "x", " 1", "٣")
)
SEARCHES: dict[str, Strategy] = {
    "filter": FILTERS,
    "sortBy": FILTER_NAMES | ODDITIES,
    "sortOrder": st.sampled_from(("ascending", "descending", "Descending", "sideways", "")),
    "startIndex": NUMBERS,
    "count": NUMBERS,
    "cursor": st.sampled_from(("", "", "x", "{cursor}", "AAAA", "é")),
    "attributes": st.lists(FILTER_NAMES, max_size=3).map(",".join) | TEXTS,
    "excludedAttributes": st.lists(FILTER_NAMES, max_size=3).map(",".join) | TEXTS,
    "aadOptscim062020": st.just(""),
    "schemas": nearly(st.just(["urn:ietf:params:scim:api:messages:2.0:SearchRequest"])),
}
QUERIES = some_of(SEARCHES, 4)

# Changing.

PATHS = st.one_of(
    st.sampled_from(sorted(PERSON)),
    st.sampled_from(("members", "Members", "displayName", "externalId", "/title", "name.givenName", "name")),
    FILTER_NAMES,
    st.tuples(st.sampled_from(("emails", "members", "roles", "addresses", "manager")), TERMS).map(
        lambda pair: f"{pair[0]}[{pair[1]}]"
    ),
    st.tuples(st.sampled_from(("emails", "phoneNumbers")), st.sampled_from(("value", "primary", "type", "x"))).map(
        lambda pair: f'{pair[0]}[type eq "work"].{pair[1]}'
    ),
    ODDITIES,
)
VERBS = nearly(st.sampled_from(("add", "replace", "remove", "Add", "Replace", "Remove")))
_MEMBER_CHANGES = st.fixed_dictionaries(
    {"op": VERBS, "path": nearly(st.sampled_from(("members", "Members")))}, optional={"value": MEMBER_LISTS}
)
_ATTRIBUTE_CHANGES = st.sampled_from(sorted(WRITABLE)).flatmap(
    lambda name: st.fixed_dictionaries({"op": VERBS, "path": st.just(name), "value": PERSON[name]})
)
_ANY_CHANGES = st.fixed_dictionaries(
    {"op": VERBS}, optional={"path": PATHS, "value": st.one_of(ODDITIES, TEXTS, LISTS, some_of(PERSON, 3))}
)
_NAMELESS_CHANGES = st.fixed_dictionaries(
    {"op": st.sampled_from(("add", "Replace")), "value": some_of({name: PERSON[name] for name in WRITABLE}, 3)}
)
_GROUP_NAMES_CHANGES = st.fixed_dictionaries(
    {"op": st.just("replace"), "path": st.sampled_from(("displayName", "externalId")), "value": GROUP_NAMES}
)
OPERATIONS = nearly(_ATTRIBUTE_CHANGES | _NAMELESS_CHANGES, _ANY_CHANGES | _MEMBER_CHANGES | ODDITIES)
PATCHES = nearly(
    st.fixed_dictionaries(
        {"Operations": nearly(st.lists(OPERATIONS, min_size=1, max_size=3))},
        optional={"schemas": nearly(st.just(["urn:ietf:params:scim:api:messages:2.0:PatchOp"]))},
    )
)
GROUP_PATCHES = st.fixed_dictionaries(
    {
        "Operations": st.lists(
            nearly(_MEMBER_CHANGES | _MEMBER_CHANGES | _GROUP_NAMES_CHANGES, _ANY_CHANGES), min_size=1, max_size=3
        )
    }
)

# Addresses.

RESOURCES = nearly(
    st.one_of(PEOPLE.map("/Users/{}".format), GROUPS.map("/Groups/{}".format)), UNKNOWN.map("/Users/{}".format)
)
ENDPOINTS = st.sampled_from(
    (
        "/Users", "/Groups", "/Me", "/Schemas", "/ResourceTypes", "/ServiceProviderConfig", "/Bulk", "", "/", "//Users",
        "/Users/", "/users", "/Users/.search", "/.search", "/Nothing", "/Users/../Groups", "/Users/%2e%2e/Groups",
        "/Users%2F{u1}", "/Users/{u1}/", "/Users/{u1}/emails", "/Users/{u1}.scim", "/Users.scim", "/./Users", "/%00",
        "/Users/%00", "/Users/%ff", "/Users/{u1}%0a", "/Users;x=1", "/Schemas/User", "/ResourceTypes/User", "/*", "/~",
        f"/Schemas/{USER}", "/Users/" + "x" * 3_000, "/Users?count=1&count=2", "/Users?filter=a&filter=b", "/Users?%",
    )
)  # fmt: skip
METHODS = st.sampled_from(
    ("GET", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "SEARCH")
)

# Several at once.

BULK_STEPS = st.one_of(
    st.fixed_dictionaries(
        {
            "method": st.just("POST"),
            "path": st.just("/Users"),
            "bulkId": st.sampled_from(("a", "b")),
            "data": PERSON_BODIES,
        }
    ),
    st.fixed_dictionaries(
        {
            "method": st.just("POST"),
            "path": st.just("/Groups"),
            "bulkId": st.sampled_from(("c", "d")),
            "data": GROUP_BODIES
            | st.just({"schemas": [GROUP], "displayName": "B", "members": [{"value": "bulkId:a"}]}),
        }
    ),
    st.fixed_dictionaries({"method": st.sampled_from(("PATCH", "patch")), "path": RESOURCES, "data": PATCHES}),
    st.fixed_dictionaries({"method": st.just("PUT"), "path": RESOURCES, "data": PERSON_BODIES | GROUP_BODIES}),
    st.fixed_dictionaries(
        {"method": st.just("DELETE"), "path": nearly(RESOURCES)}, optional={"version": ODDITIES, "data": ODDITIES}
    ),
)
ODD_STEPS = ODDITIES | st.fixed_dictionaries({"method": METHODS, "path": ENDPOINTS}, optional={"data": ODDITIES})
BULKS = nearly(
    st.fixed_dictionaries(
        {"Operations": nearly(st.lists(nearly(BULK_STEPS, ODD_STEPS), min_size=1, max_size=5))},
        optional={
            "failOnErrors": nearly(st.integers(0, 2)),
            "schemas": nearly(st.just(["urn:ietf:params:scim:api:messages:2.0:BulkRequest"])),
        },
    )
)

# Around it.

TAGS = st.sampled_from(
    ("*", 'W/"1"', '"1"', "1", "{etag}", '"x", {etag}', 'W/"1-0-0"', "", '"', "W/", ",", '"a,b"', "w/{etag}", "é")
)
#: Conditions, which any request may have.
CONDITIONS = st.fixed_dictionaries({}, optional={"If-Match": TAGS, "If-None-Match": TAGS})
#: Anything a header can say.
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "If-Match": TAGS,
        "If-None-Match": TAGS,
        "Content-Type": st.sampled_from(
            (
                "application/scim+json", "application/json; charset=utf-8", "application/json", "text/json",
                "text/plain", "", "application/x-www-form-urlencoded", "multipart/form-data", "application/xml", ";",
                "é/é", "application/scim+json; charset=utf-16",
            )
        ),
        "Accept": st.sampled_from(("*/*", "application/scim+json", "text/html", "application/xml;q=0.9", "", "x/y/z")),
        "Content-Encoding": st.sampled_from(("identity", "gzip", "deflate", "br", "x, gzip", "")),
        "Host": st.sampled_from(("evil.test", "[::1]", "a b", "")),
        "X-Forwarded-Host": st.just("evil.test"),
        "X-Request-Id": st.sampled_from(("abcdefgh-1", "x" * 300, "\t", "<b>", "é")),
        "User-Agent": st.sampled_from(("", "Okta SCIM Client 1.0.0", "\x1b[31m", "x" * 2_000)),
        "X-HTTP-Method-Override": st.sampled_from(("DELETE", "PATCH")),
        "Range": st.just("bytes=0-1"),
        "Expect": st.just("100-continue"),
    },
)  # fmt: skip


def _swap_one(document: Any, where: int, odd: Any) -> Any:
    """Put an oddity in the place of one value of a document, counted depth first."""
    counter = iter(range(where, -1, -1))

    def walk(value: Any) -> Any:
        if next(counter, -1) == 0:
            return odd
        if isinstance(value, dict):
            return {name: walk(item) for name, item in value.items()}
        return [walk(item) for item in value] if isinstance(value, list) else value

    return walk(document)


def _break_text(body: bytes, where: int, junk: bytes) -> bytes:
    at = where % (len(body) + 1)
    return body[:at] + junk + body[at + len(junk) // 2 :]


#: The known requests of identity providers, one value of each replaced, as ``(method, path, body)``.
KNOWN_REQUESTS = st.tuples(
    st.sampled_from([step for case in CASES for step in case["steps"]]), st.integers(0, 40), st.booleans() | ODDITIES
).map(
    lambda drawn: (
        drawn[0]["method"],
        drawn[0]["path"].replace("{bare}", "{u4}"),
        _swap_one(drawn[0].get("body"), drawn[1], drawn[2]),
    )
)
#: Bodies as bytes, broken somewhere.
BROKEN_BODIES = st.tuples(
    st.one_of(PERSON_BODIES, GROUP_BODIES, PATCHES, BULKS).map(lambda body: json.dumps(body).encode()),
    st.integers(0, 2_000),
    st.sampled_from(
        (
            b"", b"\x00", b"\xff\xfe", b'"', b"{", b"]", b",,", b"NaN", b"1e999", b"-0", b"\xed\xa0\x80", b"\\ud800",
            b'"userName":"a","userName":"b",', b"[" * 40, b"\xef\xbb\xbf", b"/**/", b"9" * 200, b"\x1f\x8b\x08",
        )
    ),
).map(lambda drawn: _break_text(*drawn))  # fmt: skip
