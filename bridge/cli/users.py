"""``seatbridge users ...`` and ``seatbridge roles ...``: roles in the product, on contracts for a fixed fee."""

import click

from bridge.cli.showing import json_option, org_argument, print_json, print_table

_role_option = click.option("--role", "roles", multiple=True, help="A role in the product; repeat it for several.")


@click.group()
def users() -> None:
    """Users by role, on fixed-fee contracts: list, add, change, remove."""


@users.command("list")
@org_argument
@json_option
def list_(org: str, *, as_json: bool) -> None:
    """List everybody with a role in the product, and how many count as paid."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.product_roles import list_users
    from bridge.usecases.tier_review import count_users

    with open_organization(org) as (_, unit):
        found, counts = list_users(unit), count_users(unit)
    if as_json:
        print_json({"paid_users": counts.paid, "free_users": counts.free, "users": found})
        return
    print_table(
        ("name", "userName", "roles", "paid", "active"),
        [(one.display_name, one.user_name, ", ".join(one.roles), one.paid, one.active) for one in found],
        empty="Nobody has a role in the product yet: `seatbridge users add --help`",
    )
    click.echo(f"{counts.paid} paid, {counts.free} free")


@users.command()
@org_argument
@click.argument("user_name", metavar="USERNAME")
@click.option("--name", help="What pages call the person. Default: the userName.")
@_role_option
@json_option
def add(org: str, user_name: str, *, name: str | None, roles: tuple[str, ...], as_json: bool) -> None:
    """Let a person in with at least one role; it costs nothing. Who was removed is let in again.

    USERNAME is a mail address as a rule, and then where they get mail.
    """
    from bridge.cli.opening import open_organization
    from bridge.usecases.people_by_hand import draft_by_hand
    from bridge.usecases.product_roles import add_user

    with open_organization(org) as (_, unit):
        member = add_user(unit, draft_by_hand(user_name, name), roles)
        facts = {"member_id": member.id, "user_name": member.user_name, "roles": roles}
    _done(facts, f"{user_name} is in: {', '.join(roles)}.", as_json=as_json)


@users.command("set-roles")
@org_argument
@click.argument("person")
@_role_option
@json_option
def set_roles(org: str, person: str, *, roles: tuple[str, ...], as_json: bool) -> None:
    """Give PERSON (userName, mail address or id) these roles instead of the present ones; none takes the product."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.people import find_person
    from bridge.usecases.product_roles import change_roles

    with open_organization(org) as (_, unit):
        member = change_roles(unit, find_person(unit, person).id, roles)
        facts = {"member_id": member.id, "user_name": member.user_name, "roles": roles}
    _done(facts, f"{person} has: {', '.join(roles) or 'no role'}.", as_json=as_json)


@users.command()
@org_argument
@click.argument("person")
@json_option
def remove(org: str, person: str, *, as_json: bool) -> None:
    """Take access from PERSON; data and history stay, and nothing is credited."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.people import find_person
    from bridge.usecases.product_roles import remove_user

    with open_organization(org) as (_, unit):
        member = remove_user(unit, find_person(unit, person).id)
        facts = {"member_id": member.id, "user_name": member.user_name, "active": member.active}
    _done(facts, f"{person} has no access any more.", as_json=as_json)


@click.group()
def roles() -> None:
    """Roles in the product: list, define."""


@roles.command("list")
@org_argument
@json_option
def list_roles_(org: str, *, as_json: bool) -> None:
    """List the built-in roles and the organization's own."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.product_roles import list_roles

    with open_organization(org) as (_, unit):
        found = list_roles(unit)
    if as_json:
        print_json(found)
        return
    print_table(
        ("role", "name", "paid", "built in", "permissions"),
        [(one.key, one.name, one.paid, one.built_in, ", ".join(one.permissions)) for one in found],
        empty="No role",
    )


@roles.command()
@org_argument
@click.argument("role")
@click.option("--name", required=True, help="What people read.")
@click.option("--permission", "permissions", multiple=True, help="A code that the product knows; repeat it.")
@click.option("--paid/--free", required=True, help="Whether it makes its holder a paid user.")
@json_option
def define(org: str, role: str, *, name: str, permissions: tuple[str, ...], paid: bool, as_json: bool) -> None:
    """Define a role of the organization's own, or define it anew."""
    from bridge.cli.opening import open_organization
    from bridge.usecases.product_roles import define_role

    with open_organization(org) as (_, unit):
        defined = define_role(unit, role, name, permissions, paid=paid)
    _done(defined, f"{defined.name} is a {'paid' if paid else 'free'} role.", as_json=as_json)


def _done(facts: object, sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json(facts)
    else:
        click.echo(sentence)
