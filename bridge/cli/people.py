"""``seatbridge explain`` and ``seatbridge admin ...``."""

from typing import TYPE_CHECKING

import click

from bridge.cli.showing import json_option, org_argument, print_facts, print_json, print_table

if TYPE_CHECKING:
    from bridge.store.models import Member
    from bridge.store.unit import Unit


@click.command()
@org_argument
@click.argument("person")
@json_option
def explain(org: str, person: str, *, as_json: bool) -> None:
    """Say why PERSON (userName, mail address or id) has the seat they have, and how it came to that."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.explain import explain_member

    with open_organization(org) as (_, unit):
        found = explain_member(unit, find_person(unit, person).id)
    if as_json:
        print_json(
            {
                "member_id": found.member.id,
                "user_name": found.member.user_name,
                "sentence": found.sentence,
                "held": found.held,
                "groups": [group.display_name for group in found.groups],
                "place_in_line": found.place,
                "decisions": found.decisions,
            }
        )
        return
    click.echo(found.sentence)
    if found.held:
        click.echo(found.held)
    if found.place is not None:
        click.echo(f"Place in line: {found.place.place} of {found.place.length}")
    if found.groups:
        click.echo(f"Groups: {', '.join(group.display_name for group in found.groups)}")
    click.echo()
    print_table(
        ("when", "from", "to", "because", "by", "request"),
        [(one.at, one.from_name, one.to_name, one.because, one.actor, one.request_id) for one in found.decisions],
        empty="No decision yet",
    )


@click.group()
def admin() -> None:
    """Let an owner back in."""


@admin.command()
@org_argument
@click.argument("email")
@json_option
def recover(org: str, email: str, *, as_json: bool) -> None:
    """Make a link that signs an owner in once, within a day, whatever became of the identity provider."""
    from bridge.cli.opening import open_organization
    from bridge.errors import NotFoundError
    from bridge.usecases.connections import create_sign_in_link
    from bridge.usecases.organizations import find_owner_by_email

    with open_organization(org) as (runtime, unit):
        owner = find_owner_by_email(unit, email)
        if owner is None:
            raise NotFoundError("active owner", email)
        credential = create_sign_in_link(unit, owner.id)
        facts = {"sign_in_link": f"{runtime.settings.server.public_url}/sign-in/link/{credential.text}"}
    if as_json:
        print_json(facts)
    else:
        print_facts({"sign-in link": facts["sign_in_link"]})


def find_person(unit: "Unit", wanted: str) -> "Member":
    """Return the one person with this userName, mail address (both without case) or id.

    Raises:
        NotFoundError: There is none.
        InvalidInputError: There are several: name the one by id.
    """
    from sqlalchemy import or_, select

    from bridge.domain.documents import comparison_key
    from bridge.domain.identifiers import parse_id
    from bridge.errors import InvalidInputError, NotFoundError
    from bridge.store.models import Member

    key = comparison_key(wanted)
    found = unit.session.scalars(
        select(Member)
        .where(
            Member.org_id == unit.org_id,
            or_(Member.user_name_key == key, Member.email_key == key, Member.id == parse_id(wanted)),
        )
        .order_by(Member.position)
    ).all()
    if not found:
        raise NotFoundError("person", wanted)
    if len(found) > 1:
        ids = ", ".join(str(member.id) for member in found)
        raise InvalidInputError("person", f"{len(found)} people are called {wanted!r}: name one by id ({ids})")
    return found[0]
