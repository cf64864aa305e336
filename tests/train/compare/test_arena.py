"""What compared runs come to in the arena: played once, averaged over seeds, ranked beside NLL."""

import json
from pathlib import Path
from typing import Any

import pytest

from dataset.errors import ConfigError, ExphilError
from play.worlds.kinds import worlds
from tests.child import within
from tests.play.builders import random_run
from train.compare import arena
from train.compare.arena import WORLDS, Arena, arena_of, net_stocks, play_run, rank_correlation


class Games:
    """Answers for ``exphil arena`` without playing."""

    def __init__(self, *answers: dict[str, Any] | ExphilError) -> None:
        self.answers, self.asked = list(answers), list[tuple[str, ...]]()

    def __call__(self, *arguments: str, say: Any) -> tuple[dict[str, Any], list[str]]:
        self.asked.append(arguments)
        answer = self.answers.pop(0)
        if isinstance(answer, ExphilError):
            raise answer
        return {"rows": [answer]}, []


def play(run: Path, **changes: Any) -> dict[str, Any]:
    return play_run(run, Arena(**{"world": "duel", "games": 2} | changes), run.parent / "arena", lambda line: None)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "best.safetensors").write_bytes(b"weights")
    return tmp_path / "one"


def test_a_run_plays_once_and_again_when_games_or_weights_are_others(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    games = Games(*({"net_stocks_per_minute": float(number)} for number in range(5)))
    monkeypatch.setattr(arena, "run_child", games)
    assert [play(run)["net_stocks_per_minute"] for _ in range(2)] == [0.0, 0.0]
    assert games.asked == [
        ("arena", str(run), "--world", "duel", "--games", "2", "--seconds", "120", "--seed", "0", "--runtime", "torch"),
    ]
    for number, changes in enumerate(({"games": 3}, {"seed": 1}, {"seconds": 9.5}), start=1):
        assert play(run, **changes)["net_stocks_per_minute"] == number
    (run / "best.safetensors").write_bytes(b"others")
    assert play(run, seconds=9.5)["net_stocks_per_minute"] == 4


def test_a_failure_is_the_reason_and_is_tried_again(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arena, "run_child", Games(ExphilError("no such character"), {"net_stocks_per_minute": 1.0}))
    assert play(run) == {"error": "no such character"}
    assert play(run) == {"net_stocks_per_minute": 1.0}


def test_the_command_that_is_asked_plays_these_games(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arena, "run_child", within)
    row = play(random_run(tmp_path / "random"), seconds=1.5)
    assert (row["run"], row["against"], row["games"]) == ("random", "scripted", 2)
    assert row["minutes"] == pytest.approx(2 * 1.5 / 60)
    assert row["net_stocks_per_minute"] == 0
    assert row["net_stocks_interval"] == [0, 0]
    kept = json.loads((tmp_path / "arena" / "random.json").read_text())
    assert kept["row"] == row
    failed = play(random_run(tmp_path / "captain", character="captain_falcon"))
    assert failed == {
        "error": "character in duel 'captain_falcon': unknown; use one of mewtwo, fox, falco, marth, sheik, peach"
    }


def test_worlds_need_a_player_of_their_own() -> None:
    assert all(worlds()[world]().own_player for world in WORLDS)
    with pytest.raises(ConfigError, match=r"--arena melee-sim: .*must be duel; .*RUN RUN --world melee-sim"):
        arena_of("melee-sim", 3)


def test_games_need_an_arena() -> None:
    assert arena_of(None, None) is None
    assert arena_of("duel", None) == Arena(world="duel", games=32)
    assert arena_of("duel", 3) == Arena(world="duel", games=3)
    with pytest.raises(ConfigError, match=r"--games 3: .*give --arena duel"):
        arena_of(None, 3)


def test_a_row_holds_the_mean_over_seeds_with_an_interval_over_games() -> None:
    one = {"net_stocks_per_minute": -1.0, "net_stocks_interval": [-1.3, -0.6]}
    other = {"net_stocks_per_minute": -2.0, "net_stocks_interval": [-2.4, -1.7]}
    assert net_stocks(["a"], [one]) == {
        "net_stocks_per_minute": -1.0,
        "net_stocks_per_minute_spread": None,
        "net_stocks_interval": [pytest.approx(-1.3), pytest.approx(-0.6)],
        "arena_error": None,
    }
    both = net_stocks(["a", "b"], [one, other])
    assert both["net_stocks_per_minute"] == -1.5
    assert both["net_stocks_per_minute_spread"] == pytest.approx(0.5**0.5)
    assert both["net_stocks_interval"] == pytest.approx([-1.75, -1.25])  # halves of 0.3, 0.4 and 0.4, 0.3 in quadrature


def test_a_row_lacks_what_one_of_its_seeds_lacks() -> None:
    nothing = dict.fromkeys(
        ("net_stocks_per_minute", "net_stocks_per_minute_spread", "net_stocks_interval", "arena_error")
    )
    whole = {"net_stocks_per_minute": -1.0, "net_stocks_interval": [-1.3, -0.6]}
    assert net_stocks(["a"], [None]) == nothing
    assert net_stocks(["a", "b"], [whole, {"error": "no"}]) == nothing | {"arena_error": "b: no"}
    alone = net_stocks(["a"], [{"net_stocks_per_minute": -1.0, "net_stocks_interval": None}])
    assert (alone["net_stocks_per_minute"], alone["net_stocks_interval"]) == (-1.0, None)


def measured(nll: float | None, net: float | None) -> dict[str, Any]:
    played = {"error": "no"} if net is None else {"net_stocks_per_minute": net}
    return {"test": {"error": "no"} if nll is None else {"nll": nll}, "arena": played}


@pytest.mark.parametrize(
    ("pairs", "found"),
    [
        ([(1.0, 3.0), (2.0, 2.0), (9.0, 1.0)], {"value": pytest.approx(-1.0), "runs": 3}),
        ([(1.0, 0.0), (2.0, 1.0), (3.0, 3.0), (4.0, 2.0)], {"value": pytest.approx(0.8), "runs": 4}),
        ([(1.0, 3.0), (2.0, 2.0), (9.0, 1.0), (8.0, None), (None, 5.0)], {"value": pytest.approx(-1.0), "runs": 3}),
        ([(1.0, 3.0), (2.0, 2.0), (9.0, None)], None),
        ([(1.0, 3.0), (2.0, 3.0), (9.0, 3.0)], None),
    ],
)
def test_nll_ranks_the_runs_that_were_measured_and_played(
    pairs: list[tuple[float | None, float | None]], found: dict[str, Any] | None
) -> None:
    assert rank_correlation([measured(*pair) for pair in pairs], "test") == found


def test_runs_that_did_not_play_are_not_ranked() -> None:
    assert rank_correlation([measured(1.0, 1.0) | {"arena": None}] * 3, "test") is None
