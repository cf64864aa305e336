import csv
import io
import math

import polars as pl
import pytest

from dataset.errors import ConfigError
from dataset.reporting import tables as report
from dataset.reporting.tables import aligned_text, csv_text, show_frame

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


def test_csv_holds_texts_that_neither_a_terminal_nor_a_spreadsheet_obeys() -> None:
    texts = ['=HYPERLINK("http://x")', "+1", "-1", "@x", "\t=1", "\x1b]0;title\x07", "two\nlines", "Fox, Falco", None]
    frame = pl.DataFrame({"name": texts, "net": [-1.5, *range(8)]})
    rows = list(csv.DictReader(io.StringIO(csv_text(frame))))
    assert [row["name"] for row in rows[:5]] == [f"'{text}" for text in texts[:5]]
    assert [row["name"] for row in rows[5:]] == [r"\x1b]0;title\x07", r"two\nlines", "Fox, Falco", ""]
    assert rows[0]["net"] == "-1.5"


@pytest.mark.parametrize("cell", [[1, 2], {"a": 1}, b"bytes"])
def test_csv_refuses_cells_that_it_cannot_hold(cell: object) -> None:
    with pytest.raises(ConfigError, match=r"--csv: .*--json"):
        csv_text(pl.DataFrame({"column": [cell]}))
