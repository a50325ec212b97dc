"""Refusals: what the product says no to, each with a stable code.

A bug is a built-in exception and reaches the 500 handler; a :class:`BridgeError` is an answer. Every edge (SCIM,
console, command line) turns the classes below into its own kind of answer in one table.
"""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import ClassVar


class BridgeError(Exception):
    """A request that is refused, with the sentence that says why and what to do."""

    code: ClassVar[str]


class InvalidInputError(BridgeError):
    """A value that cannot be accepted, named by its field."""

    code = "invalid_input"

    def __init__(self, field: str, problem: str) -> None:
        self.field, self.problem = field, problem
        super().__init__(f"{field}: {problem}")


class MetadataGivenMeanwhileError(InvalidInputError):
    """A connection was given other metadata while the former was read again: what was given stays."""

    code = "metadata_given_meanwhile"

    def __init__(self) -> None:
        super().__init__("metadata", "the connection was given other metadata while this was read: that one stays")


class GroupConnectionMissingError(InvalidInputError):
    """Rules expect a group by its name alone, which any connection could bring."""

    code = "group_connection_missing"

    def __init__(self, problem: str) -> None:
        super().__init__("mappings", problem)


class NotFoundError(BridgeError):
    """Something that does not exist for this organization (another organization's things included)."""

    code = "not_found"

    def __init__(self, kind: str, identifier: str, sentence: str | None = None) -> None:
        self.kind, self.identifier = kind, identifier
        super().__init__(sentence or f"There is no {kind} {identifier!r}")


class UniquenessError(BridgeError):
    """A value that another member or group of the same directory already has (RFC 7644 §3.12)."""

    code = "uniqueness"

    def __init__(self, *, attribute: str, value: str, taken_by: str) -> None:
        self.attribute, self.value, self.taken_by = attribute, value, taken_by
        super().__init__(f"{attribute} {value!r} is already taken by {taken_by}")


class AdoptionRefusedError(UniquenessError):
    """A directory pushed a person who is already here by hand, outside the verified domains (T12).

    For the directory it is a conflict like any other; for the owners it is an alert.
    """

    code = "adoption_refused"

    def __init__(self, *, value: str, taken_by: str, member_id: uuid.UUID) -> None:
        self.member_id = member_id
        super().__init__(attribute="userName", value=value, taken_by=taken_by)


class GroupCycleError(BridgeError):
    """A group was to become a member of itself, directly or through groups inside it."""

    code = "group_cycle"

    def __init__(self, *, outer: str, inner: str) -> None:
        self.outer, self.inner = outer, inner
        super().__init__(
            f"group {outer} cannot have itself as a member"
            if outer == inner
            else f"group {inner} cannot be a member of group {outer}, which is inside it: groups would form a circle"
        )


class NestingTooDeepError(BridgeError):
    """A group was to become a member of another one with too many levels of groups between the ends."""

    code = "group_nesting_too_deep"

    def __init__(self, *, outer: str, inner: str, most: int) -> None:
        self.outer, self.inner, self.most = outer, inner, most
        super().__init__(
            f"group {inner} cannot be a member of group {outer}: there would be more than {most} levels of groups"
        )


class AssertionFailedError(BridgeError):
    """Something that a mapping document asserts would not be so once it is applied."""

    code = "assertion_failed"

    def __init__(self, failed: Collection[str]) -> None:
        self.failed = tuple(failed)
        super().__init__(f"Not applied, for what the document asserts would not be so: {'; '.join(self.failed)}")


class ApprovalDecidedError(BridgeError):
    """A request to the owners that was approved, declined or withdrawn was to be decided again."""

    code = "approval_decided"

    def __init__(self, state: str) -> None:
        self.state = state
        super().__init__(f"This request was {state} already: send a new one if the change is still wanted")


class VersionMismatchError(BridgeError):
    """The stored thing is not the version the caller expected (RFC 7644 §3.14)."""

    code = "version_mismatch"

    def __init__(self, kind: str, identifier: str) -> None:
        self.kind, self.identifier = kind, identifier
        super().__init__(f"{kind} {identifier} has changed meanwhile: read it again, then repeat the change")


class ForbiddenError(BridgeError):
    """An action the actor's role does not allow (rules Z1 to Z4)."""

    code = "forbidden"

    def __init__(self, *, action: str, role: str, allowed: Collection[str]) -> None:
        self.action, self.role, self.allowed = action, role, tuple(allowed)
        super().__init__(f"{action} needs one of the roles {', '.join(self.allowed)}; this is {role}")


class InsufficientScopeError(BridgeError):
    """Something that an API key was not made for (RFC 6750 §3.1); ``scopes`` are those of which one is needed."""

    code = "insufficient_scope"

    def __init__(self, action: str, scopes: Collection[str]) -> None:
        self.action, self.scopes = action, tuple(scopes)
        super().__init__(f"This key was not made for {action}: use one with the scope {' or '.join(self.scopes)}")


