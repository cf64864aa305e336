"""Numpy batches to tensors, the only place where they meet: moved in their stored, compact types.

On CUDA a batch goes through pinned memory without waiting, and the next ones are prepared by a thread meanwhile; on the CPU
tensors share the arrays' memory. The surprise: nothing is widened here; float16 and 16-bit ids become floats and rows of
tables inside the policy, on its device.

Legend: B lanes, T frames in the window, C features, I indices, K components.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dataset.stream.sampler import Batch
from dataset.stream.track_memory import Layout
from train.data.weights import Floats


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
        weights: [tracks] how much each counts (``train.data.weights``); ``None``: all alike.
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
