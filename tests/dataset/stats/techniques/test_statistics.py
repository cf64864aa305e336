import numpy as np
import polars as pl
import pytest

from dataset.stats.techniques.about import ABOUT
from dataset.stats.techniques.statistics import STATISTICS, Statistic, measure
from dataset.stats.techniques.table import MEANS, TECHNIQUES
from tests.dataset.games import game

LANDINGS = [(65, 9), (70, 5, {"l_cancel": 1}), (14, 4), (66, 9), (71, 9, {"l_cancel": 2}), (14, 3)]
OPENED = [(14, 10), (88, 20, {"percent": 12.0}), (14, 60, {"percent": 12.0})]
ENTRANCE = (322, 84)
SECOND = game([ENTRANCE, (65, 9), (70, 5, {"l_cancel": 1}), (14, 46)], replay="r2")
GAMES = pl.concat([game([ENTRANCE, *LANDINGS], [ENTRANCE, *OPENED]), SECOND])


def test_every_technique_has_its_statistics() -> None:
    assert set(TECHNIQUES) < set(ABOUT)
    assert {name for name, about in ABOUT.items() if about.of is not None and about.of not in ABOUT} == set()
    assert {statistic.technique for statistic in STATISTICS.values()} == set(ABOUT)
    assert set(MEANS) == {name for name, about in ABOUT.items() if about.value is not None} | {"openings per kill"}


def test_every_statistic_is_made_of_sums_that_are_measured() -> None:
    sums = measure(GAMES.lazy()).sums
    assert {column for statistic in STATISTICS.values() for column in statistic.columns} <= set(sums.columns)


def test_a_figure_over_games_is_a_ratio_of_their_sums() -> None:
    sums = measure(GAMES.lazy()).sums.filter(side="a")
    share = STATISTICS["l-cancel: share"]
    assert share.columns == ["l-cancel count", "l-cancel rated"]
    assert share.figure(lambda name: sums[name].sum()) == 2 / 3
    assert share.figure(lambda name: sums[name].to_numpy()).tolist() == [0.5, 1.0]
    rate = STATISTICS["l-cancel: per minute"]
    assert rate.figure(lambda name: sums[name].to_numpy()).tolist() == pytest.approx([1 / 90 * 3600, 1 / 60 * 3600])


def test_who_never_tries_has_sums_of_zero_and_no_share() -> None:
    sums = measure(GAMES.lazy()).sums.filter(side="b", replay="r2")
    assert sums["l-cancel tries"].to_list() == [0]
    assert np.isnan(STATISTICS["l-cancel: share"].figure(lambda name: sums[name].sum()))
    assert STATISTICS["l-cancel: per minute"].figure(lambda name: sums[name].sum()) == 0


def test_values_of_single_events_show_the_spread_of_a_mean() -> None:
    measured = measure(GAMES.lazy())
    assert STATISTICS["opening: damage"].values_of(measured.values).tolist() == [12.0]
    assert STATISTICS["opening: per minute"].values_of(measured.values).tolist() == []


def test_a_game_that_cannot_tell_is_left_out() -> None:
    sums = pl.DataFrame({"x count": [1, None], "minutes": [2.0, 3.0]})
    statistic = Statistic(
        name="x", definition="x", unit="per minute", technique="x", numerators=("x count",), denominator="minutes"
    )
    assert statistic.told(sums).rows() == [(1, 2.0)]


def test_an_entropy_is_of_the_shares_of_the_choices() -> None:
    statistic = Statistic(
        name="x", definition="x", unit="bits", technique="x", numerators=("x", "y", "z"), denominator="all"
    )
    sums = {"x": np.array([2, 4, 0]), "y": np.array([1, 0, 0]), "z": np.array([1, 0, 0]), "all": np.array([4, 4, 0])}
    assert statistic.figure(sums.__getitem__).tolist() == pytest.approx([1.5, 0.0, np.nan], nan_ok=True)
    assert statistic.figure(lambda name: sums[name].sum()) == pytest.approx(
        -(0.75 * np.log2(0.75) + 0.25 * np.log2(1 / 8))
    )
