"""Two agents in one game: each does what it would do alone, whoever sits where and however they are stepped."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dataset.codecs.base import Codec
from dataset.codecs.registry import get_codec
from dataset.duels.generate import generate_replay
from dataset.errors import ConfigError
from ingest.replay.parse import parse_columns
from play.agent.agent import Agent, Players, as_read
from play.launch import play_stand_in
from play.loop.runner import Runner
from play.options import PlayOptions
from play.runtime.load import load, load_players
from play.stand_in.protocol import OTHER_PIPE, PIPE, Report
from play.stand_in.stand_in import StandIn, open_stand_in
from tests.dataset.builders import stack
from tests.play.builders import act, random_run

pytestmark = pytest.mark.usefixtures("patient_budget")

FRAMES, FIRST = 120, -123
SEEDS = (3, 4)
Pads = NDArray[np.int32]
"""[players, frames, 6]"""


@pytest.fixture(scope="module")
def duel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("duel") / "duel.slp"
    generate_replay(path, seed=1, characters=("fox", "mewtwo"), frames=FRAMES, ports=(1, 3))
    return path


@pytest.fixture(scope="module")
def columns(duel: Path) -> NDArray[np.float32]:
    return stack(parse_columns(duel, rollback="first").columns)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Two policies that share nothing, not even a codec."""
    folder = tmp_path_factory.mktemp("runs")
    return str(random_run(folder / "own", delay=1)), str(random_run(folder / "other", hidden=17, codec="joint"))


def agent(run: str, seed: int, num_players: int = 1) -> Agent:
    played, stepper = load(run, 1.0, "torch", num_players)
    return Agent(stepper, played.codec, delay=played.delay, seed=seed)


def same_run(run: str) -> Players:
    """Both sides of one run, stepped at once."""
    first = agent(run, SEEDS[0], num_players=2)
    return Players(first, Agent(first.stepper, get_codec("axis17"), delay=first.delay, seed=SEEDS[1]))


def played(players: Players, side: int, columns: NDArray[np.float32]) -> Pads:
    players.start_game(side)
    return np.stack([players.answer(column) for column in columns.T], axis=1)


@pytest.fixture(scope="module")
def alone(columns: NDArray[np.float32]) -> Callable[[str, int, int], Pads]:
    """What the agent of a run, a seed and a side sends where it is the only one; played once."""

    @cache
    def sent(run: str, seed: int, side: int) -> Pads:
        return played(Players(agent(run, seed)), side, columns)[0]

    return sent


@pytest.mark.parametrize("side", [0, 1])
def test_one_run_on_both_sides_plays_as_each_side_alone(
    runs: tuple[str, str], columns: NDArray[np.float32], alone: Callable[[str, int, int], Pads], side: int
) -> None:
    both = played(same_run(runs[0]), side, columns)
    assert np.array_equal(both[0], alone(runs[0], SEEDS[0], side))
    assert np.array_equal(both[1], alone(runs[0], SEEDS[1], 1 - side))
    assert len(np.unique(both[0], axis=0)) > FRAMES // 3


@pytest.mark.parametrize("side", [0, 1])
def test_two_runs_play_as_each_alone(
    runs: tuple[str, str], columns: NDArray[np.float32], alone: Callable[[str, int, int], Pads], side: int
) -> None:
    both = played(Players(agent(runs[0], SEEDS[0]), agent(runs[1], SEEDS[1])), side, columns)
    assert np.array_equal(both[0], alone(runs[0], SEEDS[0], side))
    assert np.array_equal(both[1], alone(runs[1], SEEDS[1], 1 - side))


def test_missing_and_late_frames_reach_both(runs: tuple[str, str], columns: NDArray[np.float32]) -> None:
    both, singles = same_run(runs[0]), [agent(runs[0], seed) for seed in SEEDS]
    both.start_game(0)
    for side, single in enumerate(singles):
        single.start_game(side)
    for t in range(0, 60, 3):
        late = t % 4
        assert [a.tolist() for a in both.answer(columns[:, t], late)] == [
            act(single, columns[:, t], late).tolist() for single in singles
        ]
        both.skip(2)
        for single in singles:
            single.skip(2)


