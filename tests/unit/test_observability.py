import io
import json
import logging
from typing import Any

import pytest
import structlog

from bridge.errors import UniquenessError
from bridge.observability import bound_ids, configure_logging, current_request_id, request_id_from


@pytest.fixture
def stream() -> io.StringIO:
    stream = io.StringIO()
    configure_logging(stream=stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def fail(error: Exception) -> None:
    raise error


def test_a_line_carries_its_event_its_ids_and_the_request(stream: io.StringIO) -> None:
    with bound_ids(request_id="req-12345678", org_id=None):
        structlog.get_logger("bridge.seats").info("seat.assigned", member_id=7)

    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "seat.assigned",
        "member_id": 7,
        "request_id": "req-12345678",
        "logger": "bridge.seats",
        "level": "info",
    }


def test_libraries_are_heard_from_warning_upwards_in_the_same_shape(stream: io.StringIO) -> None:
    configure_logging(stream=stream)  # again: pytest sets a level of its own between a fixture and its test

    logging.getLogger("werkzeug").info("GET / 200")
    logging.getLogger("alembic").warning("slow %s", "migration")

    assert [line["event"] for line in lines(stream)] == ["slow migration"]


def test_what_people_are_called_does_not_reach_the_log_even_by_mistake(stream: io.StringIO) -> None:
    log = structlog.get_logger("bridge.x")

    log.info(
        "x", email="alice@example.com", token="sb_123", detail={"user_name": "alice", "note": "to alice@example.com"}
    )

    assert "alice" not in stream.getvalue()
    assert "sb_123" not in stream.getvalue()


def test_an_exception_is_described_without_the_values_it_quotes(stream: io.StringIO) -> None:
    log = structlog.get_logger("bridge.x")
    try:
        fail(ValueError("Key (org_id, user_name_key)=(1, alice@example.com) already exists."))
    except ValueError:
        log.exception("x.failed")

    (described,) = lines(stream)[0]["exception"]
    assert described["type"] == "builtins.ValueError"
    assert described["message"] == "Key (org_id, user_name_key)=([redacted]) already exists."
    assert "test_an_exception_is_described" in " ".join(described["frames"])


def test_a_refusal_is_described_by_its_code_because_its_sentence_names_people(stream: io.StringIO) -> None:
    log = structlog.get_logger("bridge.x")
    try:
        fail(UniquenessError(attribute="userName", value="alice", taken_by="a member"))
    except UniquenessError:
        log.exception("x.refused")

    assert lines(stream)[0]["exception"][0]["code"] == "uniqueness"
    assert "alice" not in stream.getvalue()


@pytest.mark.parametrize("as_json", [True, False])
def test_i7_a_line_break_in_a_value_cannot_forge_a_line(as_json: bool) -> None:  # noqa: FBT001 (a parameter of the test)
    stream = io.StringIO()
    configure_logging(stream=stream, as_json=as_json)

    structlog.get_logger("bridge.x").info("x", path="/a\r\n2026-01-01 [info] forged\u2028", event_id="1")

    assert len(stream.getvalue().splitlines()) == 1


def test_an_exception_for_people_keeps_its_places(stream: io.StringIO) -> None:
    configure_logging(stream=stream, as_json=False)
    try:
        fail(KeyError("tier"))
    except KeyError:
        structlog.get_logger("bridge.x").exception("x.failed")

    assert "builtins.KeyError: 'tier'" in stream.getvalue()
    assert "test_observability.py" in stream.getvalue()


@pytest.mark.parametrize("claimed", [None, "", "short", "a" * 65, "has space1", "line\nbreak1", "sémantique"])
def test_a_request_id_that_is_not_a_plain_short_token_is_replaced(claimed: str | None) -> None:
    given = request_id_from(claimed)

    assert given != claimed
    assert len(given) == 32


def test_a_plain_request_id_of_the_caller_is_kept() -> None:
    assert request_id_from("req_2f1c-77.a") == "req_2f1c-77.a"


def test_the_request_id_is_known_inside_its_block_only() -> None:
    with bound_ids(request_id="req-12345678"):
        inside = current_request_id()

    assert inside == "req-12345678"
    assert current_request_id() is None
