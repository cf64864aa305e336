"""What a game came to for one player: stocks and damage both ways, counted from raw columns as they pass.

The surprise: damage is the sum of rises in percent, so a death (percent back to 0) costs nothing and healing is not deducted.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataset.features.layout import RAW_ROW
from dataset.schema import SIDES

_STOCKS = np.array([RAW_ROW[f"{side}_stocks"] for side in SIDES])
_PERCENT = np.array([RAW_ROW[f"{side}_percent"] for side in SIDES])


@dataclass(frozen=True, kw_only=True)
class GameResult:
    """One game from the player's side."""

    stocks_taken: int
    stocks_lost: int
    damage_dealt: float
    """Percent."""
    damage_taken: float
    """Percent."""
    frames: int
    """Frames seen, from −123 on."""


class Score:
    """Counts one game; ``side`` is the player's, 0 or 1."""

    def __init__(self, side: int) -> None:
        self._side = side
        self._frames = 0
        self._stocks, self._percent = [0.0, 0.0], [0.0, 0.0]
        self._lost, self._damage = [0.0, 0.0], [0.0, 0.0]

    def add(self, column: NDArray[np.float32]) -> None:
        """Take in the next frame's raw column."""
        stocks, percent = column[_STOCKS].tolist(), column[_PERCENT].tolist()
        if self._frames and (stocks, percent) != (self._stocks, self._percent):
            for side in range(2):
                self._lost[side] += max(self._stocks[side] - stocks[side], 0.0)
                self._damage[side] += max(percent[side] - self._percent[side], 0.0)
        self._stocks, self._percent = stocks, percent
        self._frames += 1

    def result(self) -> GameResult:
        """What the game has come to."""
        own, other = self._side, 1 - self._side
        return GameResult(
            stocks_taken=int(self._lost[other]),
            stocks_lost=int(self._lost[own]),
            damage_dealt=round(float(self._damage[other]), 2),
            damage_taken=round(float(self._damage[own]), 2),
            frames=self._frames,
        )
