"""Which key signs at an instant, and which ones are published: a new one ahead, an old one until nothing needs it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from bridge.store.installation import Installation
from bridge.store.models import SigningKey

PUBLISHED_AHEAD: Final = timedelta(days=1)
"""So long a key is published before it signs: applications read the published keys again within a day."""

KEPT_AFTER: Final = timedelta(days=1)
"""So long a key stays published after another one signs: longer than any token lives."""


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A new key pair; the private part is sealed for its row, as ``signing_key:<id>``."""

    id: str
    private_key: bytes = field(repr=False)
    public_key: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key as it is kept; see :class:`bridge.store.models.SigningKey`."""

    id: str
    private_key: bytes = field(repr=False)
    public_key: dict[str, Any]
    signs_from: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The keys at an instant: the one that signs, and all that are published, which includes it."""

    signing: StoredKey | None
    published: tuple[StoredKey, ...]


def seal_name(key_id: str) -> str:
    """Return what a private key is sealed for."""
    return f"signing_key:{key_id}"


def key_ring(session: Session, at: datetime) -> KeyRing:
    """Return the keys at an instant."""
    stored = session.scalars(select(SigningKey).execution_options(populate_existing=True))
    keys = [StoredKey(key.id, key.private_key, key.public_key, key.signs_from, key.revoked_at) for key in stored]
    return ring_of(keys, at)


def ring_of(keys: Sequence[StoredKey], at: datetime) -> KeyRing:
    """Decide which of these keys signs, and which are published.

    The newest whose time has come signs. Those to come are published already; one that was replaced is published
    until :data:`KEPT_AFTER`; one that was revoked, no longer.
    """
    believed = sorted(
        (key for key in keys if key.revoked_at is None or key.revoked_at > at), key=lambda key: (key.signs_from, key.id)
    )
    signing = next((key for key in reversed(believed) if key.signs_from <= at), None)
    published = tuple(
        key
        for key, successor in zip(believed, [*believed[1:], None], strict=False)
        if successor is None or successor.signs_from + KEPT_AFTER > at
    )
    return KeyRing(signing, published)


def ensure_key(installation: Installation, made: SealedKey) -> None:
    """Have a key that signs at once where there is none: before the first application."""
    installation.lock()
    if key_ring(installation.session, installation.at).signing is None:
        _add(installation, made, installation.at, "first")


def rotate_keys(installation: Installation, made: SealedKey, *, at_once: bool = False, reason: str) -> datetime:
    """Publish a new key, which signs from :data:`PUBLISHED_AHEAD` on.

    Args:
        installation: The installation.
        made: The new key.
        at_once: The old keys may be known to somebody: the new one signs from now on, and whatever the others signed
            is not believed any more.
        reason: A stable code that says why.

    Returns:
        From when the new key signs.
    """
    installation.lock()
    at = installation.at
    for key in key_ring(installation.session, at).published if at_once else ():
        installation.session.get_one(SigningKey, key.id).revoked_at = at
        installation.note("signing_key.revoked", subject_kind="signing_key", subject_id=key.id, reason=reason)
    signs_from = at if at_once else at + PUBLISHED_AHEAD
    _add(installation, made, signs_from, reason)
    return signs_from


def forget_keys(installation: Installation) -> int:
    """Delete the keys that nothing needs any more, private parts and all; return how many."""
    installation.lock()
    kept = {key.id for key in key_ring(installation.session, installation.at).published}
    gone = [key for key in installation.session.scalars(select(SigningKey)) if key.id not in kept]
    for key in gone:
        installation.session.delete(key)
        installation.note("signing_key.forgotten", subject_kind="signing_key", subject_id=key.id, reason="replaced")
    return len(gone)


def is_rotation_due(session: Session, at: datetime, every: timedelta) -> bool:
    """Tell whether the newest key has signed for so long; False before there is a key at all."""
    newest = session.scalars(
        select(SigningKey.signs_from).where(SigningKey.revoked_at.is_(None)).order_by(SigningKey.signs_from.desc())
    ).first()
    return newest is not None and newest + every <= at


def _add(installation: Installation, made: SealedKey, signs_from: datetime, reason: str) -> None:
    installation.session.add(
        SigningKey(
            id=made.id,
            private_key=made.private_key,
            public_key=made.public_key,
            published_at=installation.at,
            signs_from=signs_from,
            revoked_at=None,
        )
    )
    installation.session.flush()
    installation.note(
        "signing_key.published",
        subject_kind="signing_key",
        subject_id=made.id,
        reason=reason,
        body={"signs_from": signs_from.isoformat()},
    )
