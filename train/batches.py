"""Numpy batches to tensors, the only place where they meet: moved in their stored, compact types.

On CUDA a batch goes through pinned memory without waiting, and the next ones are prepared by a thread meanwhile; on the CPU
tensors share the arrays' memory. The surprise: nothing is widened here; float16 and 16-bit ids become floats and rows of
tables inside the policy, on its device.

Legend: B lanes, T frames in the window, C features, I indices, K components.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from dataset.stream import Batch

Item = TypeVar("Item")


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


def to_tensors(batch: Batch, delay: int, device: torch.device) -> Tensors:
    """Move a batch to ``device``."""

    def move(array: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Tensor:
        tensor = torch.from_numpy(array)
        return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)

    return Tensors(
        continuous=move(batch.continuous),
        indices=move(batch.indices.view(np.int16)),  # ids stay below 1024; CUDA has no uint16 arithmetic
        previous=move(batch.previous),
        delay=torch.full((len(batch.reset),), delay, device=device),
        target=move(batch.target),
        mask=move(batch.mask),
        reset=move(batch.reset),
        num_frames=int(batch.mask.sum()),
    )


def ahead(items: Iterator[Item], depth: int = 3) -> Iterator[Item]:
    """The same items in the same order, up to ``depth`` of them prepared by a thread in advance."""
    end = object()
    with ThreadPoolExecutor(max_workers=1) as thread:
        waiting: list[Future[Item | object]] = [thread.submit(next, items, end) for _ in range(depth)]
        while (item := waiting.pop(0).result()) is not end:
            waiting.append(thread.submit(next, items, end))
            yield item  # type: ignore[misc]  # anything but the end mark is an Item
