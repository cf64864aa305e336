import numpy as np
import polars as pl
import pytest

from dataset.melee.damage import is_dealt
from dataset.melee.ids import character_from_name

FALCO, PICHU, ROY = (character_from_name(name).internal for name in ("falco", "pichu", "roy"))
HIT = {"rise": 1.0, "character": FALCO, "state": 29, "x": 0.0, "y": 0.0, "hitlag": 0.0}


@pytest.mark.parametrize(
    ("given", "is_hit"),
    [
        ({}, True),
        ({"rise": 0.0}, False),
        ({"rise": -30.0}, False),
        *(({"x": x, "y": y}, False) for x, y in ((116, 0), (-116, 0), (0, 106), (0, -41))),
        *(({"x": x, "y": y}, True) for x, y in ((115, 0), (-115, 105), (0, -40))),
        ({"x": 200.0, "rise": 0.99996185}, False),  # 1 % more, as float32 has it
        ({"x": 200.0, "rise": 0.9}, True),
        ({"x": 200.0, "rise": 2.0}, True),
        ({"x": 200.0, "state": 38}, False),  # tumbling
        ({"x": 200.0, "hitlag": 3.0}, True),
        *(({"character": PICHU, "state": state}, False) for state in (66, 74, 217, 356)),
        *(({"character": PICHU, "state": state}, True) for state in (14, 88, 243)),
        ({"character": PICHU, "state": 66, "rise": 7.0, "hitlag": 5.0}, True),
        ({"character": ROY, "state": 344, "rise": 10.0}, False),
        ({"state": 344, "rise": 10.0}, True),
    ],
)
def test_a_rise_is_dealt_unless_the_camera_or_the_players_own_attack_made_it(
    given: dict[str, float], is_hit: bool
) -> None:
    values = HIT | given
    arrays = {name: np.array([value]) for name, value in values.items()}
    assert is_dealt(**arrays).tolist() == [is_hit]
    table = pl.DataFrame({name: [value] for name, value in values.items()})
    assert table.select(is_dealt(**{name: pl.col(name) for name in values})).item() is is_hit