class OwnerProtectedError(BridgeError):
    """A directory tried to remove, deactivate or rename an owner, or demote the last one."""

    code = "owner_protected"

    def __init__(self, user_name: str) -> None:
        self.user_name = user_name
        super().__init__(f"{user_name} is an owner of the organization: an owner changes the role on their page first")


class NoSeatAvailableError(BridgeError):
    """A tier was asked for by hand and has no free seat (rule S5)."""

    code = "no_seat_available"

    def __init__(self, tier: str) -> None:
        self.tier = tier
        super().__init__(f"No {tier} seat is free: buy one, or free one first")


class SameTierError(BridgeError):
    """Two members who hold the same were to be swapped (rule S4)."""

    code = "same_tier"

    def __init__(self, tier: str) -> None:
        self.tier = tier
        super().__init__(f"Both hold {tier}, so there is nothing to swap: name two people who hold different seats")


class MemberInactiveError(BridgeError):
    """Something was to be done with the seat of somebody whose access is turned off (rule K1)."""

    code = "member_inactive"

    def __init__(self, member_id: str) -> None:
        self.member_id = member_id
        super().__init__(f"The access of {member_id} is turned off, and who is turned off holds no seat: turn it on")


class NotWaitingError(BridgeError):
    """The line was to be changed for somebody who does not stand in it."""

    code = "not_waiting"

    def __init__(self, member_id: str) -> None:
        self.member_id = member_id
        super().__init__(f"{member_id} does not wait for a seat: `seatbridge seats waiting` lists who does")


class BudgetNotPossibleError(BridgeError):
    """A budget was to be set for a plan under which provisioning cannot buy seats (``buy_up_to``)."""

    code = "budget_not_possible"

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"Seats cannot be bought within a budget here: {why}")


class SeatsInUseError(BridgeError):
    """Seats to shed are still assigned (rule D3)."""

    code = "seats_in_use"

    def __init__(self, *, tier: str, used: int, requested: int) -> None:
        self.tier, self.used, self.requested = tier, used, requested
        super().__init__(f"{used} {tier} seats are assigned, so the allocation cannot drop to {requested}")


class InvalidChangeError(BridgeError):
    """A change of the plan that makes no sense: empty, of an unknown tier, below zero (rule D3), of another plan."""

    code = "invalid_change"

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(f"This change is not possible: {problem}")


class BelowMinimumError(BridgeError):
    """A reduction below the plan's minimum number of seats (rule D6)."""

    code = "below_minimum"

    def __init__(self, *, minimum: int, requested: int) -> None:
        self.minimum, self.requested = minimum, requested
        super().__init__(f"The plan has a minimum of {minimum} seats; {requested} would be left")


class ReductionNotAllowedError(BridgeError):
    """An enterprise contract cannot drop seats before its term ends (rule D7), nor a fee go down (rule U7).

    ``term_end`` is written as the day it is in its own time zone: the organization's, for what people read; ``what``
    begins the sentence.
    """

    code = "reduction_not_allowed"

    def __init__(self, *, term_end: datetime, what: str = "Seats cannot be dropped") -> None:
        self.term_end, self.what = term_end, what
        day = f"{term_end.day} {term_end:%b %Y}"
        super().__init__(f"{what} before the renewal on {day}")


class LowerFeeError(BridgeError):
    """Somebody of the organization wants to pay a lower fee: who pays writes no price (rule U7)."""

    code = "lower_fee"

    def __init__(self) -> None:
        super().__init__("A lower fee is agreed with your account manager, who enters it: it cannot be set from here")


class AccountManagerOnlyError(BridgeError):
    """Somebody of the organization wants what only the account manager enters (rule U7)."""

    code = "account_manager_only"

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}: ask your account manager, who enters it")


class PlanEndedError(BridgeError):
    """Something that needs a plan in force, on one that has ended (rule R5)."""

    code = "plan_ended"

    def __init__(self) -> None:
        super().__init__("The plan has ended: nothing is bought, amended or opened until another one is in force")


class InEvaluationError(BridgeError):
    """Something that is bought, reduced or priced, in an evaluation, which has no invoice (rule B2).

    ``until`` is written as the day it is in its own time zone.
    """

    code = "in_evaluation"

    def __init__(self, until: datetime) -> None:
        self.until = until
        super().__init__(
            f"In evaluation until {until.day} {until:%b %Y}: nothing is bought, reduced or invoiced. "
            "The operator sets its seats, or converts it to a plan"
        )


