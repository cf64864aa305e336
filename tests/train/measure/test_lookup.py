import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from dataset.errors import CheckpointError
from dataset.melee.ids import NUM_ACTION_STATES
from dataset.store.store import Store
from dataset.stream.bank import Bank
from tests.train.builders import FALCO, SIZES, sample, tiny_splits, write_store
from train.measure.lookup import (
    CLASS_PSEUDO_COUNT,
    OWN_STATE,
    STATE_PSEUDO_COUNT,
    Counts,
    Lookup,
    count_transitions,
    find_lookup,
)
from train.policy.components import Persistence, fit_persistence
from train.runs.checkpoint import load_policy
from train.runs.run_folder import LOOKUP

CPU = torch.device("cpu")
PERSISTENCE = Persistence(stay=(0.5, 0.8), changes=((0.25, 0.25, 0.5), (0.5, 0.5)))
SEEN = [(0, 14, 1, 2, 60), (0, 14, 1, 1, 30), (0, 20, 1, 1, 10), (1, 14, 0, 1, 5)]
"""(component, action state, previous class, class, frames)."""


def counts_of(rows: list[tuple[int, int, int, int, int]]) -> Counts:
    keys = [((k * NUM_ACTION_STATES + state) * 3 + held) * 3 + chosen for k, state, held, chosen, _ in sorted(rows)]
    return Counts(torch.tensor(keys), torch.tensor([row[-1] for row in sorted(rows)]))


def test_a_class_is_as_likely_as_it_was_often_in_that_action_state() -> None:
    lookup = Lookup(counts_of(SEEN), PERSISTENCE)
    log_shares = lookup.log_shares(torch.tensor([14, 20, 99]), torch.tensor([[1, 0]] * 3))
    held, pressed = torch.exp(-PERSISTENCE.nll_table())[0, 1], torch.exp(-PERSISTENCE.nll_table())[1, 0, :2]
    general = (torch.tensor([0.0, 40.0, 60.0]) + CLASS_PSEUDO_COUNT * held) / (100 + CLASS_PSEUDO_COUNT)
    presses = (torch.tensor([0.0, 5.0]) + CLASS_PSEUDO_COUNT * pressed) / (5 + CLASS_PSEUDO_COUNT)
    weight = STATE_PSEUDO_COUNT
    expected = [
        [
            *((torch.tensor([0.0, 30.0, 60.0]) + weight * general) / (90 + weight)).tolist(),
            *((torch.tensor([0.0, 5.0]) + weight * presses) / (5 + weight)).tolist(),
        ],
        [*((torch.tensor([0.0, 10.0, 0.0]) + weight * general) / (10 + weight)).tolist(), *presses.tolist()],
        [*general.tolist(), *presses.tolist()],
    ]
    assert log_shares.exp().tolist() == [pytest.approx(row, rel=1e-5) for row in expected]


def test_every_component_has_probabilities_that_sum_to_one() -> None:
    bank = Bank([sample("r", 400)], FALCO)
    lookup = Lookup(count_transitions(bank, tuple(SIZES), 0), fit_persistence(bank, tuple(SIZES), 0))
    rows = bank.open(bank.tracks[0], 0)
    parts = lookup.logits(rows).exp().split(SIZES, dim=1)
    assert all(torch.allclose(part.sum(dim=1), torch.ones(399), atol=1e-5) for part in parts)


def test_counting_sees_each_imitated_frame_once_whatever_the_order() -> None:
    bank = Bank([sample("a", 61), sample("b", 80)], FALCO)
    counts = count_transitions(bank, tuple(SIZES), delay=2)
    naive: dict[int, int] = {}
    for track in bank.tracks:
        rows = bank.open(track, 2)
        for t in np.flatnonzero(rows.mask):
            for k in range(len(SIZES)):
                state = int(rows.indices[t, OWN_STATE])
                key = ((k * NUM_ACTION_STATES + state) * 17 + int(rows.previous[t, k])) * 17 + int(rows.target[t, k])
                naive[key] = naive.get(key, 0) + 1
    assert dict(zip(counts.keys.tolist(), counts.counts.tolist(), strict=True)) == naive
    assert counts.keys.tolist() == sorted(naive)


def test_counts_survive_their_file(tmp_path: Path) -> None:
    counts = counts_of(SEEN)
    counts.save(tmp_path / "lookup.safetensors")
    loaded = Counts.load(tmp_path / "lookup.safetensors", tuple(SIZES))
    assert (loaded.keys.tolist(), loaded.counts.tolist()) == (counts.keys.tolist(), counts.counts.tolist())
    (tmp_path / "lookup.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="must hold a lookup's counts"):
        Counts.load(tmp_path / "lookup.safetensors", tuple(SIZES))


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
