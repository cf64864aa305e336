import pytest
import torch

from dataset.codecs.registry import get_codec
from tests.train.builders import CODEC, SIZES
from train.config.run_config import LossConfig
from train.fit.optim import training_loss
from train.policy.components import Components, component_nll

COMPONENTS = Components.of(CODEC)


def some_frames() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(2, 5, sum(SIZES), generator=generator, dtype=torch.float64) * 3
    target = torch.stack([torch.randint(0, n, (2, 5), generator=generator) for n in SIZES], dim=-1)
    return logits, target.to(torch.uint8)


def test_the_nll_of_a_component_is_that_of_its_own_columns() -> None:
    logits, target = some_frames()
    nll = component_nll(logits, target, COMPONENTS)
    assert nll.dtype == torch.float32
    for k, column in enumerate(COMPONENTS.columns):
        own = logits[..., column : column + SIZES[k]].log_softmax(dim=-1)
        expected = -own.gather(-1, target[..., k : k + 1].long())[..., 0]
        assert torch.allclose(nll[..., k], expected.float(), atol=1e-5)


def test_the_loss_sums_components_and_averages_over_frames_that_count() -> None:
    logits, target = some_frames()
    mask = torch.tensor([[True, True, False, True, False], [False] * 5])
    expected = component_nll(logits, target, COMPONENTS).sum(dim=-1)[mask].mean()
    assert torch.allclose(training_loss(logits, target, mask, COMPONENTS, LossConfig()), expected)
    assert training_loss(logits, target, torch.zeros_like(mask), COMPONENTS, LossConfig()) == 0


def test_label_smoothing_spreads_sticks_and_trigger_and_leaves_buttons_alone() -> None:
    logits, target = some_frames()
    plain = component_nll(logits, target, COMPONENTS)
    smooth = component_nll(logits, target, COMPONENTS, label_smoothing=0.1)
    for k, column in enumerate(COMPONENTS.columns):
        own = -logits[..., column : column + SIZES[k]].log_softmax(dim=-1).float()
        expected = plain[..., k] if SIZES[k] == 2 else 0.9 * plain[..., k] + 0.1 * own.mean(dim=-1)
        assert torch.allclose(smooth[..., k], expected, atol=1e-5)


def test_the_focal_loss_weighs_each_decision_by_its_doubt() -> None:
    logits, target = some_frames()
    mask = torch.ones(2, 5, dtype=torch.bool)
    nll = component_nll(logits, target, COMPONENTS)
    expected = (nll * (1 - torch.exp(-nll)) ** 2).sum(dim=-1).mean()
    assert torch.allclose(training_loss(logits, target, mask, COMPONENTS, LossConfig(focal_gamma=2.0)), expected)


def test_the_doubt_of_the_focal_loss_is_that_of_the_true_class_whatever_is_smoothed() -> None:
    logits, target = some_frames()
    mask = torch.ones(2, 5, dtype=torch.bool)
    smooth = component_nll(logits, target, COMPONENTS, label_smoothing=0.1)
    expected = (smooth * (1 - torch.exp(-component_nll(logits, target, COMPONENTS))) ** 2).sum(dim=-1).mean()
    config = LossConfig(focal_gamma=2.0, label_smoothing=0.1)
    assert torch.allclose(training_loss(logits, target, mask, COMPONENTS, config), expected)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_the_focal_loss_stays_finite_where_the_policy_is_certain(gamma: float) -> None:
    target = torch.zeros(1, 1, 13, dtype=torch.uint8)
    for certain in (120.0, -120.0):
        logits = torch.zeros(1, 1, sum(SIZES), requires_grad=True)
        pushed = logits + certain * torch.nn.functional.one_hot(torch.tensor(COMPONENTS.columns), sum(SIZES)).sum(0)
        mask = torch.ones(1, 1, dtype=torch.bool)
        loss = training_loss(pushed, target, mask, COMPONENTS, LossConfig(focal_gamma=gamma))
        loss.backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        assert torch.isfinite(loss)
        assert torch.isfinite(logits.grad).all()


def test_the_button_weight_counts_presses_and_nothing_else() -> None:
    logits, target = some_frames()
    mask = torch.ones(2, 5, dtype=torch.bool)
    nll = component_nll(logits, target, COMPONENTS)
    weight = torch.ones_like(nll)
    weight[..., 5:] += 2.0 * (target[..., 5:] == 1)
    expected = (nll * weight).sum(dim=-1).mean()
    assert torch.allclose(training_loss(logits, target, mask, COMPONENTS, LossConfig(button_pos_weight=3.0)), expected)


JOINT = Components.of(get_codec("joint"))


def joint_frames() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(6, JOINT.num_columns, generator=generator)
    target = torch.stack([torch.randint(0, n, (6,), generator=generator) for n in JOINT.sizes], dim=-1)
    target[:3, 3] = 0  # nothing pressed
    return logits, target


def test_label_smoothing_leaves_a_mask_of_buttons_alone() -> None:
    logits, target = joint_frames()
    plain, smooth = (component_nll(logits, target, JOINT, label_smoothing=share) for share in (0.0, 0.1))
    assert (smooth != plain).any(dim=0).tolist() == [True, True, True, False]


def test_the_button_weight_weighs_masks_in_which_any_button_is_pressed() -> None:
    logits, target = joint_frames()
    nll = component_nll(logits, target, JOINT)
    expected = (nll.sum() + 2 * nll[3:, 3].sum()) / 6
    found = training_loss(logits, target, torch.ones(6, dtype=torch.bool), JOINT, LossConfig(button_pos_weight=3.0))
    assert torch.allclose(found, expected)
