import math
from typing import Any

import pytest

from dataset.melee.winner import winner


@pytest.mark.parametrize(
    ("stocks", "percents", "others", "won"),
    [
        ((1, 0), (90, 0), {}, 0),
        ((0, 2), (0, 90), {"first_placed": 0, "quitter": 1}, 1),
        ((0, 0), (0, 0), {"first_placed": 0}, None),
        ((2, 1), (0, 0), {"quitter": 0}, 1),
        ((2, 1), (90, 0), {"is_time_up": True, "first_placed": 1}, 0),
        ((2, 2), (46.0, 45.9), {"is_time_up": True}, 1),
        ((2, 2), (45.2, 45.9), {"is_time_up": True, "first_placed": 0}, None),
        ((2, 2), (math.nan, 45.9), {"is_time_up": True}, None),
        ((2, 2), (0, 90), {"first_placed": 1}, 1),
        ((2, 1), (0, 0), {"first_placed": 1}, None),
        ((2, 1), (0, 0), {}, None),
    ],
)
def test_who_has_won(
    stocks: tuple[float, float], percents: tuple[float, float], others: dict[str, Any], won: int | None
) -> None:
    assert winner(stocks, percents, **others) == won
