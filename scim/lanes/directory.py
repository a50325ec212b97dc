"""Which lane a request may take, and the answer it gets there."""

import re
from http import HTTPStatus

import structlog
from scim2_models import SCIMException
from scim2_server.responses import ScimResponse
from werkzeug.exceptions import RequestEntityTooLarge

from bridge.domain.actors import Actor, ActorKind
from bridge.errors import BridgeError
from bridge.runtime import Runtime
from bridge.store.gate import ScimPrincipal
from bridge.store.seals import hmac_pads
from bridge.usecases.quick_people import FoundPerson
from bridge.usecases.quick_writes import Caller
from scim.lanes.call import Call
from scim.lanes.groups import GroupsLane
from scim.lanes.memory import Memory
from scim.lanes.pages import PagesLane
from scim.lanes.people import PeopleLane, look_up_terms, stored_of
from scim.service import LIST_RESPONSE, BridgeService
from scim.services import Services
from scim.translate import to_json

log = structlog.get_logger()

_PERSON = re.compile(r"Users/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_GROUP = re.compile(r"Groups/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


class Lanes:
    """Answers the requests that identity providers send all day, each by one or two statements.

    Args:
        runtime: The product.
        services: The protocol of each organization.
    """

    def __init__(self, runtime: Runtime, services: Services) -> None:
        self.runtime, self.services = runtime, services
        self.people = PeopleLane(runtime.lane)
        self.memory = Memory()
        self.pads = hmac_pads(runtime.secrets.derive_all("audit")[0])
        self.root = f"{runtime.settings.server.public_url}/scim/v2"
        self.groups = GroupsLane(runtime.lane, services, self.root)
        self.pages = PagesLane(runtime.lane, services, self.root)

    def answer(self, call: Call) -> ScimResponse | None:
        """Answer a request, or decline by None: then nothing was done, and nothing is known of who sent it."""
        if call.token_hash is None or call.is_conditional:
            return None
        try:
            if call.path.startswith("Groups"):
                return self._of_groups(call)
            if call.method == "GET":
                return self._read(call)
            return self._write(call)
        except (SCIMException, BridgeError, RequestEntityTooLarge):
            # The general way finds it too, and by then who calls is known.
            return None

    def learn(self, call: Call, principal: ScimPrincipal) -> None:
        """Remember the rules of a client that writes, once the general way has found out who it is."""
        if call.token_hash is None or call.method == "GET" or not principal.can_write:
            return
        if self.memory.get(call.token_hash) is None:
            self.memory.learn(self.runtime, call.token_hash, principal)

    def _read(self, call: Call) -> ScimResponse | None:
        if call.path == "Users":
            query = call.query()
            if "filter" not in query:
                return self.pages.search(self._caller(call), query)
            terms = look_up_terms(query)
            if terms is None:
                return None
            found = self.people.look_up(self._caller(call), *terms)
            if found is None:
                return None
            return self._listing(call, found if isinstance(found, FoundPerson) else None)
        matched = _PERSON.fullmatch(call.path)
        if matched is None or call.query():
            return None
        person = self.people.read(self._caller(call), matched.group(1))
        return None if person is None else self._shown(call, person, self._service_of(person))

    def _of_groups(self, call: Call) -> ScimResponse | None:
        if call.method == "GET" and call.path == "Groups":
            return self.groups.search(self._caller(call), call.query())
        matched = _GROUP.fullmatch(call.path)
        if matched is None:
            return None
        if call.method == "GET":
            return self.groups.read(self._caller(call), matched.group(1), call.query())
        return self._patch_group(call, matched.group(1)) if call.method == "PATCH" else None

    def _patch_group(self, call: Call, group_id: str) -> ScimResponse | None:
        assert call.token_hash is not None
        known = self.memory.get(call.token_hash)
        if known is None or call.query() or "HTTP_CONTENT_ENCODING" in call.request.environ:
            return None
        principal, rules = known
        caller = self._caller(call, Actor(ActorKind.DIRECTORY, rules.connection_id))
        answer = self.groups.patch(caller, rules, self.services.of(principal), group_id, call)
        if answer is None:
            self.memory.forget(call.token_hash)
        return answer

    def _write(self, call: Call) -> ScimResponse | None:
        if call.query() or "HTTP_CONTENT_ENCODING" in call.request.environ:
            return None
        matched = _PERSON.fullmatch(call.path)
        creates = call.path == "Users" and call.method == "POST"
        if not creates and (matched is None or call.method not in {"PUT", "PATCH"}):
            return None
        assert call.token_hash is not None
        known = self.memory.get(call.token_hash)
        if known is None:
            return None
        principal, rules = known
        service = self.services.of(principal)
        caller = self._caller(call, Actor(ActorKind.DIRECTORY, rules.connection_id))
        if matched is None:
            person = self.people.create(caller, rules, service, call)
        else:
            step = self.people.replace if call.method == "PUT" else self.people.patch
            person = step(caller, rules, service, matched.group(1), call)
        if person is None:
            # Whatever it was, the rules may be what has changed: they are read anew for the next request.
            self.memory.forget(call.token_hash)
            return None
        return self._shown(call, person, service, created=creates)

    def _caller(self, call: Call, actor: Actor | None = None) -> Caller:
        assert call.token_hash is not None
        return Caller(
            token_hash=call.token_hash,
            slug=call.slug,
            at=call.at,
            actor=str(actor),
            request_id=call.request_id,
            pads=self.pads,
        )

    def _service_of(self, found: FoundPerson) -> BridgeService:
        return self.services.at(found.person.org_id, found.schema_version, can_write=found.can_write)

    def _shown(self, call: Call, found: FoundPerson, service: BridgeService, *, created: bool = False) -> ScimResponse:
        stored = stored_of(found)
        base_url = f"{self.root}/{call.slug}"
        location = f"{base_url}/Users/{found.person.id}"
        headers = {"ETag": stored.version, "Content-Location": location}
        if created:
            headers["Location"] = location
        status = HTTPStatus.CREATED if created else HTTPStatus.OK
        return ScimResponse(status, to_json(stored, base_url, service.own["User"]), headers)

    def _listing(self, call: Call, found: FoundPerson | None) -> ScimResponse:
        people = []
        if found is not None:
            own = self._service_of(found).own["User"]
            people.append(to_json(stored_of(found), f"{self.root}/{call.slug}", own))
        body = {
            "schemas": [LIST_RESPONSE],
            "totalResults": len(people),
            "itemsPerPage": len(people),
            "startIndex": 1,
            "Resources": people,
        }
        return ScimResponse(HTTPStatus.OK, body)
