"""Connections to identity providers: how they are doing, their tokens and clients, sign-ins, mode and domains."""

import uuid
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from bridge.domain.identifiers import ConnectionId, MemberId
from bridge.domain.provisioning import Confirmation
from bridge.domain.scopes import Scope
from bridge.errors import NotFoundError
from bridge.store.models import Connection, ScimClient
from bridge.usecases.connection_addresses import addresses_of
from bridge.usecases.connections import (
    claim_domain,
    create_connection,
    find_connection,
    issue_personal_token,
    issue_scim_token,
    list_domains,
    list_sign_ins,
    live_tokens,
    normalized_domain,
    personal_tokens,
    remove_domain,
    revoke_scim_token,
    set_jit,
)
from bridge.usecases.disable_connection import disable_connection, enable_connection
from bridge.usecases.enforce_sso import enforce_sso, preview_enforcement, relax_sso
from bridge.usecases.link_people import link_identity, unlink_identity
from bridge.usecases.provisional import set_confirmation
from bridge.usecases.provisioning_mode import preview_mode, read_provisioning, switch_mode
from bridge.usecases.read_connections import ConnectionHealth, read_connection, read_connections
from bridge.usecases.read_requests import read_request
from bridge.usecases.removed_people import readmit
from bridge.usecases.saml_trust import certificates_of
from bridge.usecases.scim_clients import (
    add_client,
    clients_of,
    find_client,
    revoke_client,
    revoke_client_secret,
    rotate_client_secret,
    secrets_of,
)
from bridge.usecases.search_requests import Outcome, RequestFilter, search_requests
from bridge.usecases.service_keys import service_keys
from bridge.web.api.calls import Call
from bridge.web.api.operations import Resource
from bridge.web.api.paging import cursor_at, place_of
from bridge.web.api.plain import plain
from bridge.web.api.shapes import Answer, Body, Document, Page, Paged, Query

connections = Resource("Connections", "Identity providers: tokens, clients, certificates, sign-ins.", "/connections")
domains = Resource("Domains", "Mail domains: who is found and linked by them.", "/domains")
sso = Resource("Single sign-on", "Whether people may sign in by anything else than their provider.", "/sso")
provisioning = Resource("Provisioning", "Who creates people, and what directories sent.", "/provisioning")

_DAYS = Annotated[int, Field(ge=1, le=3650, description="How long it lives.")]


class ConnectionShape(Answer):
    """A connection, and how it is doing; the counts are of the last 24 hours."""

    id: uuid.UUID
    name: str
    state: str
    disabled: bool
    protocol: str | None
    issuer: str | None
    behaves_like: str
    creates_people: bool
    confirmation: str
    people: dict[str, int]
    requests: int
    failed: int
    sign_ins: int
    refused_sign_ins: int
    days_left: int | None
    scim_last_used_at: datetime | None
    last_sign_in_at: datetime | None


class ConnectionsPage(Page):
    """Connections, oldest first."""

    items: list[ConnectionShape]


class NewConnection(Body):
    """One identity provider, such as Okta."""

    name: Annotated[str, Field(min_length=1, max_length=100)]


class ConnectionChange(Body):
    """What is to change; what is not named stays."""

    creates_people: Annotated[bool | None, Field(description="Whether a first sign-in adds somebody.")] = None
    confirmation: Annotated[
        Literal["when_pushing", "always", "never"] | None,
        Field(description="Whether the directory has to name who signs in before it does."),
    ] = None


class AddressesShape(Answer):
    """What is entered at the identity provider, to the letter."""

    scim: str
    acs: str
    entity_id: str
    redirect_uri: str
    start: str
    test: str


class TokenShape(Answer):
    """A token that can be used; `scope` is write, read or me (one person's)."""

    id: uuid.UUID
    prefix: str
    label: str
    scope: str
    person_id: uuid.UUID | None
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


class TokensPage(Page):
    """Tokens of a connection."""

    items: list[TokenShape]


