"""The 13 floats of a controller from its classes, inside the policy: the codec's own decoding as one look-up.

Most floats follow from one component; a few (in ``axis17`` the trigger, which L, R and Z press too) from several. Which ones
is found by asking the codec, so any codec works. The surprise: one matrix product gives the place in the table.

Legend: K components; 13 floats, in the order of ``dataset.melee.controller.controller_floats``.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dataset.codecs.base import Codec
from dataset.melee.controller import NEUTRAL, controller_floats

NUM_PROBES = 4096
"""Random controllers among which a component that matters to a float shows itself."""


class ControllerFloats(nn.Module):
    """Classes [..., K] to float32 [..., 13]; holds no weights."""

    strides: Tensor
    starts: Tensor
    table: Tensor

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        influences = _influences(codec)
        strides = np.zeros(influences.shape, dtype=np.float32)
        tables: list[NDArray[np.float32]] = []
        starts: list[int] = []
        for j in range(influences.shape[1]):
            starts.append(sum(map(len, tables)))
            strides[:, j], values = _float_table(codec, np.flatnonzero(influences[:, j]), j)
            tables.append(values)
        self.register_buffer("strides", torch.from_numpy(strides), persistent=False)
        self.register_buffer("starts", torch.tensor(starts), persistent=False)
        self.register_buffer("table", torch.from_numpy(np.concatenate(tables)), persistent=False)

    def forward(self, classes: Tensor) -> Tensor:
        """What the controllers of ``classes`` decode to."""
        with torch.autocast(
            classes.device.type, enabled=False
        ):  # places are whole numbers below 2**24: exact in float32 only
            places = (classes.float() @ self.strides.float()).long() + self.starts
        return self.table.float()[places]


def _influences(codec: Codec) -> NDArray[np.bool_]:
    """[K, 13]: whether a component ever changes a float."""
    random = np.random.default_rng(0)
    sizes = [size for _, size in codec.components]
    probes = np.stack([random.integers(0, size, NUM_PROBES) for size in sizes], axis=-1).astype(np.uint8)
    base = controller_floats(codec.decode(probes))
    rows: list[NDArray[np.bool_]] = []
    for k, size in enumerate(sizes):
        changed = probes.copy()
        changed[:, k] = random.integers(0, size, NUM_PROBES)
        rows.append((controller_floats(codec.decode(changed)) != base).any(axis=0))
    return np.stack(rows)


def _float_table(codec: Codec, components: NDArray[np.intp], j: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Float ``j`` for every combination of ``components``: the stride of each component [K], and the values."""
    sizes = [size for _, size in codec.components]
    grid = np.indices([sizes[k] for k in components]).reshape(len(components), math.prod(sizes[k] for k in components))
    classes = np.repeat(codec.encode(NEUTRAL[None]), grid.shape[1], axis=0)
    classes[:, components] = grid.T
    strides = np.zeros(len(sizes), dtype=np.float32)
    for i, k in enumerate(components):
        strides[k] = np.prod([sizes[later] for later in components[i + 1 :]])
    return strides, controller_floats(codec.decode(classes))[:, j]
