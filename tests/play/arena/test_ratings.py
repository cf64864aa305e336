"""Ratings: a known strength comes back, intervals hold it, and nobody is without one."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from play.arena.ratings import Rating, rate
from play.arena.results import Row, row_of
from tests.play.arena.builders import tally

ROW = row_of("first", "scripted", tally(), [0, 1, 0, 1], seed=0)
SEEDS = 30


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("play.arena.ratings.RESAMPLES", 80)


def row(run: str, against: str, won: int, lost: int, drawn: int = 0) -> Row:
    return replace(ROW, run=run, against=against, games=won + lost + drawn, decided=won + lost, won=won)


def played(strengths: Mapping[str, float], games: int, seed: int) -> list[Row]:
    """Every pair meets, and wins as often as its strengths on Elo's scale say."""
    random, names = np.random.default_rng(seed), list(strengths)
    rows = []
    for place, own in enumerate(names):
        for other in names[place + 1 :]:
            won = int(random.binomial(games, 1 / (1 + 10 ** ((strengths[other] - strengths[own]) / 400))))
            rows.append(row(own, other, won, games - won))
    return rows


def by_name(ratings: list[Rating]) -> dict[str, Rating]:
    return {rating.run: rating for rating in ratings}


def test_known_strengths_come_back() -> None:
    strengths = {"weak": -300.0, "scripted": 0.0, "fair": 50.0, "strong": 250.0}
    found = rate(played(strengths, 20_000, seed=0), "scripted", seed=0)
    assert [rating.run for rating in found] == ["strong", "fair", "scripted", "weak"]
    assert {rating.run: rating.rating for rating in found} == pytest.approx(strengths, abs=6)


def test_intervals_hold_the_strength_about_as_often_as_they_say() -> None:
    """A few games of players far apart, where many win all or none of their games."""
    strengths = {"scripted": 0.0, "close": 80.0, "far": -900.0}
    held = 0
    for seed in range(SEEDS):
        found = by_name(rate(played(strengths, 16, seed), "scripted", seed))
        held += sum((found[name].low or 0) <= strengths[name] <= (found[name].high or 0) for name in ("close", "far"))
    assert 0.85 < held / (2 * SEEDS) < 1


def test_who_loses_every_game_has_a_rating_and_an_open_interval_below() -> None:
    found = by_name(rate([row("bad", "scripted", 0, 32)], "scripted", seed=0))
    assert found["bad"].rating == pytest.approx(400 * np.log10(0.5 / 32.5), abs=0.1)
    assert found["bad"].low is not None
    assert found["bad"].high is not None
    assert found["bad"].low < -1200 < -600 < found["bad"].high < -300


def test_the_anchor_has_no_interval_and_without_one_the_mean_is_0() -> None:
    rows = [row("one", "two", 20, 10, 2), row("one", "three", 12, 20), row("two", "three", 9, 23)]
    anchored, free = by_name(rate(rows, "two", seed=0)), by_name(rate(rows, None, seed=0))
    assert anchored["two"].as_json() == {"run": "two", "rating": 0.0, "interval": None}
    assert sum(rating.rating for rating in free.values()) == pytest.approx(0, abs=0.2)
    assert all(rating.low is not None for rating in free.values())
    assert free["three"].rating - free["two"].rating == pytest.approx(anchored["three"].rating, abs=0.2)


def test_a_draw_is_half_a_game_won_and_half_a_game_lost() -> None:
    drawn, shared = (rate([games], "two", 0) for games in (row("one", "two", 4, 0, 12), row("one", "two", 10, 6)))
    assert (
        by_name(drawn)["one"].rating
        == by_name(shared)["one"].rating
        == pytest.approx(400 * np.log10(10.5 / 6.5), abs=0.1)
    )


def test_ratings_come_again_with_the_seed() -> None:
    rows = [row("one", "two", 5, 3)]
    assert rate(rows, "two", 1) == rate(rows, "two", 1) != rate(rows, "two", 2)
