"""The provisioning log: requests are noted in memory and written behind them, so that none waits for its own entry.

A process that is killed outright loses the entries of its last second; the audit chain, which is written with what it
tells of, loses nothing.
"""

import os
import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import exc

from bridge.domain.actors import SYSTEM
from bridge.domain.identifiers import OrgId
from bridge.domain.request_log import ordered_id
from bridge.runtime import Runtime
from bridge.store import gate
from bridge.store.request_log import count_unattributed, states_of_tokens, write_requests, write_signs
from bridge.store.unit import Unit
from scim.callers import KnownCaller, KnownCallers
from scim.log_entries import Entry, Heard, entry_of

log = structlog.get_logger()

INTERVAL_SECONDS = 1.0
BATCH = 200
#: Entries that wait while the database is away, and the bytes of their bodies; beyond, the oldest are dropped.
MAX_WAITING = 10_000
MAX_WAITING_BYTES = 32 * 1024 * 1024
#: Entries of one organization and minute whose token is nobody's.
MAX_UNATTRIBUTED = 60
_MINUTE = timedelta(minutes=1)
_CLOSE_SECONDS = 10.0
_AWAY = (exc.OperationalError, exc.InterfaceError, exc.TimeoutError)


class RequestLog:
    """Entries on their way into the database.

    The thread that writes starts with the first entry, in the process that serves: a server that forks afterwards
    leaves it behind, and the child starts its own. Closing the runtime writes what waits.

    Args:
        runtime: The product.
        callers: Whose token is whose; what is found out for the log is remembered there.
        max_waiting: Entries that wait at most.
        max_waiting_bytes: What their bodies may take.
    """

    def __init__(
        self,
        runtime: Runtime,
        callers: KnownCallers,
        *,
        max_waiting: int = MAX_WAITING,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
    ) -> None:
        self._runtime, self._callers = runtime, callers
        self._max_waiting, self._max_waiting_bytes = max_waiting, max_waiting_bytes
        self._count = 0
        self.dropped = 0
        self._begin_empty()
        runtime.closing.callback(self.close)
        itself = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _in_child(itself()))

    def _begin_empty(self) -> None:
        self._waiting: deque[Heard] = deque()
        self._bytes = 0
        self._thread: threading.Thread | None = None
        self._closed = False
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._wake = threading.Event()

    def note(self, heard: Heard) -> None:
        """Take an entry over; it is written within about a second. Never waits, never fails."""
        with self._lock:
            self._waiting.append(heard)
            self._bytes += heard.weight
            self._keep_bounds()
            waiting = len(self._waiting)
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="scim-request-log", daemon=True)
                self._thread.start()
        if waiting == BATCH:
            self._wake.set()

    def flush(self) -> None:
        """Write what waits now, in this thread.

        What comes meanwhile waits for the next time: under steady traffic each entry would else be a transaction.

        Raises:
            SQLAlchemyError: The database is away; what could not be written waits on.
        """
        with self._writing:
            left = len(self._waiting)
            while left > 0 and (batch := self._take(left)):
                left -= len(batch)
                try:
                    self._write(batch)
                except _AWAY:
                    self._put_back(batch)
                    raise

    def close(self) -> None:
        """Write what waits, and let the thread end."""
        with self._lock:
            self._closed = True
            thread = self._thread
        self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(_CLOSE_SECONDS)
        try:
            self.flush()
        except exc.SQLAlchemyError as error:
            log.warning("scim.request_log.lost", entries=len(self._waiting), error=type(error).__name__)

    def _run(self) -> None:
        while True:
            self._wake.wait(INTERVAL_SECONDS)
            self._wake.clear()
            if self._closed:
                return
            try:
                self.flush()
            except Exception as error:  # noqa: BLE001 (whatever it is, the next second may do better)
                log.warning("scim.request_log.waits", entries=len(self._waiting), error=type(error).__name__)
                time.sleep(INTERVAL_SECONDS)

    def _keep_bounds(self) -> None:
        while len(self._waiting) > self._max_waiting or (self._bytes > self._max_waiting_bytes and self._waiting):
            self._bytes -= self._waiting.popleft().weight
            self.dropped += 1

    def _take(self, most: int) -> list[Heard]:
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, most, len(self._waiting)))]
            self._bytes -= sum(heard.weight for heard in batch)
            dropped, self.dropped = self.dropped, 0
        if dropped:
            log.warning("scim.request_log.dropped", entries=dropped)
        return batch

    def _put_back(self, batch: Sequence[Heard]) -> None:
        with self._lock:
            self._waiting.extendleft(reversed(batch))
            self._bytes += sum(heard.weight for heard in batch)
            self._keep_bounds()

    def _write(self, batch: Sequence[Heard]) -> None:
        """Write a batch, each organization's part in a transaction of its own."""
        for heard in batch:
            if heard.id is None:  # given once: a batch that is tried again writes nothing twice
                heard.id = ordered_id(heard.at, self._count)
                self._count += 1
        for org_id, entries in self._attributed(batch).items():
            if not self._write_part(org_id, entries):
                for entry in entries:  # one that cannot be written must not take the others with it
                    self._write_part(org_id, [entry])

    def _write_part(self, org_id: OrgId, entries: Sequence[Entry]) -> bool:
        """Write entries of one organization; False where the database refused them."""
        try:
            with self._runtime.unit(org_id, SYSTEM, request_id="request-log") as unit:
                _write_entries(unit, entries)
        except _AWAY:
            raise
        except Exception:
            log.exception("scim.request_log.failed", org_id=str(org_id), entries=len(entries))
            return False
        return True

    def _attributed(self, batch: Sequence[Heard]) -> Mapping[OrgId, list[Entry]]:
        """Find out whose requests these were: by the token, and without one that is ours by what the path names."""
        self._trace(
            {heard.token_hash for heard in batch if heard.token_hash and not self._callers.of(heard.token_hash)}
        )
        strangers = {heard.slug for heard in batch if self._callers.of(heard.token_hash) is None}
        strangers = {slug for slug in strangers if slug and "\x00" not in slug}  # no text in the database has it
        named = self._ask(lambda session: gate.find_organizations(session, sorted(strangers))) if strangers else {}
        found: dict[OrgId, list[Entry]] = {}
        for heard in batch:
            caller = self._callers.of(heard.token_hash)
            org_id = caller.org_id if caller is not None else named.get(heard.slug)
            if org_id is not None:
                found.setdefault(org_id, []).append(_entry_of(heard, caller))
        return found

    def _trace(self, hashes: Iterable[bytes]) -> None:
        unknown = sorted(hashes)
        if not unknown:
            return
        for token_hash, traced in self._ask(lambda session: gate.trace_scim_tokens(session, unknown)).items():
            caller = KnownCaller(traced.org_id, traced.slug, traced.connection_id, traced.token_id)
            self._callers.keep(token_hash, caller)

    def _ask(self, question: Callable[[Any], Any]) -> Any:
        return self._runtime.ask_gate(question)


