"""The optimizer, what it decays, and the learning rate of every step.

The surprise: the cosine's horizon is the run's true number of steps, so the schedule is a pure function of the step and
resuming needs no state of its own.
"""

import math

import torch
from torch import Tensor, nn

from dataset.errors import ConfigError
from train.config.run_config import OptimConfig
from train.policy.policy import Policy


def build_optimizer(policy: Policy, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW that decays matrices only: tables, biases and norms are left alone; ``share`` of a group is that of the rate."""
    tables = {id(module.weight) for module in policy.modules() if isinstance(module, nn.Embedding)}
    layers: list[list[Tensor]] = [list(policy.head.parameters()), *_below_the_head(policy)]
    if config.layer_lr_decay == 1.0:
        layers = [list(policy.parameters())]
    groups = [
        {"params": chosen, "weight_decay": decay, "share": config.layer_lr_decay**depth}
        for depth, layer in enumerate(layers)
        for decay, is_decayed in ((config.weight_decay, True), (0.0, False))
        if (chosen := [p for p in layer if (p.ndim >= 2 and id(p) not in tables) == is_decayed])
    ]
    return torch.optim.AdamW(groups, lr=config.lr, fused=True)


def _below_the_head(policy: Policy) -> list[list[Tensor]]:
    """The backbone's layers from the top down, then the inputs."""
    return [*reversed(policy.backbone.layer_parameters()), list(policy.embed.parameters())]


def count_steps(config: OptimConfig, steps_in_epoch: int) -> int:
    """The steps of a run; refuses ``--max-steps`` that the epochs do not reach."""
    total = steps_in_epoch * config.epochs
    if config.max_steps is None:
        return total
    if config.max_steps > total:
        raise ConfigError(
            f"--max-steps {config.max_steps}: must be at most the {total} steps of --epochs {config.epochs}; "
            "give a smaller one, or more --epochs"
        )
    return config.max_steps


def check_warmup(config: OptimConfig, total_steps: int) -> None:
    """Refuse a warm-up that the run would not outlast."""
    if config.warmup_steps >= total_steps:
        raise ConfigError(
            f"--warmup-steps {config.warmup_steps}: must be below the run's {total_steps} steps; "
            "warm up less, or train for more epochs"
        )


def learning_rate(step: int, total_steps: int, config: OptimConfig) -> float:
    """The rate of ``step`` (from 0): a linear rise over the warm-up, then constant or a cosine that ends at 0."""
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    if config.lr_schedule == "constant":
        return config.lr
    done = (step - config.warmup_steps) / (total_steps - config.warmup_steps)
    return config.lr * 0.5 * (1 + math.cos(math.pi * done))
