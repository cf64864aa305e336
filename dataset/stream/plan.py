"""Plans: which windows of which replays each row of a batch walks, so that a batch holds as many replays as it can.

A plan does not say what a window is: lanes walk a track's windows in order, the windows sampler in a shuffled order. A replay
may be cut where a row ends and continue at the beginning of the next.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate


@dataclass(frozen=True)
class Segment:
    """Consecutive windows of one track that a row walks without a break."""

    track: int
    first: int
    """The first window."""
    num_windows: int


@dataclass(frozen=True)
class Row:
    """What a row of a batch walks, in order."""

    segments: list[Segment]

    @cached_property
    def ends(self) -> list[int]:
        """The step after the last of each segment."""
        return list(accumulate(segment.num_windows for segment in self.segments))

    def between(self, first: int, last: int) -> Iterator[tuple[Segment, int]]:
        """The segments walked from step ``first`` to below ``last``, each with the step at which it begins."""
        for place in range(bisect_right(self.ends, first), len(self.segments)):
            segment = self.segments[place]
            begin = self.ends[place] - segment.num_windows
            if begin >= last:
                return
            yield segment, begin


@dataclass(frozen=True)
class Plan:
    """An epoch."""

    rows: list[Row]
    level: int
    """Steps, from the first, of which none holds a replay twice."""

    @property
    def num_steps(self) -> int:
        """Windows of the longest row."""
        return max(row.ends[-1] if row.ends else 0 for row in self.rows)


def plan_whole(lengths: Sequence[int], rows: int) -> Plan:
    """Every track whole on one row, longest first onto the row with least to do; ``lengths`` are in windows."""
    plan: list[list[Segment]] = [[] for _ in range(rows)]
    load = [0] * rows
    for track in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        row = load.index(min(load))
        plan[row].append(Segment(track, 0, lengths[track]))
        load[row] += lengths[track]
    return Plan([Row(segments) for segments in plan], 0)


def plan_evenly(lengths: Sequence[int], replays: Sequence[int], order: Sequence[int], rows: int) -> Plan:
    """All windows evenly on all rows; a replay is in a batch twice only when fewer replays than rows have windows left.

    The tracks of a replay follow each other, replay after replay, and this chain is cut into equal rows (McNaughton's
    wrap-around rule, 1959): a replay no longer than a row meets itself in no batch. Of longer ones only as much is laid
    first as fills all rows without meeting itself; the rest then belongs to fewer replays than rows and is cut evenly.

    Args:
        lengths: windows of each track.
        replays: the replay each track belongs to.
        order: the replays in the epoch's order.
        rows: rows of a batch.
    """
    chains: dict[int, list[Segment]] = {replay: [] for replay in order}
    for track, (length, replay) in enumerate(zip(lengths, replays, strict=True)):
        chains[replay].append(Segment(track, 0, length))
    units = [chains[replay] for replay in order]
    level = _level([sum(segment.num_windows for segment in unit) for unit in units], rows)
    split = [_laid(unit, [level]) for unit in units]
    heads, overflow = _laid([segment for [head], _ in split for segment in head], [level] * rows)
    rest = overflow + [segment for _, tail in split for segment in tail]
    total = sum(segment.num_windows for segment in rest)
    tails, _ = _laid(rest, [total * (row + 1) // rows - total * row // rows for row in range(rows)])
    return Plan([Row(head + tail) for head, tail in zip(heads, tails, strict=True)], level)


def _level(lengths: Sequence[int], rows: int) -> int:
    """The most steps that all rows can be busy with no replay given more windows than steps."""
    low, high = 0, sum(lengths) // rows
    while low < high:
        middle = (low + high + 1) // 2
        if sum(min(length, middle) for length in lengths) >= middle * rows:
            low = middle
        else:
            high = middle - 1
    return low


def _laid(chain: list[Segment], sizes: Sequence[int]) -> tuple[list[list[Segment]], list[Segment]]:
    """A chain cut into rows of the given sizes, one after the other, and what is left of it."""
    rows: list[list[Segment]] = []
    rest = chain[::-1]
    for room in sizes:
        rows.append([])
        while rest and room:
            segment = rest.pop()
            taken = min(room, segment.num_windows)
            rows[-1].append(Segment(segment.track, segment.first, taken))
            room -= taken
            if taken < segment.num_windows:
                rest.append(Segment(segment.track, segment.first + taken, segment.num_windows - taken))
    return rows, rest[::-1]
