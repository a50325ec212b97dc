"""What the programming interface can do: each operation declared beside its view, for router and document alike."""

import inspect
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from bridge.domain.scopes import Scope

ViewT = TypeVar("ViewT", bound=Callable[..., Any])

_PART = re.compile(r"<(?:(?P<converter>[a-z]+)(?:\([^)]*\))?:)?(?P<name>[a-z_]+)>")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    Attributes:
        name: Unique: the name of the view.
        scope: What the key needs; None where any key will do.
        query: What may stand behind the question mark; None for nothing.
        body: What is sent; None for nothing.
        answer: What is answered; None for nothing (204), or for a file of :attr:`media`.
        changes: Whether it changes something, so that it takes an Idempotency-Key; a preview does not.
        reads: The operation whose answer `If-Match` speaks of; None where nothing is matched.
        media: The media type of a file.
    """

    name: str
    tag: str
    method: str
    path: str
    view: Callable[..., Any]
    summary: str
    description: str
    scope: Scope | None
    query: type[BaseModel] | None
    body: type[BaseModel] | None
    answer: type[BaseModel] | None
    status: int
    changes: bool
    reads: "Operation | None"
    media: str

    @property
    def template(self) -> str:
        """The path as OpenAPI writes it."""
        return _PART.sub(r"{\g<name>}", self.path)

    @property
    def parts(self) -> dict[str, str]:
        """What the path names, and how it is converted."""
        return {found["name"]: found["converter"] or "string" for found in _PART.finditer(self.path)}


class Resource:
    """The operations of one subject.

    Args:
        tag: How the reference calls the subject.
        about: One sentence about it.
        path: Where its operations begin, below /api/v1.
    """

    def __init__(self, tag: str, about: str, path: str) -> None:
        self.tag, self.about, self.path = tag, about, path
        self.operations: list[Operation] = []

    def get(
        self,
        path: str = "",
        *,
        scope: Scope | None,
        answer: type[BaseModel] | None = None,
        media: str = "application/json",
    ) -> Callable[[ViewT], ViewT]:
        """Declare a view that only reads."""
        return self._declare("GET", path, scope, answer, 200, changes=False, reads=None, media=media)

    def preview(self, path: str, *, scope: Scope, answer: type[BaseModel]) -> Callable[[ViewT], ViewT]:
        """Declare a view that shows what a change would do; what it keeps is the preview alone."""
        return self._declare("POST", path, scope, answer, 201, changes=False, reads=None)

    def post(
        self,
        path: str = "",
        *,
        scope: Scope,
        answer: type[BaseModel] | None,
        status: int = 200,
        reads: Callable[..., Any] | None = None,
    ) -> Callable[[ViewT], ViewT]:
        """Declare a view that changes something."""
        return self._declare("POST", path, scope, answer, status, changes=True, reads=reads)

    def put(
        self, path: str = "", *, scope: Scope, answer: type[BaseModel], reads: Callable[..., Any] | None = None
    ) -> Callable[[ViewT], ViewT]:
        """Declare a view that sets something, or makes it."""
        return self._declare("PUT", path, scope, answer, 200, changes=True, reads=reads)

    def patch(
        self, path: str = "", *, scope: Scope, answer: type[BaseModel], reads: Callable[..., Any] | None = None
    ) -> Callable[[ViewT], ViewT]:
        """Declare a view that changes some fields."""
        return self._declare("PATCH", path, scope, answer, 200, changes=True, reads=reads)

    def delete(self, path: str, *, scope: Scope, reads: Callable[..., Any] | None = None) -> Callable[[ViewT], ViewT]:
        """Declare a view that removes something."""
        return self._declare("DELETE", path, scope, None, 204, changes=True, reads=reads)

    def _declare(
        self,
        method: str,
        path: str,
        scope: Scope | None,
        answer: type[BaseModel] | None,
        status: int,
        *,
        changes: bool,
        reads: Callable[..., Any] | None,
        media: str = "application/json",
    ) -> Callable[[ViewT], ViewT]:
        def declare(view: ViewT) -> ViewT:
            told = inspect.getdoc(view) or ""
            summary, _, description = told.partition("\n")
            arguments = inspect.get_annotations(view)
            self.operations.append(
                Operation(
                    name=view.__name__,
                    tag=self.tag,
                    method=method,
                    path=f"{self.path}{path}",
                    view=view,
                    summary=summary.rstrip("."),
                    description=" ".join(description.split()),
                    scope=scope,
                    query=arguments.get("query"),
                    body=arguments.get("body"),
                    answer=answer,
                    status=status,
                    changes=changes,
                    reads=None if reads is None else self._operation_of(reads),
                    media=media,
                )
            )
            return view

        return declare

    def _operation_of(self, view: Callable[..., Any]) -> Operation:
        return next(one for one in self.operations if one.view is view)


#: How parts of a path are typed in the document.
CONVERTERS: dict[str, type] = {"uuid": uuid.UUID, "int": int, "string": str}
