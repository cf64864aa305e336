import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dataset.errors import CheckpointError, ConfigError, ExphilError, SchemaError
from dataset.features.layout import FEATURES
from tests.train.builders import (
    tiny_config,
    tiny_data_config,
    tiny_optim_config,
    tiny_policy_config,
    tiny_splits,
    write_store,
)
from train.callbacks import Callback, Step
from train.config.run_config import RunConfig
from train.data import batches
from train.export.folded_step import leaves_of
from train.fit.optim import training_loss
from train.fit.train_run import find_device, interruptions, train_run
from train.policy.config import BACKBONES
from train.runs.checkpoint import load_policy, load_state


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("store") / "store", tiny_splits())


class Losses(Callback):
    """Keeps every loss, and interrupts the process after ``stop_after`` steps."""

    def __init__(self, stop_after: int | None = None, number: int = signal.SIGTERM) -> None:
        self.losses: list[float] = []
        self.notes: list[str] = []
        self.records: list[Any] = []
        self._stop_after, self._number = stop_after, number

    def on_note(self, note: str) -> None:
        self.notes.append(note)

    def on_step(self, step: Step) -> None:
        self.losses.append(step.loss)
        if step.global_step == self._stop_after:
            os.kill(os.getpid(), self._number)

    def on_epoch(self, record: Any) -> None:
        self.records.append(record)


def fit(store: Path, runs: Path, config: RunConfig, callback: Callback, **options: Any) -> dict[str, Any]:
    return train_run(config, store, "run", runs=runs, callbacks=[callback], **options)


def metrics(runs: Path) -> list[Any]:
    timed = ("frames_per_second", "cpu_seconds", "loader_share")
    lines = (runs / "run" / "metrics.jsonl").read_text().splitlines()
    return [{name: value for name, value in json.loads(line).items() if name not in timed} for line in lines]


def weights(runs: Path, which: str) -> dict[str, torch.Tensor]:
    return load_policy(runs / "run" / f"{which}.safetensors").policy.state_dict()


@pytest.mark.parametrize("backbone", ["mlp", "gru"])
def test_a_run_learns_and_leaves_a_folder_that_rebuilds_its_policy(store: Path, tmp_path: Path, backbone: str) -> None:
    policy = tiny_policy_config(backbone=backbone, hidden_sizes=(64, 64))  # enough for an mlp to learn by heart
    config = tiny_config(policy=policy, optim=tiny_optim_config(epochs=5, lr=0.01))
    seen = Losses()
    summary = fit(store, tmp_path, config, seen)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "best.safetensors",
        "config.json",
        "last.safetensors",
        "last.state.pt",
        "lookup.safetensors",
        "metrics.jsonl",
    ]
    assert seen.losses[-1] < seen.losses[0] * 0.7
    assert [record["epoch"] for record in metrics(tmp_path)] == [0, 1, 2, 3, 4]
    best = min(metrics(tmp_path), key=lambda record: record["val"]["nll"])
    assert (summary["val_nll"], summary["best_epoch"]) == (best["val"]["nll"], best["epoch"] + 1)
    assert summary["persistence_nll"] == best["val"]["persistence_nll"]
    loaded = load_policy(tmp_path / "run")
    assert (loaded.config, loaded.delay) == (config, 0)
    assert loaded.record["data"]["manifest_digest"] == "d" * 32
    assert loaded.record["data"]["train"]["ids"] == ["train0", "train1", "train2"]
    assert loaded.record["parameters"] == sum(p.numel() for p in loaded.policy.parameters())


def test_a_run_ends_at_its_last_step_even_inside_an_epoch_and_is_validated_there(store: Path, tmp_path: Path) -> None:
    """An epoch has 15 steps here."""
    config = tiny_config(optim=tiny_optim_config(epochs=2, max_steps=20, lr=0.01))
    whole, before, after = Losses(), Losses(stop_after=17), Losses()
    expected = fit(store, tmp_path / "whole", config, whole)
    assert (len(whole.losses), expected["epochs"], expected["is_interrupted"]) == (20, 2, False)
    assert [record["global_step"] for record in metrics(tmp_path / "whole")] == [15, 20]
    assert fit(store, tmp_path / "parts", config, before)["is_interrupted"]
    assert not fit(store, tmp_path / "parts", config, after, is_resumed=True)["is_interrupted"]
    assert before.losses + after.losses == whole.losses
    assert metrics(tmp_path / "parts") == metrics(tmp_path / "whole")
    assert not fit(store, tmp_path / "whole", config, Losses(), is_resumed=True)["is_interrupted"]
    assert [record["global_step"] for record in metrics(tmp_path / "whole")] == [15, 20]
    too_long = tiny_config(optim=tiny_optim_config(epochs=1, max_steps=16))
    with pytest.raises(ConfigError, match="--max-steps 16: must be at most the 15 steps of --epochs 1"):
        fit(store, tmp_path / "long", too_long, Losses())


