import pytest
import torch

from tests.train.builders import CODEC, SIZES, random_frames, tiny_policy_config
from train.policy.components import Components
from train.policy.config import BACKBONES, HEADS
from train.policy.heads import inverse_cdf
from train.policy.policy import Policy


def build(**changes: object) -> Policy:
    torch.manual_seed(0)
    return Policy(tiny_policy_config(**changes))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_stepping_frame_by_frame_samples_what_the_window_predicts(backbone: str, head: str) -> None:
    policy = build(backbone=backbone, head=head).eval()
    continuous, indices, previous, _ = random_frames(3, 20)
    delay, noise = torch.tensor([0, 2, 4]), torch.rand(3, 20, 13)
    state, rows = policy.initial_state(3), []
    with torch.no_grad():
        for t in range(20):
            frame = (continuous[:, t], indices[:, t], previous[:, t], delay, noise[:, t])
            classes, state = policy.step(*frame, state)
            rows.append(classes)
        chosen = torch.stack(rows, dim=1)
        keep = torch.zeros(3, dtype=torch.bool)
        window = (continuous, indices, previous, delay, chosen)
        logits, _ = policy(*window, policy.initial_state(3), keep)
    components = Components.of(CODEC)
    for k, column in enumerate(components.columns):
        own = logits[..., column : column + SIZES[k]].flatten(0, 1)
        assert torch.equal(inverse_cdf(own, noise[..., k].flatten()), chosen[..., k].flatten())


def test_a_row_that_is_reset_forgets_and_the_others_carry_on() -> None:
    policy = build().eval()
    window = random_frames(2, 8)
    delay = torch.zeros(2)
    with torch.no_grad():
        _, state = policy(*window[:3], delay, window[3], policy.initial_state(2), torch.tensor([True, True]))
        carried, _ = policy(*window[:3], delay, window[3], state, torch.tensor([False, False]))
        fresh, _ = policy(*window[:3], delay, window[3], state, torch.tensor([True, True]))
        mixed, _ = policy(*window[:3], delay, window[3], state, torch.tensor([True, False]))
    assert not torch.equal(carried, fresh)
    assert torch.equal(mixed, torch.stack([fresh[0], carried[1]]))


def test_prev_dropout_hides_the_previous_controller_in_training_only() -> None:
    policy = build(prev_dropout=0.999999)
    continuous, indices, previous, target = random_frames(4, 5)
    other = random_frames(4, 5, seed=9)[2]
    state, reset = policy.initial_state(4), torch.zeros(4, dtype=torch.bool)

    def logits(seen: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            found, _ = policy(continuous, indices, seen, torch.zeros(4), target, state, reset)
            assert isinstance(found, torch.Tensor)
        return found

    assert torch.equal(logits(previous), logits(other))
    policy.eval()
    assert not torch.equal(logits(previous), logits(other))


def test_every_parameter_gets_a_gradient() -> None:
    policy = build()
    continuous, indices, previous, target = random_frames(4, 30)
    reset = torch.zeros(4, dtype=torch.bool)
    logits, _ = policy(continuous, indices, previous, torch.ones(4), target, policy.initial_state(4), reset)
    logits.square().sum().backward()
    without = [name for name, p in policy.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []
