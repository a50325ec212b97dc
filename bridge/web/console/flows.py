"""The picture of a mapping preview: people today on the left, afterwards on the right, one unit of height a person."""

from collections.abc import Iterable
from dataclasses import dataclass

from mappings.allocation import MemberKey
from mappings.preview import Move, MovesPreview
from mappings.reasons import because
from mappings.tiers import NO_SEAT, TierLadder

WIDTH, TOP, HEIGHT, GAP = 640, 34, 260, 26
LEFT, RIGHT, POST = 130, 490, 10
SMALLEST = 2.0
_ROOM_FOR_TWO_LINES = 30.0


@dataclass(frozen=True, slots=True)
class Post:
    """A tier's column on one side: a rectangle, its look, and its label."""

    x: float
    y: float
    height: float
    look: str
    name: str
    people: int
    two_lines: bool

    @property
    def middle(self) -> float:
        """Return where the label stands."""
        return self.y + self.height / 2


@dataclass(frozen=True, slots=True)
class Band:
    """People who go from one tier to another, or stay: a path, its look, and its label in the middle."""

    path: str
    look: str
    label: str
    x: float
    y: float

    @property
    def label_width(self) -> float:
        """Return the width of the label's plate."""
        return 7.0 * len(self.label) + 16


@dataclass(frozen=True, slots=True)
class Flows:
    """The picture; ``sentences`` say the same in words."""

    width: int
    height: int
    posts: tuple[Post, ...]
    bands: tuple[Band, ...]
    sentences: tuple[str, ...]
    rows: tuple[tuple[str, str, int], ...]


def draw_flows(moves: MovesPreview, ladder: TierLadder) -> Flows:
    """Lay the picture out: highest tier on top, those who stay grey, who moves in colour.

    The scale is the same on both sides, so that the heights can be compared.
    """
    order: list[str | None] = [*ladder.keys, None]
    shown = [tier for tier in order if any(tier in flow for flow in moves.summary)]
    total = max(moves.people, 1)
    unit = (HEIGHT - GAP * (len(shown) - 1)) / total if shown else 0.0
    now = {tier: sum(n for (source, _), n in moves.summary.items() if source == tier) for tier in shown}
    after = {tier: sum(n for (_, goal), n in moves.summary.items() if goal == tier) for tier in shown}
    left, right = _stack(shown, now, unit), _stack(shown, after, unit)
    posts = [
        *(_post(ladder, tier, x=LEFT, y=left[tier], height=now[tier] * unit, people=now[tier]) for tier in shown),
        *(_post(ladder, tier, x=RIGHT, y=right[tier], height=after[tier] * unit, people=after[tier]) for tier in shown),
    ]
    bands: list[Band] = []
    rows: list[tuple[str, str, int]] = []
    for source in shown:
        for goal in shown:
            people = moves.summary.get((source, goal), 0)
            if not people:
                continue
            thickness = max(people * unit, SMALLEST)
            bands.append(_band(left[source], right[goal], thickness, _look(ladder, source, goal), people))
            left[source] += people * unit
            right[goal] += people * unit
            rows.append((_name(ladder, source), _name(ladder, goal), people))
    bands.sort(key=lambda band: band.look != "")
    return Flows(
        width=WIDTH,
        height=TOP + HEIGHT + 16,
        posts=tuple(posts),
        bands=tuple(bands),
        sentences=tuple(_sentence(row) for row in rows),
        rows=tuple(rows),
    )


def _stack(shown: list[str | None], people: dict[str | None, int], unit: float) -> dict[str | None, float]:
    places: dict[str | None, float] = {}
    y = float(TOP)
    for tier in shown:
        places[tier] = y
        y += people[tier] * unit + GAP
    return places


def _post(ladder: TierLadder, tier: str | None, *, x: float, y: float, height: float, people: int) -> Post:
    look = "un" if tier is None else "prem" if len(ladder) > 1 and tier == ladder.keys[0] else "std"
    height = max(height, SMALLEST)
    return Post(x, y, height, look, _name(ladder, tier), people, height >= _ROOM_FOR_TWO_LINES)


def _band(left: float, right: float, thickness: float, look: str, people: int) -> Band:
    start, end = LEFT + POST, RIGHT
    bend = (end - start) / 2
    path = (
        f"M{start} {left:.1f} C{start + bend} {left:.1f} {end - bend} {right:.1f} {end} {right:.1f} "
        f"V{right + thickness:.1f} C{end - bend} {right + thickness:.1f} {start + bend} {left + thickness:.1f} "
        f"{start} {left + thickness:.1f} Z"
    )
    words = {"": "stay", "up": "move up", "gain": "get a seat", "down": "move down"}
    if people == 1:
        words = {"": "stays", "up": "moves up", "gain": "gets a seat", "down": "moves down"}
    # Movers' labels are set off from the middle, so that crossing bands do not hide them.
    share = {"": 0.5, "up": 0.28, "gain": 0.5, "down": 0.72}[look]
    eased = share * share * (3 - 2 * share)
    y = left + (right - left) * eased + thickness / 2
    return Band(path, look, f"{people:,} {words[look]}", start + (end - start) * share, y)


def _look(ladder: TierLadder, source: str | None, goal: str | None) -> str:
    if source == goal:
        return ""
    if goal is None:
        return "down"
    if source is None:
        return "gain"
    return "up" if ladder.is_better(goal, source) else "down"


def _name(ladder: TierLadder, tier: str | None) -> str:
    return NO_SEAT if tier is None else ladder.name_of(tier)


def _sentence(row: tuple[str, str, int]) -> str:
    source, goal, people = row
    heads = "1 person" if people == 1 else f"{people:,} people"
    if source == goal:
        return f"{heads} {'stays' if people == 1 else 'stay'}: {source}."
    return f"{heads} {'goes' if people == 1 else 'go'} from {source} to {goal}."


@dataclass(frozen=True, slots=True)
class MoveGroup:
    """People to whom the same happens for the same reason."""

    from_tier: str | None
    to_tier: str | None
    sentence: str
    member_ids: tuple[MemberKey, ...]


def group_moves(moves: Iterable[Move], ladder: TierLadder) -> tuple[MoveGroup, ...]:
    """Gather moves by seat and reason, the largest group first."""
    gathered: dict[tuple[str | None, str | None, str], list[MemberKey]] = {}
    for move in moves:
        reason = because(
            move.reason,
            ladder,
            tier=move.to_tier,
            rule=move.rule,
            wanted=move.waiting_for or (move.rule.tier if move.rule else None),
            before=move.from_tier,
        )
        gathered.setdefault((move.from_tier, move.to_tier, reason), []).append(move.member_id)
    groups = [MoveGroup(*key, tuple(ids)) for key, ids in gathered.items()]
    return tuple(sorted(groups, key=lambda group: -len(group.member_ids)))
