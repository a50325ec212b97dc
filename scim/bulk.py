"""A Bulk request that was read: its operations in order, and which of them nobody could understand."""

from collections.abc import Collection
from typing import Any

from scim2_models import BulkOperation, Resource
from scim2_server.bulk import BulkPlan
from scim2_server.responses import ScimResponse


class UnreadableResponse(ScimResponse):
    """The answer of a Bulk request with an operation in a shape nobody knows: the provisioning log marks it."""


class ReadPlan(BulkPlan):
    """The library's plan, with what the owners must be told of.

    Args:
        operations: As sent.
        fail_on_errors: After how many failures the rest is left undone.
        unreadable: Positions of operations whose ``active`` or ``members`` have a shape nobody knows.
    """

    def __init__(
        self,
        operations: list[BulkOperation[Resource[Any]]],
        fail_on_errors: int | None,
        unreadable: Collection[int] = (),
    ) -> None:
        super().__init__(operations, fail_on_errors)
        self.unreadable = frozenset(unreadable)

    @property
    def ran_into_unreadable(self) -> bool:
        """Whether one of those operations was reached."""
        return not self.unreadable.isdisjoint(self.results)
