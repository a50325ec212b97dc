"""``seatbridge why``, ``seatbridge people ...`` and ``seatbridge admin ...``."""

from typing import TYPE_CHECKING

import click

from bridge.cli.showing import harmless_line, json_option, org_argument, print_facts, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.billing.why_person import PersonCharge, Step, WhyPerson


@click.command()
@org_argument
@click.argument("person")
@click.option("--history", is_flag=True, help="Show every decision and every charge too, with who caused it.")
@json_option
def why(org: str, person: str, *, history: bool, as_json: bool) -> None:
    """Say why PERSON (userName, mail address or id) has what they have, step by step, and what would change it."""
    from bridge.billing.why_person import why_person
    from bridge.cli.opening import open_organization
    from bridge.usecases.people import find_person

    with open_organization(org) as (_, unit):
        found = why_person(unit, find_person(unit, person).id)
    if as_json:
        print_json(_as_json(found))
        return
    click.echo(harmless_line(found.sentence))
    explanation = found.explanation
    if explanation.held:
        click.echo(explanation.held)
    if explanation.provisional:
        click.echo(harmless_line(explanation.provisional))
    if explanation.groups:
        click.echo(harmless_line(f"Groups: {', '.join(group.display_name for group in explanation.groups)}"))
    _print_list("How it came to that", [_step_text(step) for step in found.steps])
    _print_list("What would change it", found.would_change)
    if not history:
        return
    click.echo()
    print_table(
        ("when", "from", "to", "because", "by", "request", "in the log"),
        [
            (one.at, one.from_name, one.to_name, one.because, one.actor, one.request_id, one.request_id in found.logged)
            for one in found.history
        ],
        empty="No decision yet",
    )
    click.echo()
    _print_charges(found.charges)


def _as_json(found: "WhyPerson") -> dict[str, object]:
    explanation = found.explanation
    return {
        "member_id": explanation.member.id,
        "user_name": explanation.member.user_name,
        "sentence": found.sentence,
        "held": explanation.held,
        "provisional_until": explanation.member.provisional_until,
        "provisional": explanation.provisional,
        "steps": found.steps,
        "would_change": found.would_change,
        "groups": [group.display_name for group in explanation.groups],
        "teams": explanation.teams,
        "place_in_line": explanation.place,
        "decisions": found.history,
        "logged_requests": sorted(found.logged),
        "charges": found.charges,
    }


def _step_text(step: "Step") -> str:
    return f"{step.text}. {step.detail}." if step.detail else f"{step.text}."


def _print_list(title: str, lines: "Sequence[str]") -> None:
    if not lines:
        return
    click.echo(f"\n{title}:")
    for line in lines:
        click.echo(f"- {harmless_line(line)}")


def _print_charges(charges: "Sequence[PersonCharge]") -> None:
    from bridge.billing.rules.money import Currency, format_money

    print_table(
        ("when", "invoice", "line", "what", "amount", "formula of the line"),
        [
            (
                one.at,
                one.invoice_number,
                one.position,
                one.text,
                format_money(one.amount, Currency(one.currency)),
                one.formula,
            )
            for one in charges
        ],
        empty="No invoice counts or serves this person",
    )


@click.group()
def people() -> None:
    """People of an organization: add one by hand, confirm who is provisional, remove who is in no active team."""


@people.command()
@org_argument
@click.argument("user_name", metavar="USERNAME")
@click.option("--name", help="What pages call the person. Default: the userName.")
@click.option("--tier", help="The seat they get; without it they have none, or none is needed.")
@json_option
def add(org: str, user_name: str, *, name: str | None, tier: str | None, as_json: bool) -> None:
    """Add a person by hand.

    USERNAME is a mail address as a rule, and then where they get mail. A directory with the same address links the
    person later instead of making another.
    """
    from bridge.cli.opening import open_organization
    from bridge.usecases.people_by_hand import draft_by_hand
    from bridge.usecases.provision_member import add_member

    with open_organization(org) as (_, unit):
        member = add_member(unit, draft_by_hand(user_name, name), tier=tier)
        facts = {"member_id": member.id, "user_name": member.user_name, "tier": member.tier}
    if as_json:
        print_json(facts)
    else:
        print_facts({"added": member.user_name, "id": member.id, "seat": member.tier})


