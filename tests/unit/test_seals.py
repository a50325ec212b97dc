"""What an audit entry is sealed over is written the same by both libraries, or by the slower one alone."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.store.seals import frame

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=12,
)
_AT = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)


def _content(body: dict[str, Any], subject_id: str = "s") -> str:
    return frame(
        org_id="o",
        at=_AT,
        actor="directory:d",
        action="member.updated",
        subject_kind="member",
        subject_id=subject_id,
        reason="directory",
        request_id="r",
        body=body,
    ).content(7)


@given(body=st.dictionaries(_TEXTS, _VALUES, max_size=5), subject_id=_TEXTS)
def test_the_content_is_compact_json_with_sorted_names(body: dict[str, Any], subject_id: str) -> None:
    facts = {
        "action": "member.updated",
        "actor": "directory:d",
        "at": _AT.isoformat(),
        "body": body,
        "org": "o",
        "reason": "directory",
        "request": "r",
        "seq": 7,
        "subject": ["member", subject_id],
    }

    assert _content(body, subject_id) == json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize("value", [1e16, 1e-7, 2**64, -(2**70), '\x7f\u2028\x1f\\"/', 0.1, -0.0])
def test_what_the_libraries_write_differently_is_written_by_the_slower_one(value: Any) -> None:
    written = json.dumps(value, ensure_ascii=False)

    assert f'"body":{{"x":{written}}}' in _content({"x": value})
