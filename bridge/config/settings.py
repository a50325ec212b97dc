"""Every setting of the service, with its unit and its default.

The docstrings below are what an operator reads: ``config.example.yaml`` and the configuration reference are
generated from them (``python -m bridge.config example`` and ``... reference``).
"""

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from bridge.config.keys import decode_key

_SHORTEST_TOKEN = 32
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_DATABASE_SCHEMES = frozenset({"postgresql", "postgres", "postgresql+psycopg"})
_MAIL_SCHEMES = frozenset({"smtp", "smtps"})


class LogLevel(StrEnum):
    """The least important message that is still written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How a log line looks."""

    JSON = "json"
    CONSOLE = "console"


def default_embedded_path(environ: Mapping[str, str], *, as_root: bool) -> Path:
    """Return where the embedded database lives when nothing is set (XDG; the FHS for root)."""
    if environ.get("XDG_DATA_HOME"):
        return Path(environ["XDG_DATA_HOME"]) / "seatbridge" / "postgres"
    if as_root:
        return Path("/var/lib/seatbridge/postgres")
    return Path(environ.get("HOME") or Path.home()) / ".local" / "share" / "seatbridge" / "postgres"


def _check_public_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an absolute address such as https://seats.example.com")
    if parts.query or parts.fragment or parts.username:
        raise ValueError("must not carry a user, a query or a fragment")
    if value.endswith("/"):
        raise ValueError("must not end with a slash")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ValueError("must be https:// (plain http is for 127.0.0.1 and localhost only)")
    return value


def _check_database_url(value: SecretStr | None) -> SecretStr | None:
    if value is not None and urlsplit(value.get_secret_value()).scheme not in _DATABASE_SCHEMES:
        raise ValueError("must look like postgresql://user@host:5432/database")
    return value


def _check_smtp_url(value: SecretStr | None) -> SecretStr | None:
    if value is not None:
        parts = urlsplit(value.get_secret_value())
        if parts.scheme not in _MAIL_SCHEMES or not parts.hostname:
            raise ValueError("must look like smtp://user@host:587 (STARTTLS) or smtps://user@host:465")
    return value


def _check_metrics_token(value: SecretStr | None) -> SecretStr | None:
    if value is not None:
        token = value.get_secret_value()
        if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
            raise ValueError(f"must be {_SHORTEST_TOKEN} or more printable characters without spaces")
    return value


