"""Two processes that train together must come to what one alone comes to; they start as torchrun would start them."""

import json
import multiprocessing
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed import TCPStore

import train.fit.loop
from dataset.errors import ConfigError
from tests.train.builders import (
    tiny_config,
    tiny_data_config,
    tiny_optim_config,
    tiny_policy_config,
    tiny_splits,
    write_store,
)
from tests.train.fit.test_train_run import Losses, fit, metrics, weights
from train.config.run_config import RunConfig
from train.distributed import Ranks, joined

DEADLINE_SECONDS = 600

CONFIG = tiny_config(
    data=tiny_data_config(lanes=3),  # an odd lane: one rank has an idle one
    optim=tiny_optim_config(epochs=2, lr=0.01, ema_decay=0.9),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("store") / "store", tiny_splits())


@pytest.fixture(scope="module")
def alone(store: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float]]:
    """The runs folder of a process by itself, and its losses."""
    runs, seen, threads = tmp_path_factory.mktemp("alone"), Losses(), torch.get_num_threads()
    torch.set_num_threads(1)  # as the ranks do: sums over more threads round otherwise, and Adam makes much of little
    fit(store, runs, CONFIG, seen)
    torch.set_num_threads(threads)
    return runs, seen.losses


def train_rank(rank: int, port: int, store: Path, runs: Path, config: RunConfig, options: dict[str, Any]) -> None:
    """What one process does; the first leaves its losses beside the run."""
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_USE_AGENT_STORE": "True"}
    os.environ.update(address | {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"})
    torch.set_num_threads(1)
    if options.pop("breaks", None) == rank:
        calls = iter(range(100))
        loss = train.fit.loop.training_loss
        train.fit.loop.training_loss = lambda *given: loss(*given) if next(calls) < 3 else 1 / 0  # type: ignore[assignment]
    seen = Losses(options.pop("stop_after", None))
    fit(store, runs, config, seen, **options)
    if rank == 0:
        (runs / "losses.json").write_text(json.dumps(seen.losses))


def train_together(store: Path, runs: Path, config: RunConfig = CONFIG, **options: Any) -> list[int | None]:
    """The exit codes of two processes."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__])
    meeting = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    ranks = [
        processes.Process(target=train_rank, args=(rank, meeting.port, store, runs, config, options), daemon=True)
        for rank in range(2)
    ]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(DEADLINE_SECONDS)
    return [rank.exitcode for rank in ranks]


def losses_of(runs: Path) -> list[float]:
    losses: list[float] = json.loads((runs / "losses.json").read_text())
    return losses


def test_two_ranks_train_as_one_process_does(store: Path, tmp_path: Path, alone: tuple[Path, list[float]]) -> None:
    expected, losses = alone
    assert train_together(store, tmp_path) == [0, 0]
    assert losses_of(tmp_path) == pytest.approx(losses, rel=1e-4)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == sorted(
        path.name for path in (expected / "run").iterdir()
    )
    for ours, theirs in zip(metrics(tmp_path), metrics(expected), strict=True):
        assert (ours["epoch"], ours["frames"], ours["global_step"]) == (
            theirs["epoch"],
            theirs["frames"],
            theirs["global_step"],
        )
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-4)
        assert ours["val"]["nll"] == pytest.approx(theirs["val"]["nll"], rel=1e-4)
    for which in ("best", "last"):
        for name, tensor in weights(expected, which).items():
            assert torch.allclose(tensor, weights(tmp_path, which)[name], atol=1e-4), name


def test_ranks_stop_together_and_one_process_goes_on_with_their_run(
    store: Path, tmp_path: Path, alone: tuple[Path, list[float]]
) -> None:
    """Only the first rank is told to stop."""
    assert train_together(store, tmp_path, stop_after=4) == [0, 0]
    after = Losses()
    fit(store, tmp_path, CONFIG, after, is_resumed=True)
    assert len(losses_of(tmp_path)) == 4
    assert losses_of(tmp_path) + after.losses == pytest.approx(alone[1], rel=1e-4)


@pytest.mark.slow
def test_ranks_go_on_exactly_where_they_stopped_dropout_included(store: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, policy=tiny_policy_config(dropout=0.2, prev_dropout=0.2))
    assert train_together(store, tmp_path / "whole", config) == [0, 0]
    assert train_together(store, tmp_path / "parts", config, stop_after=4) == [0, 0]
    before = losses_of(tmp_path / "parts")
    assert train_together(store, tmp_path / "parts", config, is_resumed=True) == [0, 0]
    assert before + losses_of(tmp_path / "parts") == losses_of(tmp_path / "whole")
    assert metrics(tmp_path / "parts") == metrics(tmp_path / "whole")


def test_a_rank_that_fails_ends_the_others(store: Path, tmp_path: Path) -> None:
    codes = train_together(store, tmp_path, breaks=1)
    assert None not in codes
    assert 0 not in codes


def test_an_environment_that_torchrun_did_not_make_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    refused = pytest.raises(ConfigError, match="found no LOCAL_RANK, MASTER_ADDR, MASTER_PORT; start with torchrun")
    with refused, joined(torch.device("cpu")):
        pass


def test_a_rank_takes_its_rows_of_a_saved_state_and_begins_those_that_nobody_had() -> None:
    saved = (torch.arange(3.0).reshape(3, 1), (torch.arange(3),))
    fresh = (torch.full((2, 1), -1.0), (torch.full((2,), -1),))
    taken = [Ranks(rank, 2).own_rows(saved, fresh) for rank in range(2)]
    assert [[leaf.flatten().tolist() for leaf in (one, *rest)] for one, rest in taken] == [  # type: ignore[misc]
        [[0.0, 2.0], [0, 2]],
        [[1.0, -1.0], [1, -1]],
    ]
    assert torch.equal(Ranks().gather_rows(saved, 3)[0], saved[0])  # type: ignore[arg-type]
