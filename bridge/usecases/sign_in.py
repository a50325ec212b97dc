"""Signing in through an identity provider: one decision for everybody who comes back with a verified answer."""

import hmac
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from bridge.domain.claims import ClaimMap
from bridge.domain.documents import ENTERPRISE, MAPPABLE_ATTRIBUTES, comparison_key
from bridge.domain.identifiers import ConnectionId, MemberId, new_id
from bridge.errors import InvalidInputError, NoSeatAvailableError, UniquenessError
from bridge.store.directory import get_connection, is_known_as
from bridge.store.journal import record
from bridge.store.models import Connection, Identity, Member, SamlReplay, SignInEvent, SignInRequest
from bridge.store.unit import Unit
from bridge.usecases.provision_member import PersonDraft, Source, provision_member, update_member
from bridge.usecases.provisioning_mode import mode_of
from bridge.usecases.recognise_subject import (
    AssertedSubject,
    Assertion,
    LinkedBy,
    Recognised,
    SignInRefusal,
    recognise_subject,
    refuse_turned_off,
    refused,
    within_limits,
)
from bridge.usecases.reevaluate import reevaluate
from bridge.usecases.sync_groups import sync_claimed_groups

_MAX_DETAIL = 1000
_UNKNOWN = "It answers a request that is unknown, used or expired"
_SENTENCES = {
    None: "The person was known.",
    LinkedBy.JIT: "A new person was provisioned.",
    LinkedBy.DIRECTORY: "The person was recognised by their userName.",
    LinkedBy.DOMAIN: "The person was recognised by their address in a verified domain.",
}


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A person who may have a session now.

    Attributes:
        return_path: The path that the sign-in was started with.
        former_session: Hash of the session that the browser had then, which ends now.
    """

    member: Member
    return_path: str
    former_session: bytes | None
    provisioned: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer that was used up: what it says, and what the request that it answers had been started with."""

    asserted: AssertedSubject
    return_path: str
    former_session: bytes | None


def start_sign_in(
    unit: Unit,
    connection_id: ConnectionId,
    *,
    request_id: str,
    cookie_hash: bytes,
    return_path: str,
    lifetime_seconds: int,
    former_session: bytes | None = None,
    nonce: str | None = None,
    code_verifier: str | None = None,
) -> Connection:
    """Remember that this browser started a sign-in, for as long as it may take; return whom it is sent to.

    Args:
        unit: The unit, with the connection as its actor.
        connection_id: Whose identity provider is asked.
        request_id: What the answer will name.
        cookie_hash: Of the secret that the browser gets.
        return_path: Where the sign-in is to end.
        lifetime_seconds: How long it may take.
        former_session: Hash of the session that the browser has now: it is to end when another one begins.
        nonce: What the answer must repeat (OpenID Connect).
        code_verifier: What its code is redeemed with (PKCE).

    Raises:
        NotFoundError: There is no such connection.
        SignInRefusedError: The connection is disabled or trusts no identity provider.
    """
    connection = get_connection(unit, connection_id)
    _check_usable(connection)
    unit.session.add(
        SignInRequest(
            org_id=unit.org_id,
            id=request_id,
            connection_id=connection_id,
            cookie_hash=cookie_hash,
            return_path=return_path,
            created_at=unit.at,
            expires_at=unit.at + timedelta(seconds=lifetime_seconds),
            former_session=former_session,
            nonce=nonce,
            code_verifier=code_verifier,
        )
    )
    unit.session.flush()
    return connection


