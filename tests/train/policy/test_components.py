import math

import numpy as np
import torch

from dataset.stream.bank import Bank
from tests.train.builders import FALCO, SIZES, sample
from train.policy.components import Persistence, fit_persistence


def test_a_fit_counts_stays_and_where_changes_go() -> None:
    replay = sample("r", 61, jump_every=1000)
    replay.classes[0, 2] = np.tile([8, 8, 8, 9, 8, 16], 11)[:61]
    fitted = fit_persistence(Bank([replay], FALCO), tuple(SIZES), delay=0)
    # 60 targets; each run of six has two stays, then changes to 9, 8, 16 and back to 8
    assert math.isclose(fitted.stay[2], (20 + 1) / (60 + 2))
    assert math.isclose(fitted.changes[2][8], (20 + 1) / (40 + 17))
    assert math.isclose(fitted.changes[2][9], (10 + 1) / (40 + 17))
    assert math.isclose(fitted.changes[2][0], 1 / (40 + 17))
    assert math.isclose(fitted.stay[0], (60 + 1) / (60 + 2))


def test_the_distribution_after_each_class_sums_to_one() -> None:
    fitted = fit_persistence(Bank([sample("r", 200)], FALCO), tuple(SIZES), delay=0)
    shares = torch.exp(-fitted.nll_table())
    for k, size in enumerate(SIZES):
        own = shares[k, :size, :size]
        assert torch.allclose(own.sum(dim=1), torch.ones(size), atol=1e-5)
        assert torch.allclose(own.diagonal(), torch.full((size,), fitted.stay[k]))


def test_a_fit_survives_json() -> None:
    fitted = fit_persistence(Bank([sample("r", 50)], FALCO), tuple(SIZES), delay=0)
    assert Persistence.from_json(fitted.to_json(), [len(shares) for shares in fitted.changes]) == fitted