def _check_keys(value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    for position, key in enumerate(value, start=1):
        try:
            decode_key(key.get_secret_value())
        except ValueError as error:
            raise ValueError(f"key {position} {error}") from None
    return value


def _check_sender(value: str) -> str:
    local, at, domain = value.rpartition("@")
    if not (local and at and domain) or any(character.isspace() for character in value):
        raise ValueError("must be one mail address such as seats@example.com")
    return value


DatabaseUrl = Annotated[SecretStr | None, AfterValidator(_check_database_url)]


class _Section(BaseModel):
    """A frozen group of settings in which an unknown name is a mistake."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
        validate_default=True,
    )


class ServerSettings(_Section):
    """Where the service listens and under which address people and identity providers reach it."""

    public_url: Annotated[str, AfterValidator(_check_public_url)] = "http://127.0.0.1:8080"
    """Address of the service as browsers and identity providers see it, without a slash at the end. Every
    absolute address (SCIM base, ACS, entityID, links in mail) is built from it and never from a request's
    Host header."""

    host: str = "127.0.0.1"
    """Network address to listen on. 0.0.0.0 listens on all of them: put a proxy that ends TLS in front."""

    port: Annotated[int, Field(ge=1, le=65535)] = 8080
    """TCP port to listen on."""

    workers: Annotated[int, Field(ge=1, le=64)] = 2
    """Number of worker processes."""

    threads: Annotated[int, Field(ge=1, le=256)] = 8
    """Number of threads in each worker process; each may hold one database connection."""

    trusted_proxies: Annotated[int, Field(ge=0, le=10)] = 0
    """Number of reverse proxies in front whose X-Forwarded-For is believed. 0 believes none: the address
    that limits and logs see is then the one that connects."""


class DatabaseSettings(_Section):
    """PostgreSQL 15 or newer. Without a url the service runs its own embedded server."""

    url: DatabaseUrl = None
    """PostgreSQL to use, as postgresql://user@host:5432/database. Empty: the embedded server. A url that
    contains a password is accepted from the environment only."""

    owner_url: DatabaseUrl = None
    """Connection of the schema's owner, used for migrations and role creation when url is an ordinary role.
    Empty: the same as url. A url that contains a password is accepted from the environment only."""

    embedded_path: Path = Field(
        default_factory=lambda: default_embedded_path(os.environ, as_root=os.geteuid() == 0),
        json_schema_extra={"default_text": "~/.local/share/seatbridge/postgres"},
    )
    """Folder of the embedded server. The default follows XDG_DATA_HOME; without it, root uses
    /var/lib/seatbridge/postgres."""

    pool_size: Annotated[int, Field(ge=1, le=200)] = 8
    """Connections that each process keeps open, once for units of work and once for lanes."""

    pool_overflow: Annotated[int, Field(ge=0, le=200)] = 4
    """Connections that each worker process may open beyond pool_size for a moment."""

    statement_timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 15.0
    """Seconds after which the database gives up on a statement; the caller is answered 503 and may retry."""

    lock_timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 5.0
    """Seconds that one statement waits for a lock; the caller is answered 503 and may retry."""


class SecretSettings(_Section):
    """The keys that encrypt stored credentials and sign sessions; every other secret is derived from them.

    The first key encrypts and signs, all of them decrypt and verify: to rotate, put a new key in front and keep
    the old one, which the audit entries of its time are verified with. `seatbridge secrets generate` prints a
    new key. With the embedded database a
    key file is created beside the data when neither is set; with an external database the service does not
    start without one.
    """

    keys: Annotated[tuple[SecretStr, ...], AfterValidator(_check_keys)] = Field(
        default=(), json_schema_extra={"environment_only": True}
    )
    """Keys separated by commas, each 32 bytes or more in base64 or hexadecimal. Environment only."""

    keys_file: Path | None = None
    """File with one key a line (lines that start with # are comments). Only the service should read it."""


class SessionSettings(_Section):
    """How long a person stays signed in."""

    lifetime_seconds: Annotated[int, Field(ge=60, le=2_592_000)] = 43_200
    """Seconds after which a person signs in again whatever happens (43200 = 12 hours)."""

    idle_seconds: Annotated[int, Field(ge=60, le=2_592_000)] = 7_200
    """Seconds without a request after which a session ends (7200 = 2 hours)."""


class SsoSettings(_Section):
    """Sign-in through identity providers."""

    clock_skew_seconds: Annotated[int, Field(ge=0, le=300)] = 60
    """Seconds that an identity provider's clock may differ from ours when an assertion is checked."""

    request_lifetime_seconds: Annotated[int, Field(ge=60, le=3600)] = 600
    """Seconds in which a sign-in that was started here must be answered by the identity provider."""

    internal_hosts: tuple[str, ...] = ()
    """Names or addresses of hosts in your own network where OpenID Connect providers run, separated by commas. They
    may lead to private addresses or this machine, and be talked to by plain http; every other provider needs https
    and a public address."""

    dns_servers: tuple[str, ...] = ()
    """Name servers that mail domains are verified by, such as 9.9.9.9 or [::1]:5353, separated by commas; those of
    this machine by default."""

    provisional_days: Annotated[int, Field(ge=0, le=365)] = 14
    """Days that a directory has to name a person who signed in before it did; then access ends and the seat is
    free again. 0: no end."""

    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 600
    """Sign-ins that one address may start and answer at one connection each minute, counted together, in each worker
    process, and ten times as many of all addresses; beyond, the answer is 429 with Retry-After. An office behind one
    address counts as one."""

    refused_per_minute: Annotated[int, Field(ge=1, le=100_000)] = 60
    """Refused sign-ins that one address may have at one connection each minute, in each worker process; beyond, it is
    answered 429 unread there, and nothing is written into the sign-in log."""

    log_days: Annotated[int, Field(ge=1, le=3650)] = 180
    """Days that entries of the sign-in log are kept; a person's newest sign-in stays for the access review."""


class AppSettings(_Section):
    """Applications that people sign in to through this service."""

    access_token_seconds: Annotated[int, Field(ge=60, le=3600)] = 600
    """Seconds that access and ID tokens live (600 = 10 minutes)."""

    offline_days: Annotated[int, Field(ge=1, le=365)] = 30
    """Days after which a sign-in that may outlive its session ends for good, however often its tokens are renewed."""

    refused_per_minute: Annotated[int, Field(ge=1, le=100_000)] = 30
    """Refused secrets that one address may present to the token endpoint each minute, in each worker process; beyond,
    an application that is not known to be good is answered 429 unread."""

    codes_per_minute: Annotated[int, Field(ge=10, le=100_000)] = 300
    """Sign-ins to one application that one address may begin each minute, in each worker process, and as many at once;
    beyond, the page says to wait (429). A whole office may share an address."""

    key_rotation_days: Annotated[int, Field(ge=0, le=3650)] = 90
    """Days after which another key signs tokens, published a day ahead. 0: only by `seatbridge apps rotate-keys`."""

    internal_hosts: tuple[str, ...] = ()
    """Names or addresses of hosts in your own network where applications run, separated by commas. Messages to them
    may go to private addresses or this machine, and by plain http; every other application needs https and a public
    address."""


class ScimSettings(_Section):
    """Limits of the SCIM endpoint, as /ServiceProviderConfig announces them."""

    max_body_bytes: Annotated[int, Field(ge=1024, le=104_857_600)] = 1_048_576
    """Largest body of one request, in bytes (1048576 = 1 MiB); above it the answer is 413."""

    max_bulk_bytes: Annotated[int, Field(ge=1024, le=104_857_600)] = 2_097_152
    """Largest body of one Bulk request, in bytes (2097152 = 2 MiB); above it the answer is 413."""

    max_operations: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Most operations in one Bulk request; above it the answer is 413."""

    max_results: Annotated[int, Field(ge=1, le=1000)] = 200
    """Most resources in one page of a list; a larger count is lowered to it."""

    rate_burst: Annotated[int, Field(ge=1, le=10_000_000)] = 50_000
    """Requests of one connection that are answered as fast as they come, in each worker process: a first
    synchronisation of 10,000 people in 200 groups, a look-up and a push for each and one member a request."""

    rate_per_second: Annotated[float, Field(gt=0, le=100_000)] = 100.0
    """Requests of one connection that are answered each second once the burst is used up, in each worker
    process; beyond, the answer is 429 with Retry-After."""

    refused_per_minute: Annotated[int, Field(ge=1, le=100_000)] = 30
    """Refused credentials that one address may present to one organization each minute, in each worker
    process, and ten times as many to all of them together; beyond, an unknown token is answered 429 unread."""

    concurrent_requests: Annotated[int, Field(ge=1, le=256)] = 6
    """Requests of one organization that a worker process works on at once, never more than server.threads less
    one; another one waits up to a second, then is answered 429 with Retry-After: 1."""

    request_log_days: Annotated[int, Field(ge=1, le=3650)] = 14
    """Days that entries of the provisioning log are kept, with what identity providers sent about people."""


class ApiSettings(_Section):
    """The programming interface at /api/v1."""

    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 600
    """Requests of one key that are answered each minute, in each worker process, and as many at once; beyond, the
    answer is 429 with Retry-After."""

    refused_per_minute: Annotated[int, Field(ge=1, le=100_000)] = 30
    """Refused keys that one address may present each minute, in each worker process; beyond, it is answered 429
    unread."""


class JobSettings(_Section):
    """Background work: deliveries, renewals, reminders."""

    sweep_seconds: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """Seconds between two looks for work that was left behind by a worker that died."""

    poll_seconds: Annotated[float, Field(gt=0, le=300)] = 5.0
    """Seconds between two looks at the queue when the database's notification does not arrive."""

    usage_mail_days: Annotated[int, Field(ge=0, le=365)] = 30
    """Days before a yearly renewal at which owners are mailed the usage of the period. 0: never."""

    evaluation_mail_days: Annotated[int, Field(ge=0, le=365)] = 14
    """Days before the end of an evaluation at which owners are reminded of it, and of what follows; they are reminded
    once more two days before. 0: never."""


class BillingSettings(_Section):
    """Billing cores of customers' own; without any, the embedded core bills everybody."""

    timeout_seconds: Annotated[float, Field(gt=0, le=30)] = 10.0
    """Seconds that one request to a billing core may take as a whole. An order needs up to three."""

    internal_hosts: tuple[str, ...] = ()
    """Names or addresses of hosts in your own network where billing cores run, separated by commas. They may lead
    to private addresses or this machine, and be talked to by plain http; every other core needs https and a
    public address."""

    stripe_url: str = "https://api.stripe.com"
    """Where Stripe's API is. Another address is for tests only, as of a mock."""


class WebhookSettings(_Section):
    """Events that applications are told of."""

    timeout_seconds: Annotated[float, Field(gt=0, le=30)] = 5.0
    """Seconds that an endpoint may take to answer an event."""

    internal_hosts: tuple[str, ...] = ()
    """Names or addresses of hosts in your own network, or this machine, that may be told of events, separated by
    commas, by plain http too; every other endpoint needs https and a public address."""

    def is_internal(self, url: str) -> bool:
        """Tell whether the operator vouches for the host of an address."""
        return urlsplit(url).hostname in self.internal_hosts


class MailSettings(_Section):
    """Outgoing mail. Without a server nothing is sent: alerts and invoices stand in the console only."""

    smtp_url: Annotated[SecretStr | None, AfterValidator(_check_smtp_url)] = None
    """Mail server, as smtp://user@host:587 (STARTTLS) or smtps://user@host:465. Empty: no mail is sent. A
    url that contains a password is accepted from the environment only."""

    sender: Annotated[str, AfterValidator(_check_sender)] = "seatbridge@localhost"
    """Address that mail is sent from."""


class SellerSettings(_Section):
    """Who issues the invoices: it stands on every one, as page, PDF and e-invoice, as it was on the day of issue.

    E-invoices (EN 16931) need a name, a country, and a VAT identifier or a registration.
    """

    name: str = ""
    """Legal name. Empty: invoices name no seller, and no e-invoice can be made."""

    street: str = ""
    """Street and number."""

    street_more: str = ""
    """Second line of the address: floor, building, post office box."""

    postal_code: str = ""
    """Postal code."""

    city: str = ""
    """Town."""

    country: str = ""
    """Country, as two letters of ISO 3166-1 such as SE."""

    vat_id: str = ""
    """VAT identifier with its country in front, such as SE556000000001. Empty: not registered for VAT."""

    registration: str = ""
    """Number in the register of companies, or the like."""

    email: str = ""
    """Address for questions about invoices."""

    phone: str = ""
    """Telephone for questions about invoices."""

    iban: str = ""
    """IBAN of the account that invoices are paid to. Empty: invoices ask for no transfer."""

    bic: str = ""
    """BIC of that account's bank; seldom needed."""

    note: str = ""
    """Text at the end of every invoice: legal form, court of registration, directors."""

    payment_terms_days: Annotated[int, Field(ge=0, le=365)] = 30
    """Days from an invoice's date to the day it is due, where the buyer's billing details name no others."""


class MetricsSettings(_Section):
    """Numbers for a monitoring system, at /metrics as Prometheus reads them: of no person and no organization."""

    token: Annotated[SecretStr | None, AfterValidator(_check_metrics_token)] = None
    """Bearer token that /metrics is read with, at least 32 characters; accepted from the environment only. Empty: there
    is no /metrics."""


class TracingSettings(_Section):
    """Traces by OpenTelemetry, of requests, statements and background work: request ids, never people or addresses.

    Needs the extra `otel`. Where they go is said by OpenTelemetry's own variables, such as OTEL_EXPORTER_OTLP_ENDPOINT.
    """

    enabled: bool = False
    """Whether traces are made and sent."""


class LogSettings(_Section):
    """Log lines on standard error: identifiers only, never names, mail addresses, tokens or bodies."""

    level: LogLevel = LogLevel.INFO
    """Least important level that is written: debug, info, warning or error."""

    format: LogFormat = LogFormat.JSON
    """json for machines, console for people."""


class Settings(_Section):
    """The settings of one service. `repr` shows no secret."""

    server: ServerSettings = ServerSettings()
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    secrets: SecretSettings = SecretSettings()
    session: SessionSettings = SessionSettings()
    sso: SsoSettings = SsoSettings()
    apps: AppSettings = AppSettings()
    scim: ScimSettings = ScimSettings()
    api: ApiSettings = ApiSettings()
    jobs: JobSettings = JobSettings()
    billing: BillingSettings = BillingSettings()
    webhooks: WebhookSettings = WebhookSettings()
    mail: MailSettings = MailSettings()
    seller: SellerSettings = SellerSettings()
    metrics: MetricsSettings = MetricsSettings()
    tracing: TracingSettings = TracingSettings()
    log: LogSettings = LogSettings()
