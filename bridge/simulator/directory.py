"""The people and groups of a simulated company, as its own directory keeps them."""

import random
import unicodedata
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

_GIVEN = (
    *("Alice", "Bram", "Chloé", "Johan", "Maja", "Noor", "Émile", "Ingrid", "Tess", "Oskar", "Léa", "Daan", "Freja"),
    *("Hugo", "Saga", "Jules", "Sanne", "Viktor", "Inès", "Lars", "Femke", "Axel", "Manon", "Pieter", "Linnea", "Théo"),
)
_FAMILY = (
    *("Lindqvist", "de Vries", "Moreau", "Svensson", "Bakker", "Girard", "Nyström", "Visser", "Lefèvre", "Holm"),
    *("Jansen", "Dubois", "Ekström", "Mulder", "Fontaine", "Berglund", "Smit", "Renard", "Sandberg", "van Dijk"),
)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in the directory; ``id`` is the directory's own name for them, ``manager`` that of another person."""

    id: str
    given_name: str
    family_name: str
    user_name: str
    department: str = ""
    title: str = ""
    active: bool = True
    manager: str | None = None

    @property
    def display_name(self) -> str:
        """The name as people write it."""
        return f"{self.given_name} {self.family_name}"

    @property
    def initials(self) -> str:
        """Two letters that stand for the name."""
        return f"{self.given_name[:1]}{self.family_name.split()[-1][:1]}".upper()


@dataclass(frozen=True, slots=True)
class DirectoryGroup:
    """A group; ``members`` are the ids of people, in the order in which they joined."""

    id: str
    name: str
    members: tuple[str, ...] = ()


@dataclass(slots=True)
class Directory:
    """One company's directory.

    Identifiers follow from names, so that two runs with the same people speak of the same people.
    """

    domain: str
    people: dict[str, Person] = field(default_factory=dict)
    groups: dict[str, DirectoryGroup] = field(default_factory=dict)

    def hire(
        self,
        given_name: str,
        family_name: str,
        *,
        groups: Iterable[str] = (),
        department: str = "",
        title: str = "",
        manager: str | None = None,
    ) -> Person:
        """Add a person, and put them into groups; a group that is not there yet comes into being."""
        user_name = self._free_user_name(given_name, family_name)
        person = Person(
            id=str(uuid.uuid5(uuid.NAMESPACE_DNS, user_name)),
            given_name=given_name,
            family_name=family_name,
            user_name=user_name,
            department=department,
            title=title,
            manager=manager,
        )
        self.people[person.id] = person
        for name in groups:
            self.join(person.id, name)
        return person

    def hire_some(self, number: int, *, groups: Iterable[str] = (), seed: int = 0) -> tuple[Person, ...]:
        """Add as many invented people; each is in one or two of the groups."""
        source = random.Random(seed)
        names = tuple(groups)
        return tuple(
            self.hire(
                source.choice(_GIVEN),
                source.choice(_FAMILY),
                groups=source.sample(names, k=min(len(names), source.randint(1, 2))),
            )
            for _ in range(number)
        )

    def change(self, person_id: str, **profile: str | None) -> Person:
        """Change fields of somebody's profile.

        Raises:
            KeyError: Nobody has the id.
        """
        changed = replace(self.people[person_id], **profile)  # type: ignore[arg-type] # the names are Person's own
        self.people[person_id] = changed
        return changed

    def leave(self, person_id: str) -> Person:
        """Turn somebody's account off. The groups keep them, as those of real directories do."""
        self.people[person_id] = replace(self.people[person_id], active=False)
        return self.people[person_id]

    def come_back(self, person_id: str) -> Person:
        """Turn somebody's account on again."""
        self.people[person_id] = replace(self.people[person_id], active=True)
        return self.people[person_id]

    def join(self, person_id: str, group_name: str) -> None:
        """Put a person into a group."""
        group = self.group(group_name)
        if person_id not in group.members:
            self.groups[group.id] = replace(group, members=(*group.members, person_id))

    def part(self, person_id: str, group_name: str) -> None:
        """Take a person out of a group."""
        group = self.group(group_name)
        self.groups[group.id] = replace(group, members=tuple(one for one in group.members if one != person_id))

    def group(self, name: str) -> DirectoryGroup:
        """Return a group by its name; it comes into being where it is not there yet."""
        group_id = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.groups.{self.domain}"))
        return self.groups.setdefault(group_id, DirectoryGroup(group_id, name))

    def groups_of(self, person_id: str) -> tuple[str, ...]:
        """Return the names of somebody's groups."""
        return tuple(group.name for group in self.groups.values() if person_id in group.members)

    def named(self, name: str) -> Person:
        """Return somebody by display name or user name.

        Raises:
            LookupError: Nobody is called so.
        """
        for person in self.people.values():
            if name in (person.display_name, person.user_name):
                return person
        raise LookupError(f"Nobody in the directory of {self.domain} is called {name}")

    def __iter__(self) -> Iterator[Person]:
        return iter(self.people.values())

    def __len__(self) -> int:
        return len(self.people)

    def _free_user_name(self, given_name: str, family_name: str) -> str:
        taken = {person.user_name for person in self.people.values()}
        local = f"{_plain(given_name)}.{_plain(family_name)}"
        candidates = (f"{local}{number or ''}@{self.domain}" for number in (0, *range(2, len(taken) + 3)))
        return next(candidate for candidate in candidates if candidate not in taken)


def _plain(name: str) -> str:
    """Return the letters of a name as they stand in a mail address."""
    decomposed = unicodedata.normalize("NFKD", name).casefold()
    return "".join(letter for letter in decomposed if letter.isascii() and letter.isalnum())