def read_back(seen: Report, port: int, codec: Codec) -> Pads:
    """What the pad of ``port`` showed in each frame after the first, as classes."""
    pads = np.stack([seen.main_x, seen.main_y, seen.c_x, seen.c_y, seen.trigger, seen.buttons], axis=1)
    own = seen.port == port
    by_frame = dict(zip(seen.poll_frame[own].tolist(), pads[own].astype(np.int32), strict=True))
    return codec.encode(np.stack([by_frame[FIRST + t] for t in range(1, FRAMES)]))


def on_the_pads(players: Players, port: int, duel: Path) -> Report:
    with (
        StandIn(duel, fps=None, controllers=(PIPE, OTHER_PIPE), start_grace_s=0.0) as server,
        closing(open_stand_in(server, PIPE, OTHER_PIPE, is_blocking=True)) as session,
    ):
        Runner(session, players, find_port=lambda game: port, is_sync=True, num_games=1).run()
    return server.report()


def meant(sent: Pads, codec: Codec) -> Pads:
    """Classes that the game reads of what an agent sends on all frames but the last."""
    return codec.encode(np.stack([as_read(pad) for pad in sent[:-1]]))


@pytest.mark.parametrize(("port", "side"), [(1, 0), (3, 1)])
def test_in_a_game_each_pad_reads_what_its_agent_would_send_alone(
    runs: tuple[str, str], duel: Path, alone: Callable[[str, int, int], Pads], port: int, side: int
) -> None:
    """The same seeds on exchanged ports: each agent then sees, and plays, the other side."""
    seen, codec = on_the_pads(same_run(runs[0]), port, duel), get_codec("axis17")
    assert np.array_equal(read_back(seen, PIPE, codec), meant(alone(runs[0], SEEDS[0], side), codec))
    assert np.array_equal(read_back(seen, OTHER_PIPE, codec), meant(alone(runs[0], SEEDS[1], 1 - side), codec))
    assert seen.num_bad_lines == 0


def test_exchanged_agents_exchange_the_pads(runs: tuple[str, str], columns: NDArray[np.float32]) -> None:
    first = played(Players(agent(runs[0], 1), agent(runs[1], 2)), 0, columns)
    swapped = played(Players(agent(runs[1], 2), agent(runs[0], 1)), 1, columns)
    assert np.array_equal(first, swapped[::-1])


def test_one_run_named_twice_is_loaded_once_and_told_so(runs: tuple[str, str]) -> None:
    said: list[str] = []
    own = PlayOptions(policy=runs[0], runtime="torch")
    loaded, _ = load_players(replace(own, opponent=str(Path(runs[0]) / "best.safetensors")), said.append)
    assert loaded[0] is loaded[1]
    loaded, _ = load_players(replace(own, opponent=runs[1]), said.append)
    assert [(run.codec.name, run.delay) for run in loaded] == [("axis17", 1), ("joint", 0)]
    assert ["on both sides" in line for line in said] == [True, False]


def test_both_sides_never_draw_the_same_noise(runs: tuple[str, str], columns: NDArray[np.float32]) -> None:
    options = PlayOptions(policy=runs[0], opponent=runs[0], runtime="torch", seed=5)
    own, other = played(load_players(options, lambda line: None)[1], 0, np.repeat(columns[:, :1], 40, axis=1))
    assert not np.array_equal(own, other)


def test_an_opponent_that_is_nothing_is_refused(runs: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match="--opponent cup: must be cpu, human or a run, found none of them"):
        load_players(PlayOptions(policy=runs[0], opponent="cup"), lambda line: None)


def test_a_stand_in_game_with_both_players_ours_runs_at_the_games_pace(runs: tuple[str, str], duel: Path) -> None:
    options = PlayOptions(policy=runs[0], opponent=runs[1], stand_in=duel, fps=240.0)
    outcome = play_stand_in(options, lambda line: None)
    assert (outcome.report.frames, outcome.report.frames_missing, outcome.report.lost) == (FRAMES, 0, None)
    assert outcome.answer_ms is not None
