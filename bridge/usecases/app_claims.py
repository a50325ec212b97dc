"""What applications are told of a person: who it is, in which organization, with which seat and what it entitles to."""

from collections.abc import Collection
from typing import Any

from bridge.store.models import Domain, Member
from bridge.store.unit import Unit
from bridge.usecases.held_roles import roles_of


def claims_of(unit: Unit, member: Member, scopes: Collection[str]) -> dict[str, Any]:
    """Describe a person as they are now, as far as the scopes go.

    ``sub, org, role, seat_tier`` and ``entitlements`` are told whatever the scopes are; ``seat_tier`` is the key of the
    tier held, None without a seat (rule G2).

    Args:
        unit: A unit of the person's organization.
        member: Who.
        scopes: ``profile`` and ``email`` add what OpenID Connect Core §5.4 says.
    """
    organization = unit.organization()
    roles = roles_of(unit, member.id)
    claims: dict[str, Any] = {
        "sub": str(member.id),
        "org": {"id": str(organization.id), "slug": organization.slug},
        "role": member.role,
        "seat_tier": member.tier,
        "entitlements": {
            "roles": [role.key for role in roles],
            "permissions": sorted({permission for role in roles for permission in role.permissions}),
            "teams": sorted(member.teams),
        },
    }
    if "profile" in scopes:
        claims |= _profile(member)
    if "email" in scopes and member.email:
        claims |= {"email": member.email, "email_verified": _is_verified(unit, member.email)}
    return claims


def _profile(member: Member) -> dict[str, Any]:
    name = member.document.get("name")
    parts = name if isinstance(name, dict) else {}
    told = {
        "name": member.display_name,
        "given_name": parts.get("givenName"),
        "family_name": parts.get("familyName"),
        "preferred_username": member.user_name,
        "updated_at": int(member.modified_at.timestamp()),
    }
    return {claim: value for claim, value in told.items() if value}


def _is_verified(unit: Unit, email: str) -> bool:
    """Tell whether an address is in a domain that the organization has proved to be its own."""
    domain = unit.session.get(Domain, (unit.org_id, email.rpartition("@")[2].lower()))
    return domain is not None and domain.verified_at is not None
