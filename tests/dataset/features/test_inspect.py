import numpy as np
import pytest

from dataset.codecs.registry import get_codec
from dataset.errors import ConfigError
from dataset.features.inspect import (
    LEFT_OUT,
    controller_text,
    first_jump,
    frame_rows,
    frame_tables,
    layout,
    layout_tables,
    parse_frames,
)
from dataset.features.layout import ALL, BASE, FEATURES, INDICES, encoder_digest, zeroed
from dataset.melee.controller import NUM_CONTROLLER_FLOATS
from tests.dataset.builders import random_columns

CODEC = get_codec("axis17")


def _columns() -> dict[str, np.ndarray]:
    """Side a stands, jumps with X in the fourth frame and shows knee bend there; side b rests."""
    columns = {name: np.zeros_like(column) for name, column in random_columns(8, seed=0).items()}
    columns["frame"] = np.array([0, 1, 2, 3, 4, 5, 7, 8], dtype=np.int32)
    columns["stage"][:] = 4
    columns["a_character"][:] = 16
    columns["a_action_state"][:] = [14, 14, 14, 24, 24, 24, 25, 25]
    columns["a_buttons"][3:5] = 0x0400
    columns["a_main_x"][3] = 78
    columns["a_x"][:] = 1.23456
    return columns


def test_a_jump_stands_in_the_target_one_row_above_the_knee_bend() -> None:
    rows = frame_rows(_columns(), CODEC, 2, 5)
    shown = [(r["frame"], r["action"], r["controller"], r["previous"], r["target"]) for r in rows if r["side"] == "a"]
    assert shown == [
        (2, "wait", "·", "·", "main +1.00 0  X"),
        (3, "knee bend", "main +0.97 0  X", "main +1.00 0  X", "X"),
        (4, "knee bend", "X", "X", "·"),
    ]


def test_a_row_without_a_target_says_so() -> None:
    rows = [row for row in frame_rows(_columns(), CODEC, 0, 99) if row["side"] == "b"]
    assert [row["target"] for row in rows] == ["·"] * 5 + [None, "·", None]


def test_values_are_plain_rounded_and_null_where_the_version_lacks_them() -> None:
    columns = _columns()
    del columns["a_hitlag"]
    columns["a_percent"][0] = np.nan
    row = frame_rows(columns, CODEC, 0, 1)[0]
    assert {name: row[name] for name in ("character", "x", "hitlag", "percent", "on_ground", "stocks")} == {
        "character": "mewtwo",
        "x": 1.235,
        "hitlag": None,
        "percent": None,
        "on_ground": False,
        "stocks": 0,
    }


def test_frames_no_replay_has_are_refused_with_what_there_is() -> None:
    with pytest.raises(ConfigError, match="found 0 to 8; choose among these"):
        frame_rows(_columns(), CODEC, 100, 110)


def test_without_a_choice_the_frames_around_the_first_jump_are_shown() -> None:
    assert first_jump(_columns()) == (0, 12)
    columns = random_columns(50, seed=0)
    for side in ("a", "b"):
        columns[f"{side}_buttons"][:] = 0
    assert first_jump(columns) == (-123, -111)
    columns["b_buttons"][40] = 0x0800
    assert first_jump(columns) == (-123 + 39 - 6, -123 + 39 + 6)


@pytest.mark.parametrize(("text", "frames"), [("0:60", (0, 60)), ("-123:-100", (-123, -100)), (" -5:5 ", (-5, 5))])
def test_frames_are_written_from_and_up_to(text: str, frames: tuple[int, int]) -> None:
    assert parse_frames(text) == frames


@pytest.mark.parametrize("text", ["", "5", "5:", "5:5", "9:3", "a:b", "1:2:3"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--frames: must be A:B with A below B"):
        parse_frames(text)


@pytest.mark.parametrize(
    ("controller", "text"),
    [
        ([0, 0, 0, 0, 0, 0], "·"),
        ([-80, 0, 0, 0, 0, 0], "main -1.00 0"),
        ([0, 0, 40, -23, 0, 0], "c +0.50 -0.29"),
        ([0, 0, 0, 0, 140, 0x0040], "trigger 1.00  L"),
        ([56, 56, 0, 0, 49, 0x0210], "main +0.70 +0.70  trigger 0.35  B Z"),
        ([0, 0, 0, 0, 0, 0x0008], "D-UP"),
    ],
)
def test_a_controller_in_words_leaves_out_what_rests(controller: list[int], text: str) -> None:
    assert controller_text(np.array(controller, dtype=np.int32)) == text


def test_the_layout_lists_every_number_a_policy_is_given() -> None:
    found = layout(CODEC, ALL)
    assert [feature["name"] for feature in found["features"]] == [feature.name for feature in FEATURES]
    assert [(index["name"], index["table_size"]) for index in found["indices"]] == list(INDICES)
    assert [(part["name"], part["classes"]) for part in found["components"]] == list(CODEC.components)
    assert found["previous_controller"] == NUM_CONTROLLER_FLOATS
    assert all(number["held"] for number in found["features"] + found["indices"])


def test_the_layout_and_its_tables_say_what_a_choice_leaves_out() -> None:
    found = layout(CODEC, BASE)
    assert (found["choice"], found["encoder_digest"]) == ("base", encoder_digest(BASE))
    assert tuple(row for row, number in enumerate(found["features"]) if not number["held"]) == zeroed(BASE)[0]
    assert tuple(row for row, number in enumerate(found["indices"]) if not number["held"]) == zeroed(BASE)[1]
    left = [
        sum(
            int(count)
            for count, told in zip(table.columns[1].cells, table.columns[2].cells, strict=True)
            if told == LEFT_OUT
        )
        for table in layout_tables(CODEC, BASE)
    ]
    assert left == [len(rows) for rows in zeroed(BASE)] + [0]


def test_tables_show_a_row_a_frame_and_a_line_for_every_kind_of_number() -> None:
    columns = _columns()
    assert [table.row_count for table in frame_tables(frame_rows(columns, CODEC, 0, 5), columns)] == [5, 5]
    counts = [sum(int(cell) for cell in table.columns[1].cells) for table in layout_tables(CODEC, ALL)]
    assert counts == [len(FEATURES), len(INDICES), len(CODEC.components)]
