"""Applications behind the bridge: registered by the operator, known by an id, a secret and exact addresses."""

import hmac
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from bridge.domain.app_addresses import MAX_ADDRESSES, checked_address
from bridge.domain.credentials import APP_SECRET_PREFIX, Credential, credential_hash, new_credential
from bridge.domain.documents import comparison_key
from bridge.domain.identifiers import OrgId, new_id, parse_id
from bridge.errors import InvalidInputError, NotFoundError, TokenLimitError, UniquenessError
from bridge.store.installation import Installation
from bridge.store.models import App, AppSecret, InstallationEvent

#: The old and the new one, while the application's configuration moves over.
LIVE_SECRETS = 2
MAX_NAME = 100


@dataclass(frozen=True, slots=True)
class AppDraft:
    """An application as the operator describes it; see :class:`bridge.store.models.App` for the fields."""

    name: str
    redirect_uris: tuple[str, ...]
    post_logout_redirect_uris: tuple[str, ...] = ()
    backchannel_logout_uri: str | None = None
    is_public: bool = False
    offline_access: bool = False
    only_org_id: OrgId | None = None


@dataclass(frozen=True, slots=True)
class RegisteredApp:
    """An application as the authorization server needs it: who it is and what it may do."""

    id: uuid.UUID
    name: str
    only_org_id: OrgId | None
    is_public: bool
    redirect_uris: tuple[str, ...]
    post_logout_redirect_uris: tuple[str, ...]
    backchannel_logout_uri: str | None
    offline_access: bool
    secret_hashes: tuple[bytes, ...] = field(repr=False)

    def knows_secret(self, secret: str) -> bool:
        """Tell whether a secret is one of the live ones; how long that takes says nothing about what they are."""
        candidate = credential_hash(secret)
        return any(hmac.compare_digest(candidate, known) for known in self.secret_hashes)


@dataclass(frozen=True, slots=True)
class AddedApp:
    """A new application; ``secret`` is shown once, and None of a public one."""

    app: App
    secret: Credential | None


def add_app(installation: Installation, draft: AppDraft) -> AddedApp:
    """Register an application; a confidential one gets its first secret.

    Raises:
        InvalidInputError: A field is not possible; the message says which and why.
        UniquenessError: There is an application of this name.
    """
    installation.lock()
    name = draft.name.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise InvalidInputError("name", f"must be 1 to {MAX_NAME} printable characters")
    key = comparison_key(name)
    taken = installation.session.scalars(select(App).where(App.name_key == key)).one_or_none()
    if taken is not None:
        raise UniquenessError(attribute="name", value=name, taken_by=f"the application {taken.id}")
    app = App(
        id=new_id(),
        name=name,
        name_key=key,
        only_org_id=draft.only_org_id,
        is_public=draft.is_public,
        redirect_uris=_checked("redirect_uri", draft.redirect_uris, at_least=1),
        post_logout_redirect_uris=_checked("post_logout_redirect_uri", draft.post_logout_redirect_uris),
        backchannel_logout_uri=draft.backchannel_logout_uri
        and checked_address("backchannel_logout_uri", draft.backchannel_logout_uri),
        offline_access=draft.offline_access,
        created_at=installation.at,
    )
    installation.session.add(app)
    installation.session.flush()
    _note(
        installation,
        app,
        "app.added",
        {
            "name": app.name,
            "redirect_uris": app.redirect_uris,
            "only_org_id": None if app.only_org_id is None else str(app.only_org_id),
        },
    )
    return AddedApp(app, None if app.is_public else _add_secret(installation, app))


def list_apps(session: Session) -> Sequence[App]:
    """Return every application, by name."""
    return session.scalars(select(App).order_by(App.name_key)).all()


def live_secrets(session: Session, app_id: uuid.UUID) -> Sequence[AppSecret]:
    """Return the secrets of an application that open the door, oldest first."""
    return session.scalars(
        select(AppSecret)
        .where(AppSecret.app_id == app_id, AppSecret.revoked_at.is_(None))
        .order_by(AppSecret.created_at, AppSecret.id)
    ).all()


def find_app(session: Session, name_or_id: str) -> App:
    """Return an application by its name (without case) or its client_id.

    Raises:
        NotFoundError: There is none.
    """
    identifier = parse_id(name_or_id)
    wanted = App.id == identifier if identifier else App.name_key == comparison_key(name_or_id)
    found = session.scalars(select(App).where(wanted)).one_or_none()
    if found is None:
        raise NotFoundError("application", name_or_id)
    return found


