import numpy as np
import pytest
import torch

from dataset.codecs.registry import CODECS, get_codec
from dataset.melee.controller import CONTROLS, controller_floats
from train.measure.scored_frames import Controls
from train.policy.components import Components


def test_each_control_of_axis17_is_a_component_of_its_own() -> None:
    assert Controls.of(get_codec("axis17")).owners == tuple(range(13))


def test_sticks_and_button_mask_of_joint_set_several_controls() -> None:
    assert Controls.of(get_codec("joint")).owners == (0, 0, 1, 1, 2, *(3,) * 8)


@pytest.mark.parametrize("name", CODECS)
def test_controls_of_classes_are_what_they_decode_to(name: str) -> None:
    codec = CODECS[name]
    random = np.random.default_rng(0)
    classes = np.stack([random.integers(0, size, 3000) for _, size in codec.components], axis=-1).astype(np.uint8)
    found = Controls.of(codec).of_classes(torch.from_numpy(classes).long()).numpy()
    expected = controller_floats(codec.decode(classes))
    pressed_too = np.isin(CONTROLS, ["trigger"])  # L, R and Z move it as well
    assert np.array_equal(found[:, ~pressed_too], expected[:, ~pressed_too])
    alone = (expected[:, [CONTROLS.index(button) for button in ("z", "l", "r")]] == 0).all(axis=1)
    assert np.array_equal(found[alone], expected[alone])


@pytest.mark.parametrize("name", CODECS)
def test_a_button_is_as_likely_as_the_classes_that_press_it(name: str) -> None:
    codec = CODECS[name]
    components, controls = Components.of(codec), Controls.of(codec)
    logits = torch.randn(50, components.num_columns, generator=torch.Generator().manual_seed(0))
    shares = torch.cat([group.of(logits).softmax(dim=-1).flatten(1) for group in components.groups], dim=1)
    x = controls.pressed(shares)[:, 2]
    if name == "axis17":
        assert torch.allclose(x, shares[:, -8 * 2 + 2 * 2 + 1])
    else:
        assert torch.allclose(x, shares[:, -256:].view(50, 32, 2, 4)[:, :, 1].sum(dim=(1, 2)), atol=1e-6)


def test_components_know_which_classes_press_a_button() -> None:
    axis17, joint = (Components.of(get_codec(name)) for name in ("axis17", "joint"))
    assert axis17.are_buttons == (False,) * 5 + (True,) * 8
    assert axis17.presses[5] == (False, True)
    assert joint.are_buttons == (False, False, False, True)
    assert joint.presses[3] == (False, *(True,) * 255)
    assert [(group.count, group.size) for group in axis17.groups] == [(4, 17), (1, 5), (8, 2)]
