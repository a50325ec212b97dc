"""Who a subject of an identity provider is: known by a link, by its own directory, or by a verified address."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy import or_, select

from bridge.domain.claims import ClaimMap
from bridge.domain.documents import comparison_key
from bridge.domain.identifiers import ConnectionId
from bridge.domain.roles import Role
from bridge.domain.sign_in import SignInProtocol
from bridge.errors import SignInRefusedError
from bridge.store.departed import departed_from
from bridge.store.directory import get_member, is_known_as, manual_connection, owns_domain
from bridge.store.models import Connection, Identity, Member
from bridge.store.unit import Unit
from bridge.usecases.provisional import is_unconfirmed
from bridge.usecases.removed_people import who_removed

MAX_NAME_CHARACTERS = 400
"""No address, name or group of a real person is longer; a database index takes no text without end."""
MAX_ASSERTION_ID_CHARACTERS = 256
MAX_GROUPS = 500


class SignInRefusal(StrEnum):
    """Why a verified assertion signs nobody in: the ``reason`` in the sign-in log."""

    CONNECTION_DISABLED = "connection_disabled"
    OTHER_ISSUER = "other_issuer"
    OTHER_CLAIMS = "other_claims"
    OVERSIZED = "oversized"
    UNREADABLE = "unreadable"
    UNKNOWN_REQUEST = "unknown_request"
    FOREIGN_BROWSER = "foreign_browser"
    NOT_REQUESTED = "not_requested"
    REPLAYED = "replayed"
    DEACTIVATED = "deactivated"
    REMOVED = "removed"
    UNCONFIRMED = "unconfirmed"
    OWNER_NEEDS_LINK = "owner_needs_link"
    OUTSIDE_DOMAINS = "outside_domains"
    SOMEBODY_ELSE = "somebody_else"
    JIT_OFF = "jit_off"
    MODE_WITHOUT_JIT = "mode_without_jit"
    NO_SEAT = "no_seat_rejected"
    NOT_POSSIBLE = "not_possible"


class LinkedBy(StrEnum):
    """How a subject came to be a member."""

    JIT = "jit"
    DIRECTORY = "directory"
    DOMAIN = "domain"


@dataclass(frozen=True, slots=True)
class Assertion:
    """A signed assertion, which nobody may use twice: its id, and until when it could be played back, skew included."""

    id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class AssertedSubject:
    """What an identity provider's verified answer says about one person, whatever the protocol.

    Args:
        protocol: What the answer was given in: a subject of one says nothing about that of another.
        issuer: The identity provider: its entityID or issuer URL.
        subject: Who it is there for good: the NameID or ``sub``, byte for byte.
        request_id: The request it answers, as the answer's signature or our own state vouches for it; None when the
            sign-in began at the IdP.
        assertion: What is to be remembered, so that it is used once; None where using the request up is enough.
        directory_name: The userName under which this provider's own directory would know the person.
        is_name_sure: Whether that is the subject itself, or of a claim that the connection's map names for it; any
            other name is one for a newcomer, and proves nothing.
        email: The address.
        is_email_verified: Whether the provider vouches for the address; only then may it tell who somebody is.
        groups: None when the IdP said nothing of groups, which is not "no groups".
        groups_overage: There are too many groups: the IdP left them out, or named more than :data:`MAX_GROUPS`.
        attributes: Values by attribute of a directory, such as ``department``, that the connection's map asks for.
        read_by: The connection's map that all of it was read by.
    """

    connection_id: ConnectionId
    protocol: SignInProtocol
    issuer: str
    subject: str
    request_id: str | None
    assertion: Assertion | None
    directory_name: str
    is_name_sure: bool
    email: str | None
    is_email_verified: bool
    given_name: str | None = None
    family_name: str | None = None
    display_name: str | None = None
    groups: frozenset[str] | None = None
    groups_overage: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)
    read_by: ClaimMap = field(default_factory=ClaimMap)

    @property
    def user_name(self) -> str:
        """The userName a directory would most likely give: the name there if it is an address, else the address.

        An address that the provider does not vouch for is nobody's name.
        """
        if "@" in self.directory_name or self.email is None or not self.is_email_verified:
            return self.directory_name
        return self.email

    @property
    def is_nameless(self) -> bool:
        """Whether the provider calls the person by nothing but a subject that is no name: a persistent NameID."""
        return self.directory_name == self.subject and "@" not in self.subject

    @property
    def full_subject(self) -> tuple[str, str, str]:
        """The subject with what it is of: the protocol and the issuer."""
        return self.protocol, self.issuer, self.subject

    @property
    def keys(self) -> set[str]:
        """The comparison keys of all the names that were asserted: nobody new shares one with somebody here."""
        return {comparison_key(name) for name in (self.subject, self.directory_name, self.email) if name}

    @property
    def sure_names(self) -> set[str]:
        """The names beside the subject by which a directory may have known the person."""
        return {self.directory_name} | ({self.email} if self.email and self.is_email_verified else set())


@dataclass(frozen=True, slots=True)
class Recognised:
    """A member, and how the subject was found to be them; None for a link that was made before."""

    member: Member
    linked_by: LinkedBy | None


def refused(reason: SignInRefusal, detail: str) -> SignInRefusedError:
    """Return the refusal to raise; ``detail`` is a sentence for whoever reads the sign-in log."""
    return SignInRefusedError(reason, detail)


def refuse_turned_off(member: Member) -> None:
    """Let nobody in whose access is off, and say apart whose it is because no directory has named them.

    Raises:
        SignInRefusedError: It is off.
    """
    if is_unconfirmed(member):
        raise refused(
            SignInRefusal.UNCONFIRMED,
            f"No directory confirmed the person by {member.provisional_until:%Y-%m-%d %H:%M} UTC, so access ended: "
            "assign them to the provisioning application at the identity provider, or turn access on by hand",
        )
    if not member.active:
        raise refused(SignInRefusal.DEACTIVATED, "The person's access is turned off")


def within_limits(asserted: AssertedSubject) -> AssertedSubject:
    """Refuse what could not be stored; more groups than can be followed are as none said: nothing is taken away.

    Raises:
        SignInRefusedError: A text is longer than any real one, or has a character that no real one has.
    """
    facts = [getattr(asserted, part.name) for part in fields(asserted) if part.name != "issuer"]
    named = [*facts, *(asserted.groups or ()), *asserted.attributes.values()]
    texts = [text for text in named if isinstance(text, str)]
    if any(len(text) > MAX_NAME_CHARACTERS for text in texts):
        raise refused(SignInRefusal.OVERSIZED, f"A name, address or group has more than {MAX_NAME_CHARACTERS} letters")
    if not all(is_storable(text) for text in texts):
        raise refused(SignInRefusal.UNREADABLE, "A name, address or group has a character in it that is no text")
    if asserted.assertion is not None and len(asserted.assertion.id) > MAX_ASSERTION_ID_CHARACTERS:
        raise refused(SignInRefusal.OVERSIZED, "The assertion's ID is too long")
    if len(asserted.groups or ()) > MAX_GROUPS:
        return replace(asserted, groups=None, groups_overage=True)
    return asserted


def is_storable(text: str) -> bool:
    """Tell whether the database can keep a text: NUL and halves of a surrogate pair, which JSON can spell, it can't."""
    return not any(sign == "\0" or "\ud800" <= sign <= "\udfff" for sign in text)


