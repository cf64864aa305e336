from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from dataset.errors import ConfigError, SchemaError
from dataset.stream.bank import Bank
from dataset.stream.sampler import Lanes
from dataset.stream.window_shards import Packed, pack, read_about
from tests.train.builders import CODEC, FALCO, FOX, replay_rows, sample, tiny_config, tiny_splits, write_store
from tests.train.fit.test_train_run import Losses, fit
from train.config.run_config import LossConfig, OptimConfig
from train.data.batches import to_tensors
from train.data.load import MOST, nested_subset, track_weights
from train.fit.optim import training_loss
from train.policy.components import Components

SAMPLES = [Packed(*pack(sample(f"r{n}", 20, characters=(FALCO, FOX) if n % 3 else (FOX, FOX)))) for n in range(12)]


def chosen(num: int, seed: int = 0, character: int | None = FALCO, samples: list[Packed] = SAMPLES) -> list[str]:
    return [read_about(one.about).id for one in nested_subset(samples, num, seed, character)]


def test_a_larger_part_holds_the_smaller_ones_of_its_seed_in_the_order_of_the_split() -> None:
    parts = [chosen(n) for n in range(1, 9)]
    assert all(set(small) < set(large) for small, large in pairwise(parts))
    assert parts[-1] == [f"r{n}" for n in range(12) if n % 3]
    assert chosen(4, seed=1) != chosen(4, seed=0)


def test_a_replay_that_is_added_moves_no_other() -> None:
    grown = [*SAMPLES, Packed(*pack(sample("r12", 20)))]
    assert {*chosen(9, samples=grown)} - {"r12"} == {*chosen(8)}
    assert [name for name in chosen(5, samples=grown) if name != "r12"] in ([*chosen(5)], [*chosen(4)])


def test_more_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match="--max-replays 9: must be at most the train split's, found 8"):
        chosen(9)
    assert len(chosen(12, character=None)) == 12


MARTH, SAMUS = 18, 13


def bank(*games: tuple[str, int, int]) -> Bank:
    """Replays of falco on side a: name, frames, opponent."""
    return Bank([sample(name, frames, characters=(FALCO, other)) for name, frames, other in games], FALCO)


def table(**columns: object) -> pl.LazyFrame:
    return pl.LazyFrame(columns)


def test_the_quality_of_the_imitated_player_counts_and_its_mean_over_frames_is_1() -> None:
    games = bank(("one", 100, FOX), ("two", 300, FOX))
    scores = table(id=["two", "one"], quality_a=[0.2, 0.8], quality_b=[1.0, 1.0])
    weights = track_weights(games, scores, "quality")
    assert weights.dtype == np.float32
    assert weights == pytest.approx([0.8 / 0.35, 0.2 / 0.35])
    assert weights @ [100, 300] == pytest.approx(400)


def test_a_rare_matchup_counts_more_up_to_a_limit() -> None:
    games = bank(("one", 4000, FOX), ("two", 2000, FOX), ("three", 1500, MARTH), ("four", 100, SAMUS))
    opponents = [FOX, FOX, MARTH, SAMUS]
    played = table(id=["one", "two", "three", "four"], character_a=[FALCO] * 4, character_b=opponents)
    weights = track_weights(games, played, "matchup")
    assert weights / weights[0] == pytest.approx([1, 1, 4, MOST])
    assert weights @ [4000, 2000, 1500, 100] == pytest.approx(7600)


def test_both_players_of_a_replay_are_weighed_by_themselves() -> None:
    games = Bank([sample("one", 100, characters=(FALCO, FOX))])
    scores = table(id=["one"], quality_a=[0.2], quality_b=[0.6])
    assert track_weights(games, scores, "quality") == pytest.approx([0.5, 1.5])


def test_replays_without_a_score_and_scores_that_are_all_0_are_refused() -> None:
    games = bank(("one", 100, FOX), ("two", 100, FOX))
    unscored = table(id=["one", "two"], quality_a=[0.5, None], quality_b=[None, None])
    with pytest.raises(SchemaError, match="found 1 without; run 'exphil encode --quality'"):
        track_weights(games, unscored, "quality")
    with pytest.raises(SchemaError, match="found 2 without"):
        track_weights(games, table(id=["one", "two"]), "quality")
    idle = table(id=["one", "two"], quality_a=[0.0, 0.0], quality_b=[1.0, 1.0])
    with pytest.raises(ConfigError, match="needs one replay of a quality above 0, found 0 for all 2 tracks"):
        track_weights(games, idle, "quality")


def test_a_rows_weight_multiplies_the_loss_of_its_frames() -> None:
    games = bank(("one", 40, FOX), ("two", 40, FOX))
    batch = next(Lanes(games, rows=2, window=10, delay=0).batches(0))
    factors = np.array([0.5, 1.5], dtype=np.float32)
    tensors = to_tensors(batch, torch.device("cpu"), factors)
    assert tensors.weight is not None
    assert tensors.weight.tolist() == factors[batch.track].tolist()
    components = Components.of(CODEC)
    logits = torch.randn(2, 10, components.num_columns, generator=torch.Generator().manual_seed(0))

    def loss(mask: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
        return training_loss(logits, tensors.target, mask, components, LossConfig(), weight)

    rows = [loss(tensors.mask & (torch.arange(2) == row)[:, None], None) for row in range(2)]
    expected = sum(row * factor for row, factor in zip(rows, tensors.weight, strict=True)) / 2
    assert torch.allclose(loss(tensors.mask, tensors.weight), torch.as_tensor(expected))


def test_validation_knows_nothing_of_weights(tmp_path: Path) -> None:
    splits = tiny_splits()
    assert {row["quality_a"] for row in replay_rows("train", splits["train"])} == {1.0, 0.5, 1 / 3}
    store = write_store(tmp_path / "store", splits)
    seen: list[Losses] = []
    for by in ("none", "quality", "matchup"):  # one matchup only: all alike
        seen.append(Losses())
        still = tiny_config(loss=LossConfig(weight_by=by), optim=OptimConfig(epochs=1, lr=1e-12))
        fit(store, tmp_path / by, still, seen[-1])
    plain, quality, matchup = seen
    assert matchup.losses == plain.losses
    assert quality.losses != plain.losses
    assert quality.records[0]["val"]["nll"] == pytest.approx(plain.records[0]["val"]["nll"], rel=1e-6)


def test_an_unknown_weight_is_refused() -> None:
    with pytest.raises(ConfigError, match="--weight-by 'rank': unknown; use one of none, quality, matchup"):
        LossConfig(weight_by="rank")
