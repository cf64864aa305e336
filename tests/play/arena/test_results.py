"""What games came to: figures of one entrant wherever it sat, next to its opponent's."""

import pytest

from dataset.stats.conduct.tally import Tally
from play.arena.results import Row, matrix, row_of
from tests.play.arena.builders import tally


@pytest.fixture
def row() -> Row:
    return row_of("first", "scripted", tally(), [0, 1, 0, 1], seed=0)


def test_an_entrant_has_its_own_figures_wherever_it_sits(row: Row) -> None:
    assert (row.games, row.minutes, row.stocks_taken, row.stocks_lost) == (4, 4.0, 7, 3)
    assert (row.damage_dealt, row.damage_taken) == (75.0, 35.0)
    assert row.net_stocks_per_minute.value == 1.0
    assert row.self_destructs_per_minute.value == 0.25
    assert (row.conduct.presses_per_minute["a"], row.conduct_of_opponent.presses_per_minute["a"]) == (60.0, 0.0)
    assert (row.conduct.frozen.value, row.conduct_of_opponent.frozen.value) == (0.1, 0.0)
    assert row.conduct.longest_freeze_s == 2.0
    assert (row.conduct.recoveries, row.conduct.recovered.value) == (4, 0.5)
    assert row.conduct.presses_per_attack.value is None


def test_a_draw_decides_nothing_and_percent_decides_between_equal_stocks(row: Row) -> None:
    assert (row.decided, row.win_rate.value) == (3, 1.0)
    counted = tally()
    counted.percent[3] = [6, 7]
    assert row_of("first", "scripted", counted, [0, 1, 0, 1], seed=0).win_rate.value == 0.75


def test_intervals_hold_the_figure_and_come_again_with_the_seed(row: Row) -> None:
    rate = row.net_stocks_per_minute
    assert rate.low is not None
    assert rate.high is not None
    assert rate.low <= 1.0 <= rate.high
    assert rate.low < rate.high
    assert row_of("first", "scripted", tally(), [0, 1, 0, 1], seed=0) == row
    one = Tally(1)
    one.frames[:] = 60
    assert row_of("first", "scripted", one, [0], seed=0).net_stocks_per_minute.low is None


def test_json_has_each_rate_beside_its_interval(row: Row) -> None:
    found = row.as_json()
    assert found["net_stocks_per_minute"] == 1.0
    assert len(found["net_stocks_interval"]) == 2
    assert found["win_rate_interval"] == [1.0, 1.0]
    assert found["conduct"]["frozen"] == 0.1
    assert found["conduct"]["presses_per_attack_interval"] is None
    assert found["conduct"]["presses_per_minute"]["a"] == 60.0


def test_the_matrix_holds_every_pair_both_ways(row: Row) -> None:
    rows = [row, row_of("first", "second", tally(), [0, 1, 0, 1], seed=0)]
    assert matrix(rows, ["first", "second"]) == [[None, 1.0], [-1.0, None]]
