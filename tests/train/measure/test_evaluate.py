import json
from pathlib import Path
from typing import Any

import pytest
import torch

from dataset.errors import ConfigError
from dataset.stream.bank import Bank
from dataset.stream.sampler import Lanes
from tests.train.builders import CODEC, FALCO, SIZES, sample, tiny_policy_config, tiny_splits, write_store
from train.measure.evaluate import evaluate_policy, evaluate_run, parse_split
from train.measure.intervals import WEIGHTS
from train.policy.components import Components, component_nll, fit_persistence
from train.policy.policy import Policy
from train.runs.checkpoint import LoadedPolicy, load_policy

CPU = torch.device("cpu")


def evaluate(loaded: LoadedPolicy, store: Path, **options: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {"split": "test", "is_seen_allowed": False, "device": CPU}
    return evaluate_run(loaded, store, **(settings | options))


@pytest.mark.parametrize(("lanes", "window"), [(1, 7), (2, 16), (3, 1000)])
def test_the_nll_is_that_of_each_replay_walked_whole_with_its_state_carried(lanes: int, window: int) -> None:
    torch.manual_seed(0)
    policy = Policy(tiny_policy_config()).eval()
    bank = Bank([sample("a", 40), sample("b", 33), sample("c", 55)], FALCO)
    persistence = fit_persistence(bank, tuple(SIZES), 1)
    laid = Lanes(bank, rows=lanes, window=window, delay=1, is_shuffled=False)
    report = evaluate_policy(policy, laid, persistence, CPU)
    total, frames = torch.zeros(13), 0
    with torch.no_grad():
        for track in bank.tracks:
            rows = bank.open(track, 1)
            window_of = [torch.from_numpy(a)[None] for a in (rows.continuous, rows.indices, rows.previous, rows.target)]
            reset = torch.ones(1, dtype=torch.bool)
            logits, _ = policy(*window_of[:3], torch.ones(1), window_of[3], policy.initial_state(1), reset)
            mask = torch.from_numpy(rows.mask)
            total += component_nll(logits[0], window_of[3][0], Components.of(CODEC))[mask].sum(dim=0)
            frames += int(mask.sum())
    assert report["frames"] == frames == 40 + 33 + 55 - 3 * 2
    assert list(report["nll_by_component"].values()) == pytest.approx((total / frames).tolist(), rel=1e-5)


def test_measuring_moves_neither_the_mode_nor_the_random_numbers() -> None:
    policy = Policy(tiny_policy_config(dropout=0.5))
    bank = Bank([sample("a", 40)], FALCO)
    lanes = Lanes(bank, rows=1, window=8, delay=0, is_shuffled=False)
    before = torch.get_rng_state()
    reports = [evaluate_policy(policy, lanes, fit_persistence(bank, tuple(SIZES), 0), CPU) for _ in range(2)]
    assert reports[0] == reports[1]
    assert policy.training
    assert torch.equal(torch.get_rng_state(), before)


def test_a_run_is_measured_on_its_character_and_delay(run: Path, store: Path) -> None:
    report = evaluate(load_policy(run), store)
    assert (report["run"], report["split"], report["replays"]) == ("run", "test", 2)
    assert report["frames"] == 90 + 100 - 2
    with pytest.raises(
        ConfigError, match=r"^the val split needs replays with falco, found none .*train 3, val 0, test 2"
    ):
        evaluate(load_policy(run), write_store(run / "other", tiny_splits(val=0)), split="val")


def test_the_val_split_gives_what_training_reported(run: Path, store: Path) -> None:
    trained = json.loads((run / "metrics.jsonl").read_text())["val"]
    found = evaluate(load_policy(run), store, split="val")
    assert {name: found[name] for name in trained} == trained


def test_replays_that_a_run_trained_on_are_refused_and_counted(run: Path, store: Path) -> None:
    with pytest.raises(ConfigError, match=r"it trained on 3 of these 7; .* or add --allow-seen"):
        evaluate(load_policy(run), store, split="all")
    assert evaluate(load_policy(run), store, split="all", is_seen_allowed=True)["replays"] == 7


def test_an_unknown_split_lists_the_known_ones() -> None:
    assert parse_split("val") == "val"
    with pytest.raises(ConfigError, match="--split 'train': unknown; use one of val, test, all"):
        parse_split("train")


def test_a_run_is_also_measured_replay_by_replay(run: Path, store: Path) -> None:
    report = evaluate(load_policy(run), store)
    rows = report["per_replay"]
    assert (sorted(rows["ids"]), sorted(rows["frames"])) == (["test0", "test1"], [89, 99])
    for name, weight in WEIGHTS.items():
        if name in report:
            mean = sum(v * n for v, n in zip(rows[name], rows[weight], strict=True)) / sum(rows[weight])
            assert mean == pytest.approx(report[name])
            low, high = report["intervals"][name]
            assert low <= report[name] <= high


def test_the_lookup_stands_beside_a_run_and_how_far_the_run_is_from_it(run: Path, store: Path) -> None:
    report = evaluate(load_policy(run), store)
    assert set(report["lookup"]) == set(report["persistence"])
    assert (
        report["lookup_nll"]
        == report["lookup"]["nll"]
        == pytest.approx(sum(report["lookup"]["nll_by_component"].values()))
    )
    value, low, high = report["over_lookup"]["nll"]
    assert value == pytest.approx(report["nll"] - report["lookup_nll"])
    assert low <= value <= high
    assert report["persistence"]["stick_accuracy"] == 0.0
