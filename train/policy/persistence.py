"""The persistence baseline, shown beside every number: a player who keeps doing what the controller already does.

Its accuracy is that of copying the previous controller. Its likelihood is fitted on the training frames: each component keeps its
class with one probability, and a change goes to the class that changes go to, whatever the frame. A policy that does not beat it
has learned nothing.

Legend: K components, C the most classes of any component.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataset.stream.bank import Bank


@dataclass(frozen=True)
class Persistence:
    """A fitted copycat."""

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
    def from_json(cls, values: Mapping[str, Any]) -> "Persistence":
        """What ``to_json`` wrote."""
        return cls(tuple(values["stay"]), tuple(tuple(shares) for shares in values["changes"]))


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
