"""``seatbridge connection ...``."""

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.connection_claims import map_claims
from bridge.cli.connection_facts import addresses, print_named, show
from bridge.cli.connection_matches import match
from bridge.cli.connection_people import disable, enable, link, readmit, unlink
from bridge.cli.connection_trial import try_out
from bridge.cli.connections_clients import add_client, revoke_client, rotate_client_secret
from bridge.cli.connections_oidc import oidc
from bridge.cli.connections_saml import refresh_metadata, rotate_cert, saml
from bridge.cli.showing import json_option, name_argument, org_argument, print_json, print_table, refuse_to_ask

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bridge.store.unit import Unit


@click.group()
def connection() -> None:
    """Identity providers: SCIM tokens, SAML and OpenID Connect trust."""


for _command in (
    show,
    try_out,
    saml,
    oidc,
    refresh_metadata,
    rotate_cert,
    map_claims,
    match,
    link,
    unlink,
    readmit,
    disable,
    enable,
    add_client,
    rotate_client_secret,
    revoke_client,
):
    connection.add_command(_command)


@connection.command()
@org_argument
@name_argument
@json_option
def add(org: str, name: str, *, as_json: bool) -> None:
    """Make a connection for one identity provider, with its first SCIM token, which is shown once."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.connections import create_connection, issue_scim_token

    with open_organization(org) as (runtime, unit):
        made = create_connection(unit, name)
        credential = issue_scim_token(unit, made.id)
        facts = addresses(runtime.settings.server.public_url, unit, made) | {"SCIM token": credential.text}
    print_named(facts, as_json=as_json)


@connection.command("list")
@org_argument
@json_option
def list_(org: str, *, as_json: bool) -> None:
    """List connections with their tokens."""
    from bridge.cli.opening import open_organization
    from bridge.domain.dialects import GENERIC
    from bridge.usecases.connections import list_connections, live_tokens, personal_tokens
    from bridge.usecases.read_requests import behaviours
    from bridge.usecases.saml_trust import certificates_of
    from bridge.usecases.scim_clients import clients_of, secrets_of
    from bridge.usecases.service_keys import service_keys

    with open_organization(org) as (_, unit):
        rows: list[dict[str, Any]] = []
        behaving = behaviours(unit)
        personal = personal_tokens(unit)
        people = _user_names(unit, {token.member_id for token in personal})
        for one in list_connections(unit):
            certificates = certificates_of(unit, one.id)
            behaviour = behaving.get(one.id, GENERIC)
            rows.append(
                {
                    "name": one.name,
                    "id": one.id,
                    "disabled": one.disabled_at is not None,
                    "scim_last_used_at": one.scim_last_used_at,
                    "behaves_like": str(behaviour),
                    "seen_by": behaviour.seen_by,
                    "confirmation": one.confirmation,
                    "protocol": one.protocol,
                    "issuer": one.issuer,
                    "certificate_until": max((found.not_after for found in certificates), default=None),
                    "our_key_until": next((key.not_after for key in service_keys(unit, one.id)), None),
                    "tokens": [
                        {
                            "id": token.id,
                            "prefix": token.prefix,
                            "label": token.label,
                            "scope": "me" if token.member_id else "write" if token.can_write else "read",
                            "person": people.get(token.member_id),
                            "last_used_at": token.last_used_at,
                            "expires_at": token.expires_at,
                        }
                        for token in (
                            *live_tokens(unit, one.id),
                            *(token for token in personal if token.connection_id == one.id),
                        )
                    ],
                    "clients": [
                        {
                            "id": client.id,
                            "label": client.label,
                            "scope": "write" if client.can_write else "read",
                            "secrets": [secret.prefix for secret in secrets_of(unit, client)],
                        }
                        for client in clients_of(unit, one.id)
                    ],
                }
            )
    if as_json:
        print_json(rows)
        return
    print_table(
        ("name", "last push", "behaves like", "identity provider", "certificate until", "our key until"),
        [
            (
                row["name"],
                row["scim_last_used_at"],
                row["behaves_like"],
                row["issuer"],
                row["certificate_until"],
                row["our_key_until"],
            )
            for row in rows
        ],
        empty="No connection yet: `seatbridge connection add`",
    )
    if any(row["tokens"] for row in rows):
        click.echo()
        print_table(
            ("connection", "token", "label", "may", "used", "expires"),
            [
                (
                    row["name"],
                    f"{token['prefix']}…",
                    token["label"],
                    f"read {token['person']} at /Me" if token["scope"] == "me" else token["scope"],
                    token["last_used_at"],
                    token["expires_at"],
                )
                for row in rows
                for token in row["tokens"]
            ],
            empty="",
        )
    if any(row["clients"] for row in rows):
        click.echo()
        print_table(
            ("connection", "client", "label", "may", "secrets"),
            [
                (
                    row["name"],
                    client["id"],
                    client["label"],
                    client["scope"],
                    ", ".join(f"{prefix}…" for prefix in client["secrets"]),
                )
                for row in rows
                for client in row["clients"]
            ],
            empty="",
        )
    for row in rows:
        if row["seen_by"]:
            click.echo(f"{row['name']} behaves like {row['behaves_like']}, seen by {'; '.join(row['seen_by'])}")


@connection.command("add-token")
@org_argument
@name_argument
@click.option("--for", "person", metavar="EMAIL", help="A person's own token: it reads that person at /Me, no more.")
@click.option("--scope", type=click.Choice(["write", "read"]), help="What a client's token may do (default: write).")
@click.option("--label", default="", help="To recognise it by (default: name and date).")
@click.option("--days", type=click.IntRange(1, 3650), default=365, show_default=True, help="How long it lives.")
@json_option
def add_token(
    org: str, name: str, *, person: str | None, scope: str | None, label: str, days: int, as_json: bool
) -> None:
    """Issue a token, shown once: of a provisioning client that writes or reads, or of one person."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.connections import find_connection, issue_personal_token, issue_scim_token
    from bridge.usecases.people import find_person

    if person is not None and scope is not None:
        raise click.UsageError("A person's token only reads /Me: leave --scope out")
    with open_organization(org) as (runtime, unit):
        found, lifetime = find_connection(unit, name), timedelta(days=days)
        if person is None:
            credential = issue_scim_token(unit, found.id, label=label, can_write=scope != "read", lifetime=lifetime)
        else:
            member = find_person(unit, person)
            credential = issue_personal_token(unit, found.id, member.id, label=label, lifetime=lifetime)
        base = f"{runtime.settings.server.public_url}/scim/v2/{unit.organization().slug}"
    print_named({"SCIM base URL": base, "SCIM token": credential.text}, as_json=as_json)


