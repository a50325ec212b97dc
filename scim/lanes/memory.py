"""What a process remembers of the credentials it has served: rules to decide by, which every statement checks again."""

from collections import OrderedDict
from threading import Lock

from bridge.domain.actors import Actor, ActorKind
from bridge.runtime import Runtime
from bridge.store.gate import ScimPrincipal
from bridge.usecases.quick_writes import Rules, read_rules

#: Credentials that are remembered; the one that was used longest ago is forgotten first.
MAX_REMEMBERED = 1000


class Memory:
    """Rules by the hash of the credential that they were read with.

    Nothing here grants anything: who calls is found out by each statement, and rules that no longer hold make it
    decline.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, tuple[ScimPrincipal, Rules]] = OrderedDict()
        self._lock = Lock()

    def recall(self, token_hash: bytes) -> tuple[ScimPrincipal, Rules] | None:
        """Return what is remembered of a credential."""
        with self._lock:
            known = self._known.get(token_hash)
            if known is not None:
                self._known.move_to_end(token_hash)
            return known

    def learn(self, runtime: Runtime, token_hash: bytes, principal: ScimPrincipal) -> None:
        """Read the rules of whom a credential was just found to be, and remember them."""
        with runtime.unit(principal.org_id, Actor(ActorKind.DIRECTORY, principal.connection_id)) as unit:
            rules = read_rules(unit, principal.connection_id, principal.schema_version)
        with self._lock:
            self._known[token_hash] = (principal, rules)
            self._known.move_to_end(token_hash)
            while len(self._known) > MAX_REMEMBERED:
                self._known.popitem(last=False)

    def forget(self, token_hash: bytes) -> None:
        """Forget a credential: a statement has found something changed."""
        with self._lock:
            self._known.pop(token_hash, None)
