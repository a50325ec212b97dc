"""``seatbridge apps ...``."""

from typing import TYPE_CHECKING, Any

import click

from bridge.cli.showing import json_option, name_argument, print_facts, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Session

    from bridge.store.models import App

app_argument = click.argument("app", metavar="APP")


@click.group()
def apps() -> None:
    """Applications that people sign in to through this service, and the keys that sign for them."""


@apps.command()
@name_argument
@click.option(
    "--redirect-uri", "redirect_uris", multiple=True, required=True, metavar="URL", help="Where people come back to."
)
@click.option(
    "--post-logout-redirect-uri", "post_logout_uris", multiple=True, metavar="URL", help="Where a sign-out may lead."
)
@click.option("--backchannel-logout-uri", metavar="URL", help="Where the application is told that a session ended.")
@click.option("--public", "is_public", is_flag=True, help="It runs on people's devices and can keep no secret.")
@click.option("--offline-access", is_flag=True, help="Its refresh tokens may outlive the session, where it asks so.")
@click.option("--org", help="Only people of this organization sign in to it (default: those of all).")
@json_option
def add(
    name: str,
    *,
    redirect_uris: tuple[str, ...],
    post_logout_uris: tuple[str, ...],
    backchannel_logout_uri: str | None,
    is_public: bool,
    offline_access: bool,
    org: str | None,
    as_json: bool,
) -> None:
    """Register an application, and print what it needs to know; its secret is shown once."""
    from bridge.adapters.oauth import make_key
    from bridge.cli.opening import find_organization, open_installation
    from bridge.usecases.apps import AppDraft, add_app
    from bridge.usecases.signing_keys import ensure_key

    with open_installation() as (runtime, installation):
        draft = AppDraft(
            name=name,
            redirect_uris=redirect_uris,
            post_logout_redirect_uris=post_logout_uris,
            backchannel_logout_uri=backchannel_logout_uri,
            is_public=is_public,
            offline_access=offline_access,
            only_org_id=None if org is None else find_organization(runtime, org),
        )
        added = add_app(installation, draft)
        ensure_key(installation, make_key(runtime.secrets))
        facts = {
            "application": added.app.name,
            "issuer": runtime.settings.server.public_url,
            "client id": added.app.id,
            "client secret": None if added.secret is None else added.secret.text,
        }
    _show(facts, as_json=as_json)


@apps.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """List applications with their addresses and secrets."""
    from bridge.cli.opening import open_installation
    from bridge.usecases.apps import list_apps

    with open_installation() as (runtime, installation):
        slugs = _slugs(runtime)
        rows = [_describe(installation.session, app, slugs) for app in list_apps(installation.session)]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("application", "client id", "people of", "secrets", "redirect URIs"),
        [
            (
                row["name"],
                row["client_id"],
                row["org"] or "every organization",
                "none: public" if row["public"] else ", ".join(f"{secret['prefix']}…" for secret in row["secrets"]),
                ", ".join(row["redirect_uris"]),
            )
            for row in rows
        ],
        empty="No application yet: `seatbridge apps add NAME --redirect-uri URL`",
    )


@apps.command("set-redirect-uris")
@app_argument
@click.option("--add", "added", multiple=True, metavar="URL", help="People may come back to it from now on.")
@click.option("--remove", "removed", multiple=True, metavar="URL", help="Nobody is sent there any more.")
@json_option
def set_redirect_uris(app: str, *, added: tuple[str, ...], removed: tuple[str, ...], as_json: bool) -> None:
    """Add and remove redirect URIs; client id, secrets and sign-ins stay as they are."""
    from bridge.cli.opening import open_installation
    from bridge.usecases.apps import find_app
    from bridge.usecases.apps import set_redirect_uris as change

    if not (added or removed):
        raise click.UsageError("name what changes: --add URL or --remove URL")
    with open_installation() as (_, installation):
        found = find_app(installation.session, app)
        left = change(installation, found, add=added, remove=removed)
        facts = {"application": found.name, "client id": found.id, "redirect uris": left}
    _show(facts if as_json else {**facts, "redirect uris": ", ".join(left)}, as_json=as_json)


@apps.command("rotate-secret")
@app_argument
@json_option
def rotate_secret(app: str, *, as_json: bool) -> None:
    """Issue the second secret of an application, shown once; the first stays good until it is revoked."""
    from bridge.cli.opening import open_installation
    from bridge.usecases.apps import find_app, live_secrets
    from bridge.usecases.apps import rotate_secret as rotate

    with open_installation() as (_, installation):
        found = find_app(installation.session, app)
        older = [secret.prefix for secret in live_secrets(installation.session, found.id)]
        secret = rotate(installation, found)
        facts = {"application": found.name, "client id": found.id, "client secret": secret.text}
    _show(facts, as_json=as_json)
    if older and not as_json:
        click.echo(f'Once it is used, revoke the old one: seatbridge apps revoke-secret "{found.name}" {older[0]}')