AVERAGED = tiny_optim_config(epochs=2, lr=0.01, ema_decay=0.9)


def eventful(backbone: str) -> RunConfig:
    """A run of two epochs of 15 steps with whatever must go on as it was: dropout, averaged weights, a schedule."""
    return tiny_config(policy=tiny_policy_config(backbone=backbone, dropout=0.2, prev_dropout=0.2), optim=AVERAGED)


@dataclass(frozen=True)
class Whole:
    """A run that nothing stopped: its runs folder, losses and summary."""

    runs: Path
    losses: list[float]
    summary: dict[str, Any]


@pytest.fixture(scope="module")
def whole(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Whole]:
    """Trains an eventful run once, by its backbone and the run whose weights it begins with."""

    @cache
    def trained(backbone: str, init_from: Path | None = None) -> Whole:
        runs, seen = tmp_path_factory.mktemp(backbone), Losses()
        summary = fit(store, runs, eventful(backbone), seen, init_from=init_from)
        return Whole(runs, seen.losses, summary)

    return trained


@pytest.mark.parametrize(
    ("backbone", "stop_after"),
    [*(("gru", steps) for steps in (1, 14, 15, 16, 29)), *((name, 17) for name in BACKBONES)],
)
def test_a_stopped_run_goes_on_as_if_it_had_not_been(
    store: Path, tmp_path: Path, whole: Callable[..., Whole], backbone: str, stop_after: int
) -> None:
    """Runs stop inside epochs and between them."""
    before, after, expected = Losses(stop_after), Losses(), whole(backbone)
    assert len(expected.losses) == 30
    stopped = fit(store, tmp_path, eventful(backbone), before)
    assert stopped["is_interrupted"]
    summary = fit(store, tmp_path, eventful(backbone), after, is_resumed=True)
    assert not summary["is_interrupted"]
    assert before.losses + after.losses == expected.losses
    assert metrics(tmp_path) == metrics(expected.runs)
    assert summary["val_nll"] == expected.summary["val_nll"]
    for which in ("best", "last"):
        for name, tensor in weights(expected.runs, which).items():
            assert torch.equal(tensor, weights(tmp_path, which)[name])


@pytest.mark.parametrize(("num_workers", "is_ahead"), [(0, False), (1, True)])
def test_batches_are_made_ahead_by_a_thread_or_by_training_itself(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_workers: int, is_ahead: bool
) -> None:
    seen: set[str] = set()

    def to_tensors(*given: Any) -> Any:
        seen.add(threading.current_thread().name)
        return batches.to_tensors(*given)

    monkeypatch.setattr("train.fit.loop.to_tensors", to_tensors)
    fit(store, tmp_path, tiny_config(), Losses(), num_workers=num_workers)
    assert seen == {"prefetch" if is_ahead else threading.current_thread().name}


def fit_on_threads(num_threads: int, *given: Any, **options: Any) -> None:
    """Sums come out otherwise on another number of threads, and a new process has its own."""
    torch.set_num_threads(num_threads)
    fit(*given, **options)


