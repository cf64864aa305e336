"""The main metrics of every group of frames: of each replay, to say how sure a number is; of each situation and opponent.

Both players of a ditto count as one replay, since what happens to one happens to the other.

Legend: N frames, G groups.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from train.measure.scored_frames import Controls, ScoredFrames


class GroupedMetrics:
    """Sums over the frames of each group, in float64."""

    def __init__(self, names: Sequence[str], controls: Controls) -> None:
        """Prepare for groups of these names."""
        self.names = list(names)
        self._weights = controls.overall_weights
        self._sums = torch.zeros(len(self.names), 9, dtype=torch.float64, device=controls.values.device)
        self._has_lookup = True

    def add(self, frames: ScoredFrames, group: Tensor, lookup: ScoredFrames | None = None) -> None:
        """Count N frames of the groups int64 [N], and what the lookup baseline predicted of them."""
        nll = frames.nll.double().sum(dim=1)
        accuracy = ((frames.best_values == frames.values).double() * self._weights).sum(dim=1)
        change, moved = frames.is_change.double(), frames.is_stick_change.double()
        hit = frames.is_stick_right.double()
        one = torch.ones_like(nll)
        self._has_lookup &= lookup is not None
        lookup_nll = torch.zeros_like(nll) if lookup is None else lookup.nll.double().sum(dim=1)
        columns = (one, nll, accuracy, change, change * nll, change * accuracy, moved, moved * hit, lookup_nll)
        self._sums.index_add_(0, group, torch.stack(columns, dim=1))

    def report(self) -> dict[str, list[Any]]:
        """``ids``, the names of the groups, and a list per metric in their order; a mean over no frames is 0."""
        frames, nll, accuracy, changes, change_nll, change_accuracy, moves, hits, _ = self._sums.unbind(dim=1)
        return {
            "ids": self.names,
            "frames": _whole(frames),
            "nll": _means(nll, frames),
            "accuracy": _means(accuracy, frames),
            "change_frames": _whole(changes),
            "change_nll": _means(change_nll, changes),
            "change_accuracy": _means(change_accuracy, changes),
            "stick_frames": _whole(moves),
            "stick_accuracy": _means(hits, moves),
        }

    def by_name(self) -> dict[str, dict[str, Any]]:
        """The metrics of every group that has frames, its ``share`` of all frames, and the lookup's likelihood if known."""
        columns = self.report()
        total = sum(columns["frames"])
        lookup = _means(self._sums[:, -1], self._sums[:, 0])
        later = ("change_frames", "change_nll", "change_accuracy", "stick_frames", "stick_accuracy")
        return {
            name: {
                "frames": frames,
                "share": frames / total,
                "nll": columns["nll"][g],
                "lookup_nll": lookup[g] if self._has_lookup else None,
                **{key: columns[key][g] for key in later},
            }
            for g, (name, frames) in enumerate(zip(self.names, columns["frames"], strict=True))
            if frames
        }


def _whole(values: Tensor) -> list[int]:
    return [int(value) for value in values.tolist()]


def _means(sums: Tensor, counts: Tensor) -> list[float]:
    means: list[float] = (sums / counts.clamp(min=1)).tolist()
    return means
