"""A request of a program: who calls, in which organization, how often; the unit of work it gets."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from flask import request
from sqlalchemy.orm import Session

from bridge.config.settings import ApiSettings
from bridge.domain.actors import SYSTEM
from bridge.domain.buckets import Buckets, network_of
from bridge.domain.credentials import credential_hash
from bridge.domain.scopes import Scope, includes
from bridge.errors import InsufficientScopeError, TooManyRequestsError, UnauthenticatedError
from bridge.observability import bound_ids
from bridge.runtime import Runtime
from bridge.store.gate import enter_api_key
from bridge.store.models import ApiKey
from bridge.store.unit import Unit
from bridge.usecases.api_keys import actor_of_key
from bridge.web.api.operations import Operation

_SEEN_EVERY: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was let in: the open unit of work, the key, and the process it runs in."""

    unit: Unit
    key: ApiKey
    runtime: Runtime
    operation: Operation


class CallLimits:
    """Counts requests by key, and refused keys by the network they come from, in one process.

    Args:
        settings: How much one key may ask, and one address be refused.
    """

    def __init__(self, settings: ApiSettings) -> None:
        asked, refused = settings.requests_per_minute, settings.refused_per_minute
        self._asked: Buckets[object] = Buckets(asked, asked / 60)
        self._refused: Buckets[str] = Buckets(refused, refused / 60)

    def check_stranger(self) -> None:
        """Look whether a key may be looked up.

        Raises:
            TooManyRequestsError: Too many keys of this address were refused lately.
        """
        _refuse_for(self._refused.wait(_network()))

    def note_refused(self) -> None:
        """Count a refused key."""
        self._refused.take(_network())

    def spend(self, key_id: object) -> None:
        """Count a request.

        Raises:
            TooManyRequestsError: The key has used up what it may ask.
        """
        _refuse_for(self._asked.take(key_id))


@contextmanager
def open_call(runtime: Runtime, limits: CallLimits, operation: Operation) -> Iterator[Call]:
    """Open the unit of work of whoever's key came with the request; commit it at the end.

    The organization comes from the key, never from the address or the body.

    Raises:
        UnauthenticatedError: No key, or one that is unknown, expired, revoked, or of somebody without access.
        InsufficientScopeError: The key was not made for this.
        TooManyRequestsError: The key, or strangers from this address, asked too often.
    """
    kind, _, text = request.headers.get("Authorization", "").partition(" ")
    limits.check_stranger()
    if kind.lower() != "bearer" or not text:
        raise UnauthenticatedError
    at = runtime.clock.now()
    with Session(runtime.engine, expire_on_commit=False) as session, session.begin():
        principal = enter_api_key(session, credential_hash(text.strip()), at)
        if principal is None:
            limits.note_refused()
            raise UnauthenticatedError
        org_id, key_id = principal
        limits.spend(key_id)
        unit = runtime.bind(session, org_id, SYSTEM, at=at)
        key, unit.actor = actor_of_key(unit, key_id)
        _require_scope(key, operation)

        def refuse_what_ended(locked: Unit) -> None:
            """Refuse a call that waited for the lock while its key, or its person's access or role, came to an end."""
            if actor_of_key(locked, key_id)[1] != locked.actor:
                raise UnauthenticatedError

        unit.recheck = refuse_what_ended
        with bound_ids(org_id=str(unit.org_id), api_key=str(key_id)):
            yield Call(unit, key, runtime, operation)
            unit.finish()
        if key.last_used_at is None or at - key.last_used_at >= _SEEN_EVERY:
            # Last, after whatever locks the view took: the organization's lock always comes before this row's.
            key.last_used_at = at


def _require_scope(key: ApiKey, operation: Operation) -> None:
    wanted = operation.scope
    if wanted is not None and not includes([Scope(name) for name in key.scopes], wanted):
        raise InsufficientScopeError(operation.summary.lower(), (wanted,))


def _network() -> str:
    return network_of(request.remote_addr or "")


def _refuse_for(seconds: float) -> None:
    if seconds:
        raise TooManyRequestsError(max(1, math.ceil(seconds)))