def recognise_subject(unit: Unit, connection: Connection, asserted: AssertedSubject) -> Recognised | None:
    """Find who the subject is; None for somebody new.

    The name in the directory of the very connection that asserts it is trusted where it is the subject itself, or a
    claim that the connection's map names for it, or an address that the provider vouches for inside a verified domain:
    any other name, as OpenID Connect's ``preferred_username``, people can often choose (T14). An address is trusted
    less: it finds people whom no directory manages, inside the verified domains (T12), and whom the directory pushed
    under it where the subject is no name. An owner is found by a link
    made by hand, never by a name or an address (T14). Nor does a name beside the subject find somebody who has signed
    in under another subject. Whom a directory has removed is nobody new.

    Raises:
        SignInRefusedError: The name or address is somebody's, and nothing says that the subject is that person.
    """
    identity = unit.session.get(
        Identity, (unit.org_id, connection.id, asserted.protocol, asserted.issuer, asserted.subject)
    )
    if identity is not None:
        return Recognised(get_member(unit, identity.member_id), None)
    found = _in_directory(unit, connection, asserted) or _by_verified_address(unit, connection, asserted)
    if found is None:
        _refuse_namesake(unit, asserted)
        _refuse_removed(unit, asserted)
    elif Role(found.member.role).is_owner:
        raise refused(SignInRefusal.OWNER_NEEDS_LINK, "The name is an owner's: link the owner to this subject by hand")
    elif _has_another_subject(unit, connection, asserted, found):
        raise refused(
            SignInRefusal.SOMEBODY_ELSE,
            "The person of this name has signed in as another subject of this identity provider: if it is the same "
            "person under a new account there, link them to this subject by hand",
        )
    return found


def _has_another_subject(unit: Unit, connection: Connection, asserted: AssertedSubject, found: Recognised) -> bool:
    """Tell whether the directory's person, found by a name beside the subject, has another subject there already."""
    if found.linked_by is not LinkedBy.DIRECTORY or comparison_key(asserted.subject) == found.member.user_name_key:
        return False
    linked = select(Identity.subject).where(
        Identity.org_id == unit.org_id,
        Identity.connection_id == connection.id,
        Identity.protocol == asserted.protocol,
        Identity.issuer == asserted.issuer,
        Identity.member_id == found.member.id,
    )
    return unit.session.scalars(linked.limit(1)).first() is not None


