"""Where the main stick is, by players and by a policy's samples: by position, by region, at rest, and by angle.

There are 17 regions: rest, and eight directions, each nearer than a dash or tap jump (tilt) or beyond (far). The *sampled*
stick is compared because that is what play sends. Its share right is bounded by chance where players themselves vary; the
likeliest stick's is not.

Legend: N frames, R regions.
"""

import math
from typing import Any

import torch
from torch import Tensor

from train.measure.scored_frames import ScoredFrames

REACH = 80
"""Stick positions are whole multiples of 1/80 (Melee's lattice)."""

FAR = 0.8
"""A stick this far out on either axis dashes, smashes or taps; nearer, it tilts."""

DIRECTIONS = ("right", "up right", "up", "up left", "left", "down left", "down", "down right")
REGIONS = ("rest", *(f"{name} {reach}" for name in DIRECTIONS for reach in ("tilt", "far")))

OCTANT = math.pi / 4
SIDE = 2 * REACH + 1


class Sticks:
    """Counts over frames, in float64."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._points = torch.zeros(2, SIDE * SIDE, dtype=torch.float64, device=device)
        self._regions = torch.zeros(len(REGIONS) ** 2, dtype=torch.float64, device=device)
        self._angles = torch.zeros(2, 3, dtype=torch.float64, device=device)

    def add(self, frames: ScoredFrames) -> None:
        """Count N frames."""
        true, sampled = (values[:, frames.main_stick] for values in (frames.values, frames.sampled_values))
        one = torch.ones(len(true), dtype=torch.float64, device=true.device)
        for whose, stick in enumerate((true, sampled)):
            point = (stick * REACH).round().long() + REACH
            self._points[whose].index_add_(0, point[:, 0] * SIDE + point[:, 1], one)
        self._regions.index_add_(0, region(true) * len(REGIONS) + region(sampled), one)
        for row, chosen in enumerate((torch.ones_like(frames.is_change), frames.is_stick_change)):
            self._count_angles(row, true[chosen], sampled[chosen])

    def report(self) -> dict[str, Any]:
        """Shares at rest, angular errors, ``regions`` with their ``confusion`` (rows true, columns sampled), and ``points``."""
        table = self._regions.reshape(len(REGIONS), len(REGIONS))
        total = table.sum().clamp(min=1)
        return {
            "rest_true": float(table[0].sum() / total),
            "rest_sampled": float(table[:, 0].sum() / total),
            "angles": {
                name: {
                    "frames": int(count),
                    "mean_degrees": error / max(count, 1),
                    "within_octant": near / max(count, 1),
                }
                for name, (count, error, near) in zip(("all", "change"), self._angles.tolist(), strict=True)
            },
            "regions": list(REGIONS),
            "confusion": [[int(count) for count in row] for row in table.tolist()],
            "points": self._positions(),
        }

    def _count_angles(self, row: int, true: Tensor, sampled: Tensor) -> None:
        """Angles between sticks [N, 2], where neither is at rest."""
        both = (true != 0).any(dim=1) & (sampled != 0).any(dim=1)
        true, sampled = true[both], sampled[both]
        turn = (angle(sampled) - angle(true) + math.pi) % (2 * math.pi) - math.pi
        error = turn.abs().double()
        near = (error <= OCTANT / 2).double()
        self._angles[row] += torch.stack([torch.ones_like(error), error.rad2deg(), near], dim=1).sum(dim=0)

    def _positions(self) -> list[list[float]]:
        """``[x, y, frames of players, frames of samples]`` for every position that occurs."""
        used = self._points.sum(dim=0).nonzero()[:, 0]
        return [
            [point // SIDE / REACH - 1, point % SIDE / REACH - 1, true, sampled]
            for point, true, sampled in zip(used.tolist(), *self._points[:, used].tolist(), strict=True)
        ]


def angle(stick: Tensor) -> Tensor:
    """Angles of sticks [N, 2] in radians, from right towards up."""
    return torch.atan2(stick[:, 1], stick[:, 0])


def region(stick: Tensor) -> Tensor:
    """Regions of sticks [N, 2], int64 [N], as indices into ``REGIONS``."""
    octant = (angle(stick) / OCTANT).round().long() % len(DIRECTIONS)
    is_far = (stick.abs() >= FAR - 1e-6).any(dim=1)
    return torch.where((stick == 0).all(dim=1), 0, 1 + 2 * octant + is_far)
