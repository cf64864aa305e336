"""Raw columns by hand, for tests of what is counted of games."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataset.features.layout import RAW_NAMES, RAW_ROW
from dataset.melee.ids import stage_from_name
from dataset.schema import SIDES


class OneFrame(NamedTuple):
    """One frame of each of N games."""

    raw: NDArray[np.float32]
    controllers: NDArray[np.int32]
    is_over: NDArray[np.bool_]


def columns(num_games: int, **values: float) -> NDArray[np.float32]:
    """Raw rows [N, len(RAW_NAMES)] of players who stand on Final Destination with four stocks; ``a_x=3`` sets a column."""
    raw = np.zeros((num_games, len(RAW_NAMES)), np.float32)
    usual = {"stocks": 4, "on_ground": 1, "action_state": 14, "facing": 1}
    start = {f"{side}_{name}": value for side in SIDES for name, value in usual.items()}
    for name, value in (start | {"stage": stage_from_name("final_destination").number} | values).items():
        raw[:, RAW_ROW[name]] = value
    return raw
