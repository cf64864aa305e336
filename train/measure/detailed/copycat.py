"""How much a policy leans on the previous controller: its likelihood given a neutral one, or one of another frame, instead.

A policy that only copies is lost without the previous controller; one that reads the game loses little. The state is carried
under the replaced controllers too, as it would be in play.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from dataset.melee.controller import NEUTRAL
from dataset.stream.sampler import Sampler
from train.data.batches import Tensors
from train.measure.walk import Replacement, Walked, measuring, walk
from train.policy.policy import Policy

SHUFFLE_SEED = 20_012


def measure_copycat(policy: Policy, sampler: Sampler, device: torch.device, nll: float) -> dict[str, dict[str, Any]]:
    """``nll``, ``change_nll``, ``stick_accuracy`` and ``gap`` (the NLL minus ``nll``) with either replacement."""
    neutral = torch.from_numpy(policy.codec.encode(NEUTRAL[None])[0]).to(device)
    generator = torch.Generator(device).manual_seed(SHUFFLE_SEED)

    def shuffled(given: Tensors) -> Tensor:
        """Previous controllers of frames of the same batch, replay and time both drawn at random."""
        real = given.previous.flatten(0, 1) if given.num_frames == 0 else given.previous[given.mask]
        return real[torch.randint(len(real), given.previous.shape[:2], generator=generator, device=real.device)]

    replacements: dict[str, Replacement] = {
        "neutral": lambda given: neutral.expand_as(given.previous),
        "shuffled": shuffled,
    }
    report = {}
    with measuring(policy):
        for name, replacement in replacements.items():
            found = _means(walk(policy, sampler, device, replacement=replacement))
            report[name] = {**found, "gap": found["nll"] - nll}
    return report


def _means(batches: Iterable[Walked]) -> dict[str, float]:
    """The NLL over all frames and over change frames, and the main stick's accuracy where it moves."""
    sums = torch.zeros(6, dtype=torch.float64)
    for walked in batches:
        frames = walked.scored
        nll, change, moved = frames.nll.double().sum(dim=1), frames.is_change, frames.is_stick_change
        hits = frames.is_stick_right & moved
        parts = [torch.ones_like(nll).sum(), nll.sum(), change.sum(), nll[change].sum(), moved.sum(), hits.sum()]
        sums += torch.stack([part.double() for part in parts]).cpu()
    count, total, changes, change_total, moves, right = sums.tolist()
    return {
        "nll": total / max(count, 1),
        "change_nll": change_total / max(changes, 1),
        "stick_accuracy": right / max(moves, 1),
    }