@connection.command("rotate-token")
@org_argument
@name_argument
@click.option("--label", default="", help="To recognise it by (default: name and date).")
@click.option("--days", type=click.IntRange(1, 3650), default=365, show_default=True, help="How long it lives.")
@click.option("--read-only", is_flag=True, help="Only reads: for looking and for comparing.")
@json_option
def rotate_token(org: str, name: str, *, label: str, days: int, read_only: bool, as_json: bool) -> None:
    """Issue the second token of a connection, shown once; the first stays good until it is revoked."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.connections import find_connection, issue_scim_token, live_tokens

    with open_organization(org) as (runtime, unit):
        found = find_connection(unit, name)
        older = [token.prefix for token in live_tokens(unit, found.id) if token.can_write != read_only]
        credential = issue_scim_token(
            unit, found.id, label=label, can_write=not read_only, lifetime=timedelta(days=days)
        )
        base = f"{runtime.settings.server.public_url}/scim/v2/{unit.organization().slug}"
    print_named({"SCIM base URL": base, "SCIM token": credential.text}, as_json=as_json)
    if older and not as_json:
        click.echo(f"Once it is used, revoke the old one: seatbridge connection revoke-token {org} {older[0]}")


@connection.command("revoke-token")
@org_argument
@click.argument("token")
@click.option("--yes", is_flag=True, help="Do not ask; with --json nothing is asked, and it is needed.")
@json_option
def revoke_token(org: str, token: str, *, yes: bool, as_json: bool) -> None:
    """Revoke a token, named by its prefix (sbscim_…) or id; the next request with it is refused."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.connections import revoke_scim_token

    with open_organization(org) as (_, unit):
        token_id, prefix = _find_token(unit, token)
        if not yes:
            refuse_to_ask(as_json=as_json)
            click.confirm(f"Revoke {prefix}…? What still uses it stops working", abort=True)
        revoke_scim_token(unit, token_id)
    if as_json:
        print_json({"revoked": prefix})
    else:
        click.echo(f"Revoked {prefix}…")


@connection.command()
@org_argument
@name_argument
@click.argument("when", type=click.Choice(["when-pushing", "always", "never"]))
@json_option
def confirmation(org: str, name: str, when: str, *, as_json: bool) -> None:
    """Say whether the connection's directory has to name who signs in before it does.

    Until it has, the person is provisional, and access ends after sso.provisional_days. when-pushing: as soon as the
    directory has pushed anybody. always: also before. never: who signs in stays.
    """
    from bridge.cli.opening import open_organization
    from bridge.domain.provisioning import Confirmation
    from bridge.usecases.connections import find_connection
    from bridge.usecases.provisional import Directory, directory_of, set_confirmation

    with open_organization(org) as (_, unit):
        found = find_connection(unit, name)
        set_confirmation(unit, found.id, Confirmation(when.replace("-", "_")))
        provisional = directory_of(unit, found) is not Directory.NONE
    if as_json:
        print_json({"connection": found.name, "confirmation": found.confirmation, "provisional_now": provisional})
    else:
        who = "is provisional until the directory names them" if provisional else "stays"
        click.echo(f"{found.name}: {when}. Who signs in for the first time now {who}.")


@connection.command("sign-ins")
@org_argument
@name_argument
@json_option
def sign_ins(org: str, name: str, *, as_json: bool) -> None:
    """List how the newest sign-ins ended: the reason of a refusal, in words, by the request id people are shown."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.connections import find_connection, list_sign_ins

    with open_organization(org) as (_, unit):
        rows = [
            {
                "at": event.at,
                "outcome": event.outcome,
                "reason": event.reason,
                "detail": event.detail,
                "request_id": event.request_id,
            }
            for event in list_sign_ins(unit, find_connection(unit, name).id)
        ]
    if as_json:
        print_json(rows)
    else:
        print_table(
            ("when", "outcome", "reason", "in words", "request"),
            [tuple(row.values()) for row in rows],
            empty="Nobody has signed in by it yet",
        )


def _user_names(unit: "Unit", ids: "Iterable[uuid.UUID | None]") -> "dict[uuid.UUID | None, str]":
    from bridge.domain.identifiers import MemberId
    from bridge.store.directory import get_member

    return {one: get_member(unit, MemberId(one)).user_name for one in ids if one is not None}


def _find_token(unit: "Unit", wanted: str) -> tuple[uuid.UUID, str]:
    from bridge.errors import NotFoundError
    from bridge.usecases.connections import list_connections, live_tokens, personal_tokens

    clients = [token for one in list_connections(unit) for token in live_tokens(unit, one.id)]
    for token in [*clients, *personal_tokens(unit)]:
        if wanted.rstrip("…") in (token.prefix, str(token.id)):
            return token.id, token.prefix
    raise NotFoundError("live token", wanted)