class NewToken(Body):
    """A token of a provisioning client, or with `person_id` of one person, who is read at /Me."""

    label: Annotated[str, Field(max_length=100)] = ""
    scope: Literal["write", "read"] = "write"
    person_id: uuid.UUID | None = None
    days: _DAYS = 365


class TokenMade(Answer):
    """The token, answered once."""

    token: str
    prefix: str
    scim: str


class ClientShape(Answer):
    """A provisioning client that fetches its tokens itself."""

    id: uuid.UUID
    label: str
    scope: str
    secrets: list[str]


class ClientsPage(Page):
    """Clients of a connection."""

    items: list[ClientShape]


class NewClient(Body):
    """A client that fetches its tokens itself."""

    label: Annotated[str, Field(max_length=100)] = ""
    scope: Literal["write", "read"] = "write"


class ClientSecret(Answer):
    """A client's secret, answered once."""

    client_id: uuid.UUID
    client_secret: str


class KeyOfTrust(Answer):
    """A certificate or key, and until when."""

    whose: str
    fingerprint: str
    until: datetime


class KeysPage(Page):
    """What a connection believes, and our own keys towards it."""

    items: list[KeyOfTrust]


class SignInShape(Answer):
    """How a sign-in ended."""

    at: datetime
    outcome: str
    reason: str
    detail: str
    person_id: uuid.UUID | None = Field(validation_alias="member_id")
    request_id: str


class SignInsPage(Page):
    """Sign-ins, newest first."""

    items: list[SignInShape]