class PaymentFailedError(BridgeError):
    """The payment was declined; nothing has changed (rule Q4)."""

    code = "payment_failed"

    def __init__(self, reason: str = "declined") -> None:
        self.reason = reason
        super().__init__(f"The payment failed ({reason}). Nothing was bought, begun or charged")


class PushesRefusedError(BridgeError):
    """A directory wrote people or groups of an organization whose provisioning mode takes no pushes (rule A9)."""

    code = "pushes_refused"

    def __init__(self, mode: str) -> None:
        self.mode = mode
        super().__init__(
            f"The provisioning mode of this organization is {mode!r}: its directory may read, but change nobody. An "
            "administrator may switch to 'scim' or 'jit_and_scim' (seatbridge provisioning set); else stop the pushes "
            "at the identity provider"
        )


class PreviewExpiredError(BridgeError):
    """A preview older than its 15 minutes (rule Q3)."""

    code = "preview_expired"

    def __init__(self, expired_at: datetime) -> None:
        self.expired_at = expired_at
        super().__init__(f"This preview expired at {expired_at:%H:%M} UTC: look at a new one")


class PreviewStaleError(BridgeError):
    """Seats, people or rules changed since the preview was made (rule Q3)."""

    code = "preview_stale"

    def __init__(self) -> None:
        super().__init__("Something changed since this preview was made: look at a new one")


class HoldDecidedError(BridgeError):
    """What the brake held has been decided about."""

    code = "hold_decided"

    def __init__(self, state: str, decided_at: datetime) -> None:
        self.state, self.decided_at = state, decided_at
        super().__init__(
            f"This hold was {state} on {decided_at:%Y-%m-%d at %H:%M} UTC: there is nothing left to decide"
        )


class HoldChangedError(BridgeError):
    """People came under a hold, or left it, since it was looked at: nobody decides about what they have not seen."""

    code = "hold_changed"

    def __init__(self, *, seen: int, now: int) -> None:
        self.seen, self.now = seen, now
        super().__init__(
            f"The hold has changed since you looked at it (revision {seen}, now {now}): look at it again, then decide"
        )


class IdempotencyConflictError(BridgeError):
    """A key that was used before, with other content (rule Q5)."""

    code = "idempotency_conflict"

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"The idempotency key {key!r} was used before with another content")


class AcknowledgementMissingError(BridgeError):
    """A change that costs was confirmed without the explicit tick (rule Q1)."""

    code = "acknowledgement_missing"

    def __init__(self) -> None:
        super().__init__("Tick the box to confirm the change and its cost")


class CostDiffersError(BridgeError):
    """Something costs another sum than the one that was accepted ahead (rule Q1); both are written as money."""

    code = "cost_differs"

    def __init__(self, *, costs: str, accepted: str) -> None:
        self.costs, self.accepted = costs, accepted
        super().__init__(
            f"It costs {costs} today, tax included, and {accepted} was accepted: nothing was done. Look at it again"
        )


class TokenLimitError(BridgeError):
    """A connection, a person or an application has as many live tokens or secrets of one kind as it may have."""

    code = "token_limit"

    def __init__(
        self,
        kind: str,
        prefixes: Sequence[str],
        *,
        what: str = "tokens",
        command: str = "seatbridge connection revoke-token ORG PREFIX",
    ) -> None:
        self.limit = len(prefixes)
        named = ", ".join(f"{prefix}…" for prefix in prefixes)
        super().__init__(f"{self.limit} {what} {kind} are live ({named}): revoke one first, `{command}`")


class UnauthenticatedError(BridgeError):
    """No credential, or one that is unknown, expired or revoked."""

    code = "unauthenticated"

    def __init__(self) -> None:
        super().__init__("A valid credential is needed")


