import pytest
import torch

from dataset.features.layout import FEATURE_ROW, FEATURES, INDEX_ROW, INDICES
from train.measure.detailed.situations import SITUATIONS, find_situations

WAIT, FALL, DAMAGE, GRABBED, LEDGE_HANG, LYING, DOWN_HIT, TECH, DEAD, RESPAWN, FALCO_SPECIAL = (
    14,
    29,
    75,
    223,
    253,
    183,
    185,
    199,
    0,
    12,
    350,
)


def situation(
    own: int,
    other: int = WAIT,
    *,
    ledge: float = 50.0,
    y: float = 0.0,
    is_grounded: bool = True,
    other_ledge: float = 50.0,
) -> str:
    indices = torch.zeros(1, len(INDICES), dtype=torch.int16)
    continuous = torch.zeros(1, len(FEATURES), dtype=torch.float16)
    indices[0, INDEX_ROW["a_action_state"]], indices[0, INDEX_ROW["b_action_state"]] = own, other
    facts = {"a_ledge": ledge * 0.05, "a_y": y * 0.05, "a_on_ground": is_grounded, "b_ledge": other_ledge * 0.05}
    for name, value in facts.items():
        continuous[0, FEATURE_ROW[name]] = float(value)
    return SITUATIONS[int(find_situations(indices, continuous)[0])]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (WAIT, "neutral"),
        (FALCO_SPECIAL, "neutral"),
        (DAMAGE, "disadvantage"),
        (GRABBED, "disadvantage"),
        (DOWN_HIT, "disadvantage"),
        (LEDGE_HANG, "ledge"),
        (LYING, "teching"),
        (TECH, "teching"),
        (DEAD, "away"),
        (RESPAWN, "away"),
    ],
)
def test_the_action_state_tells_most_situations(state: int, expected: str) -> None:
    assert situation(state) == expected


def test_off_stage_is_in_the_air_beyond_the_ledge_or_well_below_it_and_not_hurt() -> None:
    assert situation(FALL, ledge=-5.0, is_grounded=False) == "off-stage"
    assert situation(FALL, y=-20.0, is_grounded=False) == "off-stage"
    assert situation(FALL, y=-5.0, is_grounded=False) == "neutral"
    assert situation(WAIT, ledge=-1.0) == "neutral"  # teetering
    assert situation(DAMAGE, ledge=-5.0, is_grounded=False) == "disadvantage"


@pytest.mark.parametrize("other", [DAMAGE, LEDGE_HANG, TECH])
def test_the_opponents_trouble_is_an_advantage_unless_one_shares_it(other: int) -> None:
    assert situation(WAIT, other) == "advantage"
    assert situation(DAMAGE, other) == "disadvantage"
    assert situation(LEDGE_HANG, other) == "ledge"


def test_an_opponent_beyond_the_ledge_is_an_advantage_and_an_absent_one_is_none() -> None:
    assert situation(WAIT, FALL, other_ledge=-5.0) == "advantage"
    assert situation(WAIT, DEAD) == situation(WAIT, RESPAWN) == "neutral"
