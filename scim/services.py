"""The protocol as each organization has it; services are shared and keep no state between requests."""

from bridge.runtime import Runtime
from bridge.store.gate import ScimPrincipal
from scim.service import BridgeService


class Services:
    """Finds the service of a caller: who only reads sees the seat extension, who writes does not."""

    def __init__(self, runtime: Runtime) -> None:
        self._writers, self._readers = (BridgeService(runtime, with_seat=with_seat) for with_seat in (False, True))

    def of(self, principal: ScimPrincipal) -> BridgeService:
        """Return the service that a caller is served by."""
        return self._writers if principal.can_write else self._readers