def complete_sign_in(unit: Unit, answered: Answered) -> SignedIn:
    """Turn an answer that was just used up into a person who may have a session; who is new is provisioned (JIT).

    Args:
        unit: The unit that used it up, with the connection as its actor: all of it is one transaction, so that neither
            the request nor an assertion works twice.
        answered: The answer.

    Raises:
        NotFoundError: There is no such connection.
        SignInRefusedError: With a reason of :class:`SignInRefusal`; the unit must roll back, so that nothing is
            created, revived or used up.
    """
    asserted = answered.asserted
    found = admit(unit, asserted)
    get_connection(unit, asserted.connection_id).last_sign_in_at = unit.at
    note_sign_in(
        unit,
        connection_id=asserted.connection_id,
        member_id=found.member.id,
        outcome="provisioned" if found.linked_by is LinkedBy.JIT else "signed_in",
        reason="ok",
        detail=summary(found.linked_by, found.member.provisional_until, groups_overage=asserted.groups_overage),
    )
    is_new = found.linked_by is LinkedBy.JIT
    return SignedIn(found.member, answered.return_path, answered.former_session, provisioned=is_new)


def use_up(unit: Unit, asserted: AssertedSubject, cookie_hashes: Collection[bytes]) -> Answered:
    """Pop the request that a verified answer is to, and remember an assertion; return what it was started with.

    Args:
        unit: The unit, with the connection as its actor.
        asserted: What the identity provider said.
        cookie_hashes: Hashes of the sign-in cookies that the browser sent.

    Raises:
        NotFoundError: There is no such connection.
        SignInRefusedError: It is not an answer to this connection and browser, was used before, or says what cannot
            be stored; the unit must roll back.
    """
    asserted = within_limits(asserted)
    unit.lock()
    # It may have been read before the lock was waited for, and the answer before that.
    connection = get_connection(unit, asserted.connection_id, fresh=True)
    _check_usable(connection)
    if (asserted.protocol, asserted.issuer) != (connection.protocol, connection.issuer):
        raise refused(SignInRefusal.OTHER_ISSUER, "The answer was issued by another identity provider")
    if asserted.read_by != ClaimMap.read(connection.claims):
        raise refused(
            SignInRefusal.OTHER_CLAIMS,
            "Which claims say who somebody is was changed during the sign-in: let the person sign in again",
        )
    answered = _pop_request(unit, connection, asserted, cookie_hashes)
    if asserted.assertion is not None:
        remember_once(
            unit, asserted.connection_id, asserted.issuer, asserted.assertion.id, asserted.assertion.expires_at
        )
    return answered


def admit(unit: Unit, asserted: AssertedSubject) -> Recognised:
    """Find who the subject is, or provision them, and follow what the assertion says of them.

    Raises:
        SignInRefusedError: The person is turned off, cannot be told from somebody else, or may not be provisioned.
    """
    connection = get_connection(unit, asserted.connection_id)
    found = recognise_subject(unit, connection, asserted)
    if found is None:
        found = Recognised(_provision(unit, connection, asserted), LinkedBy.JIT)
    refuse_turned_off(found.member)
    _link(unit, asserted, found)
    if found.linked_by is not LinkedBy.JIT:
        _follow_claims(unit, found.member, asserted)
    return found


def pending_request(
    unit: Unit, connection_id: ConnectionId, request_id: str, cookie_hashes: Collection[bytes]
) -> SignInRequest:
    """Return a sign-in under way that this browser started, without using it up: to ask the provider about its answer.

    Raises:
        NotFoundError: There is no such connection.
        SignInRefusedError: The connection is disabled, or the request is unknown, over or another browser's.
    """
    _check_usable(get_connection(unit, connection_id))
    found = unit.session.get(SignInRequest, (unit.org_id, request_id))
    if found is None or found.connection_id != connection_id or found.expires_at <= unit.at:
        raise refused(SignInRefusal.UNKNOWN_REQUEST, _UNKNOWN)
    _refuse_other_browsers(found.cookie_hash, cookie_hashes)
    return found


def note_sign_in(
    unit: Unit,
    *,
    connection_id: ConnectionId | None,
    outcome: str,
    reason: str,
    detail: str,
    member_id: MemberId | None = None,
) -> None:
    """Write how a sign-in ended into the connection's sign-in log, in words.

    The words may quote a stranger: what cannot be printed is left out, and what is too long is cut.
    """
    unit.session.add(
        SignInEvent(
            org_id=unit.org_id,
            id=new_id(),
            at=unit.at,
            connection_id=connection_id,
            member_id=member_id,
            outcome=outcome,
            reason=reason,
            detail="".join(character for character in detail if character.isprintable())[:_MAX_DETAIL],
            request_id=unit.request_id,
        )
    )