class SignInsQuery(Query):
    """How many sign-ins."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 50


class SubjectBody(Body):
    """A subject at the provider, byte for byte: the NameID (SAML), the sub (OpenID Connect)."""

    person_id: uuid.UUID
    subject: Annotated[str, Field(min_length=1, max_length=1000)]


class UnlinkBody(Body):
    """Whom the connection knows no more; without `subject`, by nothing."""

    person_id: uuid.UUID
    subject: str | None = None


class Subjects(Answer):
    """Subjects that are somebody, or are no more."""

    subjects: list[str]


class ReadmitBody(Body):
    """Somebody whom the directory has removed, by the userName, externalId or subject they had."""

    name: Annotated[str, Field(min_length=1)]


class Readmitted(Answer):
    """How many names may come back."""

    readmitted: int


class Disabled(Answer):
    """How many sessions ended."""

    sessions_ended: int


class DomainShape(Answer):
    """A mail domain; `record` is the TXT record that proves it."""

    name: str
    record: str
    connection_id: uuid.UUID | None
    verified_at: datetime | None
    verified_by: str | None


class DomainsPage(Page):
    """Mail domains."""

    items: list[DomainShape]


class DomainBody(Body):
    """A domain to claim, and where its people sign in."""

    name: Annotated[str, Field(min_length=1, max_length=253)]
    connection_id: uuid.UUID | None = None


class ShutOutShape(Answer):
    """Somebody who could not sign in any more."""

    person_id: uuid.UUID = Field(validation_alias="member_id")
    user_name: str
    name: str = Field(validation_alias="display_name")
    role: str
    reason: str


class EnforcementShape(Answer):
    """Whether single sign-on is enforced, and who could not sign in by it."""

    enforced_at: datetime | None
    connections: list[str]
    shut_out: list[ShutOutShape]
    sessions_by_link: int


class EnforceBody(Body):
    """Whom you have seen that it shuts out; anybody else by now, and it is refused."""

    shut_out: Annotated[list[uuid.UUID], Field(max_length=100_000)]


class ModeConnectionShape(Answer):
    """A connection as the mode matters to it."""

    name: str
    pushes: bool
    adds_at_sign_in: bool


class ProvisioningShape(Answer):
    """The provisioning mode in force (rule A9)."""

    mode: str
    with_mappings: bool
    connections: list[ModeConnectionShape]


class ModeBody(Body):
    """The mode to look at."""

    mode: str


class TouchedShape(Answer):
    """People for whom a switch means the same; all are counted, some are named."""

    effect: str
    sentence: str
    number: int
    people: list[Document]


class ModePreviewShape(Answer):
    """What a switch would mean, and for whom."""

    id: uuid.UUID
    expires_at: datetime
    before: str
    after: str
    connections: list[str]
    touched: list[TouchedShape]


class Switched(Answer):
    """A switch that was made."""

    before: str
    after: str


class RequestShape(Answer):
    """A request of the provisioning log in one line."""

    id: uuid.UUID
    at: datetime
    connection: str | None
    method: str
    path: str
    said: str
    status: int
    answered: str
    latency_ms: float
    mark: str | None
    request_id: str
    meaning: str | None


class RequestsPage(Page):
    """Requests, newest first. A page may be short where a search looks through many: go on by its cursor."""

    items: list[RequestShape]


class RequestsQuery(Paged):
    """Which requests; a page has 25."""

    connection_id: uuid.UUID | None = None
    outcome: Outcome = Outcome.ANY
    method: Literal["", "GET", "POST", "PUT", "PATCH", "DELETE"] = ""
    text: str = ""
    person_id: uuid.UUID | None = None


class StoryShape(Answer):
    """One request: what was sent and answered, redacted, and the seats that came of it."""

    line: RequestShape
    request_body: str | None
    response_body: str | None
    decisions: list[Document]
    hold_id: uuid.UUID | None


@connections.get(scope=Scope.CONNECTIONS_READ, answer=ConnectionsPage)
def list_identity_connections(call: Call) -> object:
    """List connections, and how each is doing."""
    return {"items": [_shown(health) for health in read_connections(call.unit)]}


@connections.post(scope=Scope.CONNECTIONS_WRITE, answer=ConnectionShape, status=201)
def add_identity_connection(call: Call, body: NewConnection) -> object:
    """Make a connection for one identity provider."""
    return _shown(read_connection(call.unit, create_connection(call.unit, body.name).id))


@connections.get("/<uuid:connection_id>", scope=Scope.CONNECTIONS_READ, answer=ConnectionShape)
def get_identity_connection(call: Call, connection_id: uuid.UUID) -> object:
    """Read one connection."""
    return _shown(read_connection(call.unit, ConnectionId(connection_id)))


@connections.patch(
    "/<uuid:connection_id>",
    scope=Scope.CONNECTIONS_WRITE,
    answer=ConnectionShape,
    reads=get_identity_connection,
)
def change_identity_connection(call: Call, connection_id: uuid.UUID, body: ConnectionChange) -> object:
    """Say what a first sign-in by a connection does."""
    found = _connection(call, connection_id)
    if body.creates_people is not None:
        set_jit(call.unit, found.id, jit=body.creates_people)
    if body.confirmation is not None:
        set_confirmation(call.unit, found.id, Confirmation(body.confirmation))
    return _shown(read_connection(call.unit, found.id))


@connections.get("/<uuid:connection_id>/addresses", scope=Scope.CONNECTIONS_READ, answer=AddressesShape)
def get_connection_addresses(call: Call, connection_id: uuid.UUID) -> object:
    """Read what is entered at the identity provider."""
    return addresses_of(call.runtime.settings.server.public_url, call.unit, _connection(call, connection_id))


@connections.get("/<uuid:connection_id>/keys", scope=Scope.CONNECTIONS_READ, answer=KeysPage)
def list_connection_keys(call: Call, connection_id: uuid.UUID) -> object:
    """List the provider's certificates and our keys towards it, and until when."""
    found = _connection(call, connection_id)
    theirs = [("identity provider", one.fingerprint, one.not_after) for one in certificates_of(call.unit, found.id)]
    ours = [(f"ours, {key.stage}", key.fingerprint, key.not_after) for key in service_keys(call.unit, found.id)]
    return {"items": [dict(zip(("whose", "fingerprint", "until"), one, strict=True)) for one in (*theirs, *ours)]}


@connections.post("/<uuid:connection_id>/disable", scope=Scope.CONNECTIONS_WRITE, answer=Disabled)
def disable_identity_connection(call: Call, connection_id: uuid.UUID) -> object:
    """Turn a connection off: nobody signs in by it, its tokens push nothing, and the sessions it opened end."""
    return {"sessions_ended": disable_connection(call.unit, _connection(call, connection_id).id)}


