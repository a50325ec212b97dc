"""The commands by name, each with the place it is imported from when somebody calls it."""

import importlib.metadata
from pathlib import Path

import click

from bridge.cli.lazy import Entry, LazyGroup

COMMANDS = {
    "serve": Entry("bridge.cli.serving:serve", "Run the service: web, worker and, where none is set, its database."),
    "worker": Entry("bridge.cli.serving:worker", "Run a worker alone: deliveries, renewals, expiries."),
    "demo": Entry("bridge.cli.demo:demo", "Take a narrated tour with a simulated identity provider."),
    "init": Entry("bridge.cli.init:init", "Write configuration and keys of a first installation."),
    "doctor": Entry("bridge.cli.doctor:doctor", "Look for everything that would not work, each with its repair."),
    "check": Entry("bridge.cli.databases:check", "Count held seats again in every organization."),
    "db": Entry("bridge.cli.databases:db", "The database: upgrade, check, backup, restore."),
    "brake": Entry("bridge.cli.brake:brake", "Mass effects of a directory: what is held, release, drop, set."),
    "secrets": Entry("bridge.cli.keys:keys", "Keys of the service: generate."),
    "org": Entry("bridge.cli.organizations:org", "Organizations: create, list, show."),
    "connection": Entry("bridge.cli.connections:connection", "Identity providers: SCIM tokens, SAML, OpenID Connect."),
    "setup-link": Entry(
        "bridge.cli.setup_links:setup_link", "Links to a connection's set-up guide for who has no account."
    ),
    "apps": Entry("bridge.cli.apps:apps", "Applications that people sign in to, and the keys that sign for them."),
    "provisioning": Entry("bridge.cli.provisioning:provisioning", "Who creates people: mode show, preview, set."),
    "schema": Entry("bridge.cli.schemas:schema", "Attributes of an organization's own: list, show, apply, remove."),
    "domain": Entry("bridge.cli.domains:domain", "Mail domains of an organization: add, verify, remove, list."),
    "sso": Entry("bridge.cli.sso:sso", "Single sign-on for everybody: show, enforce, relax."),
    "import": Entry("bridge.cli.imports:import_command", "Take people in from a CSV file, previewed first."),
    "seats": Entry("bridge.cli.seats:seats", "Seats: show, buy, swap; who waits for one; budgets, forecasts."),
    "team": Entry("bridge.cli.teams:team", "Teams of a workspace billed by team or by person."),
    "licences": Entry("bridge.cli.teams:licences", "Licences by team or by person: show, export."),
    "people": Entry(
        "bridge.cli.people:people", "People: add one, confirm who is provisional, remove who is in no active team."
    ),
    "contract": Entry("bridge.cli.contracts:contract", "Contracts: fixed fees, another plan, renewal."),
    "evaluation": Entry(
        "bridge.cli.evaluations:evaluation", "Evaluations without invoice: start, show, extend, convert, end."
    ),
    "users": Entry("bridge.cli.users:users", "Users by role, on fixed-fee contracts: list, add, change, remove."),
    "roles": Entry("bridge.cli.users:roles", "Roles in the product: list, define."),
    "invoice": Entry(
        "bridge.cli.invoices:invoice", "Invoices with their arithmetic: preview, list, show, why, export, send."
    ),
    "billing": Entry(
        "bridge.cli.billing:billing", "Billing details; billing by Stripe or a core of the customer's own."
    ),
    "usage": Entry("bridge.cli.usage:usage", "A quarter summed up: seats, who is idle, moves, cost."),
    "mappings": Entry("bridge.cli.mapping_sets:mappings", "Group mappings: show, preview, apply, roll back."),
    "approvals": Entry("bridge.cli.approvals:approvals", "Requests to the owners for what costs: list, approve."),
    "requests": Entry("bridge.cli.requests:requests", "The provisioning log: tail, show, replay."),
    "review": Entry("bridge.cli.reviews:review", "What reviewers ask for: access, everybody with their seat and why."),
    "sessions": Entry("bridge.cli.sessions:sessions", "Who is signed in, in which browser: list, end."),
    "webhooks": Entry("bridge.cli.webhooks:webhooks", "Events for the application: endpoints, log, replay."),
    "api-key": Entry("bridge.cli.api_keys:api_key", "Keys of the programming interface: create, list, revoke."),
    "why": Entry("bridge.cli.people:why", "Say why somebody has what they have, and what would change it."),
    "admin": Entry("bridge.cli.people:admin", "Let an owner back in."),
    "delivery": Entry("bridge.cli.deliveries:delivery", "Mails and messages on their way: list, retry."),
    "audit": Entry("bridge.cli.audit:audit", "The audit chain: verify, person, export."),
    "rehearse": Entry("bridge.cli.rehearse:rehearse_command", "Play a billing scenario from a file, charging nobody."),
    "scim": Entry("bridge.cli.scim:scim", "Any SCIM server, ours or another: conformance."),
    "completion": Entry("bridge.cli.completion:completion", "Complete commands in bash, zsh or fish."),
    "simulate": Entry("bridge.cli.simulate:simulate", "Push people as an identity provider would."),
}


def _show_version(context: click.Context, _option: click.Parameter, value: object) -> None:
    if value:
        try:
            version = importlib.metadata.version("seatbridge")
        except importlib.metadata.PackageNotFoundError:
            version = "from source"
        click.echo(f"seatbridge {version}")
        context.exit()


@click.group(cls=LazyGroup, entries=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration file (default: SEATBRIDGE_CONFIG, else config.yaml here, else none).",
)
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_show_version, help="Print the version."
)
@click.pass_context
def main(context: click.Context, config: Path | None) -> None:
    """Identity provisioning bridge: people in over SCIM and SAML, seats counted exactly, changes billed.

    Exit codes: 0 done; 1 refused or something is wrong; 2 wrong use or configuration (and, for comparing commands,
    "there are differences"). What shows something takes --json.
    """
    context.obj = config
