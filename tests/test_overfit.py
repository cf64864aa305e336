"""The gate before all others: a memorised behaviour comes back exactly, through the real decoder and the stand-in.

A small policy learns one generated drill by heart. Then it plays that drill against the stand-in, given nothing but the
states and its own committed controllers, and the pad must read what the drill's player did, frame by frame. What breaks
alignment, the codec, the carried state or the encoder anywhere between replay and pipe breaks this.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dataset.codecs.registry import get_codec
from dataset.duels.generate import generate_replay
from dataset.features.encoder import controller_matrix
from dataset.features.layout import ALL
from dataset.schema import FIRST_FRAME
from dataset.store.frame_table import sample_of
from dataset.stream.bank import Bank
from dataset.stream.window_shards import Sample
from ingest.replay.parse import ParsedReplay, parse_columns
from play.agent.agent import Agent, Players, PolicyInput
from play.loop.runner import Runner
from play.runtime.torch_stepper import TorchStepper
from play.stand_in.protocol import NEVER
from play.stand_in.stand_in import StandIn, open_stand_in
from train.config.run_config import DataConfig, OptimConfig, RunConfig
from train.data.load import Data
from train.fit.loop import Fit
from train.policy.components import Components, fit_persistence
from train.policy.config import PolicyConfig
from train.runs.checkpoint import load_policy, run_record
from train.runs.run_folder import save_record

CODEC = get_codec("axis17")
SIDE = 0
NUM_EPOCHS = 3
NUM_FRAMES, NUM_COPIES = 224, 100
NUM_LATE_FRAMES, NUM_LATE_COPIES = 112, 60
"""A drill of half the length, with two changes of what is pressed, is known by heart after a sixth of the work."""
NEARLY_ARGMAX = 0.05
"""Temperature at which only a class of about half the probability is ever drawn."""


class Drill(NamedTuple):
    replay: Path
    parsed: ParsedReplay
    sample: Sample


class Forgetful(TorchStepper):
    """A stepper that loses its recurrent state before every frame."""

    def step(self, given: PolicyInput) -> NDArray[np.uint8]:
        self.reset()
        return super().step(given)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """One row in a batch leaves a second thread nothing to do, and waiting for it takes twice as long as the work."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory) -> Drill:
    return generate_drill(tmp_path_factory.mktemp("drill"), NUM_FRAMES)


def generate_drill(folder: Path, num_frames: int) -> Drill:
    replay = folder / "drill.slp"
    generate_replay(replay, seed=0, script="drill", frames=num_frames)
    parsed = parse_columns(replay, rollback="first")
    return Drill(replay, parsed, sample_of({"id": "drill"} | parsed.played, parsed.columns, CODEC, ALL))


@pytest.fixture(scope="module")
def memorised(drill: Drill, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return memorise(drill.sample, tmp_path_factory.mktemp("runs") / "memorised", NUM_COPIES)


def memorise(sample: Sample, run: Path, num_copies: int) -> Path:
    """Train on one replay until it is known by heart, through the loop and the checkpoint that every run uses."""
    config = RunConfig(
        policy=PolicyConfig(backbone="gru", hidden_sizes=(64, 64), dropout=0.0),
        data=DataConfig(character="mewtwo", lanes=1, window_size=56, augment=False),
        optim=OptimConfig(epochs=NUM_EPOCHS, lr=3e-3, warmup_steps=0, ema_decay=0.0),
    )
    bank = Bank([replace(sample, id=f"copy-{i}") for i in range(num_copies)], sample.characters[SIDE])
    val = Bank([sample], sample.characters[SIDE])
    persistence = fit_persistence(bank, Components.of(CODEC).sizes, delay=0)
    run.mkdir()
    save_record(run, run_record(config))
    Fit(config, Data(bank, val, "drill"), persistence, run, device=torch.device("cpu")).fit()
    return run


def replay_drill(drill: Drill, run: Path, stepper: type[TorchStepper]) -> Callable[[int], bool]:
    """Play the drill; what comes back says whether each pad read what the drill's player pressed so many frames later."""
    loaded = load_policy(run)
    players = Players(Agent(stepper(loaded.policy, NEARLY_ARGMAX), loaded.codec, delay=loaded.delay))
    port = drill.parsed.ports[SIDE]
    with (
        StandIn(drill.replay, fps=None, start_grace_s=0.0) as server,
        closing(open_stand_in(server, port=1, is_blocking=True)) as session,
    ):
        Runner(session, players, find_port=lambda game: port, is_sync=True, num_games=1).run()
    pad = server.report()
    flushes = np.flatnonzero((pad.poll_frame != NEVER) & (pad.poll_frame > FIRST_FRAME))
    frames = drill.parsed.columns["frame"]
    assert pad.poll_frame[flushes].tolist() == frames[1:].tolist(), "one answer for every frame but the first"
    read = np.stack([pad.main_x, pad.main_y, pad.c_x, pad.c_y, pad.trigger, pad.buttons], axis=-1).astype(np.int32)
    pressed = CODEC.decode(CODEC.encode(controller_matrix(drill.parsed.columns, "ab"[SIDE])))
    found, wanted = CODEC.encode(read[flushes]), CODEC.encode(pressed)
    return lambda num_early: np.array_equal(found, np.roll(wanted, -num_early, axis=0)[1:])


def test_the_drill_cannot_be_told_from_persistence_or_from_one_frame(drill: Drill) -> None:
    """The gate means something: the player presses a lot, and waits that only memory can time."""
    pressed = CODEC.encode(controller_matrix(drill.parsed.columns, "ab"[SIDE]))
    changes = (pressed[1:] != pressed[:-1]).any(axis=-1)
    assert 10 <= changes.sum() < len(pressed) / 2


def test_a_memorised_behaviour_comes_back_exactly(drill: Drill, memorised: Path) -> None:
    equals = replay_drill(drill, memorised, TorchStepper)
    assert equals(0)
    assert not equals(1)
    assert not equals(-1)


def test_the_gate_closes_when_the_recurrent_state_is_lost(drill: Drill, memorised: Path) -> None:
    assert not replay_drill(drill, memorised, Forgetful)(0)


def test_a_target_one_frame_late_is_played_one_frame_late(tmp_path: Path) -> None:
    """The gate closes on a shifted target, and shows by how much: what is learned then is the drill a frame early."""
    drill = generate_drill(tmp_path, NUM_LATE_FRAMES)
    late = np.concatenate([drill.sample.classes[..., 1:], drill.sample.classes[..., -1:]], axis=-1)
    run = memorise(replace(drill.sample, classes=late), tmp_path / "late", NUM_LATE_COPIES)
    equals = replay_drill(drill, run, TorchStepper)
    assert not equals(0)
    assert equals(1)
