"""What every provisioning client does: look whom the product has, send what differs, remember what was sent."""

import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import count
from typing import Any, ClassVar, Final

from bridge.simulator.directory import Directory, DirectoryGroup, Person
from bridge.simulator.wire import Exchange, Wire

USER_SCHEMA: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP_SCHEMA: Final = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE_SCHEMA: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH_SCHEMA: Final = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


class _TokenRefused(Exception):  # noqa: N818 (ends a round; nothing went wrong here)
    """The product takes no request with this token."""


@dataclass(frozen=True, slots=True)
class PushReport:
    """What one round of provisioning came to.

    Attributes:
        requests: How many were sent.
        created: People and groups the product did not have.
        updated: People and groups whose changes the product took.
        deactivated: People whose access was turned off.
        refused: Requests that the product did not accept, in their order.
        exchanges: The last of the round's requests and answers (at most 1,000).
    """

    requests: int
    created: int
    updated: int
    deactivated: int
    refused: tuple[Exchange, ...]
    exchanges: tuple[Exchange, ...] = field(repr=False)
    seconds: float


class ProvisioningClient(ABC):
    """One application's provisioning at an identity provider: increments only, each sent once.

    A subclass says what the requests look like. The links between the directory's people and the product's are kept
    here, as providers keep them: a person who was matched once is never looked for again.
    """

    user_agent: ClassVar[str | None] = None

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.linked: dict[str, str] = {}
        self._sent_people: dict[str, Person] = {}
        self._sent_groups: dict[str, DirectoryGroup] = {}
        self._counts: Counter[str] = Counter()
        self._refused: list[Exchange] = []
        self.progress: Callable[[int], None] = _unwatched

    def synchronize(self, directory: Directory) -> PushReport:
        """Send everything that differs from what was sent before: people first, then groups.

        Raises:
            httpx.HTTPError: The product cannot be reached.
        """
        started, before = time.perf_counter(), self.wire.requests
        self._counts.clear()
        self._refused.clear()
        with suppress(_TokenRefused):
            self._synchronize(directory)
        number = self.wire.requests - before
        kept = list(self.wire.exchanges)
        return PushReport(
            requests=number,
            created=self._counts["created"],
            updated=self._counts["updated"],
            deactivated=self._counts["deactivated"],
            refused=tuple(self._refused),
            exchanges=tuple(kept[-number:] if number else ()),
            seconds=time.perf_counter() - started,
        )

    def _synchronize(self, directory: Directory) -> None:
        self.begin()
        done = count(1)
        for person in list(directory.people.values()):
            self._synchronize_person(person)
            self.progress(next(done))
        for group in list(directory.groups.values()):
            self._synchronize_group(group)
            self.progress(next(done))
        self.finish(directory)

    def begin(self) -> None:  # noqa: B027 (a hook: most dialects begin with nothing)
        """Send what the dialect sends before a round."""

    def finish(self, directory: Directory) -> None:  # noqa: B027 (a hook: most dialects end with nothing)
        """Send what the dialect sends after a round."""

    @abstractmethod
    def find_person(self, person: Person) -> Exchange:
        """Look for a person before creating them."""

    @abstractmethod
    def create_person(self, person: Person) -> Exchange:
        """Create a person whom the product lacks."""

    @abstractmethod
    def update_person(self, person: Person, before: Person | None) -> Sequence[Exchange]:
        """Send a changed profile; ``before`` is what was sent last, None for one just matched."""

    @abstractmethod
    def switch_person(self, person: Person) -> Sequence[Exchange]:
        """Turn the access of a person on or off."""

    @abstractmethod
    def find_group(self, group: DirectoryGroup) -> Exchange:
        """Look for a group before creating it."""

    @abstractmethod
    def create_group(self, group: DirectoryGroup) -> Exchange:
        """Create a group that the product lacks; :meth:`change_members` follows."""

    @abstractmethod
    def change_members(
        self, group: DirectoryGroup, added: Sequence[Person], removed: Sequence[Person]
    ) -> Sequence[Exchange]:
        """Send who joined and who left; everybody named is linked."""

    def members_sent_with(self, group: DirectoryGroup) -> tuple[str, ...]:
        """Return the members that :meth:`create_group` sends already."""
        del group
        return ()

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str | int] | None = None,
    ) -> Exchange:
        """Send one request and keep what was refused; a refused token ends the round, as it does at every provider."""
        exchange = self.wire.send(method, path, body, query)
        if not exchange.accepted:
            self._refused.append(exchange)
        if exchange.status == HTTPStatus.UNAUTHORIZED:
            raise _TokenRefused
        return exchange

    def patch(self, path: str, *operations: Mapping[str, Any]) -> Exchange:
        """Send one PATCH."""
        return self.send("PATCH", path, {"schemas": [PATCH_SCHEMA], "Operations": list(operations)})

    def _synchronize_person(self, person: Person) -> None:
        if self._sent_people.get(person.id) == person:
            return
        # Nobody is created only to be turned off.
        if person.id not in self.linked and not (person.active and self._link(person, person.id)):
            return
        before = self._sent_people.get(person.id)
        if before == person:
            return  # just created, and sent whole
        switched = before is not None and before.active != person.active
        sent = list(self.switch_person(person)) if switched else []
        if before is None or _profile(before) != _profile(person):
            sent += self.update_person(person, before)
        if all(exchange.accepted for exchange in sent):
            self._counts["deactivated" if switched and not person.active else "updated"] += 1
            self._sent_people[person.id] = person

    def _link(self, item: Person | DirectoryGroup, item_id: str) -> bool:
        """Match or create a person or a group; tell whether the product has it now."""
        found = self.find_person(item) if isinstance(item, Person) else self.find_group(item)
        if not found.accepted:
            return False
        resources = found.answer.get("Resources") or []
        if resources:
            self.linked[item_id] = str(resources[0]["id"])
            return True
        created = self.create_person(item) if isinstance(item, Person) else self.create_group(item)
        if not created.accepted:
            return False
        self.linked[item_id] = str(created.answer["id"])
        self._counts["created"] += 1
        if isinstance(item, Person):
            self._sent_people[item_id] = item
        else:
            self._sent_groups[item_id] = DirectoryGroup(item.id, item.name, self.members_sent_with(item))
        return True

    def _synchronize_group(self, group: DirectoryGroup) -> None:
        known = group.id in self.linked
        if self._sent_groups.get(group.id) == group:
            return
        if not known and not self._link(group, group.id):
            return
        before = self._sent_groups.get(group.id, DirectoryGroup(group.id, group.name))
        added = self._linked_people(one for one in group.members if one not in before.members)
        removed = self._linked_people(one for one in before.members if one not in group.members)
        sent = self.change_members(group, added, removed) if added or removed else ()
        if not all(exchange.accepted for exchange in sent):
            return
        if known and sent:
            self._counts["updated"] += 1
        # Somebody who could not be created yet is sent with a later round.
        present = tuple(one for one in group.members if one in self.linked)
        self._sent_groups[group.id] = DirectoryGroup(group.id, group.name, present)

    def _linked_people(self, ids: Iterable[str]) -> list[Person]:
        return [self._sent_people[one] for one in ids if one in self._sent_people]


def _unwatched(_done: int) -> None:
    """Tell nobody how far it is."""


def _profile(person: Person) -> tuple[str | None, ...]:
    return (
        person.user_name,
        person.given_name,
        person.family_name,
        person.department,
        person.title,
        person.manager,
    )
