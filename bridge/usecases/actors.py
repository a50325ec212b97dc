"""Who acted, in words."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select

from bridge.store.models import ApiKey, App, Connection, Member, SetupLink
from bridge.store.unit import Unit


def name_actors(unit: Unit, actors: Iterable[str]) -> dict[str, str]:
    """Return who acted, in words: the name of a member, a directory, an application, a key; or who runs the service."""
    wanted = set(actors)
    ids = {actor: uuid.UUID(actor.partition(":")[2]) for actor in wanted if ":" in actor}
    members = _names(unit, Member.id, Member.display_name, Member.org_id, ids.values())
    connections = _names(unit, Connection.id, Connection.name, Connection.org_id, ids.values())
    apps = {} if not any(actor.startswith("app:") for actor in ids) else _names_of_apps(unit, ids.values())
    keys = _names(unit, ApiKey.id, ApiKey.label, ApiKey.org_id, _of_kind("api_key", ids))
    links = _names(unit, SetupLink.id, SetupLink.label, SetupLink.org_id, ids.values())
    words = {"operator": "the operator", "system": "Seatbridge"}
    for actor, identifier in ids.items():
        kind = actor.partition(":")[0]
        if kind == "member":
            words[actor] = members.get(identifier, "somebody who has left")
        elif kind == "setup_link":
            words[actor] = f"the set-up link for {links.get(identifier, 'somebody')}"
        elif kind == "app":
            words[actor] = apps.get(identifier, "an application that is gone")
        elif kind == "api_key":
            words[actor] = f"the API key {keys[identifier]}" if identifier in keys else "an API key that is gone"
        else:
            name = connections.get(identifier, "a directory that is gone")
            words[actor] = f"{name} (sign-in)" if kind == "sign_in" else name
    return {actor: words.get(actor, actor) for actor in wanted}


def _of_kind(kind: str, ids: Mapping[str, uuid.UUID]) -> list[uuid.UUID]:
    return [identifier for actor, identifier in ids.items() if actor.startswith(f"{kind}:")]


def _names_of_apps(unit: Unit, ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, str]:
    return {row[0]: row[1] for row in unit.session.execute(select(App.id, App.name).where(App.id.in_(list(ids))))}


def _names(unit: Unit, key: Any, name: Any, org_id: Any, ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, str]:
    wanted = list(ids)
    if not wanted:
        return {}
    return {
        row[0]: row[1] for row in unit.session.execute(select(key, name).where(org_id == unit.org_id, key.in_(wanted)))
    }
