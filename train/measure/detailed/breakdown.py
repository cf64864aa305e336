"""The main numbers apart by what goes on: by situation and by opponent, the look-up's likelihood beside the policy's.

Legend: N frames, G groups.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from train.measure.judged import Judged


class Breakdown:
    """Sums over the frames of each group, in float64."""

    def __init__(self, names: Sequence[str], weights: Tensor) -> None:
        """Prepare for groups of these names; ``weights`` [J] are the controls' in the overall accuracy."""
        self.names, self._weights = tuple(names), weights
        self._sums = torch.zeros(len(self.names), 8, dtype=torch.float64, device=weights.device)
        self._has_lookup = True

    def add(self, frames: Judged, lookup: Judged | None, group: Tensor) -> None:
        """Count N frames of the groups int64 [N]."""
        nll = frames.nll.double().sum(dim=1)
        accuracy = ((frames.best_values == frames.values).double() * self._weights).sum(dim=1)
        change, moved = frames.is_change.double(), frames.is_stick_change.double()
        self._has_lookup &= lookup is not None
        beside = torch.zeros_like(nll) if lookup is None else lookup.nll.double().sum(dim=1)
        hit = moved * frames.is_stick_right.double()
        one = torch.ones_like(nll)
        self._sums.index_add_(
            0, group, torch.stack([one, nll, beside, change, change * nll, change * accuracy, moved, hit], dim=1)
        )

    def report(self) -> dict[str, dict[str, Any]]:
        """Of every group that has frames: their number and share, and means over them, their change and stick frames."""
        total = float(self._sums[:, 0].sum())
        return {
            name: self._group(sums, total)
            for name, sums in zip(self.names, self._sums.tolist(), strict=True)
            if sums[0] > 0
        }

    def _group(self, sums: list[float], total: float) -> dict[str, Any]:
        frames, nll, lookup, changes, change_nll, change_accuracy, moves, hits = sums
        return {
            "frames": int(frames),
            "share": frames / total,
            "nll": nll / frames,
            "lookup_nll": lookup / frames if self._has_lookup else None,
            "change_frames": int(changes),
            "change_nll": change_nll / max(changes, 1),
            "change_accuracy": change_accuracy / max(changes, 1),
            "stick_frames": int(moves),
            "stick_accuracy": hits / max(moves, 1),
        }
