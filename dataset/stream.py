"""Lanes: replays in, training batches out, every imitated frame once an epoch and in the order in which it was played.

A ``Bank`` keeps replays packed in memory (18 bytes a frame on real games, 240 decoded) and opens one *track*, a replay seen
by one imitated player, when a lane gets there. ``Lanes`` lays the tracks of an epoch on B lanes: row b of every batch is
lane b, T frames further. The order is a pure function of (seed, epoch), so two integers (epoch, step) say where a run
stands. The surprise: lanes are filled edge to edge, so most begin inside a replay; such a row has ``reset`` set like any
other start and its policy begins there from its initial state. The tail of a replay is padded and masked, never dropped.

Legend: B lanes, T frames in the window, C features, I indices, K components.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataset.align import align
from dataset.encode import perspective
from dataset.errors import ConfigError
from dataset.ids import character_name
from dataset.shards import Sample, pack, unpack


@dataclass(frozen=True)
class Track:
    """One replay seen by one imitated player."""

    replay: int
    """Which replay of the bank."""
    side: int
    """0 (a) or 1 (b)."""
    num_frames: int


@dataclass(frozen=True)
class Rows:
    """An opened track, row-major from its player's view."""

    continuous: NDArray[np.float16]
    """[N, C]"""
    indices: NDArray[np.uint16]
    """[N, I]"""
    previous: NDArray[np.uint8]
    """[N, K] classes of the newest committed controller."""
    target: NDArray[np.uint8]
    """[N, K] classes to predict."""
    mask: NDArray[np.bool_]
    """[N] whether the row has a target."""


class Bank:
    """Replays in memory, packed as shards pack them, with the tracks that are imitated."""

    def __init__(self, samples: Iterable[Sample], character: int | None = None) -> None:
        """Keep the replays in which ``character`` (internal id) was picked; ``None`` keeps all and imitates everyone."""
        self._packed: list[tuple[bytes, bytes]] = []
        self.ids: list[str] = []
        self.tracks: list[Track] = []
        for sample in samples:
            sides = [side for side in (0, 1) if character is None or sample.characters[side] == character]
            self.tracks += [Track(len(self.ids), side, sample.num_frames) for side in sides]
            if sides:
                self._packed.append(pack(sample))
                self.ids.append(sample.id)
        self.character = character

    @property
    def num_frames(self) -> int:
        """Imitated frames: those of all tracks together."""
        return sum(track.num_frames for track in self.tracks)

    @property
    def size_bytes(self) -> int:
        """Memory the packed replays take."""
        return sum(len(about) + len(numbers) for about, numbers in self._packed)

    def open(self, track: Track, delay: int) -> Rows:
        """Unpack one track, from its player's view, with controllers shifted by ``delay``; about 0.4 µs a frame."""
        sample = unpack(*self._packed[track.replay])
        encoded = perspective(sample.encoded, track.side)
        aligned = align(np.ascontiguousarray(sample.classes[track.side].T), sample.frames, delay)
        return Rows(
            continuous=np.ascontiguousarray(encoded.continuous.T),
            indices=np.ascontiguousarray(encoded.indices.T),
            previous=aligned.previous,
            target=aligned.target,
            mask=aligned.mask,
        )


@dataclass(frozen=True)
class Segment:
    """Whole windows of one track that a lane walks without a break."""

    track: int
    first: int
    """The first window; window w holds frames w·T … (w + 1)·T − 1."""
    num_windows: int


Plan = list[list[Segment]]
"""What each lane walks, in order."""


