"""What a service says of itself (RFC 7644 §4): written once, for clients ask again and again and it never changes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any, TypeVar

import orjson
from scim2_models import (
    ListResponse,
    Meta,
    NotFoundException,
    Resource,
    ResourceType,
    Schema,
    ScimProvider,
    ServiceProviderConfig,
)
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from scim2_server.routing import Operation, Target
from scim2_server.service import ScimService

DISCOVERY = frozenset(
    {
        Operation.service_provider_config,
        Operation.resource_types,
        Operation.resource_type,
        Operation.schemas,
        Operation.schema,
    }
)
ResourceT = TypeVar("ResourceT", bound=Resource[Any])

_ROOT = b"@root@"
_KINDS: dict[Operation, type[Resource[Any]]] = {
    Operation.service_provider_config: ServiceProviderConfig,
    Operation.resource_types: ResourceType,
    Operation.resource_type: ResourceType,
    Operation.schemas: Schema,
    Operation.schema: Schema,
}
_ENDPOINTS: dict[type[Resource[Any]], str] = {
    ServiceProviderConfig: "ServiceProviderConfig",
    ResourceType: "ResourceTypes",
    Schema: "Schemas",
}


@dataclass
class WrittenResponse(ScimResponse):
    """An answer whose JSON text is written already."""

    text: bytes = b""


class Discovery:
    """The answers of the three discovery endpoints, each with the entity tag of its content.

    Args:
        provider: What is served.
        own: Schemas of the organization, as it declared them: the library knows them under other names.
    """

    def __init__(self, provider: ScimProvider, own: Sequence[Schema]) -> None:
        named = {str(schema.id): schema for schema in own}
        schemas = [named.get(str(schema.id), schema) for schema in provider.schemas]
        config = provider.config
        assert config is not None
        self._texts: dict[tuple[type[Resource[Any]], str], bytes] = {}
        self._texts[ServiceProviderConfig, ""] = _text(_located(config, "ServiceProviderConfig"))
        for kind, resources in ((ResourceType, provider.resource_types), (Schema, schemas)):
            endpoint = _ENDPOINTS[kind]
            located = [_located(each, f"{endpoint}/{each.id}") for each in resources]
            listed = ListResponse[kind](  # type: ignore[valid-type] # one of two models, known at run time only
                total_results=len(located), items_per_page=len(located), start_index=1, resources=located
            )
            self._texts[kind, ""] = _text(listed)
            self._texts |= {(kind, str(each.id).casefold()): _text(each) for each in located}
        self._tags = {key: f'W/"{hashlib.sha256(text).hexdigest()[:16]}"' for key, text in self._texts.items()}

    def answer(self, request: ScimRequest, target: Target) -> ScimResponse:
        """Answer a request for one of the endpoints, or for one resource of them; 304 for whom it is nothing new.

        Raises:
            ForbiddenException: It asks for a part by a filter (RFC 7644 §4).
            NotFoundException: There is no such schema or resource type.
        """
        ScimService.forbid_filter(request.query)
        kind, identifier = _KINDS[target.operation], target.resource_id or ""
        key = (kind, identifier.casefold())
        if key not in self._texts:
            raise NotFoundException(detail=f"There is no {kind.__name__} {identifier!r}")
        headers = {"ETag": self._tags[key], "Cache-Control": "private, no-cache"}
        if not ScimService.read_conditions(request).check(self._tags[key], "GET"):
            return ScimResponse(HTTPStatus.NOT_MODIFIED, None, headers)
        headers["Content-Location"] = f"{request.base_url}{request.path}"
        text = self._texts[key].replace(_ROOT, orjson.dumps(request.base_url)[1:-1])
        return WrittenResponse(HTTPStatus.OK, None, headers, text)


@lru_cache(maxsize=8)
def standard_discovery(provider: ScimProvider) -> Discovery:
    """Write the answers of a provider without anybody's own schemas: once for all services that share it."""
    return Discovery(provider, ())


def _located(resource: ResourceT, place: str) -> ResourceT:
    meta = Meta(resource_type=type(resource).__name__, location=f"{_ROOT.decode()}/{place}")
    return resource.model_copy(update={"meta": meta})


def _text(message: Any) -> bytes:
    return orjson.dumps(message.model_dump())
