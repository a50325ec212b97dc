"""``seatbridge connection oidc``: which OpenID Connect provider a connection believes."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bridge.cli.connection_facts import addresses, print_named
from bridge.cli.showing import json_option, name_argument, org_argument
from bridge.errors import InvalidInputError

if TYPE_CHECKING:
    from bridge.adapters.oidc import ProviderFacts

SECRET_VARIABLE = "SEATBRIDGE_OIDC_CLIENT_SECRET"  # noqa: S105 (a name, not a secret)


@click.command()
@org_argument
@name_argument
@click.option("--issuer", metavar="URL", help="The provider, to the letter as it names itself.")
@click.option("--client-id", help="What the provider calls this service.")
@click.option("--client-secret-file", type=click.Path(path_type=Path, dir_okay=False), help="Holds the secret.")
@click.option("--public-client", is_flag=True, help="The provider gives no secret: PKCE alone protects the code.")
@click.option("--scope", "scopes", multiple=True, help="Asked for besides openid, profile and email; repeat it.")
@click.option("--userinfo/--no-userinfo", default=None, help="Whether userinfo is asked for what the ID token lacks.")
@click.option("--jit/--no-jit", default=None, help="Whether a sign-in creates who is not here yet.")
@json_option
def oidc(
    org: str,
    name: str,
    *,
    issuer: str | None,
    client_id: str | None,
    client_secret_file: Path | None,
    public_client: bool,
    scopes: tuple[str, ...],
    userinfo: bool | None,
    jit: bool | None,
    as_json: bool,
) -> None:
    """Trust an OpenID Connect provider, and print the redirect URI to enter there.

    The client secret is read from the file, else from SEATBRIDGE_OIDC_CLIENT_SECRET, else asked for, or read from
    standard input. The provider's description of itself is fetched and checked.

    Run it again to read the description anew, or to change something: what is not said stays as it is.
    """
    from bridge.adapters.oidc import Wire, discover
    from bridge.adapters.oidc.trust import read_scopes, trust_in
    from bridge.cli.opening import find_organization, open_runtime
    from bridge.domain.actors import OPERATOR
    from bridge.usecases.connections import find_connection
    from bridge.usecases.oidc_trust import oidc_provider, secret_place, trust_oidc_provider

    if public_client and client_secret_file is not None:
        raise click.UsageError("a public client has no secret: leave out --client-secret-file or --public-client")
    with open_runtime() as runtime:
        org_id = find_organization(runtime, org)
        with runtime.unit(org_id, OPERATOR) as unit:
            found = find_connection(unit, name)
            present, present_issuer = oidc_provider(unit, found.id), found.issuer
        issuer = issuer or (present_issuer if present else None)
        client_id = client_id or (present.client_id if present else None)
        if issuer is None or client_id is None:
            raise click.UsageError("say which provider it is, and what it calls this service: --issuer, --client-id")
        # The provider is asked while no transaction is open.
        facts = discover(Wire(issuer, runtime.settings.sso.internal_hosts))
        is_same = present is not None and (present_issuer, present.client_id) == (issuer, client_id)
        sealed = present.client_secret if present is not None and is_same else None
        if public_client:
            sealed = None
        elif sealed is None or client_secret_file is not None or SECRET_VARIABLE in os.environ:
            secret = _read_secret(client_secret_file)
            sealed = runtime.secrets.seal(secret.encode(), bound_to=secret_place(org_id, found.id))
        trust = trust_in(
            issuer,
            facts,
            client_id=client_id,
            sealed_secret=sealed,
            scopes=tuple(present.scopes) if present and not scopes else read_scopes(scopes),
            asks_userinfo=bool(present and present.asks_userinfo) if userinfo is None else userinfo,
        )
        with runtime.unit(org_id, OPERATOR) as unit:
            trusted = trust_oidc_provider(unit, found.id, trust, jit=jit)
            shown = {
                **addresses(runtime.settings.server.public_url, unit, trusted),
                "trusts": trust.issuer,
                "client id": trust.client_id,
                "client secret": "kept sealed" if sealed is not None else "none: PKCE alone",
                "asks for": " ".join(trust.scopes),
                "creates who is new": trusted.jit_enabled,
            }
    print_named(shown, as_json=as_json)
    if not as_json:
        click.echo(_advice(facts))


def _read_secret(file: Path | None) -> str:
    """Read the client secret.

    Raises:
        InvalidInputError: There is none.
    """
    from bridge.adapters.oidc.trust import read_secret

    if file is not None:
        try:
            text = file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInputError("client_secret", f"{file} cannot be read ({error})") from None
    elif SECRET_VARIABLE in os.environ:
        text = os.environ[SECRET_VARIABLE]
    elif sys.stdin.isatty():
        text = click.prompt("Client secret", hide_input=True)
    else:
        text = sys.stdin.readline()
    return read_secret(
        text,
        problem=f"give it by --client-secret-file, in {SECRET_VARIABLE} or on standard input, or say --public-client",
    )


def _advice(facts: "ProviderFacts") -> str:
    lines = ["Enter the redirect URI at the provider, to the letter; then try a sign-in with /test instead of /start."]
    if not facts.sends_issuer:
        lines.append("The provider does not name itself in its answers (RFC 9207): give this redirect URI to no other.")
    return "\n".join(lines)