@connections.post("/<uuid:connection_id>/enable", scope=Scope.CONNECTIONS_WRITE, answer=ConnectionShape)
def enable_identity_connection(call: Call, connection_id: uuid.UUID) -> object:
    """Turn a connection on again."""
    return _shown(read_connection(call.unit, enable_connection(call.unit, _connection(call, connection_id).id).id))


@connections.get("/<uuid:connection_id>/tokens", scope=Scope.CONNECTIONS_READ, answer=TokensPage)
def list_scim_tokens(call: Call, connection_id: uuid.UUID) -> object:
    """List the tokens of a connection that can be used."""
    found = _connection(call, connection_id)
    personal = [token for token in personal_tokens(call.unit) if token.connection_id == found.id]
    names = ("id", "prefix", "label", "created_at", "expires_at", "last_used_at")
    return {
        "items": [
            {name: getattr(token, name) for name in names}
            | {
                "scope": "me" if token.member_id else "write" if token.can_write else "read",
                "person_id": token.member_id,
            }
            for token in (*live_tokens(call.unit, found.id), *personal)
        ]
    }


@connections.post("/<uuid:connection_id>/tokens", scope=Scope.CONNECTIONS_WRITE, answer=TokenMade, status=201)
def issue_token(call: Call, connection_id: uuid.UUID, body: NewToken) -> object:
    """Issue a token, answered once. To rotate: issue the second, put it in place, revoke the first."""
    found, lifetime = _connection(call, connection_id), timedelta(days=body.days)
    if body.person_id is None:
        made = issue_scim_token(
            call.unit, found.id, label=body.label, can_write=body.scope == "write", lifetime=lifetime
        )
    else:
        made = issue_personal_token(call.unit, found.id, MemberId(body.person_id), label=body.label, lifetime=lifetime)
    scim = addresses_of(call.runtime.settings.server.public_url, call.unit, found).scim
    return {"token": made.text, "prefix": made.prefix, "scim": scim}


@connections.delete("/<uuid:connection_id>/tokens/<uuid:token_id>", scope=Scope.CONNECTIONS_WRITE)
def revoke_token(call: Call, connection_id: uuid.UUID, token_id: uuid.UUID) -> None:
    """Revoke a token: the next request with it is refused."""
    found = _connection(call, connection_id)
    if revoke_scim_token(call.unit, token_id).connection_id != found.id:
        raise NotFoundError("token", str(token_id))


@connections.get("/<uuid:connection_id>/clients", scope=Scope.CONNECTIONS_READ, answer=ClientsPage)
def list_provisioning_clients(call: Call, connection_id: uuid.UUID) -> object:
    """List the clients of a connection that fetch their tokens themselves."""
    found = clients_of(call.unit, _connection(call, connection_id).id)
    return {
        "items": [
            {
                "id": client.id,
                "label": client.label,
                "scope": "write" if client.can_write else "read",
                "secrets": [secret.prefix for secret in secrets_of(call.unit, client)],
            }
            for client in found
        ]
    }


@connections.post("/<uuid:connection_id>/clients", scope=Scope.CONNECTIONS_WRITE, answer=ClientSecret, status=201)
def add_provisioning_client(call: Call, connection_id: uuid.UUID, body: NewClient) -> object:
    """Add a client that fetches its tokens itself; its secret is answered once."""
    found = _connection(call, connection_id)
    client, secret = add_client(call.unit, found.id, label=body.label, can_write=body.scope == "write")
    return {"client_id": client.id, "client_secret": secret.text}


@connections.post(
    "/<uuid:connection_id>/clients/<uuid:client_id>/rotate-secret",
    scope=Scope.CONNECTIONS_WRITE,
    answer=ClientSecret,
)
def rotate_secret_of_client(call: Call, connection_id: uuid.UUID, client_id: uuid.UUID) -> object:
    """Give a client its second secret; the first stays good until it is revoked."""
    client = _client(call, connection_id, client_id)
    return {"client_id": client.id, "client_secret": rotate_client_secret(call.unit, client).text}