@dataclass(frozen=True)
class Batch:
    """One step of all lanes, from the imitated players' view."""

    continuous: NDArray[np.float16]
    """[B, T, C]"""
    indices: NDArray[np.uint16]
    """[B, T, I]"""
    previous: NDArray[np.uint8]
    """[B, T, K] classes of the newest committed controller."""
    target: NDArray[np.uint8]
    """[B, T, K] classes to predict."""
    mask: NDArray[np.bool_]
    """[B, T] whether the row has a target; false in padding."""
    reset: NDArray[np.bool_]
    """[B] whether the row's state begins anew before this window."""
    track: NDArray[np.int64]
    """[B] the track each lane is on, -1 for an idle lane."""
    start: NDArray[np.int64]
    """[B] the track's row that comes first in this window."""
    length: NDArray[np.int64]
    """[B] rows that are not padding."""


class Lanes:
    """Batches of one bank."""

    def __init__(
        self, bank: Bank, *, lanes: int, window: int, delay: int, seed: int = 0, is_shuffled: bool = True
    ) -> None:
        """Lay out ``bank``.

        Args:
            bank: the replays.
            lanes: B; without shuffling, no more are used than there are tracks.
            window: T.
            delay: frames between seeing and acting.
            seed: of the order.
            is_shuffled: true lays all windows evenly on the lanes in a new order each epoch, cutting a replay where a lane
                ends; false keeps every replay whole from its first frame on one lane, for measuring.

        Raises:
            ConfigError: no replay of the bank is imitated.
        """
        if not bank.tracks:
            who = "any player" if bank.character is None else character_name(bank.character)
            raise ConfigError(f"training data: needs replays with {who}, found none; choose another character or store")
        self.bank, self.window, self.delay, self.seed, self.is_shuffled = bank, window, delay, seed, is_shuffled
        self.lanes = lanes if is_shuffled else min(lanes, len(bank.tracks))

    def plan(self, epoch: int) -> Plan:
        """What each lane walks in ``epoch``: a pure function of the bank, the seed and the epoch."""
        lengths = [-(-track.num_frames // self.window) for track in self.bank.tracks]
        if not self.is_shuffled:
            return plan_whole(lengths, self.lanes)
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.bank.ids))
        return plan_evenly(lengths, [track.replay for track in self.bank.tracks], order.tolist(), self.lanes)

    def num_steps(self, epoch: int) -> int:
        """Batches of ``epoch``."""
        return max(sum(segment.num_windows for segment in lane) for lane in self.plan(epoch))

    def batches(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """The batches of ``epoch`` from ``first_step`` on, equal to what a run that never stopped would see."""
        walkers = [_Walker(self, lane) for lane in self.plan(epoch)]
        for step in range(first_step, self.num_steps(epoch)):
            yield self._collate([walker.window(step) for walker in walkers])

    def _collate(self, windows: Sequence["_Window | None"]) -> Batch:
        some = next(window.rows for window in windows if window is not None)
        shape = (len(windows), self.window)
        batch = Batch(
            continuous=np.zeros((*shape, some.continuous.shape[1]), dtype=np.float16),
            indices=np.zeros((*shape, some.indices.shape[1]), dtype=np.uint16),
            previous=np.zeros((*shape, some.previous.shape[1]), dtype=np.uint8),
            target=np.zeros((*shape, some.target.shape[1]), dtype=np.uint8),
            mask=np.zeros(shape, dtype=np.bool_),
            reset=np.ones(len(windows), dtype=np.bool_),
            track=np.full(len(windows), -1, dtype=np.int64),
            start=np.zeros(len(windows), dtype=np.int64),
            length=np.zeros(len(windows), dtype=np.int64),
        )
        for row, window in enumerate(windows):
            if window is not None:
                window.copy_to(batch, row, self.window)
        return batch


@dataclass(frozen=True)
class _Window:
    """Where one lane stands in one step."""

    rows: Rows
    track: int
    start: int
    is_first: bool

    def copy_to(self, batch: Batch, row: int, size: int) -> None:
        taken = slice(self.start, self.start + size)
        length = len(self.rows.mask[taken])
        for name in ("continuous", "indices", "previous", "target", "mask"):
            getattr(batch, name)[row, :length] = getattr(self.rows, name)[taken]
        batch.reset[row] = self.is_first
        batch.track[row], batch.start[row], batch.length[row] = self.track, self.start, length


class _Walker:
    """One lane: keeps the track it is on open."""

    def __init__(self, lanes: Lanes, segments: list[Segment]) -> None:
        self._lanes = lanes
        self._segments = segments
        self._ends = np.cumsum([segment.num_windows for segment in segments])
        self._track = -1
        self._rows: Rows | None = None

    def window(self, step: int) -> _Window | None:
        """The lane's window of ``step``, or ``None`` once it is through."""
        place = int(np.searchsorted(self._ends, step, side="right"))
        if place == len(self._segments):
            return None
        segment = self._segments[place]
        into = step - int(self._ends[place]) + segment.num_windows
        rows = self._open(segment.track)
        return _Window(rows, segment.track, (segment.first + into) * self._lanes.window, into == 0)

    def _open(self, track: int) -> Rows:
        if self._rows is None or self._track != track:
            self._track = track
            self._rows = self._lanes.bank.open(self._lanes.bank.tracks[track], self._lanes.delay)
        return self._rows


def plan_whole(lengths: Sequence[int], lanes: int) -> Plan:
    """Every track whole on one lane, longest first onto the lane with least to do; ``lengths`` are in windows."""
    plan: Plan = [[] for _ in range(lanes)]
    load = [0] * lanes
    for track in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        lane = load.index(min(load))
        plan[lane].append(Segment(track, 0, lengths[track]))
        load[lane] += lengths[track]
    return plan


def plan_evenly(lengths: Sequence[int], replays: Sequence[int], order: Sequence[int], lanes: int) -> Plan:
    """All windows evenly on all lanes; a replay is in a batch twice only when fewer replays than lanes have windows left.

    The tracks of a replay follow each other, replay after replay, and this chain is cut into equal lanes (McNaughton's
    wrap-around rule, 1959): a replay no longer than a lane meets itself in no batch. Of longer ones only as much is laid
    first as fills all lanes without meeting itself; what remains then belongs to fewer replays than lanes and is cut
    evenly.

    Args:
        lengths: windows of each track.
        replays: the replay each track belongs to.
        order: the replays in the epoch's order.
        lanes: B.
    """
    chains: dict[int, list[Segment]] = {replay: [] for replay in order}
    for track, (length, replay) in enumerate(zip(lengths, replays, strict=True)):
        chains[replay].append(Segment(track, 0, length))
    units = [chains[replay] for replay in order]
    level = _level([sum(s.num_windows for s in unit) for unit in units], lanes)
    split = [_cut(unit, level) for unit in units]
    first, overflow = _cut([segment for head, _ in split for segment in head], level * lanes)
    rest = overflow + [segment for _, tail in split for segment in tail]
    total = sum(segment.num_windows for segment in rest)
    plan: Plan = []
    for lane in range(lanes):
        own, first = _cut(first, level)
        later, rest = _cut(rest, total * (lane + 1) // lanes - total * lane // lanes)
        plan.append(own + later)
    return plan


def _level(lengths: Sequence[int], lanes: int) -> int:
    """The most steps that all lanes can be busy with no replay given more windows than steps."""
    low, high = 0, sum(lengths) // lanes
    while low < high:
        middle = (low + high + 1) // 2
        if sum(min(length, middle) for length in lengths) >= middle * lanes:
            low = middle
        else:
            high = middle - 1
    return low


def _cut(segments: list[Segment], windows: int) -> tuple[list[Segment], list[Segment]]:
    """The first ``windows`` windows of a chain, and the rest."""
    head: list[Segment] = []
    for place, segment in enumerate(segments):
        if segment.num_windows > windows:
            if windows > 0:
                head.append(Segment(segment.track, segment.first, windows))
            cut = Segment(segment.track, segment.first + windows, segment.num_windows - windows)
            return head, [cut, *segments[place + 1 :]]
        head.append(segment)
        windows -= segment.num_windows
    return head, []
