"""``seatbridge connection show``: everything about one connection, and the facts that its other commands print too."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.showing import (
    json_option,
    name_argument,
    org_argument,
    print_facts,
    print_json,
    print_table,
)
from bridge.domain.sign_in import SignInProtocol

if TYPE_CHECKING:
    from bridge.store.models import Connection, IdpCertificate, ServiceKey
    from bridge.store.unit import Unit


@click.command()
@org_argument
@name_argument
@json_option
def show(org: str, name: str, *, as_json: bool) -> None:
    """Show one connection: its addresses, whom it believes until when, and our own keys."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.connections import find_connection
    from bridge.usecases.oidc_trust import oidc_provider
    from bridge.usecases.saml_trust import certificates_of, saml_provider
    from bridge.usecases.service_keys import service_keys

    with open_organization(org) as (runtime, unit):
        found = find_connection(unit, name)
        provider = saml_provider(unit, found.id)
        certificates, keys = certificates_of(unit, found.id), service_keys(unit, found.id)
        facts: dict[str, Any] = addresses(runtime.settings.server.public_url, unit, found) | {
            "disabled": found.disabled_at is not None,
            "protocol": found.protocol,
            "identity provider": found.issuer,
            "creates who is new": found.jit_enabled,
            "sign-ins that start at the IdP": found.idp_initiated,
            "last sign-in": found.last_sign_in_at,
        }
        if provider is not None:
            facts |= {
                "sign-in address": provider.sso_url,
                "single logout": provider.logout_url,
                "signed requests": provider.signs_requests,
                "key to encrypt to": provider.offers_encryption,
                "metadata address": provider.metadata_url,
                "metadata signed": provider.metadata_signed_by is not None,
                "metadata last read": provider.checked_at,
                "metadata problem": provider.problem,
            }
        relying = oidc_provider(unit, found.id) if found.protocol == SignInProtocol.OIDC else None
        if relying is not None:
            facts |= {
                "client id": relying.client_id,
                "client secret": "kept sealed" if relying.client_secret is not None else "none: PKCE alone",
                "asks for": " ".join(relying.scopes),
                "asks userinfo": relying.asks_userinfo,
                "described at": relying.fetched_at,
            }
    if as_json:
        print_json(named(facts) | {"certificates": certificate_rows(certificates), "our_keys": key_rows(keys)})
        return
    print_facts(facts)
    if certificates or keys:
        click.echo()
        print_table(
            ("key", "fingerprint (SHA-256)", "until"),
            [
                *(("identity provider", one.fingerprint, one.not_after) for one in certificates),
                *((f"ours, {one.stage}", one.fingerprint, one.not_after) for one in keys),
            ],
            empty="",
        )


def addresses(public_url: str, unit: "Unit", found: "Connection") -> dict[str, object]:
    """Return a connection's name and the addresses that a directory and an identity provider need.

    Of a connection without a provider yet, the addresses for either protocol.
    """
    from bridge.usecases.connection_addresses import addresses_of

    known = addresses_of(public_url, unit, found)
    facts: dict[str, object] = {"connection": found.name, "id": found.id, "SCIM base URL": known.scim}
    if found.protocol != SignInProtocol.OIDC:
        facts |= {"ACS URL": known.acs, "entityID": known.entity_id}
    if found.protocol != SignInProtocol.SAML:
        facts |= {"redirect URI": known.redirect_uri}
    return facts | {"sign-in start": known.start}


def key_rows(keys: "Sequence[ServiceKey]") -> list[dict[str, object]]:
    """Return our keys for programs: never the private part."""
    return [
        {"stage": key.stage, "fingerprint": key.fingerprint, "until": key.not_after, "certificate": key.certificate}
        for key in keys
    ]


def certificate_rows(certificates: "Sequence[IdpCertificate]") -> list[dict[str, object]]:
    """Return an identity provider's certificates for programs."""
    return [
        {"fingerprint": one.fingerprint, "from": one.not_before, "until": one.not_after, "certificate": one.pem}
        for one in certificates
    ]


def named(facts: dict[str, Any]) -> dict[str, Any]:
    """Return facts under names for programs."""
    return {name.lower().replace(" ", "_").replace("-", "_"): value for name, value in facts.items()}


def print_named(facts: dict[str, object], *, as_json: bool) -> None:
    """Print facts, for people or for programs."""
    if as_json:
        print_json(named(facts))
    else:
        print_facts(facts)
