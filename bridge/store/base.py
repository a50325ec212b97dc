"""The declarative base: named constraints, strict types, nothing loaded by accident."""

import uuid
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, DateTime, Dialect, LargeBinary, MetaData, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator

from bridge.domain.identifiers import ConnectionId, GroupId, MemberId, OrgId

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Instant(TypeDecorator[datetime]):
    """An aware instant, in UTC; a naive one is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive instants on the way in."""
        del dialect
        if value is not None and value.tzinfo is None:
            raise ValueError("A naive datetime cannot be stored: give it a time zone")
        return value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return UTC, whatever the connection's time zone."""
        del dialect
        return None if value is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """The base of every table."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        int: BigInteger,
        bytes: LargeBinary,
        datetime: Instant,
        uuid.UUID: Uuid,
        OrgId: Uuid,
        MemberId: Uuid,
        GroupId: Uuid,
        ConnectionId: Uuid,
        dict[str, Any]: JSONB,
        list[str]: JSONB,
        list[Any]: JSONB,
    }