@people.command()
@org_argument
@json_option
def provisional(org: str, *, as_json: bool) -> None:
    """List who signed in before the directory named them, and whose access has ended because it never did."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.provisional import list_provisional

    with open_organization(org) as (_, unit):
        rows = [
            {
                "user_name": member.user_name,
                "id": member.id,
                "connection": connection,
                "signed_in_at": member.created_at,
                "provisional_until": member.provisional_until,
                "active": member.active,
                "seat": member.tier,
            }
            for member, connection in list_provisional(unit)
        ]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("userName", "connection", "came", "provisional until", "access", "seat"),
        [
            (
                row["user_name"],
                row["connection"],
                row["signed_in_at"],
                row["provisional_until"],
                "on" if row["active"] else "ended",
                row["seat"],
            )
            for row in rows
        ],
        empty="Nobody is provisional",
    )


@people.command()
@org_argument
@click.argument("person")
@json_option
def confirm(org: str, person: str, *, as_json: bool) -> None:
    """Let PERSON (userName, mail address or id) stay, whom the directory has not named yet."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.confirm_people import confirm_member
    from bridge.usecases.people import find_person

    with open_organization(org) as (_, unit):
        member = confirm_member(unit, find_person(unit, person))
        facts = {"member_id": member.id, "user_name": member.user_name, "provisional_until": None}
    if as_json:
        print_json(facts)
    else:
        click.echo(harmless_line(f"{member.user_name} stays: nothing ends by itself any more."))


@people.command("remove-inactive")
@org_argument
@click.option("--preview", "only_preview", is_flag=True, help="Show who would be removed and stop.")
@click.option("--yes", is_flag=True, help="Remove them without being asked.")
@json_option
def remove_inactive(org: str, *, only_preview: bool, yes: bool, as_json: bool) -> None:
    """Remove everybody who is in no team that counts: first their names, then the confirmation.

    They lose access at once, and their sessions and tokens end. Owners stay.
    """
    from bridge.cli.opening import find_organization, open_runtime
    from bridge.domain.actors import OPERATOR
    from bridge.usecases.remove_inactive import confirm_remove_inactive, preview_remove_inactive

    if as_json and not (yes or only_preview):
        raise click.UsageError("--json asks nothing: add --yes to remove people, or --preview to see whom")
    with open_runtime() as runtime:
        org_id = find_organization(runtime, org)
        with runtime.unit(org_id, OPERATOR) as unit:
            preview = preview_remove_inactive(unit)
        if not as_json:
            print_table(
                ("userName", "name", "id"),
                [(one.user_name, one.display_name, one.id) for one in preview.members],
                empty="Everybody is an owner or in a team that counts",
            )
        if only_preview and as_json:
            print_json(preview)
        if only_preview or not (preview.members or as_json):
            return
        if not yes:
            click.confirm(f"Remove {len(preview.members)} from {org}, for good?", abort=True)
        with runtime.unit(org_id, OPERATOR) as unit:
            removed = confirm_remove_inactive(unit, preview.id)
    if as_json:
        print_json({"removed": removed})
    else:
        click.echo(f"Done. Removed: {len(removed)}")


@click.group()
def admin() -> None:
    """Let an owner back in."""


@admin.command()
@org_argument
@click.argument("email")
@json_option
def recover(org: str, email: str, *, as_json: bool) -> None:
    """Let an owner back in: a link that works once, within an hour, whatever became of the identity provider.

    It works where single sign-on is enforced too. Every owner is told, when it is made and when it is used; the session
    lasts an hour.
    """
    from bridge.cli.opening import open_organization
    from bridge.errors import NotFoundError
    from bridge.usecases.organizations import find_owner_by_email
    from bridge.usecases.sign_in_links import create_break_glass_link

    with open_organization(org) as (runtime, unit):
        owner = find_owner_by_email(unit, email)
        if owner is None:
            raise NotFoundError("active owner", email)
        credential = create_break_glass_link(unit, owner.id)
        link = f"{runtime.settings.server.public_url}/sign-in/link/{credential.text}"
    if as_json:
        print_json({"sign_in_link": link})
    else:
        print_facts({"sign-in link": link})
        click.echo("It works once, within an hour. Every owner is told of it now, and again when it is used.")
