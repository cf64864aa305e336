import shutil
from pathlib import Path

import torch

from dataset.store.store import Store
from tests.train.builders import tiny_splits, write_store
from train.measure.run_lookup import find_lookup
from train.runs.checkpoint import load_policy
from train.runs.run_folder import LOOKUP

CPU = torch.device("cpu")


def test_a_run_keeps_its_lookup_and_an_older_one_gets_the_same_from_its_store(
    run: Path, store: Path, tmp_path: Path
) -> None:
    older = shutil.copytree(run, tmp_path / "older")
    (older / LOOKUP).unlink()
    states, previous = torch.arange(20), torch.zeros(20, 13, dtype=torch.int64)
    found = [find_lookup(load_policy(folder), Store(store), CPU) for folder in (run, older)]
    shares = [lookup.log_shares(states, previous) for lookup in found if lookup is not None]
    assert len(shares) == 2
    assert torch.equal(*shares)


def test_an_older_run_has_no_lookup_on_replays_from_elsewhere(run: Path, tmp_path: Path) -> None:
    older = shutil.copytree(run, tmp_path / "older")
    (older / LOOKUP).unlink()
    elsewhere = write_store(tmp_path / "elsewhere", tiny_splits(train=1))
    assert find_lookup(load_policy(older), Store(elsewhere), CPU) is None
