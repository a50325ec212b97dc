"""Signing in through an identity provider: one decision for everybody who comes back with a verified assertion."""

import hmac
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from bridge.domain.documents import comparison_key
from bridge.domain.identifiers import ConnectionId, MemberId, new_id
from bridge.domain.roles import Role
from bridge.errors import BridgeError, SignInRefusedError
from bridge.store.directory import get_connection, get_member, manual_connection, owns_domain
from bridge.store.journal import record
from bridge.store.models import Connection, Identity, Member, SamlReplay, SamlRequest, SignInEvent
from bridge.store.unit import Unit
from bridge.usecases.assign_seats import promote_waiting, settle_seat
from bridge.usecases.provision_member import PersonDraft, Source, provision_member, update_member
from bridge.usecases.sync_groups import sync_claimed_groups
from mappings.allocation import Occasion


class SignInRefusal(StrEnum):
    """Why a verified assertion signs nobody in: the ``reason`` in the sign-in log."""

    CONNECTION_DISABLED = "connection_disabled"
    UNKNOWN_REQUEST = "unknown_request"
    FOREIGN_BROWSER = "foreign_browser"
    NOT_REQUESTED = "not_requested"
    REPLAYED = "replayed"
    DEACTIVATED = "deactivated"
    OWNER_NEEDS_LINK = "owner_needs_link"
    OUTSIDE_DOMAINS = "outside_domains"
    JIT_OFF = "jit_off"
    NO_SEAT = "no_seat_rejected"


@dataclass(frozen=True, slots=True)
class AssertedSubject:
    """What an identity provider's verified, signed answer says about one person.

    Args:
        in_response_to: The *signed* id of the request it answers; None when the sign-in began at the IdP.
        expires_at: Until when the assertion could be played back.
        groups: None when the IdP said nothing of groups, which is not "no groups".
    """

    connection_id: ConnectionId
    issuer: str
    subject: str
    assertion_id: str
    in_response_to: str | None
    expires_at: datetime
    email: str | None
    given_name: str | None = None
    family_name: str | None = None
    display_name: str | None = None
    groups: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A person who may have a session now; ``return_path`` is a path of ours."""

    member: Member
    return_path: str
    provisioned: bool


def start_sign_in(
    unit: Unit,
    connection_id: ConnectionId,
    *,
    request_id: str,
    cookie_hash: bytes,
    return_path: str,
    lifetime_seconds: int,
) -> None:
    """Remember that this browser started a sign-in, for as long as it may take.

    Raises:
        SignInRefusedError: The connection is disabled or trusts no identity provider.
    """
    connection = get_connection(unit, connection_id)
    _check_usable(connection)
    unit.session.execute(
        delete(SamlRequest).where(SamlRequest.org_id == unit.org_id, SamlRequest.expires_at <= unit.at)
    )
    unit.session.add(
        SamlRequest(
            org_id=unit.org_id,
            id=request_id,
            connection_id=connection_id,
            cookie_hash=cookie_hash,
            return_path=return_path,
            created_at=unit.at,
            expires_at=unit.at + timedelta(seconds=lifetime_seconds),
        )
    )


def complete_sign_in(unit: Unit, asserted: AssertedSubject, *, cookie_hashes: Collection[bytes]) -> SignedIn:
    """Turn a verified assertion into a person who may have a session; who is new is provisioned (JIT).

    The request is popped and the assertion remembered in this one transaction, so neither works twice.

    Args:
        unit: The unit, with the connection as its actor.
        asserted: What the identity provider said.
        cookie_hashes: Hashes of the sign-in cookies that the browser sent.

    Raises:
        SignInRefusedError: With a reason of :class:`SignInRefusal`; nothing is created, revived or used up.
    """
    unit.lock()
    connection = get_connection(unit, asserted.connection_id)
    _check_usable(connection)
    return_path = _pop_request(unit, connection, asserted, cookie_hashes)
    _remember_assertion(unit, asserted)
    member = _known_member(unit, connection, asserted)
    provisioned = member is None
    if member is None:
        member = _provision(unit, connection, asserted)
    if not member.active:
        raise _refused(SignInRefusal.DEACTIVATED, "The person's access is turned off")
    _link(unit, asserted, member.id, by="jit" if provisioned else "directory")
    _refresh(unit, member, asserted, provisioned=provisioned)
    connection.last_sign_in_at = unit.at
    note_sign_in(
        unit,
        connection_id=connection.id,
        member_id=member.id,
        outcome="provisioned" if provisioned else "signed_in",
        reason="ok",
        detail="A new person was provisioned" if provisioned else "The person was known",
    )
    unit.session.flush()
    return SignedIn(member=member, return_path=return_path, provisioned=provisioned)


def note_sign_in(
    unit: Unit,
    *,
    connection_id: ConnectionId | None,
    outcome: str,
    reason: str,
    detail: str,
    member_id: MemberId | None = None,
) -> None:
    """Write how a sign-in ended into the connection's sign-in log, in words."""
    unit.session.add(
        SignInEvent(
            org_id=unit.org_id,
            id=new_id(),
            at=unit.at,
            connection_id=connection_id,
            member_id=member_id,
            outcome=outcome,
            reason=reason,
            detail=detail[:1000],
            request_id=unit.request_id,
        )
    )


