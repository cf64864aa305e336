"""Samplers turn the tracks of a bank into training batches; the two kinds are ``Lanes``, here, and ``windows.Windows``.

An epoch's plan says which windows each row of a batch walks. It is walked in *blocks* of steps: the tracks that a block needs
are decoded into a ``TrackMemory``, then each step is one gather. The order is a pure function of the bank, the seed and the
epoch, so (epoch, step) say where a run stands. Ranks share one plan and take its rows in turn, so the batches of all ranks
together do not depend on how many ranks there are.

Legend: B rows of a batch, T frames in the window, C features, I indices, K components, W bytes of a frame.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import KW_ONLY, dataclass

import numpy as np
from numpy.typing import NDArray

from dataset.codecs.base import Codec
from dataset.errors import ConfigError
from dataset.melee.ids import character_name
from dataset.stream.bank import Augment, Bank
from dataset.stream.plan import Plan, Row, Segment, plan_evenly, plan_whole
from dataset.stream.track_memory import Bytes, TrackMemory, mapping

ORDER, DELAYS, MIRRORED, NOISE, CUTS, WITHIN, STEPS = range(7)
"""What random numbers are for; part of their seed, so that no two uses share any."""

LANES_BLOCK = 16
"""Steps of lanes for which tracks are decoded together: few, so that no step waits long for its tracks."""

Ints = NDArray[np.int64]
Table = NDArray[np.int32]


@dataclass(frozen=True)
class Batch:
    """One step of all rows, from the imitated players' view."""

    frames: Bytes
    """[B, T, W] the block that the arrays below, up to ``target``, are views of (``dataset.stream.track_memory.Layout``)."""
    continuous: NDArray[np.float16]
    """[B, T, C]"""
    indices: NDArray[np.uint16]
    """[B, T, I]"""
    previous: NDArray[np.uint8]
    """[B, T, K] classes of the newest committed controller."""
    target: NDArray[np.uint8]
    """[B, T, K] classes to predict."""
    mask: NDArray[np.bool_]
    """[B, T] whether the row is to be predicted; false in padding and burn-in."""
    reset: NDArray[np.bool_]
    """[B] whether the row's state begins anew before this window."""
    delay: NDArray[np.int64]
    """[B] frames between seeing and acting."""
    track: NDArray[np.int64]
    """[B] the track each row is on, -1 for an idle row."""
    start: NDArray[np.int64]
    """[B] the track's row that comes first in this window."""
    length: NDArray[np.int64]
    """[B] rows that are not padding."""


@dataclass(frozen=True)
class Cut:
    """The windows of one segment, in the order in which they are walked, [n] each."""

    start: Ints
    """The track's row that comes first."""
    supervised: tuple[Ints, Ints] | None
    """Rows of the track to be predicted, from … to …; ``None``: all of the window's."""
    reset: NDArray[np.bool_]
    """Whether the state begins anew."""


