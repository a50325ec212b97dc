"""``seatbridge billing connect ORG --stripe ...`` and what only Stripe has."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from bridge.cli.showing import json_option, org_argument, print_json
from bridge.errors import InvalidChangeError, InvalidInputError

if TYPE_CHECKING:
    from bridge.domain.identifiers import OrgId
    from bridge.runtime import Runtime
    from bridge.store.models import Contract
    from bridge.store.unit import Unit

_SUBSCRIPTION: Final = re.compile(r"sub_[A-Za-z0-9_]{1,100}", re.ASCII)
_PRICE: Final = re.compile(r"([a-z0-9][a-z0-9_-]{0,62})=(price_[A-Za-z0-9_]{1,100})", re.ASCII)
_KEY: Final = re.compile(r"[rs]k_(test|live)_[A-Za-z0-9_]{6,240}", re.ASCII)
_SECRET: Final = re.compile(r"whsec_[A-Za-z0-9+/=_-]{8,200}", re.ASCII)


def read_prices(given: Sequence[str]) -> dict[str, str]:
    """Read ``TIER=price_...`` options.

    Raises:
        InvalidInputError: One reads otherwise, or a tier or price comes twice.
    """
    prices: dict[str, str] = {}
    for text in given:
        found = _PRICE.fullmatch(text)
        if found is None:
            raise InvalidInputError("price", f"{text!r} does not read as standard=price_1AbC")
        if found[1] in prices or found[2] in prices.values():
            raise InvalidInputError("price", f"{text!r}: each tier has one price, and each price one tier")
        prices[found[1]] = found[2]
    if not prices:
        raise InvalidInputError("price", "name the price of each tier, as --price standard=price_1AbC")
    return prices


def connect_stripe(
    runtime: "Runtime", org_id: "OrgId", subscription: str, prices: Mapping[str, str], *, key: str, secret: str | None
) -> dict[str, Any]:
    """Have a subscription at Stripe bill the seats from now on; return what to show for it.

    Raises:
        InvalidChangeError: The plan is not of the kind that Stripe can bill as it is agreed.
        InvalidInputError: Something given is not as it should be, or the subscription is not.
    """
    from bridge.adapters.webhooks import new_webhook_secret
    from bridge.domain.actors import OPERATOR
    from bridge.runtime import STRIPE_PREFIX
    from bridge.store.pools import read_pools
    from bridge.usecases.connect_core import connect_core

    _check_words(subscription, key, secret)
    # Without one, a secret that nobody knows: no event is believed, and all are fetched.
    kept = secret or new_webhook_secret()
    with runtime.unit(org_id, OPERATOR) as unit:
        cycle = _stripe_contract(unit).cycle
        _check_tiers(prices, {pool.tier for pool in read_pools(unit)})
        service = runtime.stripe_service(unit, subscription, prices, key=key, webhook_secret=kept)
    found, invoices = service.check(cycle), service.invoices()
    sealed = runtime.sealed_address(
        org_id, f"{STRIPE_PREFIX}{subscription}", token=key, webhook_secret=kept, prices=prices
    )
    with runtime.unit(org_id, OPERATOR) as unit:
        connect_core(unit, sealed, found, invoices)
        slug = unit.organization().slug
    return {
        "organization": slug,
        "core": f"Stripe, {subscription}",
        "mode": "test" if "_test_" in key else "live",
        "seats": ", ".join(f"{tier} {seats.paid}" for tier, seats in found.tiers.items()),
        "period ends": found.period_end,
        "events to": f"{runtime.settings.server.public_url}/billing/{slug}/events" if secret else None,
    }


def _check_words(subscription: str, key: str, secret: str | None) -> None:
    if not _SUBSCRIPTION.fullmatch(subscription):
        raise InvalidInputError("stripe", f"{subscription!r} is no id of a subscription, as sub_1AbC")
    if not _KEY.fullmatch(key):
        raise InvalidInputError("token", "a key of Stripe reads rk_live_..., rk_test_..., sk_live_... or sk_test_...")
    if secret is not None and not _SECRET.fullmatch(secret):
        raise InvalidInputError("webhook_secret", "the signing secret of an endpoint at Stripe reads whsec_...")


def _check_tiers(prices: Mapping[str, str], tiers: Collection[str]) -> None:
    missing, unknown = sorted({*tiers} - {*prices}), sorted({*prices} - {*tiers})
    if missing:
        raise InvalidInputError("price", f"name the price of {' and '.join(missing)} too")
    if unknown:
        raise InvalidInputError("price", f"the plan here has no tier {' and '.join(unknown)}")


def _stripe_contract(unit: "Unit") -> "Contract":
    """Return the contract, if Stripe can bill it as it is agreed.

    Raises:
        InvalidChangeError: It cannot.
    """
    from bridge.usecases.seats import read_contract

    contract = read_contract(unit)
    if contract.kind != "team" or contract.proration != "second":
        raise InvalidChangeError("Stripe bills plans of kind team, prorated to the second: this one is another")
    return contract


@click.command()
@org_argument
@click.option("--return-url", required=True, help="Where Stripe's page leads back to, as https://app.example.com/plan.")
@json_option
def portal(org: str, *, return_url: str, as_json: bool) -> None:
    """Open Stripe's billing portal for an organization: payment details, past payments, invoices.

    Prints an address that is good for a few minutes and lets whoever opens it in: hand it to an owner only.
    """
    from bridge.billing.stripe import StripeBillingService
    from bridge.cli.opening import find_organization, open_runtime
    from bridge.domain.actors import OPERATOR
    from bridge.domain.roles import Permission

    with open_runtime() as runtime:
        with runtime.unit(find_organization(runtime, org), OPERATOR) as unit:
            unit.require(Permission.MANAGE_BILLING)
            service = runtime.billing_service(unit)
        if not isinstance(service, StripeBillingService):
            raise InvalidChangeError("only organizations that Stripe bills have its billing portal")
        address = service.portal(return_url)
    if as_json:
        print_json({"url": address})
    else:
        click.echo(address)
