"""A trained policy that is stepped frame by frame, its state carried through whole replays, loses nothing by it.

Every frame of some replays is predicted in three ways, and compared on identical frames. *Streamed* is play: one frame at a
time from the first frame on. *Chunked* is the contract of training in lanes: windows one after the other with the state
carried. *Windowed* is the contract of training on windows: each begins with no memory, and its first half is not counted.
Only trained policies tell them apart: with their first weights all three are alike.
"""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dataset.store.store import Store
from dataset.stream.bank import Bank, Rows
from dataset.stream.window_shards import read_about
from ingest.jobs.pipeline import ingest
from ingest.options import IngestOptions
from tests.conftest import replay_archive
from tests.train.builders import CODEC, FALCO, sample
from train.config.run_config import DataConfig, OptimConfig, RunConfig
from train.data.load import Data
from train.fit.loop import Fit
from train.policy.backbones.base import State
from train.policy.components import Components, component_nll, fit_persistence
from train.policy.config import BACKBONES, PolicyConfig, looks_back
from train.policy.policy import Policy

LAG = 3
"""Frames after which a player answers in the generated game: nothing in a frame or the controller tells of it."""

MOST = 1.02
"""Stream loss over windowed loss, at most."""


MAIN_X = [name for name, _ in CODEC.components].index("main_x")


