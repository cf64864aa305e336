"""The leak check over what the batches really deliver, run before the first step of every training.

Windows of a lane are joined again wherever a row does not reset, and jumps in the targets are compared with KNEE_BEND in
the states (``dataset.features.align``). It reads the batches and nothing else, so it notices a shift anywhere on the way.
"""

from collections.abc import Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from dataset.codecs.base import Codec
from dataset.errors import SchemaError
from dataset.features.align import Leak, leak_counts, leak_from_counts
from dataset.features.layout import INDEX_ROW
from dataset.melee.controller import BUTTONS
from dataset.stream.sampler import Batch, Lanes

ENOUGH_ONSETS = 1000
"""Reading stops here."""

MAX_FRAMES = 400_000
"""Reading stops here too."""

TINY_FRAMES = 100_000
"""Below so many imitated frames (28 minutes of play) a check may find too few jumps and training starts nevertheless."""

_JUMP = sum(bit for name, bit in BUTTONS if name in ("x", "y"))
_ACTION_STATE = INDEX_ROW["a_action_state"]

Strip = tuple[NDArray[np.uint16], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]
"""Action states, previous and target classes and mask of one lane's rows."""


def measure_leak(lanes: Lanes, codec: Codec) -> Leak:
    """How jumps line up with KNEE_BEND in the first batches of epoch 0."""
    counts = np.zeros(3, dtype=np.int64)
    batches = islice(lanes.batches(0), MAX_FRAMES // (lanes.num_rows * lanes.window) + 1)
    for states, previous, target, mask in _joined(batches, lanes.num_rows):
        counts += leak_counts(states, _jumps(codec, previous), _jumps(codec, target), mask, lanes.delays[0])
        if counts[0] >= ENOUGH_ONSETS:
            break
    return leak_from_counts(counts)


def require_no_leak(leak: Leak, num_frames: int) -> str | None:
    """Abort on misaligned data; a note when tiny data cannot tell.

    Raises:
        SchemaError: targets do not lie one frame after the states, or plenty of data shows too few jumps to tell.
    """
    found = f"found {leak.own_row:.1%} and {leak.row_before:.1%} over {leak.onsets} jumps"
    if leak.status == "ok":
        return None
    if leak.status == "insufficient" and num_frames < TINY_FRAMES:
        return (
            f"leak check: too few jumps to tell whether targets are aligned ({leak.onsets}); training goes on unchecked"
        )
    raise SchemaError(
        "leak check: at least 40 % of jumps must show in the state of their own frame, at most 5 % in the frame before, "
        f"over 200 jumps or more; {found}; run 'exphil verify' on the store"
    )


def _jumps(codec: Codec, classes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    held: NDArray[np.bool_] = (codec.decode(classes)[:, 5] & _JUMP) != 0
    return held


def _joined(batches: Iterator[Batch], lanes: int) -> Iterator[Strip]:
    """Unbroken strips of rows, each from one reset to the next."""
    open_windows: list[list[Strip]] = [[] for _ in range(lanes)]
    for batch in batches:
        for row, windows in enumerate(open_windows):
            if batch.reset[row] and windows:
                yield _join(windows)
                windows.clear()
            own = slice(0, int(batch.length[row]))
            windows.append(
                (
                    batch.indices[row, own, _ACTION_STATE],
                    batch.previous[row, own],
                    batch.target[row, own],
                    batch.mask[row, own],
                )
            )
    yield from (_join(windows) for windows in open_windows if windows)


def _join(windows: list[Strip]) -> Strip:
    states, previous, target, mask = (np.concatenate(parts) for parts in zip(*windows, strict=True))
    return states, previous, target, mask