@connections.delete("/<uuid:connection_id>/clients/<uuid:client_id>/secrets/<prefix>", scope=Scope.CONNECTIONS_WRITE)
def revoke_secret_of_client(call: Call, connection_id: uuid.UUID, client_id: uuid.UUID, prefix: str) -> None:
    """Revoke one secret of a client."""
    revoke_client_secret(call.unit, _client(call, connection_id, client_id), prefix)


@connections.delete("/<uuid:connection_id>/clients/<uuid:client_id>", scope=Scope.CONNECTIONS_WRITE)
def revoke_provisioning_client(call: Call, connection_id: uuid.UUID, client_id: uuid.UUID) -> None:
    """Revoke a client with its secrets and tokens."""
    revoke_client(call.unit, _client(call, connection_id, client_id))


@connections.get("/<uuid:connection_id>/sign-ins", scope=Scope.CONNECTIONS_READ, answer=SignInsPage)
def list_connection_sign_ins(call: Call, connection_id: uuid.UUID, query: SignInsQuery) -> object:
    """List how the newest sign-ins ended: the reason of a refusal, by the request id that people are shown."""
    return {"items": list_sign_ins(call.unit, _connection(call, connection_id).id, query.limit)}


@connections.post("/<uuid:connection_id>/link", scope=Scope.CONNECTIONS_WRITE, answer=Subjects)
def link_person(call: Call, connection_id: uuid.UUID, body: SubjectBody) -> object:
    """Say who a subject of the identity provider is: how an owner comes to sign in by it."""
    found = _connection(call, connection_id)
    link_identity(call.unit, found.id, MemberId(body.person_id), subject=body.subject)
    return {"subjects": [body.subject]}


@connections.post("/<uuid:connection_id>/unlink", scope=Scope.CONNECTIONS_WRITE, answer=Subjects)
def unlink_person(call: Call, connection_id: uuid.UUID, body: UnlinkBody) -> object:
    """Take back who a subject is; the person's sessions end."""
    found = _connection(call, connection_id)
    return {"subjects": unlink_identity(call.unit, found.id, MemberId(body.person_id), subject=body.subject)}


@connections.post("/<uuid:connection_id>/readmit", scope=Scope.CONNECTIONS_WRITE, answer=Readmitted)
def readmit_person(call: Call, connection_id: uuid.UUID, body: ReadmitBody) -> object:
    """Let somebody come back by a sign-in whom the directory has removed."""
    return {"readmitted": readmit(call.unit, _connection(call, connection_id).id, body.name)}


@domains.get(scope=Scope.CONNECTIONS_READ, answer=DomainsPage)
def list_mail_domains(call: Call) -> object:
    """List the mail domains, and what proves each."""
    return {"items": [_domain(one) for one in list_domains(call.unit)]}


@domains.post(scope=Scope.CONNECTIONS_WRITE, answer=DomainShape, status=201)
def claim_mail_domain(call: Call, body: DomainBody) -> object:
    """Claim a domain; publish its record, then verify it in the console or by `seatbridge domain verify`."""
    connection_id = None if body.connection_id is None else _connection(call, body.connection_id).id
    return _domain(claim_domain(call.unit, body.name, connection_id))


@domains.delete("/<name>", scope=Scope.CONNECTIONS_WRITE)
def give_up_mail_domain(call: Call, name: str) -> None:
    """Give a domain up: nobody is linked by it, or finds the sign-in by it, any more."""
    remove_domain(call.unit, normalized_domain(name))


@sso.get(scope=Scope.CONNECTIONS_WRITE, answer=EnforcementShape)
def get_enforcement(call: Call) -> object:
    """Read whether single sign-on is enforced, and who cannot sign in by it. Needs an owner's key."""
    return preview_enforcement(call.unit)


