"""The protocol's steps: reading requests in their dialects, writing answers from stored documents."""

import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Union, cast

import structlog
from pydantic import ValidationError
from scim2_models import (
    BulkOperation,
    BulkRequest,
    Context,
    Error,
    ForbiddenException,
    InvalidFilterException,
    NotFoundException,
    PatchOp,
    PayloadTooLargeException,
    Resource,
    ResourceType,
    ResponseParameters,
    Schema,
    SCIMException,
    SearchRequest,
)
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from scim2_server.routing import Operation, Target
from scim2_server.service import ScimService
from scim2_server.utils import parametrize

from bridge.domain.extension_schemas import RESOURCE_TYPES, ExtensionSchema
from bridge.runtime import Runtime
from bridge.store.gate import ScimPrincipal
from scim import normalize
from scim.bulk import ReadPlan
from scim.discovery import Discovery, standard_discovery
from scim.errors import UnknownShapeException, invalid, refusal_of, sentence
from scim.expressions import filter_text
from scim.extensions import Extensions, extensions_of
from scim.limits import checked_text, parse_json
from scim.projection import Part, part_of
from scim.resources import READING_POLICY, USER, build_provider, model_of
from scim.search import Found
from scim.translate import Stored, StoredGroup, to_json, to_resource

log = structlog.get_logger()

#: What JSON numbers of ours can hold; no list is as long.
LARGEST_INDEX = 2**53
LIST_RESPONSE = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
_TRUTH = re.compile(r"\b(active|primary)\s+(?!pr\b|(?:eq|ne)\s+(?:true|false|null)\b)", re.IGNORECASE)
_READS = frozenset(
    {
        Operation.query,
        Operation.search,
        Operation.search_with_body,
        Operation.service_provider_config,
        Operation.resource_types,
        Operation.resource_type,
        Operation.schemas,
        Operation.schema,
    }
)


