import math

import numpy as np
import pytest

from dataset.melee import controller
from dataset.slippi import slp
from tests.dataset.slippi.test_slp import real_replays

BYTES = range(-128, 128)


def test_there_are_117_values_an_axis_and_8153_positions() -> None:
    positions = {controller.game_stick(x, y) for x in BYTES for y in BYTES}
    assert len(positions) == 8153
    assert {x for x, _ in positions} == {y for _, y in positions} == {0, *range(23, 81), *range(-80, -22)}


def test_every_position_is_its_own_raw_byte_pair() -> None:
    positions = {controller.game_stick(x, y) for x in BYTES for y in BYTES}
    assert all(controller.game_stick(*position) == position for position in positions)


def test_whole_numbers_agree_with_the_formula_in_floats() -> None:
    def formula(x: float, y: float) -> tuple[int, int]:
        length = math.hypot(x, y)
        if length > 80:
            x, y = x * 80 / length, y * 80 / length
        return int(x) if abs(int(x)) >= 23 else 0, int(y) if abs(int(y)) >= 23 else 0

    assert all(controller.game_stick(x, y) == formula(x, y) for x in BYTES for y in BYTES)


@pytest.mark.parametrize(
    ("left", "right", "buttons", "expected"),
    [
        (0, 0, 0, 0),
        (42, 42, 0, 0),
        (43, 0, 0, 43),
        (50, 90, 0, 90),
        (255, 0, 0, 140),
        (0, 0, controller.L, 140),
        (0, 0, controller.R, 140),
        (0, 0, controller.Z, 49),
        (100, 0, controller.Z, 49),
        (140, 0, controller.Z | controller.L, 49),
    ],
)
def test_a_trigger_is_the_deeper_of_both_unless_a_button_decides(
    left: int, right: int, buttons: int, expected: int
) -> None:
    assert controller.game_trigger(left, right, buttons) == expected


def test_real_replays_agree_in_every_frame() -> None:
    for name, data in real_replays("modern.zip"):
        pre = slp.read_events(slp.read_slp(data)[0]).tables[slp.PRE_FRAME]
        raw = np.stack([pre[key] for key in ["raw_x", "raw_y", "raw_cstick_x", "raw_cstick_y"]], axis=1)
        names = ["joystick_x", "joystick_y", "cstick_x", "cstick_y"]
        found = np.rint(np.stack([pre[key].astype(float) * 80 for key in names], axis=1))
        pairs, places = np.unique(np.concatenate([raw[:, :2], raw[:, 2:]]), axis=0, return_inverse=True)
        expected = np.array([controller.game_stick(x, y) for x, y in pairs.tolist()])[places.reshape(-1)]
        np.testing.assert_array_equal(np.concatenate([found[:, :2], found[:, 2:]]), expected, err_msg=name)
        keys = np.stack([np.rint(pre[key].astype(float) * 140) for key in ["l_physical", "r_physical", "trigger"]])
        rows = np.unique(np.concatenate([keys, pre["buttons_physical"][None]]).astype(int), axis=1).T.tolist()
        assert all(
            controller.game_trigger(left, right, buttons) == trigger for left, right, trigger, buttons in rows
        ), name
