"""Refusals as pages: one exhaustive table from error to status, title and advice."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType

import psycopg
import structlog
from flask import Flask, Response, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException, InternalServerError

from bridge import errors
from bridge.web.problems import is_for_programs, problem

log = structlog.get_logger(__name__)

RETRY_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """How a refusal reads: its status, what happened in few words, and what to do about it."""

    status: HTTPStatus
    title: str
    advice: str


_BACK = "Go back, change it and try again. Nothing was changed."
_NEW_PREVIEW = "Open the page again and look at a new preview. Nothing was changed."
_READ_AGAIN = "Open the page again, look at how it is now, and repeat the change if it is still wanted."
_ASK_OWNER = "Ask an owner of your organization."

ANSWERS: Mapping[type[errors.BridgeError], Answer] = MappingProxyType(
    {
        errors.InvalidInputError: Answer(HTTPStatus.UNPROCESSABLE_ENTITY, "This cannot be accepted", _BACK),
        errors.NotFoundError: Answer(
            HTTPStatus.NOT_FOUND, "This page does not exist", "Check the address, or start from the overview."
        ),
        errors.UniquenessError: Answer(
            HTTPStatus.CONFLICT, "This is taken already", "Look for the person in the list, or use another value."
        ),
        errors.AdoptionRefusedError: Answer(
            HTTPStatus.CONFLICT, "This person is here already", "Verify the mail domain, then push the person again."
        ),
        errors.GroupCycleError: Answer(
            HTTPStatus.UNPROCESSABLE_ENTITY, "A group cannot be inside itself", "Take one of the two out of the other."
        ),
        errors.NestingTooDeepError: Answer(
            HTTPStatus.UNPROCESSABLE_ENTITY, "Groups are nested too deeply", "Put the people in a group further out."
        ),
        errors.AssertionFailedError: Answer(
            HTTPStatus.CONFLICT, "The document asserts something else", "Change the rules, or what they assert."
        ),
        errors.MetadataGivenMeanwhileError: Answer(
            HTTPStatus.CONFLICT, "Other metadata was given meanwhile", "Look at what the connection trusts now."
        ),
        errors.GroupConnectionMissingError: Answer(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "Say which connection the group comes from",
            "A rule that gives a role names the connection of a group to come; of several, every rule does.",
        ),
        errors.ApprovalDecidedError: Answer(
            HTTPStatus.CONFLICT, "This request was decided already", "Send a new one if it is still wanted."
        ),
        errors.VersionMismatchError: Answer(HTTPStatus.CONFLICT, "Somebody else changed this meanwhile", _READ_AGAIN),
        errors.ForbiddenError: Answer(HTTPStatus.FORBIDDEN, "Your role does not allow this", _ASK_OWNER),
        errors.InsufficientScopeError: Answer(
            HTTPStatus.FORBIDDEN, "The key was not made for this", "Use a key with one of the scopes that are named."
        ),
        errors.OwnerProtectedError: Answer(
            HTTPStatus.CONFLICT,
            "An owner cannot be changed this way",
            "An owner changes the role on their page first.",
        ),
        errors.NoSeatAvailableError: Answer(
            HTTPStatus.CONFLICT, "No seat is free", "Free a seat of this tier, or have an owner buy one."
        ),
        errors.SameTierError: Answer(
            HTTPStatus.CONFLICT, "There is nothing to swap", "Choose two people who hold different seats."
        ),
        errors.MemberInactiveError: Answer(
            HTTPStatus.CONFLICT, "This person's access is turned off", "Turn it on first, then give a seat."
        ),
        errors.BudgetNotPossibleError: Answer(
            HTTPStatus.CONFLICT, "This plan buys no seats by itself", "Buy seats on the seats page instead."
        ),
        errors.NotWaitingError: Answer(
            HTTPStatus.CONFLICT, "This person is not in line", "Open the page again: the seat may have come meanwhile."
        ),
        errors.SeatsInUseError: Answer(
            HTTPStatus.CONFLICT, "These seats are in use", "Move people off the tier first, then reduce it."
        ),
        errors.SsoEnforcedError: Answer(
            HTTPStatus.CONFLICT,
            "Single sign-on is enforced",
            "Sign in through your company's identity provider.",
        ),
        errors.SetupLinkGoneError: Answer(
            HTTPStatus.GONE, "This link is no longer good", "Ask whoever sent it to you for another one."
        ),
        errors.InvalidChangeError: Answer(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "This change is not possible",
            "Nothing was changed. Correct what it names, then try again.",
        ),
        errors.BelowMinimumError: Answer(HTTPStatus.CONFLICT, "The plan has a minimum", "Keep at least the minimum."),
        errors.ReductionNotAllowedError: Answer(
            HTTPStatus.CONFLICT, "Contracted seats stay until renewal", "They end by themselves if unused at renewal."
        ),
        errors.LowerFeeError: Answer(
            HTTPStatus.CONFLICT, "A lower fee is not set from here", "Ask your account manager, who agrees it with you."
        ),
        errors.AccountManagerOnlyError: Answer(
            HTTPStatus.CONFLICT, "This is agreed with your account manager", "Ask your account manager, who enters it."
        ),
        errors.PlanEndedError: Answer(
            HTTPStatus.CONFLICT,
            "The plan has ended",
            "Agree another one first; all data is still here.",
        ),
        errors.InEvaluationError: Answer(
            HTTPStatus.CONFLICT,
            "The organization is in evaluation",
            "Begin the agreed plan first, or ask who runs this service to set the seats.",
        ),
        errors.PaymentFailedError: Answer(
            HTTPStatus.PAYMENT_REQUIRED, "The payment failed", "Check the payment method, then confirm a new preview."
        ),
        errors.PreviewExpiredError: Answer(HTTPStatus.CONFLICT, "This preview has expired", _NEW_PREVIEW),
        errors.PreviewStaleError: Answer(HTTPStatus.CONFLICT, "Something changed since this preview", _NEW_PREVIEW),
        errors.PushesRefusedError: Answer(
            HTTPStatus.FORBIDDEN, "The mode takes no pushes", "An administrator switches the provisioning mode."
        ),
        errors.HoldDecidedError: Answer(
            HTTPStatus.CONFLICT, "This was decided already", "Open the page of the brake to see how."
        ),
        errors.HoldChangedError: Answer(
            HTTPStatus.CONFLICT, "What is held has changed", "Look at it again, then decide. Nothing was changed."
        ),
        errors.IdempotencyConflictError: Answer(
            HTTPStatus.CONFLICT, "This was sent before with other content", _NEW_PREVIEW
        ),
        errors.AcknowledgementMissingError: Answer(
            HTTPStatus.UNPROCESSABLE_ENTITY, "The tick is missing", "Go back, tick the box that repeats the cost."
        ),
        errors.CostDiffersError: Answer(HTTPStatus.CONFLICT, "It costs another sum", _NEW_PREVIEW),
        errors.TokenLimitError: Answer(
            HTTPStatus.CONFLICT, "The connection has enough tokens", "Revoke one that is no longer used."
        ),
        errors.UnauthenticatedError: Answer(
            HTTPStatus.UNAUTHORIZED, "You are not signed in", "Sign in, then open the page again."
        ),
        errors.SignInRefusedError: Answer(
            HTTPStatus.FORBIDDEN, "You could not be signed in", "Tell your IT contact the request id below."
        ),
        errors.ConfigurationError: Answer(
            HTTPStatus.SERVICE_UNAVAILABLE, "The service is not set up", "The operator finds the reason in the log."
        ),
        errors.UnavailableError: Answer(
            HTTPStatus.SERVICE_UNAVAILABLE, "Not available at the moment", "Wait a few seconds and try again."
        ),
        errors.BillingCoreUnreachableError: Answer(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "The billing core does not answer",
            "Nothing was bought. Try again in a minute; people come and go meanwhile as ever.",
        ),
        errors.BillingCoreAnswerError: Answer(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "The billing core answers what cannot be used",
            "Nothing was bought. The operator sees which field is wrong; whoever runs the core has to correct it.",
        ),
        errors.BillingCoreRefusedError: Answer(
            HTTPStatus.CONFLICT, "The billing core refused this", "Change what it names, or ask who keeps its books."
        ),
        errors.OrderOpenError: Answer(
            HTTPStatus.CONFLICT,
            "An order of seats is on its way",
            "Wait until it is settled, then look at a new preview.",
        ),
        errors.OrderClosedError: Answer(
            HTTPStatus.CONFLICT,
            "This order cannot be changed",
            "Look at the seats: it may have been settled meanwhile.",
        ),
        errors.WebhookRefusedError: Answer(
            HTTPStatus.UNAUTHORIZED, "This event is not accepted", "Check the secret and the clock of the sender."
        ),
        errors.TooManyRequestsError: Answer(
            HTTPStatus.TOO_MANY_REQUESTS, "Too many requests", "Wait a few seconds and try again."
        ),
        errors.NotReplayableError: Answer(
            HTTPStatus.CONFLICT, "This request cannot be sent again", "Have the identity provider send it once more."
        ),
        errors.EInvoiceIncompleteError: Answer(
            HTTPStatus.CONFLICT, "No e-invoice can be made of this", "Complete the billing details for later invoices."
        ),
        errors.NotInstalledError: Answer(
            HTTPStatus.NOT_IMPLEMENTED, "This installation cannot do that", "Ask the operator of the service."
        ),
    }
)
"""What the page says of each refusal; its own sentence stands between title and advice."""

_NEUTRAL = (errors.SignInRefusedError, errors.ConfigurationError, errors.NotFoundError)
"""Refusals whose own sentence the reader must not see: it is for the log, or would tell what exists."""

_WHY_NEUTRAL = {
    HTTPStatus.NOT_FOUND: "There is nothing at this address, or it is not yours to see.",
    HTTPStatus.FORBIDDEN: "The sign-in was refused. The reason is in the sign-in log of your organization.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Something that the service needs is missing.",
}

_HTTP = {
    400: ("This request cannot be read", "Something in it is missing or malformed.", "Go back and try again."),
    405: ("This cannot be done here", "The address exists, but not for this kind of request.", "Start again."),
    413: ("This is too large", "More was sent than the service accepts.", "Send less at once."),
    429: ("Too many requests", "This came too often in a short time.", "Wait a minute and try again."),
}


def register_error_pages(app: Flask) -> None:
    """Teach the app to answer refusals, bugs and outages with pages."""
    app.register_error_handler(errors.BridgeError, _refused)
    app.register_error_handler(CSRFError, _csrf_failed)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(IntegrityError, _conflict)
    app.register_error_handler(DataError, _bad_data)
    app.register_error_handler(DBAPIError, _database_down)
    app.register_error_handler(psycopg.Error, _database_down)
    app.register_error_handler(PoolTimeoutError, _database_down)
    app.register_error_handler(Exception, _bug)


def answer_for(error: errors.BridgeError) -> Answer:
    """Look the refusal up, by its class or the nearest one above it."""
    return answer_for_kind(type(error))


def answer_for_kind(refusal: type[errors.BridgeError]) -> Answer:
    """Look a kind of refusal up, by itself or the nearest one above it."""
    return next(ANSWERS[kind] for kind in refusal.__mro__ if kind in ANSWERS)


def error_page(
    status: int,
    title: str,
    why: str,
    advice: str,
    *,
    retry_after: int | None = None,
    refusal: errors.BridgeError | None = None,
) -> Response:
    """Render the one error page: what happened, why, what to do, and the request id; for programs, a problem."""
    if is_for_programs():
        return problem(int(status), title, why, retry_after=retry_after, refusal=refusal)
    body = render_template(
        "error.html", status=int(status), title=title, why=why, advice=advice, request_id=g.get("request_id", "")
    )
    response = Response(body, status=int(status), content_type="text/html; charset=utf-8")
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


def _refused(error: errors.BridgeError) -> ResponseReturnValue:
    if isinstance(error, errors.UnauthenticatedError) and request.method == "GET" and not is_for_programs():
        return redirect(url_for("entry.sign_in", next=request.path), code=303)
    answer = answer_for(error)
    log.info("web.refused", code=error.code, status=int(answer.status))
    told = isinstance(error, errors.NotFoundError) and bool(error.identifier) and is_for_programs()
    hidden = isinstance(error, _NEUTRAL) and not told
    why = _WHY_NEUTRAL[answer.status] if hidden else sentence_of(error)
    retry = getattr(error, "retry_after_seconds", None)
    return error_page(answer.status, answer.title, why, answer.advice, retry_after=retry, refusal=error)


def sentence_of(error: errors.BridgeError) -> str:
    """Return what a refusal says of itself, as a sentence."""
    text = str(error)
    if isinstance(error, errors.ForbiddenError):
        text = text.replace("_", " ")  # roles are codes
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith(".") else ".")


def _csrf_failed(error: CSRFError) -> ResponseReturnValue:
    log.info("web.csrf_refused", problem=error.description)
    why = "The page was open for too long, or the form did not come from here."
    return error_page(400, "This form is no longer valid", why, "Open the page again and send the form once more.")


def _http_error(error: HTTPException) -> ResponseReturnValue:
    if error.response is not None:
        return error.response
    if error.code == HTTPStatus.NOT_FOUND:
        return _refused(errors.NotFoundError("page", ""))
    fallback = ("This did not work", error.description or "The request was refused.", "Go back and try again.")
    title, why, advice = _HTTP.get(error.code or 500, fallback)
    response = error_page(error.code or 500, title, why, advice)
    for name, value in error.get_headers():
        if name.lower() not in {"content-type", "content-length"}:
            response.headers[name] = value
    return response


def _conflict(error: IntegrityError) -> ResponseReturnValue:
    """Answer what a constraint of the database decided in a race: somebody was quicker."""
    log.warning("web.race_lost", exc_info=error)
    return error_page(
        503,
        "Somebody was quicker",
        "Another change reached the same data at the same moment, so this one was undone.",
        "Wait a few seconds and try again.",
        retry_after=RETRY_SECONDS,
    )


def _bad_data(error: DataError) -> ResponseReturnValue:
    log.info("web.bad_data", exc_info=error)
    return error_page(422, "This cannot be accepted", "A value has a form that cannot be stored.", _BACK)


def _database_down(error: Exception) -> ResponseReturnValue:
    original = error.orig if isinstance(error, DBAPIError) else error
    if (getattr(original, "sqlstate", None) or "")[:2] in {"42", "22", "0A"}:
        return _bug(error)
    log.error("web.database_unavailable", exc_info=error)
    return error_page(
        503,
        "Not available at the moment",
        "The database does not answer, or is too busy. Nothing was changed.",
        "Wait a few seconds and try again.",
        retry_after=RETRY_SECONDS,
    )


def _bug(error: Exception) -> ResponseReturnValue:
    log.error("web.bug", exc_info=error)
    return error_page(
        InternalServerError.code,
        "Something went wrong here",
        "It is a mistake of the service, not of yours. Nothing was changed.",
        "Try again; if it happens again, give the request id to whoever runs this service.",
    )