def _check_usable(connection: Connection) -> None:
    if connection.disabled_at is not None or connection.protocol is None:
        raise refused(SignInRefusal.CONNECTION_DISABLED, "The connection is disabled or trusts no identity provider")


def _pop_request(
    unit: Unit, connection: Connection, asserted: AssertedSubject, cookie_hashes: Collection[bytes]
) -> Answered:
    """Use the request up that the assertion answers, if this connection and this browser started it."""
    if asserted.request_id is None:
        if not connection.idp_initiated or asserted.assertion is None:
            raise refused(SignInRefusal.NOT_REQUESTED, "The sign-in began at the IdP, which this connection refuses")
        return Answered(asserted, "/", None)
    popped = unit.session.execute(
        delete(SignInRequest)
        .where(
            SignInRequest.org_id == unit.org_id,
            SignInRequest.id == asserted.request_id,
            SignInRequest.connection_id == connection.id,
            SignInRequest.expires_at > unit.at,
        )
        .returning(SignInRequest.cookie_hash, SignInRequest.return_path, SignInRequest.former_session)
    ).one_or_none()
    if popped is None:
        raise refused(SignInRefusal.UNKNOWN_REQUEST, _UNKNOWN)
    _refuse_other_browsers(popped.cookie_hash, cookie_hashes)
    return Answered(asserted, popped.return_path, popped.former_session)


def _refuse_other_browsers(cookie_hash: bytes, cookie_hashes: Collection[bytes]) -> None:
    if not any(hmac.compare_digest(cookie_hash, candidate) for candidate in cookie_hashes):
        raise refused(SignInRefusal.FOREIGN_BROWSER, "It answers a request that another browser started")


def remember_once(unit: Unit, connection_id: ConnectionId, issuer: str, message_id: str, expires_at: datetime) -> None:
    """Remember that a signed message was used.

    Raises:
        SignInRefusedError: It was used before.
    """
    fresh = unit.session.execute(
        insert(SamlReplay)
        .values(
            org_id=unit.org_id,
            connection_id=connection_id,
            issuer=issuer,
            assertion_id=message_id,
            expires_at=expires_at,
        )
        .on_conflict_do_nothing()
        .returning(SamlReplay.assertion_id)
    ).one_or_none()
    if fresh is None:
        raise refused(SignInRefusal.REPLAYED, "The message was used before")


def _provision(unit: Unit, connection: Connection, asserted: AssertedSubject) -> Member:
    mode = mode_of(unit)
    if not mode.follows_sign_ins:
        raise refused(
            SignInRefusal.MODE_WITHOUT_JIT,
            f"The person is unknown, and in the provisioning mode {str(mode)!r} no sign-in adds anybody: add them "
            "another way, or have an administrator switch the mode",
        )
    if not connection.jit_enabled:
        raise refused(SignInRefusal.JIT_OFF, "The person is unknown and this connection provisions nobody at sign-in")
    draft = PersonDraft(user_name=asserted.user_name, document=claimed_attributes(asserted))
    try:
        return provision_member(
            unit, connection.id, draft, Source.JIT, claimed_groups=tuple(sorted(asserted.groups or ()))
        )
    except NoSeatAvailableError as error:
        raise refused(
            SignInRefusal.NO_SEAT, f"The person is new, and without a seat nobody is let in: {error}"
        ) from error
    except UniquenessError as error:
        raise refused(SignInRefusal.SOMEBODY_ELSE, f"The person could not be provisioned: {error}") from error
    except InvalidInputError as error:
        raise refused(SignInRefusal.NOT_POSSIBLE, f"The person could not be provisioned: {error}") from error


