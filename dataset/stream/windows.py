"""Windows: each row of a batch is a window from anywhere in the bank, begun with no memory of what was before.

The first ``burn_in`` frames of a window warm the policy's state up and are not predicted. The others of all windows tile the
replays at a random phase, so an epoch still predicts every frame exactly once; ``burn_in`` = T − 1 predicts only the last
frame of each. A batch takes its windows from as many replays as it has rows. Within ``memory`` bytes of decoded replays, the
order is that of a shuffle of the whole bank; beyond, as many replays at a time as fit are shuffled together.

Legend: T frames in the window.
"""

from dataclasses import dataclass

import numpy as np

from dataset.errors import ConfigError
from dataset.stream.plan import Plan, Row, Segment
from dataset.stream.sampler import CUTS, STEPS, WITHIN, Cut, Ints, Sampler

MEMORY = 512 * 2**20
"""Bytes of decoded replays that are shuffled together, about 2 million frames."""

LEAST_BLOCK = 64
"""Steps that are shuffled together however little fits."""


@dataclass(eq=False)
class Windows(Sampler):
    """Batches of one bank.

    Raises:
        ConfigError: the burn-in leaves no frame to predict; see also ``Sampler``.
    """

    burn_in: int = 0
    """Frames at the start of a window that are seen and not predicted, unless the replay begins there."""
    memory: int = MEMORY
    """Bytes of decoded replays that are shuffled together."""
    every: int = 1
    """Predict only each Nth frame, from the middle of the first N on; for measuring windows of one such frame."""

    def __post_init__(self) -> None:
        super().__post_init__()
        burn_in, window, every = self.burn_in, self.window, self.every
        if not 0 <= burn_in < window:
            raise ConfigError(
                f"--burn-in: must leave at least one frame of the window of {window}, found {burn_in}; "
                "give a smaller one, or a larger --window-size"
            )
        self._stride = window - burn_in
        if every != 1 and (self._stride != 1 or self.is_shuffled):
            raise ConfigError(
                f"every {every}: thins only windows that are in order and predict one frame each, found burn-in {burn_in} in "
                f"{window}{', shuffled' if self.is_shuffled else ''}; leave it at 1"
            )
        self._last: tuple[tuple[int, int], Ints, float] | None = None

    def num_windows(self, num_frames: int) -> int:
        """One more than would tile the track, so that they can begin at any phase."""
        if self._stride == 1:
            return (num_frames + self.every - 1 - self.every // 2) // self.every
        return -(-num_frames // self._stride) + 1

    def cut(self, segment: Segment, epoch: int) -> Cut:
        """The segment's windows: a share of its track's, which are drawn without replacement."""
        num_frames = self.bank.tracks[segment.track].num_frames
        within, phase = self._drawn(segment.track, epoch)
        number = within[segment.first : segment.first + segment.num_windows]
        low = self._edge(number, num_frames, phase)
        high = low + 1 if self._stride == 1 else self._edge(number + 1, num_frames, phase)
        return Cut(np.maximum(high - self.window, 0), (low, high), np.ones(len(number), dtype=np.bool_))

    def _drawn(self, track: int, epoch: int) -> tuple[Ints, float]:
        """The order of a track's windows and their phase; kept for the next segment, which is often of the same track."""
        last = self._last
        if last is None or last[0] != (track, epoch):
            total = self.num_windows(self.bank.tracks[track].num_frames)
            within = self.random(epoch, WITHIN, track).permutation(total) if self.is_shuffled else np.arange(total)
            last = self._last = ((track, epoch), within, self.random(epoch, CUTS, track).random())
        return last[1:]

    def _edge(self, number: Ints, num_frames: int, phase: float) -> Ints:
        """Where the predicted rows of each window begin; those of one end where those of the next begin."""
        if self._stride == 1:
            return number * self.every + self.every // 2
        inner = self.num_windows(num_frames) - 1
        edges = np.floor((number - 1 + phase) * num_frames / inner).astype(np.int64)
        return np.where(number == 0, 0, np.where(number > inner, num_frames, np.maximum(edges, 0)))

    def block_size(self, plan: Plan) -> int:
        """As many steps as fit in memory, the whole epoch if it does."""
        size = steps = plan.num_steps
        if not self.is_shuffled:
            return LEAST_BLOCK
        while size > LEAST_BLOCK and self._most_bytes(plan.rows, size, steps) > self.memory:
            size = -(-size // 2)
        return size

    def _most_bytes(self, plan: list[Row], size: int, steps: int) -> int:
        """Most bytes of decoded tracks that a block of ``size`` steps needs."""
        rows = max(sum(self.needed(plan, first, first + size).values()) for first in range(0, steps, size))
        return rows * self.bank.layout.width

    def order(self, plan: Plan, epoch: int, first: int, last: int) -> Ints:
        """Any order within the block, but no step in which a replay meets itself before one in which none does."""
        steps = np.arange(first, last)
        if self.is_shuffled:
            random = self.random(epoch, STEPS, first)
            random.shuffle(steps[: max(plan.level - first, 0)])
            random.shuffle(steps[max(plan.level - first, 0) :])
        return steps