def _in_directory(unit: Unit, connection: Connection, asserted: AssertedSubject) -> Recognised | None:
    """Find the person whom the connection's own directory pushed under this userName.

    Where the subject names nobody, the userName is the address that the provider vouches for. Whom the directory names
    so now comes before somebody whose deletion the brake holds, or an owner has dropped.
    """
    names = [asserted.directory_name] if asserted.is_name_sure else []
    names += [
        name
        for name in dict.fromkeys((asserted.directory_name, asserted.user_name if asserted.is_nameless else None))
        if name is not None and name not in names and _is_verified_address(unit, connection, name, asserted)
    ]
    if not names:
        return None
    keys = [comparison_key(name) for name in names]
    member = unit.session.scalars(
        select(Member)
        .where(
            Member.org_id == unit.org_id,
            Member.connection_id.in_((connection.id, departed_from(connection.id))),
            Member.source == "scim",
            Member.user_name_key.in_(keys),
        )
        .order_by((Member.user_name_key == keys[0]).desc(), (Member.connection_id == connection.id).desc())
        .limit(1)
    ).one_or_none()
    return None if member is None else Recognised(member, LinkedBy.DIRECTORY)


def _by_verified_address(unit: Unit, connection: Connection, asserted: AssertedSubject) -> Recognised | None:
    """Find a person whom no directory manages, by an address that this connection may speak for."""
    if asserted.email is None or not _is_verified_address(unit, connection, asserted.email, asserted):
        return None
    key = comparison_key(asserted.email)
    member = unit.session.scalars(
        select(Member)
        .where(
            Member.org_id == unit.org_id,
            Member.connection_id == manual_connection(unit).id,
            or_(Member.email_key == key, Member.user_name_key == key),
        )
        .order_by(Member.position)
        .limit(1)
    ).one_or_none()
    return None if member is None else Recognised(member, LinkedBy.DOMAIN)


def _is_verified_address(unit: Unit, connection: Connection, name: str, asserted: AssertedSubject) -> bool:
    """Tell whether a name is the subject's address, by the provider's word, in a domain that it may speak for."""
    if asserted.email is None or not asserted.is_email_verified:
        return False
    key = comparison_key(name)
    return comparison_key(asserted.email) == key and owns_domain(unit, key, connection.id)


def _refuse_removed(unit: Unit, asserted: AssertedSubject) -> None:
    """Let nobody come back by a mere sign-in whom a directory has removed."""
    removed_by = who_removed(unit, subject=asserted.full_subject, names=asserted.sure_names)
    if removed_by is not None:
        raise refused(
            SignInRefusal.REMOVED,
            f"The directory of {removed_by.name} has removed the person: assign them to the provisioning application "
            "at the identity provider again, or let them come back by hand (`seatbridge connection readmit`)",
        )


def _refuse_namesake(unit: Unit, asserted: AssertedSubject) -> None:
    """Refuse to make a second person of one who is here already, under whichever connection.

    Else somebody who was turned off would come back as a newcomer.
    """
    keys = asserted.keys
    namesakes = unit.session.scalars(select(Member).where(is_known_as(unit, keys))).all()
    if not namesakes:
        return
    for member in namesakes:
        refuse_turned_off(member)
    if any(Role(member.role).is_owner for member in namesakes):
        raise refused(SignInRefusal.OWNER_NEEDS_LINK, "The name is an owner's: link the owner to this subject by hand")
    manual = manual_connection(unit).id
    if any(member.connection_id == manual for member in namesakes):
        raise refused(
            SignInRefusal.OUTSIDE_DOMAINS,
            "The address belongs to somebody here, and is in no verified domain of this connection: verify the domain",
        )
    if not asserted.is_name_sure and comparison_key(asserted.directory_name) in {
        one.user_name_key for one in namesakes
    }:
        raise refused(
            SignInRefusal.SOMEBODY_ELSE,
            "The name is the userName of somebody here, and people may be able to choose it at the identity provider: "
            "name the claim that they cannot choose (`seatbridge connection map-claims --user-name`), verify the "
            "domain of their address, or link the person by hand",
        )
    if any(member.source == "jit" and member.user_name_key in keys for member in namesakes):
        raise refused(
            SignInRefusal.SOMEBODY_ELSE,
            "The name is that of somebody who came in by another subject, or whose link was taken back: link them "
            "to this subject by hand (`seatbridge connection link`)",
        )
    raise refused(
        SignInRefusal.SOMEBODY_ELSE,
        "The name or address belongs to somebody here who is known under another name: make the name that is asserted "
        "their userName at the identity provider, or link the person by hand",
    )
