"""Batches, and the bytes of one of their frames: everything a policy is given of a frame lies side by side in one row.

A ``Layout`` names the columns of a row of bytes; an array of rows is read through views, so a window is one copy of
consecutive bytes and a batch is one block to send to a device. The surprise: the arrays of a batch are strided views of
that block.

Legend: B rows of a batch, T frames in the window, C features, I indices, K components, W bytes of a frame.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from dataset.features.layout import FEATURES, INDICES

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Layout:
    """Where a frame's parts lie in its W bytes."""

    components: int
    """K"""

    @cached_property
    def parts(self) -> dict[str, slice]:
        """Bytes of each part of a frame; zeros pad the last to whole 8-byte words, so that equal frames are equal bytes."""
        sizes = {
            "continuous": 2 * len(FEATURES),
            "indices": 2 * len(INDICES),
            "previous": self.components,
            "target": self.components,
        }
        ends = list(accumulate(sizes.values()))
        return {name: slice(end - size, end) for (name, size), end in zip(sizes.items(), ends, strict=True)}

    @property
    def width(self) -> int:
        """W."""
        used: int = self.parts["target"].stop
        return -(-used // 8) * 8

    def continuous(self, rows: Bytes) -> NDArray[np.float16]:
        """Features [..., C]."""
        return rows[..., self.parts["continuous"]].view(np.float16)

    def indices(self, rows: Bytes) -> NDArray[np.uint16]:
        """Embedding indices [..., I]."""
        return rows[..., self.parts["indices"]].view(np.uint16)

    def previous(self, rows: Bytes) -> Bytes:
        """Classes of the newest committed controller [..., K]."""
        return rows[..., self.parts["previous"]]

    def target(self, rows: Bytes) -> Bytes:
        """Classes to predict [..., K]."""
        return rows[..., self.parts["target"]]


@dataclass(frozen=True)
class Batch:
    """One step of all rows, from the imitated players' view."""

    frames: Bytes
    """[B, T, W] the block that the arrays below, up to ``target``, lie in."""
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