@dataclass(eq=False)
class Sampler(ABC):
    """Batches of one bank.

    Raises:
        ConfigError: no replay of the bank is imitated, or there is no such rank.
    """

    bank: Bank
    _: KW_ONLY
    rows: int
    """B of all ranks together; without shuffling, no more are used than there are tracks."""
    window: int
    """T"""
    delay: int | tuple[int, int]
    """Frames between seeing and acting, or (least, most) to draw from for each track and epoch."""
    seed: int = 0
    """Of every random choice."""
    augment: Codec | None = None
    """The codec of the controllers, to mirror half of the tracks and add noise to all; ``None`` does neither."""
    is_shuffled: bool = True
    """False keeps every replay whole on one row, in the same order each epoch, for measuring."""
    rank: int = 0
    """Which of the ranks this is."""
    world_size: int = 1
    """How many ranks share the data; each gets as many rows and steps as any other, idle ones if need be."""
    threads: int = 1
    """How many decode at once; batches are the same whatever their number."""

    def __post_init__(self) -> None:
        bank, delay = self.bank, self.delay
        if not bank.tracks:
            who = "any player" if bank.character is None else character_name(bank.character)
            raise ConfigError(f"training data: needs replays with {who}, found none; choose another character or store")
        if not 0 <= self.rank < self.world_size:
            raise ConfigError(
                f"rank {self.rank}: must be from 0 to below the {self.world_size} ranks; start one process a rank"
            )
        if not self.is_shuffled:
            self.rows = min(self.rows, len(bank.tracks))
        self.delays = (delay, delay) if isinstance(delay, int) else delay
        self.lengths = np.array([*(track.num_frames for track in bank.tracks), 0])
        """Frames of each track; the last entry is that of no track (-1)."""
        self.before = np.tri(self.window + 1, self.window, -1, dtype=np.bool_)
        """[T + 1, T] whether a place in the window lies before another; a lookup takes a tenth of a comparison."""
        self.waiting_for = "the first batch"
        """What is being done for the next batch; for the message when it does not come."""

    @property
    def num_rows(self) -> int:
        """Rows of this rank's batches."""
        return -(-self.rows // self.world_size)

    @abstractmethod
    def num_windows(self, num_frames: int) -> int:
        """Windows of a track with so many frames."""

    @abstractmethod
    def cut(self, segment: Segment, epoch: int) -> Cut:
        """The windows of a segment of ``epoch``."""

    @abstractmethod
    def block_size(self, plan: Plan) -> int:
        """Steps for which tracks are decoded together; a function of the plan alone."""

    @abstractmethod
    def order(self, plan: Plan, epoch: int, first: int, last: int) -> Ints:
        """The order in which the steps of the block from ``first`` to below ``last`` are taken."""

    def plan(self, epoch: int) -> Plan:
        """What each row of all ranks walks: all windows evenly on all rows or, not shuffled, every track whole on one."""
        tracks = self.bank.tracks
        lengths = [self.num_windows(track.num_frames) for track in tracks]
        if not self.is_shuffled:
            return plan_whole(lengths, self.rows)
        order = self.random(epoch, ORDER).permutation(len(self.bank.ids)).tolist()
        return plan_evenly(lengths, [track.replay for track in tracks], order, self.rows)

    def num_steps(self, epoch: int) -> int:
        """Batches of ``epoch``."""
        return self.plan(epoch).num_steps

    def batches(self, epoch: int, first_step: int = 0) -> Iterator[Batch]:
        """The batches of ``epoch`` from ``first_step`` on, equal to what a run that never stopped would see."""
        plan = self.plan(epoch)
        size, steps = self.block_size(plan), plan.num_steps
        rows = plan.rows[self.rank : self.rows : self.world_size]
        firsts = range(first_step // size * size, steps, size)
        most_rows = max((sum(self.needed(rows, first, first + size).values()) for first in firsts), default=0)
        most_tracks = max((len(self.needed(rows, first, first + size)) for first in firsts), default=0)
        memory = TrackMemory(most_rows + most_tracks * self.window, self.bank.layout.width, self.window)
        with closing(memory), mapping(self.threads) as run:
            for first in firsts:
                last = min(first + size, steps)
                memory.hold(self.needed(rows, first, last), lambda track, out: self._decode(track, epoch, out), run)
                block = _Block(self, rows, epoch, first, last, memory)
                for step in self.order(plan, epoch, first, last)[max(first_step - first, 0) :].tolist():
                    yield block.batch(step - first)

    def delay_of(self, epoch: int) -> Ints:
        """[tracks] the delay of each track in ``epoch``."""
        low, high = self.delays
        return self.random(epoch, DELAYS).integers(low, high + 1, len(self.bank.tracks))

    def random(self, epoch: int, use: int, *more: int) -> np.random.Generator:
        """Random numbers for one use in one epoch."""
        return np.random.default_rng([self.seed, epoch, use, *more])

    def needed(self, rows: Sequence[Row], first: int, last: int) -> dict[int, int]:
        """Rows of each track walked in the steps from ``first`` to below ``last``."""
        tracks = (segment.track for row in rows for segment, _ in row.between(first, last))
        return {track: self.bank.tracks[track].num_frames for track in tracks}

    def _decode(self, track: int, epoch: int, out: Bytes) -> NDArray[np.bool_]:
        found = self.bank.tracks[track]
        self.waiting_for = f"replay {self.bank.ids[found.replay]} to be read and decoded"
        return self.bank.decode(found, int(self.delay_of(epoch)[track]), self._augmentation(track, epoch), out)

    def _augmentation(self, track: int, epoch: int) -> Augment:
        if self.augment is None:
            return Augment()
        is_mirrored = self.random(epoch, MIRRORED, track).random() < 0.5
        return Augment(mirrored_by=self.augment if is_mirrored else None, noise_seed=(self.seed, epoch, NOISE, track))


class Lanes(Sampler):
    """Each row of a batch walks one replay in the order in which it was played, every imitated frame once an epoch.

    Row b of every batch is lane b, T frames further, so that a policy's state is carried from batch to batch. Lanes are
    filled edge to edge, so most begin inside a replay; such a row has ``reset`` set like any other start. The tail of a
    replay is padded and masked, never dropped.
    """

    def num_windows(self, num_frames: int) -> int:
        """As many as hold all frames."""
        return -(-num_frames // self.window)

    def cut(self, segment: Segment, epoch: int) -> Cut:
        """Window w holds frames w·T … (w + 1)·T − 1."""
        number = np.arange(segment.num_windows)
        return Cut((segment.first + number) * self.window, None, number == 0)

    def block_size(self, plan: Plan) -> int:
        """The same for every plan."""
        return LANES_BLOCK

    def order(self, plan: Plan, epoch: int, first: int, last: int) -> Ints:
        """One after the other."""
        return np.arange(first, last)


TRACK, START, LOW, HIGH, RESET = range(5)
"""Columns of a block's table; from ``LOW`` to below ``HIGH`` are the places in the window to be predicted."""

_IDLE = np.array([-1, 0, 0, 0, 1], dtype=np.int32)
"""A row with nothing to do."""


class _Block:
    """The windows of all rows in consecutive steps: a table [steps, B, 5]."""

    def __init__(
        self, sampler: Sampler, rows: Sequence[Row], epoch: int, first: int, last: int, memory: TrackMemory
    ) -> None:
        self._memory, self._sampler = memory, sampler
        self._has_burn_in = False
        by_row = np.tile(_IDLE, (sampler.num_rows, last - first, 1))
        for steps, row in zip(by_row, rows, strict=False):
            for segment, begin in row.between(first, last):
                self._fill(steps, segment, begin, first, last, epoch)
        # Turned as whole items: writing into the columns of a row at a time misses the cache at every step.
        items = by_row.view(f"V{_IDLE.nbytes}")[..., 0].T
        self._table = np.ascontiguousarray(items).view(np.int32).reshape(last - first, sampler.num_rows, -1)
        self._firsts = memory.first_rows(len(sampler.bank.tracks))
        self._delays = np.append(sampler.delay_of(epoch), sampler.delays[0])

    def _fill(self, steps: Table, segment: Segment, begin: int, first: int, last: int, epoch: int) -> None:
        """Write the part of a segment that lies in this block into a row's ``steps`` [steps, 5]."""
        to = slice(max(begin, first) - first, min(begin + segment.num_windows, last) - first)
        of = slice(to.start + first - begin, to.stop + first - begin)
        cut, table = self._sampler.cut(segment, epoch), steps[to]
        table[:, TRACK], table[:, START], table[:, RESET] = segment.track, cut.start[of], cut.reset[of]
        if cut.supervised is not None:
            self._has_burn_in = True
            for column, rows in zip((LOW, HIGH), cut.supervised, strict=True):
                table[:, column] = rows[of] - cut.start[of]

    def batch(self, step: int) -> Batch:
        """The batch of one step of this block."""
        table = self._table[step].astype(np.int64)
        track, start = table[:, TRACK], table[:, START]
        frames, mask = self._memory.gather(self._firsts[track] + start)
        if self._has_burn_in:
            supervised = self._sampler.before.take(table[:, HIGH], axis=0, mode="clip")
            supervised ^= self._sampler.before.take(table[:, LOW], axis=0, mode="clip")
            mask &= supervised
        return Batch(
            frames,
            *self._sampler.bank.layout.views(frames),
            mask=mask,
            reset=table[:, RESET] != 0,
            delay=self._delays[track],
            track=track,
            start=start,
            length=np.minimum(self._sampler.lengths[track] - start, self._sampler.window),
        )