def claimed_attributes(asserted: AssertedSubject) -> dict[str, Any]:
    """Describe the person as a directory would (RFC 7643 §4.1); what was not claimed is left out.

    So is an address that the provider does not vouch for: it might be somebody else's.
    """
    name = {"givenName": asserted.given_name, "familyName": asserted.family_name}
    document: dict[str, Any] = {}
    if any(name.values()):
        document["name"] = {part: value for part, value in name.items() if value}
    if asserted.display_name:
        document["displayName"] = asserted.display_name
    if asserted.email and asserted.is_email_verified:
        document["emails"] = [{"value": asserted.email, "type": "work", "primary": True}]
    for attribute, value in asserted.attributes.items():
        *above, last = MAPPABLE_ATTRIBUTES[attribute]
        place = document
        for step in above:
            place = place.setdefault(step, {})
        place[last] = value
    return document


def _link(unit: Unit, asserted: AssertedSubject, found: Recognised) -> None:
    """Remember who the subject is, so that a later change of name or address changes nothing."""
    if found.linked_by is None:
        return
    unit.session.add(
        Identity(
            org_id=unit.org_id,
            connection_id=asserted.connection_id,
            protocol=asserted.protocol,
            issuer=asserted.issuer,
            subject=asserted.subject,
            member_id=found.member.id,
            linked_at=unit.at,
            linked_by=found.linked_by,
        )
    )
    record(
        unit,
        "identity.linked",
        subject_kind="member",
        subject_id=found.member.id,
        reason=found.linked_by,
        touches_seats=False,
    )


def _follow_claims(unit: Unit, member: Member, asserted: AssertedSubject) -> None:
    """Follow what the sign-in says of a person whom only sign-ins describe: names, and groups if it speaks of them.

    What it leaves out stays as it was: a claim that is missing is not an empty one. In a mode that does not follow
    sign-ins nothing changes at all (rule A9).
    """
    if not mode_of(unit).follows_sign_ins:
        return
    if member.source != Source.JIT or member.connection_id != asserted.connection_id:
        return
    is_regrouped = asserted.groups is not None and sync_claimed_groups(
        unit, asserted.connection_id, member, asserted.groups
    )
    claimed = claimed_attributes(asserted)
    is_same_address = claimed.get("emails") == member.document.get("emails")
    if asserted.email is not None and not is_same_address and _belongs_to_another(unit, member, asserted.email):
        claimed.pop("emails", None)
    if ENTERPRISE in claimed:
        claimed[ENTERPRISE] = {**member.document.get(ENTERPRISE, {}), **claimed[ENTERPRISE]}
    document = {**member.document, **claimed}
    update_member(unit, member, PersonDraft(member.user_name, member.external_id, member.is_on, document))
    if is_regrouped:
        reevaluate(unit, [member.id])


def _belongs_to_another(unit: Unit, member: Member, email: str) -> bool:
    """Tell whether an address is somebody else's here: people can often change what is asserted of them."""
    other = select(Member.id).where(Member.id != member.id, is_known_as(unit, {comparison_key(email)}))
    return unit.session.scalars(other.limit(1)).first() is not None


def provisional_words(day: str) -> str:
    """Say of whom no directory has named yet until when that may be so."""
    return f" Provisional until {day}: the directory has not named them yet."


def summary(linked_by: LinkedBy | None, provisional_until: datetime | None, *, groups_overage: bool = False) -> str:
    """Say how a person was signed in, for the sign-in log."""
    sentence = _SENTENCES[linked_by]
    if provisional_until is not None:
        sentence += provisional_words(f"{provisional_until:%Y-%m-%d}")
    if groups_overage:
        sentence += (
            " The person is in too many groups for a sign-in: none was added or taken away. Let the identity provider "
            "send the groups of this application only, or push them by SCIM."
        )
    return sentence


__all__ = [
    "Answered",
    "AssertedSubject",
    "Assertion",
    "SignInRefusal",
    "SignedIn",
    "admit",
    "claimed_attributes",
    "complete_sign_in",
    "note_sign_in",
    "pending_request",
    "provisional_words",
    "remember_once",
    "start_sign_in",
    "summary",
    "use_up",
]
