"""The page of an arena: one file that holds every figure, with names as text."""

from dataclasses import replace
from typing import Any

import pytest

from dataset.stats.bootstrap import Rate
from play.arena.arena import ArenaOptions, Outcome
from play.arena.page import page_html
from play.arena.ratings import Rating
from play.arena.results import row_of
from tests.play.arena.builders import tally

ROW = row_of("one", "scripted", tally(), [0, 1, 0, 1], seed=0)
WICKED = "<b>&two"


def rated(run: str, against: str, *values: float | None) -> Any:
    value, low, high = values
    return replace(ROW, run=run, against=against, net_stocks_per_minute=Rate(value=value, low=low, high=high))


ROWS = [
    rated("one", "scripted", 0.5, -0.25, 1.25),
    rated(WICKED, "scripted", 1.5, 0.75, 2.25),
    rated("one", WICKED, -2.0, -3.5, -1.0),
]
RATINGS = [
    Rating(run=WICKED, rating=210.4, low=150.0, high=260.0),
    Rating(run="scripted", rating=0.0, low=None, high=None),
]
OUTCOME = Outcome(
    rows=ROWS, names=["one", WICKED], matrix=[], ratings=RATINGS, game_frames=36_000, seconds=1.0, replays=[]
)
OPTIONS = ArenaOptions(runs=["one", WICKED], world="duel", games=4, seed=7, stages=["battlefield"])


@pytest.fixture(scope="module")
def text() -> str:
    return page_html(OPTIONS, OUTCOME, 'exphil arena one "<b>&two"', "exphil 1.0")


def test_names_are_text_and_nothing_is_fetched(text: str) -> None:
    assert WICKED not in text
    assert "one and &lt;b&gt;&amp;two against scripted and each other in duel: 4 games of every pairing." in text
    assert "<script" not in text
    assert "http" not in text


def test_it_holds_results_with_intervals_and_the_best_of_them(text: str) -> None:
    assert "<td>0.50<div><small>-0.25 to 1.25</small></div></td>" in text
    assert "<b>+1.50</b><span>net stocks per minute of &lt;b&gt;&amp;two against scripted</span>" in text
    assert "<b>10</b><span>minutes of play</span>" in text
    assert text.count("<circle") == 3 + 2, "a dot for each pairing and each rating"


def test_pairs_are_coloured_where_chance_is_excluded(text: str) -> None:
    for cell in (
        "<td>+0.50<div><small>-0.25 to +1.25</small></div></td>",
        '<td class="good">+1.50<div><small>+0.75 to +2.25</small></div></td>',
        '<td class="bad">-2.00<div><small>-3.50 to -1.00</small></div></td>',
        '<td class="good">+2.00<div><small>+1.00 to +3.50</small></div></td>',
    ):
        assert cell in text


def test_it_holds_ratings_conduct_and_what_was_played(text: str) -> None:
    for part in ("<td>+150 to +260</td>", "scripted has 0.", "Conduct against scripted", "Conduct of one and scripted"):
        assert part in text
    for fact in ("battlefield", "<td>seed</td><td>7</td>", "<pre>exphil arena one &quot;&lt;b&gt;&amp;two&quot;</pre>"):
        assert fact in text


def test_it_says_that_ratings_need_more_and_leaves_out_what_a_single_run_lacks() -> None:
    assert "exphil[arena]" in page_html(OPTIONS, replace(OUTCOME, ratings=None), "exphil", "")
    alone = replace(OUTCOME, rows=ROWS[:1], names=["one"], ratings=[])
    text = page_html(OPTIONS, alone, "exphil", "")
    assert "one against scripted in duel" in text
    assert "Ratings" not in text
    assert "Every pair</h2>" not in text


def test_people_whom_all_runs_imitate_are_shown_once() -> None:
    def heads(*imitated: Any) -> str:
        rows = [replace(row, conduct_of_imitated=each) for row, each in zip(ROWS, imitated, strict=True)]
        text = page_html(OPTIONS, replace(OUTCOME, rows=rows), "exphil", "")
        return text.partition("Conduct against scripted")[2].partition("</tr>")[0]

    people, others = ROW.conduct, ROW.conduct_of_opponent
    assert "imitate" not in heads(None, None, None)
    assert heads(people, people, None).count("imitate") == 1
    assert heads(people, others, None).count("imitate") == 2
