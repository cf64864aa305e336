"""The training loss, and the error that ends a run whose loss is not finite.

Losses are computed in float32 whatever precision the logits have. Reports always give ``component_nll`` without smoothing or
weights, so runs with different training losses compare.

Legend: B batch, T frames in the window, K components, S class columns.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from dataset.errors import ExphilError
from dataset.features.layout import FEATURES
from train.config.run_config import LossConfig
from train.data.batches import Tensors
from train.policy.components import Components, component_nll
from train.runs.checkpoint import save_state

BATCH_FILE = "bad-batch.pt"

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
