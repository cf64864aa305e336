import math

import pytest
import torch

from tests.train.measure.builders import COMPONENTS, CONTROLS
from train.measure.judged import judge
from train.measure.per_replay import PerReplay


def test_every_replay_has_its_own_means_over_all_batches() -> None:
    rows = PerReplay(["x", "y", "z"], CONTROLS)
    shares = [
        [0.7, 0.2, 0.1, 0.9, 0.1],
        [0.6, 0.3, 0.1, 0.4, 0.6],
        [0.1, 0.1, 0.8, 0.3, 0.7],
        [0.5, 0.4, 0.1, 0.8, 0.2],
    ]
    target, previous = [[0, 0], [1, 1], [2, 0], [0, 1]], [[0, 0], [1, 1], [1, 0], [0, 0]]
    for batch in (slice(0, 1), slice(1, 4)):
        classes, held = torch.tensor(target)[batch], torch.tensor(previous)[batch]
        judged = judge(torch.tensor(shares)[batch].log(), classes, classes, held, COMPONENTS, CONTROLS)
        rows.add(judged, torch.tensor([0, 2, 0, 2])[batch])
    nll = [-math.log(p) for p in (0.7 * 0.9, 0.3 * 0.6, 0.8 * 0.3, 0.5 * 0.2)]
    accuracy = [0.5, 0.3, 0.2, 0.2]  # main_x counts 0.2, the one button 0.3
    assert rows.report() == {
        "ids": ["x", "y", "z"],
        "frames": [2, 0, 2],
        "nll": pytest.approx([(nll[0] + nll[2]) / 2, 0.0, (nll[1] + nll[3]) / 2]),
        "accuracy": pytest.approx([(accuracy[0] + accuracy[2]) / 2, 0.0, (accuracy[1] + accuracy[3]) / 2]),
        "change_frames": [1, 0, 1],
        "change_nll": pytest.approx([nll[2], 0.0, nll[3]]),
        "change_accuracy": pytest.approx([accuracy[2], 0.0, accuracy[3]]),
        "stick_frames": [1, 0, 0],
        "stick_accuracy": [1.0, 0.0, 0.0],
    }