def _entry_of(heard: Heard, caller: KnownCaller | None) -> Entry:
    """Make an entry; a body that nobody can read must take neither this entry nor the others with it."""
    try:
        return entry_of(heard, caller)
    except Exception:
        log.exception("scim.request_log.unreadable", request_id=heard.request_id)
        return entry_of(heard.without_bodies(), caller)


def _write_entries(unit: Unit, entries: Sequence[Entry]) -> None:
    entries = _within_cap(unit, entries)
    refused = [entry for entry in entries if entry.is_refused_credential]
    if refused:
        states = states_of_tokens(unit, {entry.caller.token_id for entry in refused if entry.caller is not None})
        for entry in refused:
            entry.explain_refusal(states)
    if entries:
        write_requests(unit, [entry.row for entry in entries])
    seen: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        seen.update((str(entry.caller.connection_id), sign) for sign in entry.signs if entry.caller is not None)
    if seen:
        first, last = entries[0].at, entries[-1].at
        write_signs(
            unit,
            [
                {"connection_id": connection, "sign": sign, "seen": count, "first_at": first, "last_at": last}
                for (connection, sign), count in seen.items()
            ],
        )


def _within_cap(unit: Unit, entries: Sequence[Entry]) -> Sequence[Entry]:
    """Leave out entries whose token is nobody's beyond so many a minute: nobody can flood another one's log."""
    strangers = [entry for entry in entries if entry.caller is None]
    if not strangers:
        return entries
    left = max(0, MAX_UNATTRIBUTED - count_unattributed(unit, strangers[-1].at - _MINUTE))
    kept = {id(entry) for entry in strangers[:left]}
    return [entry for entry in entries if entry.caller is not None or id(entry) in kept]


def _in_child(log_of_parent: RequestLog | None) -> None:
    """Begin anew after a fork: what waits is the parent's to write, and its thread and locks stayed there."""
    if log_of_parent is not None:
        log_of_parent._begin_empty()  # noqa: SLF001 (of the same module: a fork is nobody else's business)
