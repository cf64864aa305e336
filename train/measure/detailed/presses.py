"""Presses and releases in time: whether a policy presses a button when the player does, give or take a few frames.

For each button: how often players and the policy's samples press it, and precision, recall and F1 of the policy's presses and
releases with a tolerance of k frames. Every press of one is matched with at most one of the other, so pressing all the time
gains nothing. Even a perfect model scores well below 1 without tolerance, because its samples are draws, and a player's exact
frame is partly chance.

Legend: N frames, J buttons.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

TOLERANCES = (0, 1, 3)
"""How many frames early or late a press may be."""

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]


class Presses:
    """The buttons of all frames as bits, a few bytes per frame, on the CPU."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._rows: list[tuple[Ints, Bytes]] = []

    def add(self, track: Tensor, row: Tensor, true: tuple[Tensor, Tensor], sampled: tuple[Tensor, Tensor]) -> None:
        """Keep N frames.

        Args:
            track: int64 [N].
            row: int64 [N] of the track.
            true: what the player held the frame before and holds now, bool [N, J] each.
            sampled: the same of the policy.
        """
        held = torch.stack([_bits(part) for part in (*true, *sampled)], dim=1)
        time = (track << 32) + row
        self._rows.append((time.cpu().numpy(), held.cpu().numpy()))

    def report(self) -> dict[str, Any]:
        """``buttons`` by name, and ``all`` of them together."""
        time, held = (np.concatenate(parts) for parts in zip(*self._rows, strict=True))
        order = np.argsort(time)
        time, held = time[order], held[order]
        counts = [_count_button(time, (held >> j) & 1 == 1) for j in range(len(self.names))]
        rates = [[float(((held[:, column] >> j) & 1).mean()) for column in (1, 3)] for j in range(len(self.names))]
        return {
            "buttons": {
                name: {"held_true": true, "held_sampled": sampled, **_scores(count)}
                for name, count, (true, sampled) in zip(self.names, counts, rates, strict=True)
            },
            "all": _scores(np.sum(counts, axis=0)),
        }


def match(true: Ints, sampled: Ints, tolerance: int) -> int:
    """How many times of one ascending list can be paired with one of the other within ``tolerance``, each used once."""
    pairs = i = j = 0
    ours, theirs = sampled.tolist(), true.tolist()
    while i < len(theirs) and j < len(ours):
        gap = ours[j] - theirs[i]
        pairs += abs(gap) <= tolerance
        i, j = i + (gap >= -tolerance), j + (gap <= tolerance)
    return pairs


def _bits(held: Tensor) -> Tensor:
    """Bool [N, J] as one byte per frame."""
    weights = 2 ** torch.arange(held.shape[1], device=held.device)
    return (held * weights).sum(dim=1).to(torch.uint8)


def _count_button(time: Ints, held: NDArray[np.bool_]) -> Ints:
    """[2, 2 + tolerances]: a row for presses and one for releases: the player's, the policy's, and pairs by tolerance."""
    rows = []
    for now in (True, False):
        true = time[(held[:, 1] == now) & (held[:, 0] != now)]
        sampled = time[(held[:, 3] == now) & (held[:, 2] != now)]
        pairs = [match(true, sampled, tolerance) for tolerance in TOLERANCES]
        rows.append([len(true), len(sampled), *pairs])
    return np.array(rows, dtype=np.int64)


def _scores(counts: Ints) -> dict[str, Any]:
    return {kind: _score(*row) for kind, row in zip(("press", "release"), counts.tolist(), strict=True)}


def _score(true: int, sampled: int, *pairs: int) -> dict[str, Any]:
    return {
        "true": true,
        "sampled": sampled,
        "within": {
            str(tolerance): {
                "precision": hits / max(sampled, 1),
                "recall": hits / max(true, 1),
                "f1": 2 * hits / max(true + sampled, 1),
            }
            for tolerance, hits in zip(TOLERANCES, pairs, strict=True)
        },
    }
