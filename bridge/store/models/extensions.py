"""Schemas that an organization declares of its own."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from bridge.domain.identifiers import OrgId
from bridge.store.base import Base


class DeclaredSchema(Base):
    """An extension of User or Group; its values are in the documents of people and groups, under the URN."""

    __tablename__ = "extension_schema"

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organization.id"), primary_key=True)
    urn_key: Mapped[str] = mapped_column(primary_key=True, doc="The URN, folded: URNs are compared without case.")
    resource_type: Mapped[str] = mapped_column(doc="User or Group.")
    document: Mapped[dict[str, Any]] = mapped_column(doc="The declaration (RFC 7643 §7), every characteristic in it.")
    created_at: Mapped[datetime]
    modified_at: Mapped[datetime]