def _refused(reason: SignInRefusal, detail: str) -> SignInRefusedError:
    return SignInRefusedError(reason, detail)


def _check_usable(connection: Connection) -> None:
    if connection.disabled_at is not None or connection.saml_entity_id is None or connection.saml_sso_url is None:
        raise _refused(SignInRefusal.CONNECTION_DISABLED, "The connection is disabled or has no SAML metadata")


def _pop_request(
    unit: Unit, connection: Connection, asserted: AssertedSubject, cookie_hashes: Collection[bytes]
) -> str:
    """Use the request up that the assertion answers, if this connection and this browser started it."""
    if asserted.in_response_to is None:
        if not connection.idp_initiated:
            raise _refused(SignInRefusal.NOT_REQUESTED, "The sign-in began at the IdP, which this connection refuses")
        return "/"
    popped = unit.session.execute(
        delete(SamlRequest)
        .where(
            SamlRequest.org_id == unit.org_id,
            SamlRequest.id == asserted.in_response_to,
            SamlRequest.connection_id == connection.id,
            SamlRequest.expires_at > unit.at,
        )
        .returning(SamlRequest.cookie_hash, SamlRequest.return_path)
    ).one_or_none()
    if popped is None:
        raise _refused(SignInRefusal.UNKNOWN_REQUEST, "It answers a request that is unknown, used or expired")
    if not any(hmac.compare_digest(popped.cookie_hash, candidate) for candidate in cookie_hashes):
        raise _refused(SignInRefusal.FOREIGN_BROWSER, "It answers a request that another browser started")
    return str(popped.return_path)


def _remember_assertion(unit: Unit, asserted: AssertedSubject) -> None:
    """Refuse an assertion that was used before."""
    unit.session.execute(delete(SamlReplay).where(SamlReplay.org_id == unit.org_id, SamlReplay.expires_at <= unit.at))
    fresh = unit.session.execute(
        insert(SamlReplay)
        .values(
            org_id=unit.org_id,
            connection_id=asserted.connection_id,
            issuer=asserted.issuer,
            assertion_id=asserted.assertion_id,
            expires_at=asserted.expires_at,
        )
        .on_conflict_do_nothing()
        .returning(SamlReplay.assertion_id)
    ).one_or_none()
    if fresh is None:
        raise _refused(SignInRefusal.REPLAYED, "The assertion was used before")


def _known_member(unit: Unit, connection: Connection, asserted: AssertedSubject) -> Member | None:
    """Find who the subject is: by the link made before, the directory of the same connection, or a verified address.

    An owner is never found by a name or an address: only by a link that somebody made by hand (T14).
    """
    identity = unit.session.get(Identity, (unit.org_id, connection.id, asserted.issuer, asserted.subject))
    if identity is not None:
        return get_member(unit, identity.member_id)
    found = _in_directory(unit, connection, asserted) or _by_verified_address(unit, asserted)
    if found is not None and Role(found.role).is_owner:
        raise _refused(SignInRefusal.OWNER_NEEDS_LINK, "The address is an owner's: link the owner by hand first")
    return found