class BridgeService(ScimService):
    """The library's protocol with our normalizer before its models and stored documents behind its answers.

    It keeps no state between requests.

    Args:
        runtime: The product.
        with_seat: Whether people carry the seat extension, which is for clients that only read.
        schemas: What the organization declared of its own.
    """

    def __init__(self, runtime: Runtime, *, with_seat: bool, schemas: Sequence[ExtensionSchema] = ()) -> None:
        provider = build_provider(runtime.settings, with_seat=with_seat, own=schemas)
        self.own = {name: extensions_of(schemas, name) for name in RESOURCE_TYPES}
        super().__init__(provider, secret=runtime.secrets.derive("scim-cursor"))
        self.max_body_bytes = runtime.settings.scim.max_body_bytes
        own = [Schema.model_validate(schema.document()) for schema in schemas]
        self.discovery = Discovery(provider, own) if own else standard_discovery(provider)

    @staticmethod
    def match(request: ScimRequest) -> Target:
        """Return what a request asks for; a base URL that ends in a slash (``//Users``) is named as the mistake."""
        if "//" in request.path:
            raise NotFoundException(detail="The path has an empty segment: does the base URL end in a slash?")
        return ScimService.match(request)

    def max_body_size(self, request: ScimRequest) -> int:
        """Return the largest body that is read for a request, in bytes."""
        try:
            bulk = self.match(request).operation is Operation.bulk
        except SCIMException:
            return 0
        return self.bulk_max_payload_size() or self.max_body_bytes if bulk else self.max_body_bytes

    @staticmethod
    def reads_only(operation: Operation) -> bool:
        """Tell whether an operation changes nothing."""
        return operation in _READS

    def authorize(self, request: ScimRequest, target: Target, resource_type: ResourceType) -> None:
        """Refuse what a person's token, or one that only reads, may not do."""
        del resource_type
        principal = cast("ScimPrincipal", request.subject)
        reads = self.reads_only(target.operation)
        if (principal.subject_id is not None and not (target.me and reads)) or not (principal.can_write or reads):
            raise self.read_only(principal)

    @staticmethod
    def read_only(principal: ScimPrincipal) -> ForbiddenException:
        """Return the refusal of what a token that does not write asked for."""
        if principal.subject_id is not None:
            return ForbiddenException(detail="This token is a person's: it reads /Me; the directory changes people")
        return ForbiddenException(detail="This token may only read")

    def me_target(self, request: ScimRequest) -> tuple[ResourceType, str]:
        """Return whom ``/Me`` stands for: the person whose token it is (RFC 7644 §3.11)."""
        principal = cast("ScimPrincipal", request.subject)
        if principal.subject_id is None:
            raise NotFoundException(detail="This token is a provisioning client's: nobody is /Me for it")
        return self.resource_type_at("Users"), str(principal.subject_id)

    def me_creation_type(self, request: ScimRequest) -> ResourceType:
        """Return what a POST to ``/Me`` would create, for :meth:`authorize` to refuse."""
        return self.me_target(request)[0]

    def own_of(self, resource_type: ResourceType) -> Extensions:
        """Return the organization's own extensions of a resource type."""
        return self.own[str(resource_type.name)]

    # Reading.

    @staticmethod
    def ensure_json(content_type: str | None) -> None:
        """Refuse a body that says it is no JSON; ``text/json`` and none at all are taken for it (RFC 7644 §3.8)."""
        if content_type and content_type.partition(";")[0].strip().casefold() != "text/json":
            ScimService.ensure_json(content_type)

    def decode_body(self, body: bytes, content_type: str | None) -> Any:
        """Return the JSON value of a body, inside the limits."""
        self.ensure_json(content_type)
        return parse_json(body)

    def read_creation(self, resource_type: ResourceType, body: bytes, content_type: str | None) -> Resource[Any]:
        """Read the body of a POST."""
        payload = self._normal(resource_type, self.decode_body(body, content_type))
        model = model_of(self.provider, resource_type)
        return cast("Resource[Any]", _validated(model, payload, Context.RESOURCE_CREATION_REQUEST))

    def read_replacement(self, resource_type: ResourceType, body: bytes, content_type: str | None) -> Resource[Any]:
        """Read the body of a PUT; its ``active`` is None when it says nothing of it."""
        sent = self.decode_body(body, content_type)
        payload = self._normal(resource_type, sent)
        model = model_of(self.provider, resource_type)
        replacement = cast("Resource[Any]", _validated(model, payload, Context.RESOURCE_REPLACEMENT_REQUEST))
        _forget_active(replacement, sent)
        return replacement

    def read_patch(self, resource_type: ResourceType, body: bytes, content_type: str | None) -> "PatchOp[Any]":
        """Read the body of a PATCH."""
        return self.validated_patch(resource_type, self.plain_patch(resource_type, body, content_type))

    def plain_patch(self, resource_type: ResourceType, body: bytes, content_type: str | None) -> dict[str, Any]:
        """Read the body of a PATCH into its plain form: one operation for each attribute."""
        return self._plain_patch(resource_type, self.decode_body(body, content_type))

    def validated_patch(self, resource_type: ResourceType, plain: dict[str, Any]) -> "PatchOp[Any]":
        """Return the library's model of a plain PATCH."""
        model = parametrize(PatchOp, model_of(self.provider, resource_type))
        return cast("PatchOp[Any]", _validated(model, plain, Context.RESOURCE_PATCH_REQUEST))

    def read_search(self, resource_types: list[ResourceType], payload: Any) -> tuple[SearchRequest[Any], Any]:
        """Read a search, its filter brought into the standard's form; an empty filter is none."""
        if isinstance(payload, Mapping):
            payload = {n: v for n, v in payload.items() if n.casefold() == "cursor" or v != ""}
            of_people = any(resource_type.schema_ == USER for resource_type in resource_types)
            for name, value in payload.items():
                if name.casefold() == "filter" and isinstance(value, str):
                    payload[name] = filter_text(value, of_people=of_people)
                elif isinstance(value, str):
                    checked_text(value, 8192, name=name)
        try:
            return super().read_search(resource_types, payload)
        except SCIMException as error:
            if isinstance(error.__cause__, ValidationError):
                raise _explained(invalid(error.__cause__), payload) from None
            raise

    def read_response_parameters(
        self, resource_type: ResourceType, query: Mapping[str, str]
    ) -> ResponseParameters[Any]:
        """Read ``attributes`` and ``excludedAttributes``."""
        for name in ("attributes", "excludedAttributes"):
            checked_text(query.get(name, ""), 8192, name=name)
        try:
            return super().read_response_parameters(resource_type, query)
        except SCIMException as error:
            if isinstance(error.__cause__, ValidationError):
                raise invalid(error.__cause__) from None
            raise

    def read_bulk(self, body: bytes, content_type: str | None) -> ReadPlan:
        """Read a Bulk request; an operation that cannot be read fails alone."""
        self.ensure_bulk_payload_size(len(body))
        payload = self.decode_body(body, content_type)
        limit = self.config.bulk.max_operations if self.config.bulk else None
        operations = (
            next((value for name, value in payload.items() if name.casefold() == "operations"), None)
            if isinstance(payload, Mapping)
            else None
        )
        if isinstance(operations, list) and limit is not None and len(operations) > limit:
            raise PayloadTooLargeException(detail=f"A Bulk request has at most {limit} operations")
        failures: dict[int, SCIMException] = {}
        if isinstance(operations, list):
            plain = [self._bulk_operation(each, number, failures) for number, each in enumerate(operations)]
            payload = {**{n: v for n, v in payload.items() if n.casefold() != "operations"}, "Operations": plain}
        models: Any = tuple(self.get_models())
        request = _validated(parametrize(BulkRequest, Union[models]), payload, Context.BULK_REQUEST)  # noqa: UP007 (known at run time only)
        for number, operation in enumerate(request.operations or []):
            if number in failures:
                refusal = refusal_of(failures[number])
                operation.response, operation.status = refusal.to_error(), refusal.status
            elif isinstance(operation.response, Error):
                operation.response.detail = _bulk_detail(operation)
            elif operation.method == BulkOperation.Method.put and isinstance(operations, list):
                data = next((v for n, v in operations[number].items() if n.casefold() == "data"), None)
                _forget_active(operation.data, data)
        unreadable = [number for number, error in failures.items() if isinstance(error, UnknownShapeException)]
        return ReadPlan(request.operations or [], request.fail_on_errors, unreadable)

    def bulk_success(
        self,
        base_url: str,
        operation: BulkOperation[Resource[Any]],
        outcome: dict[str, Any],
        resource: Resource[Any] | None,
    ) -> dict[str, Any]:
        """Return the outcome of an operation that succeeded: 200 where who was to be removed stays, for an owner."""
        outcome = super().bulk_success(base_url, operation, outcome, resource)
        if operation.method == BulkOperation.Method.delete and resource is not None:
            outcome["status"] = HTTPStatus.OK
        return outcome

    def _bulk_operation(self, operation: Any, number: int, failures: dict[int, SCIMException]) -> Any:
        if not isinstance(operation, Mapping):
            return operation
        facts = {name.casefold(): (name, value) for name, value in operation.items()}
        method, path = (facts.get(name, (name, None))[1] for name in ("method", "path"))
        if "data" not in facts or not isinstance(path, str) or not isinstance(method, str):
            return operation
        resource_type = self.get_resource_type_by_endpoint(path.strip("/").partition("/")[0])
        if resource_type is None:
            return operation
        name, data = facts["data"]
        try:
            if method.upper() == "PATCH":
                data = self._plain_patch(resource_type, data)
            else:
                data = self._normal(resource_type, data)
        except SCIMException as error:
            failures[number] = error
            data = None
        return {**operation, name: data}

    def _normal(self, resource_type: ResourceType, payload: Any) -> dict[str, Any]:
        own = self.own_of(resource_type)
        if resource_type.name == "Group":
            return normalize.group(payload, own)
        return {"active": True, **normalize.person(payload, own)}

    def _plain_patch(self, resource_type: ResourceType, payload: Any) -> dict[str, Any]:
        return normalize.patch(payload, of_group=resource_type.name == "Group", own=self.own_of(resource_type))

    # Writing.

    def answer(
        self,
        base_url: str,
        resource_type: ResourceType,
        stored: Stored,
        parameters: ResponseParameters[Any] | None,
        *,
        created: bool = False,
    ) -> ScimResponse:
        """Return the answer that shows one resource, whole from its document or in part through its model."""
        document = self.document(base_url, resource_type, stored, parameters)
        location = self.resource_location(base_url, resource_type, _identifier(stored))
        headers = {"ETag": stored.version, "Content-Location": location}
        if created:
            headers["Location"] = location
        return ScimResponse(HTTPStatus.CREATED if created else HTTPStatus.OK, document, headers)

    def document(
        self,
        base_url: str,
        resource_type: ResourceType,
        stored: Stored,
        parameters: ResponseParameters[Any] | None,
    ) -> dict[str, Any]:
        """Return the representation of a resource, or the part of it that was asked for."""
        return self.writer_of(base_url, resource_type, parameters)(stored)

    def writer_of(
        self, base_url: str, resource_type: ResourceType, parameters: ResponseParameters[Any] | None
    ) -> Callable[[Stored], dict[str, Any]]:
        """Return what writes the representations of many resources of one type, or the asked part of each."""
        part, own = self.part_of(resource_type, parameters), self.own_of(resource_type)
        if part is not None:
            return lambda stored: part.of(to_json(stored, base_url, own))
        model = model_of(self.provider, resource_type)

        def through_model(stored: Stored) -> dict[str, Any]:
            resource = self.publish(base_url, to_resource(stored, model))
            shown = resource.model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE, response_parameters=parameters)
            return own.with_always(shown, to_json(stored))

        return through_model

    def part_of(self, resource_type: ResourceType, parameters: ResponseParameters[Any] | None) -> Part | None:
        """Return the part of a document that an answer shows; None when the model has to choose it."""
        whole = parameters is None or not (parameters.attributes or parameters.excluded_attributes)
        if not whole and self.own_of(resource_type).by_urn:
            return None  # An attribute of an extension may have the name of another one.
        return part_of(parameters, model_of(self.provider, resource_type))

    def listing(
        self,
        base_url: str,
        resource_types: list[ResourceType],
        found: Found,
        stored: list[Stored],
        request: SearchRequest[Any],
    ) -> ScimResponse:
        """Return the answer to a search."""
        writers = {str(each.name): self.writer_of(base_url, each, request) for each in resource_types}
        body: dict[str, Any] = {"schemas": [LIST_RESPONSE]}
        if found.total is not None:
            body["totalResults"] = found.total
        body["itemsPerPage"] = len(stored)
        if request.cursor is None:
            body["startIndex"] = min(request.start_index or 1, LARGEST_INDEX)
        elif request.count != 0:
            cursors = {
                "previousCursor": self._seal(resource_types, request, found.previous),
                "nextCursor": self._seal(resource_types, request, found.next),
            }
            body |= {name: cursor for name, cursor in cursors.items() if cursor is not None}
        body["Resources"] = [writers[name](each) for (name, _), each in zip(found.keys, stored, strict=True)]
        return ScimResponse(HTTPStatus.OK, body)

    @staticmethod
    def error_of(exception: Exception) -> Error:
        """Return the SCIM Error of any exception, by the one table."""
        return refusal_of(exception).to_error()

    def bulk_failure(self, outcome: dict[str, Any], exception: Exception) -> dict[str, Any]:
        """Return the outcome of an operation that failed; a bug is logged, a lost database ends the whole request."""
        refusal = refusal_of(exception)
        if refusal.status == HTTPStatus.SERVICE_UNAVAILABLE:
            raise exception
        if refusal.is_bug:
            log.error("scim.bulk_step_failed", exc_info=exception)
        return {**outcome, "status": refusal.status, "response": refusal.to_error()}


