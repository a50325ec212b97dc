"""The organization of the key, and the key itself."""

import uuid
from datetime import datetime

from bridge.store.agreed import is_followed
from bridge.usecases.organizations import show_organization
from bridge.usecases.seats import contract_sentences
from bridge.web.api.calls import Call
from bridge.web.api.operations import Resource
from bridge.web.api.shapes import Answer

organization = Resource("Organization", "Whose key it is, and what the plan allows.", "/organization")
key = Resource("API key", "What this key may be used for.", "/key")


class OrganizationShape(Answer):
    """The organization; `sentences` say in words what its plan allows."""

    id: uuid.UUID
    slug: str
    name: str
    locale: str
    time_zone: str
    plan: str
    cycle: str
    status: str
    period_start: datetime
    period_end: datetime
    people: int
    sentences: list[str]


class KeyShape(Answer):
    """This key: never more than its role, never beyond its scopes."""

    id: uuid.UUID
    label: str
    prefix: str
    role: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime


@organization.get(scope=None, answer=OrganizationShape)
def get_organization(call: Call) -> object:
    """Read the organization of the key, and what its plan allows."""
    summary = show_organization(call.unit)
    found, contract = summary.organization, summary.contract
    return {
        **{name: getattr(found, name) for name in ("id", "slug", "name", "locale", "time_zone")},
        "plan": contract.kind,
        "cycle": contract.cycle,
        "status": contract.status,
        "period_start": contract.period_start,
        "period_end": contract.period_end,
        "people": summary.members,
        "sentences": contract_sentences(contract, followed=is_followed(call.unit)),
    }


@key.get(scope=None, answer=KeyShape)
def get_key(call: Call) -> object:
    """Read what this key may be used for, and until when."""
    return call.key
