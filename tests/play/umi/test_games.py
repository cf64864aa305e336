"""Games of a championship session: whatever else is played, a game's answers follow from the seed and its own frames."""

import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from dataset.codecs.registry import get_codec
from dataset.melee.controller import B, L, Z
from play.agent.agent import Agent, as_read
from play.runtime.onnx_stepper import OnnxStepper
from play.runtime.slots import ROWS
from play.umi.games import Course, Games, as_umi
from tests.play.simulators.records import championship

FRAMES = 40


@pytest.fixture(scope="module")
def recorded() -> np.ndarray:
    """``umi-melee``'s recorded frames of one seat, from GO, [40 frames, 6 games]."""
    return championship()["frames"][:, 123 : 123 + FRAMES, 0].T


def played(games: Games, frames: np.ndarray, slots: list[int]) -> NDArray[np.float32]:
    """Answers [frames, games, 13] of games that begin together."""
    at = np.array(slots)
    return np.stack([games.answer(each, at, np.full(len(at), number == 0)) for number, each in enumerate(frames)])


@pytest.fixture(scope="module")
def alone(exported_run: Path, recorded: np.ndarray) -> list[NDArray[np.float32]]:
    """Every game in a session of its own."""
    return [played(Games(exported_run, 1, seed=7), recorded[:, [game]], [0])[:, 0] for game in range(6)]


def test_a_game_among_many_is_the_same_game_alone(
    exported_run: Path, recorded: np.ndarray, alone: list[NDArray[np.float32]]
) -> None:
    order = [5, 0, 3, 3, 1, 2, 4] * 3
    answers = played(Games(exported_run, 30, seed=7, num_threads=2), recorded[:, order], list(range(29, 8, -1)))
    for place, game in enumerate(order):
        np.testing.assert_array_equal(answers[:, place], alone[game])
    assert len({game.tobytes() for game in alone}) == 6


def test_games_come_and_go_and_a_slot_forgets_the_last_one(
    exported_run: Path, recorded: np.ndarray, alone: list[NDArray[np.float32]]
) -> None:
    games, ages, answers = Games(exported_run, 3, seed=7), np.zeros(3, int), [[], [], []]
    holds = np.array([0, 1, 2])
    for turn in range(60):
        there = np.array([slot for slot in range(3) if turn % 5 or slot != 1])  # one misses every fifth call
        found = games.answer(recorded[ages[there], holds[there]], there, ages[there] == 0)
        for slot, answer in zip(there, found, strict=True):
            answers[slot].append(answer)
        ages[there] += 1
        if turn == 20:
            np.testing.assert_array_equal(answers[2], alone[2][:21])
            ages[2], holds[2], answers[2] = 0, 4, []
        if (ages == FRAMES).any():
            break
    for slot, game in ((0, 0), (1, 1), (2, 4)):
        np.testing.assert_array_equal(answers[slot], alone[game][: len(answers[slot])])


def test_another_seed_plays_otherwise(
    exported_run: Path, recorded: np.ndarray, alone: list[NDArray[np.float32]]
) -> None:
    assert (played(Games(exported_run, 1, seed=8), recorded[:, [0]], [0])[:, 0] != alone[0]).any()


