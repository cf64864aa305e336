"""Negative log-likelihoods of controllers: plain ones to report, weighted ones to minimise.

Both come from logits [..., S] and target classes [..., K] as float32, whatever precision the logits have. The surprise:
reported numbers are always plain, so runs with different losses compare.

Legend: K components, S class columns.
"""

import torch
from torch import Tensor

from train.config.run_config import LossConfig
from train.policy.components import Components, component_nll

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
    """What training minimises: nats a frame summed over components, averaged over the frames in ``mask`` [B, T].

    Args:
        logits: [B, T, S]
        target: [B, T, K]
        mask: [B, T] the frames that count.
        components: the codec's.
        config: the loss.
        weight: [B] factor of each row's frames; ``None``: 1.
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
