"""What training minimises and how: the loss, the optimizer, the learning rate of every step, the moving average of the weights.

The loss is computed in float32 whatever precision the logits have. Reports always give ``component_nll`` without smoothing or
weights, so runs with different training losses compare. The learning rate is a pure function of the step: the cosine ends at
the run's true last step, so resuming needs no scheduler state.

Legend: B batch, T frames in the window, K components, S class columns.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from dataset.errors import ConfigError, ExphilError
from dataset.features.layout import FEATURES
from train.config.run_config import LossConfig, OptimConfig
from train.data.batches import Tensors
from train.policy.components import Components, component_nll
from train.policy.policy import Policy
from train.runs.checkpoint import save_state

BATCH_FILE = "bad-batch.pt"

LONGEST_WARMUP = 100
"""Steps, where the config does not say."""

_LEAST_ERROR = 1e-8
"""Floor of 1 − p in the focal factor: keeps its gradient finite for gamma below 1."""


def training_loss(
    logits: Tensor,
    target: Tensor,
    mask: Tensor,
    components: Components,
    config: LossConfig,
    weight: Tensor | None = None,
) -> Tensor:
    """The loss that training minimises: nats per frame, summed over components and averaged over frames.

    Args:
        logits: [B, T, S].
        target: [B, T, K] classes.
        mask: [B, T] the frames that count.
        components: the codec's.
        config: which loss.
        weight: [B] a factor for each row's frames; ``None`` means 1.
    """
    nll = component_nll(logits, target, components, config.label_smoothing)
    if config.focal_gamma > 0:
        plain = nll if config.label_smoothing == 0 else component_nll(logits, target, components)
        nll = nll * (-torch.expm1(-plain)).clamp(min=_LEAST_ERROR) ** config.focal_gamma
    if config.button_pos_weight != 1.0:
        presses = torch.tensor([press for part in components.presses for press in part], device=target.device)
        is_pressed = presses[target.long() + torch.tensor(components.columns, device=target.device)]
        nll = torch.where(is_pressed, nll * config.button_pos_weight, nll)
    counted = mask if weight is None else mask * weight.unsqueeze(-1)
    return (nll.sum(dim=-1) * counted).sum() / mask.sum().clamp(min=1)


def non_finite_loss(step: int, loss: float, batches: Sequence[Tensors], run: Path, rank: int) -> ExphilError:
    """The error for a loss that is not finite at ``step`` (from 1); saves this rank's batches of that step for inspection.

    The weights in the run folder are from before that step; the ones in memory may be spoilt, so they are not saved.
    """
    path = run / (BATCH_FILE if rank == 0 else f"rank-{rank}-{BATCH_FILE}")
    kept = [
        {name: value.cpu() if isinstance(value, Tensor) else value for name, value in asdict(batch).items()}
        for batch in batches
    ]
    save_state({"step": step, "loss": loss, "batches": kept}, path)
    bad = torch.zeros(len(FEATURES), dtype=torch.bool)
    for batch in batches:
        bad |= ~batch.continuous.isfinite().flatten(0, 1).all(dim=0).cpu()
    names = [feature.name for feature, is_bad in zip(FEATURES, bad.tolist(), strict=True) if is_bad]
    cause = f"non-finite features {', '.join(names)}" if names else "finite features, so the policy has overflowed"
    return ExphilError(
        f"step {step}: the loss must be finite, found {loss} and {cause}; its batches are kept in {path}; lower --lr, "
        "keep --max-grad-norm above 0, or run 'exphil verify' on the store"
    )


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
    if warmup_steps(total, config) >= total:
        raise ConfigError(
            f"--warmup-steps {config.warmup_steps}: must be below the run's {total} steps; "
            "warm up less, or train for more epochs"
        )
    return total


def warmup_steps(total_steps: int, config: OptimConfig) -> int:
    """The steps of a run over which its rate rises."""
    return min(LONGEST_WARMUP, total_steps // 10) if config.warmup_steps is None else config.warmup_steps


def learning_rate(step: int, total_steps: int, config: OptimConfig) -> float:
    """The rate at ``step`` (from 0): a linear rise over the warm-up, then constant or a cosine that ends at 0."""
    rising = warmup_steps(total_steps, config)
    if step < rising:
        return config.lr * (step + 1) / rising
    if config.lr_schedule == "constant":
        return config.lr
    done = (step - rising) / (total_steps - rising)
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