def registered_app(session: Session, app_id: uuid.UUID) -> RegisteredApp | None:
    """Read an application for one request; None when there is none of this id."""
    app = session.get(App, app_id)
    if app is None:
        return None
    return RegisteredApp(
        id=app.id,
        name=app.name,
        only_org_id=app.only_org_id,
        is_public=app.is_public,
        redirect_uris=tuple(app.redirect_uris),
        post_logout_redirect_uris=tuple(app.post_logout_redirect_uris),
        backchannel_logout_uri=app.backchannel_logout_uri,
        offline_access=app.offline_access,
        secret_hashes=tuple(secret.secret_hash for secret in live_secrets(session, app.id)),
    )


def set_redirect_uris(
    installation: Installation, app: App, *, add: Iterable[str] = (), remove: Iterable[str] = ()
) -> list[str]:
    """Add and remove addresses that people may come back to; the application stays who it is. Return all of them.

    Raises:
        InvalidInputError: An address is not possible, one to remove is not there, or none or too many would be left.
    """
    installation.lock()
    gone = list(dict.fromkeys(remove))
    for address in gone:
        if address not in app.redirect_uris:
            raise InvalidInputError("remove", f"{address} is not registered: `seatbridge apps list` shows what is")
    before = list(app.redirect_uris)
    wanted = [*(one for one in before if one not in gone), *add]
    if not wanted:
        raise InvalidInputError("remove", "leaves no address to come back to: add another one with it (--add URL)")
    left = _checked("redirect_uri", wanted, at_least=1)
    if left != before:
        app.redirect_uris = left
        installation.session.flush()
        _note(
            installation,
            app,
            "app.redirect_uris_changed",
            {"redirect_uris": left, "before": before},
        )
    return left


def rotate_secret(installation: Installation, app: App) -> Credential:
    """Give an application its second secret; the first stays good until it is revoked.

    Raises:
        InvalidInputError: The application is public and has none.
        TokenLimitError: Two live already.
    """
    installation.lock()
    if app.is_public:
        raise InvalidInputError("app", f"{app.name} is public: it has no secret")
    live = [secret.prefix for secret in live_secrets(installation.session, app.id)]
    if len(live) >= LIVE_SECRETS:
        raise TokenLimitError(
            f"of {app.name}", live, what="secrets", command="seatbridge apps revoke-secret APP PREFIX"
        )
    return _add_secret(installation, app)


def revoke_secret(installation: Installation, app: App, prefix_or_id: str) -> AppSecret:
    """Revoke a secret: the next request with it is refused. Sign-ins that are under way go on.

    Raises:
        NotFoundError: The application has no such live secret.
    """
    installation.lock()
    for secret in live_secrets(installation.session, app.id):
        if prefix_or_id.rstrip("…") in (secret.prefix, str(secret.id)):
            secret.revoked_at = installation.at
            _note(
                installation,
                app,
                "app.secret_revoked",
                {"secret": str(secret.id)},
            )
            return secret
    raise NotFoundError("live secret", prefix_or_id)


def remove_app(installation: Installation, app: App) -> None:
    """Remove an application: nobody signs in to it any more, and every token it holds is dead at once."""
    installation.lock()
    installation.session.execute(delete(App).where(App.id == app.id))
    _note(installation, app, "app.removed", {"name": app.name})


def installation_events(session: Session, limit: int = 50) -> Sequence[InstallationEvent]:
    """Return what was last done to applications and signing keys, newest first."""
    return session.scalars(select(InstallationEvent).order_by(InstallationEvent.seq.desc()).limit(limit)).all()


def _note(installation: Installation, app: App, action: str, body: dict[str, Any]) -> None:
    """Write down what was done to an application."""
    installation.note(action, subject_kind="app", subject_id=app.id, reason="requested", body=body)


def _add_secret(installation: Installation, app: App) -> Credential:
    credential = new_credential(APP_SECRET_PREFIX)
    secret = AppSecret(
        id=new_id(),
        app_id=app.id,
        prefix=credential.prefix,
        secret_hash=credential.hash,
        created_at=installation.at,
        revoked_at=None,
    )
    installation.session.add(secret)
    installation.session.flush()
    _note(
        installation,
        app,
        "app.secret_issued",
        {"secret": str(secret.id)},
    )
    return credential


def _checked(name: str, addresses: Iterable[str], *, at_least: int = 0) -> list[str]:
    checked = list(dict.fromkeys(checked_address(name, address) for address in addresses))
    if not at_least <= len(checked) <= MAX_ADDRESSES:
        raise InvalidInputError(name, f"is given {at_least} to {MAX_ADDRESSES} times")
    return checked