def _bulk_detail(operation: "BulkOperation[Any]") -> str:
    """Say what is wrong with an operation that the library did not read."""
    if operation.method == BulkOperation.Method.post and not operation.bulk_id:
        return "bulkId is missing: a POST in a Bulk request needs one"
    return sentence(operation.response.scim_type if isinstance(operation.response, Error) else None)


def _explained(error: SCIMException, payload: Any) -> SCIMException:
    """Say of a filter on a truth what it may be compared with: the most frequent mistake."""
    text = next((v for n, v in payload.items() if n.casefold() == "filter"), "") if isinstance(payload, Mapping) else ""
    if error.scim_type == "invalidFilter" and isinstance(text, str) and (found := _TRUTH.search(text)):
        return InvalidFilterException(detail=f"{found.group(1)} is true or false: compare it by eq or ne, unquoted")
    return error


def _validated(model: Any, payload: Any, context: Context) -> Any:
    try:
        return model.model_validate(payload, scim_ctx=context, scim_policy=READING_POLICY)
    except ValidationError as error:
        raise invalid(error) from None


def _identifier(stored: Stored) -> str:
    return str(stored.group.id if isinstance(stored, StoredGroup) else stored.member.id)


def _forget_active(replacement: Any, sent: Any) -> None:
    """Leave a replacement without ``active`` when none was sent: the stored value then stays."""
    if isinstance(sent, Mapping) and hasattr(replacement, "active"):
        said = [value for name, value in sent.items() if name.casefold() == "active"]
        if said in ([], [None]):
            replacement.active = None
