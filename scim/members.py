"""The members of a large group: read as one text, written in pieces, so that memory does not grow with the group."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from bridge.domain.identifiers import MemberId

#: Members that one piece of an answer holds.
PIECE = 2_000
#: An answer with more members than this is sent in pieces.
LARGE = 5_000
_ID_LENGTH = 36


class MemberIds:
    """The people in a group, by nothing but their ids: one text, however many they are.

    Args:
        written: The ids in their written form, one after another.
    """

    __slots__ = ("written",)

    def __init__(self, written: str) -> None:
        self.written = written

    def __len__(self) -> int:
        """Count them."""
        return len(self.written) // _ID_LENGTH

    def __iter__(self) -> Iterator[str]:
        """Return them one by one."""
        return (self.written[at : at + _ID_LENGTH] for at in range(0, len(self.written), _ID_LENGTH))


#: Members of a group: id and name of each, or the ids alone.
Members = Sequence[tuple[MemberId, str]] | MemberIds


class MemberList:
    """The value of ``members`` in an answer, written when it is sent.

    Args:
        ids: The people.
        nested: The groups among the members, as they are shown.
        base_url: Address of the SCIM root, for references.
    """

    __slots__ = ("base_url", "ids", "nested")

    def __init__(self, ids: MemberIds, nested: Sequence[dict[str, str]], base_url: str) -> None:
        self.ids, self.nested, self.base_url = ids, nested, base_url

    def __len__(self) -> int:
        """Count them."""
        return len(self.ids) + len(self.nested)

    def pieces(self) -> Iterator[bytes]:
        """Write the JSON list, brackets and all, a few thousand members at a time."""
        yield b"["
        comma = ""
        before, between, behind = '{"value":"', f'","$ref":"{self.base_url}/Users/', '","type":"User"}'
        piece: list[str] = []
        for identifier in self.ids:
            piece.append(f"{before}{identifier}{between}{identifier}{behind}")
            if len(piece) == PIECE:
                yield (comma + ",".join(piece)).encode()
                comma, piece = ",", []
        piece += (orjson.dumps(group).decode() for group in self.nested)
        if piece:
            yield (comma + ",".join(piece)).encode()
        yield b"]"


def written(body: Mapping[str, Any]) -> bytes:
    """Write an answer as JSON, lists of members in place."""
    return orjson.dumps(body, default=_in_place)


def written_in_pieces(body: Mapping[str, Any]) -> Iterator[bytes] | None:
    """Write an answer that shows one large group in pieces; None for any other answer."""
    members = body.get("members")
    if not isinstance(members, MemberList) or len(members) <= LARGE:
        return None
    return _pieces({name: value for name, value in body.items() if name != "members"}, members)


def _pieces(rest: Mapping[str, Any], members: MemberList) -> Iterator[bytes]:
    yield orjson.dumps(rest)[:-1] + b',"members":'
    yield from members.pieces()
    yield b"}"


def _in_place(value: Any) -> Any:
    if isinstance(value, MemberList):
        return orjson.Fragment(b"".join(value.pieces()))
    raise TypeError(f"{type(value).__name__} is no JSON")
