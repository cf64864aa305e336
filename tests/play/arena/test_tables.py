"""The tables of an arena: the same text on the terminal and on the page."""

from dataclasses import replace

from rich.console import Console

from play.arena.ratings import Rating
from play.arena.results import row_of
from play.arena.tables import conduct_cells, matrix_cells, ratings_cells, results_cells, terminal_table
from tests.play.arena.builders import tally

ROW = row_of("first", "scripted", tally(), [0, 1, 0, 1], seed=0)


def test_results_have_a_line_for_each_pairing() -> None:
    cells = results_cells([ROW, ROW])
    assert len(cells.rows) == 2
    line = dict(zip(cells.heads, cells.rows[0], strict=True))
    assert (line["run"], line["against"], line["games"]) == ("first", "scripted", "4")
    assert line["net stocks"].startswith("1.00 (")
    assert line["self-destructs"].startswith("0.25 (")
    assert line["won"] == "100 % (100 % to 100 %)"


def test_conduct_is_of_both_players() -> None:
    lines = {name: (own, other) for name, own, other in conduct_cells(ROW).rows}
    assert lines["longest freeze"] == ("2.0 s", "0.0 s")
    assert lines["A per minute"] == ("60.0", "0.0")
    assert lines["presses per attack"] == ("no attack", "no attack")


def test_conduct_of_the_imitated_is_another_column_where_it_is_known() -> None:
    cells = conduct_cells(replace(ROW, conduct_of_imitated=replace(ROW.conduct, recoveries=99)))
    assert cells.heads == ("", "first", "scripted", "whom first imitates")
    assert ["recoveries tried", "4", "4", "99"] in cells.rows


def test_the_matrix_has_signs_and_nothing_where_two_did_not_meet() -> None:
    cells = matrix_cells([[None, 1.0], [-1.0, None]], ["one", "two"])
    assert cells.heads == ("", "one", "two")
    assert cells.rows == [["one", "", "+1.00"], ["two", "-1.00", ""]]


def test_ratings_have_intervals_but_for_the_anchor() -> None:
    ratings = [Rating(run="one", rating=12.4, low=-3.0, high=30.2), Rating(run="two", rating=0.0, low=None, high=None)]
    assert ratings_cells(ratings).rows == [["one", "+12", "-3 to +30"], ["two", "0", "anchor"]]


def test_a_terminal_shows_names_on_the_left_and_numbers_on_the_right() -> None:
    shown = Console(width=100)
    with shown.capture() as text:
        shown.print(terminal_table(conduct_cells(ROW)))
    lines = [line.split("│")[1:4] for line in text.get().splitlines() if line.count("│") == 4]
    name, own, other = next(line for line in lines if "longest freeze" in line[0])
    assert name.startswith(" longest freeze  ")
    assert own.endswith("  2.0 s ")
    assert other.endswith("  0.0 s ")
