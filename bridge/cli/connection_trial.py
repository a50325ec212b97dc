"""``seatbridge connection test``: whether a connection works, from what was seen of it and by asking its provider."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import click

from bridge.cli.doctor import Finding, Health, print_finding
from bridge.cli.lazy import REFUSED
from bridge.cli.showing import json_option, name_argument, org_argument, print_json, text_of

if TYPE_CHECKING:
    from bridge.runtime import Runtime
    from bridge.store.models import SamlProvider, SignInEvent
    from bridge.usecases.read_connections import ConnectionHealth

_WARNED_DAYS: Final = 30


@click.command("test")
@org_argument
@name_argument
@json_option
@click.pass_context
def try_out(context: click.Context, org: str, name: str, *, as_json: bool) -> None:
    """Try whether a connection works; ends with 1 when something doesn't.

    It tells what came and what was refused lately and what ends soon, and asks the provider for its description as a
    sign-in would. Nothing is changed, and nobody is signed in.
    """
    from bridge.cli.opening import find_organization, open_runtime
    from bridge.domain.actors import OPERATOR
    from bridge.usecases.connections import find_connection, list_sign_ins
    from bridge.usecases.read_connections import read_connection
    from bridge.usecases.saml_trust import saml_provider

    with open_runtime() as runtime:
        with runtime.unit(find_organization(runtime, org), OPERATOR) as unit:
            found = find_connection(unit, name)
            health = read_connection(unit, found.id)
            provider = saml_provider(unit, found.id)
            newest = next(iter(list_sign_ins(unit, found.id, limit=1)), None)
        # The provider is asked while no transaction is open.
        findings = [*_seen(org, health, newest), *_asked(runtime, health, provider)]
    if as_json:
        print_json({"connection": name, "state": health.state, "checks": findings})
    else:
        for finding in findings:
            print_finding(finding)
    context.exit(REFUSED if any(finding.health is Health.FAILED for finding in findings) else 0)


def _seen(org: str, health: "ConnectionHealth", newest: "SignInEvent | None") -> Iterator[Finding]:
    """Tell what was seen of a connection by now."""
    from bridge.domain.connection_health import ConnectionState

    one = health.connection
    if one.disabled_at is not None:
        enable = f"seatbridge connection enable {org} {one.name}"
        yield Finding("connection", Health.FAILED, f"is disabled since {text_of(one.disabled_at)}", enable)
    counted = f"{health.requests} requests in 24 hours, {health.failed} refused; people: {sum(health.people.values())}"
    if health.state is ConnectionState.FAILING:
        yield Finding(
            "provisioning", Health.FAILED, f"the newest is refused; {counted}", f"seatbridge requests tail {org}"
        )
    elif one.scim_last_used_at is None:
        yield Finding(
            "provisioning", Health.WARNING, "nothing was pushed yet", "give the provider its token, and start it"
        )
    else:
        yield Finding("provisioning", Health.OK, f"last used {text_of(one.scim_last_used_at)}; {counted}")
    if health.expiry is not None:
        days, what = health.days_left or 0, f"the {health.expiry.what}"
        state = Health.FAILED if days < 0 else Health.WARNING if days < _WARNED_DAYS else Health.OK
        ended = f"{what} ended {text_of(health.expiry.at)}" if days < 0 else f"{what} ends in {days} days"
        renew = "" if state is Health.OK else "rotate-token for a token, refresh-metadata for a certificate"
        yield Finding("until", state, ended, renew)
    if newest is not None and newest.outcome == "refused":
        yield Finding("sign-in", Health.FAILED, f"the newest was refused: {newest.detail}", newest.reason)
    elif one.last_sign_in_at is not None:
        yield Finding("sign-in", Health.OK, f"last {text_of(one.last_sign_in_at)}; {health.sign_ins} in 24 hours")
    elif one.protocol is not None:
        yield Finding("sign-in", Health.WARNING, "nobody signed in by it yet", "try it: Test sign-in in the console")


def _asked(runtime: "Runtime", health: "ConnectionHealth", provider: "SamlProvider | None") -> Iterator[Finding]:
    """Ask the provider for its description, as a sign-in or the nightly look would."""
    from bridge.adapters.oidc import Wire, discover
    from bridge.adapters.saml import fetch_metadata, parse_idp_metadata
    from bridge.domain.sign_in import SignInProtocol
    from bridge.errors import InvalidInputError

    one = health.connection
    if one.protocol is None or one.issuer is None:
        yield Finding("provider", Health.OK, "none is trusted: it only provisions")
        return
    try:
        if one.protocol == SignInProtocol.OIDC:
            discover(Wire(one.issuer, runtime.settings.sso.internal_hosts))
        elif provider is not None and provider.metadata_url is not None:
            document = fetch_metadata(provider.metadata_url)
            signed_by = provider.metadata_signed_by
            parse_idp_metadata(document, now=runtime.clock.now(), entity_id=one.issuer, signed_by=signed_by)
        else:
            yield Finding("provider", Health.OK, f"{one.issuer}; its metadata came as a file, so nothing can be asked")
            return
    except InvalidInputError as problem:
        yield Finding(
            "provider", Health.FAILED, f"{one.issuer}: {problem.problem}", "correct its address, or give it anew"
        )
        return
    yield Finding("provider", Health.OK, f"{one.issuer} answers and describes itself as before")
