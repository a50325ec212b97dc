"""What a process remembers of the credentials it has served: rules to decide by, which every statement checks again."""

from bridge.domain.actors import Actor, ActorKind
from bridge.domain.recent import Recent
from bridge.runtime import Runtime
from bridge.store.gate import ScimPrincipal
from bridge.usecases.provisioning_mode import mode_of
from bridge.usecases.quick_writes import Rules, read_rules

#: Credentials that are remembered.
MAX_REMEMBERED = 1000


class Memory(Recent[bytes, tuple[ScimPrincipal, Rules]]):
    """Rules by the hash of the credential that they were read with.

    Nothing here grants anything: who calls is found out by each statement, and rules that no longer hold make it
    decline.
    """

    def __init__(self) -> None:
        super().__init__(MAX_REMEMBERED)

    def learn(self, runtime: Runtime, token_hash: bytes, principal: ScimPrincipal) -> None:
        """Read the rules of whom a credential was just found to be, and remember them; none where no push is taken."""
        with runtime.unit(principal.org_id, Actor(ActorKind.DIRECTORY, principal.connection_id)) as unit:
            if not mode_of(unit).takes_pushes:
                return
            rules = read_rules(unit, principal.connection_id, principal.schema_version)
        self.keep(token_hash, (principal, rules))
