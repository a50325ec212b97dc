"""One table from refusal to SCIM Error (RFC 7644 §3.12): status, scimType and a sentence, never a library's text."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType

import psycopg
from pydantic import ValidationError
from scim2_models import (
    Error,
    InvalidCursorException,
    InvalidValueException,
    NotFoundException,
    PreconditionFailedException,
    SCIMException,
    UniquenessException,
)
from sqlalchemy import exc as database
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from bridge import errors as bridge

RETRY_AFTER_SECONDS = 5
_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]{0,63}")

#: Status and scimType of every refusal; a test walks the subclasses of BridgeError, so none can be forgotten.
REFUSALS: Mapping[type[bridge.BridgeError], tuple[int, str | None]] = MappingProxyType(
    {
        bridge.InvalidInputError: (400, "invalidValue"),
        bridge.NotFoundError: (404, None),
        bridge.UniquenessError: (409, "uniqueness"),
        bridge.AdoptionRefusedError: (409, "uniqueness"),
        bridge.GroupCycleError: (400, "invalidValue"),
        bridge.NestingTooDeepError: (400, "invalidValue"),
        bridge.AssertionFailedError: (409, None),
        bridge.MetadataGivenMeanwhileError: (409, None),
        bridge.GroupConnectionMissingError: (400, "invalidValue"),
        bridge.ApprovalDecidedError: (409, None),
        bridge.VersionMismatchError: (412, None),
        bridge.UnauthenticatedError: (401, None),
        bridge.ForbiddenError: (403, None),
        bridge.InsufficientScopeError: (403, None),
        bridge.OwnerProtectedError: (403, None),
        # 403 and not 409: an identity provider reads 409 as "is there already" and stops looking.
        bridge.NoSeatAvailableError: (403, None),
        bridge.SameTierError: (409, None),
        bridge.MemberInactiveError: (409, None),
        bridge.BudgetNotPossibleError: (409, None),
        bridge.NotWaitingError: (409, None),
        bridge.SignInRefusedError: (403, None),
        bridge.SeatsInUseError: (409, None),
        bridge.SsoEnforcedError: (409, None),
        bridge.AccountManagerOnlyError: (403, None),
        bridge.InvalidChangeError: (400, "invalidValue"),
        bridge.BelowMinimumError: (409, None),
        bridge.ReductionNotAllowedError: (409, None),
        bridge.LowerFeeError: (409, None),
        bridge.PlanEndedError: (409, None),
        bridge.InEvaluationError: (409, None),
        bridge.PaymentFailedError: (409, None),
        bridge.PreviewExpiredError: (409, None),
        bridge.PreviewStaleError: (409, None),
        bridge.IdempotencyConflictError: (409, None),
        bridge.AcknowledgementMissingError: (400, "invalidValue"),
        bridge.CostDiffersError: (409, None),
        bridge.TokenLimitError: (409, None),
        bridge.PushesRefusedError: (403, None),
        bridge.HoldDecidedError: (409, None),
        bridge.HoldChangedError: (409, None),
        bridge.ConfigurationError: (500, None),
        bridge.UnavailableError: (503, None),
        bridge.BillingCoreUnreachableError: (503, None),
        bridge.BillingCoreAnswerError: (503, None),
        bridge.BillingCoreRefusedError: (409, None),
        bridge.OrderOpenError: (409, None),
        bridge.OrderClosedError: (409, None),
        bridge.WebhookRefusedError: (401, None),
        bridge.TooManyRequestsError: (429, None),
        bridge.EInvoiceIncompleteError: (409, None),
        bridge.NotInstalledError: (501, None),
        bridge.NotReplayableError: (409, None),
        bridge.SetupLinkGoneError: (404, None),
    }
)

_SENTENCES = {
    None: "The request cannot be carried out",
    "invalidFilter": "The filter is not valid for these resources",
    "invalidSyntax": "The body does not have the shape of this request",
    "invalidPath": "The path of an operation is not valid",
    "noTarget": "The path of an operation selects nothing",
    "invalidValue": "A value is missing or does not fit its attribute",
    "uniqueness": "A value is already taken",
    "mutability": "An attribute cannot be changed",
    "invalidCursor": "The cursor is none that this search gave: start again without one",
}


#: What the library's own kinds of error say of an attribute, in our words.
_PROBLEMS = {
    "required_error": "A required attribute is missing",
    "primary_uniqueness_error": "More than one entry is marked as primary",
}


class UnknownShapeException(InvalidValueException):
    """``active`` or ``members`` in a shape nobody knows: refused and told to the owners, never guessed.

    A guess here could turn people off or empty a group.
    """

    _default_detail = "The shape of a value is not known"


@dataclass(frozen=True, slots=True)
class Refusal:
    """How an exception is answered."""

    status: int
    scim_type: str | None
    detail: str
    retry_after_seconds: int | None = None

    @property
    def is_bug(self) -> bool:
        """Whether somebody has to look at it: it is then logged, and answered without text."""
        return self.status == 500  # noqa: PLR2004 (the status itself)

    def to_error(self) -> Error:
        """Return the body of the answer."""
        return Error(status=self.status, scim_type=self.scim_type, detail=self.detail)


BUG = Refusal(500, None, "Something went wrong on our side. The request id names the entry in our log")
BUSY = Refusal(503, None, "The service cannot answer at the moment: retry later", RETRY_AFTER_SECONDS)


def refusal_of(exception: Exception) -> Refusal:
    """Tell how an exception raised while serving a request is answered."""
    if isinstance(exception, SCIMException):
        scim_type = exception.scim_type or None
        quoted = exception.__cause__ or exception.__context__
        if isinstance(quoted, ValidationError):
            detail = _detail(scim_type, quoted)
        else:
            detail = sentence(scim_type) if isinstance(exception, InvalidCursorException) else exception.detail
        return Refusal(exception.status, scim_type, detail)
    if isinstance(exception, bridge.BridgeError):
        return _of_bridge(exception)
    if isinstance(exception, RequestEntityTooLarge):
        return Refusal(413, None, "The body is larger than this endpoint accepts")
    if isinstance(exception, HTTPException) and exception.code is not None and exception.code < BUG.status:
        return Refusal(exception.code, None, "The request could not be read")
    if isinstance(exception, database.SQLAlchemyError | psycopg.Error):
        return _of_database(exception)
    return BUG


def invalid(error: ValidationError) -> SCIMException:
    """Return the refusal of a body or query that does not fit its model, in our words.

    The library's text names its own types and may quote what was sent; only the place is taken over.
    """
    first = Error.from_validation_errors(error)[0]
    detail = _detail(first.scim_type, error)
    return SCIMException.from_error(Error(status=first.status, scim_type=first.scim_type, detail=detail))


def _detail(scim_type: str | None, error: ValidationError) -> str:
    """Say what a scimType means and which attribute it is about."""
    first = error.errors()[0]
    names = [part.rpartition(":")[2] for part in first["loc"] if isinstance(part, str)]
    field = first.get("ctx", {}).get("field_name")
    where = ".".join(name for name in [*names, *([field] if isinstance(field, str) else [])] if _NAME.fullmatch(name))
    problem = _PROBLEMS.get(first["type"], sentence(scim_type))
    return f"{problem}: {where}" if where else problem


def sentence(scim_type: str | None) -> str:
    """Return what a scimType means, in our words."""
    return _SENTENCES.get(scim_type, _SENTENCES[None])


@contextmanager
def as_scim() -> Iterator[None]:
    """Raise refusals of the use cases as the exceptions that a SCIM storage must raise.

    An adoption that was refused keeps its class: the unit of work tells the owners of it.
    """
    try:
        yield
    except bridge.AdoptionRefusedError:
        raise
    except bridge.UniquenessError as error:
        raise UniquenessException(detail=str(error)) from error
    except bridge.NotFoundError as error:
        raise NotFoundException(detail=str(error)) from error
    except bridge.VersionMismatchError as error:
        raise PreconditionFailedException from error
    except bridge.InvalidInputError as error:
        raise InvalidValueException(detail=str(error)) from error


def _of_bridge(error: bridge.BridgeError) -> Refusal:
    status, scim_type = next((REFUSALS[kind] for kind in type(error).__mro__ if kind in REFUSALS), (BUG.status, None))
    if status == BUG.status:
        return BUG
    retry_after = getattr(error, "retry_after_seconds", None)
    return Refusal(status, scim_type, str(error), retry_after)


def _of_database(error: database.SQLAlchemyError | psycopg.Error) -> Refusal:
    """Sort a database's refusal: a race lost, a value it cannot hold, no answer now, or a bug."""
    if isinstance(error, database.TimeoutError):
        return BUSY
    original = error.orig if isinstance(error, database.DBAPIError) else error
    state = getattr(original, "sqlstate", None) or ""
    if isinstance(error, database.IntegrityError) or isinstance(original, psycopg.IntegrityError):
        return Refusal(409, "uniqueness", "A value was taken by another request at the same moment")
    if state.startswith("54") or isinstance(original, psycopg.DataError):
        return Refusal(400, "invalidValue", "A value cannot be stored")
    disconnected = isinstance(error, database.DBAPIError) and error.connection_invalidated
    if disconnected or isinstance(original, psycopg.OperationalError | psycopg.InterfaceError):
        return BUSY
    # Serialization failure, deadlock, lock not available, out of something, shutting down, read-only standby.
    if state[:2] in {"40", "53", "57", "58"} or state in {"55P03", "25006"}:
        return BUSY
    return BUG