def test_an_int8_graph_steps_one_game_at_a_time(
    exported_run: Path, recorded: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One scale would serve all games of an inference."""
    run = Path(shutil.copytree(exported_run, tmp_path / "run"))
    graph = onnx.load(run / "policy.onnx")
    onnx.helper.set_model_props(graph, {each.key: each.value for each in graph.metadata_props} | {"precision": "int8"})
    onnx.save(graph, run / "policy.onnx")
    rows: list[int] = []
    step = OnnxStepper.step
    monkeypatch.setattr(
        OnnxStepper, "step", lambda stepper, given: rows.append(len(given.continuous)) or step(stepper, given)
    )
    played(Games(run, 6, seed=7), recorded[:2], list(range(6)))
    assert rows == [1] * 12
    rows.clear()
    played(Games(exported_run, 20, seed=7), recorded[:2, [0] * 20], list(range(20)))
    assert rows == [ROWS] * 4


def test_the_noise_of_a_frame_follows_from_all_frames_before() -> None:
    first, second, third = Course(1, 13), Course(1, 13), Course(1, 13)
    for course, frames in ((first, b"ab"), (second, b"cb"), (third, b"ab")):
        for frame in frames:
            course.see(bytes([frame]))
    drawn = [next(course) for course in (first, second, third)]
    assert (drawn[0] == drawn[2]).all()
    assert (drawn[0] != drawn[1]).all()
    assert all(((noise > 0) & (noise < 1)).all() and noise.dtype == np.float32 for noise in drawn)


def test_the_previous_controller_is_the_last_answer_and_nothing_is_held_back(
    exported_run: Path, recorded: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run has a delay of two frames."""
    commits: list[tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int32]]] = []
    commit = Agent.commit

    def seen(agent: Agent, classes: NDArray[np.uint8], frames_late: int = 0) -> NDArray[np.int32]:
        before = agent.previous
        controller = commit(agent, classes, frames_late)
        commits.append((before, classes, controller))
        return controller

    monkeypatch.setattr(Agent, "commit", seen)
    played(Games(exported_run, 1, seed=7), recorded[:10, [0]], [0])
    codec = get_codec("axis17")
    assert len(commits) == 10
    for (_, _, pressed), (given, _, _) in pairwise(commits):
        np.testing.assert_array_equal(given, codec.encode(as_read(pressed)))
    for _, classes, pressed in commits:
        np.testing.assert_array_equal(pressed, codec.decode(classes))


def test_controllers_are_given_as_the_league_wants_them() -> None:
    umi = pytest.importorskip("umi.frame", reason="umi-melee is not installed")
    given = np.array([[0, 0, 0, 0, 0, 0], [80, -80, 23, 0, 140, L | B], [0, 0, 0, 0, 49, Z]], np.int32)
    answers = as_umi(given)
    np.testing.assert_array_equal(answers[0], umi.NEUTRAL_CTRL)
    fields = dict(zip(umi.CTRL_FIELDS, answers[1].tolist(), strict=True))
    assert fields == dict.fromkeys(umi.BUTTONS, 0) | {
        "main_x": 1.0, "main_y": 0.0, "c_x": np.float32(0.64375), "c_y": 0.5, "shoulder": 1.0, "L": 1.0, "B": 1.0,
    }  # fmt: skip
    assert dict(zip(umi.CTRL_FIELDS, answers[2], strict=True))["shoulder"] == np.float32(0.35)


def test_every_stick_and_trigger_survives_the_way_there_and_back() -> None:
    given = np.zeros((161, 6), np.int32)
    given[:, :4], given[:, 4] = np.arange(-80, 81)[:, None], np.arange(161).clip(0, 140)
    answers = as_umi(given)
    np.testing.assert_array_equal(np.round((answers[:, :4] - 0.5) * 160), given[:, :4])
    np.testing.assert_array_equal(np.round(answers[:, 4] * 140), given[:, 4])
    assert ((answers >= 0) & (answers <= 1)).all()


def test_a_new_game_has_item_slots_of_its_own(
    exported_run: Path, recorded: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, first = recorded[0, [0]].copy(), recorded[1, [0]].copy()
    before["items"]["exists"], first["items"]["exists"] = 0, 0
    before["items"]["exists"][0, :2], before["items"]["spawn_id"][0, :2] = 1, (4, 5)
    first["items"]["exists"][0, 0], first["items"]["spawn_id"][0, 0] = 1, 5
    shown: list[NDArray[np.float16]] = []
    step = OnnxStepper.step
    monkeypatch.setattr(
        OnnxStepper, "step", lambda stepper, given: shown.append(given.continuous[0].copy()) or step(stepper, given)
    )
    used, at = Games(exported_run, 1, seed=7), np.array([0])
    for games, frames in ((used, before), (used, first), (Games(exported_run, 1, seed=7), first)):
        games.answer(frames, at, np.ones(1, bool))
    np.testing.assert_array_equal(shown[1], shown[2])
