import math

import pytest
import torch

from tests.train.measure.builders import COMPONENTS, CONTROLS, FRAMES, logits_of
from train.measure.detailed.breakdown import Breakdown
from train.measure.detailed.calibration import Calibration
from train.measure.judged import judge, overall_weights


def test_groups_have_means_of_their_own_and_empty_ones_are_left_out() -> None:
    target, previous = (torch.tensor(FRAMES[name]).long() for name in ("target", "previous"))
    judged = judge(logits_of(FRAMES["shares"]), target, target, previous, COMPONENTS, CONTROLS)
    lookup = judge(torch.zeros(4, 5), previous, target, previous, COMPONENTS, CONTROLS)
    groups = Breakdown(("none", "even", "odd"), overall_weights(CONTROLS))
    groups.add(judged, lookup, torch.tensor([1, 2, 1, 2]))
    report = groups.report()
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
    groups.add(judged, None, torch.tensor([1, 2, 1, 2]))
    assert groups.report()["even"]["lookup_nll"] is None


def test_calibration_is_the_gap_between_what_is_said_and_what_comes_true_bin_by_bin() -> None:
    calibration = Calibration(("a", "b"))
    said = torch.tensor([[0.01, 0.9], [0.02, 0.9], [0.50, 0.9], [0.51, 0.9]])
    came = torch.tensor([[False, True], [True, True], [True, True], [True, False]])
    calibration.add(said[:1], came[:1])
    calibration.add(said[1:], came[1:])
    report = calibration.report()
    assert report["a"]["bins"] == [[2, pytest.approx(0.015), 0.5], [2, pytest.approx(0.505), 1.0]]
    assert report["a"]["ece"] == pytest.approx((2 * 0.485 + 2 * 0.495) / 4)
    assert report["b"] == {"ece": pytest.approx(0.15), "bins": [[4, pytest.approx(0.9), 0.75]]}
