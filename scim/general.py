"""The general way of a request, which answers everything, and with which every short way agrees."""

from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from scim2_server.routing import Operation

from bridge.store.gate import ScimPrincipal
from bridge.store.unit import Unit
from bridge.usecases.provisioning_mode import refuse_pushes
from scim.handler import BridgeHandler
from scim.service import BridgeService
from scim.storage import MemberStorage


def serve_in(
    unit: Unit, service: BridgeService, principal: ScimPrincipal, operation: Operation, sent: ScimRequest
) -> ScimResponse:
    """Serve a request of a caller whose credential was checked, in a unit that whoever opened it commits.

    Raises:
        PushesRefusedError: It writes, and the organization's provisioning mode takes no pushes (rule A9).
    """
    # A mode that was ever switched has moved the version, and storage refuses a version that moves meanwhile.
    if principal.schema_version and not service.reads_only(operation):
        refuse_pushes(unit)
    storage = MemberStorage(
        unit,
        principal.connection_id,
        service.provider,
        writing=not service.reads_only(operation),
        several=operation is Operation.bulk,
        own=service.own,
        schema_version=principal.schema_version,
    )
    return BridgeHandler(service, storage).handle(sent)
