"""What live views draw of players and of pace."""

import pytest

from play.loop.gauges import Gauge, disc, pressed, stock_dots, trigger


@pytest.mark.parametrize(
    ("x", "y", "row", "column"),
    [(0, 0, 2, 4), (80, 0, 2, 8), (-80, 0, 2, 0), (0, 80, 0, 4), (0, -80, 4, 4), (56, 56, 1, 7)],
)
def test_a_stick_is_a_dot_in_a_circle(x: int, y: int, row: int, column: int) -> None:
    rows = disc(x, y).split("\n")
    assert [len(each) for each in rows] == [9] * 5
    assert [(i, each.index("●")) for i, each in enumerate(rows) if "●" in each] == [(row, column)]


def test_buttons_go_by_name() -> None:
    assert pressed(0x0100 | 0x0400).split() == ["A", "X"]
    assert pressed(0).strip() == ""


def test_frames_a_second_are_those_of_the_last_second() -> None:
    gauge = Gauge()
    read = [gauge.read(frames, now) for frames, now in [(0, 0.0), (30, 0.5), (60, 1.0), (180, 2.0), (180, 3.0)]]
    assert read == [0.0, 60.0, 60.0, 120.0, 0.0]


def test_triggers_and_stocks_are_rows_of_marks() -> None:
    assert [trigger(value) for value in (0, 1, 84, 140)] == ["▯▯▯▯▯", "▮▯▯▯▯", "▮▮▮▯▯", "▮▮▮▮▮"]
    assert [stock_dots(stocks) for stocks in (4, 1, 0)] == ["●●●●", "●○○○", "○○○○"]
