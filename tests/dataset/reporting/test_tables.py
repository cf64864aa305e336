import math

import polars as pl
import pytest

from dataset.reporting import tables as report
from dataset.reporting.tables import aligned_text, show_frame

TABLE = pl.DataFrame({"character": ["fox", "captain_falcon"], "win_rate": [0.5, None], "frames": [1234567, 8]})


def test_a_long_table_is_aligned_with_numbers_to_the_right() -> None:
    assert aligned_text(TABLE).splitlines() == [
        "character       win rate     frames",
        "fox               50.00%  1,234,567",
        "captain_falcon                    8",
    ]


def test_what_there_was_nothing_to_take_a_mean_of_is_left_blank() -> None:
    assert aligned_text(pl.DataFrame({"share": [math.nan, 0.5]})) == " share\n\n50.00%\n"


def test_only_long_tables_go_without_boxes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    show_frame(TABLE)
    assert "┃" in capsys.readouterr().out
    monkeypatch.setattr(report, "MOST_BOXED_ROWS", 1)
    show_frame(TABLE)
    assert capsys.readouterr().out == aligned_text(TABLE)
