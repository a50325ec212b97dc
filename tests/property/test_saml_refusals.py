"""Whatever the bytes: a verified assertion that says what was signed, or a refusal. Never another exception."""

import base64
from contextlib import suppress
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from bridge.adapters import saml
from bridge.errors import InvalidInputError, SignInRefusedError
from bridge.simulator.saml import Signed
from tests.saml_forgeries import ADA, NOW, idp, signed, verify

ALPHABET = [
    b"<",
    b">",
    b"/",
    b"&",
    b"#",
    b'"',
    b"\0",
    b"\xff",
    b"<!--x-->",
    b"<![CDATA[x]]>",
    b"<?x?>",
    b"<saml:Assertion/>",
    b"<ds:Signature/>",
    b"&amp;",
    b"&#0;",
    b' ID="x"',
    b"9999-12-31T23:59:59Z",
    b"0001-01-01T00:00:00+14:00",
]


@cache
def document(part: Signed) -> bytes:
    xml: bytes = etree.tostring(signed(part=part))
    return xml


def outcome(raw: str) -> saml.VerifiedAssertion | SignInRefusedError:
    try:
        return verify(raw)
    except SignInRefusedError as refusal:
        return refusal


def check(result: saml.VerifiedAssertion | SignInRefusedError) -> None:
    if isinstance(result, SignInRefusedError):
        check_refusal(result)
    else:
        assert result.name_id == ADA.name_id
        assert result.attributes["groups"] == ("Engineering",)


def check_refusal(result: saml.VerifiedAssertion | SignInRefusedError) -> None:
    assert isinstance(result, SignInRefusedError)
    assert result.reason in set(saml.SamlRefusal)
    assert result.detail


@settings(deadline=None)
@given(raw=st.text())
def test_any_text_is_refused(raw: str) -> None:
    check_refusal(outcome(raw))


@settings(deadline=None)
@given(content=st.binary(max_size=300))
def test_any_bytes_are_refused(content: bytes) -> None:
    check_refusal(outcome(base64.b64encode(content).decode()))


@settings(max_examples=400, deadline=None)
@given(
    part=st.sampled_from(Signed),
    edits=st.lists(
        st.tuples(
            st.floats(0, 1, exclude_max=True), st.integers(0, 60), st.sampled_from(ALPHABET) | st.binary(max_size=4)
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_a_damaged_response_is_refused_or_says_what_was_signed(
    part: Signed, edits: list[tuple[float, int, bytes]]
) -> None:
    xml = document(part)
    for place, cut, inserted in edits:
        start = int(place * len(xml))
        xml = xml[:start] + inserted + xml[start + cut :]

    check(outcome(base64.b64encode(xml).decode()))


@settings(max_examples=400, deadline=None)
@given(part=st.sampled_from(Signed), data=st.data())
def test_a_rearranged_response_is_refused_or_says_what_was_signed(part: Signed, data: st.DataObject) -> None:
    root = etree.fromstring(document(part))
    for _ in range(data.draw(st.integers(1, 3))):
        rearrange(root, data)

    check(outcome(base64.b64encode(etree.tostring(root)).decode()))


def rearrange(root: Any, data: st.DataObject) -> None:
    """Move, copy, remove or rename elements, or change an attribute or a text."""
    elements = list(root.iter())
    element = elements[data.draw(st.integers(0, len(elements) - 1))]
    target = elements[data.draw(st.integers(0, len(elements) - 1))]
    match data.draw(st.sampled_from(["move", "copy", "remove", "text", "attribute", "tag"])):
        case "move" if element is not root and element not in target.iterancestors() and element is not target:
            target.insert(data.draw(st.integers(0, 3)), element)
        case "copy":
            target.insert(data.draw(st.integers(0, 3)), etree.fromstring(etree.tostring(element)))
        case "remove" if element is not root:
            element.getparent().remove(element)
        case "text":
            element.text = data.draw(st.sampled_from(["", " ", "evil@acme.example", "x" * 300, "\u202e"]))
        case "attribute" if element.attrib:
            name = data.draw(st.sampled_from(sorted(element.attrib)))
            element.set(name, data.draw(st.sampled_from(["", "x", "#x", "2.0", "9999-12-31T23:59:59Z"])))
        case "tag":
            element.tag = target.tag
        case _:
            pass


@settings(deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), cut=st.integers(0, 60), inserted=st.binary(max_size=4))
def test_damaged_metadata_is_read_or_refused(place: float, cut: int, inserted: bytes) -> None:
    xml = idp().metadata()
    start = int(place * len(xml))

    # Any exception other than a refusal fails the test.
    with suppress(InvalidInputError):
        assert saml.parse_idp_metadata(xml[:start] + inserted + xml[start + cut :], now=NOW).certificates
