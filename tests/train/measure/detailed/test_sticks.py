import math

import pytest
import torch

from tests.train.builders import CODEC
from train.measure.detailed.sticks import REGIONS, Sticks, region
from train.measure.scored_frames import Controls, score_frames
from train.policy.components import Components


def test_regions_are_rest_and_eight_directions_near_and_far() -> None:
    sticks = [(0.0, 0.0), (0.5, 0.0), (0.8, 0.0), (0.0, 0.9), (-0.5, 0.4), (-0.7, -0.7), (-1.0, 0.1), (0.6, -0.85)]
    assert [REGIONS[i] for i in region(torch.tensor(sticks)).tolist()] == [
        "rest",
        "right tilt",
        "right far",
        "up far",
        "up left tilt",
        "down left tilt",
        "left far",
        "down right far",
    ]


def test_sticks_are_counted_by_position_region_and_angle() -> None:
    components, controls = Components.of(CODEC), Controls.of(CODEC)
    rest = torch.from_numpy(CODEC.encode(torch.zeros(4, 6, dtype=torch.int32).numpy())).long()
    target, sampled, previous = rest.clone(), rest.clone(), rest.clone()
    target[:, 2:4] = torch.tensor([[8, 8], [16, 8], [16, 8], [8, 16]])  # rest, right, right, up
    sampled[:, 2:4] = torch.tensor([[8, 8], [16, 8], [0, 8], [16, 16]])  # rest, right, left, up right
    previous[1:3] = target[1:3]
    sticks = Sticks()
    logits = torch.zeros(4, components.num_columns)
    sticks.add(score_frames(logits[:2], sampled[:2], target[:2], previous[:2], components, controls))
    sticks.add(score_frames(logits[2:], sampled[2:], target[2:], previous[2:], components, controls))
    report = sticks.report()
    assert (report["rest_true"], report["rest_sampled"]) == (0.25, 0.25)
    assert report["angles"]["all"] == {
        "frames": 3,
        "mean_degrees": pytest.approx((0 + 180 + 45) / 3, abs=1e-4),
        "within_octant": pytest.approx(1 / 3),
    }
    assert report["angles"]["change"] == {
        "frames": 1,
        "mean_degrees": pytest.approx(45, abs=1e-4),
        "within_octant": 0.0,
    }
    counted = {
        (REGIONS[i], REGIONS[j]): count
        for i, row in enumerate(report["confusion"])
        for j, count in enumerate(row)
        if count
    }
    assert counted == {
        ("rest", "rest"): 1,
        ("right far", "right far"): 1,
        ("right far", "left far"): 1,
        ("up far", "up right far"): 1,
    }
    assert sum(true for *_, true, _ in report["points"]) == sum(sampled for *_, sampled in report["points"]) == 4
    assert all(math.hypot(x, y) <= math.sqrt(2) + 1e-6 for x, y, *_ in report["points"])
    assert [1.0, 0.0, 2.0, 1.0] in report["points"]
