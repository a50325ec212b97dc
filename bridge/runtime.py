"""The running product: settings, database, keys and ports put together; every unit of work starts here."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import structlog
from sqlalchemy import URL, Engine
from sqlalchemy.orm import Session

from bridge.adapters.core_http import HttpBillingService
from bridge.adapters.key_pairs import KeyPair, make_key_pair
from bridge.adapters.stripe_documents import fetch_document
from bridge.billing.builtin import BuiltinBilling
from bridge.billing.remote import RemoteBilling
from bridge.billing.stripe import StripeBillingService
from bridge.billing.stripe.orders import OrderBook
from bridge.billing.stripe.sdk import StripeApi, open_client
from bridge.config import Settings, resolve_keys
from bridge.core import BillingService
from bridge.domain.actors import OPERATOR, SYSTEM, Actor
from bridge.domain.billing_parties import Address, Seller, check_seller
from bridge.domain.identifiers import ConnectionId, MemberId, OrgId, new_id
from bridge.domain.plan_kinds import REMOTE
from bridge.errors import AdoptionRefusedError, ConfigurationError, InvalidInputError
from bridge.observability import current_request_id
from bridge.ports import BillingCore, Clock, Mailer, PaymentMethod, SystemClock
from bridge.store.database import build_engine, driver_url
from bridge.store.embedded import EmbeddedPostgres
from bridge.store.installation import Installation
from bridge.store.lane import Lane
from bridge.store.models import Contract, ServiceKey
from bridge.store.pools import read_pools
from bridge.store.schema import upgrade
from bridge.store.secrets import SecretBox
from bridge.store.unit import Unit, bind_organization
from bridge.usecases.alerts import raise_alert
from bridge.usecases.buy_for_line import buy_for_line
from bridge.usecases.connect_core import CoreAddress
from bridge.usecases.mirror_core import find_connection
from bridge.usecases.organizations import CreatedOrganization, OrganizationDraft, create_organization
from bridge.usecases.renew_contract import pass_boundaries
from bridge.usecases.service_keys import MadeKey

log = structlog.get_logger()

EMBEDDED_DATABASE = "seatbridge"
EMBEDDED_ROLE = "seatbridge_service"
#: What the address of a subscription at Stripe begins with.
STRIPE_PREFIX = "stripe:"

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class DatabaseUrls:
    """How the service connects, and how the owner of its schema does."""

    service: URL
    owner: URL


def open_core(settings: Settings, url: str, token: str, webhook_secret: str) -> HttpBillingService:
    """Return the way to a billing core over HTTP; nothing is sent yet."""
    return HttpBillingService(
        url=url,
        token=token,
        webhook_secret=webhook_secret,
        timeout_seconds=settings.billing.timeout_seconds,
        internal_hosts=settings.billing.internal_hosts,
    )


def _untraced(_work: str) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(slots=True)
class Runtime:
    """Everything a process of the product shares: one for each process, handed to whoever needs it.

    What is to be done at its end while the database can still be asked stands in ``closing``. ``core_factory`` makes
    the way to a billing core that keeps its own books, from its address, its token and its webhook secret;
    ``key_factory`` makes a key pair of ours, from the name in its certificate and the instant. ``traced`` marks a piece
    of background work in the trace, by its name; without tracing it does nothing.
    """

    settings: Settings
    engine: Engine
    lane: Lane
    secrets: SecretBox
    payments: PaymentMethod
    mailer: Mailer | None
    clock: Clock = field(default_factory=SystemClock)
    core_factory: Callable[[Settings, str, str, str], BillingService] = field(default=open_core)
    key_factory: Callable[[str, datetime], KeyPair] = field(default=make_key_pair)
    seller: Seller | None = None
    traced: Callable[[str], AbstractContextManager[None]] = field(default=_untraced)
    closing: ExitStack = field(default_factory=ExitStack, repr=False)

    @contextmanager
    def unit(
        self, org_id: OrgId, actor: Actor, *, request_id: str | None = None, at: datetime | None = None
    ) -> Iterator[Unit]:
        """Open a unit of work for one organization: committed once at the end, rolled back whole on any exception.

        Args:
            org_id: The organization, taken from the credential, never from what a caller sent.
            actor: Who acts.
            request_id: The request it belongs to; the current one by default.
            at: The instant of the unit; now by default.
        """
        try:
            with Session(self.engine, expire_on_commit=False) as session, session.begin():
                bind_organization(session, org_id)
                unit = self.bind(session, org_id, actor, request_id=request_id, at=at)
                yield unit
                unit.finish()
        except AdoptionRefusedError as refusal:
            self._note_refusal(org_id, refusal)
            raise

    def bind(
        self,
        session: Session,
        org_id: OrgId,
        actor: Actor,
        *,
        request_id: str | None = None,
        at: datetime | None = None,
    ) -> Unit:
        """Make a unit over a session whose transaction is bound to the organization already."""
        return Unit(
            session=session,
            org_id=org_id,
            actor=actor,
            at=at or self.clock.now(),
            request_id=request_id or current_request_id() or str(new_id()),
            audit_keys=self.secrets.derive_all("audit"),
            billing_factory=self._billing_of,
            on_lock=pass_boundaries,
            on_finish=buy_for_line,
            seller=self.seller,
            payment_terms_days=self.settings.seller.payment_terms_days,
            provisional_days=self.settings.sso.provisional_days,
        )

    def _billing_of(self, unit: Unit) -> BillingCore:
        """Bind the core that bills the unit's organization; one that is being created begins with the embedded one."""
        contract = unit.session.get(Contract, unit.org_id)
        if contract is not None and contract.billed_by == REMOTE:
            return RemoteBilling(unit, self.billing_service)
        return BuiltinBilling(unit, self.payments)

    def billing_service(self, unit: Unit) -> BillingService | None:
        """Open the way to the organization's own billing core; None where it has none, or it is not connected yet."""
        connection = find_connection(unit)
        if connection is None:
            return None
        token = self.secrets.open(connection.token, bound_to=_bound_to(unit.org_id, "token"))
        secret = self.secrets.open(connection.webhook_secret, bound_to=_bound_to(unit.org_id, "webhook_secret"))
        if connection.prices is not None:
            subscription = connection.url.removeprefix(STRIPE_PREFIX)
            return self.stripe_service(
                unit, subscription, connection.prices, key=token.decode(), webhook_secret=secret.decode()
            )
        return self.core_factory(self.settings, connection.url, token.decode(), secret.decode())

    def stripe_service(
        self, unit: Unit, subscription: str, prices: Mapping[str, str], *, key: str, webhook_secret: str
    ) -> StripeBillingService:
        """Open the way to a subscription at Stripe; nothing is sent yet.

        Args:
            unit: Of the organization; what is stored on the way is stored in transactions of its own.
            subscription: Stripe's id of it.
            prices: Stripe's id of each tier's price.
            key: Stripe's secret or restricted key.
            webhook_secret: Of the webhook endpoint.

        Raises:
            NotInstalledError: The extra is not installed.
        """
        billing, org_id = self.settings.billing, unit.org_id
        contract = unit.session.get_one(Contract, org_id)
        ranks = {pool.tier: pool.rank for pool in read_pools(unit)}
        return StripeBillingService(
            api=StripeApi(
                open_client(key, api_base=billing.stripe_url, timeout_seconds=billing.timeout_seconds),
                billing.stripe_url,
            ),
            subscription_id=subscription,
            prices={tier: prices[tier] for tier in sorted(prices, key=lambda tier: ranks.get(tier, 0))},
            book=OrderBook(lambda: self.unit(org_id, SYSTEM), subscription),
            clock=self.clock,
            webhook_secret=webhook_secret,
            fetch=lambda url: fetch_document(url, internal_hosts=billing.internal_hosts),
            immediate_credit=contract.reduction == "immediate_credit",
        )

    def sealed_address(
        self,
        org_id: OrgId,
        url: str,
        *,
        token: str,
        webhook_secret: str,
        prices: Mapping[str, str] | None = None,
    ) -> CoreAddress:
        """Seal the secrets of a billing core for their row."""
        return CoreAddress(
            url=url,
            token=self.secrets.seal(token.encode(), bound_to=_bound_to(org_id, "token")),
            webhook_secret=self.secrets.seal(webhook_secret.encode(), bound_to=_bound_to(org_id, "webhook_secret")),
            prices=prices,
        )

    def sealed_webhook_secret(self, org_id: OrgId, endpoint_id: uuid.UUID, secret: str) -> bytes:
        """Seal what events for an endpoint are signed with, for its row."""
        return self.secrets.seal(secret.encode(), bound_to=_endpoint_row(org_id, endpoint_id))

    def webhook_secret(self, org_id: OrgId, endpoint_id: uuid.UUID, sealed: bytes) -> str:
        """Open what events for an endpoint are signed with."""
        return self.secrets.open(sealed, bound_to=_endpoint_row(org_id, endpoint_id)).decode()

    def make_service_key(self, unit: Unit, connection_id: ConnectionId) -> MadeKey:
        """Make a key towards a connection's SAML identity provider, its private part sealed for its row."""
        made = self.key_factory(f"Seatbridge {connection_id}", unit.at)
        key_id = new_id()
        return MadeKey(
            id=key_id,
            certificate=made.certificate,
            private_key=self.secrets.seal(made.private_key.encode(), bound_to=_key_row(unit.org_id, key_id)),
            fingerprint=made.fingerprint,
            not_after=made.not_after,
        )

    def private_key_of(self, key: ServiceKey) -> str:
        """Open the private part of a key of ours (PEM)."""
        return self.secrets.open(key.private_key, bound_to=_key_row(key.org_id, key.id)).decode()

    def create_organization(
        self, draft: OrganizationDraft, actor: Actor = OPERATOR, *, at: datetime | None = None
    ) -> CreatedOrganization:
        """Take a customer in, in a transaction that is bound to the new organization's id.

        Raises:
            InvalidInputError: A field is not possible.
            UniquenessError: The slug is taken.
        """
        with self.unit(OrgId(new_id()), actor, at=at) as unit:
            return create_organization(unit, draft)

    def ask_gate(self, question: Callable[[Session], ResultT]) -> ResultT:
        """Run one look-up of :mod:`bridge.store.gate` in a transaction of its own, outside every organization."""
        with Session(self.engine) as session, session.begin():
            return question(session)

    @contextmanager
    def installation(self, actor: Actor) -> Iterator[Installation]:
        """Open a transaction outside every organization, for what belongs to the installation; committed at the end."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield Installation(session, actor, self.clock.now(), current_request_id() or str(new_id()))

    def _note_refusal(self, org_id: OrgId, refusal: AdoptionRefusedError) -> None:
        """Keep what owners must learn of a refusal, which itself rolled everything back."""
        with self.unit(org_id, SYSTEM) as unit:
            raise_alert(unit, refusal.code, member_id=MemberId(refusal.member_id))

    def close(self) -> None:
        """Do what is left to do, and give every connection back."""
        self.closing.close()
        self.lane.close()
        self.engine.dispose()


def _endpoint_row(org_id: OrgId, endpoint_id: uuid.UUID) -> str:
    return f"webhook_endpoint:{org_id}:{endpoint_id}"


def _bound_to(org_id: OrgId, secret: str) -> str:
    return f"billing_connection:{org_id}:{secret}"


def _key_row(org_id: OrgId, key_id: uuid.UUID) -> str:
    return f"service_key:{org_id}:{key_id}"


def seller_of(settings: Settings) -> Seller | None:
    """Return who issues the invoices; None when nobody is named.

    Raises:
        ConfigurationError: No invoice could name them so; the setting is named.
    """
    configured = settings.seller
    if not configured.name.strip():
        return None
    seller = Seller(
        name=configured.name.strip(),
        address=Address(
            tuple(line for line in (configured.street, configured.street_more) if line),
            configured.postal_code,
            configured.city,
            configured.country,
        ),
        vat_id=configured.vat_id,
        registration=configured.registration,
        email=configured.email,
        phone=configured.phone,
        iban=configured.iban,
        bic=configured.bic,
        note=configured.note,
    )
    try:
        return check_seller(seller)
    except InvalidInputError as error:
        raise ConfigurationError([f"seller.{error.field}: {error.problem}"]) from None


def embedded_urls(server: EmbeddedPostgres) -> DatabaseUrls:
    """Name the database of the embedded server."""
    return DatabaseUrls(
        service=driver_url(server.url(EMBEDDED_DATABASE, EMBEDDED_ROLE)),
        owner=driver_url(server.url(EMBEDDED_DATABASE)),
    )


def configured_urls(settings: Settings) -> DatabaseUrls | None:
    """Return the URLs of the configured database; None when the embedded one is to be used."""
    url, owner = settings.database.url, settings.database.owner_url
    if url is None:
        return None
    service = driver_url(url.get_secret_value())
    return DatabaseUrls(service=service, owner=driver_url(owner.get_secret_value()) if owner else service)


@contextmanager
def database(settings: Settings) -> Iterator[DatabaseUrls]:
    """Give the URLs of the database, running the embedded server meanwhile where none is configured.

    The embedded database is created and migrated on the way; a configured one is migrated by ``seatbridge db upgrade``.
    """
    urls = configured_urls(settings)
    if urls is not None:
        yield urls
        return
    with EmbeddedPostgres(settings.database.embedded_path) as server:
        server.ensure_database(EMBEDDED_DATABASE)
        urls = embedded_urls(server)
        upgrade(urls.owner, urls.service)
        yield urls


def build_runtime(
    settings: Settings,
    url: URL,
    *,
    payments: PaymentMethod,
    mailer: Mailer | None = None,
    clock: Clock | None = None,
) -> Runtime:
    """Put a process together over a database that is there already."""
    return Runtime(
        settings=settings,
        engine=build_engine(
            url,
            pool_size=settings.database.pool_size,
            pool_overflow=settings.database.pool_overflow,
            statement_timeout_seconds=settings.database.statement_timeout_seconds,
            lock_timeout_seconds=settings.database.lock_timeout_seconds,
        ),
        lane=Lane(
            url,
            size=settings.database.pool_size,
            statement_timeout_seconds=settings.database.statement_timeout_seconds,
            lock_timeout_seconds=settings.database.lock_timeout_seconds,
        ),
        secrets=SecretBox(resolve_keys(settings)),
        payments=payments,
        mailer=mailer,
        clock=clock or SystemClock(),
        seller=seller_of(settings),
    )
