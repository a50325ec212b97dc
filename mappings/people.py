"""People and pools as the preview takes them in."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mappings.allocation import Holding, MemberKey
from mappings.rules import PersonFacts


@dataclass(frozen=True, slots=True)
class Person:
    """One active member.

    Attributes:
        member_id: Gives the order in which changed rules reach people (rule A8).
        facts: What the rules look at.
        holding: What the person has now.
        waiting_since: When the wait began; None when the person does not wait.
    """

    member_id: MemberKey
    facts: PersonFacts
    holding: Holding
    waiting_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class PersonClass:
    """Active members whom the rules cannot tell apart: the same facts and the same holding.

    Attributes:
        facts: What the rules look at; groups and attributes that no rule speaks of are better left out.
        holding: What each of them has now.
        count: How many they are.
        member_ids: Who they are. May be empty for a class of which :func:`mappings.preview.needs_members` is
            false.
        waiting_since: When each of them began to wait, in the order of the ids; empty when they do not wait.

    Raises:
        ValueError: The lengths do not agree.
    """

    facts: PersonFacts
    holding: Holding
    count: int
    member_ids: Sequence[MemberKey] = ()
    waiting_since: Sequence[datetime] = ()

    def __post_init__(self) -> None:
        if self.member_ids and len(self.member_ids) != self.count:
            raise ValueError(f"{len(self.member_ids)} ids for a class of {self.count}")
        if self.waiting_since and len(self.waiting_since) != len(self.member_ids):
            raise ValueError(f"{len(self.waiting_since)} instants for {len(self.member_ids)} ids")


@dataclass(frozen=True, slots=True)
class Pool:
    """A tier's seats.

    Attributes:
        seats: How many may be assigned: bought, less those that were confirmed to lapse (rule D3).
        used: How many are assigned, to whomever.
    """

    seats: int
    used: int

    @property
    def free(self) -> int:
        """Seats left; 0 when more are assigned than there are."""
        return max(0, self.seats - self.used)


class Purse(Protocol):
    """What budgets have left for seats that are bought when a tier is full; taking from it is only a promise."""

    @property
    def bought(self) -> Mapping[str, int]:
        """How many seats were taken so far, by tier key."""
        ...

    def look_up(self, member_ids: Collection[MemberKey]) -> None:
        """Say whom :meth:`take` may be asked about, so that what is known of them is read at once."""
        ...

    def take(self, member_id: MemberKey, tiers: Sequence[str]) -> str | None:
        """Take one seat for somebody, of the first of these tiers that their budget has left for; None for none."""
        ...

    def would_take(self, member_id: MemberKey, tiers: Sequence[str]) -> str | None:
        """Return what :meth:`take` would, and take nothing."""
        ...
