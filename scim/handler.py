"""The operations of a SCIM request over rows: memberships change by deltas, answers come from stored documents."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, cast

from scim2_models import BulkOperation, NoTargetException, PatchOp, Resource, ResourceType, ResponseParameters
from scim2_server.conditions import Conditions
from scim2_server.handler import ScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from scim2_server.routing import Operation

from bridge.domain.identifiers import MemberId
from bridge.errors import AdoptionRefusedError
from bridge.store.models import Group
from bridge.usecases.alerts import raise_alert
from scim.bulk import UnreadableResponse
from scim.filters import member_conditions
from scim.memberships import MembersDelta, members_delta, named_member
from scim.resources import model_of
from scim.service import BridgeService
from scim.storage import MemberStorage, shows_related
from scim.translate import Stored, StoredGroup, StoredPerson, member_values

#: A PATCH of a larger group answers 204: writing its members back would cost what the delta saved.
MAX_MEMBERS_SHOWN = 100


class BridgeHandler(ScimHandler):
    """Serves one request of one connection."""

    service: BridgeService
    storage: MemberStorage

    def create(self, request: ScimRequest) -> ScimResponse:
        """Create a person or group (RFC 7644 §3.3); ``attributes`` choose what the answer shows."""
        with self.service.provider:
            resource_type, _, parameters = self._begin(request, Operation.create)
            resource = self.service.read_creation(resource_type, request.body, request.header("Content-Type"))
            with self.storage.operation():
                stored = self.storage.add(resource_type, resource)
                return self.service.answer(request.base_url, resource_type, stored, parameters, created=True)

    def query(self, request: ScimRequest) -> ScimResponse:
        """Read a person or group (RFC 7644 §3.4.1)."""
        with self.service.provider:
            target = self.service.route(request, Operation.query)
            resource_type, resource_id, parameters = self._begin(request, Operation.query)
            with self.storage.operation():
                related = shows_related(resource_type, parameters)
                named = self.service.part_of(resource_type, parameters) is None
                stored = self.storage.read(resource_type, resource_id, related=related, named=named)
                if not self.service.read_conditions(request).check(stored.version, "GET"):
                    return ScimResponse(HTTPStatus.NOT_MODIFIED, None, {"ETag": stored.version})
                answer = self.service.answer(request.base_url, resource_type, stored, parameters)
                return self.service.me_response(request, target, answer)

    def replace(self, request: ScimRequest) -> ScimResponse:
        """Replace a person or group (RFC 7644 §3.5.1)."""
        with self.service.provider:
            resource_type, resource_id, parameters = self._begin(request, Operation.replace)
            replacement = self.service.read_replacement(resource_type, request.body, request.header("Content-Type"))
            with self.storage.operation():
                conditions = self.service.read_conditions(request)
                self.replace_stored(resource_type, resource_id, replacement, conditions)
                stored = self._shown(resource_type, resource_id, parameters)
                return self.service.answer(request.base_url, resource_type, stored, parameters)

    def patch(self, request: ScimRequest) -> ScimResponse:
        """Change a person or group (RFC 7644 §3.5.2): 200 with the resource, 204 for a group above 100 members."""
        with self.service.provider:
            resource_type, resource_id, parameters = self._begin(request, Operation.patch)
            plain = self.service.plain_patch(resource_type, request.body, request.header("Content-Type"))
            delta = members_delta(plain["Operations"]) if resource_type.name == "Group" else None
            patch_op = self.service.validated_patch(resource_type, plain) if delta is None else None
            with self.storage.operation():
                conditions = self.service.read_conditions(request)
                if patch_op is not None:
                    stored = self.patch_stored(resource_type, resource_id, patch_op, conditions)
                else:
                    stored = self.patch_members(resource_type, resource_id, delta or MembersDelta(), conditions)
                if shows_related(resource_type, parameters) and self._is_large(stored):
                    return ScimResponse(HTTPStatus.NO_CONTENT, None, {"ETag": stored.version})
                stored = self._shown(resource_type, resource_id, parameters)
                return self.service.answer(request.base_url, resource_type, stored, parameters)

    def delete(self, request: ScimRequest) -> ScimResponse:
        """Remove a person or group (RFC 7644 §3.6): 204, or 200 with an owner, whom no directory can remove."""
        with self.service.provider:
            resource_type, resource_id, parameters = self._begin(request, Operation.delete)
            with self.storage.operation():
                stored = self.storage.read(resource_type, resource_id, related=False)
                self.service.read_conditions(request).check(stored.version, "DELETE")
                if self.storage.remove(stored):
                    return self.service.deletion_response()
                stored = self._shown(resource_type, resource_id, parameters)
                return self.service.answer(request.base_url, resource_type, stored, parameters)

    def search(self, request: ScimRequest) -> ScimResponse:
        """Search with GET (RFC 7644 §3.4.2)."""
        return self._search(request, Operation.search)

    def search_with_body(self, request: ScimRequest) -> ScimResponse:
        """Search with POST (RFC 7644 §3.4.3)."""
        return self._search(request, Operation.search_with_body)

    def bulk(self, request: ScimRequest) -> ScimResponse:
        """Run a Bulk request (RFC 7644 §3.7), each operation a step that fails alone."""
        self.adoptions_refused: list[AdoptionRefusedError] = []
        with self.service.provider:
            self.service.route(request, Operation.bulk)
            plan = self.service.read_bulk(request.body, request.header("Content-Type"))
            for step in plan:
                plan.record(step, *self.run_bulk_step(request, plan, step))
            for refusal in self.adoptions_refused:
                raise_alert(self.storage.unit, refusal.code, member_id=MemberId(refusal.member_id))
            answer = self.service.bulk_response(plan)
            if not plan.ran_into_unreadable:
                return answer
            raise_alert(self.storage.unit, "unreadable_push")
            return UnreadableResponse(answer.status, answer.body, answer.headers)

    def apply_bulk_operation(
        self, resource_type: ResourceType, operation: BulkOperation[Resource[Any]]
    ) -> Resource[Any] | None:
        """Apply one operation of a Bulk request."""
        try:
            stored = self._apply_step(resource_type, operation)
        except AdoptionRefusedError as refusal:
            self.adoptions_refused.append(refusal)
            raise
        return None if stored is None else self.storage.resource(resource_type, stored)

    def _apply_step(self, resource_type: ResourceType, operation: BulkOperation[Resource[Any]]) -> Stored | None:
        resource_id = operation.resource_id or ""
        conditions = Conditions(if_match=operation.version)
        match operation.method:
            case BulkOperation.Method.post:
                return self.storage.add(resource_type, cast("Resource[Any]", operation.data))
            case BulkOperation.Method.put:
                data = cast("Resource[Any]", operation.data)
                self.replace_stored(resource_type, resource_id, data, conditions)
            case BulkOperation.Method.patch:
                patch_op = cast("PatchOp[Any]", operation.data)
                self.patch_stored(resource_type, resource_id, patch_op, conditions)
            case _:
                if self._remove(resource_type, resource_id, conditions):
                    return None
        return self.storage.read(resource_type, resource_id, related=False)

    def delete_resource(self, resource_type: ResourceType, resource_id: str, conditions: Conditions) -> None:
        """Remove a person or group."""
        self._remove(resource_type, resource_id, conditions)

    def _remove(self, resource_type: ResourceType, resource_id: str, conditions: Conditions) -> bool:
        stored = self.storage.read(resource_type, resource_id, related=False)
        conditions.check(stored.version, "DELETE")
        return self.storage.remove(stored)

    def replace_stored(
        self,
        resource_type: ResourceType,
        resource_id: str,
        replacement: Resource[Any],
        conditions: Conditions,
    ) -> None:
        """Write a replacement; what it does not say of externalId, active or members stays.

        A person who left must not come back because a client leaves ``active`` out, nor a group lose everybody because
        it leaves ``members`` out (RFC 7644 §3.5.1 lets the provider choose).
        """
        stored = self.storage.read(resource_type, resource_id, related=False)
        conditions.check(stored.version, "PUT")
        row = stored.group if isinstance(stored, StoredGroup) else stored.member
        if getattr(replacement, "external_id", None) in {None, ""}:
            replacement.external_id = row.external_id
        if isinstance(stored, StoredGroup):
            self.storage.write_group(stored.group, replacement)
            values = member_values(replacement)
            if values is not None:
                self.storage.change_members(stored.group, replace=values)
        else:
            self.storage.write_person(stored.member, replacement)

    def patch_stored(
        self, resource_type: ResourceType, resource_id: str, patch_op: "PatchOp[Any]", conditions: Conditions
    ) -> Stored:
        """Apply a PATCH: memberships as rows before anything of the group is loaded, the rest through the model."""
        stored = self.storage.read(resource_type, resource_id, related=False)
        conditions.check(stored.version, "PATCH")
        operations = list(patch_op.operations or [])
        if isinstance(stored, StoredGroup):
            about_members = [operation for operation in operations if _is_about_members(operation)]
            operations = [operation for operation in operations if not _is_about_members(operation)]
            self._change_members(resource_type, stored.group, about_members)
        if operations:
            resource = self.storage.resource(resource_type, stored)
            rest = patch_op.model_copy(update={"operations": operations})
            changed = self.service.apply_patch(resource, rest, Conditions()) is not None
            if changed or (isinstance(stored, StoredPerson) and self.storage.waits_for_word(stored.member)):
                if isinstance(stored, StoredGroup):
                    self.storage.write_group(stored.group, resource)
                else:
                    self.storage.write_person(stored.member, resource)
        return stored

    def patch_members(
        self, resource_type: ResourceType, resource_id: str, delta: MembersDelta, conditions: Conditions
    ) -> Stored:
        """Apply a PATCH that is about members only."""
        stored = self.storage.read(resource_type, resource_id, related=False)
        conditions.check(stored.version, "PATCH")
        if isinstance(stored, StoredGroup):
            self._write_members(stored.group, delta)
        return stored

    def patch_resource(
        self, resource_type: ResourceType, resource_id: str, patch_op: "PatchOp[Any]", conditions: Conditions
    ) -> Resource[Any]:
        """Apply a PATCH and return the whole resource, as the library's own steps expect it."""
        self.patch_stored(resource_type, resource_id, patch_op, conditions)
        return self.storage.get(resource_type, resource_id)

    def _change_members(self, resource_type: ResourceType, group: Group, operations: Iterable[Any]) -> None:
        """Add the operations on members up to one change, each applied to what those before it left."""
        delta = MembersDelta()
        for operation in operations:
            values = [entry["value"] for entry in operation.value or []]
            if operation.path.value_filter is not None and operation.op != "add":
                chosen = self._chosen(resource_type, group, operation, delta)
                delta.remove(chosen)
                if operation.op == "replace":
                    delta.add(values)
            elif operation.op == "replace" or (operation.op == "remove" and operation.value is None):
                delta.replace(values)
            elif operation.op == "remove":
                delta.remove(values)
            else:
                delta.add(values)
        self._write_members(group, delta)

    def _chosen(self, resource_type: ResourceType, group: Group, operation: Any, delta: MembersDelta) -> list[str]:
        """Return the members that the filter of an operation selects, after the change so far.

        To remove one named by value it need not be looked for: what waits for somebody to arrive goes too.

        Raises:
            NoTargetException: There is none to replace (RFC 7644 §3.5.2.3).
        """
        named = named_member(operation.path.value_filter)
        if named is not None and operation.op == "remove":
            return [named]
        model = model_of(self.service.provider, resource_type)
        chosen = self.storage.select_members(group, member_conditions(model, operation.path.value_filter), delta)
        if not chosen and operation.op == "replace":
            raise NoTargetException(detail="The filter of the path selects no member to replace")
        return chosen

    def _write_members(self, group: Group, delta: MembersDelta) -> None:
        self.storage.change_members(group, add=delta.added, remove=delta.removed, replace=delta.replacement)

    def _begin(self, request: ScimRequest, operation: Operation) -> tuple[ResourceType, str, ResponseParameters[Any]]:
        """Route and authorize a request for one resource, and read what its answer should show."""
        target = self.service.route(request, operation)
        resource_type = self.service.resource_type_at(cast("str", target.endpoint))
        self.service.authorize(request, target, resource_type)
        parameters = self.service.read_response_parameters(resource_type, request.query)
        return resource_type, target.resource_id or "", parameters

    def _is_large(self, stored: Stored) -> bool:
        return isinstance(stored, StoredGroup) and self.storage.has_more_members(stored.group, MAX_MEMBERS_SHOWN)

    def _shown(self, resource_type: ResourceType, resource_id: str, parameters: ResponseParameters[Any]) -> Stored:
        """Read a resource again after a change, as the answer shows it."""
        self.storage.unit.session.flush()
        return self.storage.read(resource_type, resource_id, related=shows_related(resource_type, parameters))

    def service_provider_config(self, request: ScimRequest) -> ScimResponse:
        """Say what is supported (RFC 7644 §4)."""
        return self.service.discovery.answer(request, self.service.match(request))

    resource_types = resource_type = schemas = schema = service_provider_config

    def _search(self, request: ScimRequest, operation: Operation) -> ScimResponse:
        with self.service.provider:
            target = self.service.route(request, operation)
            resource_types = self.service.searched_types(target.endpoint)
            allowed = self.service.authorized_types(request, target, resource_types)
            if operation is Operation.search:
                search_request, position = self.service.read_search_query(resource_types, request.query)
            else:
                search_request, position = self.service.read_search_body(
                    resource_types, request.body, request.header("Content-Type")
                )
            with self.storage.operation():
                named = any(self.service.part_of(each, search_request) is None for each in allowed)
                found, stored = self.storage.find(allowed, search_request, position=position, named=named)
                return self.service.listing(request.base_url, resource_types, found, stored, search_request)


def _is_about_members(operation: Any) -> bool:
    path = operation.path
    return path is not None and bool(path.parts) and path.parts[0].casefold() == "members"
