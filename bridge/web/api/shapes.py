"""What all documents of the programming interface have in common."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

MOST_ITEMS = 200


class Answer(BaseModel):
    """An answer: read from what a use case returns, attribute by attribute; built when it is first needed."""

    model_config = ConfigDict(from_attributes=True, defer_build=True, json_schema_serialization_defaults_required=True)


class Body(BaseModel):
    """What a program sends: a field that nobody knows is refused, so that a slip of the pen is not passed over."""

    model_config = ConfigDict(extra="forbid", defer_build=True, str_max_length=10_000)


class Query(BaseModel):
    """What stands behind the question mark."""

    model_config = ConfigDict(extra="forbid", defer_build=True, str_max_length=1_000)


class Paged(Query):
    """Which part of a list."""

    limit: Annotated[int, Field(ge=1, le=MOST_ITEMS, description="So many items at most.")] = 50
    cursor: Annotated[str | None, Field(description="Where to go on: `next_cursor` of the page before.")] = None


class Page(Answer):
    """A part of a list. `next_cursor` is null on the last one; the `Link` header says the same."""

    next_cursor: str | None = None


class Money(Answer):
    """An amount in minor units (cents) of a currency."""

    amount: int
    currency: str


Document = dict[str, Any]
