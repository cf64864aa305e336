"""Rates over games and their intervals, against figures worked out by hand."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from dataset.errors import ConfigError
from play.cli import register
from play.games.evaluate import Rate, evaluate
from play.games.find import Game
from tests.play.games.test_find import log

GAME = Game(
    policy="mewtwo",
    opponent="cpu level 9 fox",
    cluster="a",
    frames=3600,
    stocks_taken=2,
    stocks_lost=1,
    damage_dealt=150.0,
    damage_taken=90.0,
    won=True,
)


def test_rates_are_sums_over_sums() -> None:
    games = [GAME, replace(GAME, cluster="b", frames=10_800, stocks_lost=4, damage_dealt=50.0, won=None)]
    (row,) = evaluate(games)
    assert (row.policy, row.opponent, row.games, row.clusters) == ("mewtwo", "cpu level 9 fox", 2, 2)
    assert (row.minutes, row.decided) == (4.0, 1)
    assert row.net_stocks_per_minute.value == -0.25
    assert (row.damage_dealt_per_minute.value, row.damage_taken_per_minute.value) == (50.0, 45.0)
    assert row.win_rate.value == 1.0


def test_one_session_tells_no_interval() -> None:
    (row,) = evaluate([GAME, replace(GAME, won=False)])
    assert row.win_rate == Rate(value=0.5, low=None, high=None)
    assert row.net_stocks_per_minute == Rate(value=1.0, low=None, high=None)


def test_games_decided_in_one_session_alone_tell_no_interval_of_the_win_rate() -> None:
    (row,) = evaluate([GAME, replace(GAME, cluster="b", won=None), replace(GAME, cluster="c", won=None)])
    assert row.win_rate == Rate(value=1.0, low=None, high=None)
    assert row.net_stocks_per_minute == Rate(value=1.0, low=1.0, high=1.0)


def test_three_sessions_give_the_interval_of_all_their_draws() -> None:
    """Of 27 draws each extreme comes once, 3.7 %: more than the 2.5 % that an interval leaves out on each side."""
    own = [(4, 1, 3600), (2, 4, 7200), (4, 3, 10_800)]
    games = [
        replace(GAME, cluster=str(number), stocks_taken=taken, stocks_lost=lost, frames=frames)
        for number, (taken, lost, frames) in enumerate(own)
    ]
    (row,) = evaluate(games)
    assert row.net_stocks_per_minute == Rate(value=0.3333, low=-1.0, high=3.0)


def test_without_a_decided_game_there_is_no_win_rate() -> None:
    (row,) = evaluate([replace(GAME, won=None), replace(GAME, won=None, cluster="b")])
    assert row.win_rate == Rate(value=None, low=None, high=None)


def test_sessions_are_drawn_whole() -> None:
    """Two sessions of a hundred like games say no more than two games: both, one or the other."""
    games = [replace(GAME, cluster=name, won=won) for name, won in (("a", True), ("b", False)) for _ in range(100)]
    (row,) = evaluate(games)
    assert row.win_rate == Rate(value=0.5, low=0.0, high=1.0)


def test_the_interval_of_independent_games_is_near_the_normal_one() -> None:
    random = np.random.default_rng(3)
    taken = random.integers(0, 5, size=400)
    games = [replace(GAME, cluster=str(i), stocks_taken=int(n), stocks_lost=0) for i, n in enumerate(taken)]
    (row,) = evaluate(games)
    half = 1.96 * taken.std() / np.sqrt(len(taken))
    assert row.net_stocks_per_minute.value == pytest.approx(taken.mean())
    assert row.net_stocks_per_minute.low == pytest.approx(taken.mean() - half, abs=0.02)
    assert row.net_stocks_per_minute.high == pytest.approx(taken.mean() + half, abs=0.02)


def test_the_same_games_give_the_same_interval_and_a_seed_another() -> None:
    games = [replace(GAME, cluster=str(i), damage_dealt=float(i * i)) for i in range(9)]
    assert evaluate(games) == evaluate(games)
    assert evaluate(games, seed=1) != evaluate(games)


def test_policies_and_opponents_have_rows_of_their_own_and_a_policy_one_over_all() -> None:
    games = [GAME, replace(GAME, opponent="human marth"), replace(GAME, policy="fox")]
    assert [(row.policy, row.opponent, row.games) for row in evaluate(games)] == [
        ("fox", "cpu level 9 fox", 1),
        ("mewtwo", "(all)", 2),
        ("mewtwo", "cpu level 9 fox", 1),
        ("mewtwo", "human marth", 1),
    ]


def run(*arguments: str) -> tuple[str, str]:
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    done = CliRunner().invoke(app, ["eval-games", *arguments])
    if done.exception is not None:
        raise done.exception
    return done.stdout, done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    log(tmp_path / "one", {"won": True}, {})
    log(tmp_path / "two", {"stocks_taken": 4})
    log(tmp_path / "three", {}, settings={"run": "x", "opponent": "replay"})
    return tmp_path


def test_the_command_prints_json(folder: Path) -> None:
    out, _ = run(str(folder), "--json")
    result: dict[str, Any] = json.loads(out)
    (row,) = result.pop("rows")
    assert result == {"games": 3, "skipped": {"replayed": 1}}
    assert row | {
        "net_stocks_per_minute": row["net_stocks_per_minute"]["value"],
        "win_rate": row["win_rate"]["value"],
    } == {
        "policy": "mewtwo",
        "opponent": "cpu level 9 fox",
        "games": 3,
        "clusters": 2,
        "minutes": 3.0,
        "decided": 3,
        "net_stocks_per_minute": -0.6667,
        "damage_dealt_per_minute": {"value": 310.5, "low": 310.5, "high": 310.5},
        "damage_taken_per_minute": {"value": 400.0, "low": 400.0, "high": 400.0},
        "win_rate": 0.3333,
    }


def test_the_command_prints_a_table(folder: Path) -> None:
    out, err = run(str(folder))
    for shown in ("mewtwo", "cpu level 9 fox", "-0.67 (-1.00 to 0.00)", "33 % (0 % to 50 %)"):
        assert shown in out
    assert "left out: 1 replayed" in err


def test_a_folder_without_games_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs games to measure, found none"):
        run(str(tmp_path))