@pytest.mark.parametrize("killed_after", [1, 20])
def test_a_killed_run_goes_on_from_its_last_checkpoint_also_before_its_first_epoch_ends(
    store: Path, tmp_path: Path, whole: Callable[..., Whole], killed_after: int
) -> None:
    """The run begins with the weights of another, which only its own folder still tells."""
    options = {"init_from": whole("gru").runs / "run"}
    expected, after = whole("gru", **options), Losses()
    given = (torch.get_num_threads(), store, tmp_path, eventful("gru"), Losses(killed_after, signal.SIGKILL))
    training = multiprocessing.get_context("forkserver").Process(target=fit_on_threads, args=given, kwargs=options)
    training.start()
    training.join()
    assert training.exitcode == -signal.SIGKILL
    fit(store, tmp_path, eventful("gru"), after, is_resumed=True)
    assert after.losses == expected.losses[killed_after // 15 * 15 :]
    assert metrics(tmp_path) == metrics(expected.runs)
    for name, tensor in weights(expected.runs, "best").items():
        assert torch.equal(tensor, weights(tmp_path, "best")[name])


def test_the_averaged_weights_are_validated_and_saved_and_the_others_trained(store: Path, tmp_path: Path) -> None:
    plain, averaged = Losses(), Losses()
    fit(store, tmp_path / "plain", tiny_config(optim=replace(AVERAGED, ema_decay=0.0)), plain)
    fit(store, tmp_path / "averaged", tiny_config(optim=AVERAGED), averaged)
    assert averaged.losses == plain.losses
    assert averaged.records[0]["val"]["nll"] != plain.records[0]["val"]["nll"]
    saved = load_state(tmp_path / "averaged" / "run" / "last.state.pt")
    assert any(not torch.equal(saved["ema"][name], tensor) for name, tensor in saved["policy"].items())
    for name, tensor in weights(tmp_path / "averaged", "last").items():
        assert torch.equal(tensor, saved["ema"][name])
    for name, tensor in weights(tmp_path / "plain", "last").items():
        assert torch.equal(tensor, saved["policy"][name])


def test_metrics_of_an_epoch_whose_state_was_never_saved_are_dropped(store: Path, tmp_path: Path) -> None:
    fit(store, tmp_path, tiny_config(), Losses(stop_after=20))
    path = tmp_path / "run" / "metrics.jsonl"
    path.write_text(path.read_text() + path.read_text().replace('"epoch": 0', '"epoch": 1') + '{"epoch": 2, "glo')
    fit(store, tmp_path, tiny_config(), Losses(), is_resumed=True)
    assert [record["epoch"] for record in metrics(tmp_path)] == [0, 1, 2]


def test_the_state_is_carried_from_window_to_window(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", tiny_splits(train=1))
    losses: list[float] = []
    for window in (10, 90):
        seen = Losses()
        config = tiny_config(
            data=tiny_data_config(lanes=1, window_size=window), optim=tiny_optim_config(epochs=1, lr=1e-12)
        )
        fit(store, tmp_path / str(window), config, seen)
        losses.append(seen.records[0]["train_loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_resuming_refuses_other_settings_and_other_replays(store: Path, tmp_path: Path) -> None:
    config = tiny_config()
    fit(store, tmp_path, config, Losses(stop_after=3))
    other = replace(config, optim=replace(config.optim, lr=0.02), seed=4)
    with pytest.raises(ConfigError, match=r"found other optim\.lr, seed; give the same"):
        fit(store, tmp_path, other, Losses(), is_resumed=True)
    grown = write_store(tmp_path / "grown", tiny_splits(train=4))
    with pytest.raises(ConfigError, match="found other data; give the same"):
        fit(grown, tmp_path, config, Losses(), is_resumed=True)


def test_a_run_is_never_overwritten_and_only_a_begun_one_is_resumed(store: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--resume needs a run that was begun"):
        fit(store, tmp_path, tiny_config(), Losses(), is_resumed=True)
    fit(store, tmp_path, tiny_config(), Losses(stop_after=1))
    with pytest.raises(ConfigError, match="a new run needs a name of its own"):
        fit(store, tmp_path, tiny_config(), Losses())
    (tmp_path / "run" / "metrics.jsonl").write_bytes(b"\xff")
    with pytest.raises(CheckpointError, match=r"metrics\.jsonl: must hold what exphil train wrote"):
        fit(store, tmp_path, tiny_config(), Losses(), is_resumed=True)
    (tmp_path / "run" / "last.state.pt").unlink()
    with pytest.raises(CheckpointError, match="--resume continues from it"):
        fit(store, tmp_path, tiny_config(), Losses(), is_resumed=True)


def test_early_stopping_ends_a_run_that_no_longer_gets_better(store: Path, tmp_path: Path) -> None:
    wild = tiny_optim_config(epochs=30, lr=0.5, lr_schedule="constant", early_stopping=True, patience=2)
    seen = Losses()
    summary = fit(store, tmp_path, tiny_config(optim=wild), seen)
    assert summary["is_early_stopped"]
    assert not summary["is_interrupted"]
    assert len(seen.records) == summary["best_epoch"] + 2 < 30
    again = fit(store, tmp_path, tiny_config(optim=wild), Losses(), is_resumed=True)
    assert (again["epochs"], again["is_early_stopped"]) == (summary["epochs"], True)


def test_a_loss_that_is_not_finite_names_its_step(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = iter(range(100))

    def broken(*args: Any) -> torch.Tensor:
        return training_loss(*args) * (float("nan") if next(calls) == 6 else 1.0)

    monkeypatch.setattr("train.fit.loop.training_loss", broken)
    found = r"step 7: the loss must be finite, found nan and finite features, so the policy has overflowed; its batches"
    with pytest.raises(ExphilError, match=found):
        fit(store, tmp_path, tiny_config(), Losses())
    kept = load_state(tmp_path / "run" / "bad-batch.pt")
    assert (kept["step"], len(kept["batches"])) == (7, 1)
    assert kept["batches"][0]["target"].shape == (2, 10, 13)


def test_a_loss_that_is_not_finite_is_traced_to_a_feature(tmp_path: Path) -> None:
    splits = tiny_splits()
    for one in splits["train"]:
        one.encoded.continuous[3, 20] = np.nan
    store = write_store(tmp_path / "store", splits)
    with pytest.raises(ExphilError, match=f"found nan and non-finite features {FEATURES[3].name};"):
        fit(store, tmp_path / "runs", tiny_config(), Losses())


def test_batches_whose_gradients_make_one_step_are_one_large_batch(tmp_path: Path) -> None:
    """Two windows of ten frames are one of twenty to a policy that sees single frames."""
    store = write_store(tmp_path / "store", tiny_splits(train=1, num_frames=100))
    seen: list[list[float]] = []
    for every, window in ((1, 20), (2, 10)):
        one = Losses()
        config = tiny_config(
            policy=tiny_policy_config(backbone="mlp"),
            data=tiny_data_config(lanes=1, window_size=window),
            optim=tiny_optim_config(epochs=2, lr=0.01, grad_accumulation=every),
        )
        fit(store, tmp_path / str(every), config, one)
        seen.append(one.losses)
    assert seen[0] == pytest.approx(seen[1], rel=1e-4)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_bf16_trains_nearly_as_fp32_does_and_keeps_weights_and_state_in_fp32(
    store: Path, tmp_path: Path, backbone: str
) -> None:
    losses: list[list[float]] = []
    for precision in ("fp32", "bf16"):
        seen = Losses(stop_after=8)
        optim = tiny_optim_config(epochs=1, lr=0.01, precision=precision)
        fit(store, tmp_path / precision, tiny_config(policy=tiny_policy_config(backbone=backbone), optim=optim), seen)
        losses.append(seen.losses)
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)
    saved = load_state(tmp_path / "bf16" / "run" / "last.state.pt")
    tensors = [*saved["policy"].values(), *leaves_of(saved["lanes"])]
    assert {tensor.dtype for tensor in tensors if tensor.is_floating_point()} == {torch.float32}


def test_misaligned_data_aborts_before_the_run_folder_is_made(tmp_path: Path) -> None:
    splits = tiny_splits(num_frames=5000)
    for one in splits["train"]:
        one.classes[:] = np.roll(one.classes, 1, axis=2)
    with pytest.raises(SchemaError, match="leak check"):
        fit(write_store(tmp_path / "store", splits), tmp_path / "runs", tiny_config(), Losses())
    assert not (tmp_path / "runs").exists()


def test_tiny_data_is_trained_on_and_said_to_be_unchecked(store: Path, tmp_path: Path) -> None:
    seen = Losses(stop_after=1)
    fit(store, tmp_path, tiny_config(), seen)
    assert len(seen.notes) == 1
    assert "too few jumps" in seen.notes[0]


def test_training_begins_at_persistence(store: Path, tmp_path: Path) -> None:
    summary = fit(store, tmp_path, tiny_config(optim=tiny_optim_config(epochs=1, lr=1e-9)), Losses())
    assert summary["val_nll"] == pytest.approx(summary["persistence_nll"], rel=0.2)  # of 18.5 nats at uniform


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_without_the_character_is_refused(tmp_path: Path, split: str) -> None:
    store = write_store(tmp_path / "store", tiny_splits(**{split: 0}))
    with pytest.raises(
        ConfigError,
        match=f"the {split} split needs replays with falco, found none among its 0; ingest more replays, say 20",
    ):
        fit(store, tmp_path / "runs", tiny_config(), Losses())
    with pytest.raises(ConfigError, match="needs replays with mewtwo, found none"):
        fit(store, tmp_path / "runs", tiny_config(data=tiny_data_config(character="mewtwo")), Losses())


BASE = tiny_config(optim=tiny_optim_config(epochs=1, lr=0.01, weight_decay=0.01), data=tiny_data_config())


def test_the_same_config_trains_the_same(store: Path, tmp_path: Path) -> None:
    first, second = Losses(), Losses()
    fit(store, tmp_path / "first", BASE, first)
    fit(store, tmp_path / "second", BASE, second)
    assert first.losses == second.losses


def test_a_second_signal_acts_as_it_always_does() -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        with interruptions() as is_stopped:
            assert not is_stopped()
            os.kill(os.getpid(), signal.SIGTERM)
            assert is_stopped()
            assert received == []
            os.kill(os.getpid(), signal.SIGTERM)
            assert received == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_unknown_or_absent_device_is_refused() -> None:
    with pytest.raises(ConfigError, match="--device 'tpu': unknown; use one of auto, cpu, cuda"):
        find_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="--device cuda: needs a CUDA device"):
            find_device("cuda")


def test_a_saved_state_is_plain_values_and_tensors(store: Path, tmp_path: Path) -> None:
    fit(store, tmp_path, tiny_config(), Losses(stop_after=2))
    state = load_state(tmp_path / "run" / "last.state.pt")
    assert sorted(state) == ["cuda_rng", "ema", "lanes", "optimizer", "policy", "position", "rng"]
    assert (state["position"]["epoch"], state["position"]["step"]) == (0, 2)