def echoes(name: str, num_frames: int) -> Bank:
    """A game in which falco's stick shows, ``LAG`` frames later, which of two values a feature had."""
    game = sample(name, num_frames)
    shown = np.repeat(np.random.default_rng(sum(name.encode())).integers(0, 2, num_frames // 6 + 1), 6)[:num_frames]
    game.encoded.continuous[0] = 2 * shown - 1
    game.classes[0, MAIN_X] = 4 + 8 * np.roll(shown, LAG)
    return Bank([game], FALCO)


def trained(data: Data, config: RunConfig, run: Path) -> Policy:
    """The policy after all steps of ``config``."""
    run.mkdir()
    persistence = fit_persistence(data.train, Components.of(CODEC).sizes, config.data.delay)
    fit = Fit(config, data, persistence, run, device=torch.device("cpu"))
    fit.fit()
    return fit.policy.eval()


def small(
    backbone: str, steps: int, *, width: int, rows: int, window: int, sampling: str = "lanes", lr: float = 3e-3
) -> RunConfig:
    return RunConfig(
        policy=PolicyConfig(
            backbone=backbone,
            hidden_sizes=(width, width),
            lookback=window if looks_back(backbone) else None,
        ),
        data=DataConfig(character="falco", lanes=rows, window_size=window),
        optim=OptimConfig(epochs=100, max_steps=steps, lr=lr, warmup_steps=20),
    )


class Games:
    """Some frames of every track of a bank, side by side [R, N, …], and how well a policy predicts them, [R, N]."""

    def __init__(self, bank: Bank, num_frames: int) -> None:
        rows = [first_frames(bank.open(track, 0), num_frames) for track in bank.tracks]
        self.continuous = torch.from_numpy(np.stack([row.continuous for row in rows]))
        self.indices = torch.from_numpy(np.stack([row.indices for row in rows]).astype(np.int16))
        self.previous = torch.from_numpy(np.stack([row.previous for row in rows]))
        self.target = torch.from_numpy(np.stack([row.target for row in rows]))
        self.mask = torch.from_numpy(np.stack([row.mask for row in rows]))
        self.delay = torch.zeros(len(rows), dtype=torch.int64)

    @torch.no_grad()
    def streamed(self, policy: Policy) -> Tensor:
        """One frame after the other."""
        state, given = policy.initial_state(len(self.delay)), []
        for t in range(self.mask.shape[1]):
            x, held = policy.embed(self.continuous[:, t], self.indices[:, t], self.previous[:, t], self.delay)
            y, state = policy.backbone.step(x, state)
            given.append(torch.cat([y, held], dim=-1))
        return self._nll(policy, torch.stack(given, dim=1), slice(None))

    @torch.no_grad()
    def chunked(self, policy: Policy, window: int) -> Tensor:
        """Window after window with the state carried."""
        state, parts = policy.initial_state(len(self.delay)), []
        for start in range(0, self.mask.shape[1], window):
            part = slice(start, start + window)
            y, state = self._features(policy, part, state)
            parts.append(self._nll(policy, y, part))
        return torch.cat(parts, dim=1)

    @torch.no_grad()
    def windowed(self, policy: Policy, window: int) -> Tensor:
        """Windows that begin with no memory, by half a window apart; the frames of the first half window are not a number."""
        found = torch.full(self.mask.shape, torch.nan)
        half = window // 2
        for start in range(0, self.mask.shape[1] - window + 1, half):
            part = slice(start, start + window)
            y, _ = self._features(policy, part, policy.initial_state(len(self.delay)))
            found[:, start + half : start + window] = self._nll(policy, y, part)[:, half:]
        return found

    def mean(self, nll: Tensor, windowed: Tensor) -> float:
        """Over the frames that all ways predict."""
        return float(nll[self.mask & ~windowed.isnan()].double().mean())

    def _features(self, policy: Policy, part: slice, state: State) -> tuple[Tensor, State]:
        continuous, indices, previous = (one[:, part] for one in (self.continuous, self.indices, self.previous))
        reset = torch.zeros(len(self.delay), dtype=torch.bool)
        return policy.features(continuous, indices, previous, self.delay, state, reset)

    def _nll(self, policy: Policy, y: Tensor, part: slice) -> Tensor:
        target = self.target[:, part]
        return component_nll(policy.head(y, target), target, Components.of(CODEC)).sum(dim=-1)


def first_frames(rows: Rows, num_frames: int) -> Rows:
    assert len(rows.mask) >= num_frames
    return Rows(*(getattr(rows, name)[:num_frames] for name in ("continuous", "indices", "previous", "target", "mask")))


def losses_of(policy: Policy, games: Games, window: int) -> dict[str, float]:
    """Mean NLL on identical frames, by the way of predicting them."""
    windowed = games.windowed(policy, window)
    ways = {"streamed": games.streamed(policy), "chunked": games.chunked(policy, window), "windowed": windowed}
    return {name: games.mean(nll, windowed) for name, nll in ways.items()}


def test_a_policy_that_remembers_predicts_as_well_stepped_as_it_was_trained(tmp_path: Path) -> None:
    data = Data(echoes("train", 4000), echoes("val", 600), "")
    policy = trained(data, small("gru", 120, width=24, rows=4, window=32, lr=0.01), tmp_path / "run")
    games = Games(data.val, 600)
    found = losses_of(policy, games, 32)
    assert found["streamed"] == pytest.approx(found["chunked"], rel=1e-4)
    assert found["streamed"] <= MOST * found["windowed"]
    two_frames = games.windowed(policy, 2)
    assert games.mean(two_frames, two_frames) > 1.2 * found["streamed"]  # it does remember


@pytest.mark.slow
@pytest.mark.parametrize("backbone", BACKBONES)
def test_on_real_games_a_trained_policy_predicts_as_well_stepped_as_it_was_trained(
    falcos: Data, tmp_path: Path, backbone: str
) -> None:
    policy = trained(falcos, small(backbone, 100, width=48, rows=16, window=64), tmp_path / "run")
    found = losses_of(policy, Games(falcos.val, 1500), 64)
    assert found["streamed"] == pytest.approx(found["chunked"], rel=1e-4)
    assert found["streamed"] <= MOST * found["windowed"]


@pytest.fixture(scope="module")
def falcos(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """Real games: a few to train on and two of val."""
    store = tmp_path_factory.mktemp("falcos") / "store"
    ingest([replay_archive("falco-129.zip")], store, IngestOptions())
    return falcos_of(store)


def falcos_of(path: Path) -> Data:
    store = Store(path)
    games = [game for game in store.packed("val") if read_about(game.about).num_frames >= 1500]
    return Data(Bank(islice(store.packed("train"), 16), FALCO), Bank(games[:2], FALCO), store.manifest.digest)
