import math

import pytest
import torch

from tests.train.measure.builders import COMPONENTS, CONTROLS, FRAMES, logits_of
from train.measure.grouped_metrics import GroupedMetrics
from train.measure.scored_frames import score_frames


def test_every_replay_has_its_own_means_over_all_batches() -> None:
    rows = GroupedMetrics(["x", "y", "z"], CONTROLS)
    logits = logits_of(FRAMES["shares"])
    target, previous = (torch.tensor(FRAMES[name]) for name in ("target", "previous"))
    for batch in (slice(0, 1), slice(1, 4)):
        classes, held = target[batch], previous[batch]
        scored = score_frames(logits[batch], classes, classes, held, COMPONENTS, CONTROLS)
        rows.add(scored, torch.tensor([0, 2, 0, 2])[batch])
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


def test_groups_have_means_of_their_own_and_empty_ones_are_left_out() -> None:
    target, previous = (torch.tensor(FRAMES[name]).long() for name in ("target", "previous"))
    scored = score_frames(logits_of(FRAMES["shares"]), target, target, previous, COMPONENTS, CONTROLS)
    lookup = score_frames(torch.zeros(4, 5), previous, target, previous, COMPONENTS, CONTROLS)
    groups = GroupedMetrics(("none", "even", "odd"), CONTROLS)
    groups.add(scored, torch.tensor([1, 2, 1, 2]), lookup)
    report = groups.by_name()
    nll = [-math.log(p) for p in (0.7 * 0.9, 0.3 * 0.6, 0.8 * 0.3, 0.5 * 0.2)]
    assert list(report) == ["even", "odd"]
    assert report["even"] == {
        "frames": 2,
        "share": 0.5,
        "nll": pytest.approx((nll[0] + nll[2]) / 2),
        "lookup_nll": pytest.approx(math.log(6)),
        "change_frames": 1,
        "change_nll": pytest.approx(nll[2]),
        "change_accuracy": pytest.approx(0.2),
        "stick_frames": 1,
        "stick_accuracy": 1.0,
    }
    assert (report["odd"]["change_frames"], report["odd"]["stick_frames"]) == (1, 0)
    groups.add(scored, torch.tensor([1, 2, 1, 2]))
    assert groups.by_name()["even"]["lookup_nll"] is None
