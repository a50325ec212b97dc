"""Whatever was sent, the provisioning log keeps what a database takes, says what it was, and shows it harmlessly."""

import json
import unicodedata
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.cli.showing import harmless, harmless_line, print_facts, print_json, print_table
from bridge.domain.redaction import keep_body, keep_query, keep_text
from bridge.usecases.read_requests import said_by

TEXTS = st.text(st.characters(), max_size=30)  # half surrogate pairs, NUL and control characters too
NAMES = TEXTS | st.sampled_from(
    ["active", "userName", "displayName", "Operations", "op", "path", "value", "password", "name"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)
BODIES = VALUES.map(json.dumps) | VALUES.map(lambda value: json.dumps(value, ensure_ascii=False)) | TEXTS
METHODS = st.sampled_from(["POST", "PUT", "PATCH", "DELETE", "GET", "BREW"])
PATHS = st.sampled_from(["/Users", "/Users/1", "/Groups", "/Users/.search", "/Bulk", "/", ""]) | TEXTS


def is_storable(text: str) -> bool:
    return "\x00" not in text and not any(unicodedata.category(character) == "Cs" for character in text)


@given(BODIES)
@example('{"password": "x", "title": "\\ud800"}')
@example('{"password": "x", "a": ' + "[" * 700 + "]" * 700 + "}")
@example('{"token": ' * 600 + "1" + "}" * 600)
def test_of_any_body_something_is_kept_that_a_database_takes(body: str) -> None:
    kept = keep_body(body.encode("utf-8", "surrogatepass"))

    assert is_storable(kept.text)
    orjson.dumps(kept.text)


@given(st.binary(max_size=200))
def test_of_any_bytes_something_is_kept_that_a_database_takes(body: bytes) -> None:
    assert is_storable(keep_body(body).text)


@given(TEXTS)
def test_of_any_short_text_something_is_kept_that_a_database_takes(text: str) -> None:
    kept = keep_text(keep_query(text), 20)

    assert is_storable(kept)
    assert len(kept) <= 20


@given(METHODS, PATHS, TEXTS, BODIES | st.none())
@example("PATCH", "/Users/1", "", '{"active": [false]}')
@example("PATCH", "/Users/1", "", '{"active": {"value": "False"}}')
@example("PATCH", "/Users/1", "", '{"Operations": [{"op": [1], "path": {"a": 1}, "value": []}]}')
@example("PATCH", "/Users/1", "", '{"Operations": [{"op": ' + "[" * 900 + "]" * 900 + "}]}")
@example("POST", "/Users", "", '{"userName": "\\ud800"}')
def test_whatever_was_sent_is_said_in_few_words(method: str, path: str, query: str, body: str | None) -> None:
    said = said_by(method, path, query, body)

    assert len(said) <= 300
    assert is_storable(said.replace("\x00", ""))


@pytest.mark.parametrize("active", ["[false]", '"False"', "false", '{"value": false}', '[{"value": "false"}]'])
def test_who_is_turned_off_is_said_in_every_shape(active: str) -> None:
    said = said_by("PUT", "/Users/1", "", f'{{"userName": "ada", "active": {active}}}')

    assert said == "replace person 1 ada, active: false"


@given(TEXTS)
@example("\x1b[2J\x9b31m\x07\u202e\ud800\r\u2028")
def test_a_shown_text_holds_nothing_that_a_terminal_acts_on(text: str) -> None:
    shown = harmless_line(text)

    assert shown.isascii() or shown.encode()
    assert not any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in shown)
    assert "\u202e" not in shown


@given(VALUES)
def test_json_stays_the_same_json_when_it_is_shown(value: Any) -> None:
    written = json.dumps(value, ensure_ascii=False)

    assert json.dumps(json.loads(harmless(written))) == json.dumps(value)


@given(TEXTS | st.sampled_from(["[red]x[/red]", "[/]", r"\[/x]", ":smile:", "a\nb", "[link=http://x]y"]))
def test_tables_facts_and_json_show_any_text(text: str) -> None:
    print_table(("a", "b"), [(text, 1)], empty="")
    print_facts({"a": text})
    print_json([{"a": text}])


@pytest.mark.parametrize("text", ["[red]x[/red]", "[/]", r"\[/x]", ":smile:", "[bold]"])
def test_markup_is_shown_and_not_obeyed(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("a",), [(text,)], empty="")

    assert text in capsys.readouterr().out
