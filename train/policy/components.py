"""A codec in tensors: its components as columns of one logits matrix, their likelihood, and the floats they decode to.

All components share one matrix [..., S], S the sum of their class counts, so that inputs, head and losses are each a few
large operations instead of many small ones. A codec is only asked to encode and decode, so any codec works.

Legend: K components, S columns; 13 floats per controller, in the order of ``controller_floats``.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from dataset.codecs.base import Codec
from dataset.melee.controller import NEUTRAL, controller_floats

NUM_PROBES = 4096
"""Random controllers that are decoded to find which components a float depends on."""


@dataclass(frozen=True)
class Group:
    """Neighbouring components with equally many classes."""

    first: int
    """The first component."""
    count: int
    size: int
    """Classes of each."""
    column: int
    """Where their logits begin."""
    is_button: bool
    """Whether they press buttons."""

    def of(self, logits: Tensor) -> Tensor:
        """[..., S] to this group's [..., count, size]."""
        part = logits[..., self.column : self.column + self.count * self.size]
        return part.reshape(*part.shape[:-1], self.count, self.size)


@dataclass(frozen=True)
class Components:
    """Names and sizes of a codec's components."""

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    presses: tuple[tuple[bool, ...], ...]
    """Of each component, the classes that press a button."""

    @classmethod
    def of(cls, codec: Codec) -> "Components":
        """The components of a codec."""
        names, sizes = zip(*codec.components, strict=True)
        return cls(names, sizes, tuple(_presses(codec, k, size) for k, size in enumerate(sizes)))

    @property
    def num_columns(self) -> int:
        """S, the width of the logits."""
        return sum(self.sizes)

    @property
    def columns(self) -> tuple[int, ...]:
        """Where each component's logits begin."""
        return tuple(sum(self.sizes[:k]) for k in range(len(self.sizes)))

    @property
    def owner(self) -> list[int]:
        """Of each of the S columns, the component it belongs to."""
        return [k for k, size in enumerate(self.sizes) for _ in range(size)]

    @property
    def are_buttons(self) -> tuple[bool, ...]:
        """Of each component, whether it presses buttons."""
        return tuple(map(any, self.presses))

    @property
    def groups(self) -> tuple[Group, ...]:
        """Runs of neighbouring components of equal size and kind, in order."""
        groups: list[Group] = []
        for k, (size, column, is_button) in enumerate(zip(self.sizes, self.columns, self.are_buttons, strict=True)):
            if groups and (groups[-1].size, groups[-1].is_button) == (size, is_button):
                last = groups.pop()
                groups.append(Group(last.first, last.count + 1, size, last.column, is_button))
            else:
                groups.append(Group(k, 1, size, column, is_button))
        return tuple(groups)


def _presses(codec: Codec, k: int, size: int) -> tuple[bool, ...]:
    """Whether each class of component ``k`` presses a button, all others at rest."""
    classes = np.repeat(codec.encode(NEUTRAL[None]), size, axis=0)
    classes[:, k] = np.arange(size)
    return tuple((codec.decode(classes)[:, 5] != 0).tolist())


def one_hot(classes: Tensor, columns: Tensor, num_columns: int) -> Tensor:
    """Classes [..., K] as float rows [..., S] with a one in each component's columns; ``columns`` [K] int64 begin them."""
    rows = torch.zeros(*classes.shape[:-1], num_columns, device=classes.device)
    return rows.scatter_(-1, classes.long() + columns, 1.0)


def component_nll(logits: Tensor, target: Tensor, components: Components, label_smoothing: float = 0.0) -> Tensor:
    """Nats of every component, float32 [..., K]; smoothing applies to sticks and trigger, not to buttons."""
    parts: list[Tensor] = []
    for group in components.groups:
        classes = target[..., group.first : group.first + group.count].long()
        smoothing = 0.0 if group.is_button else label_smoothing
        rows = group.of(logits).float().reshape(-1, group.size)
        nll = F.cross_entropy(rows, classes.reshape(-1), reduction="none", label_smoothing=smoothing)
        parts.append(nll.reshape(classes.shape))
    return torch.cat(parts, dim=-1)


class ControllerFloats(nn.Module):
    """Classes [..., K] to the float32 [..., 13] that they decode to: one lookup, no weights.

    Most floats follow from one component; a few (in ``axis17`` the trigger, which L, R and Z press too) follow from several.
    One matrix product gives the place of every float in the table.
    """

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
    grid = np.indices([sizes[k] for k in components]).reshape(len(components), -1)
    classes = np.repeat(codec.encode(NEUTRAL[None]), grid.shape[1], axis=0)
    classes[:, components] = grid.T
    strides = np.zeros(len(sizes), dtype=np.float32)
    for i, k in enumerate(components):
        strides[k] = np.prod([sizes[later] for later in components[i + 1 :]])
    return strides, controller_floats(codec.decode(classes))[:, j]
