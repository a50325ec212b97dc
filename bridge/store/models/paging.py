"""What finds a page or a person without reading the others: rows that triggers of the database keep exact."""

from sqlalchemy import ForeignKeyConstraint, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from bridge.domain.identifiers import ConnectionId, MemberId, OrgId
from bridge.store.base import Base

#: Positions of arrival that one landmark counts, as a power of two: 1,024.
LANDMARK_BITS = 10


class PageLandmark(Base):
    """How many people, or groups, of a directory have a position in one bucket of 1,024.

    A running sum over them finds the bucket in which a page starts. Triggers on both tables write them, whoever
    inserts, moves or deletes.
    """

    __tablename__ = "page_landmark"

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    connection_id: Mapped[ConnectionId] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True, doc="member or group.")
    bucket: Mapped[int] = mapped_column(primary_key=True, doc="The position without its last 10 bits.")
    n: Mapped[int]


class MemberEmail(Base):
    """An address of a person beyond ``member.email_key``; most people have none.

    A trigger on ``member`` writes them, whoever changes the document.
    """

    __tablename__ = "member_email"
    __table_args__ = (
        ForeignKeyConstraint(["org_id", "member_id"], ["member.org_id", "member.id"], ondelete="CASCADE"),
        Index(None, "org_id", "value_key"),
    )

    org_id: Mapped[OrgId] = mapped_column(primary_key=True)
    member_id: Mapped[MemberId] = mapped_column(primary_key=True)
    value_key: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True, doc="Folded for comparing.")
