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
from play.agent.agent import Agent, Players, PolicyInput, Stepper
from play.loop.runner import Runner
from play.runtime.load import load
from play.runtime.torch_stepper import TorchStepper
from play.stand_in.stand_in import StandIn, open_stand_in
from tests.play.builders import export, random_run
from train.policy.policy import Policy
from train.runs.checkpoint import load_policy

CODEC = get_codec("axis17")
SIDE = 1


class Recorded(Players):
    """An agent whose policy is recorded: what it was given in which frame, and what it decided."""

    def __init__(self, stepper: Stepper) -> None:
        self.stepper = stepper
        self.seen: dict[int, PolicyInput] = {}
        self.decided: list[Classes] = []
        super().__init__(Agent(self, CODEC, delay=0))

    def answer(self, column: NDArray[np.float32], frames_late: int = 0) -> tuple[Controllers, ...]:
        self.frame = int(column[RAW_ROW["frame"]])
        return super().answer(column, frames_late)

    def reset(self) -> None:
        self.stepper.reset()

    def step(self, given: PolicyInput) -> Classes:
        self.seen[self.frame] = PolicyInput(*(part if isinstance(part, int) else part.copy() for part in given))
        self.decided.append(self.stepper.step(given))
        return self.decided[-1]


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("replay") / "duel.slp"
    generate_replay(path, seed=0, characters=("mewtwo", "fox"), stage="battlefield", frames=500)
    return path


def played(replay: Path, parsed: ParsedReplay, stepper: Stepper) -> Recorded:
    recorded = Recorded(stepper)
    with (
        StandIn(replay, fps=None, start_grace_s=0.0) as server,
        closing(open_stand_in(server, port=1, is_blocking=True)) as session,
    ):
        Runner(session, recorded, find_port=lambda game: parsed.ports[SIDE], is_sync=True, num_games=1).run()
    return recorded


@pytest.mark.parametrize(
    ("features", "runtime"), [("base", "onnx"), ("base", "torch"), ("all-items", "torch"), ("all-speeds-nana", "torch")]
)
def test_a_live_policy_decides_what_it_decides_on_a_store_without_the_groups(
    replay: Path, tmp_path: Path, features: str, runtime: str
) -> None:
    run = random_run(tmp_path / "run", features=features)
    loaded, parsed = load_policy(run), parse_columns(replay, rollback="first")
    if runtime == "onnx":
        export(run)
    recorded = played(replay, parsed, load(str(run), 1.0, runtime)[1])
    assert len(recorded.seen) >= 490
    for name in ("item0_exists", "a_speed_y", "has_misc"):
        assert any(seen.continuous[0, FEATURE_ROW[name]] for seen in recorded.seen.values()), "all groups come in live"
    sample = sample_of({"id": "duel"} | parsed.played, parsed.columns, CODEC, features)
    stored = perspective(sample.encoded, SIDE)
    row_of = {frame: row for row, frame in enumerate(sample.frames.tolist())}
    whole = Policy(load_policy(random_run(tmp_path / "whole")).config.policy).eval()
    whole.load_state_dict(loaded.policy.state_dict())
    on_store, on_all, differs = TorchStepper(whole), TorchStepper(whole), False
    for (frame, seen), decided in zip(recorded.seen.items(), recorded.decided, strict=True):
        continuous, indices = (part[:, row_of[frame]][None] for part in (stored.continuous, stored.indices))
        assert (on_store.step(seen._replace(continuous=continuous, indices=indices)) == decided).all(), frame
        differs = differs or bool((on_all.step(seen) != decided).any())
    assert differs, "the groups left out would have told"