def _in_directory(unit: Unit, connection: Connection, asserted: AssertedSubject) -> Member | None:
    """Find the person by userName in the directory of the very connection that asserts them."""
    names = [comparison_key(asserted.subject)] + ([comparison_key(asserted.email)] if asserted.email else [])
    found = unit.session.scalars(
        select(Member).where(
            Member.org_id == unit.org_id, Member.connection_id == connection.id, Member.user_name_key.in_(names)
        )
    ).all()
    by_name = {member.user_name_key: member for member in found}
    return next((by_name[name] for name in names if name in by_name), None)


def _by_verified_address(unit: Unit, asserted: AssertedSubject) -> Member | None:
    """Find a person whom no directory owns by an address inside the verified domains (T12)."""
    if asserted.email is None:
        return None
    key = comparison_key(asserted.email)
    found = unit.session.scalars(
        select(Member)
        .where(
            Member.org_id == unit.org_id,
            Member.connection_id == manual_connection(unit).id,
            (Member.email_key == key) | (Member.user_name_key == key),
        )
        .order_by(Member.position)
        .limit(1)
    ).one_or_none()
    if found is not None and not owns_domain(unit, key):
        raise _refused(
            SignInRefusal.OUTSIDE_DOMAINS, "The address belongs to somebody here, outside the verified domains"
        )
    return found


def _provision(unit: Unit, connection: Connection, asserted: AssertedSubject) -> Member:
    if not connection.jit_enabled:
        raise _refused(SignInRefusal.JIT_OFF, "The person is unknown and this connection provisions nobody at sign-in")
    try:
        return provision_member(
            unit,
            connection.id,
            _draft(asserted),
            Source.JIT,
            claimed_groups=tuple(sorted(asserted.groups or ())),
        )
    except BridgeError as error:
        raise _refused(SignInRefusal.NO_SEAT, f"The person could not be provisioned: {error}") from error


def _draft(asserted: AssertedSubject) -> PersonDraft:
    """Describe the person as a directory would (RFC 7643 §4.1)."""
    name = {"givenName": asserted.given_name, "familyName": asserted.family_name}
    document: dict[str, object] = {}
    if any(name.values()):
        document["name"] = {part: value for part, value in name.items() if value}
    if asserted.display_name:
        document["displayName"] = asserted.display_name
    if asserted.email:
        document["emails"] = [{"value": asserted.email, "type": "work", "primary": True}]
    return PersonDraft(user_name=asserted.email or asserted.subject, document=document)


def _link(unit: Unit, asserted: AssertedSubject, member_id: MemberId, *, by: str) -> None:
    key = (unit.org_id, asserted.connection_id, asserted.issuer, asserted.subject)
    if unit.session.get(Identity, key) is not None:
        return
    unit.session.add(
        Identity(
            org_id=unit.org_id,
            connection_id=asserted.connection_id,
            issuer=asserted.issuer,
            subject=asserted.subject,
            member_id=member_id,
            linked_at=unit.at,
            linked_by=by,
        )
    )
    unit.session.flush()
    record(unit, "identity.linked", subject_kind="member", subject_id=member_id, reason=by, touches_seats=False)


def _refresh(unit: Unit, member: Member, asserted: AssertedSubject, *, provisioned: bool) -> None:
    """Follow what the sign-in says of a person whom no push manages: names, and groups if it speaks of them."""
    if member.source != Source.JIT or member.connection_id != asserted.connection_id:
        return
    if not provisioned:
        draft = _draft(asserted)
        update_member(unit, member, PersonDraft(member.user_name, member.external_id, member.active, draft.document))
    if asserted.groups is not None:
        sync_claimed_groups(unit, asserted.connection_id, member, asserted.groups)
        if not provisioned:
            promote_waiting(unit, [settle_seat(unit, member, Occasion.REGROUPED)])
