"""Rows of one player's view, from a replay as shards hold it: column-major, seen from side a, controllers not yet shifted.

In: a sample, a side, a delay and what to augment. Out: rows of bytes (``Layout``) and which of them have a target. The
surprise: columns become rows through an exclusive or. It turns the sign bits of side b's view on the way, and numpy walks
its operands along the columns, whereas it copies a transposed array across all of them at half of the speed. They become rows
in a small array that stays in the cache and go from there to their place, which is cold, in one piece: a quarter less time.

Legend: N frames, C columns, W bytes of a frame.
"""

import numpy as np
from numpy.typing import NDArray

from dataset.features.align import align
from dataset.features.encoder import EXCHANGE_FEATURES, EXCHANGE_INDICES, EXCHANGE_SIGNS, perspective
from dataset.stream.augment import PLAIN, Augment
from dataset.stream.batch import Bytes, Layout
from dataset.stream.window_shards import Sample

BLOCK = 512
"""Rows written at a time: their bytes, read and written, stay in the processor's second cache, a line of each in the first."""

_FEATURES, _INDICES = (None, EXCHANGE_FEATURES), (None, EXCHANGE_INDICES)
_FLIPS = np.zeros((2, len(EXCHANGE_SIGNS)), dtype=np.uint16)
_FLIPS[1, EXCHANGE_SIGNS < 0] = 0x8000
"""[side, C] bits that differ between the two views."""


def decode(sample: Sample, side: int, delay: int, augment: Augment, layout: Layout, out: Bytes) -> NDArray[np.bool_]:
    """Write a replay from the view of ``side`` into rows [N, W]; returns which of them have a target, [N]."""
    aligned = align(np.ascontiguousarray(sample.classes[side].T), sample.frames, delay)
    encoded, previous, target = sample.encoded, aligned.previous, aligned.target
    if augment != PLAIN:
        encoded, previous, target = augment.apply(perspective(encoded, side), previous, target)
        side = 0
    features, flips = encoded.continuous.view(np.uint16), _FLIPS[side][:, None]
    warm = np.zeros((BLOCK, layout.width), dtype=np.uint8)
    for first in range(0, len(out), BLOCK):
        block = slice(first, first + BLOCK)
        rows = warm[: len(out) - first]
        np.bitwise_xor(
            _ordered(features[:, block], _FEATURES[side]), flips, out=layout.continuous(rows).view(np.uint16).T
        )
        layout.indices(rows)[:] = _ordered(encoded.indices[:, block], _INDICES[side]).T
        layout.previous(rows)[:] = previous[block]
        layout.target(rows)[:] = target[block]
        out[block] = rows
    return aligned.mask


def _ordered(columns: NDArray[np.uint16], order: NDArray[np.intp] | None) -> NDArray[np.uint16]:
    return columns if order is None else columns[order]
