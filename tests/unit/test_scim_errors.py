"""The one table from what goes wrong to a SCIM Error."""

import importlib
import pkgutil
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.errors import UniqueViolation
from pydantic import BaseModel, ValidationError
from scim2_models import InvalidValueException, NotFoundException
from sqlalchemy import exc
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

import bridge
from bridge.errors import BridgeError, InvalidInputError, UnavailableError, UniquenessError
from scim.errors import BUG, REFUSALS, invalid, refusal_of


def subclasses(kind: type[BridgeError]) -> Iterator[type[BridgeError]]:
    for each in kind.__subclasses__():
        yield each
        yield from subclasses(each)


def test_every_refusal_of_the_product_is_in_the_table() -> None:
    for module in pkgutil.walk_packages(bridge.__path__, "bridge."):
        if "migrations" not in module.name and "__main__" not in module.name:
            importlib.import_module(module.name)

    missing = {each.__name__ for each in subclasses(BridgeError) if each.__module__ == "bridge.errors"} - {
        each.__name__ for each in REFUSALS
    }

    assert missing == set()


@pytest.mark.parametrize(
    ("error", "status", "scim_type"),
    [
        (exc.IntegrityError("INSERT secret", {}, UniqueViolation("Key (user_name)=(annette)")), 409, "uniqueness"),
        (exc.DataError("INSERT secret", {}, psycopg.errors.NumericValueOutOfRange("x")), 400, "invalidValue"),
        (exc.OperationalError("INSERT secret", {}, psycopg.errors.ProgramLimitExceeded("x")), 400, "invalidValue"),
        (exc.OperationalError("SELECT secret", {}, psycopg.errors.SerializationFailure("x")), 503, None),
        (exc.OperationalError("SELECT secret", {}, psycopg.errors.DeadlockDetected("x")), 503, None),
        (exc.OperationalError("SELECT secret", {}, psycopg.errors.LockNotAvailable("x")), 503, None),
        (exc.OperationalError("SELECT secret", {}, psycopg.errors.QueryCanceled("x")), 503, None),
        (exc.OperationalError("SELECT secret", {}, psycopg.errors.AdminShutdown("x")), 503, None),
        (exc.OperationalError("SELECT secret", {}, psycopg.errors.DiskFull("x")), 503, None),
        (exc.OperationalError("SELECT secret", {}, psycopg.OperationalError("no route to 10.0.0.1")), 503, None),
        (exc.TimeoutError("QueuePool limit reached"), 503, None),
        (exc.ProgrammingError("SELECT secret", {}, psycopg.errors.UndefinedTable("x")), 500, None),
        (exc.InvalidRequestError("bug"), 500, None),
        (KeyError("secret"), 500, None),
        (ClientDisconnected("secret"), 400, None),
        (RequestEntityTooLarge("secret"), 413, None),
        (NotFoundException(detail="There is no User '1'"), 404, None),
        (InvalidInputError("userName", "must not be empty"), 400, "invalidValue"),
        (UniquenessError(attribute="userName", value="a", taken_by="1"), 409, "uniqueness"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_answered_by_its_kind_and_never_quotes_the_database(
    error: Exception, status: int, scim_type: str | None
) -> None:
    refusal = refusal_of(error)

    assert (refusal.status, refusal.scim_type) == (status, scim_type)
    assert (refusal.retry_after_seconds is not None) == (status == 503)
    assert not any(word in refusal.detail for word in ("secret", "annette", "10.0.0.1", "Key", "psycopg"))


def test_a_bug_is_answered_without_its_text() -> None:
    assert refusal_of(RuntimeError("password=hunter2")) == BUG
    assert refusal_of(RuntimeError()).is_bug


def test_what_is_not_available_says_when_to_retry() -> None:
    assert refusal_of(UnavailableError("the database", 7)).retry_after_seconds == 7


class Sample(BaseModel):
    title: int


def test_a_validation_librarys_text_never_reaches_the_client() -> None:
    with pytest.raises(ValidationError) as caught:
        Sample.model_validate({"title": "secret"})
    wrapped = InvalidValueException(detail=str(caught.value))
    wrapped.__cause__ = caught.value

    details = [invalid(caught.value).detail, refusal_of(wrapped).detail]

    assert details[0].endswith(": title")
    assert not any("secret" in detail or "pydantic" in detail for detail in details)
