"""Batches for training and measuring: the sampler that a config means, its batches as tensors, and the leak check over them.

Batches move in their stored, compact types; float16 and 16-bit ids become floats and rows of tables inside the policy, on its
device. On CUDA a batch goes through pinned memory without waiting; on the CPU tensors share the arrays' memory.

The leak check runs before the first step of every training. It joins the windows of a lane wherever a row does not reset, and
compares jumps in the targets with KNEE_BEND in the states. It reads what batches deliver and nothing else, so it notices a shift
made anywhere before.

Legend: B lanes, T frames in the window, C features, I indices, K components.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataset.codecs.base import Codec
from dataset.errors import SchemaError
from dataset.features.align import Leak, leak_counts, leak_from_counts
from dataset.features.layout import INDEX_ROW
from dataset.melee.controller import BUTTONS
from dataset.stream.bank import Bank
from dataset.stream.sampler import Batch, Lanes, Sampler
from dataset.stream.track_memory import Layout
from dataset.stream.windows import Windows
from train.config.run_config import RunConfig
from train.data.load import Floats
from train.distributed import Ranks

ENOUGH_ONSETS, MAX_FRAMES = 1000, 400_000
"""The leak check stops reading at either."""

TINY_FRAMES = 100_000
"""With fewer imitated frames (28 minutes of play) training starts even if the check finds too few jumps."""

_JUMP = sum(bit for name, bit in BUTTONS if name in ("x", "y"))
_ACTION_STATE = INDEX_ROW["a_action_state"]

MEASURED_EVERY = 8
"""Where only the last frame of a window is predicted, each measured frame costs a window; every 8th then stands for all."""


def build_sampler(
    bank: Bank, config: RunConfig, *, is_shuffled: bool = True, ranks: Ranks | None = None, threads: int = 1
) -> Sampler:
    """The sampler that a config means.

    Args:
        bank: the replays.
        config: decides lanes or windows, their size, delay and augmentation.
        is_shuffled: false for measuring, which walks every replay whole, as it was recorded, at the delay of play.
        ranks: the processes that share the batches; ``None``: this one alone.
        threads: that decode replays.
    """
    data, place = config.data, ranks or Ranks()
    shared: dict[str, Any] = {
        "rows": data.lanes,
        "window": data.window_size,
        "delay": data.delays if is_shuffled else data.delay,
        "seed": config.seed,
        "augment": config.policy.controller_codec if data.augment and is_shuffled else None,
        "is_shuffled": is_shuffled,
        "rank": place.rank,
        "world_size": place.size,
        "threads": threads,
    }
    if data.sampling == "lanes":
        return Lanes(bank, **shared)
    every = MEASURED_EVERY if data.supervise == "last" and not is_shuffled else 1
    return Windows(bank, burn_in=config.burn_in, every=every, **shared)


@dataclass(frozen=True)
class Tensors:
    """A batch on a device, in the order in which a policy takes it."""

    continuous: Tensor
    """float16 [B, T, C]"""
    indices: Tensor
    """int16 [B, T, I]"""
    previous: Tensor
    """uint8 [B, T, K]"""
    delay: Tensor
    """int64 [B]"""
    target: Tensor
    """uint8 [B, T, K]"""
    mask: Tensor
    """bool [B, T]"""
    reset: Tensor
    """bool [B]"""
    num_frames: int
    """Rows in ``mask``."""
    weight: Tensor | None = None
    """float32 [B] how much each row counts; ``None``: all alike."""


def to_tensors(batch: Batch, device: torch.device, weights: Floats | None = None) -> Tensors:
    """Move a batch to ``device``: all that belongs to frames in one block, which is taken apart there.

    Args:
        batch: the batch.
        device: where to.
        weights: [tracks] how much each counts (``Data.weights``); ``None``: all alike.
    """

    def move(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Tensor:
        tensor = torch.from_numpy(array)
        return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)

    frames = move(batch.frames)
    parts = {name: frames[..., part] for name, part in Layout(batch.target.shape[-1]).parts.items()}
    return Tensors(
        continuous=parts["continuous"].view(torch.float16),
        indices=parts["indices"].view(torch.int16),  # ids stay below 1024; CUDA has no uint16 arithmetic
        previous=parts["previous"],
        delay=move(batch.delay),
        target=parts["target"],
        mask=move(batch.mask),
        reset=move(batch.reset),
        num_frames=int(batch.mask.sum()),
        weight=None if weights is None else move(weights[batch.track]),
    )


def measure_leak(bank: Bank, config: RunConfig) -> Leak:
    """How jumps line up with KNEE_BEND in the first batches of a run, as they were recorded and at one delay."""
    data, codec = config.data, config.policy.controller_codec
    lanes = Lanes(bank, rows=data.lanes, window=data.window_size, delay=data.delay, seed=config.seed)
    counts = np.zeros(3, dtype=np.int64)
    batches = islice(lanes.batches(0), MAX_FRAMES // (lanes.num_rows * lanes.window) + 1)
    for states, previous, target, mask in _unbroken(batches, lanes.num_rows):
        counts += leak_counts(states, _jumps(codec, previous), _jumps(codec, target), mask, data.delay)
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
        return f"leak check: too few jumps to tell whether targets are aligned ({leak.onsets}); training continues unchecked"
    raise SchemaError(
        "leak check: at least 40 % of jumps must show in the state of their own frame, at most 5 % in the frame before, "
        f"over 200 jumps or more; {found}; run 'exphil verify' on the store"
    )


def _jumps(codec: Codec, classes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    held: NDArray[np.bool_] = (codec.decode(classes)[:, 5] & _JUMP) != 0
    return held


def _unbroken(batches: Iterator[Batch], lanes: int) -> Iterator[list[NDArray[Any]]]:
    """Action states, previous and target classes and mask of a lane's rows, from one reset to the next."""
    held: list[list[tuple[NDArray[Any], ...]]] = [[] for _ in range(lanes)]
    for batch in batches:
        columns = (batch.indices[..., _ACTION_STATE], batch.previous, batch.target, batch.mask)
        for row, windows in enumerate(held):
            if batch.reset[row] and windows:
                yield [np.concatenate(parts) for parts in zip(*windows, strict=True)]
                windows.clear()
            windows.append(tuple(column[row, : int(batch.length[row])] for column in columns))
    yield from ([np.concatenate(parts) for parts in zip(*windows, strict=True)] for windows in held if windows)
