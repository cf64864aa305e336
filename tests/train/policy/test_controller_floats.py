import numpy as np
import pytest
import torch

from dataset.codecs.registry import CODECS
from dataset.melee.controller import controller_floats
from train.policy.controller_floats import ControllerFloats


@pytest.mark.parametrize("name", CODECS)
def test_the_floats_are_those_of_the_controller_that_play_would_send(name: str) -> None:
    codec = CODECS[name]
    random = np.random.default_rng(3)
    classes = np.stack([random.integers(0, size, 20_000) for _, size in codec.components], axis=-1).astype(np.uint8)
    found = ControllerFloats(codec)(torch.from_numpy(classes.reshape(200, 100, -1)))
    assert torch.equal(found.flatten(0, 1), torch.from_numpy(controller_floats(codec.decode(classes))))


def test_the_table_holds_no_weights_and_stays_out_of_checkpoints() -> None:
    assert list(ControllerFloats(CODECS["axis17"]).state_dict()) == []


@pytest.mark.parametrize("name", CODECS)
def test_half_precision_does_not_reach_the_look_up(name: str) -> None:
    """bfloat16 holds no whole number above 256 exactly, and joint has places up to 6,400."""
    codec = CODECS[name]
    random = np.random.default_rng(4)
    classes = np.stack([random.integers(0, size, 5_000) for _, size in codec.components], axis=-1).astype(np.uint8)
    with torch.autocast("cpu", torch.bfloat16):
        found = ControllerFloats(codec)(torch.from_numpy(classes))
    assert torch.equal(found, torch.from_numpy(controller_floats(codec.decode(classes))))
