"""A codec's components as columns of one logits matrix, and how likely their classes are: to logits and to the copycat.

All components share one matrix [..., S], S the sum of their class counts, so that inputs, head and losses are each a few
large operations instead of many small ones.

Persistence, the baseline beside every number, is a player who keeps doing what the controller already does. Its accuracy is that
of copying the previous controller. Its likelihood is fitted on the training frames: each component keeps its class with one
probability, and a change goes to the class that changes go to, whatever the frame. A policy that does not beat it has learned
nothing.

Legend: K components, S columns, C the most classes of any component.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from dataset.codecs.base import Codec
from dataset.melee.controller import NEUTRAL
from dataset.stream.bank import Bank


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


@dataclass(frozen=True)
class Persistence:
    """The fitted copycat."""

    stay: tuple[float, ...]
    """[K] probability that a component keeps its class."""
    changes: tuple[tuple[float, ...], ...]
    """Of each component, how often a change goes to each class."""

    def nll_table(self) -> Tensor:
        """float32 [K, C, C]: nats of each class after each previous class."""
        most = max(map(len, self.changes))
        table = torch.zeros(len(self.stay), most, most)
        for k, (stay, shares) in enumerate(zip(self.stay, self.changes, strict=True)):
            marginal = torch.tensor(shares, dtype=torch.float64)
            others = (1 - stay) * marginal[None, :] / (1 - marginal[:, None])  # a change cannot go where it came from
            others.fill_diagonal_(stay)
            table[k, : len(shares), : len(shares)] = -others.log().float()
        return table

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``config.json``."""
        return {"stay": list(self.stay), "changes": [list(shares) for shares in self.changes]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any], sizes: Sequence[int]) -> "Persistence":
        """What ``to_json`` wrote.

        Raises:
            ValueError: it is not of ``sizes``, the classes of each component, or holds other things than shares.
        """
        stay, changes = tuple(values["stay"]), tuple(tuple(shares) for shares in values["changes"])
        if len(stay) != len(sizes) or tuple(map(len, changes)) != tuple(sizes):
            raise ValueError(f"persistence of {len(stay)} components")
        if not all(0 <= share <= 1 for shares in (stay, *changes) for share in shares):
            raise ValueError("a share that is not from 0 to 1")
        return cls(stay, changes)


def fit_persistence(bank: Bank, sizes: tuple[int, ...], delay: int) -> Persistence:
    """Count how components stay and change over every imitated frame of ``bank``; one of each is added to all counts."""
    frames = 0
    stays = np.zeros(len(sizes), dtype=np.int64)
    changes = [np.ones(size, dtype=np.int64) for size in sizes]
    for track in bank.tracks:
        rows = bank.open(track, delay)
        previous, target = rows.previous[rows.mask], rows.target[rows.mask]
        is_same: NDArray[np.bool_] = previous == target
        frames += len(target)
        stays += is_same.sum(axis=0)
        for k, size in enumerate(sizes):
            changes[k] += np.bincount(target[~is_same[:, k], k], minlength=size)
    return Persistence(
        tuple(((stays + 1) / (frames + 2)).tolist()), tuple(tuple((c / c.sum()).tolist()) for c in changes)
    )
