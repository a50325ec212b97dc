"""Sign-ins in one statement: who returns unchanged, and who is new.

This is the short way of :mod:`bridge.usecases.sign_in`, after the answer was verified. Whatever is not plain (a person
who is off or described otherwise, a group that is not there yet, a test sign-in, anything to refuse) is left to the
general way, which writes the very same for the rest.
"""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import func, select

from bridge.domain.claims import ClaimMap
from bridge.domain.documents import comparison_document, comparison_key, display_name, primary_email
from bridge.domain.identifiers import ConnectionId, GroupId, MemberId, new_id
from bridge.domain.sign_in import SignInProtocol
from bridge.errors import SignInRefusedError
from bridge.store.directory import get_connection
from bridge.store.journal import Entry
from bridge.store.lane import Lane, Row
from bridge.store.unit import Unit
from bridge.usecases.provision_member import MAX_USER_NAME, PersonDraft, Source
from bridge.usecases.provisional import provisional_until
from bridge.usecases.provisioning_mode import mode_of
from bridge.usecases.quick_people import Arrival, arrival
from bridge.usecases.quick_writes import Author, Rules, as_json, read_rules, sealed
from bridge.usecases.recognise_subject import AssertedSubject, LinkedBy, within_limits
from bridge.usecases.removed_people import digests_of
from bridge.usecases.saml_trust import certificates_of
from bridge.usecases.sessions import NewSession
from bridge.usecases.sign_in import claimed_attributes, provisional_words, summary
from bridge.usecases.single_logout import NamedSession

_RETURN: Final = "lane_sign_in"
_ARRIVE: Final = "lane_sign_in_newcomer"
_DAY: Final = "YYYY-MM-DD"


class _Verdict(StrEnum):
    """What a statement says of a sign-in, where it says anything."""

    STALE = "stale"
    UNKNOWN = "unknown"
    SIGNED_IN = "signed_in"


@dataclass(frozen=True, slots=True)
class KnownConnection:
    """What a process remembers of a connection that people sign in by; each statement checks that it still holds.

    Attributes:
        rules: The organization's, and its versions.
        trust: Whom the connection believes and how it treats who is new, in the database's own words.
        certificates: Those that sign its answers (PEM); none where the protocol has none.
        claims: The names that its answers are read by.
        follows: Whether claims describe people in the organization's mode.
        adds: Whether a sign-in adds who is new.
        is_provisional: Whether somebody new is provisional.
    """

    rules: Rules
    trust: str
    protocol: SignInProtocol
    issuer: str
    certificates: tuple[str, ...]
    claims: ClaimMap
    follows: bool
    adds: bool
    is_provisional: bool


@dataclass(frozen=True, slots=True)
class Attempt:
    """A verified answer with what came along.

    Args:
        asserted: What the identity provider said.
        cookie_hashes: Hashes of the sign-in cookies that the browser sent.
        test_path: Where a test sign-in was to end, which is none for a lane.
        session: The session that is opened for whoever it is.
        named: How the identity provider knows that session; None where it doesn't.
    """

    asserted: AssertedSubject
    cookie_hashes: Collection[bytes]
    test_path: str
    session: NewSession
    named: NamedSession | None


@dataclass(frozen=True, slots=True)
class QuickSignIn:
    """A session that was opened: where to go, and the hash of the session that the browser had before."""

    return_path: str
    former_session: bytes | None


class Stale:
    """What was known of the connection does not hold any more; nothing was done."""


def read_known(unit: Unit, connection_id: ConnectionId) -> KnownConnection | None:
    """Read what a process remembers of a connection; None where it signs nobody in.

    The trust comes first: what changes behind it makes the first statement say that it is stale.
    """
    trust = unit.session.scalar(select(func.lane_trust(unit.org_id, connection_id)))
    if trust is None:
        return None
    rules = read_rules(unit, connection_id, unit.state().schema_version)
    follows = mode_of(unit).follows_sign_ins
    connection = get_connection(unit, connection_id)
    if connection.issuer is None or connection.protocol is None:
        return None
    return KnownConnection(
        rules=rules,
        trust=as_json(trust),
        protocol=SignInProtocol(connection.protocol),
        issuer=connection.issuer,
        certificates=tuple(certificate.pem for certificate in certificates_of(unit, connection_id)),
        claims=ClaimMap.read(connection.claims),
        follows=follows,
        adds=follows and connection.jit_enabled,
        is_provisional=provisional_until(unit, connection_id) is not None,
    )


def sign_in_quickly(
    lane: Lane, author: Author, known: KnownConnection, attempt: Attempt, *, audit_keys: tuple[bytes, ...], days: int
) -> QuickSignIn | Stale | None:
    """Sign in who returns and of whom nothing new is said, or who is new.

    Args:
        lane: Connections.
        author: The connection, as the one who signs people in.
        known: What is known of it.
        attempt: The answer.
        audit_keys: By which it is recognised whom a directory has removed.
        days: How long somebody new is provisional, where they are.

    Returns:
        None when nothing was done and the general way has to answer.
    """
    asserted = attempt.asserted
    try:
        is_plain = within_limits(asserted) is asserted and not asserted.groups_overage
    except SignInRefusedError:
        return None
    if not is_plain or (asserted.protocol, asserted.issuer) != (known.protocol, known.issuer):
        return None
    if asserted.read_by != known.claims:
        return None
    row = lane.write(_RETURN, _returning(author, known, attempt), wrote=_is_signed_in)
    if row is not None and row[0] == _Verdict.UNKNOWN:
        arriving = _arriving(author, known, attempt, row[-1], audit_keys=audit_keys, days=days)
        row = None if arriving is None else lane.write(_ARRIVE, arriving, wrote=_is_signed_in)
    if row is None:
        return None
    _, return_path, former_session, *_ = row
    return QuickSignIn(return_path, former_session) if _is_signed_in(row) else Stale()