class SignInRefusedError(BridgeError):
    """A sign-in that is refused.

    The person sees one neutral page; ``reason`` is a stable code and ``detail`` a sentence, both for the connection's
    sign-in log only.
    """

    code = "sign_in_refused"

    def __init__(self, reason: str, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(detail)


class SetupLinkGoneError(BridgeError):
    """A set-up link that opens nothing: which of the reasons it is, nobody is told."""

    code = "setup_link_gone"

    def __init__(self) -> None:
        super().__init__("This set-up link is unknown, has expired, or was revoked")


class SsoEnforcedError(BridgeError):
    """A sign-in link for an organization whose people sign in through their identity provider only."""

    code = "sso_enforced"

    def __init__(self) -> None:
        super().__init__(
            "Single sign-on is enforced here, so no link signs anybody in; the operator lets an owner back in by "
            "`seatbridge admin recover`, and ends it by `seatbridge sso relax`"
        )


class ConfigurationError(BridgeError):
    """A configuration that cannot be used: every problem with its place and its fix."""

    code = "configuration"

    def __init__(self, problems: Collection[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class UnavailableError(BridgeError):
    """The database or another part the product needs cannot be reached now; a retry may succeed."""

    code = "unavailable"

    def __init__(self, part: str, retry_after_seconds: int = 5) -> None:
        self.part, self.retry_after_seconds = part, retry_after_seconds
        super().__init__(f"{part} is not available at the moment: retry in {retry_after_seconds} seconds")


class TooManyRequestsError(BridgeError):
    """More requests than are answered at once; the same request may come again later."""

    code = "too_many_requests"

    def __init__(self, retry_after_seconds: int) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(f"Too many requests at once: retry in {retry_after_seconds} seconds")


class NotReplayableError(BridgeError):
    """An entry of the provisioning log that cannot be sent again."""

    code = "not_replayable"

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"This request cannot be replayed: {why}")


_CORE_ADVICE = {
    "other_currency": "It bills in another currency than the contract's: ask who keeps its books",
    "address_not_allowed": "It needs https and a public address, or to be named in billing.internal_hosts",
    "not_connected": "The operator connects it with `seatbridge billing connect`",
    "unauthorized": "It does not know the token: the operator connects it again with another one",
}


class BillingCoreUnreachableError(UnavailableError):
    """The organization's billing core gave no usable answer; whether it had an effect is unknown: it is asked again.

    ``why`` is a code for logs and orders, such as ``timeout``, ``connection``, ``unauthorized``, ``status_500``.
    """

    code = "billing_core_unreachable"

    def __init__(self, host: str, why: str, retry_after_seconds: int = 30) -> None:
        self.host, self.why = host, why
        super().__init__(f"The billing core {host}", retry_after_seconds)
        said = f"The billing core {host} gave no usable answer ({why}); provisioning and sign-in go on without it"
        self.args = (f"{said}. {_CORE_ADVICE.get(why, f'Try again in {retry_after_seconds} seconds')}",)


class BillingCoreAnswerError(BillingCoreUnreachableError):
    """The organization's billing core answered with what its published contract does not allow.

    Whether the request had an effect is unknown, as without an answer: nothing changes here, and it is asked again.

    Attributes:
        verb: What it was asked, by the operation's name in the contract.
        problem: The field with its path, and what it must be.
    """

    code = "billing_core_answer_invalid"

    def __init__(self, host: str, verb: str, problem: str) -> None:
        self.verb, self.problem = verb, problem
        super().__init__(host, "answer_invalid")
        said = f"The billing core {host} answered {verb} with what its contract does not allow: {problem}"
        self.args = (f"{said}. Nothing was changed here, and it is asked again; whoever runs it has to correct that",)


class BillingCoreRefusedError(BridgeError):
    """The organization's billing core said no, for good; ``core_code`` is its own stable code."""

    code = "billing_core_refused"

    def __init__(self, core_code: str, detail: str) -> None:
        self.core_code, self.detail = core_code, detail
        super().__init__(f"The billing core refused this ({core_code}): {detail}")


class WebhookRefusedError(BridgeError):
    """An event that no billing core of ours signed, or not within the last five minutes."""

    code = "webhook_refused"

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(f"This event is not accepted: {why}")


class OrderOpenError(BridgeError):
    """A purchase while another one of the organization is still on its way to the billing core."""

    code = "order_open"

    def __init__(self, order_id: uuid.UUID, state: str) -> None:
        self.order_id, self.state = order_id, state
        what = "was given up and waits for the operator" if state == "dead" else "is on its way to the billing core"
        super().__init__(f"An order of seats {what}: wait until it is settled, or have order {order_id} cancelled")


class OrderClosedError(BridgeError):
    """An order that is settled, or in the hands of a worker, was to be cancelled or retried."""

    code = "order_closed"

    def __init__(self, order_id: uuid.UUID, state: str) -> None:
        self.order_id, self.state = order_id, state
        hint = "a worker has it in hand: try again in two minutes" if state == "pending" else f"it is {state} already"
        super().__init__(f"Order {order_id} cannot be changed: {hint}")


class EInvoiceIncompleteError(BridgeError):
    """An e-invoice of a document that lacks what EN 16931 asks for; every lack is named."""

    code = "e_invoice_incomplete"

    def __init__(self, number: str, missing: Collection[str]) -> None:
        self.number, self.missing = number, tuple(missing)
        super().__init__(
            f"No e-invoice can be made of {number}, which lacks: {'; '.join(self.missing)}. "
            "What is set now counts for invoices issued later"
        )


class NotInstalledError(BridgeError):
    """An optional part of the product that this installation lacks."""

    code = "not_installed"

    def __init__(self, what: str, how: str) -> None:
        self.what, self.how = what, how
        super().__init__(f"{what} need a part that is not installed here: {how}")
