import math
from pathlib import Path

import pytest
import torch

from dataset.errors import ConfigError
from tests.train.builders import tiny_config, tiny_policy_config, tiny_splits, write_store
from train.config.run_config import OptimConfig
from train.fit.optim import Ema, build_optimizer, count_steps, decay_at, learning_rate
from train.fit.train_run import train_run
from train.policy.config import BACKBONES
from train.policy.policy import Policy


def test_the_cosine_ends_at_the_runs_true_last_step() -> None:
    config = OptimConfig(lr=2.0, warmup_steps=4)
    rates = [learning_rate(step, 104, config) for step in range(104)]
    assert rates[:5] == [0.5, 1.0, 1.5, 2.0, 2.0]
    assert rates[54] == pytest.approx(1.0)
    assert rates[103] == pytest.approx(1 + math.cos(math.pi * 99 / 100))


def test_the_constant_schedule_stays_at_its_peak() -> None:
    config = OptimConfig(lr=2.0, lr_schedule="constant", warmup_steps=1)
    assert [learning_rate(step, 50, config) for step in (0, 1, 49)] == [2.0, 2.0, 2.0]


def test_a_warm_up_as_long_as_the_run_is_refused() -> None:
    assert count_steps(OptimConfig(epochs=2, warmup_steps=9), 5) == 10
    with pytest.raises(ConfigError, match="--warmup-steps 10: must be below the run's 10 steps"):
        count_steps(OptimConfig(epochs=2, warmup_steps=10), 5)
    with pytest.raises(ConfigError, match="--warmup-steps 9: must be below the run's 8 steps"):
        count_steps(OptimConfig(epochs=2, warmup_steps=9, max_steps=8), 5)


def test_only_matrices_decay() -> None:
    policy = Policy(tiny_policy_config())
    decayed, kept = build_optimizer(policy, OptimConfig(weight_decay=0.1)).param_groups
    names = {id(parameter): name for name, parameter in policy.named_parameters()}
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.1, 0.0)
    assert {names[id(p)] for p in decayed["params"]} == {
        "embed.project.weight",
        "head.hidden.weight",
        "head.output.weight",
        *(f"backbone.blocks.{layer}.gru.weight_{kind}_l0" for kind in ("ih", "hh") for layer in (0, 1)),
    }
    assert len(decayed["params"]) + len(kept["params"]) == len(names)
    assert isinstance(decayed["params"][0], torch.nn.Parameter)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_layer_below_the_head_has_a_share_of_the_rate_of_the_one_above(backbone: str) -> None:
    policy = Policy(tiny_policy_config(backbone=backbone, hidden_sizes=(16, 16, 16)))
    optimizer = build_optimizer(policy, OptimConfig(layer_lr_decay=0.5))
    shares = {id(p): group["share"] for group in optimizer.param_groups for p in group["params"]}
    names = {name: shares[id(parameter)] for name, parameter in policy.named_parameters()}
    assert len(names) == len(shares)

    def of(prefix: str) -> set[float]:
        return {share for name, share in names.items() if name.startswith(prefix)}

    assert (of("head."), of("backbone."), of("embed.")) == ({1.0}, {0.5, 0.25, 0.125}, {0.0625})
    order = [share for name, share in names.items() if name.startswith("backbone.") and ".norm.weight" not in name]
    assert order == sorted(order)
    if backbone != "mlp":
        assert names["backbone.norm.weight"] == 0.5


def test_a_layers_share_of_the_rate_needs_layers_that_were_trained_before(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", tiny_splits())
    config = tiny_config(optim=OptimConfig(epochs=1, layer_lr_decay=0.8))
    with pytest.raises(ConfigError, match=r"--layer-lr-decay 0\.8: spares layers .* found no --init-from; add it"):
        train_run(config, store, "run", runs=tmp_path)
    with pytest.raises(ConfigError, match="--layer-lr-decay: above 0 to 1, found 0"):
        OptimConfig(layer_lr_decay=0.0)


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
    with pytest.raises(ConfigError, match="--ema-decay: 0 to below 1"):
        OptimConfig(ema_decay=decay)