def _is_signed_in(row: Row) -> bool:
    return bool(row[0] == _Verdict.SIGNED_IN)


def _begin(author: Author, known: KnownConnection) -> tuple[Any, ...]:
    """Return what both statements begin with: where, when, and what was decided from."""
    rules = known.rules
    return author.slug, rules.org_id, rules.connection_id, author.at, *rules.versions, known.trust


def _answer(attempt: Attempt) -> tuple[Any, ...]:
    """Return what is used up, and who it is about."""
    asserted = attempt.asserted
    remembered = asserted.assertion
    return (
        asserted.request_id,
        list(attempt.cookie_hashes),
        attempt.test_path,
        None if remembered is None else remembered.id,
        None if remembered is None else remembered.expires_at,
        asserted.subject,
    )


def _opened(attempt: Attempt, outcome: str, detail: str) -> tuple[Any, ...]:
    """Return the session that is opened, with its line in the sign-in log."""
    session, named = attempt.session, attempt.named
    facts = {
        # Until when, the database puts where that stands.
        "if_provisional": provisional_words(_DAY),
        "id": str(session.id),
        "method": session.method,
        "device": session.device,
        "expires_at": session.expires_at.isoformat(),
        "event": str(new_id()),
        "outcome": outcome,
        "detail": detail,
    }
    at_provider: Mapping[str, Any] | None = None
    if named is not None:
        at_provider = {
            "name_id": named.name_id,
            "name_attributes": dict(named.name_attributes),
            "index": named.index,
        }
    return as_json(facts), session.token_hash, None if at_provider is None else as_json(at_provider)


def _returning(author: Author, known: KnownConnection, attempt: Attempt) -> tuple[Any, ...]:
    asserted = attempt.asserted
    # Nobody knows yet who it is: the database puts the person where this stands.
    stands_for = str(new_id())
    return (
        *_begin(author, known),
        known.follows,
        *_answer(attempt),
        as_json(claimed_attributes(asserted)),
        None if asserted.groups is None else _keys_of(asserted.groups),
        *_opened(attempt, "signed_in", summary(None, None)),
        author.actor,
        author.request_id,
        *author.pads,
        as_json([sealed(author, known.rules, attempt.session.entry(stands_for))]),
        stands_for,
    )


def _arriving(
    author: Author,
    known: KnownConnection,
    attempt: Attempt,
    groups: list[tuple[str, str]] | None,
    *,
    audit_keys: tuple[bytes, ...],
    days: int,
) -> tuple[Any, ...] | None:
    """Decide about somebody new, in these groups; None where that is no case for a lane."""
    asserted, rules = attempt.asserted, known.rules
    if not known.adds or groups is None:
        return None
    if not asserted.user_name.strip() or len(asserted.user_name) > MAX_USER_NAME:
        return None
    until = author.at + timedelta(days=days) if known.is_provisional else None
    draft = PersonDraft(user_name=asserted.user_name, document=claimed_attributes(asserted))
    body = {} if until is None else {"provisional_until": until.isoformat()}
    joined = {GroupId(uuid.UUID(group_id)): name for group_id, name in groups}
    arrived = arrival(author, rules, draft, Source.JIT, body=body, groups=joined, is_provisional=known.is_provisional)
    removed = digests_of(audit_keys, rules.connection_id, subject=asserted.full_subject, names=asserted.sure_names)
    return (
        *_begin(author, known),
        *_answer(attempt),
        sorted(asserted.keys),
        sorted(removed),
        as_json(_row_of(arrived, until)),
        _keys_of(asserted.groups or ()),
        as_json(groups),
        *_opened(attempt, "provisioned", summary(LinkedBy.JIT, None)),
        author.actor,
        author.request_id,
        *author.pads,
        as_json(arrived.entries),
        as_json(arrived.decision),
        as_json(arrived.sealed_outcomes(author, rules)),
        as_json(
            [
                sealed(author, rules, each)
                for each in (_linked(arrived.person.id), attempt.session.entry(arrived.person.id))
            ]
        ),
    )


def _keys_of(names: Collection[str]) -> list[str]:
    """Return the keys of groups that an answer names; a blank name is none."""
    return sorted({comparison_key(name) for name in names if name.strip()})


def _linked(member_id: MemberId) -> Entry:
    return Entry("identity.linked", "member", member_id, str(LinkedBy.JIT))


def _row_of(arrived: Arrival, until: datetime | None) -> dict[str, Any]:
    """Return a new person as columns of their table, but for those that every newcomer has alike."""
    person = arrived.person
    email = primary_email(person.document)
    return {
        "id": str(person.id),
        "user_name": person.user_name,
        "user_name_key": person.user_name_key,
        "display_name": display_name(person.document),
        "email": email,
        "email_key": comparison_key(email) if email else None,
        "active": person.active,
        "role": person.role,
        "role_from_mapping": person.role_from_mapping,
        "teams": person.teams,
        "document": person.document,
        "comparison": comparison_document(person.document),
        "provisional_until": None if until is None else until.isoformat(),
    }
