"""A codec's components as the columns of one logits matrix: where each begins, one-hot rows, and groups of equal size.

All components share one matrix [..., S], S the sum of their class counts, so that inputs, head and losses each are a few
large operations instead of many small ones.

Legend: K components, S columns.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dataset.codecs.base import Codec
from dataset.melee.controller import NEUTRAL


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