@apps.command("revoke-secret")
@app_argument
@click.argument("secret", metavar="PREFIX")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def revoke_secret(app: str, secret: str, *, yes: bool, as_json: bool) -> None:
    """Revoke a secret, named by its prefix (sbapp_…) or id; the next request with it is refused."""
    from bridge.cli.opening import open_installation
    from bridge.usecases.apps import find_app
    from bridge.usecases.apps import revoke_secret as revoke

    if as_json and not yes:
        raise click.UsageError("--json asks nothing: add --yes to revoke the secret")
    with open_installation() as (_, installation):
        found = find_app(installation.session, app)
        if not yes:
            click.confirm(f"Revoke {secret} of {found.name}? With it the application gets no more tokens", abort=True)
        revoked = revoke(installation, found, secret)
        facts = {"application": found.name, "revoked": f"{revoked.prefix}…"}
    _show(facts, as_json=as_json)


@apps.command()
@app_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def remove(app: str, *, yes: bool, as_json: bool) -> None:
    """Remove an application: nobody signs in to it any more, and its tokens are dead at once."""
    from bridge.cli.opening import open_installation
    from bridge.usecases.apps import find_app, remove_app

    if as_json and not yes:
        raise click.UsageError("--json asks nothing: add --yes to remove the application")
    with open_installation() as (_, installation):
        found = find_app(installation.session, app)
        if not yes:
            click.confirm(f"Remove {found.name}? Nobody can sign in to it then, and its tokens are dead", abort=True)
        remove_app(installation, found)
        facts = {"removed": found.name, "client id": found.id}
    _show(facts, as_json=as_json)


@apps.command("rotate-keys")
@click.option("--at-once", is_flag=True, help="A private key may be known: believe nothing that was signed before.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def rotate_keys(*, at_once: bool, yes: bool, as_json: bool) -> None:
    """Publish a new signing key, which signs from tomorrow on."""
    from bridge.adapters.oauth import make_key
    from bridge.adapters.oauth.discovery import JWKS
    from bridge.cli.opening import open_installation
    from bridge.usecases.signing_keys import rotate_keys as rotate

    if at_once and not yes:
        click.confirm("End every token that was signed before? Applications must refresh or sign in again", abort=True)
    with open_installation() as (runtime, installation):
        made = make_key(runtime.secrets)
        signs_from = rotate(installation, made, at_once=at_once, reason="compromised" if at_once else "requested")
        published = f"{runtime.settings.server.public_url}{JWKS}"
        facts = {"key": made.id, "signs from": signs_from, "published at": published}
    _show(facts, as_json=as_json)


@apps.command()
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many.")
@json_option
def history(*, limit: int, as_json: bool) -> None:
    """List what was last done to applications and signing keys, by whom and why."""
    from bridge.cli.opening import open_installation
    from bridge.usecases.apps import installation_events, list_apps

    with open_installation() as (_, installation):
        events = installation_events(installation.session, limit)
        names = {str(app.id): app.name for app in list_apps(installation.session)}
        names |= {event.subject_id: event.body["name"] for event in events if "name" in event.body}
        rows = [
            {
                "at": event.at,
                "actor": event.actor,
                "action": event.action,
                "subject": event.subject_id,
                "name": names.get(event.subject_id),
                "reason": event.reason,
                "facts": event.body,
            }
            for event in events
        ]
    if as_json:
        print_json(rows)
    else:
        print_table(
            ("when", "who", "what", "of", "why"),
            [(row["at"], row["actor"], row["action"], row["name"] or row["subject"], row["reason"]) for row in rows],
            empty="Nothing yet",
        )


def _describe(session: "Session", app: "App", slugs: dict[Any, str]) -> dict[str, Any]:
    from bridge.usecases.apps import live_secrets

    return {
        "name": app.name,
        "client_id": app.id,
        "org": None if app.only_org_id is None else slugs.get(app.only_org_id),
        "public": app.is_public,
        "offline_access": app.offline_access,
        "redirect_uris": app.redirect_uris,
        "post_logout_redirect_uris": app.post_logout_redirect_uris,
        "backchannel_logout_uri": app.backchannel_logout_uri,
        "created_at": app.created_at,
        "secrets": [
            {"id": secret.id, "prefix": secret.prefix, "created_at": secret.created_at}
            for secret in live_secrets(session, app.id)
        ],
    }


def _slugs(runtime: Any) -> dict[Any, str]:
    from bridge.store import gate

    return {org_id: slug for org_id, slug, _ in runtime.ask_gate(gate.list_organizations)}


def _show(facts: "Mapping[str, object]", *, as_json: bool) -> None:
    if as_json:
        print_json({name.replace(" ", "_"): value for name, value in facts.items()})
    else:
        print_facts(facts)
