"""A caller's key: what it did the first time is what it answers ever after (rule Q5)."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from bridge.errors import IdempotencyConflictError, InvalidInputError
from bridge.store.models import IdempotencyKey
from bridge.store.unit import Unit

MAX_KEY = 200


def once(unit: Unit, key: str | None, content: Mapping[str, Any], act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Act once for each key of the organization.

    Key, effect and answer commit together; two callers with one key take turns on the organization's lock. A refusal
    keeps nothing, so the same key may be tried again.

    Args:
        unit: The unit; the organization is locked here.
        key: The caller's key; without one the action simply runs.
        content: What is asked for, in JSON values: a repeat must ask for the same.
        act: Does it and returns the answer in JSON values.

    Returns:
        The answer, of now or of the first time.

    Raises:
        IdempotencyConflictError: The key was used before with another content.
        InvalidInputError: The key is empty or too long.
    """
    if key is None:
        return act()
    if not key or len(key) > MAX_KEY or not key.isprintable():
        raise InvalidInputError("idempotency_key", f"must be 1 to {MAX_KEY} printable characters")
    unit.lock()
    fingerprint = hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).digest()
    known = unit.session.get(IdempotencyKey, (unit.org_id, key), populate_existing=True)
    if known is not None:
        if known.fingerprint != fingerprint:
            raise IdempotencyConflictError(key)
        return known.result
    result = act()
    unit.session.add(IdempotencyKey(org_id=unit.org_id, key=key, fingerprint=fingerprint, result=result, at=unit.at))
    unit.session.flush()
    return result


def is_known(unit: Unit, key: str | None) -> bool:
    """Tell whether a key was used before, so that its answer needs nothing from outside any more."""
    return key is not None and unit.session.get(IdempotencyKey, (unit.org_id, key)) is not None
