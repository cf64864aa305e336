import pytest
import torch

from dataset.errors import ConfigError
from tests.train.builders import tiny_policy_config
from train.config.run_config import OptimConfig
from train.fit.ema import Ema, decay_at
from train.policy.policy import Policy


def test_the_decay_rises_to_the_one_asked_for() -> None:
    assert [decay_at(step, 0.75) for step in (1, 8, 26, 27, 1000)] == [2 / 11, 0.5, 0.75, 0.75, 0.75]


def test_the_average_is_what_the_recurrence_says() -> None:
    policy = Policy(tiny_policy_config(backbone="mlp", hidden_sizes=(8,)))
    ema, expected = Ema(policy, 0.75), policy.head.output.bias.detach().clone()
    for step in (1, 2, 30):
        with torch.no_grad():
            policy.head.output.bias.add_(step)
        ema.update(policy, step)
        decay = decay_at(step, 0.75)
        expected = decay * expected + (1 - decay) * policy.head.output.bias.detach()
    assert torch.allclose(ema.policy.head.output.bias, expected)
    assert not ema.policy.training
    assert not any(parameter.requires_grad for parameter in ema.policy.parameters())


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_that_forgets_nothing_or_less_is_refused(decay: float) -> None:
    with pytest.raises(ConfigError, match=f"--ema-decay: 0 to below 1, found {decay}"):
        OptimConfig(ema_decay=decay)
