"""A world of a few lines, for tests of what plays in it, and games that were counted."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dataset.features.layout import RAW_ROW
from dataset.melee.ids import character_from_name, stage_from_name
from dataset.schema import FIRST_FRAME, SIDES
from dataset.stats.conduct.tally import Tally
from play.agent.agent import as_read
from play.worlds.world import Frames, Match
from tests.dataset.stats.conduct.builders import columns


class Fields:
    """A world where each side walks as its stick says and is hurt by the other's buttons; games last 20 to 60 frames."""

    def __init__(self, limit: int = 60) -> None:
        self.limit, self.is_closed = limit, False
        self.given: list[NDArray[np.int32]] = []
        self.saved: list[int] = []

    def reset(self, matches: Sequence[Match]) -> Frames:
        self.matches = list(matches)
        self.lasts = np.array([min(20 + match.seed % 41, self.limit) for match in matches])
        self.raw = columns(len(matches), frame=FIRST_FRAME, a_x=-20, b_x=20)
        for row, match in zip(self.raw, matches, strict=True):
            row[RAW_ROW["stage"]] = stage_from_name(match.stage).number
            for side, name in zip(SIDES, match.characters, strict=True):
                row[RAW_ROW[f"{side}_character"]] = character_from_name(name).internal
        self.num_frames, self.given = 1, []
        return self._frames(np.zeros((len(matches), 2, 6), np.int32))

    def step(self, controllers: NDArray[np.int32]) -> Frames:
        self.given.append(controllers.copy())
        read = np.array([[as_read(each) for each in game] for game in controllers])
        is_on = self.lasts > self.num_frames
        raw = self.raw.copy()
        raw[is_on, RAW_ROW["frame"]] += 1
        for side, name in enumerate(SIDES):
            raw[is_on, RAW_ROW[f"{name}_x"]] += read[is_on, side, 0] / np.float32(80)
            raw[is_on, RAW_ROW[f"{name}_y"]] += read[is_on, side, 1] / np.float32(80)
            raw[is_on, RAW_ROW[f"{name}_percent"]] += np.float32(0.1) * (read[is_on, 1 - side, 5] % 7)
        self.raw = raw
        self.num_frames += 1
        return self._frames(read)

    def save(self, game: int, path: Path) -> None:
        self.saved.append(game)
        path.write_bytes(b"a replay")

    def close(self) -> None:
        self.is_closed = True

    def _frames(self, read: NDArray[np.int32]) -> Frames:
        return Frames(raw=self.raw, controllers=read, is_over=self.lasts <= self.num_frames)


def tally() -> Tally:
    """Four games of a minute; the entrant sits on sides 0, 1, 0, 1 and loses a stock in each but the last."""
    counted = Tally(4)
    counted.frames[:] = counted.controlled[:] = 3600
    counted.stocks_lost[:] = [[1, 2], [3, 1], [1, 2], [0, 0]]
    counted.self_destructs[:] = [[1, 0], [0, 0], [0, 0], [0, 0]]
    counted.damage_taken[:] = [[10, 20], [30, 10], [10, 20], [5, 5]]
    counted.stocks[:] = [[3, 2], [1, 3], [3, 2], [4, 4]]
    counted.percent[:] = [[0, 0], [0, 0], [0, 0], [7, 7]]
    counted.presses[:, :, 0] = [[60, 0], [0, 60], [60, 0], [0, 60]]
    counted.present[:], counted.able[:] = 3600, 1000
    counted.frozen[:] = [[100, 0], [0, 100], [100, 0], [0, 100]]
    counted.longest_freeze[:] = [[90, 0], [0, 120], [0, 0], [0, 0]]
    counted.recoveries[:], counted.recovered[:] = [[2, 0]] * 4, [[1, 0]] * 4
    return counted
