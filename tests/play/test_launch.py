"""A policy plays against the stand-in, end to end: libmelee's own socket, process and pipes, no emulator."""

from multiprocessing import active_children
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dataset.codecs.registry import get_codec
from dataset.duels.generate import generate_replay
from dataset.errors import CheckpointError, ConfigError
from dataset.features.encoder import encode
from dataset.melee.controller import Classes, Controllers
from dataset.slippi.slp import read_header
from play.agent.agent import Agent, Players, PolicyInput, as_read
from play.agent.libmelee import LiveGame
from play.dolphin.session import Ended, Frame, Lost
from play.launch import play_stand_in, port_in_replay
from play.loop.runner import Runner
from play.options import PlayOptions
from play.runtime.load import load, load_players
from play.stand_in.protocol import PIPE, Report
from play.stand_in.stand_in import StandIn, open_stand_in
from tests.play.builders import random_run, wait_until_over
from tests.play.test_parity import Frames, differences, from_ingest

pytestmark = pytest.mark.usefixtures("patient_budget")

CODEC = get_codec("axis17")
FRAMES = 400
FIRST = -123


def silent(line: str) -> None:
    pass


@pytest.fixture(scope="module")
def duel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("duel") / "duel.slp"
    generate_replay(path, seed=1, characters=("fox", "mewtwo"), frames=FRAMES, ports=(1, 3))
    return path


