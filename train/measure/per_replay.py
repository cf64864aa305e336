"""The main metrics replay by replay: what is needed to say how sure a number is, and whether two runs differ.

In: judged frames and the replay that each is of. Out: a list a metric, in the order of the replays. The surprise: both players
of a ditto count as one replay, since what happens to one happens to the other.

Legend: N frames, R replays.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from train.measure.controls import Controls
from train.measure.judged import Judged, overall_weights


class PerReplay:
    """Sums over the frames of each replay, in float64."""

    def __init__(self, ids: Sequence[str], controls: Controls) -> None:
        self.ids = list(ids)
        self._weights = overall_weights(controls)
        self._sums = torch.zeros(len(self.ids), 8, dtype=torch.float64, device=controls.values.device)

    def add(self, frames: Judged, replay: Tensor) -> None:
        """Count N frames of the replays int64 [N]."""
        nll = frames.nll.double().sum(dim=1)
        accuracy = ((frames.best_values == frames.values).double() * self._weights).sum(dim=1)
        change = frames.is_change.double()
        moved = frames.is_stick_change.double()
        hit = frames.is_stick_right.double()
        one = torch.ones_like(nll)
        columns = (one, nll, accuracy, change, change * nll, change * accuracy, moved, moved * hit)
        self._sums.index_add_(0, replay, torch.stack(columns, dim=1))

    def report(self) -> dict[str, list[Any]]:
        """``ids``, ``frames`` and means over them; means over change frames, and over those that move the main stick."""
        frames, nll, accuracy, changes, change_nll, change_accuracy, moves, move_accuracy = self._sums.unbind(dim=1)
        return {
            "ids": self.ids,
            "frames": _whole(frames),
            "nll": _means(nll, frames),
            "accuracy": _means(accuracy, frames),
            "change_frames": _whole(changes),
            "change_nll": _means(change_nll, changes),
            "change_accuracy": _means(change_accuracy, changes),
            "stick_frames": _whole(moves),
            "stick_accuracy": _means(move_accuracy, moves),
        }


def _whole(values: Tensor) -> list[int]:
    return [int(value) for value in values.tolist()]


def _means(sums: Tensor, counts: Tensor) -> list[float]:
    means: list[float] = (sums / counts.clamp(min=1)).tolist()
    return means
