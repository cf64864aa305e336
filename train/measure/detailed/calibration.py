"""Whether a probability means what it says: how often the likeliest class is right, and a button pressed, at each confidence.

Guo et al. 2017 (arXiv:1706.04599): frames are put into equal bins of confidence; the expected calibration error is the mean over
decisions of |confidence − accuracy| within them. The surprise: a button is judged twice, as a class like any other, where
"not pressed" is nearly always right, and by the probability of the press alone, which is what play draws from.

Legend: N frames, K decisions of one kind.
"""

from typing import Any

import torch
from torch import Tensor

BINS = 15


class Calibration:
    """Bins of some decisions, in float64."""

    def __init__(self, names: tuple[str, ...], device: torch.device | str = "cpu") -> None:
        self.names = names
        self._sums = torch.zeros(len(names) * BINS, 3, dtype=torch.float64, device=device)

    def add(self, confidence: Tensor, is_right: Tensor) -> None:
        """Count N frames: probabilities [N, K], and whether what they were given to came true, bool [N, K]."""
        bins = (confidence * BINS).long().clamp(max=BINS - 1)
        place = bins + BINS * torch.arange(len(self.names), device=bins.device)
        rows = torch.stack([torch.ones_like(confidence), confidence, is_right.to(confidence)], dim=-1)
        self._sums.index_add_(0, place.flatten(), rows.flatten(0, 1).double())

    def report(self) -> dict[str, dict[str, Any]]:
        """Of every decision its ``ece``, and ``bins``: frames, mean confidence and share right of each bin that has frames."""
        return {
            name: {
                "ece": float((part[:, 1] - part[:, 2]).abs().sum() / part[:, 0].sum().clamp(min=1)),
                "bins": [[int(count), said / count, came / count] for count, said, came in part.tolist() if count > 0],
            }
            for name, part in zip(self.names, self._sums.reshape(-1, BINS, 3), strict=True)
        }