class Recording:
    """A policy whose decisions are written down; it steps a real one."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.decided: list[Controllers] = []

    def reset(self) -> None:
        self.decided = []
        self.inner.reset()

    def step(self, given: PolicyInput) -> Classes:
        classes: Classes = self.inner.step(given)
        self.decided.append(CODEC.decode(classes[0]))
        return classes


def acted(report: Report) -> dict[int, list[int]]:
    """By frame: the controller that the game read when it polled the pad for it."""
    pads = np.stack([report.main_x, report.main_y, report.c_x, report.c_y, report.trigger, report.buttons], axis=1)
    return {int(frame): pads[row].tolist() for row, frame in enumerate(report.poll_frame)}


@pytest.mark.parametrize("delay", [0, 2])
def test_in_lock_step_every_decision_acts_in_the_frame_it_was_meant_for(duel: Path, tmp_path: Path, delay: int) -> None:
    _, stepper = load(str(random_run(tmp_path / "run", delay=delay)), temperature=1.0)
    policy = Recording(stepper)
    players = Players(Agent(policy, CODEC, delay=delay, seed=7))
    with StandIn(duel, fps=None, start_grace_s=0.0) as server:
        session = open_stand_in(server, port=PIPE, is_blocking=True)
        try:
            played = Runner(session, players, find_port=lambda game: 3, is_sync=True, num_games=1).run()
        finally:
            session.close()
    seen = acted(server.report())
    assert (played.frames, played.frames_stale, played.frames_missing, played.lost) == (FRAMES, 0, 0, None)
    assert len(policy.decided) == FRAMES, "every frame is stepped once"
    assert len({tuple(controller) for controller in policy.decided}) > FRAMES // 2, (
        "the policy does all sorts of things"
    )
    for t, meant in enumerate(policy.decided[: FRAMES - 1 - delay]):
        assert seen[FIRST + t + 1 + delay] == as_read(meant).tolist()
    assert [seen[FIRST + t] for t in range(delay + 1)] == [[0] * 6] * (delay + 1)
    assert server.report().num_bad_lines == 0


def network_frames(path: Path) -> Frames:
    """Every frame as a session on the stand-in gives it."""
    with StandIn(path, fps=None, start_grace_s=0.0) as server:
        session = open_stand_in(server, port=PIPE, is_blocking=True)
        live = LiveGame(session.zero_indices)
        numbers: list[int] = []
        columns: list[NDArray[np.float32]] = []
        try:
            while isinstance(event := session.next(), Frame):
                numbers.append(event.number)
                columns.append(live.column(event.game))
            assert isinstance(event, Ended)
        finally:
            session.close()
    return numbers, encode(np.stack(columns, axis=1))


def test_features_over_the_network_equal_ingests_on_a_generated_replay(duel: Path) -> None:
    assert differences(network_frames(duel), from_ingest(duel)) == {}


def test_features_over_the_network_equal_ingests_on_a_real_replay(modern_replays: list[Path]) -> None:
    assert differences(network_frames(modern_replays[0]), from_ingest(modern_replays[0])) == {}


def test_features_over_the_network_equal_ingests_through_rollbacks(modern_replays: list[Path]) -> None:
    assert differences(network_frames(modern_replays[2]), from_ingest(modern_replays[2])) == {}


def test_sync_play_is_a_function_of_the_seed(duel: Path, exported_run: Path) -> None:
    def pads(seed: int) -> list[list[int]]:
        _, players = load_players(PlayOptions(policy=str(exported_run), sync=True, seed=seed), silent)
        with StandIn(duel, fps=None, start_grace_s=0.0) as server:
            session = open_stand_in(server, port=PIPE, is_blocking=True)
            try:
                Runner(session, players, find_port=lambda game: 3, is_sync=True, num_games=1).run()
            finally:
                session.close()
        return list(acted(server.report()).values())

    assert pads(1) == pads(1)
    assert pads(1) != pads(2)


def test_async_play_steps_every_frame(duel: Path, exported_run: Path) -> None:
    outcome = play_stand_in(PlayOptions(policy=str(exported_run), stand_in=duel, fps=240.0), silent)
    assert (outcome.report.frames, outcome.report.frames_missing, outcome.report.lost) == (FRAMES, 0, None)
    assert len(outcome.report.games) == 1
    assert outcome.answer_ms is not None


def test_a_killed_stand_in_is_a_lost_session_and_leaves_no_worker(duel: Path) -> None:
    with StandIn(duel, fps=60.0) as server:
        before = set(active_children())
        session = open_stand_in(server, port=PIPE, is_blocking=False)
        (worker,) = set(active_children()) - before
        assert isinstance(session.next(), Frame)
        server.close()
        events = iter(session.next, None)
        lost = next(event for event in events if not isinstance(event, Frame))
        assert isinstance(lost, Lost)
        session.close()
    assert not worker.is_alive()


def test_closing_with_unread_frames_in_the_pipe_does_not_hang(duel: Path) -> None:
    with StandIn([duel] * 3, fps=3000.0) as server:
        session = open_stand_in(server, port=PIPE, is_blocking=False)
        assert isinstance(session.next(), Frame)
        wait_until_over(server, 2.0)
        session.close()


def test_a_delay_the_run_was_not_trained_for_is_refused(exported_run: Path) -> None:
    with pytest.raises(ConfigError, match=r"--delay 5.*found 2"):
        load_players(PlayOptions(policy=str(exported_run), delay=5), silent)


def test_an_unknown_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="a run folder"):
        load_players(PlayOptions(policy=str(tmp_path / "nothing")), silent)


@pytest.mark.parametrize(
    ("character", "port", "expected"),
    [("mewtwo", None, 3), ("fox", None, 1), ("marth", None, 1), (None, None, 1), ("mewtwo", 1, 1)],
)
def test_the_agent_plays_where_its_character_is(
    duel: Path, character: str | None, port: int | None, expected: int
) -> None:
    assert port_in_replay(read_header(duel), character, port) == expected


def test_in_a_ditto_the_agent_takes_the_lower_port(tmp_path: Path) -> None:
    generate_replay(tmp_path / "ditto.slp", seed=1, characters=("fox", "fox"), frames=10, ports=(2, 4))
    assert port_in_replay(read_header(tmp_path / "ditto.slp"), "fox", None) == 2


def test_an_empty_port_is_refused_with_those_taken(duel: Path) -> None:
    with pytest.raises(ConfigError, match=r"--port 2.*found 1, 3"):
        port_in_replay(read_header(duel), "fox", 2)
