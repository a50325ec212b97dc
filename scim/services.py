"""The protocol of each organization, built once for each set of schemas: models take a tenth of a second."""

import hashlib
import json
import threading

from bridge.domain.actors import SYSTEM
from bridge.domain.extension_schemas import ExtensionSchema
from bridge.domain.identifiers import OrgId
from bridge.domain.recent import Recent
from bridge.runtime import Runtime
from bridge.store.gate import ScimPrincipal
from bridge.usecases.extension_schemas import list_schemas
from scim.service import BridgeService

#: Services with schemas of their own that are kept, each about a megabyte of models. Pydantic does not give all of a
#: dropped one back, so the bound is well above what one process is likely to serve.
MAX_SERVICES = 256
#: Organizations of which it is remembered what they declared.
MAX_ORGANIZATIONS = 10_000


class Services:
    """Gives each caller the service of its organization's schemas; organizations that declare the same share one.

    Args:
        runtime: The product.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._standard = {can_write: self._build((), can_write=can_write) for can_write in (True, False)}
        self._digests: Recent[tuple[OrgId, int], str] = Recent(MAX_ORGANIZATIONS)
        self._own: Recent[tuple[str, bool], BridgeService] = Recent(MAX_SERVICES)
        self._building = threading.Lock()

    @property
    def standard(self) -> BridgeService:
        """The service of who declares no schemas: what a request says of a page is the same everywhere."""
        return self._standard[True]

    def of(self, principal: ScimPrincipal) -> BridgeService:
        """Return the service for a caller: what it may write decides whether people show their seat."""
        return self.at(principal.org_id, principal.schema_version, can_write=principal.can_write)

    def at(self, org_id: OrgId, schema_version: int, *, can_write: bool) -> BridgeService:
        """Return the service of an organization's schemas."""
        if schema_version == 0:
            return self._standard[can_write]
        key = (org_id, schema_version)
        return self._known(key, can_write=can_write) or self._made(key, can_write=can_write)

    def _known(self, key: tuple[OrgId, int], *, can_write: bool) -> BridgeService | None:
        digest = self._digests.get(key)
        return None if digest is None else self._own.get((digest, can_write))

    def _made(self, key: tuple[OrgId, int], *, can_write: bool) -> BridgeService:
        """Build a service, one at a time: requests that arrive together need the same one."""
        with self._building:
            service = self._known(key, can_write=can_write)
            if service is not None:
                return service
            with self._runtime.unit(key[0], SYSTEM) as unit:
                schemas = tuple(list_schemas(unit))
            digest = _digest(schemas)
            service = self._own.get((digest, can_write))
            service = service or (self._build(schemas, can_write=can_write) if schemas else self._standard[can_write])
            self._digests.keep(key, digest)
            self._own.keep((digest, can_write), service)
            return service

    def _build(self, schemas: tuple[ExtensionSchema, ...], *, can_write: bool) -> BridgeService:
        return BridgeService(self._runtime, with_seat=not can_write, schemas=schemas)


def _digest(schemas: tuple[ExtensionSchema, ...]) -> str:
    text = json.dumps([schema.declaration() for schema in schemas], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