@sso.post("/enforce", scope=Scope.CONNECTIONS_WRITE, answer=EnforcementShape)
def enforce_single_sign_on(call: Call, body: EnforceBody) -> object:
    """Let people sign in through their identity provider only; no sign-in link works any more."""
    enforce_sso(call.unit, shown=[MemberId(one) for one in body.shut_out])
    return preview_enforcement(call.unit)


@sso.post("/relax", scope=Scope.CONNECTIONS_WRITE, answer=EnforcementShape)
def relax_single_sign_on(call: Call) -> object:
    """Let sign-in links work again."""
    relax_sso(call.unit)
    return preview_enforcement(call.unit)


@provisioning.get(scope=Scope.CONNECTIONS_READ, answer=ProvisioningShape)
def get_provisioning(call: Call) -> object:
    """Read which provisioning mode is in force, and what it meets."""
    return read_provisioning(call.unit)


@provisioning.preview("/previews", scope=Scope.CONNECTIONS_WRITE, answer=ModePreviewShape)
def preview_provisioning_mode(call: Call, body: ModeBody) -> object:
    """Show whom switching the mode would touch."""
    found = preview_mode(call.unit, body.mode)
    touched = [plain(one) for one in found.touched]
    names = ("id", "expires_at", "before", "after", "connections")
    return {name: getattr(found, name) for name in names} | {"touched": touched}


@provisioning.post("/previews/<uuid:preview_id>/apply", scope=Scope.CONNECTIONS_WRITE, answer=Switched)
def switch_provisioning_mode(call: Call, preview_id: uuid.UUID) -> object:
    """Switch the mode as previewed."""
    return switch_mode(call.unit, preview_id)


@provisioning.get("/requests", scope=Scope.CONNECTIONS_READ, answer=RequestsPage)
def list_provisioning_requests(call: Call, query: RequestsQuery) -> object:
    """List what identity providers sent, newest first, refused tokens included."""
    place = place_of(call, query)
    wanted = RequestFilter(
        connection_id=None if query.connection_id is None else ConnectionId(query.connection_id),
        outcome=query.outcome,
        method=query.method,
        text=query.text,
        member_id=None if query.person_id is None else MemberId(query.person_id),
        before=None if place is None else uuid.UUID(place[0]),
    )
    page = search_requests(call.unit, wanted)
    return {"items": page.lines, "next_cursor": None if page.older is None else cursor_at(call, query, [page.older])}


@provisioning.get("/requests/<name>", scope=Scope.CONNECTIONS_READ, answer=StoryShape)
def get_provisioning_request(call: Call, name: str) -> object:
    """Read one request by its id, or by the request id of its answer."""
    story = read_request(call.unit, name)
    return {
        "line": story.line,
        "request_body": story.entry.request_body,
        "response_body": story.entry.response_body,
        "decisions": [plain(one) for one in story.decisions],
        "hold_id": story.hold_id,
    }


def _connection(call: Call, connection_id: uuid.UUID) -> Connection:
    return find_connection(call.unit, str(connection_id))


def _client(call: Call, connection_id: uuid.UUID, client_id: uuid.UUID) -> ScimClient:
    client = find_client(call.unit, str(client_id))
    if client.connection_id != connection_id:
        raise NotFoundError("client", str(client_id))
    return client


def _domain(found: Any) -> dict[str, Any]:
    names = ("name", "connection_id", "verified_at", "verified_by")
    return {name: getattr(found, name) for name in names} | {"record": f"seatbridge-verification={found.challenge}"}


def _shown(health: ConnectionHealth) -> dict[str, Any]:
    found = health.connection
    counted = ("state", "people", "requests", "failed", "sign_ins", "refused_sign_ins", "days_left")
    stored = ("id", "name", "protocol", "issuer", "confirmation", "scim_last_used_at", "last_sign_in_at")
    return {
        **{name: getattr(health, name) for name in counted},
        **{name: getattr(found, name) for name in stored},
        "disabled": found.disabled_at is not None,
        "behaves_like": str(health.behaviour),
        "creates_people": found.jit_enabled,
    }
