"""The short ways of the rules on frames give what the long ones would."""

import itertools

import numpy as np
import pytest

from dataset.codecs.registry import CODECS
from dataset.melee.controller import BUTTONS, STICK_DEAD_ZONE, TRIGGER_RANGE, game_stick, game_trigger
from dataset.schema import SIDES
from dataset.verify.frame_rules import LAST_FRAME, breaches, off_lattice
from tests.dataset.builders import random_columns

ROW = {"id": "r1", "stage": 4, "type_a": "human", "type_b": "human"}


def still(num_frames: int) -> dict[str, np.ndarray]:
    """Frames in which nobody touches a controller."""
    columns = random_columns(num_frames, seed=3)
    columns["stage"][:] = 4
    for side, name in itertools.product(SIDES, ("main_x", "main_y", "c_x", "c_y", "trigger", "buttons")):
        columns[f"{side}_{name}"][:] = 0
    return columns


def test_every_stick_that_melee_reads_is_on_the_lattice_and_no_other() -> None:
    pairs = np.array(list(itertools.product(range(-128, 128), repeat=2)))
    columns = still(len(pairs))
    columns["b_c_x"], columns["b_c_y"] = pairs.T.astype(np.int8)
    off = set(off_lattice(columns, "b").tolist())
    read = {game_stick(x, y) for x, y in pairs.tolist()}
    for row, (x, y) in enumerate(pairs.tolist()):
        is_off = x * x + y * y > 80 * 80 or 0 < abs(x) < STICK_DEAD_ZONE or 0 < abs(y) < STICK_DEAD_ZONE
        assert (row in off) == is_off
        assert not is_off or (x, y) not in read


@pytest.mark.parametrize("name", CODECS)
def test_all_controllers_that_change_when_encoded_twice_are_found(name: str) -> None:
    masks = [sum(bit for i, (_, bit) in enumerate(BUTTONS) if mask >> i & 1) for mask in range(256)]
    found = np.array(list(itertools.product(range(TRIGGER_RANGE + 1), masks)))
    columns = still(len(found))
    columns["a_trigger"], columns["a_buttons"] = found[:, 0].astype(np.uint8), found[:, 1].astype(np.uint16)
    codec = CODECS[name]
    controllers = np.zeros((len(found), 6), np.int32)
    controllers[:, 4:] = found
    classes = codec.encode(controllers)
    moved = int((codec.encode(codec.decode(classes)) != classes).any(axis=-1).sum())
    assert moved > 0
    assert [(rule, times) for rule, times, _ in breaches(ROW, columns, (codec,)) if rule == "codec"] == [
        ("codec", moved)
    ]


@pytest.mark.parametrize("name", CODECS)
def test_no_stick_changes_when_encoded_twice(name: str) -> None:
    codec = CODECS[name]
    axis = range(-80, 81)
    controllers = np.zeros((161 * 161, 6), np.int32)
    controllers[:, :2] = controllers[:, 2:4] = list(itertools.product(axis, axis))
    classes = codec.encode(controllers)
    np.testing.assert_array_equal(codec.encode(codec.decode(classes)), classes)


def test_what_melee_makes_of_any_trigger_breaks_no_rule() -> None:
    masks = [sum(bit for i, (_, bit) in enumerate(BUTTONS) if mask >> i & 1) for mask in range(256)]
    pads = [(game_trigger(raw, 0, buttons), buttons) for raw in range(0, 256, 5) for buttons in masks]
    columns = still(len(pads))
    columns["a_trigger"] = np.array([level for level, _ in pads], np.uint8)
    columns["a_buttons"] = np.array([buttons for _, buttons in pads], np.uint16)
    assert list(breaches(ROW, columns, tuple(CODECS.values()))) == []


@pytest.mark.parametrize("last", [LAST_FRAME, LAST_FRAME + 1, 2**31 - 1])
def test_a_game_that_would_last_for_days_is_none(last: int) -> None:
    columns = still(40)
    columns["frame"][-1] = last
    found = [where for rule, _, where in breaches(ROW, columns, ()) if rule == "order"]
    assert found == ([] if last == LAST_FRAME else [f"replay r1 ends at frame {last}"])
