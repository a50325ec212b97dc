"""``seatbridge connection map-claims``: under which names an identity provider says what."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from bridge.cli.showing import json_option, name_argument, org_argument, print_json, print_table

if TYPE_CHECKING:
    from bridge.domain.claims import ClaimMap

_MEANINGS = {
    "subject": "who somebody is, for good",
    "user_name": "userName in the directory",
    "email": "e-mail address",
    "given_name": "given name",
    "family_name": "family name",
    "display_name": "display name",
    "groups": "groups",
}
_USUAL = {"subject": "NameID (SAML), sub (OpenID Connect)", "user_name": "the usual name, else the subject"}


@click.command("map-claims")
@org_argument
@name_argument
@click.option("--email", metavar="CLAIM", help="The e-mail address.")
@click.option("--given-name", metavar="CLAIM", help="The given name.")
@click.option("--family-name", metavar="CLAIM", help="The family name.")
@click.option("--display-name", metavar="CLAIM", help="What pages call the person.")
@click.option("--groups", metavar="CLAIM", help="The groups.")
@click.option("--user-name", metavar="CLAIM", help="The userName under which the directory (SCIM) knows the person.")
@click.option("--subject", metavar="CLAIM", help="Who somebody is, for good, instead of the NameID or sub.")
@click.option(
    "--attribute",
    "attributes",
    multiple=True,
    metavar="NAME=CLAIM",
    help="An attribute for rules to look at, such as department=dept; several times.",
)
@click.option("--reset", is_flag=True, help="Forget the map: everything is expected under its usual name.")
@click.option("--forget-links", is_flag=True, help="With another --subject: forget who was known by the present one.")
@click.option("--show", "only_show", is_flag=True, help="Only show the map, as without any option.")
@json_option
def map_claims(
    org: str,
    name: str,
    *,
    attributes: tuple[str, ...],
    reset: bool,
    forget_links: bool,
    only_show: bool,
    as_json: bool,
    **facts: str | None,
) -> None:
    """Say under which names an identity provider says what, for SAML attributes and OpenID Connect claims alike.

    What is not named stays as it was; an empty name ('') takes the usual ones again.
    """
    from bridge.cli.opening import open_organization
    from bridge.usecases.connections import find_connection
    from bridge.usecases.map_claims import claims_of
    from bridge.usecases.map_claims import map_claims as change

    named = {fact: claim for fact, claim in facts.items() if claim is not None}
    if only_show and (named or attributes or reset):
        raise click.UsageError("--show changes nothing: leave the other options out")
    with open_organization(org) as (_, unit):
        found = find_connection(unit, name)
        if named or attributes or reset:
            mapped = change(
                unit,
                found.id,
                facts=named,
                attributes=dict(_pairs(attributes)),
                reset=reset,
                forget_links=forget_links,
            )
        else:
            mapped = claims_of(unit, found.id)
    if as_json:
        print_json(mapped.stored())
    else:
        _print(mapped)


def _pairs(attributes: Iterable[str]) -> Iterable[tuple[str, str]]:
    for given in attributes:
        name, equals, claim = given.partition("=")
        if not equals:
            raise click.BadParameter(f"{given!r} is not NAME=CLAIM, such as department=dept", param_hint="--attribute")
        yield name.strip(), claim


def _print(mapped: "ClaimMap") -> None:
    rows = [
        (meaning, getattr(mapped, fact) or _USUAL.get(fact, "the usual names")) for fact, meaning in _MEANINGS.items()
    ]
    print_table(("what", "read from"), [*rows, *mapped.attributes.items()], empty="")
