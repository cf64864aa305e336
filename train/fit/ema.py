"""An exponential moving average of the weights, taken after every optimizer step (Polyak & Juditsky 1992).

In: a policy in training. Out: its smoothed twin, which is validated and saved in its stead. The surprise: the decay rises with
the steps, min(decay, (1 + n) / (10 + n)), so that a short run's average is not mostly the weights it began with.
"""

import copy
from typing import cast

import torch
from torch import Tensor

from train.policy.policy import Policy


class Ema:
    """The smoothed twin of a policy."""

    def __init__(self, policy: Policy, decay: float) -> None:
        self.policy = copy.deepcopy(policy).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, policy: Policy, step: int) -> None:
        """Move towards the weights that ``policy`` has after ``step`` steps, from 1."""
        ours, theirs = cast(list[list[Tensor]], [list(one.parameters()) for one in (self.policy, policy)])
        torch._foreach_lerp_(ours, theirs, 1.0 - decay_at(step, self.decay))


def decay_at(step: int, decay: float) -> float:
    """The share of the average that survives step ``step``, from 1."""
    return min(decay, (1 + step) / (10 + step))
