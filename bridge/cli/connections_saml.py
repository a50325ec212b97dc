"""``seatbridge connection saml`` and ``rotate-cert``: whom a connection believes, and our own keys towards them."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bridge.cli.connection_facts import addresses, key_rows, print_named
from bridge.cli.showing import json_option, name_argument, org_argument, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.store.models import ServiceKey


@click.command()
@org_argument
@name_argument
@click.option("--metadata", required=True, metavar="FILE|URL", help="The identity provider's metadata.")
@click.option("--entity-id", help="Which one, in a document with several.")
@click.option(
    "--signed-by",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The certificate (PEM) whose signature the metadata must carry, also when it is read again.",
)
@click.option("--idp-initiated/--no-idp-initiated", default=None, help="Whether a sign-in may start at the IdP.")
@click.option("--jit/--no-jit", default=None, help="Whether a sign-in creates who is not here yet.")
@click.option(
    "--sign-requests/--no-sign-requests",
    default=None,
    help="Whether our requests are signed (until you say: as the metadata wants it).",
)
@click.option(
    "--encryption/--no-encryption",
    default=None,
    help="Whether our metadata offers a key to encrypt assertions to (until you say: yes).",
)
@json_option
def saml(
    org: str,
    name: str,
    *,
    metadata: str,
    entity_id: str | None,
    signed_by: Path | None,
    idp_initiated: bool | None,
    jit: bool | None,
    sign_requests: bool | None,
    encryption: bool | None,
    as_json: bool,
) -> None:
    """Trust an identity provider by its metadata, and print what it needs to know of us.

    Metadata at an address is read again every day, and at once by `refresh-metadata`.
    """
    from bridge.adapters.saml import parse_idp_metadata, read_certificate
    from bridge.adapters.saml.trust import trust_in
    from bridge.cli.opening import open_organization
    from bridge.usecases.connections import find_connection
    from bridge.usecases.saml_trust import MetadataSource, set_saml_options, trust_saml_provider

    document = _read_metadata(metadata)
    signer = None if signed_by is None else read_certificate(signed_by.read_text(errors="replace")).pem
    source = MetadataSource(metadata, signer) if "://" in metadata else None
    with open_organization(org) as (runtime, unit):
        found = find_connection(unit, name)
        provider = parse_idp_metadata(document, now=unit.at, entity_id=entity_id, signed_by=signer)
        trust_saml_provider(unit, found.id, trust_in(provider), source)
        kept = set_saml_options(
            unit,
            found.id,
            sign_requests=sign_requests,
            offers_encryption=encryption,
            idp_initiated=idp_initiated,
            jit=jit,
        )
        facts = addresses(runtime.settings.server.public_url, unit, found) | {
            "trusts": provider.entity_id,
            "until": max(one.not_after for one in provider.certificates),
            "signed requests": kept.signs_requests,
        }
    print_named(facts, as_json=as_json)


_CHANGED = {
    "sso_url": "The sign-in address is another one now",
    "wants_signed_requests": "Whether it wants our requests signed has changed",
    "logout_url": "The address that sign-outs go to is another one now",
    "logout_response_url": "The address that its sign-outs are answered at is another one now",
}


@click.command("refresh-metadata")
@org_argument
@name_argument
@json_option
def refresh_metadata(org: str, name: str, *, as_json: bool) -> None:
    """Read an identity provider's metadata again now, where the connection has it from.

    What cannot be read, has ended or is of another provider changes nothing.
    """
    from bridge.cli.opening import find_organization, open_runtime
    from bridge.domain.actors import OPERATOR
    from bridge.jobs.metadata import refresh
    from bridge.usecases.connections import find_connection

    with open_runtime() as runtime:
        org_id = find_organization(runtime, org)
        with runtime.unit(org_id, OPERATOR) as unit:
            connection_id = find_connection(unit, name).id
        change = refresh(runtime, org_id, connection_id, OPERATOR)
    if as_json:
        print_json(change)
    elif not change:
        click.echo("Read again: nothing has changed")
    else:
        print_table(
            ("certificate", "fingerprint (SHA-256)"),
            [*(("new", one) for one in change.added), *(("gone", one) for one in change.removed)],
            empty="Read again: the same certificates",
        )
        for fact in change.changed:
            click.echo(_CHANGED[fact])


@click.command("rotate-cert")
@org_argument
@name_argument
@click.option("--use", is_flag=True, help="Second step: sign with the next key, once the identity provider has it.")
@click.option("--finish", is_flag=True, help="Third step: forget the old key, once nothing is encrypted to it.")
@json_option
def rotate_cert(org: str, name: str, *, use: bool, finish: bool, as_json: bool) -> None:
    """Change our key towards a SAML identity provider without a gap, in three steps; the first publishes the next key.

    Between the steps the identity provider reads our metadata again, or is given the next certificate by hand.
    """
    from bridge.cli.opening import open_organization
    from bridge.usecases.connections import find_connection
    from bridge.usecases.service_keys import begin_key_change, forget_old_key, service_keys, use_next_key

    if use and finish:
        raise click.UsageError("--use and --finish are two steps: take the next key into use first")
    with open_organization(org) as (runtime, unit):
        found = find_connection(unit, name)
        if use:
            use_next_key(unit, found.id)
        elif finish:
            forget_old_key(unit, found.id)
        else:
            begin_key_change(unit, found.id, runtime.make_service_key)
        keys = service_keys(unit, found.id)
        metadata = addresses(runtime.settings.server.public_url, unit, found)["entityID"]
    if as_json:
        print_json(key_rows(keys))
        return
    _print_keys(keys)
    click.echo()
    if use:
        click.echo(
            "Requests are signed with the new key from now on. When the identity provider encrypts to it, forget the "
            f"old one: seatbridge connection rotate-cert {org} {name!r} --finish"
        )
    elif finish:
        click.echo("The old key is forgotten: what is still encrypted to it is refused.")
    else:
        click.echo(
            f"Have the identity provider read {metadata} again, or give it the next certificate. Then use it: "
            f"seatbridge connection rotate-cert {org} {name!r} --use"
        )


def _print_keys(keys: "Sequence[ServiceKey]") -> None:
    print_table(
        ("our key", "fingerprint (SHA-256)", "until"),
        [(key.stage, key.fingerprint, key.not_after) for key in keys],
        empty="No key yet",
    )
    for key in keys:
        if key.stage == "next":
            click.echo(f"\n{key.certificate.strip()}")


def _read_metadata(place: str) -> bytes:
    from bridge.adapters.saml.metadata import fetch_metadata
    from bridge.errors import InvalidInputError

    if "://" in place:
        return fetch_metadata(place)
    try:
        return Path(place).read_bytes()
    except OSError as error:
        raise InvalidInputError("metadata", f"{place} cannot be read ({error.strerror})") from None
