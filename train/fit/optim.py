"""The optimizer, the learning rate of every step, the number of steps, and the moving average of the weights.

The learning rate is a pure function of the step: the cosine ends at the run's true last step, so resuming needs no scheduler
state.
"""

import copy
import math
from typing import cast

import torch
from torch import Tensor, nn

from dataset.errors import ConfigError
from train.config.run_config import OptimConfig
from train.policy.policy import Policy


def build_optimizer(policy: Policy, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW that decays matrices only, not embedding tables, biases or norms; a group's ``share`` multiplies its rate."""
    tables = {id(module.weight) for module in policy.modules() if isinstance(module, nn.Embedding)}
    layers: list[list[Tensor]] = [list(policy.parameters())]
    if config.layer_lr_decay != 1.0:  # from the head down to the inputs
        backbone = reversed(policy.backbone.layer_parameters())
        layers = [list(policy.head.parameters()), *backbone, list(policy.embed.parameters())]
    groups = [
        {"params": chosen, "weight_decay": decay, "share": config.layer_lr_decay**depth}
        for depth, layer in enumerate(layers)
        for decay, is_decayed in ((config.weight_decay, True), (0.0, False))
        if (chosen := [p for p in layer if (p.ndim >= 2 and id(p) not in tables) == is_decayed])
    ]
    return torch.optim.AdamW(groups, lr=config.lr, fused=True)


def count_steps(config: OptimConfig, steps_in_epoch: int) -> int:
    """The steps of a run.

    Raises:
        ConfigError: the epochs have fewer steps than ``--max-steps``, or the warm-up lasts as long as the run.
    """
    available = steps_in_epoch * config.epochs
    total = available if config.max_steps is None else config.max_steps
    if total > available:
        raise ConfigError(
            f"--max-steps {total}: must be at most the {available} steps of --epochs {config.epochs}; "
            "give a smaller number, or more --epochs"
        )
    if config.warmup_steps >= total:
        raise ConfigError(
            f"--warmup-steps {config.warmup_steps}: must be below the run's {total} steps; "
            "warm up less, or train for more epochs"
        )
    return total


def learning_rate(step: int, total_steps: int, config: OptimConfig) -> float:
    """The rate at ``step`` (from 0): a linear rise over the warm-up, then constant or a cosine that ends at 0."""
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    if config.lr_schedule == "constant":
        return config.lr
    done = (step - config.warmup_steps) / (total_steps - config.warmup_steps)
    return config.lr * 0.5 * (1 + math.cos(math.pi * done))


class Ema:
    """An exponential moving average of a policy's weights (Polyak & Juditsky 1992), itself a policy.

    The decay rises with the steps, min(decay, (1 + n) / (10 + n)), so that a short run's average does not consist mostly of
    the initial weights.
    """

    def __init__(self, policy: Policy, decay: float) -> None:
        self.policy = copy.deepcopy(policy).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, policy: Policy, step: int) -> None:
        """Move towards the weights that ``policy`` has after ``step`` steps (from 1)."""
        ours, theirs = cast(list[list[Tensor]], [list(one.parameters()) for one in (self.policy, policy)])
        torch._foreach_lerp_(ours, theirs, 1.0 - decay_at(step, self.decay))


def decay_at(step: int, decay: float) -> float:
    """The share of the average that survives step ``step`` (from 1)."""
    return min(decay, (1 + step) / (10 + step))
