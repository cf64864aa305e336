"""Batches for training and measuring: the sampler that a config means, and its numpy batches as tensors on a device.

Batches move in their stored, compact types; float16 and 16-bit ids become floats and rows of tables inside the policy, on its
device. On CUDA a batch goes through pinned memory without waiting; on the CPU tensors share the arrays' memory.

Legend: B lanes, T frames in the window, C features, I indices, K components.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dataset.stream.bank import Bank
from dataset.stream.batch import Batch, Layout
from dataset.stream.lanes import Lanes
from dataset.stream.sampler import Sampler
from dataset.stream.windows import Windows
from train.config.run_config import RunConfig
from train.data.load import Floats
from train.distributed import Ranks

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
