"""Skew test of ``--features``: what a policy is given of a live frame is what a store without those groups holds of it."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dataset.codecs.registry import get_codec
from dataset.duels.generate import generate_replay
from dataset.features.encoder import perspective
from dataset.features.layout import FEATURE_ROW, RAW_ROW
from dataset.melee.controller import Classes, Controllers
from dataset.store.frame_table import sample_of
from ingest.replay.parse import ParsedReplay, parse_columns
from play.agent.agent import Agent, Seen, Stepper
from play.dolphin.session import open_stand_in
from play.loop.runner import Runner
from play.runtime.load import load
from play.runtime.torch_stepper import TorchStepper
from play.stand_in.stand_in import StandIn
from tests.play.builders import random_run
from train.export.export import export_run
from train.policy.policy import Policy
from train.runs.checkpoint import load_policy

CODEC = get_codec("axis17")
SIDE = 1


class Watched(Agent):
    """An agent that remembers what its policy was given in which frame, and what it decided."""

    def start_game(self, side: int) -> None:
        super().start_game(side)
        self.seen: dict[int, Seen] = {}
        self.decided: list[Classes] = []

    def see(self, column: NDArray[np.float32]) -> Seen:
        seen = self.seen[int(column[RAW_ROW["frame"]])] = super().see(column)
        return seen

    def commit(self, classes: Classes, frames_late: int = 0) -> Controllers:
        self.decided.append(classes)
        return super().commit(classes, frames_late)


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("replay") / "duel.slp"
    generate_replay(path, seed=3, characters=("mewtwo", "fox"), stage="battlefield", frames=900)
    return path


def played(replay: Path, parsed: ParsedReplay, stepper: Stepper) -> Watched:
    agent = Watched(stepper, CODEC, delay=0)
    with (
        StandIn(replay, fps=None, start_grace_s=0.0) as server,
        closing(open_stand_in(server, port=1, is_blocking=True)) as session,
    ):
        Runner(session, agent, find_port=lambda game: parsed.ports[SIDE], is_sync=True, num_games=1).run()
    return agent


@pytest.mark.parametrize(
    ("features", "runtime"), [("base", "onnx"), ("base", "torch"), ("all-items", "torch"), ("all-speeds-nana", "torch")]
)
def test_a_live_policy_decides_what_it_decides_on_a_store_without_the_groups(
    replay: Path, tmp_path: Path, features: str, runtime: str
) -> None:
    run = random_run(tmp_path / "run", features=features)
    loaded, parsed = load_policy(run), parse_columns(replay, rollback="first")
    if runtime == "onnx":
        export_run(run)
    agent = played(replay, parsed, load(str(run), 1.0, runtime)[1])
    assert len(agent.seen) >= 890
    for name in ("item0_exists", "a_speed_y", "has_misc"):
        assert any(seen.continuous[FEATURE_ROW[name]] for seen in agent.seen.values()), "all groups come in live"
    sample = sample_of({"id": "duel"} | parsed.played, parsed.columns, CODEC, features)
    stored = perspective(sample.encoded, SIDE)
    row_of = {frame: row for row, frame in enumerate(sample.frames.tolist())}
    whole = Policy(load_policy(random_run(tmp_path / "whole")).config.policy).eval()
    whole.load_state_dict(loaded.policy.state_dict())
    on_store, on_all, differing = TorchStepper(whole), TorchStepper(whole), 0
    for (frame, seen), decided in zip(agent.seen.items(), agent.decided, strict=True):
        continuous, indices = (part[:, row_of[frame]] for part in (stored.continuous, stored.indices))
        assert (on_store.step(continuous, indices, *seen[2:]) == decided).all(), frame
        differing += int((on_all.step(*seen) != decided).any())
    assert differing, "the groups left out would have told"
