"""Cohorts: each game is what it would be alone, seats and stages change in turns, and nobody joins later."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from play.agent.agent import Players
from play.arena.cohort import Entrant, Game, Pairing, plan, play_cohort, teams_of
from play.runtime.rows import load_rows
from play.worlds.world import Frames
from tests.play.arena.builders import Fields
from tests.play.builders import export, random_run

FRAMES = 60
STAGES = ("battlefield", "final_destination")


def entrant(run: Path, name: str, character: str, runtime: str = "auto") -> Entrant:
    loaded, rows = load_rows(str(run), 1.0, runtime)
    return Entrant(name=name, characters=(character,), run=loaded, rows=rows)


SCRIPTED = Entrant(name="scripted", characters=("fox", "falco", "marth"), level=3)
MEWTWO = Entrant(name="mewtwo", characters=("mewtwo",))


@pytest.fixture(scope="module", params=["gru", "sliding_window"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort") / request.param
    return export(random_run(folder, backbone=request.param, hidden=32, delay=2))


def shown(pairing: Pairing, games: Sequence[Game]) -> list[Frames]:
    return list(play_cohort(Fields(), games, teams_of(pairing, games), FRAMES))


def of_game(frames: Sequence[Frames], row: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """What one game showed until it was over."""
    length = next((t for t, frame in enumerate(frames) if frame.is_over[row]), len(frames) - 1) + 1
    return (
        np.stack([frame.raw[row] for frame in frames[:length]]),
        np.stack([frame.controllers[row] for frame in frames[:length]]),
    )


@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_a_game_of_a_cohort_is_the_same_game_alone(run: Path, runtime: str) -> None:
    own = entrant(run, "own", "mewtwo", runtime)
    for other in (SCRIPTED, entrant(run, "other", "fox", runtime), own):
        pairing = Pairing(own=own, other=other, number=1)
        games = plan(pairing, 18, STAGES, seed=4)
        together = shown(pairing, games)
        for row in (0, 5, 17):
            ours, alone = of_game(together, row), of_game(shown(pairing, games[row : row + 1]), 0)
            assert all(np.array_equal(*pair) for pair in zip(ours, alone, strict=True))
        sizes = {len(of_game(together, row)[0]) for row in range(18)}
        assert min(sizes) < max(sizes), "games end at different times"
        assert len({of_game(together, row)[0].tobytes() for row in range(18)}) == 18


def test_more_games_change_none_of_those_before(run: Path) -> None:
    pairing = Pairing(own=entrant(run, "own", "mewtwo"), other=SCRIPTED, number=0)
    few, many = (plan(pairing, number, STAGES, seed=2) for number in (3, 40))
    assert many[:3] == few
    assert plan(pairing, 3, STAGES, seed=3) != few
    assert {game.match.seed for game in many} & {game.match.seed for game in plan(pairing, 40, STAGES, 3)} == set()


def test_a_game_is_what_the_agent_plays_by_itself(run: Path) -> None:
    """The same agent, stepped as in Dolphin: one frame and one player at a time."""
    own = entrant(run, "own", "mewtwo", "onnx")
    pairing = Pairing(own=own, other=SCRIPTED, number=0)
    games = plan(pairing, 2, STAGES, seed=0)
    world = Fields()
    frames = list(play_cohort(world, games, teams_of(pairing, games), FRAMES))
    (game,) = games[1:]
    assert game.side == 1
    assert own.run is not None
    assert own.rows is not None
    from play.agent.agent import Agent

    player = Players(Agent(own.rows(1), own.run.codec, delay=own.run.delay, seed=game.seeds[1]))
    player.start_game(1)
    for sent, frame in zip(world.given, frames, strict=False):
        if frame.is_over[1]:
            break
        assert player.answer(frame.raw[1])[0].tolist() == sent[1, 1].tolist()
        assert not sent[1, 0].any(), "the other seat is the world's own player's"


def test_seats_change_after_every_game_and_every_character_meets_every_stage() -> None:
    games = plan(Pairing(own=MEWTWO, other=SCRIPTED, number=0), 24, ("battlefield", "dream_land", "yoshis_story"), 0)
    assert [game.side for game in games[:4]] == [0, 1, 0, 1]
    met = Counter((game.match.stage, game.match.characters[1 - game.side]) for game in games[:18])
    assert len(met) == 9
    assert set(met.values()) == {2}
    assert {game.match.characters[game.side] for game in games} == {"mewtwo"}
    assert {(game.match.levels[game.side], game.match.levels[1 - game.side]) for game in games} == {(None, 3)}


def test_a_cohort_ends_with_its_last_game_or_at_the_limit() -> None:
    games = plan(Pairing(own=MEWTWO, other=SCRIPTED, number=0), 6, STAGES, 0)
    longest = max(20 + game.match.seed % 41 for game in games)
    frames = list(play_cohort(Fields(), games, [], 1000))
    assert len(frames) == longest
    assert frames[-1].is_over.all()
    assert len(list(play_cohort(Fields(), games, [], 12))) == 12
