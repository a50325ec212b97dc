"""Where a connection's sign-in lives: every address is built from the configured public one, never from a request."""

from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from bridge.domain.identifiers import ConnectionId, OrgId, parse_id
from bridge.domain.sign_in import SignInProtocol
from bridge.errors import NotFoundError
from bridge.runtime import Runtime
from bridge.store.directory import get_connection
from bridge.store.gate import find_organization
from bridge.store.models import Connection
from bridge.store.unit import Unit

PREFIX = "/sso"
HOME = "/"
_MAX_RETURN_PATH = 2000
_MAX_SLUG = 100
#: What the page is called that takes the identity provider's answers: assertion consumer service, redirection endpoint.
_ANSWERS = {SignInProtocol.SAML: "acs", SignInProtocol.OIDC: "callback"}


@dataclass(frozen=True, slots=True)
class Place:
    """One connection's sign-in: whose it is, and its addresses."""

    org_id: OrgId
    slug: str
    connection_id: ConnectionId
    protocol: SignInProtocol
    public_url: str

    @property
    def path(self) -> str:
        """What all its addresses begin with."""
        return f"{PREFIX}/{self.protocol}/{self.slug}/{self.connection_id}"

    @property
    def answer_url(self) -> str:
        """Where the identity provider sends its answers: the ACS (SAML), the redirect URI (OpenID Connect)."""
        return f"{self.public_url}{self.path}/{_ANSWERS[self.protocol]}"

    @property
    def answer_path(self) -> str:
        """The path part of the answer's address, as browsers see it."""
        return urlsplit(self.answer_url).path

    @property
    def logout_url(self) -> str:
        """Where the identity provider sends what ends sessions (SAML single logout)."""
        return f"{self.public_url}{self.path}/logout"

    @property
    def test_path(self) -> str:
        """The return path that marks a rehearsal; no sign-in can be started with it from outside."""
        return f"{self.path}/test"

    def finish_url(self, return_path: str) -> str:
        """Where the browser goes from the answer."""
        return f"{self.public_url}{self.path}/finish?{urlencode({'return': return_path})}"


def find_place(runtime: Runtime, protocol: SignInProtocol, slug: str, connection: str) -> Place:
    """Find a connection's place by what stands in the address.

    The connection itself is looked up in the unit that works for it, by :func:`identity_provider`.

    Raises:
        NotFoundError: No such organization, or what should name a connection is no identifier.
    """
    connection_id = parse_id(connection)
    known = slug.isascii() and slug.isprintable() and len(slug) <= _MAX_SLUG
    org_id = runtime.ask_gate(lambda session: find_organization(session, slug)) if known else None
    if org_id is None or connection_id is None:
        raise NotFoundError("page", slug)
    return Place(org_id, slug, ConnectionId(connection_id), protocol, runtime.settings.server.public_url)


def identity_provider(unit: Unit, place: Place) -> Connection:
    """Return the connection of a place.

    Raises:
        NotFoundError: The organization has no such connection to an identity provider, or it signs in otherwise.
    """
    connection = get_connection(unit, place.connection_id)
    if connection.kind != "idp" or connection.protocol not in {None, place.protocol}:
        raise NotFoundError("connection", str(place.connection_id))
    return connection


def safe_return_path(text: str | None) -> str:
    r"""Return the path of ours that a sign-in may end at: what was asked for if it is one, else the home page (I9).

    Browsers read a backslash as a slash and drop tabs and line ends, so ``//evil``, ``/\evil`` and what has a control
    character in it are not paths of ours. Sign-in pages are no place to end at.
    """
    if not text or len(text) > _MAX_RETURN_PATH or not text.isprintable():
        return HOME
    if not text.startswith("/") or text.startswith(("//", "/sso/")) or "\\" in text:
        return HOME
    return text
